/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's numbers against the kernel's, with real BPF objects in cgroups of their own. Needs root and the memory
 * controller on cgroup v1 or v2.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <sysexits.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>

#include "account/monitor.h"
#include "base/cleanup.h"
#include "kernel/cgroupfs.h"
#include "kernel/kernel.h"

#define MIB (1024 * 1024)

/* --- The tree ----------------------------------------------------------------------------------------------------- */

/* The elements of a pre-allocated per-CPU map are charged to nobody; the daemon must see them all the same. */
static void test_uncharged_percpu(void **state)
{
        static const struct map_case map = { "percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1024, 1000, .count = 10 };
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report, *entry;
        int64_t expected;

        (void) state;
        cgroup_make(&cgroup, NULL, "percpu");
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        report = snapshot();
        entry = find_cgroup(report, cgroup.path);
        assert_non_null(entry);
        expected = 10LL * 1000 * 1024 * libbpf_num_possible_cpus();
        assert_in_range(number(entry, "bpf", "uncharged"), expected, expected + expected / 50);
        json_decref(report);
        worker_end(&worker);
        cgroup_remove(&cgroup);
}

static void test_ancestors(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 1 };
        struct test_cgroup top, middle, leaf;
        struct worker worker;
        json_t *after;
        int64_t own;

        (void) state;
        cgroup_make(&top, NULL, "top");
        cgroup_make(&middle, &top, "middle");
        cgroup_make(&leaf, &middle, "leaf");
        worker_start(&worker, &leaf, create_maps, (void *) &map);
        after = snapshot();
        own = number(find_cgroup(after, leaf.path), "self", "allocated");
        assert_in_range(own, MIB, MIB + 16384);
        assert_int_equal(number(find_cgroup(after, leaf.path), "bpf", "allocated"), own);
        assert_int_equal(number(find_cgroup(after, middle.path), "bpf", "allocated"), own);
        assert_int_equal(number(find_cgroup(after, middle.path), "self", "allocated"), 0);
        assert_int_equal(number(find_cgroup(after, top.path), "bpf", "allocated"), own);
        assert_int_equal(number(find_cgroup(after, top.path), "self", "allocated"), 0);
        /* The root is the sum of all objects, so none is in it twice. */
        assert_int_equal(number(find_cgroup(after, "/"), "bpf", "allocated"), sum_objects(after, NULL));
        json_decref(after);
        worker_end(&worker);
        cgroup_remove(&leaf);
        cgroup_remove(&middle);
        cgroup_remove(&top);
}

/* Booted with cgroup.memory=nobpf: objects are counted, and are nobody's. */
static void test_nobpf(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 3 };
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report, *object;
        size_t i, count = 0;

        (void) state;
        cgroup_make(&cgroup, NULL, "nobpf");
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        report = snapshot();
        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                if (strcmp(json_string_value(json_object_get(object, "name")), "bb_test") != 0)
                        continue;
                assert_in_range(number(object, NULL, "allocated"), MIB, MIB + 16384);
                assert_int_equal(number(object, NULL, "charged"), 0);
                assert_string_equal(json_string_value(json_object_get(object, "cgroup")), "/");
                count++;
        }
        assert_int_equal(count, 3);
        json_decref(report);
        worker_end(&worker);
        cgroup_remove(&cgroup);
}

static void test_sums(void **state)
{
        json_t *report = snapshot(), *cgroup;
        int64_t self = 0, objects;
        size_t i;

        (void) state;
        json_array_foreach(json_object_get(report, "cgroups"), i, cgroup)
        {
                self += number(cgroup, "self", "allocated");
                assert_int_equal(number(cgroup, "self", "allocated"),
                                sum_objects(report, json_string_value(json_object_get(cgroup, "path"))));
        }
        objects = sum_objects(report, NULL);
        assert_true(objects > 0);
        assert_int_equal(self, objects);
        assert_int_equal(number(find_cgroup(report, "/"), "bpf", "allocated"), objects);
        assert_int_equal(number(find_cgroup(report, "/"), "bpf", "objects"),
                        json_array_size(json_object_get(report, "objects")));
        json_decref(report);
}

/* Its own maps are listed like everyone's. */
static void test_own_objects(void **state)
{
        _cleanup_close_ int other = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_other", 4, 4, 1, NULL);
        json_t *report = snapshot(), *object;
        bool map = false, program = false;
        size_t i;

        (void) state;
        assert_true(other >= 0);
        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                const char *name = json_string_value(json_object_get(object, "name"));
                const char *owner = json_string_value(json_object_get(object, "owner"));

                map |= strcmp(name, "cgroups") == 0 && strcmp(owner, "self") == 0;
                program |= strcmp(name, "snapshot_maps") == 0 && strcmp(owner, "self") == 0;
                if (strcmp(name, "bb_other") == 0)
                        assert_string_equal(owner, "other");
        }
        assert_true(map);
        assert_true(program);
        json_decref(report);
}

/* --- Who holds and who uses what ---------------------------------------------------------------------------------- */

/* The id of the map or program behind @fd. */
static uint32_t id_of(int fd)
{
        /* The heads of struct bpf_map_info and struct bpf_prog_info. */
        struct {
                uint32_t type, id;
        } info = {};
        uint32_t size = sizeof(info);

        assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
        return info.id;
}

/* For a worker: opens the map with the id @argument, twice. */
static void hold_map(void *argument)
{
        uint32_t id = *(const uint32_t *) argument;

        if (bpf_map_get_fd_by_id(id) < 0 || bpf_map_get_fd_by_id(id) < 0)
                _exit(1);
}

/* The entry of @pid in the holders of @object; it must be there once. */
static json_t *find_holder(json_t *object, pid_t pid)
{
        json_t *holder, *found = NULL;
        size_t i;

        json_array_foreach(json_object_get(object, "holders"), i, holder)
        {
                if (number(holder, NULL, "pid") != pid)
                        continue;
                assert_null(found);
                found = holder;
        }
        assert_non_null(found);
        return found;
}

static void test_holders(void **state)
{
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_held", 4, 4, 1, NULL);
        struct test_cgroup cgroups[2];
        struct worker workers[2];
        json_t *report, *object;
        uint32_t id = id_of(fd);

        (void) state;
        cgroup_make(&cgroups[0], NULL, "holder-a");
        cgroup_make(&cgroups[1], NULL, "holder-b");
        worker_start(&workers[0], &cgroups[0], hold_map, &id);
        worker_start(&workers[1], &cgroups[1], hold_map, &id);
        close(fd);
        report = snapshot_with("--holders");
        object = find_object(report, "map", id);
        assert_non_null(object);
        for (size_t i = 0; i < 2; i++) {
                json_t *holder = find_holder(object, workers[i].pid);

                assert_string_equal(json_string_value(json_object_get(holder, "cgroup")), cgroups[i].path);
                assert_true(json_is_string(json_object_get(holder, "exe")));
                assert_true(strlen(json_string_value(json_object_get(holder, "comm"))) > 0);
        }
        assert_null(json_object_get(object, "pins"));
        json_decref(report);
        worker_end(&workers[0]);
        worker_end(&workers[1]);
        cgroup_remove(&cgroups[0]);
        cgroup_remove(&cgroups[1]);
}

