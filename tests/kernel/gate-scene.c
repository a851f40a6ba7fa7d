/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gate-scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "bpf/gaterecords.h"

struct shared *shared;

static struct timespec began;

int gate_setup(void **state)
{
        (void) state;
        clock_gettime(CLOCK_MONOTONIC, &began);
        memset(shared, 0, sizeof(*shared));
        return 0;
}

int gate_teardown(void **state)
{
        struct timespec ended;
        int status;

        harness_teardown(state);
        unlink(KEPT);
        free(daemon_errors(&status, "--release", NULL));
        clock_gettime(CLOCK_MONOTONIC, &ended);
        print_message("# %.1f s\n",
                        (double) (ended.tv_sec - began.tv_sec) + (double) (ended.tv_nsec - began.tv_nsec) / 1e9);
        return 0;
}

void write_refusing(const char *config, const char *name, const struct test_cgroup *cgroup, const char *limits)
{
        _cleanup_free_ char *text = NULL;

        assert_true(asprintf(&text, "%s\nOnMax=deny", limits) > 0);
        config_write_budget(config, name, cgroup, text);
}

void scene_begin(struct scene *scene, const char *limits)
{
        cgroup_make(&scene->cgroup, NULL, "gate");
        config_make(scene->config);
        write_refusing(scene->config, "test.budget", &scene->cgroup, limits);
        live_start_with(&scene->daemon, NULL, scene->config);
}

void scene_begin_parent(struct scene *scene)
{
        _cleanup_free_ char *text = NULL;

        cgroup_make(&scene->cgroup, NULL, "gate");
        config_make(scene->config);
        assert_true(asprintf(&text, "[Match]\nCgroup=%s/*\n[Budget]\nMax=1M\nOnMax=deny\n", scene->cgroup.path) > 0);
        config_write(scene->config, "test.budget", text);
        live_start_with(&scene->daemon, NULL, scene->config);
}

void scene_end(struct scene *scene)
{
        assert_int_equal(live_end(&scene->daemon), 0);
        cgroup_remove(&scene->cgroup);
}

void note(int fd)
{
        if (fd >= 0) {
                __sync_fetch_and_add(&shared->admitted, 1);
                return;
        }
        shared->last_error = errno;
        __sync_fetch_and_add(errno == ENOMEM ? &shared->refused : &shared->other_errors, 1);
}

int make_array(uint32_t value_size)
{
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_gate", 4, value_size, 1, NULL);

        note(fd);
        return fd;
}

int load_program(void)
{
        static const struct bpf_insn return_0[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_gate", "GPL", return_0, 2, NULL);

        note(fd);
        return fd;
}

void wait_booked(const struct test_cgroup *cgroup, uint64_t maps, uint64_t programs)
{
        _cleanup_close_ int fd = bpf_obj_get(PINS "/gate_domains");
        struct gate_domain domain = {};

        for (int i = 0; i < 600; i++) {
                assert_int_equal(bpf_map_lookup_elem(fd, &cgroup->id, &domain), 0);
                if (domain.usage[GATE_MAPS] == maps && domain.usage[GATE_PROGRAMS] == programs)
                        return;
                sleep_msec(50);
        }
        fail_msg("%llu maps and %llu programs are booked", (unsigned long long) domain.usage[GATE_MAPS],
                        (unsigned long long) domain.usage[GATE_PROGRAMS]);
}
void make_three(void *argument)
{
        (void) argument;
        make_array(400 * KIB);
        make_array(400 * KIB);
        make_array(400 * KIB);
        make_array(4 * KIB);
}

void make_one_of_600(void *argument)
{
        (void) argument;
        make_array(600 * KIB);
}

void make_one_of_400(void *argument)
{
        (void) argument;
        make_array(400 * KIB);
}

/* Whether the kernel lets the gate refuse; if not, why is in *reason. */
static bool has_gate(char reason[256])
{
        _cleanup_free_ char *text = NULL;
        json_t *table, *entry;
        bool available = false;
        int status;
        size_t i;

        text = daemon_run(&status, "--capabilities", "--json=short", NULL);
        table = json_loads(text, 0, NULL);
        strcpy(reason, "the daemon tells no capabilities");
        json_array_foreach(json_is_array(table) ? table : json_object_get(table, "capabilities"), i, entry)
        {
                if (strcmp(json_string_value(json_object_get(entry, "name")), "gate:map") != 0)
                        continue;
                available = json_is_true(json_object_get(entry, "available"));
                snprintf(reason, 256, "gate:map: %s", json_string_value(json_object_get(entry, "reason")));
        }
        json_decref(table);
        return available;
}

/* Whether the kernel attaches a program to a function; asked of the kernel, not of the daemon. */
static bool has_trampolines(void)
{
        static const struct bpf_insn return_0[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        int id = libbpf_find_vmlinux_btf_id("security_bpf_map", BPF_TRACE_FENTRY);
        LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY, .attach_btf_id = id);
        _cleanup_close_ int program = -EBADF, link = -EBADF;

        if (id <= 0)
                return false;
        program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "bb_entry", "GPL", return_0, 2, &opts);
        link = program < 0 ? -EBADF : bpf_link_create(program, 0, BPF_TRACE_FENTRY, NULL);
        return link >= 0;
}
int gate_main(const char *name, const struct CMUnitTest *tests, size_t count)
{
        struct rlimit limit = { 20000, 20000 };
        char reason[256];
        int r = harness_main();

        if (r != 0)
                return r;
        live_be_quiet();
        if (!has_gate(reason)) {
                if (has_trampolines()) {
                        printf("1..1\nnot ok 1 - the kernel has trampolines, and the daemon no gate: %s\n", reason);
                        return 1;
                }
                /* The plan says it; 77 beside it would be an error of its own. */
                printf("1..0 # SKIP %s\n", reason);
                return 0;
        }
        setrlimit(RLIMIT_NOFILE, &limit);
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return shared == MAP_FAILED ? 1 : _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}
