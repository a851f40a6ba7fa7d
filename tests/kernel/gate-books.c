/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the gate books, function by function, on the running kernel and with its objects: the programs of gate.bpf.c are
 * run by hand with the arguments of their hooks (gate-books.bpf.c), so that a kernel without trampolines will do. Each
 * test begins with empty tables. The daemon's side is tested in gate-tables.c, the whole in gate.c.
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
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "tests/kernel/gate-books.h"
#include "tests/kernel/gate-books.skel.h"
#include "tests/kernel/objects.h"

#define KIB 1024
#define MIB (1024 * 1024)

/* Room in the tables. */
#define DOMAINS_MAX 80
#define OBJECTS_MAX 16

/* Of decisions[] in bpf/gatefallback.h. */
#define DECISIONS 1024
#define ADMITTED  1
#define REFUSED   2
#define UNDECIDED 1

#define UNLIMITED GATE_UNLIMITED

static struct gate_books_bpf *books;
static struct gate_settings *settings;
static struct gate_settlement *settlements;
static struct ring_buffer *ring;

/* The last refusal that was told, and how many there were. */
static struct gate_event event;
static int events;

/* The test runs in the leaf. */
static struct test_cgroup top, middle, leaf;
static char mount[512], *origin;

/* --- Programs ----------------------------------------------------------------------------------------------------- */

static int run_sized(const struct bpf_program *program, void *context, size_t size)
{
        LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = context, .ctx_size_in = size);
        int r = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);

        if (r < 0)
                fail_msg("%s: %s", bpf_program__name(program), strerror(-r));
        return (int) opts.retval;
}

#define RUN(program, context) run_sized(books->progs.program, context, sizeof(*(context)))

/* What a program is given at a hook whose function has these arguments. */
#define HOOK(program, ...) \
        run_sized(books->progs.program, (uint64_t[]){ __VA_ARGS__ }, sizeof((uint64_t[]){ __VA_ARGS__ }))

/* The same for a probe of a function's entry. */
static int probe(const struct bpf_program *program, uint64_t first, uint64_t second)
{
#if defined(__x86_64__)
        uint64_t regs[21] = { [14] = first, [13] = second }; /* rdi, rsi */
#else
        uint64_t regs[34] = { first, second };
#endif

        return run_sized(program, regs, sizeof(regs));
}

#define PROBE(program, first, second) probe(books->progs.program, first, second)

/* The programs of hooks are loaded as what can be run by hand. */
static void register_sections(void)
{
        static const char *const sections[] = { "fmod_ret+", "fentry+", "fexit+", "kprobe.multi+" };

        for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
                assert_true(libbpf_register_prog_handler(sections[i], BPF_PROG_TYPE_SYSCALL, 0, NULL) > 0);
}

static struct gate_books_bpf *open_books(void)
{
        struct gate_books_bpf *skeleton = gate_books_bpf__open();
        struct bpf_program *program;

        assert_non_null(skeleton);
        skeleton->rodata->machine.page_size = sysconf(_SC_PAGESIZE);
        skeleton->rodata->machine.possible_cpus = libbpf_num_possible_cpus();
        skeleton->rodata->machine.cpu_ids = libbpf_num_possible_cpus();
        skeleton->rodata->machine.kmalloc_min = 8;
        skeleton->rodata->probed = true;
        skeleton->rodata->pages_argument = 2;
        skeleton->rodata->instance = 7;
        bpf_map__set_max_entries(skeleton->maps.gate_domains, DOMAINS_MAX);
        bpf_map__set_max_entries(skeleton->maps.gate_objects, OBJECTS_MAX);
        skeleton->rodata->objects_max = OBJECTS_MAX;
        bpf_object__for_each_program (program, skeleton->obj)
                bpf_program__set_flags(program, BPF_F_SLEEPABLE);
        /* Has a pointer as its argument that only the kernel can give it. */
        bpf_program__set_autoload(skeleton->progs.gate_mkdir, false);
        bpf_program__set_autoload(skeleton->progs.gate_rmdir, false);
        return skeleton;
}

static void *map_values(const struct bpf_map *map)
{
        size_t size = (size_t) bpf_map__value_size(map) * bpf_map__max_entries(map);
        void *values = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

        assert_ptr_not_equal(values, MAP_FAILED);
        return values;
}

static int handle_event(void *context, void *data, size_t size)
{
        (void) context;
        assert_true(size >= sizeof(event));
        memcpy(&event, data, sizeof(event));
        events++;
        return 0;
}

static void load(struct gate_books_bpf *skeleton)
{
        int r = gate_books_bpf__load(skeleton);

        if (r < 0)
                fail_msg("load: %s", strerror(-r));
        books = skeleton;
        settings = map_values(books->maps.gate_settings);
        settlements = map_values(books->maps.settlements);
        ring = ring_buffer__new(bpf_map__fd(books->maps.gate_events), handle_event, NULL, NULL);
        assert_non_null(ring);
}

static void unload(void)
{
        ring_buffer__free(ring);
        munmap(settings, sizeof(*settings));
        munmap(settlements, GATE_SETTLE_MAX * sizeof(*settlements));
        gate_books_bpf__destroy(books);
}

/* How many refusals were told since the last call; the last one is in event. */
static int take_events(void)
{
        events = 0;
        ring_buffer__consume(ring);
        return events;
}

static int group_setup(void **state)
{
        (void) state;
        origin = cgroup_own_path();
        cgroup_make(&top, NULL, "books");
        cgroup_make(&middle, &top, "middle");
        cgroup_make(&leaf, &middle, "leaf");
        snprintf(mount, sizeof(mount), "%.*s", (int) (strlen(top.directory) - strlen(top.path)), top.directory);
        cgroup_enter(leaf.path);
        register_sections();
        load(open_books());
        return 0;
}

static int group_teardown(void **state)
{
        unload();
        cgroup_enter(origin);
        free(origin);
        return harness_teardown(state);
}

static void empty(const struct bpf_map *map)
{
        uint64_t key;

        while (bpf_map_get_next_key(bpf_map__fd(map), NULL, &key) == 0)
                bpf_map_delete_elem(bpf_map__fd(map), &key);
}

static int setup(void **state)
{
        struct gate_introduction introduction = { .map_fd = bpf_map__fd(books->maps.gate_settings) };

        (void) state;
        empty(books->maps.gate_domains);
        empty(books->maps.gate_objects);
        memset(settings, 0, sizeof(*settings));
        memset(settlements, 0, GATE_SETTLE_MAX * sizeof(*settlements));
        memset(books->bss->decisions, 0, sizeof(books->bss->decisions));
        books->bss->unread = 0;
        books->bss->fake_jiffies = 1000;
        books->bss->fake_pid_tgid = 0;
        books->bss->fake_result = 0;
        books->bss->killed = books->bss->last_signal = 0;
        RUN(introduce_gate, &introduction);
        settings->enforcing = 1;
        settings->instance = 7;
        settings->daemon_tgid = 0;
        take_events();
        memset(&event, 0, sizeof(event));
        return 0;
}

/* --- Tables ------------------------------------------------------------------------------------------------------- */

static void make_domain_with(uint64_t id, uint64_t parent, const uint64_t max[GATE_RESOURCES])
{
        struct gate_domain domain = { .parent = parent };

        memcpy(domain.max, max, sizeof(domain.max));
        assert_int_equal(bpf_map__update_elem(books->maps.gate_domains, &id, sizeof(id), &domain, sizeof(domain),
                                         BPF_NOEXIST),
                        0);
}

/* One without limits. */
static void make_domain(uint64_t id, uint64_t parent)
{
        uint64_t max[GATE_RESOURCES];

        for (int i = 0; i < GATE_RESOURCES; i++)
                max[i] = UNLIMITED;
        make_domain_with(id, parent, max);
}

static struct gate_domain read_domain(uint64_t id)
{
        struct gate_domain domain;

        if (bpf_map__lookup_elem(books->maps.gate_domains, &id, sizeof(id), &domain, sizeof(domain), 0) < 0)
                fail_msg("there is no domain %llu", (unsigned long long) id);
        return domain;
}

static void write_domain(uint64_t id, const struct gate_domain *domain)
{
        assert_int_equal(bpf_map__update_elem(
                                         books->maps.gate_domains, &id, sizeof(id), domain, sizeof(*domain), BPF_EXIST),
                        0);
}

static void set_usage(uint64_t id, enum gate_resource resource, uint64_t usage)
{
        struct gate_domain domain = read_domain(id);

        domain.usage[resource] = usage;
        write_domain(id, &domain);
}

static void set_max(uint64_t id, enum gate_resource resource, uint64_t max)
{
        struct gate_domain domain = read_domain(id);

        domain.max[resource] = max;
        write_domain(id, &domain);
}

static void check_usage(uint64_t id, int64_t allocated, int64_t charged, int64_t maps, int64_t programs)
{
        struct gate_domain domain = read_domain(id);
        const int64_t wanted[] = { allocated, charged, maps, programs };

        for (int i = 0; i <= GATE_PROGRAMS; i++)
                if ((int64_t) domain.usage[i] != wanted[i])
                        fail_msg("domain %llu has %lld of resource %d, not %lld", (unsigned long long) id,
                                        (long long) domain.usage[i], i, (long long) wanted[i]);
}

/* What the objects of the domain may grow to, and how many of them have no limit. */
static void check_committed(uint64_t id, int64_t committed, int64_t unbounded)
{
        struct gate_domain domain = read_domain(id);

        assert_int_equal(domain.usage[GATE_COMMITTED], committed);
        assert_int_equal(domain.usage[GATE_UNBOUNDED], unbounded);
}

/* Returns whether there is an entry. */
static bool find_entry(uint64_t key, struct gate_object *object)
{
        struct gate_object room;

        return bpf_map__lookup_elem(books->maps.gate_objects, &key, sizeof(key), object ?: &room, sizeof(room), 0) == 0;
}

static struct gate_object read_entry(uint64_t key)
{
        struct gate_object object;

        if (!find_entry(key, &object))
                fail_msg("there is no entry %llx", (unsigned long long) key);
        return object;
}

static void write_entry(const struct gate_object *object)
{
        assert_int_equal(bpf_map__update_elem(books->maps.gate_objects, &object->key, sizeof(object->key), object,
                                         sizeof(*object), BPF_ANY),
                        0);
}

static size_t count_entries(void)
{
        uint64_t key, *previous = NULL;
        size_t n = 0;

        for (; bpf_map_get_next_key(bpf_map__fd(books->maps.gate_objects), previous, &key) == 0; previous = &key)
                n++;
        return n;
}

/* An entry with what is booked for it in @domain and above. */
static void enter_object(struct gate_object object)
{
        struct books_call call = { .id = object.domain };

        call.amount[GATE_ALLOCATED] = object.allocated + object.admitted;
        call.amount[GATE_CHARGED] = object.charged + (object.uncharged ? 0 : object.admitted);
        call.amount[object.kind == OBJECT_MAP ? GATE_MAPS : GATE_PROGRAMS] = 1;
        call.amount[GATE_UNBOUNDED] = object.ceiling == CEILING_UNBOUNDED;
        call.amount[GATE_COMMITTED] = object.ceiling == CEILING_UNBOUNDED ? object.allocated + object.admitted
                                                                          : (int64_t) object.ceiling;
        RUN(call_book, &call);
        write_entry(&object);
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

static uint64_t address_of(int fd)
{
        struct books_call call = { .fd = fd };

        RUN(find_address, &call);
        return call.address;
}

struct object {
        int fd;
        uint32_t id;
        uint64_t address;
        uint64_t key; /* of its entry */
        int64_t allocated, charged;
        uint64_t ceiling;
        uint32_t insns, pages, aux_size;
};

static struct object finish_map(int fd)
{
        struct books_call call = {};
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);
        struct object map = { .fd = fd };

        assert_true(fd >= 0);
        assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
        map.id = info.id;
        map.key = map.address = call.address = address_of(fd);
        RUN(call_measure_map, &call);
        map.allocated = call.allocated;
        map.charged = call.charged;
        map.ceiling = call.ceiling;
        assert_true(map.allocated > 0);
        return map;
}

static struct object make_map(
                enum bpf_map_type type, uint32_t key_size, uint32_t value_size, uint32_t entries, uint32_t flags)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);

        return finish_map(bpf_map_create(type, "bb_books", key_size, value_size, entries, &opts));
}

static struct object make_array(uint32_t value_size)
{
        return make_map(BPF_MAP_TYPE_ARRAY, 4, value_size, 1, 0);
}

/* The kernel charges nobody for it. */
static struct object make_nobodys_array(uint32_t value_size)
{
        struct object map;

        cgroup_enter("/");
        map = make_array(value_size);
        cgroup_enter(leaf.path);
        return map;
}

static struct object make_hash(uint32_t value_size)
{
        return make_map(BPF_MAP_TYPE_HASH, 4, value_size, 1000, BPF_F_NO_PREALLOC);
}

static struct object make_program(size_t insns)
{
        struct bpf_insn code[2000];
        struct books_call call = {};
        struct bpf_prog_info info = {};
        uint32_t size = sizeof(info);
        struct object program = {};

        assert_true(insns <= sizeof(code) / sizeof(code[0]));
        for (size_t i = 0; i < insns; i++)
                code[i] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = i };
        code[insns - 1] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
        program.fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "bb_books", "GPL", code, insns, NULL);
        assert_true(program.fd >= 0);
        assert_int_equal(bpf_obj_get_info_by_fd(program.fd, &info, &size), 0);
        program.id = info.id;
        program.address = call.address = address_of(program.fd);
        RUN(call_measure_program, &call);
        program.key = call.result;
        program.allocated = call.allocated;
        program.charged = call.charged;
        program.ceiling = call.ceiling;
        program.insns = call.insns;
        program.pages = call.pages;
        program.aux_size = call.aux_size;
        assert_true(program.allocated > 0 && program.key && program.key != program.address);
        return program;
}

/* --- Domains ------------------------------------------------------------------------------------------------------ */

static struct books_call book(uint64_t id, int64_t allocated, int64_t charged, int64_t maps, int64_t programs)
{
        struct books_call call = { .id = id, .enforce = 1, .amount = { allocated, charged, maps, programs } };

        RUN(call_book, &call);
        return call;
}

/* 3 is below 2 and that below 1; 9 is beside them. */
static void make_chain(void)
{
        make_domain(1, 0);
        make_domain(2, 1);
        make_domain(3, 2);
        make_domain(9, 1);
}

/* What is booked is booked in the domain and all above, and in no other. */
static void test_book(void **state)
{
        struct books_call call;

        (void) state;
        make_chain();
        call = book(3, 100, 40, 1, 2);
        assert_int_equal(call.result, 0);
        assert_int_equal(call.levels, 3);
        for (int id = 1; id <= 3; id++)
                check_usage(id, 100, 40, 1, 2);
        check_usage(9, 0, 0, 0, 0);
        assert_int_equal(book(2, -30, 5, -1, 0).levels, 2);
        check_usage(3, 100, 40, 1, 2);
        check_usage(2, 70, 45, 0, 2);
        check_usage(1, 70, 45, 0, 2);
        assert_int_equal(book(0, 1, 1, 1, 1).levels, 0);
        assert_int_equal(book(4, 1, 1, 1, 1).levels, 0);
        check_usage(1, 70, 45, 0, 2);
        assert_int_equal(read_domain(1).denied, 0);
}

