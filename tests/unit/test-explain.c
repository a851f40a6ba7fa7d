/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "serve/explain.h"

#include "fake-kernel.h"

static struct memory parse(const char *text, int version)
{
        struct memory memory = { .current = BUDGET_INFINITY, .max = BUDGET_INFINITY };
        FILE *file = fmemopen((char *) text, strlen(text), "r");

        assert_non_null(file);
        memory_parse_stat(file, version, &memory);
        fclose(file);
        return memory;
}

static uint64_t bytes_of(const struct share *shares, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++)
                if (strcmp(shares[i].name, name) == 0)
                        return shares[i].bytes;
        fail_msg("there is no share %s", name);
        return 0;
}

/* In the order and with the neighbours that a 6.12 kernel has. */
static void test_v2(void **state)
{
        struct memory memory = parse("anon 1000\nfile 500\nkernel 900\nkernel_stack 100\npagetables 50\n"
                                     "sec_pagetables 0\npercpu 200\nsock 30\nvmalloc 300\nshmem 120\n"
                                     "file_mapped 7\nslab_reclaimable 1\nslab_unreclaimable 2\nslab 250\n",
                        2);
        struct share shares[SHARES_MAX];
        uint64_t sum = 0;
        size_t count;

        (void) state;
        memory.current = 2500;
        memory.bpf = 400;
        count = memory_split(&memory, shares);
        assert_int_equal(bytes_of(shares, count, "anon"), 1000);
        assert_int_equal(bytes_of(shares, count, "file"), 380);
        assert_int_equal(bytes_of(shares, count, "shmem"), 120);
        assert_int_equal(bytes_of(shares, count, "sockets"), 30);
        assert_int_equal(bytes_of(shares, count, "pageTables"), 50);
        assert_int_equal(bytes_of(shares, count, "kernelStack"), 100);
        assert_int_equal(bytes_of(shares, count, "bpf"), 400);
        assert_int_equal(bytes_of(shares, count, "kernel"), 350);
        assert_int_equal(bytes_of(shares, count, "other"), 70);
        assert_int_equal(bytes_of(shares, count, "slab"), 250);
        assert_int_equal(bytes_of(shares, count, "percpu"), 200);
        assert_int_equal(bytes_of(shares, count, "vmalloc"), 300);
        for (size_t i = 0; i < count; i++)
                sum += shares[i].detail ? 0 : shares[i].bytes;
        assert_int_equal(sum, memory.current);

        /* The counters of BPF may be ahead of those of the kernel. */
        memory.bpf = 5000;
        count = memory_split(&memory, shares);
        assert_int_equal(bytes_of(shares, count, "kernel"), 0);
        memory.current = BUDGET_INFINITY;
        memory.bpf = 0;
        count = memory_split(&memory, shares);
        assert_int_equal(bytes_of(shares, count, "other"), 0);
}

static void test_v1(void **state)
{
        struct memory memory = parse("cache 1\nrss 2\nshmem 3\ntotal_cache 500\ntotal_rss 1000\ntotal_shmem 120\n", 1);
        struct share shares[SHARES_MAX];
        size_t count = memory_split(&memory, shares);

        (void) state;
        assert_int_equal(bytes_of(shares, count, "anon"), 1000);
        assert_int_equal(bytes_of(shares, count, "file"), 380);
        assert_int_equal(bytes_of(shares, count, "shmem"), 120);
}

static void check_summary(
                const struct cgroup *cgroup, uint64_t current, const struct object *largest, const char *expected)
{
        struct memory memory = { .current = current, .bpf = cgroup->total.charged };
        char *summary = explain_summary(cgroup, &memory, largest);

        assert_non_null(summary);
        assert_string_equal(summary, expected);
        free(summary);
}

static void test_summary(void **state)
{
        struct cgroup cgroup = { .path = (char *) "/a" };
        struct object map = { .record = { .kind = OBJECT_MAP, .type = 6, .allocated = 31 << 20, .charged = 1 << 20 } };

        (void) state;
        strcpy(map.record.name, "flows");
        check_summary(&cgroup, 5 << 20, NULL, "No BPF map or program belongs to it.");
        cgroup.total = (struct usage){ .allocated = 2 << 20, .charged = 2 << 20, .map_count = 1 };
        check_summary(&cgroup, 4 << 20, NULL,
                        "BPF takes 2.0M, all of it charged to the cgroup, 50% of the 4.0M that the cgroup is charged "
                        "for.");
        check_summary(&cgroup, BUDGET_INFINITY, NULL, "BPF takes 2.0M, all of it charged to the cgroup.");
        cgroup.total.allocated = 42 << 20;
        check_summary(&cgroup, 4 << 20, &map,
                        "BPF takes 42.0M: 2.0M is charged to the cgroup, 50% of the 4.0M that the cgroup is charged "
                        "for, and 40.0M is uncharged, so that no memory limit bounds it; the largest part of that, "
                        "30.0M, "
                        "is map "
                        "flows (percpu_array).");
}

