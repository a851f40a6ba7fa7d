/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests on the live kernel: cgroups of their own, a process inside that holds BPF objects, the daemon's answer as
 * JSON, and the kernel's own figures. Failures of the harness itself end the test with a message.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>
#include <jansson.h>
#include <linux/bpf.h>

/* Whether the test is built with AddressSanitizer: gcc says it by a macro, clang by a feature. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define HARNESS_ASAN 1
#else
#define HARNESS_ASAN 0
#endif

/* A cgroup below the memory hierarchy's root, made by a test. */
struct test_cgroup {
        char path[256];      /* as the daemon names it */
        char directory[512]; /* where it is mounted */
        uint64_t id;
};

/* Whether the kernel was booted with cgroup.memory=nobpf: then it charges BPF memory to no cgroup, and knows nobody's.
 */
bool harness_nobpf(void);

/* Finds the memory hierarchy. To be called once, before all else. Returns 0 or a negative errno. */
int harness_init(void);
/* harness_init() for main(): returns 0, or with the skip said in TAP the exit status. Ends the test if it hangs. */
int harness_main(void);

/* Teardown of every test: ends the processes and removes the cgroups that a failed test has left. Returns 0. */
int harness_teardown(void **state);

/* Makes /bpfbudget-test-PID-@name, or @name below @parent. */
void cgroup_make(struct test_cgroup *cgroup, const struct test_cgroup *parent, const char *name);
/* Removes it; waits for the kernel to let go of processes that have ended. */
void cgroup_remove(struct test_cgroup *cgroup);
/* Cgroups one below the other, deeper than any path. */
#define CHAIN_DEPTH_MAX 2100
struct test_chain {
        struct test_cgroup top;  /* what they are below */
        struct test_cgroup last; /* without a path; its directory is a link to it, while it is there */
        int fd;                  /* the last one's */
        size_t depth;
        uint64_t ids[CHAIN_DEPTH_MAX];
        char name[256]; /* of each */
        char *path;     /* of the last one */
};

/* Makes them, of any depth but 0, all with the name @name. */
void chain_make(struct test_chain *chain, const char *name, size_t depth);
/* Removes the last one, which is not last any more. */
void chain_shorten(struct test_chain *chain);
void chain_remove(struct test_chain *chain);

/* Bytes of kernel memory that @cgroup is charged for, as the kernel says; to be asked after settle(). */
/* Moves the test itself into the cgroup @path; the path of the one that it is in, to be freed. */
void cgroup_enter(const char *path);
char *cgroup_own_path(void);

uint64_t cgroup_kernel_bytes(const struct test_cgroup *cgroup);
/* Waits until the kernel's figures are up to date. */
void settle(void);

/* A process in @cgroup that runs @create(@argument) and then holds whatever that made until worker_end(). */
struct worker {
        pid_t pid;
        int control;
};

void worker_start(struct worker *worker, const struct test_cgroup *cgroup, void (*create)(void *argument),
                void *argument);
void worker_end(struct worker *worker);
/* worker_start() in three steps, so that many can begin at once: in the cgroup, told to create, and done. */
void worker_enter(struct worker *worker, const struct test_cgroup *cgroup, void (*create)(void *argument),
                void *argument);
void worker_go(struct worker *worker);
void worker_wait(struct worker *worker);

/* Maps of one kind. */
struct map_case {
        const char *name;
        enum bpf_map_type type;
        uint32_t key_size, value_size, max_entries, flags;
        uint32_t fill;  /* entries to insert */
        uint32_t count; /* of maps */
        bool inner;     /* holds maps: one more is made as the pattern of them */
};

/* For a worker: makes and fills the maps of the struct map_case @argument, named "bb_test". */
void create_maps(void *argument);

/* A directory for configuration files, removed with all files in it after the test. */
void config_make(char directory[64]);
/* Writes the file @name there. */
void config_write(const char *directory, const char *name, const char *text);
/* The same with a budget of @cgroup, whose section [Budget] has the lines @limits. */
void config_write_budget(const char *directory, const char *name, const struct test_cgroup *cgroup, const char *limits);

