/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether what is found in a file system can be trusted. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/* Whether only root can have made or changed what is at @path, or set a user.* xattr of it; of a symlink, itself. */
static inline bool is_roots(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0 && st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}