/* What is taken off is taken off so many levels and no more. */
static void test_unbook(void **state)
{
        struct books_call call = { .id = 3, .amount = { 10, 5, 1, 1 } };

        (void) state;
        make_chain();
        book(3, 100, 50, 4, 3);
        call.levels = 2;
        RUN(call_unbook, &call);
        check_usage(3, 90, 45, 3, 2);
        check_usage(2, 90, 45, 3, 2);
        check_usage(1, 100, 50, 4, 3);
        call.levels = 0;
        RUN(call_unbook, &call);
        check_usage(3, 90, 45, 3, 2);
        call.levels = 1;
        RUN(call_unbook, &call);
        check_usage(3, 80, 40, 2, 1);
        check_usage(2, 90, 45, 3, 2);
}

/* Each limit on each level refuses what is a byte past it, and then nothing is booked anywhere. */
static void test_refusal(void **state)
{
        struct books_call all = { .id = 3 };

        (void) state;
        make_chain();
        for (int i = 0; i < GATE_RESOURCES; i++)
                all.amount[i] = 100;
        RUN(call_book, &all);
        for (uint64_t id = 1; id <= 3; id++)
                for (int i = 0; i < GATE_RESOURCES; i++) {
                        struct books_call call = { .id = 3, .enforce = 1 };

                        set_max(id, i, 119);
                        call.amount[i] = 20;
                        RUN(call_book, &call);
                        assert_int_equal(call.result, -ENOMEM);
                        assert_int_equal(call.refused_by, id);
                        assert_int_equal(call.resource, i);
                        assert_int_equal(call.usage, 100);
                        assert_int_equal(call.max, 119);
                        for (int k = 1; k <= 3; k++)
                                check_usage(k, 100, 100, 100, 100);
                        /* What is of another resource or less is let in. */
                        call.amount[i] = -1;
                        call.amount[(i + 1) % GATE_RESOURCES] = 2;
                        set_max(id, i, 0);
                        RUN(call_book, &call);
                        assert_int_equal(call.result, 0);
                        call.amount[i] = 1;
                        call.amount[(i + 1) % GATE_RESOURCES] = -2;
                        call.enforce = 0;
                        RUN(call_book, &call);
                        assert_int_equal(call.result, 0);
                        for (int k = 1; k <= 3; k++)
                                check_usage(k, 100, 100, 100, 100);
                        /* Up to the limit. */
                        set_max(id, i, 120);
                        call.enforce = 1;
                        call.amount[i] = 20;
                        call.amount[(i + 1) % GATE_RESOURCES] = 0;
                        RUN(call_book, &call);
                        assert_int_equal(call.result, 0);
                        call.amount[i] = -20;
                        RUN(call_book, &call);
                        set_max(id, i, UNLIMITED);
                }
}

/* Of several limits that are passed the first is told; a sibling's does not count. */
static void test_refusal_order(void **state)
{
        struct books_call call;

        (void) state;
        make_chain();
        set_max(9, GATE_ALLOCATED, 0);
        set_max(2, GATE_MAPS, 0);
        set_max(2, GATE_PROGRAMS, 0);
        set_max(1, GATE_ALLOCATED, 0);
        call = book(3, 1, 1, 1, 1);
        assert_int_equal(call.refused_by, 2);
        assert_int_equal(call.resource, GATE_MAPS);
        call = book(3, 1, 1, 0, 0);
        assert_int_equal(call.refused_by, 1);
        assert_int_equal(call.resource, GATE_ALLOCATED);
        assert_int_equal(call.levels, 3);
}

/* Bytes must be free besides, maps and programs need not. */
static void test_slack(void **state)
{
        (void) state;
        for (int i = 0; i < GATE_RESOURCES; i++) {
                struct books_call call = { .id = 5, .enforce = 1, .slack = 50 };

                empty(books->maps.gate_domains);
                make_domain(5, 0);
                set_max(5, i, i <= GATE_CHARGED || i == GATE_COMMITTED ? 159 : 109);
                call.amount[i] = 110;
                RUN(call_book, &call);
                assert_int_equal(call.result, -ENOMEM);
                assert_int_equal(read_domain(5).usage[i], 0);
                call.amount[i] = 109;
                RUN(call_book, &call);
                assert_int_equal(call.result, 0);
                assert_int_equal(read_domain(5).usage[i], 109);
        }
}

/* Domains above each other, as many as the gate looks at. */
static void test_deep(void **state)
{
        struct books_call call = { .id = 64, .levels = 64, .amount = { 7 } };

        (void) state;
        for (int id = 1; id <= 66; id++)
                make_domain(id, id - 1);
        assert_int_equal(book(64, 7, 0, 0, 0).levels, 64);
        check_usage(1, 7, 0, 0, 0);
        check_usage(64, 7, 0, 0, 0);
        check_usage(65, 0, 0, 0, 0);
        RUN(call_unbook, &call);
        check_usage(1, 0, 0, 0, 0);
        set_max(1, GATE_ALLOCATED, 6);
        assert_int_equal(book(64, 7, 0, 0, 0).result, -ENOMEM);
        for (int id = 1; id <= 64; id++)
                check_usage(id, 0, 0, 0, 0);
        call = (struct books_call){ .id = 64, .above = 1 };
        RUN(call_levels_below, &call);
        assert_int_equal(call.result, 63);
}

static void test_levels_below(void **state)
{
        static const struct {
                int id, above, levels;
        } cases[] = { { 3, 3, 0 }, { 3, 2, 1 }, { 3, 1, 2 }, { 2, 1, 1 }, { 1, 3, 0 }, { 9, 2, 0 }, { 3, 9, 0 },
                { 9, 1, 1 }, { 5, 1, 0 } };

        (void) state;
        make_chain();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct books_call call = { .id = cases[i].id, .above = cases[i].above };

                RUN(call_levels_below, &call);
                assert_int_equal(call.result, cases[i].levels);
        }
}

/* The domain of a process is the nearest at or above its cgroup. */
static void test_find_domain(void **state)
{
        struct books_call call = {};

        (void) state;
        RUN(call_find_domain, &call);
        assert_int_equal(call.result, 0);
        make_domain(top.id, 0);
        RUN(call_find_domain, &call);
        assert_int_equal(call.result, top.id);
        make_domain(middle.id, top.id);
        RUN(call_find_domain, &call);
        assert_int_equal(call.result, middle.id);
        make_domain(leaf.id, middle.id);
        RUN(call_find_domain, &call);
        assert_int_equal(call.result, leaf.id);
}

/* The daemon makes a domain once, and later changes its limits only. */
static void test_set_domain(void **state)
{
        struct gate_domain_request request = { .id = 5, .domain = { .parent = 1, .max = { 1, 2, 3, 4 }, .denied = 9 } };
        struct gate_domain domain;
        uint64_t full;

        (void) state;
        make_domain(1, 0);
        request.error = 1;
        RUN(set_domain, &request);
        assert_int_equal(request.error, 0);
        book(5, 10, 20, 30, 40); /* is past the limits */
        check_usage(1, 0, 0, 0, 0);
        domain = read_domain(5);
        assert_memory_equal(&domain, &request.domain, sizeof(domain));
        domain.usage[GATE_MAPS] = 77;
        write_domain(5, &domain);

        request.domain = (struct gate_domain){
                .parent = 1, .max = { 5, 6, 7, 8 }, .usage = { 1, 1, 1, 1 }, .denied = 1
        };
        request.error = 1;
        RUN(set_domain, &request);
        assert_int_equal(request.error, 0);
        memcpy(domain.max, request.domain.max, sizeof(domain.max));
        request.domain = read_domain(5);
        assert_memory_equal(&domain, &request.domain, sizeof(domain));

        request.domain = (struct gate_domain){ .parent = 2, .max = { 50, 60, 70, 80 } };
        RUN(set_domain, &request);
        assert_int_equal(request.error, -EEXIST);
        request.domain = read_domain(5);
        assert_memory_equal(&domain, &request.domain, sizeof(domain));

        for (full = 100; full < 100 + DOMAINS_MAX - 2; full++)
                make_domain(full, 0);
        request.id = full;
        RUN(set_domain, &request);
        assert_int_equal(request.error, -E2BIG);
}

/* --- Creation ----------------------------------------------------------------------------------------------------- */

/* Domains of the cgroups that the test is in. */
static void make_cgroup_domains(void)
{
        make_domain(top.id, 0);
        make_domain(leaf.id, top.id);
}

static void check_both(int64_t allocated, int64_t charged, int64_t maps, int64_t programs)
{
        check_usage(leaf.id, allocated, charged, maps, programs);
        check_usage(top.id, allocated, charged, maps, programs);
}

/* A map that is let in has its entry, and is booked with what it measures. */
static void test_map(void **state)
{
        struct object map = make_array(100 * KIB);
        struct gate_object wanted = { .key = map.key,
                .domain = leaf.id,
                .allocated = map.allocated,
                .charged = map.charged,
                .ceiling = map.allocated,
                .kind = OBJECT_MAP };
        struct gate_object object;

        (void) state;
        assert_in_range(map.allocated, 100 * KIB, 110 * KIB);
        /* Without a domain there is nothing to book. */
        assert_int_equal(HOOK(gate_map, map.address), 0);
        assert_int_equal(count_entries(), 0);
        make_cgroup_domains();
        assert_int_equal(HOOK(gate_map, map.address), 0);
        check_both(map.allocated, map.charged, 1, 0);
        object = read_entry(map.key);
        assert_memory_equal(&object, &wanted, sizeof(object));
        /* The end of the last map at this address was missed. */
        HOOK(gate_map_free, map.address);
        enter_object((struct gate_object){
                        .key = map.key, .domain = top.id, .allocated = 5, .charged = 5, .kind = OBJECT_MAP, .id = 1 });
        assert_int_equal(HOOK(gate_map, map.address), 0);
        check_both(map.allocated, map.charged, 1, 0);
        object = read_entry(map.key);
        assert_memory_equal(&object, &wanted, sizeof(object));
        assert_int_equal(settings->unbooked, 0);
        assert_int_equal(HOOK(gate_map_free, map.address), 0);
        check_both(0, 0, 0, 0);
        assert_false(find_entry(map.key, NULL));
        assert_int_equal(take_events(), 0);
        close(map.fd);
}

/* One that is refused is booked nowhere and has no entry; it is counted and told. */
static void test_map_refused(void **state)
{
        struct object map = make_array(100 * KIB);
        char comm[OBJECT_NAME_SIZE] = "";

        (void) state;
        make_cgroup_domains();
        book(leaf.id, 1000, 1000, 3, 0);
        set_max(top.id, GATE_ALLOCATED, 1000 + map.allocated - 1);
        assert_int_equal(HOOK(gate_map, map.address), -ENOMEM);
        check_both(1000, 1000, 3, 0);
        assert_int_equal(count_entries(), 0);
        assert_int_equal(read_domain(top.id).denied, 1);
        assert_int_equal(read_domain(leaf.id).denied, 0);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.kind, GATE_REFUSED_MAP);
        assert_int_equal(event.domain, top.id);
        assert_int_equal(event.cgroup_id, leaf.id);
        assert_int_equal(event.wanted, map.allocated);
        assert_int_equal(event.usage, 1000);
        assert_int_equal(event.max, 1000 + map.allocated - 1);
        assert_int_equal(event.resource, GATE_ALLOCATED);
        assert_int_equal(event.type, BPF_MAP_TYPE_ARRAY);
        assert_int_equal(event.pid, getpid());
        assert_string_equal(event.name, "bb_books");
        FILE *file = fopen("/proc/self/comm", "re");
        assert_non_null(file);
        assert_non_null(fgets(comm, sizeof(comm), file));
        fclose(file);
        comm[strcspn(comm, "\n")] = '\0';
        assert_string_equal(event.comm, comm);

        set_max(top.id, GATE_ALLOCATED, UNLIMITED);
        set_max(leaf.id, GATE_MAPS, 3);
        assert_int_equal(HOOK(gate_map, map.address), -ENOMEM);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.domain, leaf.id);
        assert_int_equal(event.wanted, 1);
        assert_int_equal(event.resource, GATE_MAPS);
        assert_int_equal(read_domain(leaf.id).denied, 1);
        set_max(leaf.id, GATE_MAPS, UNLIMITED);
        set_max(leaf.id, GATE_CHARGED, 999);
        assert_int_equal(HOOK(gate_map, map.address), -ENOMEM);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.wanted, map.charged);
        assert_int_equal(event.resource, GATE_CHARGED);

        /* Without enforcement it is let in, and booked. */
        settings->enforcing = 0;
        assert_int_equal(HOOK(gate_map, map.address), 0);
        check_both(1000 + map.allocated, 1000 + map.charged, 4, 0);
        assert_int_equal(read_domain(leaf.id).denied, 2);
        assert_int_equal(take_events(), 0);
        close(map.fd);
}

/* PID 1, the daemon, and what is in the daemon's cgroup are never refused, but booked. */
static void test_exempt(void **state)
{
        struct object map = make_array(100 * KIB);
        const uint64_t others = 12345ULL << 32 | 12345;

        (void) state;
        make_cgroup_domains();
        set_max(leaf.id, GATE_MAPS, 0);
        for (int i = 0; i < 3; i++) {
                books->bss->fake_pid_tgid = i == 1 ? 1ULL << 32 | 4711 : others;
                settings->daemon_tgid = i == 0 ? 12345 : 77;
                settings->own_cgroup = i == 2 ? leaf.id : middle.id;
                assert_int_equal(HOOK(gate_map, map.address), 0);
                check_both(map.allocated, map.charged, 1, 0);
                HOOK(gate_map_free, map.address);
        }
        books->bss->fake_pid_tgid = 77ULL << 32 | 1;
        settings->daemon_tgid = 78;
        settings->own_cgroup = 0;
        assert_int_equal(HOOK(gate_map, map.address), -ENOMEM);
        check_both(0, 0, 0, 0);
        close(map.fd);
}

/* The root is charged for nothing. */
static void test_root(void **state)
{
        struct object map = make_array(100 * KIB);
        struct stat st;
        struct object program = make_program(2);

        (void) state;
        assert_int_equal(stat(mount, &st), 0);
        make_domain(st.st_ino, 0);
        cgroup_enter("/");
        assert_int_equal(HOOK(gate_map, map.address), 0);
        assert_int_equal(HOOK(gate_program, program.address), 0);
        cgroup_enter(leaf.path);
        check_usage(st.st_ino, map.allocated + read_entry(program.key).allocated, 0, 1, 1);
        assert_int_equal(read_entry(map.key).uncharged, 1);
        assert_int_equal(read_entry(map.key).charged, 0);
        assert_int_equal(read_entry(program.key).uncharged, 1);
        close(map.fd);
        close(program.fd);
}

/* What cannot be booked is counted, and refused where something enforces. */
static void test_unbooked(void **state)
{
        struct object map = make_array(4);
        struct books_call call = { .id = leaf.id, .address = map.address, .unknown = 1 };

        (void) state;
        make_cgroup_domains();
        RUN(call_admit_map, &call);
        assert_int_equal((int) call.result, -ENOMEM);
        assert_int_equal(settings->unbooked, 1);
        settings->daemon_tgid = getpid();
        RUN(call_admit_map, &call);
        assert_int_equal(call.result, 0);
        settings->daemon_tgid = 0;
        settings->enforcing = 0;
        RUN(call_admit_map, &call);
        assert_int_equal(call.result, 0);
        assert_int_equal(settings->unbooked, 3);
        assert_int_equal(count_entries(), 0);
        check_both(0, 0, 0, 0);
        close(map.fd);
}

