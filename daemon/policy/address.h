/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses to listen on, as written in configuration files. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/*
 * Bytes of an address as text, with its NUL: the longest is a path that, with a suffix of four bytes, fits into a
 * socket's address.
 */
#define LISTEN_ADDRESS_SIZE (sizeof(((struct sockaddr_un *) NULL)->sun_path) - 4)

/* Numeric addresses only: no name is resolved. */
struct listen_address {
        char text[LISTEN_ADDRESS_SIZE]; /* as it was given; "": none */
        struct sockaddr_storage socket; /* AF_UNIX, AF_INET or AF_INET6 */
        socklen_t length;               /* of the part that is used, in bytes */
};

/*
 * Parses "/PATH", "IPV4:PORT" or "[IPV6]:PORT" into *address. Returns 0, -ENAMETOOLONG: the path is too long for a
 * socket; -EINVAL: it is none of these.
 */
int listen_address_parse(const char *text, struct listen_address *address);

/* Whether @address can be reached only from this host. */
bool listen_address_is_local(const struct listen_address *address);

/* Whether @x and @y have the same port, in whatever family: one may be in use because of the other. */
bool listen_address_same_port(const struct listen_address *x, const struct listen_address *y);