/* A program and a map look different among open files; who ends holds nothing. */
static void test_holders_of_programs(void **state)
{
        static const struct bpf_insn code[] = {
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_held", "GPL", code, 2, NULL);
        json_t *report;

        (void) state;
        assert_true(fd >= 0);
        report = snapshot_with("--holders");
        find_holder(find_object(report, "program", id_of(fd)), getpid());
        json_decref(report);
        close(fd);
}

/* In a bpffs of its own: not every machine has one mounted. */
static void test_pins(void **state)
{
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_pinned", 4, 4, 1, NULL), mounted, pinned = -1;
        char directory[] = "/tmp/bpfbudget-test-XXXXXX", path[80];
        uint32_t id = id_of(fd);
        json_t *report, *pins;

        (void) state;
        assert_non_null(mkdtemp(directory));
        snprintf(path, sizeof(path), "%s/map", directory);
        mounted = mount("bpf", directory, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
        if (mounted == 0)
                pinned = bpf_obj_pin(fd, path);
        close(fd);
        report = pinned == 0 ? snapshot_with("--pins") : NULL;
        if (mounted == 0)
                umount(directory);
        rmdir(directory);
        assert_int_equal(mounted, 0);
        assert_int_equal(pinned, 0);
        assert_non_null(report);
        pins = json_object_get(find_object(report, "map", id), "pins");
        assert_int_equal(json_array_size(pins), 1);
        assert_string_equal(json_string_value(json_array_get(pins, 0)), path);
        json_decref(report);
}

static void assert_ids(json_t *object, const char *key, const uint32_t *ids, size_t n)
{
        json_t *array = json_object_get(object, key);

        assert_int_equal(json_array_size(array), n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(json_integer_value(json_array_get(array, i)), ids[i]);
}

static void test_uses(void **state)
{
        int maps[2] = { bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_used", 4, 4, 1, NULL),
                bpf_map_create(BPF_MAP_TYPE_HASH, "bb_used", 4, 4, 1, NULL) };
        const struct bpf_insn code[] = {
                { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = maps[0] },
                {},
                { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = maps[1] },
                {},
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
                { .code = BPF_JMP | BPF_EXIT },
        };
        int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_uses", "GPL", code, 6, NULL);
        uint32_t map_ids[2], program;
        json_t *report;

        (void) state;
        assert_true(fd >= 0);
        program = id_of(fd);
        for (size_t i = 0; i < 2; i++)
                map_ids[i] = id_of(maps[i]);
        report = snapshot_with("--uses");
        assert_ids(find_object(report, "program", program), "maps", map_ids, 2);
        for (size_t i = 0; i < 2; i++)
                assert_ids(find_object(report, "map", map_ids[i]), "usedBy", &program, 1);
        json_decref(report);
        close(fd);
        close(maps[0]);
        close(maps[1]);
}

static void test_relations_need_once(void **state)
{
        _cleanup_free_ char *errors = NULL;
        int status;

        (void) state;
        errors = daemon_errors(&status, "--capabilities", "--holders", NULL);
        assert_int_equal(status, 1);
        assert_non_null(strstr(errors, "--holders, --pins and --uses require --once"));
}

/* --- RSS ---------------------------------------------------------------------------------------------------------- */

#define RSS_BYTES (32 * MIB)

static void touch_memory(void *argument)
{
        char *anon = mmap(NULL, RSS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *shared = mmap(NULL, RSS_BYTES / 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        (void) argument;
        if (anon == MAP_FAILED || shared == MAP_FAILED)
                _exit(1);
        memset(anon, 1, RSS_BYTES);
        memset(shared, 1, RSS_BYTES / 4);
}

static int64_t proc_status(pid_t pid, const char *format)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        long long kib = -1;
        char line[256];

        assert_true(asprintf(&path, "/proc/%d/status", pid) > 0);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, format, &kib) == 1)
                        break;
        return kib * 1024;
}

static void assert_within_1_percent(int64_t ours, int64_t truth)
{
        assert_in_range(ours, truth - truth / 100, truth + truth / 100);
}

static void assert_rss(json_t *report, const struct test_cgroup *cgroup, const struct worker *workers, size_t n)
{
        json_t *entry = find_cgroup(report, cgroup->path);
        int64_t anon = 0, file = 0, shmem = 0;

        assert_non_null(entry);
        for (size_t i = 0; i < n; i++) {
                anon += proc_status(workers[i].pid, "RssAnon: %lld");
                file += proc_status(workers[i].pid, "RssFile: %lld");
                shmem += proc_status(workers[i].pid, "RssShmem: %lld");
        }
        assert_within_1_percent(number(entry, "rss", "anon"), anon);
        assert_within_1_percent(number(entry, "rss", "file"), file);
        assert_within_1_percent(number(entry, "rss", "shmem"), shmem);
        assert_int_equal(number(entry, NULL, "footprint"),
                        number(entry, "bpf", "allocated") + number(entry, "rss", "anon") +
                                        number(entry, "rss", "file") + number(entry, "rss", "shmem") +
                                        number(entry, "rss", "swap"));
}

static void test_rss(void **state)
{
        struct test_cgroup cgroup;
        struct worker workers[2];
        json_t *report;

        (void) state;
        cgroup_make(&cgroup, NULL, "rss");
        worker_start(&workers[0], &cgroup, touch_memory, NULL);
        worker_start(&workers[1], &cgroup, touch_memory, NULL);
        report = snapshot();
        assert_rss(report, &cgroup, workers, 2);
        assert_true(number(find_cgroup(report, cgroup.path), "rss", "anon") >= 2 * RSS_BYTES);
        json_decref(report);
        worker_end(&workers[0]);
        worker_end(&workers[1]);
        cgroup_remove(&cgroup);
}

/* The same from a daemon that goes on running: only updated cgroups are read again, and the sums hold. */
static void test_live_rss(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker workers[2];
        json_t *report;

        (void) state;
        live_start(&daemon, NULL);
        cgroup_make(&cgroup, NULL, "live-rss");
        for (size_t i = 0; i < 2; i++) {
                worker_start(&workers[i], &cgroup, touch_memory, NULL);
                report = live_report(&daemon);
                assert_rss(report, &cgroup, workers, i + 1);
                json_decref(report);
        }
        worker_end(&workers[0]);
        report = live_report(&daemon);
        assert_rss(report, &cgroup, workers + 1, 1);
        json_decref(report);
        worker_end(&workers[1]);
        report = live_report(&daemon);
        assert_int_equal(number(find_cgroup(report, cgroup.path), "rss", "anon"), 0);
        json_decref(report);
        cgroup_remove(&cgroup);
        assert_int_equal(live_end(&daemon), 0);
}

static bool has_capability(json_t *report, const char *name)
{
        json_t *capability;
        size_t i;

        json_array_foreach(json_object_get(report, "capabilities"), i, capability)
        {
                if (strcmp(json_string_value(json_object_get(capability, "name")), name) == 0)
                        return json_is_true(json_object_get(capability, "available"));
        }
        return false;
}

/* --- The daemon that goes on running ------------------------------------------------------------------------------ */

/* What a running daemon knows of @cgroup; one that holds nothing may not be worth an entry. */
static int64_t live_allocated(struct live_daemon *daemon, const struct test_cgroup *cgroup)
{
        json_t *report = live_report(daemon), *entry = find_cgroup(report, cgroup->path);
        int64_t bytes = entry ? number(entry, "bpf", "allocated") : 0;

        json_decref(report);
        return bytes;
}

static void test_live_growth(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 3 };
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report;
        char told[64];
        bool by_growth, by_objects;

        (void) state;
        live_start(&daemon, NULL);
        report = live_report(&daemon);
        by_objects = has_capability(report, "function:security_bpf_map_free");
        by_growth = has_capability(report, "function:bpf_map_area_alloc") ||
                    has_capability(report, "tracepoint:mod_memcg_state");
        json_decref(report);
        cgroup_make(&cgroup, NULL, "live");
        snprintf(told, sizeof(told), "BPF memory changed in cgroup %llu\n", (unsigned long long) cgroup.id);
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        if (by_growth)
                free(live_wait_log(&daemon, told));
        report = live_report(&daemon);
        assert_in_range(number(find_cgroup(report, cgroup.path), "bpf", "maps"), 3 * MIB, 3 * MIB + 65536);
        json_decref(report);
        free(live_log(&daemon));
        worker_end(&worker);
        /* Freed after a grace period, by a worker: where no hook tells of maps it is the memory that is told of. */
        if (by_growth && !by_objects)
                free(live_wait_log(&daemon, told));
        for (int i = 0; i < 500 && live_allocated(&daemon, &cgroup) > 0; i++)
                sleep_msec(20);
        assert_int_equal(live_allocated(&daemon, &cgroup), 0);
        cgroup_remove(&cgroup);
        assert_int_equal(live_end(&daemon), 0);
}

/* A map without pre-allocation, filled while the daemon watches. */
static void test_live_fill(void **state)
{
        static const struct map_case map = { "hash", BPF_MAP_TYPE_HASH, 8, 1000, 10000, BPF_F_NO_PREALLOC, .fill = 8000,
                .count = 1 };
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report, *object;
        bool found = false;
        size_t i;

        (void) state;
        live_start(&daemon, NULL);
        cgroup_make(&cgroup, NULL, "fill");
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        report = live_report(&daemon);
        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                if (strcmp(json_string_value(json_object_get(object, "cgroup")), cgroup.path) != 0)
                        continue;
                assert_int_equal(number(object, NULL, "entries"), 8000);
                assert_true(number(object, NULL, "allocated") >= 8000 * 1024);
                found = true;
        }
        assert_true(found);
        json_decref(report);
        worker_end(&worker);
        cgroup_remove(&cgroup);
        assert_int_equal(live_end(&daemon), 0);
}

