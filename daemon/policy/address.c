/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "policy/values.h"

/* @text fits, with its NUL. */
static int parse_path(const char *text, struct listen_address *address)
{
        struct sockaddr_un *unix_address = (struct sockaddr_un *) &address->socket;

        if (text[1] == '\0')
                return -EINVAL;
        unix_address->sun_family = AF_UNIX;
        strcpy(unix_address->sun_path, text);
        address->length = sizeof(*unix_address);
        return 0;
}

static int parse_port(const char *text, in_port_t *port)
{
        uint64_t number;

        if (parse_whole(text, 1, UINT16_MAX, &number) < 0)
                return -EINVAL;
        *port = htons(number);
        return 0;
}

/* @host and @port are what is on the two sides of the last colon. */
static int parse_ipv4(const char *host, const char *port, struct listen_address *address)
{
        struct sockaddr_in *in = (struct sockaddr_in *) &address->socket;

        in->sin_family = AF_INET;
        address->length = sizeof(*in);
        return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? parse_port(port, &in->sin_port) : -EINVAL;
}

/* @host has brackets. */
static int parse_ipv6(char *host, const char *port, struct listen_address *address)
{
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) &address->socket;
        size_t length = strlen(host);

        if (length < 2 || host[length - 1] != ']')
                return -EINVAL;
        host[length - 1] = '\0';
        in6->sin6_family = AF_INET6;
        address->length = sizeof(*in6);
        return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1 ? parse_port(port, &in6->sin6_port) : -EINVAL;
}

int listen_address_parse(const char *text, struct listen_address *address)
{
        char host[LISTEN_ADDRESS_SIZE], *colon;

        *address = (struct listen_address){};
        if (strlen(text) >= sizeof(address->text))
                return *text == '/' ? -ENAMETOOLONG : -EINVAL;
        strcpy(address->text, text);
        if (*text == '/')
                return parse_path(text, address);
        strcpy(host, text);
        colon = strrchr(host, ':');
        if (!colon)
                return -EINVAL;
        *colon = '\0';
        return *host == '[' ? parse_ipv6(host, colon + 1, address) : parse_ipv4(host, colon + 1, address);
}

bool listen_address_is_local(const struct listen_address *address)
{
        const struct sockaddr_in *in = (const struct sockaddr_in *) &address->socket;
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) &address->socket;

        switch (address->socket.ss_family) {
        case AF_INET:
                return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
        case AF_INET6:
                return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
        default:
                return true;
        }
}

/* In network order; 0: it has none. */
static in_port_t port_of(const struct listen_address *address)
{
        switch (address->socket.ss_family) {
        case AF_INET:
                return ((const struct sockaddr_in *) &address->socket)->sin_port;
        case AF_INET6:
                return ((const struct sockaddr_in6 *) &address->socket)->sin6_port;
        default:
                return 0;
        }
}

bool listen_address_same_port(const struct listen_address *x, const struct listen_address *y)
{
        return port_of(x) != 0 && port_of(x) == port_of(y);
}
