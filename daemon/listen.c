/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listen.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "serve/failure.h"

int listen_api(struct api *api, const char *path, bool named)
{
        int r = api_listen_passed(api);

        if (r != 0 || !path) {
                if (r < 0)
                        log_error("The sockets of the service manager cannot be served: %s", strerror(-r));
                return r < 0 ? r : 0;
        }
        r = api_listen(api, path);
        if (r == 0)
                return 0;
        if (r == -EADDRINUSE)
                log_error("%s: another daemon listens there%s", path, named ? "" : ": this one does not serve varlink");
        else
                log_error("%s cannot be served: %s", path, strerror(-r));
        return named ? r : 0;
}

void listen_metrics(struct metrics_server *server, const struct listen_address *address)
{
        int r = metrics_server_listen(server, address);
        const char *still = metrics_server_address(server);

        if (r < 0)
                log_error("MetricsListen=%s: metrics cannot be served there: %s%s%s%s", address->text, strerror(-r),
                                *still ? "; they are still served at " : "", still,
                                r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL
                                                ? "; the service has a network only with a drop-in, see "
                                                  "bpfbudgetd.conf(5)"
                                                : "");
}

void leave_reason(const char *path, const char *reason, int r)
{
        if (path && r >= 0)
                failure_remove(path);
        /* Or somebody else does. */
        else if (path && r != -EADDRINUSE)
                failure_leave(path, reason ?: "the journal tells why: journalctl -u bpfbudgetd");
}
