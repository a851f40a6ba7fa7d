/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cleanup attributes: an error path is one return.
 *
 * An object that is embedded in its owner has x_init() and x_deinit(). x_deinit() can always be called: after x_init()
 * failed at any point, and on an object that is all zeroes. An object that x_open() or x_new() creates belongs to the
 * caller only if that function succeeds.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
        free(*(void **) p);
}

static inline void cleanup_close(int *fd)
{
        int saved_errno = errno;

        if (*fd >= 0)
                close(*fd);
        errno = saved_errno;
}

static inline void cleanup_fclose(FILE **file)
{
        if (*file)
                fclose(*file);
}

static inline void cleanup_closedir(DIR **directory)
{
        if (*directory)
                closedir(*directory);
}

#define _cleanup_(f)       __attribute__((cleanup(f)))
#define _cleanup_free_     _cleanup_(cleanup_free)
#define _cleanup_close_    _cleanup_(cleanup_close)
#define _cleanup_fclose_   _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)
