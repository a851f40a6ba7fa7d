/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/namespace.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The inode numbers of the first ones: include/uapi/linux/nsfs.h, enum init_ns_ino. */
static const struct {
        const char *path;
        unsigned long initial;
} namespaces[] = {
        [NAMESPACE_USER] = { "/proc/self/ns/user", 4026531837 },
        [NAMESPACE_PID] = { "/proc/self/ns/pid", 4026531836 },
        [NAMESPACE_CGROUP] = { "/proc/self/ns/cgroup", 4026531835 },
};

bool in_other_namespace(enum namespace which)
{
        char target[64] = "";
        const char *number;

        if (readlink(namespaces[which].path, target, sizeof(target) - 1) < 0)
                return false;
        number = strchr(target, '[');
        return number && strtoul(number + 1, NULL, 10) != namespaces[which].initial;
}
