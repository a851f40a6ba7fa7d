/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "waste.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>
#include <sys/sysinfo.h>

#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "field.h"

/* struct htab_elem without key and value (kernel/bpf/hashtab.c). */
#define HTAB_ELEM_SIZE 48

static const struct {
        const char *name;
        bool hash, percpu;
        bool preallocates; /* preallocated unless BPF_F_NO_PREALLOC is set, which the type accepts */
} types[] = {
        { "hash", true, false, true },
        { "percpu_hash", true, true, true },
        { "lru_percpu_hash", true, true, false },
        { "percpu_array", false, true, false },
};

static uint64_t round_up_8(uint64_t bytes)
{
        return (bytes + 7) & ~7ULL;
}

static uint64_t next_power_of_two(uint64_t number)
{
        uint64_t power = 1;

        while (power < number)
                power *= 2;
        return power;
}

static int add(json_t *findings, const json_t *object, uint64_t saved, const char *reason, const char *change)
{
        uint64_t allocated = field_integer(object, "allocated");
        char name[24];

        saved = MIN(saved, allocated);
        if (saved < WASTE_MIN)
                return 0;
        snprintf(name, sizeof(name), "map:%llu", (unsigned long long) field_integer(object, "id"));
        return json_array_append_new(findings,
                               json_pack("{ss ss ss ss sI sI ss ss}", "object", name, "type",
                                               field_string(object, "type"), "name", field_string(object, "name"),
                                               "cgroup", field_string(object, "cgroup"), "allocated",
                                               (json_int_t) allocated, "saved", (json_int_t) saved, "reason", reason,
                                               "change", change)) < 0
                               ? -ENOMEM
                               : 0;
}

/* Finds a preallocated hash with few entries. If the kernel does not report the entries, finds nothing. */
static int find_empty(const json_t *object, bool percpu, uint32_t possible, json_t *findings)
{
        uint64_t max = field_integer(object, "maxEntries"), entries = field_integer(object, "entries");
        uint64_t value = round_up_8(field_integer(object, "valueSize"));
        uint64_t element = HTAB_ELEM_SIZE + round_up_8(field_integer(object, "keySize"));
        /* Twice the present entries, so that the map does not fill up immediately. */
        uint64_t enough = MAX(next_power_of_two(2 * entries), 16);
        char reason[128], change[128];

        if (!field_get(object, "entries") || field_integer(object, "flags") & BPF_F_NO_PREALLOC ||
                        entries * 100 >= max * WASTE_EMPTY_PERCENT || enough >= max)
                return 0;
        element += percpu ? sizeof(uint64_t) + value * possible : value;
        snprintf(reason, sizeof(reason), "preallocated for %llu entries, %llu in use", (unsigned long long) max,
                        (unsigned long long) entries);
        snprintf(change, sizeof(change), "create it with BPF_F_NO_PREALLOC, or with max_entries=%llu",
                        (unsigned long long) enough);
        return add(findings, object, (max - enough) * element, reason, change);
}

static int find_cpus(const json_t *object, bool hash, uint32_t possible, uint32_t online, json_t *findings)
{
        bool grows = hash && field_integer(object, "flags") & BPF_F_NO_PREALLOC;
        uint64_t elements = field_integer(object, grows ? "entries" : "maxEntries");
        uint64_t saved = elements * round_up_8(field_integer(object, "valueSize")) * (possible - online);
        char reason[128], change[128];

        snprintf(reason, sizeof(reason), "per-CPU memory for %u possible CPUs, of which %u are online", possible,
                        online);
        snprintf(change, sizeof(change), "boot with possible_cpus=%u", online);
        return add(findings, object, saved, reason, change);
}

int waste_find(const json_t *object, uint32_t possible_cpus, uint32_t online_cpus, json_t *findings)
{
        int r = 0;

        if (strcmp(field_string(object, "kind"), "map") != 0)
                return 0;
        for (size_t i = 0; r == 0 && i < sizeof(types) / sizeof(types[0]); i++) {
                if (strcmp(field_string(object, "type"), types[i].name) != 0)
                        continue;
                if (types[i].preallocates)
                        r = find_empty(object, types[i].percpu, possible_cpus, findings);
                if (r == 0 && types[i].percpu && possible_cpus > online_cpus)
                        r = find_cpus(object, types[i].hash, possible_cpus, online_cpus, findings);
        }
        return r;
}

json_t *waste_of(const json_t *objects)
{
        int possible = libbpf_num_possible_cpus(), online = get_nprocs();
        json_t *findings = json_array();
        int r = findings ? 0 : -ENOMEM;

        /* If the number of possible CPUs is not known, it is the number of online ones. */
        for (size_t i = 0; r == 0 && i < json_array_size(objects); i++)
                r = waste_find(json_array_get(objects, i), MAX(possible, online), online, findings);
        if (r == 0)
                r = field_sort(findings, "saved", true);
        if (r == 0)
                return findings;
        json_decref(findings);
        return NULL;
}
