/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For ./quickstart run, and with a number as argument for the benchmarks, which hold so many small maps: makes a few
 * maps and a program, and holds them. Each line on stdin adds 20,000 entries to the map that grows; at the end of stdin
 * it ends. With a directory in bpffs and a number: makes, pins and drops a map so many times.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#define GROWTH 20000

static int make_map(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value, uint32_t entries,
                uint32_t flags)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
        int fd = bpf_map_create(type, name, key, value, entries, &opts);

        if (fd < 0)
                printf("demo: map %s: %s\n", name, strerror(errno));
        else
                printf("demo: map %s\n", name);
        return fd;
}

/* Holds @count maps, every other one without pre-allocation, until the end of stdin. */
static int hold(unsigned int count)
{
        struct rlimit limit = { count + 64, count + 64 };
        LIBBPF_OPTS(bpf_map_create_opts, opts);

        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 1;
        for (unsigned int i = 0; i < count; i++) {
                opts.map_flags = i % 2 ? BPF_F_NO_PREALLOC : 0;
                if (bpf_map_create(i % 2 ? BPF_MAP_TYPE_HASH : BPF_MAP_TYPE_ARRAY, "bench", 4, 64, 16, &opts) < 0) {
                        printf("demo: map %u: %s\n", i, strerror(errno));
                        return 1;
                }
        }
        printf("demo: %u maps\n", count);
        while (getchar() != EOF)
                ;
        return 0;
}

/* Makes a map, pins it in @directory while it is open, and drops both, @count times: it is in use all the time. */
static int churn(const char *directory, unsigned int count)
{
        char path[256];

        for (unsigned int i = 0; i < count; i++) {
                int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "churned", 4, 64, 1, NULL);

                snprintf(path, sizeof(path), "%s/churned-%u", directory, i);
                if (fd < 0 || bpf_obj_pin(fd, path) < 0) {
                        printf("demo: cycle %u: %s\n", i, strerror(errno));
                        return 1;
                }
                unlink(path);
                close(fd);
        }
        printf("demo: %u cycles\n", count);
        return 0;
}

int main(int argc, char *argv[])
{
        struct bpf_insn insns[] = {
                /* r1 = address of the map below: so that the program uses it */
                { .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_FD },
                {},
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        char line[64], value[256] = {};
        uint64_t key = 0;
        int growing;

        setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc > 2)
                return churn(argv[1], strtoul(argv[2], NULL, 10));
        if (argc > 1)
                return hold(strtoul(argv[1], NULL, 10));
        if (make_map(BPF_MAP_TYPE_ARRAY, "demo_array", 4, 1 << 20, 1, 0) < 0 ||
                        make_map(BPF_MAP_TYPE_PERCPU_ARRAY, "demo_percpu", 4, 1024, 1000, 0) < 0 ||
                        make_map(BPF_MAP_TYPE_HASH, "demo_hash", 8, 64, 4096, 0) < 0 ||
                        make_map(BPF_MAP_TYPE_RINGBUF, "demo_ring", 0, 0, 1 << 18, 0) < 0)
                return 1;
        growing = make_map(BPF_MAP_TYPE_HASH, "demo_grows", 8, sizeof(value), 1 << 20, BPF_F_NO_PREALLOC);
        if (growing < 0)
                return 1;
        insns[0].imm = growing;
        if (bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "demo_program", "GPL", insns, 4, NULL) < 0) {
                printf("demo: program: %s\n", strerror(errno));
                return 1;
        }
        printf("demo: program demo_program\n");
        while (fgets(line, sizeof(line), stdin))
                for (uint64_t end = key + GROWTH; key < end; key++)
                        if (bpf_map_update_elem(growing, &key, value, BPF_ANY) < 0) {
                                printf("demo: entry %llu: %s\n", (unsigned long long) key, strerror(errno));
                                return 1;
                        }
        return 0;
}
