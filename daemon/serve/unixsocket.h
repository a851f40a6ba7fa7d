/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A unix stream socket that is listened at, and its path, which is removed in the end if it is still the same. */
#pragma once

#include <sys/types.h>

struct unix_socket {
        char *path;   /* NULL: there is none, or it is not ours */
        dev_t device; /* what @path was when it was made */
        ino_t inode;
};

/*
 * Listens at @path, with @mode, for root and @group if there is such a group. A socket there that nobody listens at is
 * replaced. Returns the descriptor, non-blocking; -EADDRINUSE: somebody listens there; -EEXIST: it is no socket;
 * another negative errno. @socket is to be given to unix_socket_deinit() in any case.
 */
int unix_socket_listen(struct unix_socket *socket, const char *path, mode_t mode, const char *group);

/* Removes the path, if no successor has put its own socket there. */
void unix_socket_deinit(struct unix_socket *socket);
