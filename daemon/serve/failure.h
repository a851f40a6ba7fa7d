/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Why the daemon did not start, as a line in a file beside its socket: for users who may connect to the socket, but not
 * read the journal. The file exists until a daemon serves the socket, or until a reboot.
 */
#pragma once

/* The suffix of the file, after the path of the socket. */
#define FAILURE_SUFFIX ".failure"

/* The longest reason, in bytes with its NUL. */
#define FAILURE_MAX 1024

/*
 * Stores @reason for the clients of @socket, or removes the file that a previous daemon left. Failures are ignored,
 * because clients can do without the reason.
 */
void failure_leave(const char *socket, const char *reason);
void failure_remove(const char *socket);

/* The reason why nobody serves @socket, to be freed; NULL: there is no file, or its owner is not trusted. */
char *failure_read(const char *socket);
