/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests on the running kernel: cgroups of the test, processes in them that hold BPF objects, the daemon's reply as
 * JSON, and the kernel's own figures. If the harness itself fails, the test ends with a message.
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

/* Whether the test is built with AddressSanitizer: gcc defines a macro, and clang has a feature test. */
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
        char directory[512]; /* its path in the file system */
        uint64_t id;
};

/*
 * Whether the kernel was booted with cgroup.memory=nobpf: then it charges BPF memory to no cgroup, and does not record
 * to which cgroup it belongs.
 */
bool harness_nobpf(void);

/* Finds the memory hierarchy. Call it once, before everything else. Returns 0 or a negative errno. */
int harness_init(void);
/*
 * harness_init() for main(). Returns 0; or, if the test must be skipped, prints this in TAP and returns the exit
 * status. Ends a test that hangs.
 */
int harness_main(void);

/* The teardown of every test. Ends the processes and removes the cgroups that a failed test has left. Returns 0. */
int harness_teardown(void **state);

/* Makes /bpfbudget-test-PID-@name, or @name below @parent. */
void cgroup_make(struct test_cgroup *cgroup, const struct test_cgroup *parent, const char *name);
/* Removes @cgroup after the kernel has removed the processes in it that have ended. */
void cgroup_remove(struct test_cgroup *cgroup);
/* A chain of cgroups, each below the previous one, deeper than any path can be. */
#define CHAIN_DEPTH_MAX 2100
struct test_chain {
        struct test_cgroup top;  /* the cgroup above the chain */
        struct test_cgroup last; /* of the chain; has no path, and its directory is a link to it */
        int fd;                  /* of the last one */
        size_t depth;
        uint64_t ids[CHAIN_DEPTH_MAX];
        char name[256]; /* of each */
        char *path;     /* of the last one */
};

/* Creates a chain of @depth (not 0) cgroups, all with the name @name. */
void chain_make(struct test_chain *chain, const char *name, size_t depth);
/* Removes the last cgroup. The one above it becomes the last. */
void chain_shorten(struct test_chain *chain);
void chain_remove(struct test_chain *chain);

/* Moves the test itself into the cgroup @path. Returns the path of the cgroup of the test, to be freed. */
void cgroup_enter(const char *path);
char *cgroup_own_path(void);

/* The bytes of kernel memory that the kernel charges @cgroup for. Call settle() before. */
uint64_t cgroup_kernel_bytes(const struct test_cgroup *cgroup);
/* Waits until the kernel's figures are up to date. */
void settle(void);

/* A process in @cgroup that runs @create(@argument), and holds the objects that this creates until worker_end(). */
struct worker {
        pid_t pid;
        int control;
};

void worker_start(struct worker *worker, const struct test_cgroup *cgroup, void (*create)(void *argument),
                void *argument);
void worker_end(struct worker *worker);
/*
 * worker_start() in three steps, so that many workers can create objects at the same time: enter the cgroup, request
 * the creation, and wait for its end.
 */
void worker_enter(struct worker *worker, const struct test_cgroup *cgroup, void (*create)(void *argument),
                void *argument);
void worker_go(struct worker *worker);
void worker_wait(struct worker *worker);

/* A number of equal maps. */
struct map_case {
        const char *name;
        enum bpf_map_type type;
        uint32_t key_size, value_size, max_entries, flags;
        uint32_t fill;  /* entries to insert */
        uint32_t count; /* of maps */
        bool inner;     /* the maps hold maps; one more map is created as their template */
};

/* For a worker: creates and fills the maps of the struct map_case @argument, with the name "bb_test". */
void create_maps(void *argument);

/* Creates a directory for configuration files. It is removed with all files in it after the test. */
void config_make(char directory[64]);
/* Writes the file @name there. */
void config_write(const char *directory, const char *name, const char *text);
/* The same with a budget of @cgroup, whose section [Budget] has the lines @limits. */
void config_write_budget(const char *directory, const char *name, const struct test_cgroup *cgroup, const char *limits);

/* Runs the daemon with these arguments (NULL ends them). Returns what it wrote to stdout; *status is its exit status.
 */
char *daemon_run(int *status, const char *first, ...) __attribute__((sentinel));
/* The same for stderr instead of stdout. */
char *daemon_errors(int *status, const char *first, ...) __attribute__((sentinel));

/* Takes one snapshot by bpfbudgetd --once --json=short, and parses it. Call json_decref() for it. */
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
/* The sum of "allocated" of the objects in @report whose cgroup is @path; of all objects if @path is NULL. */
int64_t sum_objects(json_t *report, const char *path);

/* A running bpfbudgetd that answers SIGUSR1 with JSON. */
struct live_daemon {
        pid_t pid;
        int out;              /* its stdout */
        int errors;           /* its stderr, with debug messages */
        char socket[96];      /* where it serves varlink: in the directory of its configuration */
        char greeting[65536]; /* the messages that it logged until it was ready, without libbpf's debug messages */
};

/*
 * Daemons that are started after this call write no debug messages: libbpf has thousands, which take long under
 * emulation.
 */
void live_be_quiet(void);

/* Starts the daemon in @cgroup (NULL: in that of the test), and waits until it is ready. */
void live_start(struct live_daemon *daemon, const struct test_cgroup *cgroup);
/* The same with the configuration in the directory @config. */
void live_start_with(struct live_daemon *daemon, const struct test_cgroup *cgroup, const char *config);
/* The same with --dry-run. */
void live_start_dry(struct live_daemon *daemon, const char *config);
/*
 * Waits until it logs @text. Returns everything that it has logged since the last call of this function or of
 * live_log(). To be freed.
 */
char *live_wait_log(struct live_daemon *daemon, const char *text);
/*
 * The report of the daemon. Call json_decref() for it. The daemon flushes before it replies, and passes over all
 * objects if no hook reports them. The report therefore shows what exists, but not that a sensor reported it; for that,
 * see live_wait_log() and tests/kernel/test-monitor.c.
 */
json_t *live_report(struct live_daemon *daemon);
/* The messages that it has logged since its start, or since the last call. To be freed. */
char *live_log(struct live_daemon *daemon);
/* The number of its voluntary context switches: how often it went to sleep. */
long live_switches(const struct live_daemon *daemon);
/* Its resident set in KiB. */
long live_rss(const struct live_daemon *daemon);
/* Ends it by SIGTERM. Returns its exit status. */
int live_end(struct live_daemon *daemon);
/* Waits for the end of the daemon, which another function has caused. Returns its exit status, 128 + N for signal N. */
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
/* Whether the capability @name is available according to @report. */
bool has_capability(json_t *report, const char *name);
/* Asserts that @text is one line that contains @part. */
void assert_one_line(const char *text, const char *part);
/*
 * Waits until the object @kind, @id has the text @value in @key, because this can take the kernel and the daemon some
 * time. Returns the report that has it.
 */
json_t *live_wait_object(struct live_daemon *daemon, const char *kind, int64_t id, const char *key, const char *value);
