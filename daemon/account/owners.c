/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/owners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fileio.h"
#include "base/log.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_SIZE 64

#define HEADER "bpfbudget owners 1 "

/* FNV-1a. */
#define HASH_BASIS 0xcbf29ce484222325ULL
#define HASH_PRIME 0x100000001b3ULL

static uint64_t hash_of(const char *text, size_t size)
{
        uint64_t hash = HASH_BASIS;

        for (size_t i = 0; i < size; i++)
                hash = (hash ^ (unsigned char) text[i]) * HASH_PRIME;
        return hash;
}

/* Ids of objects, and the cgroups' paths, are those of one boot. "": it is not known. */
static void read_boot_id(char id[BOOT_ID_SIZE])
{
        _cleanup_fclose_ FILE *file = fopen(BOOT_ID_FILE, "re");

        if (!file || fscanf(file, "%63s", id) != 1)
                *id = '\0';
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

/* Whether the cgroup @path is below @cgroup. */
static bool is_above(const struct cgroup *cgroup, const char *path)
{
        size_t length = cgroup->path ? strlen(cgroup->path) : 0;

        if (!cgroup->parent)
                return true;
        return length > 0 && strncmp(cgroup->path, path, length) == 0 && path[length] == '/';
}

/*
 * The object has its owner from before, unless it has one from this daemon. @usec is 0 if the last daemon did not see
 * that the cgroup was gone: it went meanwhile if the kernel charges one above it now.
 */
static void restore(struct object *object, const char *path, uint64_t usec)
{
        if (object->last_cgroup)
                return;
        if (usec == 0 && (object->record.marks & OBJECT_UNATTRIBUTED ||
                                         (object->charged->exists && !is_above(object->charged, path))))
                return;
        object->last_cgroup = strdup(path);
        object->gone_usec = object->last_cgroup ? usec : 0;
}

/* An entry: kind, id, time, the length of the path, and the path, which may have any bytes. Returns whether there is
 * one.
 */
static bool read_entry(FILE *file, struct ledger *ledger)
{
        unsigned int kind, id, length;
        char path[OWNERS_PATH_MAX + 1];
        unsigned long long usec;
        struct object *object;

        if (fscanf(file, "%u %u %llu %u", &kind, &id, &usec, &length) != 4 || fgetc(file) != ' ' || length == 0 ||
                        length > OWNERS_PATH_MAX || fread(path, 1, length, file) != length || fgetc(file) != '\n' ||
                        *path != '/' || memchr(path, '\0', length))
                return false;
        path[length] = '\0';
        object = ledger_find(ledger, kind, id);
        if (object)
                restore(object, path, usec);
        return true;
}

void owners_begin(struct owners *owners, struct ledger *ledger, const char *path)
{
        _cleanup_fclose_ FILE *file = fopen(path, "re");
        char now[BOOT_ID_SIZE], then[BOOT_ID_SIZE];

        *owners = (struct owners){ .file = path, .stale = true };
        read_boot_id(now);
        if (!file || fscanf(file, HEADER "%63s", then) != 1 || strcmp(now, then) != 0)
                return;
        while (read_entry(file, ledger))
                ;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

/* The path of the cgroup that @object was charged to and that is gone; NULL: there is none, or it is not known. */
static const char *gone_cgroup(const struct object *object)
{
        if (object->last_cgroup)
                return object->last_cgroup;
        return object->charged->exists ? NULL : object->charged->path;
}

/* That of the cgroup that @object is charged to, which may go before the next daemon looks; NULL: there is none. */
static const char *living_cgroup(const struct object *object)
{
        return gone_cgroup(object) || !object->charged->parent ? NULL : object->charged->path;
}

static void put_entries(
                FILE *stream, const struct ledger *ledger, const char *(*path_of)(const struct object *), size_t *count)
{
        const struct object *object, *next;

        HASH_ITER (hh, ledger->by_key, object, next) {
                const char *path = path_of(object);
                size_t length = path ? strlen(path) : 0;

                if (length == 0 || length > OWNERS_PATH_MAX || *count >= OWNERS_MAX)
                        continue;
                (*count)++;
                fprintf(stream, "%u %u %llu %zu %s\n", object->record.kind, object->record.id,
                                (unsigned long long) object->gone_usec, length, path);
        }
}

/* The text of the file, to be freed; NULL: no memory. @last: the daemon ends. */
static char *make_text(const struct ledger *ledger, bool last, size_t *size)
{
        char boot_id[BOOT_ID_SIZE], *text = NULL;
        FILE *stream = open_memstream(&text, size);
        size_t count = 0;

        if (!stream)
                return NULL;
        read_boot_id(boot_id);
        fprintf(stream, HEADER "%s\n", boot_id);
        put_entries(stream, ledger, gone_cgroup, &count);
        if (last)
                put_entries(stream, ledger, living_cgroup, &count);
        if (fclose(stream) == 0)
                return text;
        free(text);
        return NULL;
}

static int write_file(const char *path, const char *text, size_t size)
{
        _cleanup_free_ char *new = NULL;

        if (asprintf(&new, "%s.new", path) < 0) {
                new = NULL;
                return -ENOMEM;
        }
        return replace_file(path, new, text, size, 0600);
}

static void save(struct owners *owners, const struct ledger *ledger, bool last)
{
        _cleanup_free_ char *text = NULL;
        uint64_t hash;
        size_t size;
        int r;

        owners->saved_usec = now_usec();
        owners->stale = false;
        text = make_text(ledger, last, &size);
        hash = text ? hash_of(text, size) : 0;
        if (text && hash == owners->hash)
                return;
        r = text ? write_file(owners->file, text, size) : -ENOMEM;
        if (r == 0)
                owners->hash = hash;
        else if (!owners->failing)
                log_warning("%s cannot be written (%s): the last owners of orphans are not kept over a restart",
                                owners->file, strerror(-r));
        owners->failing = r < 0;
}

uint64_t owners_due_usec(const struct owners *owners)
{
        return owners->file && owners->stale ? owners->saved_usec + OWNERS_INTERVAL_USEC : UINT64_MAX;
}

void owners_flush(struct owners *owners, const struct ledger *ledger)
{
        owners->stale = true;
        if (now_usec() >= owners_due_usec(owners))
                save(owners, ledger, false);
}

void owners_end(struct owners *owners, const struct ledger *ledger)
{
        if (owners->file)
                save(owners, ledger, true);
        *owners = (struct owners){};
}