/* Each line goes where it belongs, and no line of the other version anywhere. */
static void test_each_line(void **state)
{
        static const struct {
                const char *name;
                int version;
                size_t offset;
        } lines[] = {
                { "anon", 2, offsetof(struct memory, anon) },
                { "file", 2, offsetof(struct memory, file) },
                { "shmem", 2, offsetof(struct memory, shmem) },
                { "sock", 2, offsetof(struct memory, sockets) },
                { "kernel", 2, offsetof(struct memory, kernel) },
                { "pagetables", 2, offsetof(struct memory, page_tables) },
                { "kernel_stack", 2, offsetof(struct memory, kernel_stack) },
                { "slab", 2, offsetof(struct memory, slab) },
                { "percpu", 2, offsetof(struct memory, percpu) },
                { "vmalloc", 2, offsetof(struct memory, vmalloc) },
                { "total_rss", 1, offsetof(struct memory, anon) },
                { "total_cache", 1, offsetof(struct memory, file) },
                { "total_shmem", 1, offsetof(struct memory, shmem) },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                for (int version = 1; version <= 2; version++) {
                        struct memory expected = { .current = BUDGET_INFINITY, .max = BUDGET_INFINITY }, memory;
                        char text[64];

                        snprintf(text, sizeof(text), "before 7\n%s 18446744073709551615\nafter 8\n", lines[i].name);
                        memory = parse(text, version);
                        if (version == lines[i].version)
                                *(uint64_t *) ((char *) &expected + lines[i].offset) = UINT64_MAX;
                        assert_memory_equal(&memory, &expected, sizeof(memory));
                }
}

/* --- The files -----------------------------------------------------------------------------------------------------
 */

struct fixture {
        char directory[64];
        struct cgroupfs cgroupfs;
};

static const char *const names[] = { "memory.stat", "memory.current", "memory.max", "memory.usage_in_bytes",
        "memory.limit_in_bytes", "memory.kmem.usage_in_bytes" };

static int setup(void **state)
{
        static struct fixture f;
        char path[80];

        strcpy(f.directory, "/tmp/bpfbudget-explain-XXXXXX");
        if (!mkdtemp(f.directory))
                return -1;
        snprintf(path, sizeof(path), "%s/a", f.directory);
        if (mkdir(path, 0755) < 0)
                return -1;
        /* The root is opened without a handle. */
        f.cgroupfs = (struct cgroupfs){ .mount_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .root_id = 1 };
        *state = &f;
        return f.cgroupfs.mount_fd < 0 ? -1 : 0;
}

static char *file_of(const struct fixture *f, const char *name, char path[128])
{
        snprintf(path, 128, "%s/a/%s", f->directory, name);
        return path;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        char path[128];

        close(f->cgroupfs.mount_fd);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                unlink(file_of(f, names[i], path));
        rmdir(file_of(f, "", path));
        return rmdir(f->directory);
}

static void put(const struct fixture *f, const char *name, const char *text)
{
        char path[128];
        FILE *file = fopen(file_of(f, name, path), "we");

        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void test_read_v2(void **state)
{
        struct fixture *f = *state;
        struct memory memory;

        f->cgroupfs.version = 2;
        assert_int_equal(memory_read(&f->cgroupfs, f->cgroupfs.root_id, &memory), -ENOENT);
        put(f, "memory.stat", "anon 5\nkernel 6\ntotal_rss 7\n");
        /* The root has no such files. */
        assert_int_equal(memory_read(&f->cgroupfs, f->cgroupfs.root_id, &memory), 0);
        assert_int_equal(memory.anon, 5);
        assert_int_equal(memory.kernel, 6);
        assert_int_equal(memory.file, 0);
        assert_int_equal(memory.bpf, 0);
        assert_int_equal(memory.current, BUDGET_INFINITY);
        assert_int_equal(memory.max, BUDGET_INFINITY);
        put(f, "memory.current", "123\n");
        put(f, "memory.max", "max\n");
        put(f, "memory.usage_in_bytes", "77\n");
        put(f, "memory.limit_in_bytes", "78\n");
        put(f, "memory.kmem.usage_in_bytes", "79\n");
        assert_int_equal(memory_read(&f->cgroupfs, f->cgroupfs.root_id, &memory), 0);
        assert_int_equal(memory.current, 123);
        assert_int_equal(memory.max, BUDGET_INFINITY);
        assert_int_equal(memory.kernel, 6);
        put(f, "memory.max", "456\n");
        assert_int_equal(memory_read(&f->cgroupfs, f->cgroupfs.root_id, &memory), 0);
        assert_int_equal(memory.max, 456);
        /* A limit that no v1 has is one here. */
        put(f, "memory.max", "9223372036854771712\n");
        assert_int_equal(memory_read(&f->cgroupfs, f->cgroupfs.root_id, &memory), 0);
        assert_int_equal(memory.max, 9223372036854771712ULL);
}

static void test_read_v1(void **state)
{
        static const struct {
                const char *text;
                uint64_t max;
        } limits[] = {
                { "456\n", 456 },
                { "9223372036854771712\n", BUDGET_INFINITY }, /* pages of 4 KiB */
                { "9223372036854710272\n", BUDGET_INFINITY }, /* and of 64 KiB */
                { "9223372036837998592\n", BUDGET_INFINITY },
                { "9223372036837998591\n", 9223372036837998591ULL },
        };
        struct fixture *f = *state;
        struct memory memory;

        f->cgroupfs.version = 1;
        put(f, "memory.stat", "rss 4\ntotal_rss 5\n");
        put(f, "memory.current", "77\n");
        put(f, "memory.max", "78\n");
        assert_int_equal(memory_read(&f->cgroupfs, f->cgroupfs.root_id, &memory), 0);
        assert_int_equal(memory.anon, 5);
        assert_int_equal(memory.current, BUDGET_INFINITY);
        assert_int_equal(memory.max, BUDGET_INFINITY);
        assert_int_equal(memory.kernel, 0);
        put(f, "memory.usage_in_bytes", "123\n");
        put(f, "memory.kmem.usage_in_bytes", "79\n");
        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
                put(f, "memory.limit_in_bytes", limits[i].text);
                assert_int_equal(memory_read(&f->cgroupfs, f->cgroupfs.root_id, &memory), 0);
                assert_int_equal(memory.max, limits[i].max);
                assert_int_equal(memory.current, 123);
                assert_int_equal(memory.kernel, 79);
        }
}

static void test_read_nothing(void **state)
{
        const struct cgroupfs none = { .mount_fd = -1 };
        struct memory memory = { .anon = 1 };

        (void) state;
        assert_int_equal(memory_read(&none, 1, &memory), -ENOENT);
        assert_int_equal(memory.anon, 0);
        assert_int_equal(memory.current, BUDGET_INFINITY);
        assert_int_equal(memory.max, BUDGET_INFINITY);
}

/* --- Shares --------------------------------------------------------------------------------------------------------
 */

/* What each share is called, in which order, and which ones are in others. No difference falls below 0. */
static void test_shares(void **state)
{
        static const struct share expected[] = {
                { "anon", 1, false },
                { "file", 0, false },
                { "shmem", 16, false },
                { "sockets", 4, false },
                { "pageTables", 8, false },
                { "kernelStack", 16, false },
                { "bpf", 1000, false },
                { "kernel", 0, false },
                { "other", 0, false },
                { "slab", 32, true },
                { "percpu", 64, true },
                { "vmalloc", 128, true },
        };
        const struct memory memory = { 1, BUDGET_INFINITY, 1, 2, 16, 4, 8, 8, 16, 32, 64, 128, 1000 };
        struct share shares[SHARES_MAX];

        (void) state;
        assert_int_equal(memory_split(&memory, shares), sizeof(expected) / sizeof(expected[0]));
        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
                assert_string_equal(shares[i].name, expected[i].name);
                assert_int_equal(shares[i].bytes, expected[i].bytes);
                assert_int_equal(shares[i].detail, expected[i].detail);
        }
}

