/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cgroups that come and go, as the gate sees them on the running kernel: gate_mkdir and gate_rmdir are attached, which
 * takes no trampolines, and real cgroups are made and removed. What is booked for an object is put into the tables by
 * hand (gate-books.bpf.c). Each test begins with empty tables.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "enforce/gate.h"
#include "enforce/pathhash.h"
#include "policy/config.h"
#include "tests/kernel/gate-books.h"
#include "tests/kernel/gate-books.skel.h"

#define MIB (1024 * 1024)

/* Room in the tables. */
#define DOMAINS_MAX   100
#define AUTOMATON_MAX 65536
#define BUDGETS_MAX   1024

#define UNLIMITED GATE_UNLIMITED

static struct gate_books_bpf *books;
static struct gate_settings *settings;
static struct automaton_entry *automata;
static struct gate_limits *limits;
static struct config config;
static struct test_cgroup top;
static char mount[512];

static void *map_values(const struct bpf_map *map)
{
        size_t size = (size_t) bpf_map__value_size(map) * bpf_map__max_entries(map);
        void *values = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

        assert_ptr_not_equal(values, MAP_FAILED);
        return values;
}

/* Programs that take trampolines are loaded as what can be run by hand. */
static void register_sections(void)
{
        static const char *const sections[] = { "fmod_ret+", "fentry+", "fexit+", "kprobe.multi+" };

        for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
                assert_true(libbpf_register_prog_handler(sections[i], BPF_PROG_TYPE_SYSCALL, 0, NULL) > 0);
}

static void open_books(void)
{
        struct bpf_program *program;

        books = gate_books_bpf__open();
        assert_non_null(books);
        books->rodata->machine.page_size = sysconf(_SC_PAGESIZE);
        books->rodata->machine.possible_cpus = libbpf_num_possible_cpus();
        books->rodata->machine.cpu_ids = libbpf_num_possible_cpus();
        books->rodata->machine.kmalloc_min = 8;
        books->rodata->automaton_half = AUTOMATON_MAX;
        books->rodata->limits_half = BUDGETS_MAX;
        books->rodata->objects_max = bpf_map__max_entries(books->maps.gate_objects);
        bpf_map__set_max_entries(books->maps.gate_domains, DOMAINS_MAX);
        bpf_map__set_max_entries(books->maps.gate_left, DOMAINS_MAX);
        bpf_map__set_max_entries(books->maps.gate_automaton, 2 * AUTOMATON_MAX);
        bpf_map__set_max_entries(books->maps.gate_limits, 2 * BUDGETS_MAX);
        bpf_object__for_each_program (program, books->obj)
                if (bpf_program__type(program) == BPF_PROG_TYPE_SYSCALL)
                        bpf_program__set_flags(program, BPF_F_SLEEPABLE);
        assert_int_equal(gate_books_bpf__load(books), 0);
        settings = map_values(books->maps.gate_settings);
        automata = map_values(books->maps.gate_automaton);
        limits = map_values(books->maps.gate_limits);
        books->links.gate_mkdir = bpf_program__attach(books->progs.gate_mkdir);
        assert_non_null(books->links.gate_mkdir);
        books->links.gate_rmdir = bpf_program__attach(books->progs.gate_rmdir);
        assert_non_null(books->links.gate_rmdir);
}

static int group_setup(void **state)
{
        (void) state;
        cgroup_make(&top, NULL, "gate_cgroups");
        snprintf(mount, sizeof(mount), "%.*s", (int) (strlen(top.directory) - strlen(top.path)), top.directory);
        register_sections();
        open_books();
        return 0;
}

static int group_teardown(void **state)
{
        munmap(settings, sizeof(*settings));
        gate_books_bpf__destroy(books);
        return harness_teardown(state);
}

static void empty(const struct bpf_map *map)
{
        char key[64];

        while (bpf_map_get_next_key(bpf_map__fd(map), NULL, key) == 0)
                bpf_map_delete_elem(bpf_map__fd(map), key);
}

static int setup(void **state)
{
        (void) state;
        empty(books->maps.gate_domains);
        empty(books->maps.gate_left);
        memset(settings, 0, sizeof(*settings));
        settings->enforcing = 1;
        settings->path_seed[0] = 4711;
        settings->path_seed[1] = 815;
        books->bss->gate_half = 0;
        config = (struct config){ .budgets = calloc(BUDGETS_MAX, sizeof(*config.budgets)) };
        assert_non_null(config.budgets);
        return 0;
}