static void fault_forever(void *argument)
{
        (void) argument;
        if (fork() != 0)
                return;
        /* Ends with its parent. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                char *page = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (page == MAP_FAILED)
                        _exit(1);
                memset(page, 1, MIB);
                munmap(page, MIB);
        }
}

/*
 * Page faults alone never wake it, nor does anything while no BPF object changes. Others on this machine may change
 * theirs meanwhile; that is logged with their cgroup, and a tenth of a second in which it happens does not count.
 */
static void test_idle(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup own, cgroup;
        struct worker worker;
        int quiet = 0, woken = 0, told = 0;
        char named[64];

        (void) state;
        cgroup_make(&own, NULL, "daemon");
        cgroup_make(&cgroup, NULL, "faults");
        snprintf(named, sizeof(named), "changed in cgroup %llu\n", (unsigned long long) cgroup.id);
        live_start(&daemon, &own);
        worker_start(&worker, &cgroup, fault_forever, NULL);
        sleep_msec(500);
        for (int i = 0; i < 400 && quiet < 20; i++) {
                _cleanup_free_ char *before = NULL, *log = NULL;
                long switches;

                /* What was told before this tenth is looked at once more in it, without a word. */
                free(live_log(&daemon));
                sleep_msec(3 * MONITOR_FLUSH_INTERVAL_USEC / 1000);
                before = live_log(&daemon);
                told += strstr(before, named) != NULL;
                if (*before)
                        continue;
                switches = live_switches(&daemon);
                sleep_msec(100);
                switches = live_switches(&daemon) - switches;
                log = live_log(&daemon);
                told += strstr(log, named) != NULL;
                if (*log)
                        continue;
                woken += switches != 0;
                quiet++;
        }
        print_message("# %d ms of page faults without a wake-up, told of %d times; RSS of the idle daemon: %ld KiB\n",
                        100 * (quiet - woken), told, live_rss(&daemon));
        /* The end of what went on before can be late on a busy machine; what wakes it again and again is more. */
        assert_in_range(woken, 0, 1);
        assert_true(quiet >= 10);
        /* What is told of the faults themselves is no excuse: now and then an interrupt allocates for the cgroup. */
        assert_in_range(told, 0, quiet / 2);
#ifndef __SANITIZE_ADDRESS__
        assert_true(live_rss(&daemon) <= 8192);
#endif
        worker_end(&worker);
        cgroup_remove(&cgroup);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&own);
}

/* A removed cgroup does not linger in a daemon that goes on running. */
static void test_live_gone(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        json_t *report;

        (void) state;
        live_start(&daemon, NULL);
        cgroup_make(&cgroup, NULL, "gone");
        worker_start(&worker, &cgroup, touch_memory, NULL);
        report = live_report(&daemon);
        assert_true(json_is_true(json_object_get(find_cgroup(report, cgroup.path), "exists")));
        json_decref(report);
        worker_end(&worker);
        cgroup_remove(&cgroup);
        report = live_report(&daemon);
        if (find_cgroup(report, cgroup.path))
                assert_true(json_is_false(json_object_get(find_cgroup(report, cgroup.path), "exists")));
        json_decref(report);
        report = live_report(&daemon);
        assert_null(find_cgroup(report, cgroup.path));
        json_decref(report);
        assert_int_equal(live_end(&daemon), 0);
}

#define MAKERS    64
#define MAPS_EACH 40

static void make_many(void *argument)
{
        (void) argument;
        for (int i = 0; i < MAPS_EACH; i++)
                if (bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_many", 4, 4, 1, NULL) < 0)
                        _exit(1);
}

/*
 * A preemptible kernel leaves out a hook's program where another task was preempted in it on that CPU. What it would
 * have told of is known all the same, soon and without being asked for.
 */
static void test_live_left_out(void **state)
{
        struct worker workers[MAKERS];
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        int64_t maps = 0;

        (void) state;
        live_start(&daemon, NULL);
        cgroup_make(&cgroup, NULL, "many");
        for (int i = 0; i < MAKERS; i++)
                worker_enter(&workers[i], &cgroup, make_many, NULL);
        for (int i = 0; i < MAKERS; i++)
                worker_go(&workers[i]);
        for (int i = 0; i < MAKERS; i++)
                worker_wait(&workers[i]);
        for (int i = 0; i < 2 && maps != MAKERS * MAPS_EACH; i++) {
                json_t *report;

                if (i > 0) /* twice as long as it may take under emulation, nobody asking meanwhile */
                        sleep_msec(12000);
                report = live_report(&daemon);
                maps = number(find_cgroup(report, cgroup.path), "bpf", "mapCount");
                json_decref(report);
        }
        assert_int_equal(maps, MAKERS * MAPS_EACH);
        for (int i = 0; i < MAKERS; i++)
                worker_end(&workers[i]);
        assert_int_equal(live_end(&daemon), 0);
}

/* The only object of the cgroup at @path. */
static json_t *object_of(json_t *report, const char *path)
{
        json_t *object, *found = NULL;
        size_t i;

        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                const char *its_path = json_string_value(json_object_get(object, "cgroup"));

                if (its_path && strcmp(its_path, path) == 0)
                        found = object;
        }
        assert_non_null(found);
        return found;
}

