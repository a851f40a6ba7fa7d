/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/kmalloc.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"

/* ARCH_KMALLOC_MINALIGN of arm64, until 6.5 (9382bc44b5f5). */
#define ARM64_SMALLEST_BEFORE_65 128

/* By the machine's name and its kernel's version. */
static uint32_t smallest_of_architecture(void)
{
        unsigned int major = 0, minor = 0;
        struct utsname kernel;

        if (uname(&kernel) < 0 || strcmp(kernel.machine, "aarch64") != 0 ||
                        sscanf(kernel.release, "%u.%u", &major, &minor) != 2)
                return 8;
        return major < 6 || (major == 6 && minor < 5) ? ARM64_SMALLEST_BEFORE_65 : 8;
}

/* mm/slab_common.c, kmalloc_info[]: each has a cache of its own but for those that are too small for the alignment. */
uint32_t kmalloc_smallest(const char *directory)
{
        static const uint32_t classes[] = { 8, 16, 32, 64, 128 };
        _cleanup_close_ int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        char name[32];

        for (size_t i = 0; fd >= 0 && i < sizeof(classes) / sizeof(classes[0]); i++) {
                snprintf(name, sizeof(name), "kmalloc-%u", classes[i]);
                if (faccessat(fd, name, F_OK, 0) == 0)
                        return classes[i];
        }
        return smallest_of_architecture();
}