/* The same where the table of objects is full; nothing stays booked. */
static void test_table_full(void **state)
{
        struct object map = make_array(4);

        (void) state;
        make_cgroup_domains();
        for (int i = 1; i <= OBJECTS_MAX; i++)
                write_entry(&(struct gate_object){ .key = i });
        assert_int_equal(HOOK(gate_map, map.address), -ENOMEM);
        assert_int_equal(settings->unbooked, 1);
        check_both(0, 0, 0, 0);
        settings->daemon_tgid = getpid();
        assert_int_equal(HOOK(gate_map, map.address), 0);
        check_both(0, 0, 0, 0);
        /* Nor does what was there before the gate. */
        settlements[0] = (struct gate_settlement){
                .key = map.key, .address = map.address, .domain = leaf.id, .id = map.id, .kind = OBJECT_MAP
        };
        RUN(settle_objects, (&(struct gate_settle_request){ 1 }));
        check_both(0, 0, 0, 0);
        assert_int_equal(take_events(), 0);
        close(map.fd);
}

/* The cgroup that has filled the table gets no more of it; another one does, up to the last entry. */
static void test_table_shares(void **state)
{
        struct object map = make_array(4), other = make_array(4);

        (void) state;
        make_cgroup_domains();
        settings->objects = OBJECTS_MAX / 8 * 7 - 1;
        set_usage(leaf.id, GATE_MAPS, OBJECTS_MAX);
        /* There is room enough for all yet. */
        assert_int_equal(HOOK(gate_map, map.address), 0);
        assert_int_equal(settings->objects, OBJECTS_MAX / 8 * 7);
        set_usage(leaf.id, GATE_MAPS, OBJECTS_MAX / 4 - 1);
        set_usage(leaf.id, GATE_PROGRAMS, 1);
        assert_int_equal(HOOK(gate_map, other.address), -ENOMEM);
        assert_int_equal(settings->unbooked, 1);
        assert_int_equal(count_entries(), 1);
        set_usage(leaf.id, GATE_PROGRAMS, 0);
        assert_int_equal(HOOK(gate_map, other.address), 0);
        assert_int_equal(count_entries(), 2);
        /* The daemon and PID 1 are not held up by what a cgroup has. */
        HOOK(gate_map_free, other.address);
        assert_int_equal(count_entries(), 1);
        settings->objects = OBJECTS_MAX - 1;
        set_usage(leaf.id, GATE_MAPS, OBJECTS_MAX);
        assert_int_equal(HOOK(gate_map, other.address), -ENOMEM);
        settings->daemon_tgid = getpid();
        assert_int_equal(HOOK(gate_map, other.address), 0);
        close(map.fd);
        close(other.fd);
}

/* A program before the verifier is booked by an estimate, which what it takes replaces. */
static void test_program(void **state)
{
        struct object program = make_program(2000);
        int64_t bytes = program.pages * sysconf(_SC_PAGESIZE) + program.aux_size + 8192;
        int64_t estimate = bytes + 64 * program.insns;
        struct gate_object object;

        (void) state;
        assert_true(program.pages > 1 && program.insns >= 2000);
        assert_int_equal(HOOK(gate_program, program.address), 0);
        assert_int_equal(HOOK(gate_program_loaded, program.address, 1), 0);
        assert_int_equal(count_entries(), 0);
        make_cgroup_domains();
        assert_int_equal(HOOK(gate_program, program.address), 0);
        check_both(estimate, bytes, 0, 1);
        check_committed(top.id, estimate, 0);
        object = read_entry(program.key);
        assert_int_equal(object.kind, OBJECT_PROGRAM);
        assert_int_equal(object.domain, leaf.id);
        assert_int_equal(object.allocated, estimate);
        assert_int_equal(object.charged, bytes);
        assert_int_equal(object.id, 0);
        assert_int_equal(object.uncharged, 0);
        HOOK(gate_program, program.address);
        check_both(estimate, bytes, 0, 1);
        assert_int_equal(settings->unbooked, 0);
        /* Its end, not yet its beginning. */
        HOOK(gate_program_loaded, program.address, 2);
        check_both(estimate, bytes, 0, 1);
        HOOK(gate_program_loaded, program.address, 1);
        check_both(program.allocated, program.charged, 0, 1);
        check_committed(top.id, program.allocated, 0);
        object = read_entry(program.key);
        assert_int_equal(object.allocated, program.allocated);
        assert_int_equal(object.charged, program.charged);
        assert_int_equal(object.id, 0);
        assert_int_equal(object.domain, leaf.id);
        HOOK(gate_program_free, program.address);
        check_both(0, 0, 0, 0);
        assert_false(find_entry(program.key, NULL));
        close(program.fd);
}

static void test_program_refused(void **state)
{
        struct object program = make_program(2);

        (void) state;
        make_cgroup_domains();
        set_max(leaf.id, GATE_PROGRAMS, 0);
        assert_int_equal(HOOK(gate_program, program.address), -ENOMEM);
        check_both(0, 0, 0, 0);
        assert_int_equal(count_entries(), 0);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.kind, GATE_REFUSED_PROGRAM);
        assert_int_equal(event.resource, GATE_PROGRAMS);
        assert_int_equal(event.type, BPF_PROG_TYPE_SOCKET_FILTER);
        assert_string_equal(event.name, "bb_books");
        set_max(leaf.id, GATE_PROGRAMS, UNLIMITED);
        set_max(leaf.id, GATE_CHARGED, program.pages * sysconf(_SC_PAGESIZE) + program.aux_size + 8192 - 1);
        assert_int_equal(HOOK(gate_program, program.address), -ENOMEM);
        set_max(leaf.id, GATE_CHARGED, program.pages * sysconf(_SC_PAGESIZE) + program.aux_size + 8192);
        assert_int_equal(HOOK(gate_program, program.address), 0);
        close(program.fd);
}

/* What another LSM refuses is taken off; what is made stays. */
static void test_denied(void **state)
{
        struct object map = make_array(4), program = make_program(2);

        (void) state;
        make_cgroup_domains();
        HOOK(gate_map, map.address);
        HOOK(gate_program, program.address);
        HOOK(gate_map_denied, map.address);
        HOOK(gate_program_denied, program.address);
        assert_int_equal(count_entries(), 2);
        books->bss->fake_result = -EPERM;
        HOOK(gate_map_denied, map.address);
        assert_false(find_entry(map.key, NULL));
        assert_true(find_entry(program.key, NULL));
        HOOK(gate_program_denied, program.address);
        check_both(0, 0, 0, 0);
        assert_int_equal(count_entries(), 0);
        close(map.fd);
        close(program.fd);
}

/* The probes of the functions that free say it too. */
static void test_freed_by_probe(void **state)
{
        struct object map = make_array(4), program = make_program(2);

        (void) state;
        make_cgroup_domains();
        HOOK(gate_map, map.address);
        HOOK(gate_program, program.address);
        PROBE(gate_map_freed, map.address, 0);
        assert_false(find_entry(map.key, NULL));
        assert_true(find_entry(program.key, NULL));
        PROBE(gate_program_freed, program.address, 0);
        assert_int_equal(count_entries(), 0);
        check_both(0, 0, 0, 0);
        close(map.fd);
        close(program.fd);
}

/* --- Locks -------------------------------------------------------------------------------------------------------- */

/* Who finds the entry locked leaves its end to who has the lock. */
static void test_lock(void **state)
{
        struct gate_object object = {
                .key = 42, .domain = 3, .allocated = 100, .charged = 50, .admitted = 10, .kind = OBJECT_MAP
        };
        struct books_call call = { .address = 42 };

        (void) state;
        make_chain();
        enter_object(object);
        check_usage(1, 110, 60, 1, 0);
        RUN(call_lock, &call);
        assert_int_equal(call.result, 1);
        assert_int_equal(read_entry(42).lock, 1);
        RUN(call_lock, &call);
        assert_int_equal(call.result, 0);
        RUN(call_unlock, &call);
        assert_int_equal(read_entry(42).lock, 0);
        check_usage(3, 110, 60, 1, 0);

        RUN(call_lock, &call);
        HOOK(gate_map_free, 42);
        assert_int_equal(read_entry(42).lock, 2);
        check_usage(3, 110, 60, 1, 0);
        HOOK(gate_map_free, 42);
        assert_int_equal(read_entry(42).lock, 2);
        RUN(call_unlock, &call);
        assert_false(find_entry(42, NULL));
        for (int id = 1; id <= 3; id++)
                check_usage(id, 0, 0, 0, 0);
}

/* A map at the address of one whose end is still being booked does not take its entry. */
static void test_locked_entry(void **state)
{
        struct object map = make_array(100 * KIB);
        struct gate_object object = {
                .key = map.key, .domain = leaf.id, .allocated = 5, .charged = 4, .lock = 1, .kind = OBJECT_MAP
        };

        (void) state;
        make_cgroup_domains();
        enter_object(object);
        assert_int_equal(HOOK(gate_map, map.address), -ENOMEM);
        check_both(5, 4, 1, 0);
        assert_int_equal(settings->unbooked, 1);
        assert_int_equal(read_entry(map.key).allocated, 5);
        assert_int_equal(read_entry(map.key).lock, 2);
        close(map.fd);
}

/* What is freed has off what was booked, admitted elements included, and uncharged ones only as allocated. */
static void test_take_off(void **state)
{
        (void) state;
        make_chain();
        for (int i = 0; i < 4; i++) {
                struct gate_object object = { .key = 42,
                        .domain = 3,
                        .allocated = 100,
                        .charged = i < 2 ? 0 : 50,
                        .admitted = 10,
                        .ceiling = i % 2 ? CEILING_UNBOUNDED : 150,
                        .kind = i % 2 ? OBJECT_MAP : OBJECT_PROGRAM,
                        .uncharged = i < 2 };

                enter_object(object);
                HOOK(gate_map_free, 42);
                assert_false(find_entry(42, NULL));
                for (int id = 1; id <= 3; id++) {
                        check_usage(id, 0, 0, 0, 0);
                        check_committed(id, 0, 0);
                }
        }
        /* One that somebody else is taking off. */
        write_entry(&(struct gate_object){ .key = 42, .allocated = 100, .kind = OBJECT_MAP });
        HOOK(gate_map_free, 42);
        assert_true(find_entry(42, NULL));
        assert_int_equal(read_entry(42).lock, 0);
        /* The memory of an entry that is another one's by now. */
        empty(books->maps.gate_objects);
        enter_object((struct gate_object){ .key = 42, .domain = 3, .kind = OBJECT_MAP });
        write_entry(&(struct gate_object){ .key = 42, .domain = 3, .kind = OBJECT_MAP });
        assert_int_equal(bpf_map__update_elem(books->maps.gate_objects, &(uint64_t){ 42 }, 8,
                                         &(struct gate_object){ .key = 43, .domain = 3, .kind = OBJECT_MAP },
                                         sizeof(struct gate_object), BPF_ANY),
                        0);
        HOOK(gate_map_free, 42);
        assert_true(find_entry(42, NULL));
        check_usage(3, 0, 0, 1, 0);
}

/* --- Settlements -------------------------------------------------------------------------------------------------- */

/* Settles @object as the daemon does; @held: it counts for who holds it. Returns whether it is to be settled again. */
static int settle_as(const struct object *object, uint32_t kind, uint64_t domain, uint32_t measure, bool held)
{
        settlements[0] = (struct gate_settlement){ .key = object->key,
                .address = object->address,
                .domain = domain,
                .allocated = 300,
                .charged = 200,
                .ceiling = 900,
                .id = object->id,
                .kind = kind,
                .held = held,
                .measure = measure,
                .again = 2 };
        RUN(settle_objects, (&(struct gate_settle_request){ .count = 1 }));
        return settlements[0].again;
}

static int settle_one(const struct object *object, uint32_t kind, uint64_t domain, uint32_t measure)
{
        return settle_as(object, kind, domain, measure, false);
}

/* What was there before the gate is entered, in its domain, as it measures. */
static void test_settle_new(void **state)
{
        struct object map = make_array(100 * KIB), program = make_program(2);

        (void) state;
        make_chain();
        assert_int_equal(settle_one(&map, OBJECT_MAP, 0, GATE_MEASURE), 0);
        assert_int_equal(count_entries(), 0);
        assert_int_equal(settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE), 0);
        assert_int_equal(settle_one(&program, OBJECT_PROGRAM, 2, GATE_MEASURE), 0);
        check_usage(3, map.allocated, map.charged, 1, 0);
        check_usage(2, map.allocated + program.allocated, map.charged + program.charged, 1, 1);
        check_usage(1, map.allocated + program.allocated, map.charged + program.charged, 1, 1);
        assert_int_equal(read_entry(map.key).id, map.id);
        assert_int_equal(read_entry(map.key).kind, OBJECT_MAP);
        assert_int_equal(read_entry(map.key).uncharged, 0);
        assert_int_equal(read_entry(program.key).id, program.id);
        assert_int_equal(read_entry(program.key).kind, OBJECT_PROGRAM);
        assert_int_equal(read_entry(program.key).domain, 2);
        close(map.fd);
        close(program.fd);
}

/* The daemon says what of it counts. */
static void test_settle_measure(void **state)
{
        struct object map = make_nobodys_array(100 * KIB);

        (void) state;
        make_chain();
        settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE_NOBODYS);
        check_usage(3, map.allocated, 0, 1, 0);
        assert_int_equal(read_entry(map.key).uncharged, 1);
        settle_one(&map, OBJECT_MAP, 3, GATE_AS_TOLD);
        check_usage(3, 300, 200, 1, 0);
        assert_int_equal(read_entry(map.key).uncharged, 0);
        settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE);
        check_usage(3, map.allocated, map.charged, 1, 0);
        settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE_NOBODYS);
        check_usage(3, map.allocated, 0, 1, 0);
        assert_int_equal(read_entry(map.key).uncharged, 1);
        assert_int_equal(read_entry(map.key).charged, 0);
        assert_int_equal(read_entry(map.key).allocated, map.allocated);
        check_usage(1, map.allocated, 0, 1, 0);
        close(map.fd);
}

/* What counts for who holds it is taken to that one's domain, wherever that is, and out if there is none. */
static void test_settle_move(void **state)
{
        static const int moves[] = { 3, 9, 2, 3, 2, 1, 3, 1, 9, 3, 9 };
        struct object map = make_array(100 * KIB), program = make_program(2);

        (void) state;
        make_chain();
        book(3, 11, 12, 13, 14);
        book(9, 11, 12, 13, 14);
        for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
                struct books_call call = { .above = 1 };

                assert_int_equal(settle_as(&map, OBJECT_MAP, moves[i], i % 2 ? GATE_AS_TOLD : GATE_MEASURE, true), 0);
                assert_int_equal(settle_as(&program, OBJECT_PROGRAM, moves[i], i % 2 ? GATE_MEASURE : GATE_AS_TOLD,
                                                 true),
                                0);
                assert_int_equal(read_entry(map.key).domain, moves[i]);
                for (int id = 1; id <= 9; id = id == 3 ? 9 : id + 1) {
                        int64_t allocated = i % 2 ? 300 + program.allocated : map.allocated + 300;
                        int64_t charged = i % 2 ? 200 + program.charged : map.charged + 200;
                        int own = id == 1 ? 2 : 1;
                        bool is_in;

                        call.id = moves[i];
                        call.above = id;
                        RUN(call_levels_below, &call);
                        is_in = call.result > 0 || id == moves[i];
                        check_usage(id, 11 * own + is_in * allocated, 12 * own + is_in * charged, 13 * own + is_in,
                                        14 * own + is_in);
                }
        }
        assert_int_equal(settle_as(&map, OBJECT_MAP, 0, GATE_MEASURE, true), 0);
        assert_false(find_entry(map.key, NULL));
        assert_int_equal(settle_as(&program, OBJECT_PROGRAM, 0, GATE_MEASURE, true), 0);
        assert_int_equal(count_entries(), 0);
        check_usage(9, 11, 12, 13, 14);
        check_usage(3, 11, 12, 13, 14);
        check_usage(2, 11, 12, 13, 14);
        check_usage(1, 22, 24, 26, 28);
        close(map.fd);
        close(program.fd);
}