/* A map that outlives its cgroup: the kernel charges the parent from then on, and so do we. */
static void test_reparented(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 1 };
        struct test_cgroup top, leaf, other;
        LIBBPF_OPTS(bpf_map_create_opts, opts);
        struct worker worker;
        json_t *report, *object;
        uint32_t id = 0;
        size_t i;
        int fd = -1;

        (void) state;
        cgroup_make(&top, NULL, "parent");
        cgroup_make(&leaf, &top, "leaf");
        cgroup_make(&other, NULL, "other");
        worker_start(&worker, &leaf, create_maps, (void *) &map);
        report = snapshot();
        json_array_foreach(json_object_get(report, "objects"), i,
                        object) if (strcmp(json_string_value(json_object_get(object, "cgroup")), leaf.path) == 0)
                        id = number(object, NULL, "id");
        json_decref(report);
        fd = bpf_map_get_fd_by_id(id);
        assert_true(fd >= 0);
        worker_end(&worker);
        cgroup_remove(&leaf);
        report = snapshot();
        assert_null(find_cgroup(report, leaf.path));
        assert_in_range(number(find_cgroup(report, top.path), "self", "allocated"), MIB, MIB + 16384);
        json_decref(report);
        close(fd);
        cgroup_remove(&other);
        cgroup_remove(&top);
}

/* The report in which the map @id is charged to the cgroup at @path: the kernel takes its time after rmdir(). */
static json_t *wait_for_cgroup(struct live_daemon *daemon, int64_t id, const char *path)
{
        for (int i = 0; i < 100; i++) {
                json_t *report = live_report(daemon), *object = find_object(report, "map", id);

                assert_non_null(object);
                if (strcmp(json_string_value(json_object_get(object, "cgroup")), path) == 0)
                        return report;
                json_decref(report);
                sleep_msec(50);
        }
        fail_msg("the map is not charged to %s", path);
        return NULL;
}

/* A daemon that goes on running remembers where such a map was, and where there is a hook, who made it. */
static void test_live_reparented(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1, .count = 1 };
        struct test_cgroup top, leaf;
        struct live_daemon daemon;
        json_t *report, *object;
        struct worker worker;
        int64_t id;
        int fd;

        (void) state;
        cgroup_make(&top, NULL, "origin");
        cgroup_make(&leaf, &top, "leaf");
        live_start(&daemon, NULL);
        worker_start(&worker, &leaf, create_maps, (void *) &map);
        report = live_report(&daemon);
        object = object_of(report, leaf.path);
        id = number(object, NULL, "id");
        assert_true(json_is_false(json_object_get(object, "cgroupGone")));
        if (has_capability(report, "function:security_bpf_map"))
                assert_int_equal(number(object, "creator", "pid"), worker.pid);
        else
                assert_true(json_is_null(json_object_get(object, "creator")));
        json_decref(report);
        fd = bpf_map_get_fd_by_id(id);
        assert_true(fd >= 0);
        worker_end(&worker);
        cgroup_remove(&leaf);
        report = wait_for_cgroup(&daemon, id, top.path);
        object = find_object(report, "map", id);
        assert_true(json_is_true(json_object_get(object, "cgroupGone")));
        assert_string_equal(json_string_value(json_object_get(object, "lastCgroup")), leaf.path);
        json_decref(report);
        close(fd);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&top);
}

/* --- Whose a program is that its pages do not tell of ----------------------------------------------------------------
 */

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

/* --- Odd objects ---------------------------------------------------------------------------------------------------
 */

/* The map @id in @report, which must be there once. */
static json_t *find_once(json_t *report, uint32_t id)
{
        json_t *object, *found = NULL;
        size_t i;

        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                if (number(object, NULL, "id") != id ||
                                strcmp(json_string_value(json_object_get(object, "kind")), "map") != 0)
                        continue;
                assert_null(found);
                found = object;
        }
        if (!found)
                fail_msg("map %u is missing", id);
        return found;
}

static int make_odd(enum bpf_map_type type, uint32_t value_size, uint32_t max_entries, uint32_t inner)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = inner);

        return bpf_map_create(type, "bb_odd", 4, value_size, max_entries, &opts);
}

/* Frozen, the smallest, large values, and inner maps that only their outer map holds. */
static void test_odd_maps(void **state)
{
        uint32_t zero = 0, ids[7], inner_ids[2];
        int fds[7], inner[2];
        json_t *report;

        (void) state;
        for (size_t i = 0; i < 2; i++)
                inner[i] = make_odd(BPF_MAP_TYPE_ARRAY, 4096, 16, 0);
        fds[0] = make_odd(BPF_MAP_TYPE_ARRAY, 100, 100, 0);
        fds[1] = make_odd(BPF_MAP_TYPE_HASH, 65536, 8, 0);
        fds[2] = make_odd(BPF_MAP_TYPE_ARRAY, 65536, 8, 0);
        fds[3] = make_odd(BPF_MAP_TYPE_HASH, 4, 1, 0);
        fds[4] = make_odd(BPF_MAP_TYPE_LRU_HASH, 4, 1, 0);
        fds[5] = make_odd(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 1, inner[0]);
        fds[6] = make_odd(BPF_MAP_TYPE_HASH_OF_MAPS, 4, 1, inner[1]);
        for (size_t i = 0; i < 7; i++) {
                assert_true(fds[i] >= 0);
                ids[i] = id_of(fds[i]);
        }
        assert_int_equal(bpf_map_freeze(fds[0]), 0);
        for (size_t i = 0; i < 2; i++) {
                inner_ids[i] = id_of(inner[i]);
                assert_int_equal(bpf_map_update_elem(fds[5 + i], &zero, &inner[i], 0), 0);
                close(inner[i]);
        }
        report = snapshot();
        for (size_t i = 0; i < 7; i++)
                assert_true(number(find_once(report, ids[i]), NULL, "allocated") > 0);
        for (size_t i = 0; i < 2; i++)
                assert_in_range(number(find_once(report, inner_ids[i]), NULL, "allocated"), 65536, 65536 + 8192);
        for (size_t i = 1; i < 3; i++)
                assert_in_range(number(find_once(report, ids[i]), NULL, "allocated"), 8 * 65536, 11 * 65536);
        for (size_t i = 3; i < 5; i++)
                assert_in_range(number(find_once(report, ids[i]), NULL, "allocated"), 256, 65536);
        json_decref(report);
        for (size_t i = 0; i < 7; i++)
                close(fds[i]);
}

/*
 * What the kernel refuses leaves nothing behind that would be counted. Only types that it refuses by arithmetic, or as
 * more than there is of memory and of addresses: a per-CPU array of 2^31 begins to be made, and takes all memory.
 */
static void test_refused_maps(void **state)
{
        static const enum bpf_map_type types[] = { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH };
        json_t *report, *object;
        size_t i;

        (void) state;
        for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
                assert_true(bpf_map_create(types[i], "bb_refused", 4, 65536, 1U << 31, NULL) < 0);
        report = snapshot();
        json_array_foreach(json_object_get(report, "objects"), i, object)
        {
                assert_string_not_equal(json_string_value(json_object_get(object, "name")), "bb_refused");
        }
        json_decref(report);
}