static int teardown(void **state)
{
        (void) state;
        config_deinit(&config);
        return 0;
}

/* --- Budgets ------------------------------------------------------------------------------------------------------ */

/* Adds a budget with the Cgroup= @format, which has %s where the path of the test's cgroup is. */
static struct budget *add_budget(const char *format, uint64_t max)
{
        struct budget *budget = &config.budgets[config.count++];
        char glob[8192];

        snprintf(glob, sizeof(glob), format, top.path);
        assert_int_equal(patterns_add(&budget->cgroups, glob, false), 0);
        budget->on_max = ACTION_DENY;
        budget->max = max;
        return budget;
}

/* Puts them in force in the half @index. */
static void set_budgets(uint32_t index)
{
        automaton_free(config.automaton);
        config.automaton = NULL;
        assert_int_equal(automaton_new(config.budgets, config.count, NULL, &config.automaton), 0);
        assert_true(config.automaton->count <= AUTOMATON_MAX);
        memcpy(automata + index * AUTOMATON_MAX, config.automaton->entries,
                        config.automaton->count * sizeof(*automata));
        for (size_t i = 0; i < config.count; i++)
                limits[index * BUDGETS_MAX + i] = (struct gate_limits){
                        .max = { config.budgets[i].max, UNLIMITED, 7, 9 },
                        .refuses = config.budgets[i].on_max == ACTION_DENY,
                };
        books->bss->gate_half = (uint64_t) config.automaton->states << 32 | index;
}

/* --- Cgroups and domains ------------------------------------------------------------------------------------------ */

/* Makes the cgroup @name in the directory @at. Returns its id; *@fd is its directory. */
static uint64_t make_at(int at, const char *name, int *fd)
{
        struct stat st;

        if (mkdirat(at, name, 0755) < 0)
                fail_msg("%s: %s", name, strerror(errno));
        *fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(*fd >= 0);
        assert_int_equal(fstat(*fd, &st), 0);
        return st.st_ino;
}

static int open_top(void)
{
        int fd = open(top.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

/* The same below the test's cgroup. */
static uint64_t make(const char *name)
{
        int at = open_top(), fd;
        uint64_t id = make_at(at, name, &fd);

        close(fd);
        close(at);
        return id;
}

static void unmake(const char *name)
{
        int at = open_top();

        if (unlinkat(at, name, AT_REMOVEDIR) < 0)
                fail_msg("%s: %s", name, strerror(errno));
        close(at);
}

static bool has_domain(uint64_t id, struct gate_domain *domain)
{
        return bpf_map__lookup_elem(books->maps.gate_domains, &id, sizeof(id), domain, sizeof(*domain), 0) == 0;
}

static struct gate_domain read_domain(uint64_t id)
{
        struct gate_domain domain;

        if (!has_domain(id, &domain))
                fail_msg("there is no domain %llu", (unsigned long long) id);
        return domain;
}

static void make_domain(uint64_t id, uint64_t parent)
{
        struct gate_domain domain = { .parent = parent, .max = { UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED } };

        assert_int_equal(bpf_map__update_elem(books->maps.gate_domains, &id, sizeof(id), &domain, sizeof(domain),
                                         BPF_NOEXIST),
                        0);
}

static void assert_no_domain(uint64_t id)
{
        struct gate_domain domain;

        assert_false(has_domain(id, &domain));
}

static size_t count_domains(void)
{
        uint64_t key, *previous = NULL;
        size_t n = 0;

        for (; bpf_map_get_next_key(bpf_map__fd(books->maps.gate_domains), previous, &key) == 0; previous = &key)
                n++;
        return n;
}

static struct books_call call(const struct bpf_program *program, struct books_call call)
{
        LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &call, .ctx_size_in = sizeof(call));

        assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &opts), 0);
        return call;
}

/* Books a map of @bytes in the domain @id, or takes one off. Returns 0 or -ENOMEM. */
static int book(uint64_t id, int64_t bytes)
{
        struct books_call request = { .id = id, .enforce = 1, .amount = { bytes, 0, bytes > 0 ? 1 : -1 } };

        return call(books->progs.call_book, request).result;
}