static void mark_domain(uint64_t id, bool gone, bool retired)
{
        struct gate_domain domain = read_domain(id);

        domain.gone = gone;
        domain.retired = retired;
        write_domain(id, &domain);
}

/*
 * The daemon may find a cgroup gone before the gate is told of it: what is charged to those above by then stays, for
 * the next one of the path. Only what a budget that was taken away has counted moves up.
 */
static void test_settle_up(void **state)
{
        static const uint64_t above[] = { 2, 1, 0 };
        struct object map = make_array(100 * KIB), program = make_program(2);

        (void) state;
        make_chain();
        assert_int_equal(settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE), 0);
        assert_int_equal(settle_one(&program, OBJECT_PROGRAM, 3, GATE_MEASURE), 0);
        for (int i = 0; i < 6; i++) {
                bool gone = i >= 3, retired = i >= 4;

                mark_domain(3, gone, retired);
                assert_int_equal(settle_as(&map, OBJECT_MAP, above[i % 3], GATE_MEASURE, gone), 0);
                assert_int_equal(settle_as(&program, OBJECT_PROGRAM, above[i % 3], GATE_MEASURE, gone), 0);
                assert_int_equal(read_entry(map.key).domain, 3);
                assert_int_equal(read_entry(program.key).domain, 3);
                check_usage(3, map.allocated + program.allocated, map.charged + program.charged, 1, 1);
                check_usage(1, map.allocated + program.allocated, map.charged + program.charged, 1, 1);
        }
        mark_domain(3, false, false);
        /* What counted for who held it goes back to who is charged. */
        settle_one(&program, OBJECT_PROGRAM, 2, GATE_MEASURE);
        assert_int_equal(read_entry(program.key).domain, 2);
        settle_one(&program, OBJECT_PROGRAM, 1, GATE_MEASURE);
        assert_int_equal(read_entry(program.key).domain, 2);
        /* To the side it goes, as nothing that is removed does. */
        settle_one(&program, OBJECT_PROGRAM, 9, GATE_MEASURE);
        check_usage(9, program.allocated, program.charged, 0, 1);
        mark_domain(3, false, true);
        settle_one(&map, OBJECT_MAP, 2, GATE_MEASURE);
        check_usage(3, 0, 0, 0, 0);
        check_usage(2, map.allocated, map.charged, 1, 0);
        mark_domain(2, false, true);
        settle_one(&map, OBJECT_MAP, 0, GATE_MEASURE);
        assert_false(find_entry(map.key, NULL));
        check_usage(1, program.allocated, program.charged, 0, 1);
        close(map.fd);
        close(program.fd);
}

/* A settlement books past a limit: it says what is there. */
static void test_settle_past_max(void **state)
{
        struct object map = make_array(100 * KIB);

        (void) state;
        make_chain();
        set_max(2, GATE_ALLOCATED, 10);
        set_max(9, GATE_MAPS, 0);
        settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE);
        check_usage(1, map.allocated, map.charged, 1, 0);
        settle_one(&map, OBJECT_MAP, 9, GATE_MEASURE);
        check_usage(9, map.allocated, map.charged, 1, 0);
        check_usage(2, 0, 0, 0, 0);
        assert_int_equal(read_domain(2).denied, 0);
        close(map.fd);
}

/* One that is gone, or another object at its address, is not booked; its entry stays until its release. */
static void test_settle_gone(void **state)
{
        struct object map = make_array(100 * KIB), gone = map;

        (void) state;
        make_chain();
        gone.id++;
        assert_int_equal(settle_one(&gone, OBJECT_MAP, 3, GATE_MEASURE), 0);
        assert_int_equal(count_entries(), 0);
        settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE);
        settle_one(&gone, OBJECT_MAP, 2, GATE_AS_TOLD);
        assert_int_equal(read_entry(map.key).domain, 3);
        check_usage(3, map.allocated, map.charged, 1, 0);
        /* Only what is gone is forgotten, and only what the entry is of. */
        assert_int_equal(settle_one(&map, OBJECT_MAP, 0, GATE_FORGET), 0);
        assert_true(find_entry(map.key, NULL));
        settle_one(&gone, OBJECT_MAP, 0, GATE_FORGET);
        assert_true(find_entry(map.key, NULL));
        enter_object((struct gate_object){ .key = 42, .domain = 3, .allocated = 1, .id = map.id, .kind = OBJECT_MAP });
        settle_one(&(struct object){ .key = 42, .address = map.address + 8, .id = map.id }, OBJECT_MAP, 0, GATE_FORGET);
        assert_false(find_entry(42, NULL));
        check_usage(3, map.allocated, map.charged, 1, 0);
        close(map.fd);
}

/* So many as the daemon says, each by itself. */
static void test_settle_many(void **state)
{
        struct object maps[3];

        (void) state;
        make_chain();
        for (int i = 0; i < 3; i++) {
                maps[i] = make_array((i + 1) * 10 * KIB);
                settlements[i] = (struct gate_settlement){ .key = maps[i].key,
                        .address = maps[i].address,
                        .domain = 3,
                        .id = maps[i].id,
                        .kind = OBJECT_MAP };
        }
        settlements[0].id++;
        RUN(settle_objects, (&(struct gate_settle_request){ .count = 2 }));
        check_usage(3, maps[1].allocated, maps[1].charged, 1, 0);
        settlements[0].id--;
        RUN(settle_objects, (&(struct gate_settle_request){ .count = 3 }));
        check_usage(3, maps[0].allocated + maps[1].allocated + maps[2].allocated,
                        maps[0].charged + maps[1].charged + maps[2].charged, 3, 0);
        for (int i = 0; i < 3; i++)
                close(maps[i].fd);
}

/* What somebody else has locked, or is another's by now, or being freed. */
static void test_settle_locked(void **state)
{
        struct object map = make_array(4);
        struct gate_object object = {
                .key = map.key, .domain = 3, .allocated = 10, .charged = 10, .lock = 1, .id = map.id, .kind = OBJECT_MAP
        };

        (void) state;
        make_chain();
        enter_object(object);
        assert_int_equal(settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE), 1);
        check_usage(3, 10, 10, 1, 0);
        assert_int_equal(read_entry(map.key).lock, 1);
        object.lock = 0;
        object.domain = 0;
        write_entry(&object);
        assert_int_equal(settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE), 0);
        assert_int_equal(read_entry(map.key).domain, 0);
        assert_int_equal(read_entry(map.key).lock, 0);
        object.domain = 3;
        object.key++;
        assert_int_equal(bpf_map__update_elem(books->maps.gate_objects, &map.key, sizeof(map.key), &object,
                                         sizeof(object), BPF_ANY),
                        0);
        assert_int_equal(settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE), 0);
        check_usage(3, 10, 10, 1, 0);
        object.key--;
        write_entry(&object);
        assert_int_equal(settle_one(&map, OBJECT_MAP, 3, GATE_MEASURE), 0);
        check_usage(3, map.allocated, map.charged, 1, 0);
        assert_int_equal(read_entry(map.key).lock, 0);
        close(map.fd);
}

/* A map that the daemon saw before the kernel said whom it is charged to stays charged, and in its domain. */
static void test_settle_seen_early(void **state)
{
        struct object map = make_array(100 * KIB), nobodys = make_nobodys_array(100 * KIB), program = make_program(2);

        (void) state;
        make_cgroup_domains();
        HOOK(gate_map, map.address);
        HOOK(gate_program, program.address);
        settle_one(&map, OBJECT_MAP, leaf.id, GATE_MEASURE_NOBODYS);
        assert_int_equal(read_entry(map.key).uncharged, 0);
        assert_int_equal(read_entry(map.key).id, 0);
        settle_one(&program, OBJECT_PROGRAM, leaf.id, GATE_MEASURE_NOBODYS);
        assert_int_equal(read_entry(program.key).uncharged, 1);
        check_both(map.allocated + program.allocated, map.charged, 1, 1);
        settle_one(&map, OBJECT_MAP, leaf.id, GATE_MEASURE);
        assert_int_equal(read_entry(map.key).id, map.id);
        /* It was complete when the daemon got as far as to settle what it had seen. */
        settle_one(&map, OBJECT_MAP, 0, GATE_MEASURE_NOBODYS);
        assert_int_equal(read_entry(map.key).uncharged, 0);
        assert_int_equal(read_entry(map.key).domain, leaf.id);
        check_both(map.allocated + program.allocated, map.charged, 1, 1);
        close(map.fd);
        close(program.fd);
        HOOK(gate_map_free, map.address);
        HOOK(gate_program_free, program.address);
        /* One that nobody is charged for is not early: it becomes uncharged. */
        HOOK(gate_map, nobodys.address);
        settle_one(&nobodys, OBJECT_MAP, leaf.id, GATE_MEASURE);
        assert_int_equal(read_entry(nobodys.key).uncharged, 0);
        settle_one(&nobodys, OBJECT_MAP, leaf.id, GATE_MEASURE_NOBODYS);
        assert_int_equal(read_entry(nobodys.key).uncharged, 1);
        check_both(nobodys.allocated, 0, 1, 0);
        close(nobodys.fd);
        HOOK(gate_map_free, nobodys.address);
        check_both(0, 0, 0, 0);
}

#define THREAD 5
#define NOW    1000

/* What was admitted lately stays on top of a measurement, as long as it may be on its way into the map. */
static void test_still_coming(void **state)
{
        static const struct {
                uint64_t window, mixed, grower;
                int64_t kept;
        } cases[] = {
                { NOW, NOW, THREAD, 30 + 200 },     /* both windows */
                { NOW, NOW - 1, THREAD, 30 + 200 }, /* more than one thread */
                { NOW, NOW - 2, THREAD, 0 },        /* one, and it is here again */
                { NOW, NOW - 2, THREAD + 1, 4 },    /* its last one */
                { NOW - 1, NOW - 2, THREAD + 1, 4 },
                { NOW - 1, NOW - 1, THREAD, 30 }, /* what came before is in the map */
                { NOW - 1, NOW, THREAD + 1, 30 },
                { NOW - 2, NOW, THREAD + 1, 0 }, /* too old */
                { NOW - 3, NOW - 3, THREAD, 0 },
                { NOW, 0, THREAD + 1, 4 },
        };
        struct object map = make_array(4);

        (void) state;
        make_chain();
        books->bss->fake_pid_tgid = THREAD;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                for (int uncharged = 0; uncharged < 2; uncharged++) {
                        struct gate_object object = { .key = map.key,
                                .domain = 3,
                                .allocated = 1000,
                                .charged = uncharged ? 0 : 1000,
                                .admitted = 500,
                                .recent = 30,
                                .previous = 200,
                                .last = 4,
                                .window = cases[i].window,
                                .mixed = cases[i].mixed,
                                .grower = cases[i].grower,
                                .id = map.id,
                                .kind = OBJECT_MAP,
                                .uncharged = uncharged };
                        int64_t kept = cases[i].kept;
                        int again;

                        enter_object(object);
                        again = settle_as(&map, OBJECT_MAP, i % 2 ? 3 : 2,
                                        uncharged ? GATE_MEASURE_NOBODYS : GATE_MEASURE, true);
                        if (read_entry(map.key).admitted != kept)
                                fail_msg("case %zu: %lld are kept", i, (long long) read_entry(map.key).admitted);
                        assert_int_equal(again, kept != 0);
                        check_usage(1, map.allocated + kept, uncharged ? 0 : map.charged + kept, 1, 0);
                        HOOK(gate_map_free, map.address);
                        check_usage(1, 0, 0, 0, 0);
                        check_usage(3, 0, 0, 0, 0);
                }
        close(map.fd);
}

/*
 * A measurement takes its time: what is admitted meanwhile stays on top of it, with what was coming when it began. One
 * that somebody else's has overtaken says nothing.
 */
static void test_settle_admitted_meanwhile(void **state)
{
        static const struct {
                int64_t before[3]; /* allocated, admitted, coming */
                int64_t kept;      /* -1: nothing is changed */
        } cases[] = {
                { { 1000, 500, 0 }, 0 },
                { { 1000, 500, 30 }, 30 },
                { { 1000, 200, 30 }, 330 },
                { { 1000, 0, 0 }, 500 },
                { { 1000, 501, 30 }, -1 },
                { { 999, 200, 30 }, -1 },
                { { 1001, 500, 0 }, -1 },
        };

        (void) state;
        make_domain(1, 0);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct books_call call = { .address = 77, .allocated = 1250 };
                int64_t kept = cases[i].kept;

                memcpy(call.amount, cases[i].before, sizeof(cases[i].before));
                enter_object((struct gate_object){ .key = 77,
                                .domain = 1,
                                .allocated = 1000,
                                .charged = 1000,
                                .admitted = 500,
                                .kind = OBJECT_MAP });
                RUN(call_settle_entry, &call);
                assert_int_equal(call.result, kept != 0);
                assert_int_equal(read_entry(77).admitted, kept < 0 ? 500 : kept);
                assert_int_equal(read_entry(77).allocated, kept < 0 ? 1000 : 1250);
                assert_int_equal(read_entry(77).lock, 0);
                check_usage(1, kept < 0 ? 1500 : 1250 + kept, kept < 0 ? 1500 : 1250 + kept, 1, 0);
                HOOK(gate_map_free, 77);
                check_usage(1, 0, 0, 0, 0);
        }
}

/* --- Growth ------------------------------------------------------------------------------------------------------- */

struct update_attr {
        uint32_t map_fd, reserved;
        uint64_t key, value, flags;
};

struct batch_attr {
        uint64_t in_batch, out_batch, keys, values;
        uint32_t count, map_fd;
        uint64_t elem_flags, flags;
};

/* The attributes of bpf(2) at an address of the kernel. */
static uint64_t set_attr(int cmd, int fd, uint32_t count)
{
        struct books_call call = { .fd = fd };
        union bpf_attr attr = {};

        if (cmd == BPF_MAP_UPDATE_BATCH) {
                attr.batch.map_fd = fd;
                attr.batch.count = count;
        } else {
                attr.map_fd = fd;
        }
        memcpy(books->bss->attr, &attr, sizeof(attr));
        RUN(find_address, &call);
        return call.result;
}

static int update(int cmd, int fd, uint32_t count)
{
        uint64_t address = set_attr(cmd, fd, count);

        return HOOK(gate_update, cmd, address);
}

static struct books_call element_of(const struct object *map)
{
        struct books_call call = { .address = map->address };

        RUN(call_element_bytes, &call);
        return call;
}

