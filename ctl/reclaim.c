/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frees orphans: removes the pins that keep them. This program does this as root; the daemon does not have the
 * permission. Immediately before that, it checks again that nothing holds the orphans, and it removes a pin only if it
 * still refers to the same object.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "ask.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "bpf/records.h"
#include "field.h"
#include "orphans.h"
#include "pinfile.h"
#include "show.h"
#include "text.h"
#include "verbs.h"

/* The kernel frees objects without references after a grace period. */
#define FREED_MSEC_MAX 2000

/* An object or link to be freed, and the result. */
struct wanted {
        uint32_t kind, id;
        const json_t *orphan; /* the object; for a link, an object that it keeps */
        uint64_t bytes;
        size_t removed;     /* pins */
        bool missing;       /* one of the pins was not found */
        const char *failed; /* reason of a failure; NULL: it is freed */
};

struct reclaim {
        const struct options *options;
        struct wanted *list;
        size_t count;
};

static const struct {
        const char *prefix;
        uint32_t kind;
} prefixes[] = { { "map:", OBJECT_MAP }, { "prog:", OBJECT_PROGRAM }, { "program:", OBJECT_PROGRAM },
        { "link:", OBJECT_LINK } };

static bool parse_object(const char *text, struct wanted *wanted)
{
        for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
                size_t length = strlen(prefixes[i].prefix);
                const char *digits = text + length;
                unsigned long long id;
                char *end;

                if (strncmp(text, prefixes[i].prefix, length) != 0 || *digits < '0' || *digits > '9')
                        continue;
                id = strtoull(digits, &end, 10);
                if (*end || id == 0 || id > UINT32_MAX)
                        return false;
                *wanted = (struct wanted){ .kind = prefixes[i].kind, .id = id };
                return true;
        }
        return false;
}

static const char *name_of(const struct wanted *wanted, char buffer[ORPHAN_NAME_MAX])
{
        snprintf(buffer, ORPHAN_NAME_MAX, "%s:%u",
                        wanted->kind == OBJECT_MAP    ? "map"
                        : wanted->kind == OBJECT_LINK ? "link"
                                                      : "prog",
                        wanted->id);
        return buffer;
}

/* --- Checks ------------------------------------------------------------------------------------------------------- */

static bool is_map(const json_t *orphan)
{
        return strcmp(field_string(orphan, "kind"), "map") == 0;
}

static int compare_wanted(const void *a, const void *b)
{
        const struct wanted *x = a, *y = b;

        return x->kind != y->kind ? (x->kind > y->kind ? 1 : -1) : (x->id > y->id) - (x->id < y->id);
}

static bool is_kept_by_link(const json_t *orphan, uint32_t id)
{
        const json_t *keepers = field_get(orphan, "keepers");

        for (size_t i = 0; i < json_array_size(keepers); i++)
                if (field_integer(json_array_get(keepers, i), "linkId") == id)
                        return true;
        return false;
}

/* Finds the orphan of each wanted object in @list. Both can be long. */
static void find_orphans(struct reclaim *reclaim, const json_t *list)
{
        qsort(reclaim->list, reclaim->count, sizeof(*reclaim->list), compare_wanted);
        for (size_t i = 0; i < reclaim->count; i++)
                reclaim->list[i].orphan = NULL;
        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *orphan = json_array_get(list, i);
                struct wanted key = { .kind = is_map(orphan) ? OBJECT_MAP : OBJECT_PROGRAM,
                        .id = field_integer(orphan, "id") };
                struct wanted *wanted = bsearch(
                                &key, reclaim->list, reclaim->count, sizeof(*reclaim->list), compare_wanted);

                if (wanted)
                        wanted->orphan = orphan;
                /* Links come last. */
                for (size_t k = reclaim->count; k > 0 && reclaim->list[k - 1].kind == OBJECT_LINK; k--)
                        if (is_kept_by_link(orphan, reclaim->list[k - 1].id))
                                reclaim->list[k - 1].orphan = orphan;
        }
}

static bool is_asked_for(const struct reclaim *reclaim, uint32_t kind, uint64_t id)
{
        for (size_t i = 0; i < reclaim->count; i++)
                if (reclaim->list[i].kind == kind && reclaim->list[i].id == id)
                        return true;
        return false;
}

/* A program that uses the map @wanted and is not among the arguments; 0: there is none. */
static uint64_t missing_program(const struct reclaim *reclaim, const struct wanted *wanted)
{
        const json_t *keepers = field_get(wanted->orphan, "keepers");

        for (size_t i = 0; wanted->kind == OBJECT_MAP && i < json_array_size(keepers); i++) {
                uint64_t id = field_integer(json_array_get(keepers, i), "programId");

                if (id && !is_asked_for(reclaim, OBJECT_PROGRAM, id))
                        return id;
        }
        return 0;
}

