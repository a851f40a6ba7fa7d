/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON that container runtimes keep of their containers: read with a bound, and only if nobody else could write it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

/* Which version of a file it was. All zeroes: none. */
struct state_version {
        uint64_t device, inode, size, usec;
};

/*
 * Reads the file @path, which belongs to @owner and has at most @max bytes, into *json, unless it is of *version still.
 * Returns 1, and *version is the new one; 0: it is the same; -ENOENT: there is none; -EFBIG, -EPERM (it is another's,
 * or no plain file), -EBADMSG (no JSON), or another negative errno: then it is not read again before it changes.
 */
int state_file_read(const char *path, uid_t owner, size_t max, struct state_version *version, json_t **json);