/* Elements are booked before they are inserted, with the size class of the allocator. */
static void test_growth(void **state)
{
        struct object map = make_hash(100), fixed = make_map(BPF_MAP_TYPE_HASH, 4, 100, 100, 0);
        /* 48 bytes of an element's own, 8 of the key, 104 of the value, 8 of the free list: of 192, and 8 of the
         * cgroup. */
        const int64_t element = 200;
        struct gate_object object;

        (void) state;
        make_cgroup_domains();
        books->bss->fake_pid_tgid = 33ULL << 32 | 44;
        /* A map that is not booked grows as it likes. */
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        assert_int_equal(count_entries(), 0);
        HOOK(gate_map, map.address);
        HOOK(gate_map, fixed.address);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        check_both(map.allocated + fixed.allocated + element, map.charged + fixed.charged + element, 2, 0);
        object = read_entry(map.key);
        assert_int_equal(object.allocated, map.allocated);
        assert_int_equal(object.charged, map.charged);
        assert_int_equal(object.admitted, element);
        assert_int_equal(object.recent, element);
        assert_int_equal(object.last, element);
        assert_int_equal(object.previous, 0);
        assert_int_equal(object.window, NOW);
        assert_int_equal(object.mixed, 0);
        assert_int_equal(object.grower, 33ULL << 32 | 44);
        assert_int_equal(object.lock, 0);
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, map.fd, 7), 0);
        check_both(map.allocated + fixed.allocated + 8 * element, map.charged + fixed.charged + 8 * element, 2, 0);
        assert_int_equal(read_entry(map.key).admitted, 8 * element);
        assert_int_equal(read_entry(map.key).recent, 8 * element);
        assert_int_equal(read_entry(map.key).last, 7 * element);
        /* What is there beforehand, what inserts nothing, and what is no map. */
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, fixed.fd, 0), 0);
        assert_int_equal(update(BPF_MAP_LOOKUP_ELEM, map.fd, 0), 0);
        assert_int_equal(update(BPF_MAP_DELETE_ELEM, map.fd, 0), 0);
        assert_int_equal(update(BPF_MAP_DELETE_BATCH, map.fd, 3), 0);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, STDERR_FILENO, 0), 0);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, bpf_program__fd(books->progs.set_domain), 0), 0);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, -1, 0), 0);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, 1 << 20, 0), 0);
        check_both(map.allocated + fixed.allocated + 8 * element, map.charged + fixed.charged + 8 * element, 2, 0);
        /* Nor while the gate does not know what a map is among files. */
        settings->map_fops = 0;
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        check_both(map.allocated + fixed.allocated + 8 * element, map.charged + fixed.charged + 8 * element, 2, 0);
        close(map.fd);
        close(fixed.fd);
}

/* Which file descriptors are maps. */
static void test_map_of_fd(void **state)
{
        struct object map = make_array(4);
        struct books_call call = { .fd = map.fd };

        (void) state;
        RUN(call_map_of_fd, &call);
        assert_int_equal(call.result, map.address);
        call.fd = STDERR_FILENO;
        RUN(call_map_of_fd, &call);
        assert_int_equal(call.result, 0);
        call.fd = bpf_program__fd(books->progs.set_domain);
        RUN(call_map_of_fd, &call);
        assert_int_equal(call.result, 0);
        call.fd = 1 << 20;
        RUN(call_map_of_fd, &call);
        assert_int_equal(call.result, 0);
        close(map.fd);
        call.fd = map.fd;
        RUN(call_map_of_fd, &call);
        assert_int_equal(call.result, 0);
}

/* What was admitted in which window of time, and by how many threads. */
static void test_windows(void **state)
{
        static const struct {
                uint64_t now, thread;
                uint32_t count;
                int64_t recent, previous, last;
                uint64_t mixed;
        } steps[] = {
                { 1000, 5, 1, 1, 0, 1, 0 },
                { 1000, 5, 2, 3, 0, 2, 0 },
                { 1001, 5, 4, 4, 3, 4, 0 },
                { 1001, 6, 1, 5, 3, 1, 1001 },
                { 1001, 6, 1, 6, 3, 1, 1001 },
                { 1002, 6, 1, 1, 6, 1, 1001 },
                { 1004, 6, 1, 1, 0, 1, 1001 },
                { 1004, 5, 2, 3, 0, 2, 1004 },
                { 1006, 6, 2, 2, 0, 2, 1006 },
        };
        struct object map = make_hash(100);
        int64_t sum = 0;

        (void) state;
        make_cgroup_domains();
        HOOK(gate_map, map.address);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
                struct gate_object object;

                books->bss->fake_jiffies = steps[i].now;
                books->bss->fake_pid_tgid = steps[i].thread;
                assert_int_equal(update(BPF_MAP_UPDATE_BATCH, map.fd, steps[i].count), 0);
                object = read_entry(map.key);
                sum += steps[i].count;
                if (object.recent != 200 * steps[i].recent || object.previous != 200 * steps[i].previous ||
                                object.last != 200 * steps[i].last || object.mixed != steps[i].mixed)
                        fail_msg("step %zu: %lld, %lld, %lld, %lld", i, (long long) object.recent,
                                        (long long) object.previous, (long long) object.last, (long long) object.mixed);
                assert_int_equal(object.window, steps[i].now);
                assert_int_equal(object.grower, steps[i].thread);
                assert_int_equal(object.admitted, 200 * sum);
        }
        check_both(map.allocated + 200 * sum, map.charged + 200 * sum, 1, 0);
        /* Also while somebody has the lock, which stays. */
        struct books_call call = { .address = map.key };
        RUN(call_lock, &call);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        assert_int_equal(read_entry(map.key).admitted, 200 * (sum + 1));
        assert_int_equal(read_entry(map.key).lock, 1);
        close(map.fd);
}

/* A batch is on its way for longer the more elements it has, and what others insert meanwhile with it. */
static void test_window_of_batch(void **state)
{
        struct object map = make_hash(100);
        const int64_t batch = 640 * 200;

        (void) state;
        make_cgroup_domains();
        HOOK(gate_map, map.address);
        books->bss->fake_jiffies = 1000;
        books->bss->fake_pid_tgid = 5;
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, map.fd, 640), 0);
        assert_int_equal(read_entry(map.key).window, 1010);
        assert_int_equal(read_entry(map.key).recent, batch);
        books->bss->fake_jiffies = 1005;
        books->bss->fake_pid_tgid = 6;
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        assert_int_equal(read_entry(map.key).window, 1010);
        assert_int_equal(read_entry(map.key).mixed, 1010);
        assert_int_equal(read_entry(map.key).recent, batch + 200);
        /* All of it is kept on top of a measurement until then. */
        books->bss->fake_jiffies = 1009;
        books->bss->fake_pid_tgid = 7;
        settle_one(&map, OBJECT_MAP, leaf.id, GATE_MEASURE);
        assert_int_equal(read_entry(map.key).admitted, batch + 200);
        books->bss->fake_jiffies = 1012;
        settle_one(&map, OBJECT_MAP, leaf.id, GATE_MEASURE);
        assert_int_equal(read_entry(map.key).admitted, 0);
        close(map.fd);
}

/* Elements that nobody is charged for are allocated only. */
static void test_growth_uncharged(void **state)
{
        struct object map = make_hash(100);

        (void) state;
        make_cgroup_domains();
        settle_one(&map, OBJECT_MAP, leaf.id, GATE_MEASURE_NOBODYS);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        check_both(map.allocated + 200, 0, 1, 0);
        /* It stays so when it is brought up to date because a limit is reached. */
        set_max(leaf.id, GATE_ALLOCATED, map.allocated + 200);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), -ENOMEM);
        check_usage(leaf.id, read_domain(leaf.id).usage[GATE_ALLOCATED], 0, 1, 0);
        assert_int_equal(read_entry(map.key).uncharged, 1);
        /* Such elements are not held against what a cgroup is charged. */
        set_max(leaf.id, GATE_ALLOCATED, UNLIMITED);
        set_max(leaf.id, GATE_CHARGED, 0);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        close(map.fd);
}

/* One whose release has begun is not booked any more. */
static void test_growth_going(void **state)
{
        struct object map = make_hash(100);

        (void) state;
        make_cgroup_domains();
        write_entry(&(struct gate_object){ .key = map.key, .allocated = 10, .kind = OBJECT_MAP });
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        check_both(0, 0, 0, 0);
        /* Its entry is another one's: what was booked is taken off again. */
        assert_int_equal(bpf_map__update_elem(books->maps.gate_objects, &map.key, sizeof(map.key),
                                         &(struct gate_object){ .key = 1, .domain = leaf.id, .kind = OBJECT_MAP },
                                         sizeof(struct gate_object), BPF_ANY),
                        0);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        check_both(0, 0, 0, 0);
        assert_int_equal(read_entry(map.key).admitted, 0);
        close(map.fd);
}

/* Where the limit is near, the map is measured first; what does not fit then is refused, told, and not booked. */
static void test_growth_refused(void **state)
{
        struct object map = make_hash(100);
        uint64_t slack = element_of(&map).slack;
        struct gate_object object = { .key = map.key,
                .domain = leaf.id,
                .allocated = map.allocated,
                .charged = map.charged,
                .admitted = 100 * 200,
                .window = NOW - 5,
                .id = map.id,
                .kind = OBJECT_MAP };

        (void) state;
        make_cgroup_domains();
        enter_object(object);
        set_max(top.id, GATE_ALLOCATED, map.allocated + 200 + slack);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        assert_int_equal(take_events(), 0);
        assert_int_equal(read_domain(top.id).denied, 0);
        check_both(map.allocated + 200, map.charged + 200, 1, 0);
        assert_int_equal(read_entry(map.key).admitted, 200);
        assert_int_equal(read_entry(map.key).id, map.id);
        /* The last one may be on its way still, so it stays booked. */
        books->bss->fake_pid_tgid = 55ULL << 32 | 55;
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), -ENOMEM);
        check_both(map.allocated + 200, map.charged + 200, 1, 0);
        assert_int_equal(read_entry(map.key).admitted, 200);
        assert_int_equal(read_domain(top.id).denied, 1);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.kind, GATE_REFUSED_GROWTH);
        assert_int_equal(event.domain, top.id);
        assert_int_equal(event.wanted, 200);
        assert_int_equal(event.usage, map.allocated + 200);
        assert_int_equal(event.max, map.allocated + 200 + slack);
        assert_int_equal(event.type, BPF_MAP_TYPE_HASH);
        assert_string_equal(event.name, "bb_books");
        assert_int_equal(event.resource, GATE_ALLOCATED);
        /* Whoever is exempt goes on, and all do while nothing is enforced. */
        settings->daemon_tgid = 55;
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        settings->daemon_tgid = 0;
        settings->enforcing = 0;
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
        check_both(map.allocated + 600, map.charged + 600, 1, 0);
        close(map.fd);
}

/* A batch is let in as a whole or not at all, with what the free lists may take besides. */
static void test_growth_slack(void **state)
{
        struct object map = make_hash(100);
        uint64_t slack = element_of(&map).slack;

        (void) state;
        make_cgroup_domains();
        HOOK(gate_map, map.address);
        set_max(leaf.id, GATE_CHARGED, map.charged + 10 * 200 + slack - 1);
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, map.fd, 10), -ENOMEM);
        check_both(map.allocated, map.charged, 1, 0);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.wanted, 10 * 200);
        assert_int_equal(event.resource, GATE_CHARGED);
        set_max(leaf.id, GATE_CHARGED, map.charged + 10 * 200 + slack);
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, map.fd, 10), 0);
        check_both(map.allocated + 10 * 200, map.charged + 10 * 200, 1, 0);
        close(map.fd);
}

/*
 * The free lists are filled by so many elements at a time as the kernel says: the slack is at least that, and not much
 * more (it is rounded up, to 48 of small ones).
 */
static void test_refill(void **state)
{
        static const int sizes[] = { 8, 100, 180, 190, 192, 193, 200, 256, 300, 440, 449, 500, 600, 800, 900, 1000,
                1024, 1500, 1984, 2000, 2200, 3000, 4000, 5000, 8000, 9000, 20000 };

        (void) state;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                struct object map = make_hash(sizes[i]);
                struct books_call call = element_of(&map);
                int64_t batch = call.slack / call.result;

                assert_int_equal(call.slack % call.result, 0);
                assert_in_range(call.batch, 1, 48);
                if (batch < call.batch || batch > call.batch + 3)
                        fail_msg("values of %d bytes: room for %lld elements, the kernel takes %u at a time", sizes[i],
                                        (long long) batch, call.batch);
                close(map.fd);
        }
}

/* A hash per CPU has two such lists; since 6.8 the kernel fills that of the copies one by one. */
static void test_refill_percpu(void **state)
{
        static const struct {
                int size, batch;
        } cases[] = { { 8, 48 }, { 256, 48 }, { 264, 47 }, { 2048, 6 }, { 16000, 1 } };
        int64_t cpus = libbpf_num_possible_cpus();

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct object map = make_map(BPF_MAP_TYPE_PERCPU_HASH, 4, cases[i].size, 100, BPF_F_NO_PREALLOC);
                struct books_call call = element_of(&map);
                /* 72 bytes of an element, a pair of pointers, and the copies with a pointer for every 4 bytes of one.
                 */
                int64_t element = 96 + 8, copies = 16 + 8 + cases[i].size * cpus + cases[i].size / 4 * 8;

                assert_int_equal(call.result, element + copies);
                assert_int_equal(call.batch, 48);
                assert_int_equal(call.slack, 48 * element + cases[i].batch * copies);
                assert_in_range(call.percpu_batch, 1, cases[i].batch);
                close(map.fd);
        }
}

static uint32_t size_of_type(const char *name)
{
        struct btf *btf = btf__load_vmlinux_btf();
        int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
        uint32_t size = id > 0 ? btf__type_by_id(btf, id)->size : 0;

        btf__free(btf);
        assert_true(size > 0);
        return size;
}

/* What kmalloc() serves so many bytes from, with the pointer to the cgroup. */
static int64_t kmalloc_bytes(int64_t size)
{
        int64_t class = 8;

        if (size > 64 && size <= 96)
                return 96 + 8;
        if (size > 128 && size <= 192)
                return 192 + 8;
        while (class < size)
                class *= 2;
        return class + (class <= 8192 ? 8 : 0);
}

/* What one element of each kind takes; those that are there beforehand take nothing. */
static void test_elements(void **state)
{
        struct object hash = make_hash(1024), array = make_array(100);
        struct object trie = make_map(BPF_MAP_TYPE_LPM_TRIE, 8, 100, 100, BPF_F_NO_PREALLOC);
        uint32_t node = size_of_type("lpm_trie_node");
        struct books_call call;

        (void) state;
        assert_int_equal(element_of(&hash).result, kmalloc_bytes(48 + 8 + 1024 + 8));
        assert_int_equal(element_of(&array).result, 0);
        assert_int_equal(element_of(&array).slack, 0);
        /* A leaf and one between; 4 bytes of the key are data. */
        call = element_of(&trie);
        assert_int_equal(call.result, 2 * kmalloc_bytes(node + 4 + 100 + 8));
        assert_int_equal(call.slack, 48 * kmalloc_bytes(node + 4 + 100 + 8));
        close(hash.fd);
        close(array.fd);
        close(trie.fd);
}

/* Maps of maps, and what belongs to tasks. */
static void test_elements_others(void **state)
{
        struct object inner = make_array(4), outer, storage;
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC, .inner_map_fd = inner.fd);
        LIBBPF_OPTS(bpf_map_create_opts, of_tasks, .map_flags = BPF_F_NO_PREALLOC);
        const struct btf *btf = bpf_object__btf(books->obj);
        int64_t list = size_of_type("bpf_local_storage") + 8, elem = size_of_type("bpf_local_storage_elem");
        struct books_call call;

        (void) state;
        outer = finish_map(bpf_map_create(BPF_MAP_TYPE_HASH_OF_MAPS, "bb_books", 4, 4, 10, &opts));
        assert_int_equal(element_of(&outer).result, kmalloc_bytes(48 + 8 + 8 + 8));
        of_tasks.btf_fd = bpf_object__btf_fd(books->obj);
        of_tasks.btf_key_type_id = btf__find_by_name_kind(btf, "int", BTF_KIND_INT);
        of_tasks.btf_value_type_id = btf__find_by_name_kind(btf, "gate_domain_request", BTF_KIND_STRUCT);
        assert_true((int) of_tasks.btf_key_type_id > 0 && (int) of_tasks.btf_value_type_id > 0);
        storage = finish_map(bpf_map_create(
                        BPF_MAP_TYPE_TASK_STORAGE, "bb_books", 4, sizeof(struct gate_domain_request), 0, &of_tasks));
        call = element_of(&storage);
        /* The kernel's element ends with the value, in cache lines. */
        elem = (elem + (int64_t) sizeof(struct gate_domain_request)) / 2;
        assert_true(call.result >= kmalloc_bytes(list) + kmalloc_bytes(elem));
        assert_in_range(call.slack, 20 * call.result, 48 * call.result);
        close(inner.fd);
        close(outer.fd);
        close(storage.fd);
}

