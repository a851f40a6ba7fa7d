/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether what is found in a file system can be trusted. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/* Whether only root can have created or changed the file that @st describes, or set its user.* xattrs. */
static inline bool stat_is_roots(const struct stat *st)
{
        return st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The same for the file at @path; symlinks are not followed. */
static inline bool is_roots(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0 && stat_is_roots(&st);
}

/* The same for the open file @fd. */
static inline bool is_roots_at(int fd)
{
        struct stat st;

        return fstat(fd, &st) == 0 && stat_is_roots(&st);
}
