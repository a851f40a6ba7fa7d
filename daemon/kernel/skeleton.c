/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/skeleton.h"

#include <errno.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

int skeleton_run(const struct bpf_program *program, void *context, size_t size)
{
        LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = context, .ctx_size_in = size);

        return bpf_prog_test_run_opts(bpf_program__fd(program), &opts);
}

uint64_t skeleton_left_out(const struct bpf_program *program)
{
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);

        return bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0 ? info.recursion_misses : 0;
}

int skeleton_map_values(const struct bpf_map *map, void **address)
{
        size_t size = (size_t) bpf_map__value_size(map) * bpf_map__max_entries(map);

        *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
        if (*address != MAP_FAILED)
                return 0;
        *address = NULL;
        return -errno;
}

uint32_t skeleton_table_size(size_t wanted, uint32_t min, uint32_t max)
{
        uint32_t size = min;

        while (size < wanted && size < max)
                size *= 2;
        return size;
}
