/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each way past Max that is known (doc/ENFORCEMENT.md), tried in a cgroup of its own with a budget that denies: what it
 * reached, and how much of that is past Max. That is 0, but for what no hook of the kernel can refuse: that counts at
 * once, and keeps the next one out. Needs a kernel with trampolines.
 */
#include "gate-scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "tests/kernel/objects.h"

#define NP BPF_F_NO_PREALLOC

/* What the processes that try tell the test beside *shared. */
static struct tried {
        int unsupported; /* errno: the kernel does not have what it takes */
        int killed;
        long tries;
        int64_t bytes; /* of the arrays that were made, where paths do not tell */
} * tried;

/* One way: a function for a process in the cgroup, and its argument. */
struct way {
        const char *name;
        uint64_t max;
        void (*go)(void *argument);
        struct map_kind kind; /* the argument, with the cgroup of the test */
        bool remains;         /* what it does cannot be refused */
        bool peak;            /* not even for a moment is there more memory */
        bool below;           /* from outside, in cgroups that it makes below the one with the budget */
};

static struct test_cgroup cgroup, outside;

/* --- Creation ----------------------------------------------------------------------------------------------------- */

static int create(const struct map_kind *kind)
{
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = kind->flags);
        int fd = bpf_map_create(kind->type, "bb_bypass", kind->key_size, kind->value_size, kind->max_entries, &opts);

        note(fd);
        return fd;
}

