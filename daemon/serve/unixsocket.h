/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A listening unix stream socket, and its path, which is removed in the end if it still refers to that socket. */
#pragma once

#include <sys/types.h>

struct unix_socket {
        char *path;   /* NULL: there is none, or it is not ours */
        dev_t device; /* identity of @path when it was created */
        ino_t inode;
};

/*
 * Listens at @path, with @mode, for root and @group if there is such a group. An existing socket without a listener is
 * replaced. Returns the descriptor, non-blocking; -EADDRINUSE: somebody listens there; -EEXIST: @path is not a socket;
 * another negative errno. @socket is to be given to unix_socket_deinit() in any case.
 */
int unix_socket_listen(struct unix_socket *socket, const char *path, mode_t mode, const char *group);

/* Removes the path, unless another daemon has replaced the socket. */
void unix_socket_deinit(struct unix_socket *socket);