static void check_usage(uint64_t id, int64_t bytes, int64_t maps)
{
        struct gate_domain domain = read_domain(id);

        assert_int_equal((int64_t) domain.usage[GATE_ALLOCATED], bytes);
        assert_int_equal((int64_t) domain.usage[GATE_MAPS], maps);
}

/* --- Tests: made -------------------------------------------------------------------------------------------------- */

/* A cgroup has its domain when mkdir() returns: the limits of its budget, below the next domain above. */
static void test_made(void **state)
{
        struct gate_domain domain;
        uint64_t seed[] = { 4711, 815 }, a, other;
        struct path_hash hash;
        char path[512];

        (void) state;
        add_budget("%s/a*", 5 * MIB);
        add_budget("%s/**", 6 * MIB)->on_max = ACTION_ALERT;
        set_budgets(0);
        make_domain(top.id, 0);
        a = make("a1");
        other = make("b1");
        domain = read_domain(a);
        assert_int_equal(domain.parent, top.id);
        assert_int_equal(domain.max[GATE_ALLOCATED], 5 * MIB);
        assert_int_equal(domain.max[GATE_CHARGED], UNLIMITED);
        assert_int_equal(domain.max[GATE_MAPS], 7);
        assert_int_equal(domain.max[GATE_PROGRAMS], 9);
        assert_int_equal(domain.gone, 0);
        /* The daemon has the same hash of the same path. */
        snprintf(path, sizeof(path), "%s/a1", top.path);
        hash = hash_path(seed, path);
        assert_memory_equal(&domain.path, &hash, sizeof(hash));
        assert_int_equal(settings->domains, 1);
        assert_no_domain(other);
        unmake("a1");
        unmake("b1");
        assert_no_domain(a);
        assert_int_equal(settings->domains, 0);
}

/* What the path does not tell, or another budget comes first for, is left to the daemon. */
static void test_users(void **state)
{
        struct budget *budget;
        uint64_t a, b;

        (void) state;
        add_budget("%s/a", 5 * MIB);
        budget = add_budget("%s/b", 5 * MIB);
        assert_int_equal(patterns_add(&budget->users, "root", false), 0);
        budget->uids = calloc(1, sizeof(*budget->uids));
        add_budget("%s/*", 6 * MIB);
        set_budgets(0);
        a = make("a");
        b = make("b");
        assert_int_equal(read_domain(a).max[GATE_ALLOCATED], 5 * MIB);
        assert_no_domain(b);
        unmake("a");
        unmake("b");
}

/* Makes the cgroup @name at @at, and removes it. Returns the bytes that its domain had as its limit, 0: it had none. */
static uint64_t try_limit(int at, const char *name)
{
        struct gate_domain domain;
        uint64_t id, max;
        int fd;

        id = make_at(at, name, &fd);
        max = has_domain(id, &domain) ? domain.max[GATE_ALLOCATED] : 0;
        close(fd);
        assert_int_equal(unlinkat(at, name, AT_REMOVEDIR), 0);
        return max;
}

/* By the name of its unit alone, in whatever slices; what has that name elsewhere is none. */
static void test_unit(void **state)
{
        struct budget *budget = &config.budgets[config.count++];
        int root = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC), slice, service, at = open_top();
        char name[64];

        (void) state;
        assert_true(root >= 0);
        assert_int_equal(patterns_add(&budget->units, "bb-agent@*.service", false), 0);
        budget->on_max = ACTION_DENY;
        budget->max = 3 * MIB;
        add_budget("%s/*", 6 * MIB);
        set_budgets(1);
        snprintf(name, sizeof(name), "bpfbudget-test-%d.slice", getpid());
        make_at(root, name, &slice);
        assert_int_equal(try_limit(slice, "bb-agent@1.service"), 3 * MIB);
        assert_int_equal(try_limit(slice, "_bb-agent@2.service"), 3 * MIB);
        assert_int_equal(try_limit(slice, "bb-agent@.service"), 0);
        assert_int_equal(try_limit(slice, "bb-agent@1.service.d"), 0);
        assert_int_equal(try_limit(slice, "bb-agent@1 2.service"), 0);
        make_at(slice, "bb-agent@1.service", &service);
        assert_int_equal(try_limit(service, "bb-agent@2.service"), 0);
        close(service);
        assert_int_equal(unlinkat(slice, "bb-agent@1.service", AT_REMOVEDIR), 0);
        close(slice);
        assert_int_equal(unlinkat(root, name, AT_REMOVEDIR), 0);
        assert_int_equal(try_limit(at, "bb-agent@1.service"), 6 * MIB);
        close(at);
        close(root);
}