/* Makes and drops maps as fast as it can. */
static void churn(void *argument)
{
        (void) argument;
        if (fork() != 0)
                return;
        /* Ends with its parent. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                int fds[50];

                for (size_t i = 0; i < 50; i++)
                        fds[i] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_churn", 4, 64, 1, NULL);
                for (size_t i = 0; i < 50; i++)
                        close(fds[i]);
        }
}

/* While maps come and go, those that stay are seen by every pass, and once. */
static void test_maps_that_vanish(void **state)
{
        struct test_cgroup cgroup;
        struct worker worker;
        uint32_t ids[300];
        int fds[300];

        (void) state;
        cgroup_make(&cgroup, NULL, "churn");
        worker_start(&worker, &cgroup, churn, NULL);
        for (size_t i = 0; i < 300; i++) {
                fds[i] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_stays", 4, 64, 1, NULL);
                ids[i] = id_of(fds[i]);
        }
        for (size_t n = 0; n < 3; n++) {
                json_t *report = snapshot();

                for (size_t i = 0; i < 300; i++)
                        find_once(report, ids[i]);
                json_decref(report);
        }
        for (size_t i = 0; i < 300; i++)
                close(fds[i]);
        worker_end(&worker);
        cgroup_remove(&cgroup);
}

/* include/uapi/linux/bpf.h since 6.9, which the headers here may not have. */
#define BPF_TOKEN_CREATE_COMMAND 36
#define BPF_F_TOKEN_FD_FLAG      (1U << 16)

struct token_attributes {
        uint32_t flags, bpffs_fd;
};

struct map_attributes {
        uint32_t type, key_size, value_size, max_entries, flags, inner_fd, numa_node;
        char name[16];
        uint32_t ifindex, btf_fd, btf_key, btf_value, vmlinux_value;
        uint64_t extra;
        int32_t value_btf_fd, token_fd;
};

/* What both sides of test_token() share beside their file descriptors. */
struct token_exchange {
        int filesystem; /* made by the user namespace */
        int mount;      /* its mount, made by the host */
        int map;
        const char *failed; /* what, with errno */
        int error;
};

/* Without privileges outside its user namespace: makes a map by a token of a bpffs that the host has delegated to it.
 */
static void make_by_token(struct token_exchange *exchange, int turn)
{
        struct token_attributes token = {};
        struct map_attributes map = { .type = BPF_MAP_TYPE_ARRAY,
                .key_size = 4,
                .value_size = 4096,
                .max_entries = 16,
                .flags = BPF_F_TOKEN_FD_FLAG,
                .name = "bb_token" };
        uint64_t go = 0;

        exchange->failed = "unshare";
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return;
        exchange->failed = "fsopen";
        exchange->filesystem = syscall(SYS_fsopen, "bpf", 0);
        if (exchange->filesystem < 0 || kill(getpid(), SIGSTOP) < 0 || read(turn, &go, sizeof(go)) != sizeof(go))
                return;
        exchange->failed = "opening the mount";
        token.bpffs_fd = openat(exchange->mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if ((int) token.bpffs_fd < 0)
                return;
        exchange->failed = "the token";
        map.token_fd = syscall(SYS_bpf, BPF_TOKEN_CREATE_COMMAND, &token, sizeof(token));
        if (map.token_fd < 0)
                return;
        exchange->failed = "the map";
        exchange->map = syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map));
        if (exchange->map >= 0)
                exchange->failed = NULL;
}

/* The host's part: FSCONFIG_SET_STRING and FSCONFIG_CMD_CREATE of linux/mount.h, which clashes with sys/mount.h. */
static int delegate(int filesystem)
{
        static const char *const options[] = { "delegate_cmds", "delegate_maps", "delegate_progs", "delegate_attachs" };

        for (size_t i = 0; i < 4; i++)
                if (syscall(SYS_fsconfig, filesystem, 1, options[i], "any", 0) < 0)
                        return -errno;
        if (syscall(SYS_fsconfig, filesystem, 6, NULL, NULL, 0) < 0)
                return -errno;
        return syscall(SYS_fsmount, filesystem, 1, 0);
}

static void test_token(void **state)
{
        struct token_exchange *exchange = mmap(
                        NULL, sizeof(*exchange), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        int turn = eventfd(0, EFD_CLOEXEC), status;
        uint64_t go = 1;
        json_t *report;
        pid_t pid;

        (void) state;
        assert_ptr_not_equal(exchange, MAP_FAILED);
        /* A process of its own, but with these file descriptors. */
        pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
        assert_true(pid >= 0);
        if (pid == 0) {
                make_by_token(exchange, turn);
                exchange->error = errno;
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        if (!WIFSTOPPED(status))
                fail_msg("%s: %s", exchange->failed, strerror(exchange->error));
        exchange->mount = delegate(exchange->filesystem);
        assert_true(exchange->mount >= 0);
        assert_int_equal(write(turn, &go, sizeof(go)), sizeof(go));
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (exchange->failed)
                fail_msg("%s: %s", exchange->failed, strerror(exchange->error));
        report = snapshot();
        assert_in_range(number(find_once(report, id_of(exchange->map)), NULL, "allocated"), 65536, 65536 + 8192);
        json_decref(report);
        close(exchange->map);
        close(exchange->mount);
        close(exchange->filesystem);
        close(turn);
        munmap(exchange, sizeof(*exchange));
}

/* BPF tokens are there since 6.9. */
static bool kernel_has_tokens(void)
{
        unsigned int major = 0, minor = 0;
        struct utsname name;

        return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
               (major > 6 || (major == 6 && minor >= 9));
}

/* The map with the highest id: ids are given in turn. */
static uint32_t newest_map(void)
{
        uint32_t id = 0, next;

        for (next = 0; bpf_map_get_next_id(next, &next) == 0;)
                id = next;
        return id;
}

/* --- Budgets ------------------------------------------------------------------------------------------------------ */

static void assert_one_line(const char *text, const char *part)
{
        const char *end = strchr(text, '\n');

        if (!strstr(text, part))
                fail_msg("\"%s\" is not in: %s", part, text);
        if (!end || end[1])
                fail_msg("not one line: %s", text);
}

static unsigned int count_of(const char *text, const char *part)
{
        unsigned int n = 0;

        for (; (text = strstr(text, part)); text += strlen(part))
                n++;
        return n;
}

/* Makes three maps of 1 MiB, then drops and makes one again, several times. */
static void oscillate(void *argument)
{
        int fds[3] = {};

        (void) argument;
        for (int i = 0; i < 20; i++) {
                if (i >= 3)
                        close(fds[0]);
                fds[i % 3 && i < 3 ? i : 0] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "swing", 4, MIB, 1, NULL);
                sleep_msec(20);
        }
}

/* One alert over High, none while usage oscillates above the clear mark, one below it. */
static void test_budget_alerts(void **state)
{
        _cleanup_free_ char *over = NULL, *within = NULL;
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        char config[64];

        (void) state;
        cgroup_make(&cgroup, NULL, "budget");
        config_make(config);
        /* 3 MiB are over it; 2 MiB are above the clear mark. */
        config_write_budget(config, "test.budget", &cgroup, "High=2500K\nClearPercent=50");
        live_start_with(&daemon, NULL, config);
        worker_start(&worker, &cgroup, oscillate, NULL);
        over = live_wait_log(&daemon, "is over High of budget test");
        worker_end(&worker);
        within = live_wait_log(&daemon, "is within the limits of budget test");
        assert_int_equal(count_of(over, "is over High") + count_of(within, "is over High"), 1);
        assert_int_equal(count_of(over, "is within") + count_of(within, "is within"), 1);
        assert_non_null(strstr(over, cgroup.path));
        assert_non_null(strstr(over, "largest: map swing (1.0M)"));
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&cgroup);
}