/* --- Ceilings ----------------------------------------------------------------------------------------------------- */

static void set_max_both(enum gate_resource resource, uint64_t max)
{
        set_max(leaf.id, resource, max);
        set_max(top.id, resource, max);
}

static void check_committed_both(int64_t committed, int64_t unbounded)
{
        check_committed(leaf.id, committed, unbounded);
        check_committed(top.id, committed, unbounded);
}

/* A map that belongs to tasks, which may come without an end. */
static struct object make_storage(void)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
        const struct btf *btf = bpf_object__btf(books->obj);

        opts.btf_fd = bpf_object__btf_fd(books->obj);
        opts.btf_key_type_id = btf__find_by_name_kind(btf, "int", BTF_KIND_INT);
        opts.btf_value_type_id = btf__find_by_name_kind(btf, "gate_domain_request", BTF_KIND_STRUCT);
        return finish_map(bpf_map_create(
                        BPF_MAP_TYPE_TASK_STORAGE, "bb_books", 4, sizeof(struct gate_domain_request), 0, &opts));
}

/* A map is booked with all that it can grow to when it is made: Max that this fits holds, and growth is never refused.
 */
static void test_committed(void **state)
{
        struct object map = make_hash(100), other = make_array(4);

        (void) state;
        assert_true(map.ceiling > 1000 * 200 && map.ceiling < 1500 * 200 && map.allocated < 250 * 200);
        make_cgroup_domains();
        set_max_both(GATE_COMMITTED, map.ceiling - 1);
        set_max_both(GATE_UNBOUNDED, 0);
        assert_int_equal(HOOK(gate_map, map.address), -ENOMEM);
        check_committed_both(0, 0);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.kind, GATE_REFUSED_MAP);
        assert_int_equal(event.resource, GATE_COMMITTED);
        assert_int_equal(event.wanted, map.ceiling);
        assert_int_equal(event.max, map.ceiling - 1);
        set_max_both(GATE_COMMITTED, map.ceiling);
        assert_int_equal(HOOK(gate_map, map.address), 0);
        check_committed_both(map.ceiling, 0);
        check_both(map.allocated, map.charged, 1, 0);
        assert_int_equal(read_entry(map.key).ceiling, map.ceiling);
        for (uint32_t key = 0; key < 1000; key++) {
                assert_int_equal(update(BPF_MAP_UPDATE_ELEM, map.fd, 0), 0);
                assert_int_equal(bpf_map_update_elem(map.fd, &key, (char[100]){}, 0), 0);
        }
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, map.fd, 100000), 0);
        check_committed_both(map.ceiling, 0);
        /* It measures the same when it is full. */
        books->bss->fake_jiffies += 10;
        settle_one(&map, OBJECT_MAP, leaf.id, GATE_MEASURE);
        assert_in_range(read_domain(leaf.id).usage[GATE_ALLOCATED], 1000 * 200, map.ceiling);
        check_committed_both(map.ceiling, 0);
        assert_int_equal(HOOK(gate_map, other.address), -ENOMEM);
        HOOK(gate_map_free, map.address);
        check_committed_both(0, 0);
        assert_int_equal(HOOK(gate_map, other.address), 0);
        check_committed_both(other.allocated, 0);
        close(map.fd);
        close(other.fd);
}

/* A small map that may grow beyond all memory has a ceiling that many of can be summed up. */
static void test_huge_ceiling(void **state)
{
        struct object trie = make_map(BPF_MAP_TYPE_LPM_TRIE, 8, 64 * KIB, UINT32_MAX, BPF_F_NO_PREALLOC);

        (void) state;
        assert_true(trie.ceiling == CEILING_MAX);
        close(trie.fd);
}

/* What has no ceiling is refused where that is said, in the domain or above; else it counts with what it has. */
static void test_unbounded(void **state)
{
        struct object storage = make_storage(), map = make_hash(100);
        struct books_call element;

        (void) state;
        assert_true(storage.ceiling == CEILING_UNBOUNDED);
        element = element_of(&storage);
        make_cgroup_domains();
        set_max(top.id, GATE_COMMITTED, 1 << 20);
        set_max(top.id, GATE_UNBOUNDED, 0);
        assert_int_equal(HOOK(gate_map, storage.address), -ENOMEM);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.domain, top.id);
        assert_int_equal(event.resource, GATE_UNBOUNDED);
        assert_int_equal(event.wanted, 1);
        check_committed_both(0, 0);
        set_max(top.id, GATE_UNBOUNDED, UNLIMITED);
        assert_int_equal(HOOK(gate_map, storage.address), 0);
        check_committed_both(storage.allocated, 1);
        /* It is nothing to those that have one. */
        set_max_both(GATE_UNBOUNDED, 0);
        assert_int_equal(HOOK(gate_map, map.address), 0);
        check_committed_both(storage.allocated + map.ceiling, 1);
        HOOK(gate_map_free, map.address);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, storage.fd, 0), 0);
        check_committed_both(storage.allocated + element.result, 1);
        set_max_both(GATE_COMMITTED, storage.allocated + 2 * element.result);
        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, storage.fd, 0), -ENOMEM);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.resource, GATE_COMMITTED);
        HOOK(gate_map_free, storage.address);
        check_committed_both(0, 0);
        close(storage.fd);
        close(map.fd);
}

/* Settlements book ceilings, also what the daemon says of types that are not known, and take them along. */
static void test_settle_committed(void **state)
{
        static const int moves[] = { 3, 9, 2, 3, 1, 3, 9 };
        struct object map = make_hash(100), storage = make_storage();

        (void) state;
        make_chain();
        for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
                uint32_t measure = i % 2 ? GATE_AS_TOLD : GATE_MEASURE;
                int64_t sum = i % 2 ? 900 + storage.allocated : (int64_t) map.ceiling + storage.allocated;

                settle_as(&map, OBJECT_MAP, moves[i], measure, true);
                settle_as(&storage, OBJECT_MAP, moves[i], GATE_MEASURE, true);
                check_committed(moves[i], sum, 1);
                check_committed(1, sum, 1);
                if (moves[i] != 9)
                        check_committed(9, 0, 0);
                if (moves[i] == 9 || moves[i] == 1)
                        check_committed(2, 0, 0);
        }
        settle_as(&map, OBJECT_MAP, 0, GATE_MEASURE, true);
        settle_as(&storage, OBJECT_MAP, 0, GATE_MEASURE, true);
        for (int id = 1; id <= 3; id++)
                check_committed(id, 0, 0);
        check_committed(9, 0, 0);
        close(map.fd);
        close(storage.fd);
}

static int64_t growth_of(const struct object *map, uint32_t count, uint64_t *slack, bool *grows)
{
        struct books_call call = { .address = map->address, .levels = count };

        RUN(call_growth_bytes, &call);
        *slack = call.slack;
        *grows = call.enforce;
        return call.result;
}

#define NP BPF_F_NO_PREALLOC

/*
 * Every type, empty and with elements that bpf(2) inserted: what is booked for them is at least what the map measures
 * then, where it can be told exactly just that, and of types that do not grow nothing.
 */