/* Another configuration is in force with one step. */
static void test_reload(void **state)
{
        uint64_t a, b;

        (void) state;
        add_budget("%s/*", 5 * MIB);
        set_budgets(0);
        a = make("a");
        config.budgets[0].max = 6 * MIB;
        set_budgets(1);
        b = make("b");
        assert_int_equal(read_domain(a).max[GATE_ALLOCATED], 5 * MIB);
        assert_int_equal(read_domain(b).max[GATE_ALLOCATED], 6 * MIB);
        unmake("a");
        unmake("b");
}

/* Names of all kinds and lengths are what they are. */
static void test_names(void **state)
{
        static const char *const names[] = { "x (deleted)", "..deleted", "a b", "\xff\xfe", "\xc3\xa9", "*", "[a]",
                "\\x2d", "1", "12345678", "1234567", "123456789" };
        uint64_t seed[] = { 4711, 815 };
        char name[256], path[1024];

        (void) state;
        add_budget("%s/*", MIB);
        set_budgets(0);
        for (size_t i = 0; i < 20; i++) {
                struct gate_domain domain;
                struct path_hash hash;
                uint64_t id;

                if (i < sizeof(names) / sizeof(names[0])) {
                        strcpy(name, names[i]);
                } else {
                        static const size_t lengths[] = { 62, 63, 64, 126, 127, 252, 254, 255 };

                        memset(name, 'n', sizeof(name));
                        name[lengths[i - sizeof(names) / sizeof(names[0])]] = '\0';
                }
                id = make(name);
                snprintf(path, sizeof(path), "%s/%s", top.path, name);
                hash = hash_path(seed, path);
                domain = read_domain(id);
                assert_int_equal(domain.max[GATE_ALLOCATED], MIB);
                assert_memory_equal(&domain.path, &hash, sizeof(hash));
                unmake(name);
                assert_no_domain(id);
        }
}

/* The last byte of a name of 255 bytes decides. */
static void test_end_of_name(void **state)
{
        char glob[512], name[256];
        uint64_t id;

        (void) state;
        memset(name, 'n', 254);
        name[254] = 'x';
        name[255] = '\0';
        snprintf(glob, sizeof(glob), "%%s/%s", name);
        add_budget(glob, MIB);
        set_budgets(0);
        id = make(name);
        assert_int_equal(read_domain(id).max[GATE_ALLOCATED], MIB);
        unmake(name);
        name[254] = 'y';
        id = make(name);
        assert_no_domain(id);
        unmake(name);
}

/* Goes down @levels cgroups of @name, as *@fd. Returns the id of the last. */
static uint64_t go_down(int *fd, const char *name, size_t levels)
{
        uint64_t id = 0;

        for (size_t i = 0; i < levels; i++) {
                int child;

                id = make_at(*fd, name, &child);
                close(*fd);
                *fd = child;
        }
        return id;
}

static void go_up(int *fd, const char *name, size_t levels)
{
        for (size_t i = 0; i < levels; i++) {
                int parent = openat(*fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                assert_true(parent >= 0);
                close(*fd);
                *fd = parent;
                assert_int_equal(unlinkat(parent, name, AT_REMOVEDIR), 0);
        }
}

/* At any depth, with paths longer than PATH_MAX. */
static void test_deep(void **state)
{
        static const size_t levels[] = { 63, 64, 65, 200, 600 };
        char name[256];
        uint64_t id, leaf;
        int fd;

        (void) state;
        memset(name, 'd', sizeof(name) - 1);
        name[255] = '\0';
        add_budget("%s/**/leaf", 2 * MIB);
        set_budgets(0);
        make_domain(top.id, 0);
        for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
                const char *level = levels[i] == 200 ? name : "d";
                int child;

                fd = open_top();
                id = go_down(&fd, level, levels[i]);
                assert_no_domain(id);
                leaf = make_at(fd, "leaf", &child);
                assert_int_equal(read_domain(leaf).max[GATE_ALLOCATED], 2 * MIB);
                assert_int_equal(read_domain(leaf).parent, top.id);
                close(child);
                assert_int_equal(unlinkat(fd, "leaf", AT_REMOVEDIR), 0);
                go_up(&fd, level, levels[i]);
                close(fd);
        }
}