/* Parent and child have one each: a jump in the child passes both, High and Max. */
static void test_budget_hierarchy(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, 4 * MIB, 1, .count = 1 };
        struct test_cgroup parent, child;
        struct live_daemon daemon;
        struct worker worker;
        char config[64], *log;

        (void) state;
        cgroup_make(&parent, NULL, "budget-parent");
        cgroup_make(&child, &parent, "child");
        config_make(config);
        config_write_budget(config, "parent.budget", &parent, "High=1M");
        config_write_budget(config, "child.budget", &child, "High=1M\nMax=2M");
        live_start_with(&daemon, NULL, config);
        worker_start(&worker, &child, create_maps, (void *) &map);
        log = live_wait_log(&daemon, "is over High of budget parent");
        if (!strstr(log, "is over Max of budget child")) {
                free(log);
                log = live_wait_log(&daemon, "is over Max of budget child");
        }
        free(log);
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&child);
        cgroup_remove(&parent);
}

/* The owner of a cgroup may lower its budget by an xattr, and nothing else. */
static void test_budget_xattr(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, 2 * MIB, 1, .count = 1 };
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        char config[64], *log;

        (void) state;
        cgroup_make(&cgroup, NULL, "xattr");
        config_make(config);
        config_write_budget(config, "test.budget", &cgroup, "High=100M");
        assert_int_equal(setxattr(cgroup.directory, "user.bpfbudget.high", "1M", 2, 0), 0);
        assert_int_equal(setxattr(cgroup.directory, "user.bpfbudget.max", "nonsense", 8, 0), 0);
        live_start_with(&daemon, NULL, config);
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        log = live_wait_log(&daemon, "is over High of budget test");
        assert_non_null(strstr(log, "(High 1.0M, Max infinity)"));
        assert_int_equal(count_of(log, "user.bpfbudget.max: \"nonsense\" is not a size"), 1);
        free(log);
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&cgroup);
}

/* A reload with an error changes nothing; one without takes the new limits. */
static void test_budget_reload(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, 2 * MIB, 1, .count = 1 };
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        char config[64], *log;

        (void) state;
        cgroup_make(&cgroup, NULL, "reload");
        config_make(config);
        config_write_budget(config, "test.budget", &cgroup, "High=100M");
        live_start_with(&daemon, NULL, config);
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        config_write_budget(config, "test.budget", &cgroup, "Hihg=1M");
        assert_int_equal(kill(daemon.pid, SIGHUP), 0);
        log = live_wait_log(&daemon, "the one in force stays");
        assert_non_null(strstr(log, "test.budget:4: "));
        assert_non_null(strstr(log, "High="));
        free(log);
        config_write_budget(config, "test.budget", &cgroup, "High=1M");
        assert_int_equal(kill(daemon.pid, SIGHUP), 0);
        free(live_wait_log(&daemon, "is over High of budget test"));
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&cgroup);
}

/* --check-config says what is wrong, and its exit status. */
/* Fills a trie, and empties it when the daemon has had the time to see it full. */
static void fill_and_empty(void *argument)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        int fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "bb_trie", 8, 8, 100000, &opts);
        struct {
                uint32_t bits, prefix;
        } key = { .bits = 32 };
        uint64_t value = 0;

        (void) argument;
        if (fork() != 0)
                return;
        /* Ends with its parent. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (key.prefix = 0; key.prefix < 30000; key.prefix++)
                if (bpf_map_update_elem(fd, &key, &value, 0) < 0)
                        _exit(1);
        sleep_msec(1000);
        for (key.prefix = 0; key.prefix < 30000; key.prefix++)
                if (bpf_map_delete_elem(fd, &key) < 0)
                        _exit(1);
        for (;;)
                pause();
}

/* No hook tells that single elements are freed: it is found out all the same, long before the audit. */
static void test_budget_shrinks(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        char config[64];

        (void) state;
        cgroup_make(&cgroup, NULL, "shrinks");
        config_make(config);
        config_write_budget(config, "test.budget", &cgroup, "High=1M");
        live_start_with(&daemon, NULL, config);
        worker_start(&worker, &cgroup, fill_and_empty, NULL);
        free(live_wait_log(&daemon, "is over High of budget test"));
        free(live_wait_log(&daemon, "is within the limits of budget test"));
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&cgroup);
}

/* Makes a map, and drops it as soon as the daemon has seen it. */
static void make_and_drop(void *argument)
{
        int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_brief", 4, 2 * MIB, 1, NULL);

        (void) argument;
        sleep_msec(300);
        close(fd);
}

/* An alert that the rate limit holds back is told when that allows it, though nothing happens any more. */
static void test_budget_held_back(void **state)
{
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        char config[64], *log;

        (void) state;
        cgroup_make(&cgroup, NULL, "held-back");
        config_make(config);
        config_write_budget(config, "test.budget", &cgroup, "High=1M");
        config_write(config, "bpfbudgetd.conf", "[Daemon]\nAlertIntervalSec=3\nAlertBurst=1\n");
        live_start_with(&daemon, NULL, config);
        worker_start(&worker, &cgroup, make_and_drop, NULL);
        free(live_wait_log(&daemon, "is over High of budget test"));
        log = live_wait_log(&daemon, "is within the limits of budget test");
        assert_non_null(strstr(log, "; 1 earlier messages were suppressed"));
        free(log);
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&cgroup);
}

/* With --dry-run it is told, and nothing is written. */
static void test_dry_run(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, 2 * MIB, 1, .count = 1 };
        struct live_daemon daemon;
        struct test_cgroup cgroup;
        struct worker worker;
        char config[64], text[64];

        (void) state;
        cgroup_make(&cgroup, NULL, "dry");
        config_make(config);
        config_write_budget(config, "test.budget", &cgroup, "High=1M");
        live_start_dry(&daemon, config);
        worker_start(&worker, &cgroup, create_maps, (void *) &map);
        free(live_wait_log(&daemon, "(dry run) BPF memory of "));
        assert_int_equal(live_end(&daemon), 0);
        assert_int_equal(getxattr(cgroup.directory, "user.bpfbudget.events", text, sizeof(text)), -1);
        assert_int_equal(errno, ENODATA);
        /* Without it, it is there: the cgroup can have such a thing. */
        live_start_with(&daemon, NULL, config);
        assert_int_equal(live_end(&daemon), 0);
        assert_true(getxattr(cgroup.directory, "user.bpfbudget.events", text, sizeof(text)) > 0);
        worker_end(&worker);
        cgroup_remove(&cgroup);
}

/* The report in which the map @id has this attribution. */
static json_t *wait_for_attribution(struct live_daemon *daemon, int64_t id, const char *attribution)
{
        for (int i = 0; i < 200; i++) {
                json_t *report = live_report(daemon), *object = find_object(report, "map", id);

                assert_non_null(object);
                if (strcmp(json_string_value(json_object_get(object, "attribution")), attribution) == 0)
                        return report;
                json_decref(report);
                sleep_msec(50);
        }
        fail_msg("the attribution of the map does not become %s", attribution);
        return NULL;
}

/*
 * A budget with Attribution=holder: a map that another cgroup is charged for is the holder's as soon as that cgroup
 * does not hold it itself, and goes back when the holder lets go of it.
 */
