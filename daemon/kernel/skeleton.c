/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/skeleton.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <zlib.h>

/*
 * The object of the skeleton that is being opened: what calls skeleton_unpack() cannot free it. Not from the heap,
 * which it would keep from shrinking.
 */
static void *unpacked;
static size_t unpacked_size;

const void *skeleton_unpack(const void *packed, size_t packed_size, size_t size)
{
        z_stream stream = { .next_in = (void *) packed, .avail_in = packed_size, .avail_out = size };
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int r;

        skeleton_free_unpacked();
        if (memory == MAP_FAILED)
                return NULL;
        unpacked = memory;
        unpacked_size = size;
        /* 16: with the head and the checksum of gzip. */
        if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
                return NULL;
        stream.next_out = unpacked;
        r = inflate(&stream, Z_FINISH);
        inflateEnd(&stream);
        return r == Z_STREAM_END && stream.avail_out == 0 ? unpacked : NULL;
}

void skeleton_free_unpacked(void)
{
        int saved_errno = errno;

        if (unpacked)
                munmap(unpacked, unpacked_size);
        unpacked = NULL;
        errno = saved_errno;
}

int skeleton_run(const struct bpf_program *program, void *context, size_t size)
{
        LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = context, .ctx_size_in = size);

        return bpf_prog_test_run_opts(bpf_program__fd(program), &opts);
}

uint64_t skeleton_missed(const struct bpf_program *program)
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

int skeleton_array_init(struct skeleton_array *array, const struct bpf_map *map, const struct bpf_program *program)
{
        *array = (struct skeleton_array){
                .program = program,
                .size = bpf_map__value_size(map),
                .max = bpf_map__max_entries(map),
        };
        return skeleton_map_values(map, &array->elements);
}

void skeleton_array_deinit(struct skeleton_array *array)
{
        if (array->elements)
                munmap(array->elements, array->size * array->max);
        *array = (struct skeleton_array){};
}

int skeleton_array_run(const struct skeleton_array *array, void *request, size_t request_size, const void *elements,
                void *results, size_t n)
{
        uint32_t *count = request;

        for (size_t done = 0; done < n; done += *count) {
                size_t offset = done * array->size;
                int r;

                *count = n - done < array->max ? n - done : array->max;
                memcpy(array->elements, (const char *) elements + offset, *count * array->size);
                r = skeleton_run(array->program, request, request_size);
                if (r < 0)
                        return r;
                if (results)
                        memcpy((char *) results + offset, array->elements, *count * array->size);
        }
        return 0;
}

uint32_t skeleton_table_size(size_t wanted, uint32_t min, uint32_t max)
{
        uint32_t size = min;

        while (size < wanted && size < max)
                size *= 2;
        return size;
}
