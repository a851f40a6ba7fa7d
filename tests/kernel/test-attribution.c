/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Programs whose pages do not tell whose they are. Needs root and a memory controller. */
#include "harness.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>

/* Sets all variables @name of the .bss map @fd, which is mapped at @values, to @value. Returns how many there are. */
static unsigned int set_variables(const struct bpf_map_info *info, char *values, const char *name, uint32_t value)
{
        struct btf *btf = btf__load_from_kernel_by_id(info->btf_id);
        const struct btf_type *section;
        unsigned int count = 0;

        assert_non_null(btf);
        section = btf__type_by_id(btf, info->btf_value_type_id);
        assert_true(btf_is_datasec(section));
        for (int i = 0; i < btf_vlen(section); i++) {
                const struct btf_var_secinfo *variable = &btf_var_secinfos(section)[i];
                const struct btf_type *type = btf__type_by_id(btf, variable->type);

                if (strcmp(btf__name_by_offset(btf, type->name_off), name) != 0)
                        continue;
                *(uint32_t *) (values + variable->offset) = value;
                count++;
        }
        btf__free(btf);
        return count;
}

/* As on a machine where bpf/vmalloc.h does not find the bases: what the daemon has found is taken from it. */
static void forget_bases(json_t *report)
{
        const uint32_t not_found = 2;
        unsigned int count = 0;
        json_t *object;
        size_t i;

        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                const char *name = json_string_value(json_object_get(object, "name"));
                struct bpf_map_info info = {};
                uint32_t size = sizeof(info);
                char *values;
                int fd;

                if (strcmp(json_string_value(json_object_get(object, "owner")), "self") != 0 || !strstr(name, ".bss"))
                        continue;
                fd = bpf_map_get_fd_by_id(number(object, NULL, "id"));
                assert_true(fd >= 0);
                assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
                values = mmap(NULL, info.value_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
                assert_ptr_not_equal(values, MAP_FAILED);
                count += set_variables(&info, values, "bases_state", not_found);
                munmap(values, info.value_size);
                close(fd);
        }
        assert_true(count > 0);
}

static void load_program(void *argument)
{
        static const struct bpf_insn code[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };

        (void) argument;
        if (bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_recorded", "GPL", code, 2, NULL) < 0)
                _exit(1);
}

/* It is its loader's if a hook has seen the load, and else nobody's, as it uses no map. */
static void test_recorded(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        json_t *report, *object;
        struct worker worker;
        bool seen = false;
        size_t i;

        (void) state;
        cgroup_make(&cgroup, NULL, "recorded");
        live_start(&daemon, NULL);
        report = live_report(&daemon);
        forget_bases(report);
        json_decref(report);
        worker_start(&worker, &cgroup, load_program, NULL);
        report = live_report(&daemon);
        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                bool hook = has_capability(report, "function:perf_event_bpf_event");

                if (strcmp(json_string_value(json_object_get(object, "name")), "bb_recorded") != 0)
                        continue;
                seen = true;
                assert_string_equal(
                                json_string_value(json_object_get(object, "attribution")), hook ? "recorded" : "none");
                assert_string_equal(json_string_value(json_object_get(object, "cgroup")), hook ? cgroup.path : "/");
                assert_int_equal(number(object, NULL, "charged") > 4000, hook);
                assert_true(number(object, NULL, "allocated") > 4000);
        }
        assert_true(seen);
        json_decref(report);
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&cgroup);
}

/* A map, and a program that uses it. */
static void load_program_with_map(void *argument)
{
        int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_its_map", 4, 4, 1, NULL);
        const struct bpf_insn code[] = {
                { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
                {},
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };

        (void) argument;
        if (map < 0 || bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_with_map", "GPL", code, 4, NULL) < 0)
                _exit(1);
}

/* The program "bb_with_map" in @report. */
static json_t *find_with_map(json_t *report)
{
        json_t *object, *found = NULL;
        size_t i;

        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                if (strcmp(json_string_value(json_object_get(object, "name")), "bb_with_map") == 0)
                        found = object;
        }
        assert_non_null(found);
        return found;
}

/* Whose the pages of a program are is known as a rule; else it is whose its first map is, if no hook has seen the load.
 */
static void test_attributed_by_map(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        json_t *report, *object;
        struct worker worker;
        int64_t charged;
        bool by_pages;

        (void) state;
        cgroup_make(&cgroup, NULL, "by-map");
        live_start(&daemon, NULL);
        worker_start(&worker, &cgroup, load_program_with_map, NULL);
        report = live_report(&daemon);
        object = find_with_map(report);
        charged = number(object, NULL, "charged");
        by_pages = strcmp(json_string_value(json_object_get(object, "attribution")), "charged") == 0;
        assert_string_equal(json_string_value(json_object_get(object, "cgroup")), cgroup.path);
        assert_true(charged > 4000);
        if (by_pages)
                forget_bases(report);
        json_decref(report);
        report = live_report(&daemon);
        /* Where hooks tell of objects it is measured again only when something happens to it. */
        if (!has_capability(report, "function:perf_event_bpf_event")) {
                object = find_with_map(report);
                assert_string_equal(json_string_value(json_object_get(object, "attribution")), "maps");
                assert_string_equal(json_string_value(json_object_get(object, "cgroup")), cgroup.path);
                assert_int_equal(number(object, NULL, "charged"), charged);
        }
        json_decref(report);
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&cgroup);
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, harness_teardown))

int main(void)
{
        struct CMUnitTest tests[2] = {};
        size_t n = 0;
        int r = harness_main();

        if (r != 0)
                return r;
        if (!harness_nobpf()) {
                /* They are about the charged cgroup, which there is none of with nobpf. */
                tests[n++] = TEST(test_recorded);
                tests[n++] = TEST(test_attributed_by_map);
        }
        if (n == 0) {
                printf("1..0 # SKIP with cgroup.memory=nobpf no cgroup is charged\n");
                return 77;
        }
        return _cmocka_run_group_tests("attribution", tests, n, NULL, NULL);
}