static void test_budget_holder(void **state)
{
        static const struct map_case map = { "array", BPF_MAP_TYPE_ARRAY, 4, 2 * MIB, 1, .count = 1 };
        const char *charged = harness_nobpf() ? "none" : "charged";
        struct test_cgroup maker, holder;
        struct worker making, holding;
        struct live_daemon daemon;
        json_t *report, *object;
        char config[64];
        uint32_t id;
        int fd;

        (void) state;
        cgroup_make(&maker, NULL, "maker");
        cgroup_make(&holder, NULL, "holder");
        config_make(config);
        config_write_budget(config, "test.budget", &holder, "High=1M\nAttribution=holder");
        config_write(config, "bpfbudgetd.conf", "[Daemon]\nPollSec=1\n");
        live_start_with(&daemon, NULL, config);
        worker_start(&making, &maker, create_maps, (void *) &map);
        id = newest_map();
        report = wait_for_attribution(&daemon, id, charged);
        json_decref(report);
        fd = bpf_map_get_fd_by_id(id);
        assert_true(fd >= 0);
        worker_start(&holding, &holder, hold_map, &id);
        if (!harness_nobpf()) {
                /* Both hold it: it stays where it is charged, through several passes over holders. */
                sleep_msec(2500);
                report = wait_for_attribution(&daemon, id, charged);
                assert_string_equal(json_string_value(json_object_get(find_object(report, "map", id), "cgroup")),
                                maker.path);
                json_decref(report);
        }
        worker_end(&making);
        free(live_wait_log(&daemon, "is over High of budget test"));
        report = wait_for_attribution(&daemon, id, "holder");
        object = find_object(report, "map", id);
        assert_string_equal(json_string_value(json_object_get(object, "cgroup")), holder.path);
        assert_int_equal(number(find_cgroup(report, holder.path), "self", "allocated"),
                        number(object, NULL, "allocated"));
        json_decref(report);
        worker_end(&holding);
        free(live_wait_log(&daemon, "is within the limits of budget test"));
        report = wait_for_attribution(&daemon, id, charged);
        json_decref(report);
        close(fd);
        assert_int_equal(live_end(&daemon), 0);
        cgroup_remove(&maker);
        cgroup_remove(&holder);
}

static void test_check_config(void **state)
{
        _cleanup_free_ char *good = NULL, *bad = NULL;
        char config[64];
        int status;

        (void) state;
        config_make(config);
        config_write(config, "a.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=1M\n");
        good = daemon_errors(&status, "--check-config", config, NULL);
        assert_int_equal(status, 0);
        assert_one_line(good, "1 budgets, 0 warnings");
        config_write(config, "b.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=2M\nMax=1M\n");
        bad = daemon_errors(&status, "--check-config", config, NULL);
        assert_int_equal(status, 1);
        assert_non_null(strstr(bad, "b.budget:"));
}

/* --- Measuring again ---------------------------------------------------------------------------------------------- */

struct records {
        struct object_record *records;
        size_t count;
};

static int keep_record(void *context, const struct object_record *record)
{
        struct records *list = context;

        list->records = reallocarray(list->records, list->count + 1, sizeof(*record));
        assert_non_null(list->records);
        list->records[list->count++] = *record;
        return 0;
}

/* What a hook names is measured by its address: that gives the same as the iterators, and a freed object is noticed. */
static void test_measure_again(void **state)
{
        struct kernel_options options = { .sensors = true };
        struct object_record again[2] = {};
        struct records list = {};
        struct cgroupfs cgroupfs;
        struct kernel *kernel;
        uint32_t id;
        int fd;

        (void) state;
        fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "again", 4, MIB, 1, NULL);
        assert_true(fd >= 0);
        assert_int_equal(cgroupfs_init(&cgroupfs), 0);
        assert_int_equal(kernel_open(&options, &cgroupfs, &kernel), 0);
        assert_int_equal(kernel_read_objects(kernel, keep_record, &list), 0);
        for (size_t i = 0; i < list.count; i++)
                if (strcmp(list.records[i].name, "again") == 0)
                        again[0] = list.records[i];
        id = again[0].id;
        assert_int_not_equal(id, 0);
        again[1] = (struct object_record){ .kind = OBJECT_MAP, .id = id, .address = again[0].address };
        assert_int_equal(kernel_measure(kernel, &again[1], 1), 0);
        assert_memory_equal(&again[0], &again[1], sizeof(again[0]));
        close(fd);
        /* It is freed after a grace period. */
        for (int i = 0; i < 500 && !(again[1].marks & OBJECT_GONE); i++) {
                sleep_msec(10);
                assert_int_equal(kernel_measure(kernel, &again[1], 1), 0);
        }
        assert_true(again[1].marks & OBJECT_GONE);
        free(list.records);
        kernel_close(kernel);
        cgroupfs_deinit(&cgroupfs);
}

/* --- Bad surroundings --------------------------------------------------------------------------------------------- */

/* Runs the daemon in a child that @prepare has worsened. Returns the exit status; what it wrote is in @text. */
static int run_in(void (*prepare)(void), bool errors, char **text, const char *option)
{
        int status, out[2];
        pid_t pid;
        ssize_t n;

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        *text = calloc(1, 1 << 20);
        assert_non_null(*text);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                char *captured;

                prepare();
                captured = errors ? daemon_errors(&status, option, "--json=short", NULL)
                                  : daemon_run(&status, option, "--json=short", NULL);
                n = write(out[1], captured, strlen(captured));
                _exit(n < 0 ? 99 : status);
        }
        close(out[1]);
        for (size_t size = 0; (n = read(out[0], *text + size, (1 << 20) - 1 - size)) > 0; size += n)
                ;
        close(out[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void private_mounts(void)
{
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                _exit(98);
}

static void without_btf(void)
{
        private_mounts();
        if (mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL) < 0)
                _exit(98);
}

static void without_cgroups(void)
{
        private_mounts();
        if (mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) < 0)
                _exit(98);
        /* Lines of the mounts that are covered stay in the list: take them off for good. */
        if (umount2("/sys/fs/cgroup", MNT_DETACH) < 0 || umount2("/sys/fs/cgroup", MNT_DETACH) < 0)
                return;
}

static void without_privileges(void)
{
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
                _exit(98);
}

static void as_it_is(void)
{
}

static void test_no_btf(void **state)
{
        _cleanup_free_ char *text = NULL;

        (void) state;
        assert_int_equal(run_in(without_btf, true, &text, "--once"), 1);
        assert_one_line(text, "/sys/kernel/btf/vmlinux");
}

static void test_no_privileges(void **state)
{
        _cleanup_free_ char *text = NULL;

        (void) state;
        assert_int_equal(run_in(without_privileges, true, &text, "--once"), 1);
        assert_one_line(text, "CAP_BPF");
}

/* Without a hierarchy there are no paths, but the objects are there. */
static void test_no_cgroup_mount(void **state)
{
        _cleanup_free_ char *text = NULL, *errors = NULL;
        json_t *report;

        (void) state;
        assert_int_equal(run_in(without_cgroups, true, &errors, "--once"), 0);
        assert_one_line(errors, "No mounted cgroup hierarchy has the memory controller");
        assert_int_equal(run_in(without_cgroups, false, &text, "--once"), 0);
        report = json_loads(text, 0, NULL);
        assert_non_null(report);
        assert_true(json_array_size(json_object_get(report, "objects")) > 0);
        assert_int_equal(number(find_cgroup(report, "/"), "bpf", "allocated"), sum_objects(report, NULL));
        json_decref(report);
}

static void test_unknown_option(void **state)
{
        _cleanup_free_ char *text = NULL;
        int status;

        (void) state;
        text = daemon_errors(&status, "--no-such-option", NULL);
        assert_int_equal(status, 1);
        assert_non_null(strstr(text, "--no-such-option"));
}