/* Domains one below the other, more than 64 of them: what is booked in the last is booked in all. */
static void test_many_levels(void **state)
{
        uint64_t id;
        int fd;

        (void) state;
        add_budget("%s/**", 100 * MIB);
        set_budgets(0);
        fd = open_top();
        make_domain(top.id, 0);
        id = go_down(&fd, "d", DOMAINS_MAX - 4);
        assert_int_equal(book(id, MIB), 0);
        for (int i = 0; i < DOMAINS_MAX - 4; i++) {
                check_usage(id, MIB, 1);
                id = read_domain(id).parent;
        }
        assert_int_equal(id, top.id);
        go_up(&fd, "d", DOMAINS_MAX - 4);
        close(fd);
}

/* A cgroup that finds no room in the table gets no map; with room it has its limits after all. */
static void test_full(void **state)
{
        char *origin = cgroup_own_path();
        struct test_cgroup last;

        (void) state;
        add_budget("%s/last", MIB);
        set_budgets(0);
        for (uint64_t id = 1; count_domains() < DOMAINS_MAX; id++)
                make_domain(id, 0);
        cgroup_make(&last, &top, "last");
        assert_int_equal(settings->domains_missing, 1);
        assert_no_domain(last.id);
        cgroup_enter(last.path);
        assert_int_equal(call(books->progs.call_is_incomplete, (struct books_call){}).result, 1);
        settings->enforcing = 0;
        assert_int_equal(call(books->progs.call_is_incomplete, (struct books_call){}).result, 0);
        settings->enforcing = 1;
        bpf_map_delete_elem(bpf_map__fd(books->maps.gate_domains), &(uint64_t){ 1 });
        assert_int_equal(call(books->progs.call_is_incomplete, (struct books_call){}).result, 0);
        assert_int_equal(read_domain(last.id).max[GATE_ALLOCATED], MIB);
        cgroup_enter(origin);
        free(origin);
        cgroup_remove(&last);
}

/* What it costs to make a cgroup with 1,000 patterns; printed, no verdict. */
static void test_cost(void **state)
{
        struct bpf_prog_info before = {}, after = {};
        uint32_t size = sizeof(before);
        int stats = bpf_enable_stats(BPF_STATS_RUN_TIME), program = bpf_program__fd(books->progs.gate_mkdir);
        uint64_t id;

        (void) state;
        assert_true(stats >= 0);
        for (int i = 0; i < 1000; i++) {
                char format[64];

                snprintf(format, sizeof(format), "%%s/agent-%d-*.service", i);
                add_budget(format, MIB);
        }
        set_budgets(0);
        make_domain(top.id, 0);
        assert_int_equal(bpf_obj_get_info_by_fd(program, &before, &size), 0);
        for (int i = 0; i < 1000; i++) {
                char name[64];

                snprintf(name, sizeof(name), "agent-%d-of-a-certain-length.service", i);
                id = make(name);
                assert_int_equal(read_domain(id).max[GATE_ALLOCATED], MIB);
                unmake(name);
        }
        assert_int_equal(bpf_obj_get_info_by_fd(program, &after, &size), 0);
        assert_true(after.run_cnt >= before.run_cnt + 1000);
        printf("# a cgroup of 1,000 patterns: %llu ns in gate_mkdir\n",
                        (unsigned long long) (after.run_time_ns - before.run_time_ns) /
                                        (after.run_cnt - before.run_cnt));
        close(stats);
}

/* --- Tests: removed ----------------------------------------------------------------------------------------------- */