/* All charged, but with a map that could be named; a program; nothing charged at all; nobody to compare with. */
static void test_summaries(void **state)
{
        struct cgroup cgroup = { .path = (char *) "/a" };
        struct object program = { .record = { .kind = OBJECT_PROGRAM, .type = 1, .allocated = 3 << 10 } };

        (void) state;
        memset(program.record.name, 'x', sizeof(program.record.name));
        cgroup.total = (struct usage){ .allocated = 4 << 10, .charged = 4 << 10, .program_count = 1 };
        check_summary(&cgroup, 0, &program, "BPF takes 4.0K, all of it charged to the cgroup.");
        cgroup.total.charged = 1 << 10;
        check_summary(&cgroup, 0, NULL, "BPF takes 4.0K, all of it charged to the cgroup.");
        check_summary(&cgroup, 3 << 10, &program,
                        "BPF takes 4.0K: 1.0K is charged to the cgroup, 33% of the 3.0K that the cgroup is charged "
                        "for, and 3.0K is uncharged, so that no memory limit bounds it; the largest part of that, "
                        "3.0K, "
                        "is program xxxxxxxxxxxxxxxx (socket_filter).");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_v2),
                cmocka_unit_test(test_v1),
                cmocka_unit_test(test_summary),
                cmocka_unit_test(test_each_line),
                cmocka_unit_test_setup_teardown(test_read_v2, setup, teardown),
                cmocka_unit_test_setup_teardown(test_read_v1, setup, teardown),
                cmocka_unit_test(test_read_nothing),
                cmocka_unit_test(test_shares),
                cmocka_unit_test(test_summaries),
        };

        return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