static const struct {
        struct map_kind kind;
        bool grows, exact;
} growths[] = {
        { { "hash", BPF_MAP_TYPE_HASH, 4, 100, 64 }, false, true },
        { { "hash NP", BPF_MAP_TYPE_HASH, 4, 100, 64, NP }, true, false },
        { { "percpu_hash NP", BPF_MAP_TYPE_PERCPU_HASH, 4, 104, 64, NP }, true, false },
        { { "percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, 4, 104, 64 }, false, true },
        { { "lru_hash", BPF_MAP_TYPE_LRU_HASH, 4, 100, 1000 }, false, true },
        { { "array", BPF_MAP_TYPE_ARRAY, 4, 100, 64 }, false, true },
        { { "percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 100, 64 }, false, true },
        { { "lpm_trie", BPF_MAP_TYPE_LPM_TRIE, 8, 100, 64, NP }, true, false },
        { { "queue", BPF_MAP_TYPE_QUEUE, 0, 100, 64 }, false, true },
        { { "devmap", BPF_MAP_TYPE_DEVMAP, 4, 8, 64 }, true, true },
        { { "devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 64 }, true, true },
        { { "cpumap", BPF_MAP_TYPE_CPUMAP, 4, 8, 1 }, true, false },
        { { "reuseport_sockarray", BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, 64 }, false, true },
        { { "sockmap", BPF_MAP_TYPE_SOCKMAP, 4, 8, 64 }, false, true },
        { { "sockhash", BPF_MAP_TYPE_SOCKHASH, 4, 8, 64 }, true, true },
        { { "xskmap", BPF_MAP_TYPE_XSKMAP, 4, 4, 16 }, true, true },
        { { "perf_event_array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 64 }, true, true },
        { { "cgroup_array", BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 64 }, false, true },
        { { "array_of_maps", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 64, .inner_type = BPF_MAP_TYPE_ARRAY }, false, true },
        { { "hash_of_maps", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 64, .inner_type = BPF_MAP_TYPE_ARRAY }, false, true },
        { { "task_storage", BPF_MAP_TYPE_TASK_STORAGE, 4, 100, 0, NP }, true, false },
        { { "sk_storage", BPF_MAP_TYPE_SK_STORAGE, 4, 100, 0, NP }, true, false },
        { { "inode_storage", BPF_MAP_TYPE_INODE_STORAGE, 4, 100, 0, NP }, true, false },
        { { "struct_ops", BPF_MAP_TYPE_STRUCT_OPS, 4, 0, 1 }, true, false },
};

static void check_growth(size_t i)
{
        const struct map_kind *kind = &growths[i].kind;
        /* A struct of operations cannot be filled without its programs. */
        uint32_t entries = kind->type == BPF_MAP_TYPE_STRUCT_OPS ? 0 : kind->type == BPF_MAP_TYPE_CPUMAP ? 1 : 8;
        struct object before, after;
        int64_t booked, taken;
        uint64_t slack;
        bool grows;
        int empty = map_make_filled(kind, 0), filled;

        if (empty == -EOPNOTSUPP)
                return;
        before = finish_map(empty);
        filled = map_make_filled(kind, entries);
        if (filled == -EOPNOTSUPP) {
                close(empty);
                return;
        }
        if (filled < 0)
                fail_msg("%s cannot be filled: %s", kind->name, strerror(-filled));
        after = finish_map(filled);
        booked = growth_of(&before, entries, &slack, &grows);
        taken = after.allocated - before.allocated;
        if (grows != growths[i].grows)
                fail_msg("%s %s", kind->name, grows ? "grows" : "does not grow");
        if (grows && (booked + (int64_t) slack < taken || (growths[i].exact && booked != taken)))
                fail_msg("%s: %lld bytes are booked, %lld are taken", kind->name, (long long) booked,
                                (long long) taken);
        if (!grows && taken != 0)
                fail_msg("%s took %lld bytes that are not booked", kind->name, (long long) taken);
        close(before.fd);
        close(after.fd);
}

static void test_growth_of_types(void **state)
{
        (void) state;
        for (size_t i = 0; i < sizeof(growths) / sizeof(growths[0]); i++) {
                struct map_kind kind = growths[i].kind;
                int r;

                kind.percent = 100;
                r = objects_prepare(&kind, leaf.directory);
                if (r < 0)
                        print_message("# %s: %s\n", kind.name, strerror(-r));
                else
                        check_growth(i);
                /* The sockets of a sockmap do for the sockhash after it. */
                if (kind.type != BPF_MAP_TYPE_SOCKMAP)
                        objects_forget();
        }
}

/* An update of each of these by bpf(2) is refused where it does not fit, and booked where it does. */
static void test_refused_types(void **state)
{
        (void) state;
        for (size_t i = 0; i < sizeof(growths) / sizeof(growths[0]); i++) {
                int fd = map_make_filled(&growths[i].kind, 0);
                struct object map;
                uint64_t slack;
                int64_t bytes;
                bool grows;

                if (fd < 0)
                        continue;
                map = finish_map(fd);
                bytes = growth_of(&map, 1, &slack, &grows);
                assert_int_equal(grows, growths[i].grows);
                empty(books->maps.gate_domains);
                make_cgroup_domains();
                HOOK(gate_map, map.address);
                set_max(top.id, GATE_ALLOCATED, map.allocated + bytes + slack - 1);
                if (update(BPF_MAP_UPDATE_ELEM, fd, 0) != (grows ? -ENOMEM : 0))
                        fail_msg("%s: refused or not, it is wrong", growths[i].kind.name);
                if (grows) {
                        check_usage(top.id, map.allocated, map.charged, 1, 0);
                        set_max(top.id, GATE_ALLOCATED, map.allocated + bytes + slack);
                        assert_int_equal(update(BPF_MAP_UPDATE_ELEM, fd, 0), 0);
                        check_usage(top.id, map.allocated + bytes, map.charged ? map.charged + bytes : 0, 1, 0);
                }
                HOOK(gate_map_free, map.address);
                close(fd);
        }
}

/* The table of a resizable hash doubles while more than three quarters are used. */
static void test_rhash_table(void **state)
{
        static const struct {
                uint64_t buckets, elements, after;
        } cases[] = {
                { 64, 0, 64 },
                { 64, 47, 64 },
                { 64, 48, 128 },
                { 64, 49, 128 },
                { 64, 97, 256 },
                { 4, 3, 8 },
                { 1 << 20, 10, 1 << 20 },
                { 64, 200000, 1 << 19 },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct books_call call = { .id = cases[i].buckets, .above = cases[i].elements };
                int64_t class = 8;

                RUN(call_rhash_buckets, &call);
                if ((uint64_t) call.result != cases[i].after)
                        fail_msg("case %zu: %lld buckets", i, (long long) call.result);
                /* Enough, by what lib/rhashtable.c asks before it expands. */
                assert_true(cases[i].elements <= (uint64_t) call.result / 4 * 3);
                while (class < (int64_t) size_of_type("bucket_table") + 8 * call.result)
                        class *= 2;
                assert_int_equal(call.allocated, class);
        }
}

/* --- Before the kernel allocates ---------------------------------------------------------------------------------- */

static uint64_t set_create_attr(const struct map_kind *kind, uint64_t extra)
{
        struct books_call call = { .fd = bpf_map__fd(books->maps.gate_settings) };
        union bpf_attr attr = { .map_type = kind->type,
                .key_size = kind->key_size,
                .value_size = kind->value_size,
                .max_entries = kind->max_entries,
                .map_flags = kind->flags,
                .map_extra = extra,
                .map_name = "bb_books" };

        memcpy(books->bss->attr, &attr, sizeof(attr));
        RUN(find_address, &call);
        return call.result;
}

/* What @kind takes at least by its attributes, and what the map measures when it is there. */
static struct books_call compare_create(const struct map_kind *kind, uint64_t extra, struct object *map)
{
        struct books_call call = { .address = set_create_attr(kind, extra) };
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = kind->flags, .map_extra = extra);
        int fd = kind->inner_type ? map_make_filled(kind, 0)
                                  : bpf_map_create(kind->type, "bb_books", kind->key_size, kind->value_size,
                                                    kind->max_entries, &opts);

        RUN(call_create_bytes, &call);
        if (fd < 0)
                fail_msg("%s: %s", kind->name, strerror(errno));
        *map = finish_map(fd);
        close(fd);
        return call;
}

/*
 * What the attributes tell is never more than what the map takes; of these it is just that, or short of it by what the
 * kernel keeps for each map and CPU.
 */
static void test_create_bytes(void **state)
{
        static const struct {
                struct map_kind kind;
                uint64_t extra;
                int64_t short_of;
        } cases[] = {
                { { "array", BPF_MAP_TYPE_ARRAY, 4, 100, 1000 }, 0, 0 },
                { { "array of 1", BPF_MAP_TYPE_ARRAY, 4, 1, 1 }, 0, 0 },
                { { "large array", BPF_MAP_TYPE_ARRAY, 4, 1 << 20, 16 }, 0, 0 },
                { { "mmapable array", BPF_MAP_TYPE_ARRAY, 4, 100, 1000, BPF_F_MMAPABLE }, 0, 0 },
                { { "percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 100, 1000 }, 0, 0 },
                { { "prog_array", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1000 }, 0, 0 },
                { { "perf_event_array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 1000 }, 0, 0 },
                { { "cgroup_array", BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 1000 }, 0, 0 },
                { { "array_of_maps", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1000, .inner_type = BPF_MAP_TYPE_ARRAY }, 0,
                                1024 },
                { { "hash", BPF_MAP_TYPE_HASH, 4, 100, 1000 }, 0, 0 },
                { { "odd hash", BPF_MAP_TYPE_HASH, 13, 3, 33 }, 0, 0 },
                { { "hash NP", BPF_MAP_TYPE_HASH, 4, 100, 100000, NP }, 0, 4096 },
                { { "percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, 4, 100, 1000 }, 0, 0 },
                { { "percpu_hash NP", BPF_MAP_TYPE_PERCPU_HASH, 4, 100, 1000, NP }, 0, 16384 },
                { { "lru_hash", BPF_MAP_TYPE_LRU_HASH, 4, 100, 1000 }, 0, 0 },
                { { "lru_hash a CPU", BPF_MAP_TYPE_LRU_HASH, 4, 100, 1000, BPF_F_NO_COMMON_LRU }, 0, 0 },
                { { "lru_percpu_hash", BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 100, 1000 }, 0, 0 },
                { { "hash_of_maps", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 1000, .inner_type = BPF_MAP_TYPE_ARRAY }, 0,
                                1024 },
                { { "queue", BPF_MAP_TYPE_QUEUE, 0, 100, 1000 }, 0, 0 },
                { { "stack", BPF_MAP_TYPE_STACK, 0, 7, 1001 }, 0, 0 },
                { { "stack_trace", BPF_MAP_TYPE_STACK_TRACE, 4, 127 * 8, 1000 }, 0, 0 },
                { { "bloom_filter", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 1000 }, 0, 0 },
                { { "bloom_filter, 15", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 100000 }, 15, 0 },
                { { "bloom_filter of 1", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 1 }, 1, 0 },
                { { "ringbuf", BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 16 }, 0, 0 },
                { { "user_ringbuf", BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 1 << 14 }, 0, 0 },
                { { "devmap", BPF_MAP_TYPE_DEVMAP, 4, 8, 1000 }, 0, 0 },
                { { "devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 1000 }, 0, 0 },
                { { "cpumap", BPF_MAP_TYPE_CPUMAP, 4, 8, 1 }, 0, 0 },
                { { "sockmap", BPF_MAP_TYPE_SOCKMAP, 4, 8, 1000 }, 0, 0 },
                { { "sockhash", BPF_MAP_TYPE_SOCKHASH, 4, 8, 1000 }, 0, 0 },
                { { "reuseport_sockarray", BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, 4, 8, 1000 }, 0, 0 },
                { { "lpm_trie", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 1000, NP }, 0, 16384 },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const struct map_kind *kind = &cases[i].kind;
                struct books_call call;
                struct object map;

                if (kind->inner_type)
                        assert_int_equal(objects_prepare(kind, leaf.directory), 0);
                call = compare_create(kind, cases[i].extra, &map);
                if (call.allocated > map.allocated || call.allocated < map.allocated - cases[i].short_of ||
                                call.charged > map.charged || call.charged < map.charged - cases[i].short_of)
                        fail_msg("%s: %lld of %lld bytes, %lld of %lld charged", kind->name, (long long) call.allocated,
                                        (long long) map.allocated, (long long) call.charged, (long long) map.charged);
        }
}

/* Figures that the kernel never makes a map of do not become small or negative ones. */
static void test_create_absurd(void **state)
{
        static const struct map_kind kinds[] = {
                { "array", BPF_MAP_TYPE_ARRAY, 4, UINT32_MAX, UINT32_MAX },
                { "array", BPF_MAP_TYPE_ARRAY, 4, 1U << 31, UINT32_MAX },
                { "percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1U << 31, UINT32_MAX },
                { "percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32768, UINT32_MAX },
                { "hash", BPF_MAP_TYPE_HASH, UINT32_MAX, 4, UINT32_MAX },
                { "hash", BPF_MAP_TYPE_HASH, 1U << 31, 1U << 30, UINT32_MAX },
                { "queue", BPF_MAP_TYPE_QUEUE, 0, 1U << 31, UINT32_MAX },
                { "array of nothing", BPF_MAP_TYPE_ARRAY, 4, 4, 0 },
                { "unknown", 63, 4, 4, 100 },
        };

        (void) state;
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                struct books_call call = { .address = set_create_attr(&kinds[i], 0) };

                RUN(call_create_bytes, &call);
                if (call.allocated < 0 || call.charged < 0)
                        fail_msg("%s: %lld bytes", kinds[i].name, (long long) call.allocated);
        }
}

/* What certainly does not fit is refused before there is a map, told once, and booked nowhere. */
static void test_create_refused(void **state)
{
        static const struct map_kind kind = { "array", BPF_MAP_TYPE_ARRAY, 4, 1 << 20, 16 };
        static const struct map_kind small = { "array", BPF_MAP_TYPE_ARRAY, 4, 50000, 1 };
        struct object map;
        int64_t bytes = compare_create(&kind, 0, &map).allocated;
        uint64_t attr = set_create_attr(&kind, 0);

        (void) state;
        assert_int_equal(HOOK(gate_update, BPF_MAP_CREATE, attr), 0);
        make_cgroup_domains();
        book(leaf.id, 1000, 1000, 3, 0);
        set_max(top.id, GATE_ALLOCATED, 1000 + bytes);
        assert_int_equal(HOOK(gate_update, BPF_MAP_CREATE, attr), 0);
        set_max(top.id, GATE_ALLOCATED, 1000 + bytes - 1);
        assert_int_equal(HOOK(gate_update, BPF_MAP_CREATE, attr), -ENOMEM);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.kind, GATE_REFUSED_MAP);
        assert_int_equal(event.domain, top.id);
        assert_int_equal(event.cgroup_id, leaf.id);
        assert_int_equal(event.wanted, map.allocated);
        assert_int_equal(event.usage, 1000);
        assert_int_equal(event.max, 1000 + bytes - 1);
        assert_int_equal(event.resource, GATE_ALLOCATED);
        assert_int_equal(event.type, BPF_MAP_TYPE_ARRAY);
        assert_string_equal(event.name, "bb_books");
        assert_int_equal(read_domain(top.id).denied, 1);
        check_both(1000, 1000, 3, 0);
        assert_int_equal(count_entries(), 0);
        /* So is one map too many, or one that is charged more than may be. */
        set_max(top.id, GATE_ALLOCATED, UNLIMITED);
        set_max(leaf.id, GATE_MAPS, 3);
        assert_int_equal(HOOK(gate_update, BPF_MAP_CREATE, attr), -ENOMEM);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.resource, GATE_MAPS);
        assert_int_equal(event.wanted, 1);
        set_max(leaf.id, GATE_MAPS, 4);
        set_max(leaf.id, GATE_CHARGED, bytes);
        assert_int_equal(HOOK(gate_update, BPF_MAP_CREATE, attr), -ENOMEM);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.resource, GATE_CHARGED);
        /* One that is small is left to the hook that has the map. */
        assert_int_equal(HOOK(gate_update, BPF_MAP_CREATE, set_create_attr(&small, 0)), 0);
        attr = set_create_attr(&kind, 0);
        /* Not whoever is exempt, nor before the gate is in force. */
        settings->daemon_tgid = getpid();
        assert_int_equal(HOOK(gate_update, BPF_MAP_CREATE, attr), 0);
        settings->daemon_tgid = 0;
        settings->enforcing = 0;
        assert_int_equal(HOOK(gate_update, BPF_MAP_CREATE, attr), 0);
        assert_int_equal(take_events(), 0);
        check_both(1000, 1000, 3, 0);
}

/* By a probe: only a refusal is left to the programs that refuse, as the map's own hook has yet to book the others. */
static void test_create_by_probe(void **state)
{
        static const struct map_kind kind = { "array", BPF_MAP_TYPE_ARRAY, 4, 100, 1000 };
        uint64_t attr = set_create_attr(&kind, 0), thread = 21ULL << 32 | (5 * DECISIONS + 17);

        (void) state;
        make_cgroup_domains();
        books->bss->fake_pid_tgid = thread;
        PROBE(gate_update_entered, BPF_MAP_CREATE, attr);
        assert_int_equal(books->bss->decisions[17], 0);
        set_max(leaf.id, GATE_ALLOCATED, 1000);
        PROBE(gate_update_entered, BPF_MAP_CREATE, attr);
        assert_int_equal((uint32_t) books->bss->decisions[17], REFUSED);
        set_max(leaf.id, GATE_ALLOCATED, UNLIMITED);
        assert_int_equal(HOOK(gate_update, BPF_MAP_CREATE, attr), -ENOMEM);
        assert_int_equal(take_events(), 1);
        assert_int_equal(books->bss->decisions[17], 0);
}

/* --- What is not the map that was judged, and what cannot be refused ---------------------------------------------- */

/* A batch that goes into another map than it was judged for, as its descriptor was changed: booked, where it fits. */
static void test_batch_exchanged(void **state)
{
        struct object array = make_array(4), hash = make_hash(100), fixed = make_map(BPF_MAP_TYPE_HASH, 4, 100, 64, 0);
        int64_t element = element_of(&hash).result;

        (void) state;
        make_cgroup_domains();
        HOOK(gate_map, hash.address);
        HOOK(gate_map, array.address);
        /* Nothing is pending of this thread, after what an earlier test left. */
        HOOK(gate_batch, array.address);
        HOOK(gate_batch, hash.address);
        check_both(hash.allocated + array.allocated, hash.charged + array.charged, 2, 0);
        /* The same map, and ones that cannot grow. */
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, hash.fd, 3), 0);
        HOOK(gate_batch, hash.address);
        check_both(hash.allocated + array.allocated + 3 * element, hash.charged + array.charged + 3 * element, 2, 0);
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, hash.fd, 3), 0);
        HOOK(gate_batch, array.address);
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, array.fd, 3), 0);
        HOOK(gate_batch, fixed.address);
        check_both(hash.allocated + array.allocated + 6 * element, hash.charged + array.charged + 6 * element, 2, 0);
        /* Another one, also in the place of what was no map; once. */
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, array.fd, 5), 0);
        HOOK(gate_batch, hash.address);
        HOOK(gate_batch, hash.address);
        check_both(hash.allocated + array.allocated + 11 * element, hash.charged + array.charged + 11 * element, 2, 0);
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, STDERR_FILENO, 2), 0);
        HOOK(gate_batch, hash.address);
        check_both(hash.allocated + array.allocated + 13 * element, hash.charged + array.charged + 13 * element, 2, 0);
        assert_int_equal(read_entry(hash.key).admitted, 13 * element);
        assert_int_equal(books->bss->killed, 0);
        assert_int_equal(take_events(), 0);
        close(array.fd);
        close(hash.fd);
        close(fixed.fd);
}

/* Where it does not fit it is booked all the same, told, and the process is killed. */
static void test_batch_killed(void **state)
{
        struct object array = make_array(4), hash = make_hash(100);
        int64_t element = element_of(&hash).result, bytes = hash.allocated + 100 * element;

        (void) state;
        make_cgroup_domains();
        HOOK(gate_map, hash.address);
        set_max(top.id, GATE_ALLOCATED, hash.allocated + 50 * element);
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, array.fd, 100), 0);
        HOOK(gate_batch, hash.address);
        assert_int_equal(books->bss->killed, 1);
        assert_int_equal(books->bss->last_signal, 9);
        check_both(bytes, hash.charged + 100 * element, 1, 0);
        assert_int_equal(read_domain(top.id).denied, 1);
        assert_int_equal(take_events(), 1);
        assert_int_equal(event.kind, GATE_KILLED_BATCH);
        assert_int_equal(event.domain, top.id);
        assert_int_equal(event.wanted, 100 * element);
        assert_int_equal(event.usage, hash.allocated);
        assert_int_equal(event.type, BPF_MAP_TYPE_HASH);
        assert_string_equal(event.name, "bb_books");
        /* What is refused beforehand stays refused. */
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, hash.fd, 100), -ENOMEM);
        take_events();
        /* Whoever is exempt is not killed. */
        settings->daemon_tgid = getpid();
        assert_int_equal(update(BPF_MAP_UPDATE_BATCH, array.fd, 100), 0);
        HOOK(gate_batch, hash.address);
        assert_int_equal(books->bss->killed, 1);
        assert_int_equal(take_events(), 0);
        close(array.fd);
        close(hash.fd);
}

/* Pages of an arena are booked as they are allocated, past a limit, too, where they keep the next one out. */
static void test_pages(void **state)
{
        struct object map = make_array(4);
        int64_t page = sysconf(_SC_PAGESIZE);

        (void) state;
        make_cgroup_domains();
        books->bss->fake_pages = 3;
        HOOK(gate_pages, map.address);
        check_both(0, 0, 0, 0);
        HOOK(gate_map, map.address);
        HOOK(gate_pages, map.address);
        check_both(map.allocated + 3 * page, map.charged + 3 * page, 1, 0);
        assert_int_equal(read_entry(map.key).admitted, 3 * page);
        set_max(top.id, GATE_ALLOCATED, map.allocated + 4 * page);
        HOOK(gate_pages, map.address);
        check_both(map.allocated + 6 * page, map.charged + 6 * page, 1, 0);
        assert_int_equal(take_events(), 0);
        HOOK(gate_map_free, map.address);
        check_both(0, 0, 0, 0);
        close(map.fd);
}

/* --- Attachment --------------------------------------------------------------------------------------------------- */

/* A program whose values are kept with cgroups, in @map. */
static int load_with_storage(int map)
{
        const struct bpf_insn code[] = {
                { .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
                {},
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2 },
                { .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_local_storage },
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
                { .code = BPF_JMP | BPF_EXIT },
        };

        return bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "bb_books", "GPL", code, sizeof(code) / sizeof(code[0]), NULL);
}

static int attach_command(int cmd, int program, int target)
{
        struct books_call call = { .fd = program };
        union bpf_attr attr = {};

        if (cmd == BPF_PROG_ATTACH) {
                attr.attach_bpf_fd = program;
                attr.target_fd = target;
        } else {
                attr.link_create.prog_fd = program;
                attr.link_create.target_fd = target;
        }
        memcpy(books->bss->attr, &attr, sizeof(attr));
        RUN(find_address, &call);
        return HOOK(gate_update, cmd, call.result);
}

