/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/mount.h"

#include <stddef.h>
#include <string.h>

/* cgroup v1, the v2 hierarchy beside it, that of systemd itself, and cgroup v2 alone. */
static const char *const mounts[] = {
        "/sys/fs/cgroup/memory",
        "/sys/fs/cgroup/unified",
        "/sys/fs/cgroup/systemd",
        "/sys/fs/cgroup",
};

const char *strip_mount(const char *path)
{
        for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
                size_t n = strlen(mounts[i]);

                if (strncmp(path, mounts[i], n) == 0 && (path[n] == '/' || path[n] == '\0'))
                        return path[n] ? path + n : "/";
        }
        return path;
}
