/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the history costs with 1,000 workloads, each with three maps, of which any changes 100 times a second: bytes on
 * disk after eight days in which each changes in each hour, memory, CPU time in percent of a core, and how long the
 * answer to "history" takes. Days pass as fast as they can. Prints figures and judges nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "account/ledger.h"
#include "base/clock.h"
#include "base/wallclock.h"
#include "serve/history.h"

#define WORKLOADS 1000
#define MAPS      3
#define CHANGES   100 /* a second */
#define MINUTES   5   /* that are measured */
#define BEGIN_SEC 1764000000ULL
#define USEC      1000000ULL

static uint64_t now = BEGIN_SEC * USEC;
static struct tree tree;
static struct ledger ledger;
static struct event_base *base;
static struct history *history;

uint64_t wall_usec(void)
{
        return now;
}

/* What is to be written is written at the next turn of the loop. */
uint64_t wall_wait_usec(uint64_t usec)
{
        (void) usec;
        return 0;
}

/* 1 is the root, 2 the slice of all. */
static int lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        (void) context;
        *parent_id = id == 2 ? 1 : 2;
        if (!name)
                return 0;
        if (id == 2)
                *name = strdup("system.slice");
        else if (asprintf(name, "workload-%u.service", (unsigned int) id) < 0)
                *name = NULL;
        return *name ? 0 : -12;
}

static void put(uint32_t workload, uint32_t map, uint64_t bytes)
{
        struct object_record record = { .kind = OBJECT_MAP,
                .type = 1,
                .id = workload * MAPS + map + 1,
                .cgroup_id = workload + 3,
                .allocated = bytes,
                .charged = bytes,
                .ceiling = bytes,
                .attribution = ATTRIBUTION_CHARGED };

        record.address = 4096ULL * record.id;
        snprintf(record.name, sizeof(record.name), "map_%u", map);
        ledger_put(&ledger, &record);
}

/* Lets what is to be written be written. */
static void turn(void)
{
        struct timespec wait = { .tv_nsec = 200 * 1000 };

        for (int i = 0; i < 3 || history->in_flight || history->unwritten; i++) {
                event_base_loop(base, EVLOOP_NONBLOCK);
                if (history->in_flight)
                        nanosleep(&wait, NULL);
        }
}

static double cpu_seconds(void)
{
        struct rusage usage;

        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* KiB of @field in /proc/self/smaps_rollup. */
static long memory(const char *field)
{
        FILE *file = fopen("/proc/self/smaps_rollup", "r");
        size_t n = strlen(field);
        char line[256];
        long kib = 0;

        while (file && fgets(line, sizeof(line), file))
                if (strncmp(line, field, n) == 0)
                        kib = atol(line + n);
        if (file)
                fclose(file);
        return kib;
}

static uint64_t random_below(uint64_t n)
{
        static uint64_t state = 1;

        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        return (state >> 33) % n;
}

/* A minute of changes; @with: as the history takes them. Returns the CPU time that it took. */
static double minute(bool with)
{
        double before = cpu_seconds();

        for (int i = 0; i < 60 * CHANGES; i++) {
                put(random_below(WORKLOADS), random_below(MAPS), 4096 * (1 + random_below(5000)));
                tree_flush(&tree);
                if (with)
                        history_take(history);
        }
        if (with) {
                now += 60 * USEC;
                turn();
        }
        return cpu_seconds() - before;
}

static bool answered;
static size_t found;

static void on_answer(void *context, const struct history_result *result, int error)
{
        (void) context;
        (void) error;
        answered = true;
        found = result ? result->series_count : 0;
}

/* Milliseconds that the question of "bpfbudgetctl history" takes. */
static double ask(const char *glob, bool maps)
{
        struct history_query query = { .glob = glob ? strdup(glob) : NULL,
                .since = now / USEC / 3600 - HISTORY_HOURS + 1,
                .until = now / USEC / 3600,
                .points = glob ? HISTORY_HOURS : 32,
                .maps = maps };
        struct history_question *question;
        uint64_t start = now_usec();

        answered = false;
        history_ask(history, &query, on_answer, NULL, &question);
        while (!answered)
                event_base_loop(base, EVLOOP_ONCE);
        return (now_usec() - start) / 1e3;
}

static uint64_t size_of(const char *directory, const char *name)
{
        char path[128];
        FILE *file;
        long size = 0;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        file = fopen(path, "r");
        if (file && fseek(file, 0, SEEK_END) == 0)
                size = ftell(file);
        if (file)
                fclose(file);
        return size;
}

int main(void)
{
        char directory[] = "/tmp/bpfbudget-bench-XXXXXX", command[64];
        struct history_options options = { .tree = &tree, .ledger = &ledger, .cpus = 4 };
        double with = 0, without = 0, all_took;
        long anonymous, all;

        if (!mkdtemp(directory))
                return 1;
        options.base = base = event_base_new();
        options.directory = directory;
        tree_init(&tree, 1, lookup, NULL);
        ledger_init(&ledger, &tree);
        for (uint32_t i = 0; i < WORKLOADS; i++)
                for (uint32_t map = 0; map < MAPS; map++)
                        put(i, map, 4096 * (1 + random_below(5000)));
        tree_flush(&tree);
        for (int i = 0; i < MINUTES; i++)
                without += minute(false);
        anonymous = memory("Anonymous:");
        all = memory("Rss:");
        if (history_new(&options, &history) < 0)
                return 1;
        turn();
        for (int i = 0; i < MINUTES; i++)
                with += minute(true);
        printf("history, %d workloads, %d changes/s: %.3f %% of a core, %ld KiB of memory (%ld KiB with the code of "
               "SQLite)\n",
                        WORKLOADS, CHANGES, (with - without) / (60 * MINUTES) * 100, memory("Anonymous:") - anonymous,
                        memory("Rss:") - all);
        /* Eight days, in each hour of which each workload and one of its maps change. */
        for (uint32_t hour = 0; hour < HISTORY_HOURS; hour++) {
                now += 3600 * USEC;
                for (uint32_t i = 0; i < WORKLOADS; i++)
                        put(i, hour % MAPS, 4096 * (1 + random_below(5000)));
                tree_flush(&tree);
                history_take(history);
                turn();
        }
        printf("on disk after eight days: %.1f MB, and %.1f MB of log; memory %ld KiB\n",
                        size_of(directory, HISTORY_FILE) / 1e6, size_of(directory, HISTORY_FILE "-wal") / 1e6,
                        memory("Anonymous:") - anonymous);
        all_took = ask(NULL, false);
        printf("history: %.1f ms (%zu workloads)", all_took, found);
        printf(", of one workload: %.1f ms", ask("workload-500.service", true));
        printf(", what-grew: %.1f ms\n", ask(NULL, true));
        history_free(history, HISTORY_STOP_USEC);
        ledger_deinit(&ledger);
        tree_deinit(&tree);
        event_base_free(base);
        snprintf(command, sizeof(command), "rm -r %s", directory);
        return system(command) != 0;
}
