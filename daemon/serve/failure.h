/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why the daemon did not start, as a line in a file beside its socket: for those who may ask it, but not read the
 * journal. It is there until a daemon starts that serves the socket, or the machine boots.
 */
#pragma once

/* Behind the path of the socket. */
#define FAILURE_SUFFIX ".failure"

/* The longest reason, in bytes with its NUL. */
#define FAILURE_MAX 1024

/* Leaves @reason for the clients of @socket, or removes what a predecessor has left. They may do without it. */
void failure_leave(const char *socket, const char *reason);
void failure_remove(const char *socket);

/* The reason why nobody serves @socket, to be freed; NULL: none was left, or by somebody who is not to be believed. */
char *failure_read(const char *socket);
