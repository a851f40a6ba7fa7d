/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON that container runtimes keep of their containers: read with a bound, and only if nobody else could write it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

/* Identifies a version of a file. All zeroes: none. */
struct state_version {
        uint64_t device, inode, size, usec;
};

/*
 * Reads the file @path, which belongs to @owner and has at most @max bytes, into *json, unless it is still *version.
 * Returns 1 and sets *version to the new one; 0: it is unchanged; -ENOENT: the file does not exist; -EFBIG; -EPERM: it
 * belongs to another user or is not a regular file; -EBADMSG: it is not JSON; another negative errno. After an error,
 * the file is not read again before it changes.
 */
int state_file_read(const char *path, uid_t owner, size_t max, struct state_version *version, json_t **json);