/* Whether @wanted may be freed; what is wrong is logged. */
static bool check(const struct reclaim *reclaim, struct wanted *wanted)
{
        char name[ORPHAN_NAME_MAX];
        uint64_t program;

        name_of(wanted, name);
        if (!wanted->orphan) {
                log_error("%s: it is in use, or does not exist; \"bpfbudgetctl orphans\" lists the objects that can be "
                          "freed",
                                name);
                return false;
        }
        if (!field_true(wanted->orphan, "certain")) {
                log_error("%s: it has references that the daemon has not seen, and may be in use", name);
                return false;
        }
        program = missing_program(reclaim, wanted);
        if (program) {
                log_error("%s: prog:%llu uses it, which is an orphan, too; add that to the arguments", name,
                                (unsigned long long) program);
                return false;
        }
        wanted->bytes = wanted->kind == OBJECT_LINK ? 0 : field_integer(wanted->orphan, "allocated");
        return true;
}

/* Finds and checks all wanted objects in @list. If one of them may not be freed, nothing is freed. */
static int find_all(struct reclaim *reclaim, const json_t *list)
{
        bool all = true;

        find_orphans(reclaim, list);
        for (size_t i = 0; i < reclaim->count; i++)
                all = check(reclaim, &reclaim->list[i]) && all;
        return all ? 0 : -EBUSY;
}

/* --- What is done ------------------------------------------------------------------------------------------------- */

/*
 * Whether @keeper is a pin that must be removed to free @wanted; then *kind and *id are those of the pinned object or
 * link.
 */
static bool is_to_go(const struct wanted *wanted, const json_t *keeper, uint32_t *kind, uint32_t *id)
{
        bool link = strcmp(field_string(keeper, "kind"), "link") == 0;

        if (!*field_string(keeper, "path"))
                return false;
        *kind = link ? OBJECT_LINK : wanted->kind;
        *id = link ? field_integer(keeper, "linkId") : wanted->id;
        return wanted->kind != OBJECT_LINK || (link && *id == wanted->id);
}

static void show_plan(const struct reclaim *reclaim)
{
        for (size_t i = 0; i < reclaim->count; i++) {
                const struct wanted *wanted = &reclaim->list[i];
                const json_t *keepers = field_get(wanted->orphan, "keepers");
                _cleanup_free_ char *name = text_shown(field_string(wanted->orphan, "name"));
                char object[ORPHAN_NAME_MAX], bytes[FORMAT_BYTES_MAX];
                uint32_t kind, id;

                if (wanted->kind == OBJECT_LINK)
                        printf("%s\n", name_of(wanted, object));
                else
                        printf("%s %s (%s)\n", name_of(wanted, object), name ?: "",
                                        format_bytes(bytes, wanted->bytes, reclaim->options->bytes));
                for (size_t k = 0; k < json_array_size(keepers); k++) {
                        const json_t *keeper = json_array_get(keepers, k);
                        _cleanup_free_ char *command = text_shown(field_string(keeper, "command"));

                        if (is_to_go(wanted, keeper, &kind, &id))
                                printf("    %s\n", command ?: "");
                }
        }
}

static int ask_user(const struct reclaim *reclaim)
{
        char answer[16] = "";

        if (reclaim->options->yes)
                return 0;
        if (reclaim->options->json != JSON_OFF || !isatty(STDIN_FILENO)) {
                log_error("reclaim: nothing was removed: there is no terminal for the confirmation; use --yes");
                return -ECANCELED;
        }
        printf("Remove these pins? [y/N] ");
        fflush(stdout);
        if (fgets(answer, sizeof(answer), stdin) && (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0))
                return 0;
        log_error("reclaim: nothing was removed");
        return -ECANCELED;
}

static void remove_pins(struct wanted *wanted)
{
        const json_t *keepers = field_get(wanted->orphan, "keepers");

        for (size_t i = 0; i < json_array_size(keepers); i++) {
                const json_t *keeper = json_array_get(keepers, i);
                const char *path = field_string(keeper, "path");
                uint32_t kind, id;
                int r;

                if (!is_to_go(wanted, keeper, &kind, &id))
                        continue;
                r = pinfile_remove(path, kind, id);
                if (r == 0)
                        wanted->removed++;
                /*
                 * The pin may have been removed with another object of the arguments, or its path is not UTF-8, so that
                 * JSON does not have its exact bytes.
                 */
                else if (r == -ENOENT)
                        wanted->missing = true;
                else {
                        log_error("%s: %s", path, r == -ESTALE ? "something else is pinned there now" : strerror(-r));
                        wanted->failed = "a pin could not be removed";
                }
        }
}