/* Runs the daemon with these arguments (NULL ends them). Returns what it wrote to stdout; *status is its exit status.
 */
char *daemon_run(int *status, const char *first, ...) __attribute__((sentinel));
/* The same with stderr instead. */
char *daemon_errors(int *status, const char *first, ...) __attribute__((sentinel));

/* One snapshot: bpfbudgetd --once --json=short, parsed. To be given to json_decref(). */
json_t *snapshot(void);
/* The same with one more option. */
json_t *snapshot_with(const char *option);
/* The map or program (@kind) with this id in @report, or NULL. A borrowed reference. */
json_t *find_object(json_t *report, const char *kind, int64_t id);
/* The cgroup at @path in @report, or NULL. A borrowed reference. */
json_t *find_cgroup(json_t *report, const char *path);
/* Bytes that @cgroup takes with its subtree, by a snapshot of the daemon. */
int64_t cgroup_allocated(const struct test_cgroup *cgroup);
/* The number @key in the object @section of @object; or in @object itself if @section is NULL. */
int64_t number(json_t *object, const char *section, const char *key);
/* Sums "allocated" of the objects in @report that @cgroup's path is the cgroup of; of all if it is NULL. */
int64_t sum_objects(json_t *report, const char *path);

/* A running bpfbudgetd that answers SIGUSR1 with JSON. */
struct live_daemon {
        pid_t pid;
        int out;              /* its stdout */
        int errors;           /* its stderr, with debug messages */
        char socket[96];      /* where it serves varlink: in the directory of its configuration */
        char greeting[65536]; /* what it logged until it was ready, without libbpf's debug messages */
};

/* Those that are started from now on write no debug messages: libbpf's are thousands, which takes its time under
 * emulation. */
void live_be_quiet(void);

/* Starts it in @cgroup (NULL: where the test is) and waits until it is ready. */
void live_start(struct live_daemon *daemon, const struct test_cgroup *cgroup);
/* The same with the configuration in the directory @config. */
void live_start_with(struct live_daemon *daemon, const struct test_cgroup *cgroup, const char *config);
/* The same with --dry-run. */
void live_start_dry(struct live_daemon *daemon, const char *config);
/* Waits until it logs @text. Returns all that it has logged since the last call of this or of live_log(). To be freed.
 */
char *live_wait_log(struct live_daemon *daemon, const char *text);
/*
 * What it knows now. To be given to json_decref(). It looks before it answers, at all objects where no hook tells of
 * them: this shows what is there, and not that the daemon was told of it (live_wait_log(),
 * tests/kernel/test-monitor.c).
 */
json_t *live_report(struct live_daemon *daemon);
/* What it has logged since it was started, or since the last call. To be freed. */
char *live_log(struct live_daemon *daemon);
/* How often it was scheduled in by itself: voluntary context switches. */
long live_switches(const struct live_daemon *daemon);
/* Its resident set in KiB. */
long live_rss(const struct live_daemon *daemon);
/* Ends it by SIGTERM. Returns its exit status. */
int live_end(struct live_daemon *daemon);
/* Waits for its end, which somebody else has seen to. Returns its exit status, 128 + N for signal N. */
int live_reap(struct live_daemon *daemon);

void sleep_msec(unsigned int msec);

/* --- Shared by tests ---------------------------------------------------------------------------------------------- */

/* The id of the map or program behind @fd. */
uint32_t id_of(int fd);
/* For a worker: opens the map with the id @argument, twice. */
void hold_map(void *argument);
/* For a worker: anonymous memory of TOUCH_BYTES, and a quarter of that shared. */
#define TOUCH_BYTES (32 * 1024 * 1024)
void touch_memory(void *argument);
/* Whether @report says that the kernel has the capability @name. */
bool has_capability(json_t *report, const char *name);
/* @text is one line that contains @part. */
void assert_one_line(const char *text, const char *part);
/*
 * Waits until the object @kind, @id has the text @value in @key: the kernel and the daemon take their time. Returns the
 * report that has it.
 */
json_t *live_wait_object(struct live_daemon *daemon, const char *kind, int64_t id, const char *key, const char *value);
