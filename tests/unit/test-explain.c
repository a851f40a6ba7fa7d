/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/explain.h"

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

static void check_verdict(
                const struct cgroup *cgroup, uint64_t current, const struct object *largest, const char *expected)
{
        struct memory memory = { .current = current, .bpf = cgroup->total.charged };
        char *verdict = explain_verdict(cgroup, &memory, largest);

        assert_non_null(verdict);
        assert_string_equal(verdict, expected);
        free(verdict);
}

static void test_verdict(void **state)
{
        struct cgroup cgroup = { .path = (char *) "/a" };
        struct object map = { .record = { .kind = OBJECT_MAP, .type = 6, .allocated = 31 << 20, .charged = 1 << 20 } };

        (void) state;
        strcpy(map.record.name, "flows");
        check_verdict(&cgroup, 5 << 20, NULL, "No BPF map or program belongs to it.");
        cgroup.total = (struct usage){ .allocated = 2 << 20, .charged = 2 << 20, .map_count = 1 };
        check_verdict(&cgroup, 4 << 20, NULL,
                        "BPF takes 2.0M, all of it charged to the cgroup, 50% of the 4.0M that the cgroup is charged "
                        "for.");
        check_verdict(&cgroup, BUDGET_INFINITY, NULL, "BPF takes 2.0M, all of it charged to the cgroup.");
        cgroup.total.allocated = 42 << 20;
        check_verdict(&cgroup, 4 << 20, &map,
                        "BPF takes 42.0M: 2.0M is charged to the cgroup, 50% of the 4.0M that the cgroup is charged "
                        "for, and 40.0M to nobody, so that no memory limit bounds it; the largest part of that, 30.0M, "
                        "is map "
                        "flows (percpu_array).");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_v2),
                cmocka_unit_test(test_v1),
                cmocka_unit_test(test_verdict),
        };

        return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
