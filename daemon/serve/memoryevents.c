/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/memoryevents.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/fileio.h"
#include "serve/jsontext.h"

void memory_events_parse(FILE *file, struct memory_events *events)
{
        unsigned long long value;
        char name[64];

        while (fscanf(file, "%63s %llu", name, &value) == 2) {
                if (strcmp(name, "max") == 0)
                        events->max = value;
                else if (strcmp(name, "oom") == 0)
                        events->oom = value;
        }
}

/*
 * Reads the events of the cgroup's own limit; memory.events would include those of the subtree. Returns whether the
 * kernel has these figures.
 */
static bool read_events(const struct cgroupfs *cgroupfs, uint64_t id, struct memory_events *events)
{
        _cleanup_close_ int directory = cgroupfs_open(cgroupfs, id);
        _cleanup_fclose_ FILE *file = NULL;

        *events = (struct memory_events){};
        if (directory < 0)
                return false;
        if (cgroupfs->version == 1) {
                events->max = read_number_at(directory, "memory.failcnt", 0) +
                              read_number_at(directory, "memory.kmem.failcnt", 0);
                return true;
        }
        file = open_file_at(directory, "memory.events.local");
        if (file)
                memory_events_parse(file, events);
        return file;
}

json_t *memory_events_to_json(const struct cgroupfs *cgroupfs, const struct cgroup *cgroup)
{
        json_t *array = json_array();

        for (; array && cgroup; cgroup = cgroup->parent) {
                struct memory_events events;

                if (!cgroup->exists || !read_events(cgroupfs, cgroup->id, &events))
                        continue;
                if (json_array_append_new(array,
                                    json_pack("{so sI sI}", "cgroup", text_to_json(cgroup->path), "max",
                                                    (json_int_t) events.max, "oom", (json_int_t) events.oom)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}