static void test_bad_json_mode(void **state)
{
        _cleanup_free_ char *text = NULL;
        int status;

        (void) state;
        text = daemon_errors(&status, "--json=xml", NULL);
        assert_int_equal(status, 1);
        assert_one_line(text, "it is one of short, pretty");
}

static void test_capabilities(void **state)
{
        _cleanup_free_ char *text = NULL;
        json_t *report, *capability;
        bool iterator = false;
        size_t i;

        (void) state;
        assert_int_equal(run_in(as_it_is, false, &text, "--capabilities"), 0);
        report = json_loads(text, 0, NULL);
        assert_non_null(report);
        json_array_foreach(json_object_get(report, "capabilities"), i, capability)
        {
                bool available = json_is_true(json_object_get(capability, "available"));

                /* What is missing is said. */
                assert_int_equal(available, strlen(json_string_value(json_object_get(capability, "reason"))) == 0);
                if (strcmp(json_string_value(json_object_get(capability, "name")), "iterator:bpf_map") == 0)
                        iterator = available;
        }
        assert_true(iterator);
        json_decref(report);
}

/* --- Without one capability(7) ------------------------------------------------------------------------------------ */

/* What child processes are to be without; -1: nothing. */
static int dropped_cap = -1;

static void drop_cap(void)
{
        if (prctl(PR_CAPBSET_DROP, dropped_cap) < 0)
                _exit(98);
}

static json_t *capabilities_without(int cap)
{
        _cleanup_free_ char *text = NULL;
        json_t *report;

        dropped_cap = cap;
        assert_int_equal(run_in(drop_cap, false, &text, "--capabilities"), 0);
        report = json_loads(text, 0, NULL);
        assert_non_null(report);
        return report;
}

/* The reason why the capability @name is not available; "" if it is. */
static const char *reason_of(const json_t *report, const char *name)
{
        json_t *capability;
        size_t i;

        json_array_foreach(json_object_get(report, "capabilities"), i,
                        capability) if (strcmp(json_string_value(json_object_get(capability, "name")), name) ==
                                        0) return json_string_value(json_object_get(capability, "reason"));
        fail_msg("there is no capability %s", name);
        return NULL;
}

/* Each capability is missed by its feature, by name, and by no other. */
static void test_without_capabilities(void **state)
{
        static const struct {
                int cap;
                const char *feature, *reason;
        } table[] = {
                { CAP_DAC_READ_SEARCH, "cgroup:handles", "CAP_DAC_READ_SEARCH is missing" },
                { CAP_DAC_OVERRIDE, "cgroup:delegated", "CAP_DAC_OVERRIDE is missing" },
                { CAP_SYS_PTRACE, "process:exe", "CAP_SYS_PTRACE is missing" },
                { CAP_SYS_ADMIN, "map:memlock", "CAP_SYS_ADMIN is missing" },
        };
        size_t n = sizeof(table) / sizeof(table[0]);

        (void) state;
        for (size_t i = 0; i < n; i++) {
                json_t *report = capabilities_without(table[i].cap);

                for (size_t k = 0; k < n; k++)
                        if (k == i)
                                assert_non_null(strstr(reason_of(report, table[k].feature), table[k].reason));
                        else
                                assert_string_equal(reason_of(report, table[k].feature), "");
                json_decref(report);
        }
}

static void drop_bpf(void)
{
        if (prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN) < 0 || prctl(PR_CAPBSET_DROP, dropped_cap) < 0)
                _exit(98);
}

/* Without these two there is nothing to do: which one it is gets told. */
static void test_without_cap_bpf(void **state)
{
        _cleanup_free_ char *bpf = NULL, *perfmon = NULL;

        (void) state;
        dropped_cap = CAP_BPF;
        assert_int_equal(run_in(drop_bpf, true, &bpf, "--once"), 1);
        assert_one_line(bpf, "no permission: CAP_BPF is missing");
        dropped_cap = CAP_PERFMON;
        assert_int_equal(run_in(drop_bpf, true, &perfmon, "--once"), 1);
        assert_one_line(perfmon, "no permission: CAP_PERFMON is missing");
}

/* Exit statuses that systemd does not restart after: a configuration, a process, that will not do. */
static void test_exit_statuses(void **state)
{
        _cleanup_free_ char *refused = NULL, *wrong = NULL;
        char config[64], option[96];
        int status;

        (void) state;
        config_make(config);
        snprintf(option, sizeof(option), "--config=%s", config);
        dropped_cap = CAP_BPF;
        assert_int_equal(run_in(drop_bpf, true, &refused, option), EX_UNAVAILABLE);
        config_write(config, "a.budget", "[Match]\nCgroup=/a\n[Budget]\nHigh=much\n");
        wrong = daemon_errors(&status, option, NULL);
        assert_int_equal(status, EX_CONFIG);
        assert_non_null(strstr(wrong, "a.budget:4:"));
}

#define TEST(name) ((struct CMUnitTest) cmocka_unit_test_teardown(name, harness_teardown))

int main(void)
{
        struct CMUnitTest tests[64] = {};
        size_t n = 0;
        int r;

        r = harness_main();
        if (r != 0)
                return r;
        if (harness_nobpf())
                tests[n++] = TEST(test_nobpf);
        else {
                /* They are about the charged cgroup, which there is none of with nobpf. */
                tests[n++] = TEST(test_uncharged_percpu);
                tests[n++] = TEST(test_ancestors);
                tests[n++] = TEST(test_live_growth);
                tests[n++] = TEST(test_live_fill);
                tests[n++] = TEST(test_reparented);
                tests[n++] = TEST(test_live_reparented);
                tests[n++] = TEST(test_live_left_out);
                tests[n++] = TEST(test_budget_alerts);
                tests[n++] = TEST(test_budget_hierarchy);
                tests[n++] = TEST(test_budget_xattr);
                tests[n++] = TEST(test_budget_reload);
                tests[n++] = TEST(test_budget_shrinks);
                tests[n++] = TEST(test_budget_held_back);
                tests[n++] = TEST(test_dry_run);
                tests[n++] = TEST(test_recorded);
                tests[n++] = TEST(test_attributed_by_map);
        }
        tests[n++] = TEST(test_budget_holder);
        tests[n++] = TEST(test_odd_maps);
        tests[n++] = TEST(test_refused_maps);
        tests[n++] = TEST(test_maps_that_vanish);
        if (kernel_has_tokens())
                tests[n++] = TEST(test_token);
        tests[n++] = TEST(test_sums);
        tests[n++] = TEST(test_own_objects);
        tests[n++] = TEST(test_holders);
        tests[n++] = TEST(test_holders_of_programs);
        tests[n++] = TEST(test_pins);
        tests[n++] = TEST(test_uses);
        tests[n++] = TEST(test_relations_need_once);
        tests[n++] = TEST(test_rss);
        tests[n++] = TEST(test_live_rss);
        tests[n++] = TEST(test_idle);
        tests[n++] = TEST(test_live_gone);
        tests[n++] = TEST(test_check_config);
        tests[n++] = TEST(test_measure_again);
        tests[n++] = TEST(test_no_btf);
        tests[n++] = TEST(test_no_privileges);
        tests[n++] = TEST(test_without_capabilities);
        tests[n++] = TEST(test_without_cap_bpf);
        tests[n++] = TEST(test_exit_statuses);
        tests[n++] = TEST(test_no_cgroup_mount);
        tests[n++] = TEST(test_unknown_option);
        tests[n++] = TEST(test_bad_json_mode);
        tests[n++] = TEST(test_capabilities);
        return _cmocka_run_group_tests("kernel", tests, n, NULL, NULL);
}