/* What a removed cgroup left behind counts against the next of its path: also the third, and after it is freed. */
static void test_left_behind(void **state)
{
        uint64_t a, b, c;

        (void) state;
        add_budget("%s/*", 8 * MIB);
        set_budgets(0);
        make_domain(top.id, 0);
        a = make("a");
        assert_int_equal(book(a, 6 * MIB), 0);
        unmake("a");
        assert_int_equal(read_domain(a).gone, 1);
        check_usage(a, 6 * MIB, 1);
        check_usage(top.id, 6 * MIB, 1);
        b = make("a");
        check_usage(b, 6 * MIB, 1);
        check_usage(top.id, 6 * MIB, 1);
        assert_int_equal(read_domain(a).parent, b);
        assert_int_equal(book(b, 3 * MIB), -ENOMEM);
        assert_int_equal(book(b, MIB), 0);
        unmake("a");
        c = make("a");
        check_usage(c, 7 * MIB, 2);
        check_usage(top.id, 7 * MIB, 2);
        assert_int_equal(book(c, 2 * MIB), -ENOMEM);
        /* The first one is freed: it comes off all three. */
        assert_int_equal(book(a, -6 * MIB), 0);
        check_usage(a, 0, 0);
        check_usage(b, MIB, 1);
        check_usage(c, MIB, 1);
        check_usage(top.id, MIB, 1);
        assert_int_equal(book(c, 2 * MIB), 0);
        assert_int_equal(book(c, -2 * MIB), 0);
        unmake("a");
}

/* Not against another path, nor against one that has the same name elsewhere. */
static void test_left_to_nobody(void **state)
{
        uint64_t a, b, d;
        int at, fd, child;

        (void) state;
        add_budget("%s/**/a", 8 * MIB);
        add_budget("%s/b", 8 * MIB);
        set_budgets(0);
        a = make("a");
        assert_int_equal(book(a, 6 * MIB), 0);
        unmake("a");
        b = make("b");
        check_usage(b, 0, 0);
        at = open_top();
        make_at(at, "d", &fd);
        d = make_at(fd, "a", &child);
        check_usage(d, 0, 0);
        close(child);
        assert_int_equal(unlinkat(fd, "a", AT_REMOVEDIR), 0);
        close(fd);
        close(at);
        unmake("d");
        unmake("b");
}

/* The cgroup above is made anew too: both have what was left, and the one above that has it once. */
static void test_left_with_parent(void **state)
{
        uint64_t slice, unit, slice2, unit2;
        int at = open_top(), fd, child;

        (void) state;
        add_budget("%s/s.slice", 20 * MIB);
        add_budget("%s/s.slice/u.service", 8 * MIB);
        set_budgets(0);
        make_domain(top.id, 0);
        slice = make_at(at, "s.slice", &fd);
        unit = make_at(fd, "u.service", &child);
        close(child);
        assert_int_equal(book(unit, 6 * MIB), 0);
        assert_int_equal(book(slice, MIB), 0);
        assert_int_equal(unlinkat(fd, "u.service", AT_REMOVEDIR), 0);
        close(fd);
        unmake("s.slice");
        slice2 = make_at(at, "s.slice", &fd);
        check_usage(slice2, 7 * MIB, 2);
        unit2 = make_at(fd, "u.service", &child);
        close(child);
        check_usage(unit2, 6 * MIB, 1);
        check_usage(slice2, 7 * MIB, 2);
        check_usage(slice, MIB, 1);
        check_usage(top.id, 7 * MIB, 2);
        assert_int_equal(book(unit2, 3 * MIB), -ENOMEM);
        assert_int_equal(book(unit, -6 * MIB), 0);
        check_usage(unit2, 0, 0);
        check_usage(slice2, MIB, 1);
        check_usage(top.id, MIB, 1);
        assert_int_equal(unlinkat(fd, "u.service", AT_REMOVEDIR), 0);
        close(fd);
        close(at);
        unmake("s.slice");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        static const struct CMUnitTest tests[] = {
                TEST(test_made),
                TEST(test_users),
                TEST(test_unit),
                TEST(test_reload),
                TEST(test_names),
                TEST(test_end_of_name),
                TEST(test_deep),
                TEST(test_many_levels),
                TEST(test_full),
                TEST(test_cost),
                TEST(test_left_behind),
                TEST(test_left_to_nobody),
                TEST(test_left_with_parent),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        return cmocka_run_group_tests_name("gate-cgroups", tests, group_setup, group_teardown);
}
