/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/unitwatch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "policy/files.h"
#include "policy/unitbudgets.h"

#define MASK (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_ONLYDIR)

/* Watches the directories "UNIT.d" in @path. */
static void watch_dropins(const struct unit_watch *watch, const char *path)
{
        _cleanup_closedir_ DIR *directory = opendir(path);
        const struct dirent *entry;
        char below[PATH_MAX];

        while (directory && (entry = readdir(directory)))
                if (has_suffix(entry->d_name, DROPIN_DIRECTORY_SUFFIX) &&
                                (size_t) snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) < sizeof(below))
                        inotify_add_watch(watch->fd, below, MASK);
}

/* Watches @path, or what there is of it: the lowest directory above. */
static void watch_directory(const struct unit_watch *watch, char *path)
{
        if (inotify_add_watch(watch->fd, path, MASK) >= 0) {
                watch_dropins(watch, path);
                return;
        }
        for (char *slash; errno == ENOENT && (slash = strrchr(path, '/')) && slash > path;) {
                *slash = '\0';
                if (inotify_add_watch(watch->fd, path, MASK) >= 0)
                        return;
        }
}

static void watch_all(const struct unit_watch *watch)
{
        char path[PATH_MAX];

        for (size_t i = 0; unit_directories[i]; i++)
                if ((size_t) snprintf(path, sizeof(path), "%s%s", watch->root, unit_directories[i]) < sizeof(path))
                        watch_directory(watch, path);
}

int unit_watch_init(struct unit_watch *watch, const char *root)
{
        *watch = (struct unit_watch){ .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .root = root };
        if (watch->fd < 0)
                return -errno;
        watch_all(watch);
        return 0;
}

void unit_watch_deinit(struct unit_watch *watch)
{
        if (watch->fd >= 0)
                close(watch->fd);
        watch->fd = -1;
}

void unit_watch_take(struct unit_watch *watch)
{
        char buffer[16 * 1024];

        while (read(watch->fd, buffer, sizeof(buffer)) > 0)
                ;
        watch_all(watch);
}