/* Maps of many types, until each has been refused. */
static void create_all_types(void *argument)
{
        static const struct map_kind kinds[] = {
                { "array", BPF_MAP_TYPE_ARRAY, 4, 1000, 300 },
                { "mmapable array", BPF_MAP_TYPE_ARRAY, 4, 1000, 300, BPF_F_MMAPABLE },
                { "percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1000, 300 },
                { "prog_array", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 30000 },
                { "hash", BPF_MAP_TYPE_HASH, 4, 1000, 300 },
                { "hash NP", BPF_MAP_TYPE_HASH, 4, 1000, 10000, NP },
                { "percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, 4, 1000, 300 },
                { "lru_hash", BPF_MAP_TYPE_LRU_HASH, 4, 1000, 300 },
                { "queue", BPF_MAP_TYPE_QUEUE, 0, 1000, 300 },
                { "stack_trace", BPF_MAP_TYPE_STACK_TRACE, 4, 80, 3000 },
                { "bloom_filter", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 1000000 },
                { "ringbuf", BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 18 },
                { "devmap", BPF_MAP_TYPE_DEVMAP, 4, 8, 30000 },
                { "devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 30000 },
                { "sockmap", BPF_MAP_TYPE_SOCKMAP, 4, 8, 30000 },
                { "sockhash", BPF_MAP_TYPE_SOCKHASH, 4, 8, 10000 },
                { "xskmap", BPF_MAP_TYPE_XSKMAP, 4, 4, 30000 },
        };

        (void) argument;
        for (int round = 0; round < 200 && shared->refused < 100; round++)
                for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
                        create(&kinds[i]);
}

/* 64 processes at once that want a map far over Max each. */
static void create_huge(void *argument)
{
        const struct map_kind *kind = argument;

        for (int i = 0; i < 64; i++)
                if (fork() == 0) {
                        create(kind);
                        _exit(0);
                }
        while (wait(NULL) > 0)
                ;
}

/* --- Cgroups that are hard to find -------------------------------------------------------------------------------- */

static void write_at(int directory, const char *file, const char *text)
{
        int fd = openat(directory, file, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return;
        if (write(fd, text, strlen(text)) < 0)
                shared->last_error = errno;
        close(fd);
}

/* Makes the cgroup @name below @directory, which passes the memory controller on, and returns its directory. */
static int make_below(int directory, const char *name)
{
        write_at(directory, "cgroup.subtree_control", "+memory"); /* cgroup v2 */
        if (mkdirat(directory, name, 0755) < 0)
                tried->unsupported = errno;
        return openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_top(void)
{
        return open(cgroup.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* In the cgroup at @directory: arrays of 400 KiB, until one is refused or there are 40. */
static void create_in(int directory)
{
        static const struct map_kind kind = { "array", BPF_MAP_TYPE_ARRAY, 4, 400 * KIB, 1 };

        write_at(directory, "cgroup.procs", "0");
        for (int i = 0; i < 40 && create(&kind) >= 0; i++)
                tried->bytes += 400 * KIB;
}

/* As many levels as max_entries says, each called as the kind is. */
static void create_deep(void *argument)
{
        const struct map_kind *kind = argument;
        int directory = open_top();

        for (uint32_t level = 0; level < kind->max_entries && directory >= 0; level++) {
                int next = make_below(directory, kind->name);

                close(directory);
                directory = next;
        }
        if (directory >= 0)
                create_in(directory);
}

/* So many siblings, the last of which is entered. */
static void create_siblings(void *argument)
{
        const struct map_kind *kind = argument;
        int top = open_top(), directory = -1;

        for (uint32_t i = 0; i < kind->max_entries; i++) {
                char name[16];

                close(directory);
                snprintf(name, sizeof(name), "%u", i);
                directory = make_below(top, name);
        }
        create_in(directory);
}

/* So many small maps, and then large ones. */
static void flood(void *argument)
{
        static const struct map_kind large = { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1 };
        const struct map_kind *kind = argument;

        /* Who fills a table waits until the daemon has made a larger one, which may take a while. */
        for (int i = 0, waited = 0; i < 17000 && waited < 600; i++)
                for (; create(kind) < 0 && waited < 600; waited++)
                        sleep_msec(100);
        shared->refused = 0;
        for (int i = 0; i < 200 && create(&large) >= 0; i++)
                ;
}

/* Removes what is below @directory, from the deepest up. */
static void remove_below(int directory)
{
        for (int tries = 0; tries < 2000; tries++) {
                struct dirent *entry;
                DIR *list = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
                bool any = false;

                while (list && (entry = readdir(list))) {
                        int next;

                        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
                                continue;
                        any = true;
                        next = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                        remove_below(next);
                        close(next);
                        if (unlinkat(directory, entry->d_name, AT_REMOVEDIR) < 0)
                                sleep_msec(10);
                }
                if (list)
                        closedir(list);
                if (!any)
                        return;
        }
}

/* --- Growth by bpf(2) --------------------------------------------------------------------------------------------- */

/* The key and the value that the element @i of a map of @kind has; a map refers to the file @fd. */
static void set_element(const struct map_kind *kind, uint32_t i, int fd, void *key, void *value)
{
        uint32_t trie[2] = { 32, i * 2654435761U }, interface = 1, frames = 192;

        memcpy(key, &i, sizeof(i));
        if (kind->type == BPF_MAP_TYPE_LPM_TRIE)
                memcpy(key, trie, sizeof(trie));
        else if (kind->type == BPF_MAP_TYPE_DEVMAP || kind->type == BPF_MAP_TYPE_DEVMAP_HASH)
                memcpy(value, &interface, sizeof(interface));
        else if (kind->type == BPF_MAP_TYPE_CPUMAP)
                memcpy(value, &frames, sizeof(frames));
        else if (kind->type == BPF_MAP_TYPE_INODE_STORAGE)
                memcpy(key, &(int){ memfd_create("bb_bypass", MFD_CLOEXEC) }, sizeof(int));
        else if (fd >= 0)
                memcpy(value, &fd, sizeof(fd));
}

/* Inserts elements until that is refused, or the map is full. The kernel may be short of elements for a moment, too. */
static void fill(void *argument)
{
        static char value[65536];
        const struct map_kind *kind = argument;
        char key[64] = {};
        int fd, referent, r;

        r = objects_prepare(kind, cgroup.directory);
        fd = r < 0 ? r : map_make_filled(kind, 0);
        if (fd < 0) {
                tried->unsupported = -fd;
                return;
        }
        referent = objects_referent();
        for (uint32_t i = 0; i < (kind->max_entries ?: 400); i++) {
                set_element(kind, i, referent, key, value);
                for (int tries = 0; tries < 30; tries++) {
                        r = bpf_map_update_elem(fd, key, value, BPF_ANY);
                        if (r == 0 || errno != ENOMEM)
                                break;
                        sleep_msec(1);
                }
                tried->tries++;
                if (r < 0) {
                        note(-1);
                        break;
                }
        }
        if (r < 0 && errno != ENOMEM)
                tried->unsupported = errno;
}

#define BATCH 4000

/* Batches, ever shorter ones. */
static void fill_by_batches(void *argument)
{
        static uint32_t keys[BATCH];
        static char values[BATCH][1000];
        const struct map_kind *kind = argument;
        int fd = create(kind);

        for (uint32_t done = 0, count = BATCH; count > 0 && done < kind->max_entries;) {
                uint32_t inserted = count;

                for (uint32_t i = 0; i < count; i++)
                        keys[i] = done + i;
                tried->tries++;
                if (bpf_map_update_batch(fd, keys, values, &inserted, NULL) == 0) {
                        done += count;
                } else {
                        note(-1);
                        count /= 2;
                }
        }
}

/* A program whose values are kept with cgroups, attached to more and more of them. */
static void attach_to_many(void *argument)
{
        const struct map_kind *kind = argument;
        int map = create(kind), program;
        struct bpf_insn code[] = {
                { .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
                {},
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2 },
                { .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_local_storage },
                { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
                { .code = BPF_JMP | BPF_EXIT },
        };

        program = bpf_prog_load(
                        BPF_PROG_TYPE_CGROUP_SKB, "bb_bypass", "GPL", code, sizeof(code) / sizeof(code[0]), NULL);
        if (program < 0) {
                tried->unsupported = errno;
                return;
        }
        for (int i = 0; i < 100 && shared->refused < 5; i++) {
                _cleanup_free_ char *path = NULL;
                int directory;

                if (asprintf(&path, "%s/%d", cgroup.directory, i) < 0 || mkdir(path, 0755) < 0)
                        return;
                directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                note(bpf_prog_attach(program, directory, BPF_CGROUP_INET_EGRESS, 0));
                close(directory);
        }
}

/* --- The descriptor of a batch, exchanged by another thread ------------------------------------------------------- */

#define RACE_SECONDS 20

static struct {
        int array, hash, slot;
} race;

static void *exchange(void *unused)
{
        (void) unused;
        for (;;) {
                dup2(race.array, race.slot);
                dup2(race.hash, race.slot);
        }
        return NULL;
}

static void race_for_batch(const struct map_kind *kind)
{
        static uint32_t keys[BATCH];
        static char values[BATCH][1000];
        time_t end = time(NULL) + RACE_SECONDS;
        pthread_t thread;

        race.hash = create(kind);
        race.array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bb_bypass", 4, 1000, 1, NULL);
        race.slot = dup(race.array);
        for (uint32_t i = 0; i < BATCH; i++)
                keys[i] = i;
        if (pthread_create(&thread, NULL, exchange, NULL) != 0)
                return;
        while (time(NULL) < end) {
                uint32_t count = BATCH;

                tried->tries++;
                /* It went in, and nobody noticed. */
                if (bpf_map_update_batch(race.slot, keys, values, &count, NULL) == 0)
                        pause();
        }
}

/* In a process of its own, with which the maps go if it is killed. */
static void race_descriptors(void *argument)
{
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                race_for_batch(argument);
                _exit(0);
        }
        for (int i = 0; i < (RACE_SECONDS + 10) * 100; i++) {
                if (waitpid(pid, &status, WNOHANG) == pid) {
                        tried->killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
                        return;
                }
                sleep_msec(10);
        }
        /* It waits with a batch that it should not have. The measurement comes first, then it goes with this one. */
}

/* --- What cannot be refused --------------------------------------------------------------------------------------- */

/* Whether a map of a page is let in now; the daemon need not have looked since. */
static void ask(void)
{
        static const struct map_kind page = { "array", BPF_MAP_TYPE_ARRAY, 4, 4000, 1 };

        shared->refused = 0;
        create(&page);
}

/* Page faults in an arena. */
static void touch_arena(void *argument)
{
        const struct map_kind *kind = argument;
        LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
        int fd = bpf_map_create(MAP_TYPE_ARENA, "bb_bypass", 0, 0, kind->max_entries, &opts);
        size_t page = sysconf(_SC_PAGESIZE);
        char *pages;

        if (fd < 0) {
                tried->unsupported = errno;
                return;
        }
        pages = mmap(NULL, kind->max_entries * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (pages == MAP_FAILED) {
                tried->unsupported = errno;
                return;
        }
        for (uint32_t i = 0; i < kind->max_entries; i++)
                pages[i * page] = 1;
        ask();
}

/* --- Ways --------------------------------------------------------------------------------------------------------- */

/* 255 bytes, as many as a name may have. */
#define FIFTY     "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwx"
#define LONG_NAME FIFTY FIFTY FIFTY FIFTY FIFTY "abcde"

static const struct way ways[] = {
        { "maps of all types", 8 * MIB, create_all_types },
        { "64 arrays of 1 GiB at once", 64 * MIB, create_huge, { "array", BPF_MAP_TYPE_ARRAY, 4, MIB, 1024 },
                        .peak = true },
        { "64 hashes of 1 GiB at once", 64 * MIB, create_huge, { "hash", BPF_MAP_TYPE_HASH, 4, 10000, 100000 },
                        .peak = true },
        { "hash by updates", 8 * MIB, fill, { "hash", BPF_MAP_TYPE_HASH, 4, 1000, 20000, NP } },
        { "hash by batches", 8 * MIB, fill_by_batches, { "hash", BPF_MAP_TYPE_HASH, 4, 1000, 20000, NP } },
        { "percpu_hash by updates", 8 * MIB, fill, { "percpu_hash", BPF_MAP_TYPE_PERCPU_HASH, 4, 1000, 20000, NP } },
        { "lpm_trie by updates", 4 * MIB, fill, { "lpm_trie", BPF_MAP_TYPE_LPM_TRIE, 8, 1000, 20000, NP } },
        { "devmap by updates", 4 * MIB, fill, { "devmap", BPF_MAP_TYPE_DEVMAP, 4, 8, 100000 } },
        { "devmap_hash by updates", 4 * MIB, fill, { "devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH, 4, 8, 100000 } },
        { "sockhash by updates", 2 * MIB, fill, { "sockhash", BPF_MAP_TYPE_SOCKHASH, 4, 4, 30000, .percent = 100 } },
        { "xskmap by updates", MIB, fill, { "xskmap", BPF_MAP_TYPE_XSKMAP, 4, 4, 50000, .percent = 100 } },
        { "perf_event_array by updates", 2 * MIB, fill,
                        { "perf_event_array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 100000, .percent = 100 } },
        { "inode_storage by updates", MIB, fill, { "inode_storage", BPF_MAP_TYPE_INODE_STORAGE, 4, 4000, 0, NP } },
        { "rhash by updates", 4 * MIB, fill, { "rhash", MAP_TYPE_RHASH, 4, 100, 100000, NP } },
        { "cgroup_storage by attachments", MIB, attach_to_many,
                        { "cgroup_storage", BPF_MAP_TYPE_CGROUP_STORAGE, sizeof(struct bpf_cgroup_storage_key), 30000,
                                        0 } },
        { "batch with an exchanged descriptor", 4 * MIB, race_descriptors,
                        { "hash", BPF_MAP_TYPE_HASH, 4, 1000, 20000, NP } },
        { "17,000 small maps, then large ones", 64 * MIB, flood, { "array", BPF_MAP_TYPE_ARRAY, 4, 520, 1 } },
        { "a child called x (deleted)", 8 * MIB, create_deep, { "x (deleted)", .max_entries = 1 }, .below = true },
        { "100 levels", 8 * MIB, create_deep, { "level", .max_entries = 100 }, .below = true },
        { "600 levels", 8 * MIB, create_deep, { "l", .max_entries = 600 }, .below = true },
        { "a path of 5,100 bytes", 8 * MIB, create_deep, { LONG_NAME, .max_entries = 20 }, .below = true },
        { "1,300 siblings", 8 * MIB, create_siblings, { "", .max_entries = 1300 }, .below = true },
        { "arena by page faults", 24 * MIB, touch_arena, { "arena", MAP_TYPE_ARENA, 0, 0, 10000 }, .remains = true },
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* Bytes of kernel memory that the cgroup had at most; 0: the kernel does not tell (before 5.19, and on v1). */
static int64_t peak(void)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *file = NULL;
        long long bytes = 0;

        if (asprintf(&path, "%s/memory.peak", cgroup.directory) < 0)
                return 0;
        file = fopen(path, "re");
        return file && fscanf(file, "%lld", &bytes) == 1 ? bytes : 0;
}

/* What the killed process had goes after a grace period. */
static int64_t settled_allocation(const struct way *way)
{
        int64_t bytes = way->below ? tried->bytes : cgroup_allocated(&cgroup);

        for (int i = 0; i < 20 && bytes > (int64_t) way->max && tried->killed; i++) {
                sleep_msec(500);
                bytes = cgroup_allocated(&cgroup);
        }
        return bytes;
}

static void print_way(const struct way *way, int64_t reached)
{
        int64_t past = reached > (int64_t) way->max ? reached - (int64_t) way->max : 0;

        print_message("# %-36s Max %5lld KiB, reached %6lld KiB, past Max %6lld KiB%s", way->name,
                        (long long) way->max / KIB, (long long) reached / KIB, (long long) (past + KIB - 1) / KIB,
                        way->remains ? " (cannot be refused)" : "");
        if (tried->tries)
                print_message(", %ld tries", tried->tries);
        print_message("%s\n", tried->killed ? ", killed" : "");
}

static void check_way(const struct way *way, struct live_daemon *daemon)
{
        int64_t reached = settled_allocation(way);

        print_way(way, reached);
        assert_true(way->remains || reached <= (int64_t) way->max);
        /* It was tried in earnest, and it is the gate that has ended it. */
        assert_true(shared->refused > 0 || tried->killed);
        /* One that is killed may have been refused nothing before. */
        free(live_wait_log(daemon, tried->killed ? "the growth of map bb_bypass" : "was refused the"));
        if (way->peak && peak() > 0)
                assert_in_range(peak(), 1, way->max + 16 * MIB);
}

static void try_way(void **state)
{
        const struct way *way = *state;
        struct live_daemon daemon;
        _cleanup_free_ char *text = NULL;
        struct worker worker;
        struct map_kind kind = way->kind;
        char config[64];
        int top;

        memset(tried, 0, sizeof(*tried));
        cgroup_make(&cgroup, NULL, "bypass");
        cgroup_make(&outside, NULL, "bypass-outside");
        config_make(config);
        assert_true(asprintf(&text, "Max=%lluK\nOnMax=deny", (unsigned long long) way->max / KIB) > 0);
        config_write_budget(config, "test.budget", &cgroup, text);
        live_start_with(&daemon, NULL, config);
        /* Nothing would end what is tried. */
        if (strstr(daemon.greeting, "OnMax=deny is not available"))
                fail_msg("%s", daemon.greeting);
        worker_start(&worker, way->below ? &outside : &cgroup, way->go, &kind);
        if (tried->unsupported)
                print_message("# %-36s not on this kernel: %s\n", way->name, strerror(tried->unsupported));
        else
                check_way(way, &daemon);
        worker_end(&worker);
        assert_int_equal(live_end(&daemon), 0);
        top = open_top();
        remove_below(top);
        close(top);
        cgroup_remove(&cgroup);
        cgroup_remove(&outside);
}

int main(void)
{
        struct CMUnitTest tests[WAYS] = {};

        tried = mmap(NULL, sizeof(*tried), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (tried == MAP_FAILED)
                return 1;
        for (size_t i = 0; i < WAYS; i++)
                tests[i] = (struct CMUnitTest){ .name = ways[i].name,
                        .test_func = try_way,
                        .setup_func = gate_setup,
                        .teardown_func = gate_teardown,
                        .initial_state = (void *) &ways[i] };
        return gate_main("bypass", tests, WAYS);
}