static bool is_there(const struct wanted *wanted)
{
        _cleanup_close_ int fd = wanted->kind == OBJECT_MAP    ? bpf_map_get_fd_by_id(wanted->id)
                                 : wanted->kind == OBJECT_LINK ? bpf_link_get_fd_by_id(wanted->id)
                                                               : bpf_prog_get_fd_by_id(wanted->id);

        return fd >= 0;
}

/* Waits until @wanted is freed, at most *msec, and subtracts the time from *msec. */
static void await(struct wanted *wanted, unsigned int *msec)
{
        const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

        while (!wanted->failed && is_there(wanted)) {
                if (*msec < 10) {
                        wanted->failed = wanted->missing ? "a pin was not found, its path may not be UTF-8; use the "
                                                           "command that \"bpfbudgetctl orphans\" shows"
                                                         : "it still exists: something else has a reference to it";
                        break;
                }
                nanosleep(&pause, NULL);
                *msec -= 10;
        }
}

static json_t *result_of(const struct wanted *wanted)
{
        char name[ORPHAN_NAME_MAX];

        return json_pack("{ss sI sI ss*}", "object", name_of(wanted, name), "bytes", (json_int_t) wanted->bytes, "pins",
                        (json_int_t) wanted->removed, "failed", wanted->failed);
}

/* Reports the result for each object. Returns 0, EXIT_NOT_RECLAIMED, or a negative errno. */
static int tell(const struct reclaim *reclaim)
{
        json_t *list = json_array();
        char name[ORPHAN_NAME_MAX], bytes[FORMAT_BYTES_MAX];
        size_t failed = 0;
        uint64_t sum = 0;
        int r = 0;

        for (size_t i = 0; i < reclaim->count; i++) {
                const struct wanted *wanted = &reclaim->list[i];

                failed += wanted->failed != NULL;
                sum += wanted->failed ? 0 : wanted->bytes;
                json_array_append_new(list, result_of(wanted));
                if (wanted->failed)
                        log_error("%s: %s", name_of(wanted, name), wanted->failed);
        }
        if (reclaim->options->json != JSON_OFF)
                r = show_json_list(reclaim->options, "reclaimed", list);
        else
                printf("Reclaimed %zu of %zu, %s\n", reclaim->count - failed, reclaim->count,
                                format_bytes(bytes, sum, reclaim->options->bytes));
        json_decref(list);
        return r < 0 ? r : failed ? EXIT_NOT_RECLAIMED : 0;
}

static int act(struct reclaim *reclaim)
{
        unsigned int msec = FREED_MSEC_MAX;
        json_t *list;
        int r = orphans_ask(reclaim->options, NULL, true, &list);

        if (r < 0)
                return r;
        r = find_all(reclaim, list);
        for (size_t i = 0; r == 0 && i < reclaim->count; i++)
                remove_pins(&reclaim->list[i]);
        for (size_t i = 0; r == 0 && i < reclaim->count; i++)
                await(&reclaim->list[i], &msec);
        if (r == 0)
                r = tell(reclaim);
        json_decref(list);
        return r;
}

static int plan(struct reclaim *reclaim)
{
        json_t *list;
        int r = orphans_ask(reclaim->options, NULL, true, &list);

        if (r < 0)
                return r;
        r = find_all(reclaim, list);
        if (r == 0 && reclaim->options->json == JSON_OFF)
                show_plan(reclaim);
        json_decref(list);
        return r;
}

/* Adds the object or link that @text names, if it is not in the list yet. */
static int take_argument(struct reclaim *reclaim, const char *text)
{
        struct wanted *list, wanted;

        if (!parse_object(text, &wanted)) {
                log_error("%s: an object is map:ID, prog:ID or link:ID, as \"bpfbudgetctl orphans\" names them", text);
                return -EINVAL;
        }
        if (is_asked_for(reclaim, wanted.kind, wanted.id))
                return 0;
        list = array_grow(reclaim->list, reclaim->count, sizeof(*list));
        if (!list) {
                log_error("Out of memory");
                return -ENOMEM;
        }
        reclaim->list = list;
        list[reclaim->count++] = wanted;
        return 0;
}

int verb_reclaim(const struct options *options, int argc, char *argv[])
{
        struct reclaim reclaim = { .options = options };
        int r = 0;

        for (int i = 0; r == 0 && i < argc; i++)
                r = take_argument(&reclaim, argv[i]);
        if (r == 0 && geteuid() != 0) {
                log_error("reclaim: requires root");
                r = -EPERM;
        }
        if (r == 0)
                r = plan(&reclaim);
        if (r == 0)
                r = ask_user(&reclaim);
        if (r == 0)
                r = act(&reclaim);
        free(reclaim.list);
        return r;
}