/* Each attachment gives the map of a program one element more. */
static void test_attach(void **state)
{
        static const uint32_t types[] = { BPF_MAP_TYPE_CGROUP_STORAGE, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE };

        (void) state;
        for (size_t i = 0; i < 2; i++) {
                struct object map = make_map(types[i], sizeof(struct bpf_cgroup_storage_key), 1000, 0, 0);
                int program = load_with_storage(map.fd), plain = make_program(2).fd;
                int64_t bytes = element_of(&map).result;

                assert_true(program >= 0);
                assert_true(bytes >= 1000);
                empty(books->maps.gate_domains);
                make_cgroup_domains();
                HOOK(gate_map, map.address);
                assert_int_equal(attach_command(BPF_PROG_ATTACH, plain, program), 0);
                assert_int_equal(attach_command(BPF_LINK_CREATE, plain, program), 0);
                assert_int_equal(attach_command(BPF_LINK_CREATE, STDERR_FILENO, program), 0);
                assert_int_equal(attach_command(BPF_LINK_CREATE, -1, program), 0);
                check_both(map.allocated, map.charged, 1, 0);
                assert_int_equal(attach_command(BPF_PROG_ATTACH, program, plain), 0);
                assert_int_equal(attach_command(BPF_LINK_CREATE, program, plain), 0);
                check_usage(leaf.id, map.allocated + 2 * bytes, map.charged + 2 * bytes, 1, 0);
                set_max(top.id, GATE_ALLOCATED, map.allocated + bytes - 1);
                assert_int_equal(attach_command(BPF_PROG_ATTACH, program, plain), -ENOMEM);
                assert_int_equal(attach_command(BPF_LINK_CREATE, program, plain), -ENOMEM);
                assert_int_equal(take_events(), 2);
                assert_int_equal(event.kind, GATE_REFUSED_GROWTH);
                HOOK(gate_map_free, map.address);
                close(map.fd);
                close(program);
                close(plain);
        }
}

/* --- Decisions -----------------------------------------------------------------------------------------------------
 */

static const uint64_t tested_thread = 21ULL << 32 | (5 * DECISIONS + 17);
#define SLOT books->bss->decisions[17]

static uint64_t decision(uint64_t thread, int what)
{
        return (thread & 0xffffffff) << 32 | what;
}

/* What a probe decided is not decided again; it is read once. */
static void test_decision_map(void **state)
{
        struct object map = make_array(4), other = make_array(100);

        (void) state;
        make_cgroup_domains();
        books->bss->fake_pid_tgid = tested_thread;
        PROBE(gate_map_entered, map.address, 0);
        check_both(map.allocated, map.charged, 1, 0);
        assert_int_equal(SLOT, decision(tested_thread, ADMITTED));
        /* Those that refuse only leave it. */
        assert_int_equal(HOOK(gate_map_again1, 0), 0);
        assert_int_equal(SLOT, decision(tested_thread, ADMITTED));
        assert_int_equal(HOOK(gate_map, other.address), 0);
        assert_int_equal(SLOT, 0);
        check_both(map.allocated, map.charged, 1, 0);
        assert_int_equal(HOOK(gate_map, other.address), 0);
        check_both(map.allocated + other.allocated, map.charged + other.charged, 2, 0);

        set_max(leaf.id, GATE_MAPS, 0);
        PROBE(gate_map_entered, map.address, 0);
        assert_int_equal(SLOT, decision(tested_thread, REFUSED));
        assert_int_equal(take_events(), 1);
        set_max(leaf.id, GATE_MAPS, UNLIMITED);
        assert_int_equal(HOOK(gate_map, map.address), -ENOMEM);
        assert_int_equal(SLOT, 0);
        assert_int_equal(take_events(), 0);
        close(map.fd);
        close(other.fd);
}

static void test_decision_program(void **state)
{
        struct object program = make_program(2);

        (void) state;
        make_cgroup_domains();
        books->bss->fake_pid_tgid = tested_thread;
        PROBE(gate_program_entered, program.address, 0);
        assert_int_equal(SLOT, decision(tested_thread, ADMITTED));
        assert_int_equal(read_domain(leaf.id).usage[GATE_PROGRAMS], 1);
        assert_int_equal(HOOK(gate_program, program.address), 0);
        assert_int_equal(SLOT, 0);
        assert_int_equal(read_domain(leaf.id).usage[GATE_PROGRAMS], 1);
        set_max(leaf.id, GATE_PROGRAMS, 0);
        PROBE(gate_program_entered, program.address, 0);
        assert_int_equal(SLOT, decision(tested_thread, REFUSED));
        set_max(leaf.id, GATE_PROGRAMS, UNLIMITED);
        assert_int_equal(HOOK(gate_program, program.address), -ENOMEM);
        assert_int_equal(SLOT, 0);
        close(program.fd);
}

/* Each that refuses besides reads a refusal, once. */
static void test_decision_again(void **state)
{
        const struct bpf_program *const again[] = { books->progs.gate_map_again1, books->progs.gate_map_again2,
                books->progs.gate_map_again3, books->progs.gate_map_again4, books->progs.gate_program_again,
                books->progs.gate_update_again1, books->progs.gate_update_again2, books->progs.gate_map_given,
                books->progs.gate_program_given };
        uint64_t context = 0;

        (void) state;
        books->bss->fake_pid_tgid = tested_thread;
        for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
                SLOT = decision(tested_thread, REFUSED);
                assert_int_equal(run_sized(again[i], &context, sizeof(context)), -ENOMEM);
                assert_int_equal(SLOT, 0);
                assert_int_equal(run_sized(again[i], &context, sizeof(context)), 0);
                SLOT = decision(tested_thread, ADMITTED);
                assert_int_equal(run_sized(again[i], &context, sizeof(context)), 0);
                assert_int_equal(SLOT, decision(tested_thread, ADMITTED));
                /* Another thread's, with which it shares the place. */
                SLOT = decision(tested_thread + DECISIONS, REFUSED);
                assert_int_equal(run_sized(again[i], &context, sizeof(context)), 0);
                assert_int_equal(SLOT, decision(tested_thread + DECISIONS, REFUSED));
        }
}

/* A gate that is not in force decides nothing by its probes, and its old decisions go without effect. */
static void test_decision_not_in_force(void **state)
{
        struct object map = make_hash(100), program = make_program(2);

        (void) state;
        make_cgroup_domains();
        books->bss->fake_pid_tgid = tested_thread;
        for (int i = 0; i < 2; i++) {
                settings->enforcing = i == 1;
                settings->instance = i == 0 ? 7 : 8;
                PROBE(gate_map_entered, map.address, 0);
                PROBE(gate_program_entered, program.address, 0);
                PROBE(gate_update_entered, BPF_MAP_UPDATE_ELEM, set_attr(BPF_MAP_UPDATE_ELEM, map.fd, 0));
                assert_int_equal(SLOT, 0);
                check_both(0, 0, 0, 0);
                SLOT = decision(tested_thread, REFUSED);
                assert_int_equal(HOOK(gate_map_again1, 0), 0);
                assert_int_equal(SLOT, 0);
                SLOT = decision(tested_thread, REFUSED);
                assert_int_equal(HOOK(gate_map, map.address), 0);
                check_both(map.allocated, map.charged, 1, 0);
                HOOK(gate_map_free, map.address);
        }
        close(map.fd);
        close(program.fd);
}

/* Without limits there is no decision to leave. */
static void test_decision_undecided(void **state)
{
        struct object map = make_hash(100), program = make_program(2);

        (void) state;
        books->bss->fake_pid_tgid = tested_thread;
        PROBE(gate_map_entered, map.address, 0);
        PROBE(gate_program_entered, program.address, 0);
        assert_int_equal(SLOT, 0);
        PROBE(gate_update_entered, BPF_MAP_LOOKUP_ELEM, set_attr(BPF_MAP_LOOKUP_ELEM, map.fd, 0));
        assert_int_equal(SLOT, 0);
        close(map.fd);
        close(program.fd);
}

/* Each bpf(2) ends what was left of the last one; a refusal that nobody read is counted. */
static void test_decision_update(void **state)
{
        struct object map = make_hash(100);
        uint64_t address;

        (void) state;
        make_cgroup_domains();
        HOOK(gate_map, map.address);
        books->bss->fake_pid_tgid = tested_thread;
        address = set_attr(BPF_MAP_UPDATE_ELEM, map.fd, 0);
        PROBE(gate_update_entered, BPF_MAP_UPDATE_ELEM, address);
        assert_int_equal(SLOT, decision(tested_thread, ADMITTED));
        check_both(map.allocated + 200, map.charged + 200, 1, 0);
        assert_int_equal(HOOK(gate_update, BPF_MAP_UPDATE_ELEM, address), 0);
        assert_int_equal(SLOT, 0);
        check_both(map.allocated + 200, map.charged + 200, 1, 0);

        set_max(leaf.id, GATE_CHARGED, 0);
        PROBE(gate_update_entered, BPF_MAP_UPDATE_ELEM, address);
        assert_int_equal(SLOT, decision(tested_thread, REFUSED));
        set_max(leaf.id, GATE_CHARGED, UNLIMITED);
        assert_int_equal(HOOK(gate_update, BPF_MAP_UPDATE_ELEM, address), -ENOMEM);
        assert_int_equal(books->bss->unread, 0);
        /* What is no update takes an old decision away and does not heed it. */
        SLOT = decision(tested_thread, REFUSED);
        assert_int_equal(HOOK(gate_update, BPF_MAP_LOOKUP_ELEM, address), 0);
        assert_int_equal(SLOT, 0);

        SLOT = decision(tested_thread, ADMITTED);
        PROBE(gate_update_entered, BPF_MAP_LOOKUP_ELEM, address);
        assert_int_equal(SLOT, 0);
        assert_int_equal(books->bss->unread, 0);
        SLOT = decision(tested_thread, REFUSED);
        PROBE(gate_update_entered, BPF_MAP_LOOKUP_ELEM, address);
        assert_int_equal(SLOT, 0);
        assert_int_equal(books->bss->unread, 1);
        PROBE(gate_update_entered, BPF_MAP_UPDATE_BATCH, set_attr(BPF_MAP_UPDATE_BATCH, map.fd, 3));
        assert_int_equal(SLOT, decision(tested_thread, ADMITTED));
        close(map.fd);
}

/* The daemon introduces itself, and what a map looks like among files. */
static void test_introduction(void **state)
{
        struct gate_introduction introduction = { .map_fd = bpf_map__fd(books->maps.gate_domains) };
        uint64_t map_fops = settings->map_fops;

        (void) state;
        assert_true(map_fops != 0);
        settings->map_fops = 0;
        RUN(introduce_gate, &introduction);
        assert_int_equal(settings->map_fops, map_fops);
        assert_int_equal(settings->daemon_tgid, getpid());
        introduction.map_fd = STDERR_FILENO;
        RUN(introduce_gate, &introduction);
        assert_int_not_equal(settings->map_fops, map_fops);
}

/* --- Other kernels ------------------------------------------------------------------------------------------------ */

/* Loads it again, with settings of another machine. */
static int setup_other(void **state)
{
        struct gate_books_bpf *skeleton = open_books();
        struct bpf_program *program;

        skeleton->rodata->program_by_aux = true;
        skeleton->rodata->probed = false;
        skeleton->rodata->machine.nobpf = 1;
        bpf_object__for_each_program (program, skeleton->obj)
                if (strncmp(bpf_program__name(program), "gate_", 5) == 0)
                        bpf_program__set_autoload(
                                        program, program == skeleton->progs.gate_program ||
                                                                 program == skeleton->progs.gate_program_free ||
                                                                 program == skeleton->progs.gate_map ||
                                                                 program == skeleton->progs.gate_map_again1);
        unload();
        load(skeleton);
        return setup(state);
}

static int teardown_other(void **state)
{
        (void) state;
        unload();
        load(open_books());
        return 0;
}

/*
 * Where the hook for programs has prog->aux as its argument, nothing of BPF is charged, and there are no probes: a
 * decision is nobody's.
 */
static void test_other_machine(void **state)
{
        struct object program = make_program(2), map = make_array(4);
        int64_t bytes = program.pages * sysconf(_SC_PAGESIZE) + program.aux_size + 8192;

        (void) state;
        make_cgroup_domains();
        assert_int_equal(HOOK(gate_program, program.key), 0);
        check_both(bytes + 64 * program.insns, 0, 0, 1);
        assert_int_equal(read_entry(program.key).uncharged, 1);
        HOOK(gate_program_free, program.key);
        check_both(0, 0, 0, 0);
        set_max(leaf.id, GATE_PROGRAMS, 0);
        assert_int_equal(HOOK(gate_program, program.key), -ENOMEM);
        assert_int_equal(take_events(), 1);
        assert_string_equal(event.name, "bb_books");
        assert_int_equal(event.type, BPF_PROG_TYPE_SOCKET_FILTER);
        books->bss->fake_pid_tgid = tested_thread;
        SLOT = decision(tested_thread, REFUSED);
        assert_int_equal(HOOK(gate_map_again1, 0), 0);
        assert_int_equal(HOOK(gate_map, map.address), 0);
        assert_int_equal(SLOT, decision(tested_thread, REFUSED));
        close(program.fd);
        close(map.fd);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_book),
                TEST(test_unbook),
                TEST(test_refusal),
                TEST(test_refusal_order),
                TEST(test_slack),
                TEST(test_deep),
                TEST(test_levels_below),
                TEST(test_find_domain),
                TEST(test_set_domain),
                TEST(test_map),
                TEST(test_map_refused),
                TEST(test_exempt),
                TEST(test_root),
                TEST(test_unbooked),
                TEST(test_table_full),
                TEST(test_table_shares),
                TEST(test_program),
                TEST(test_program_refused),
                TEST(test_denied),
                TEST(test_freed_by_probe),
                TEST(test_lock),
                TEST(test_locked_entry),
                TEST(test_take_off),
                TEST(test_settle_new),
                TEST(test_settle_measure),
                TEST(test_settle_move),
                TEST(test_settle_up),
                TEST(test_settle_past_max),
                TEST(test_settle_gone),
                TEST(test_settle_many),
                TEST(test_settle_locked),
                TEST(test_settle_seen_early),
                TEST(test_still_coming),
                TEST(test_settle_admitted_meanwhile),
                TEST(test_growth),
                TEST(test_map_of_fd),
                TEST(test_windows),
                TEST(test_window_of_batch),
                TEST(test_growth_uncharged),
                TEST(test_growth_going),
                TEST(test_growth_refused),
                TEST(test_growth_slack),
                TEST(test_refill),
                TEST(test_refill_percpu),
                TEST(test_elements),
                TEST(test_elements_others),
                TEST(test_committed),
                TEST(test_huge_ceiling),
                TEST(test_unbounded),
                TEST(test_settle_committed),
                TEST(test_growth_of_types),
                TEST(test_refused_types),
                TEST(test_rhash_table),
                TEST(test_create_bytes),
                TEST(test_create_absurd),
                TEST(test_create_refused),
                TEST(test_create_by_probe),
                TEST(test_batch_exchanged),
                TEST(test_batch_killed),
                TEST(test_pages),
                TEST(test_attach),
                TEST(test_decision_map),
                TEST(test_decision_program),
                TEST(test_decision_again),
                TEST(test_decision_not_in_force),
                TEST(test_decision_undecided),
                TEST(test_decision_update),
                TEST(test_introduction),
                cmocka_unit_test_setup_teardown(test_other_machine, setup_other, teardown_other),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        return cmocka_run_group_tests_name("gate-books", tests, group_setup, group_teardown);
}
