/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/memlock.h"

#include <stdio.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"

uint64_t map_memlock(uint32_t map_id)
{
        _cleanup_close_ int fd = bpf_map_get_fd_by_id(map_id);
        _cleanup_fclose_ FILE *file = NULL;
        unsigned long long bytes;
        char path[64], line[128];

        if (fd < 0)
                return 0;
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        file = fopen(path, "re");
        while (file && fgets(line, sizeof(line), file))
                if (sscanf(line, "memlock: %llu", &bytes) == 1)
                        return bytes;
        return 0;
}
