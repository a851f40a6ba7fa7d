/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Paths of any length: no system call takes one of PATH_MAX bytes or more, so such a path is opened piece by piece. */
#pragma once

/*
 * Opens @path relative to the directory @fd (AT_FDCWD: the current one; an absolute path needs neither) with the @flags
 * of open() and O_CLOEXEC; a component on the way that is not a directory, or that is a symlink where a piece ends, is
 * an error. A path without names is the directory @fd, or the root. Returns a file descriptor or a negative errno
 * (-ENAMETOOLONG: a name is longer than any can be).
 */
int open_long_path(int fd, const char *path, int flags);
