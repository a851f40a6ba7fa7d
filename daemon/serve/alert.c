/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/alert.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <linux/bpf.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/size.h"
#include "base/text.h"
#include "kernel/process.h"
#include "policy/unit.h"
#include "serve/report.h"
#include "serve/workload-json.h"

#define FIELDS_MAX 32

/* A message has the names of at most two cgroups, and describes what happened. */
#define TEXT_SIZE LOG_LINE_SIZE
/* The list of the largest objects is cut so that the line is not longer, because longer lines are hard to read. */
#define TEXT_GOOD_LENGTH 200
/* The size of the list of the largest objects. */
#define TOP_SIZE 256

struct fields {
        struct iovec *list; /* FIELDS_MAX; NULL: there is none yet */
        size_t count;
        int error;
};

static void add_field(struct fields *fields, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_field(struct fields *fields, const char *format, ...)
{
        char *text = NULL;
        va_list ap;
        int n;

        if (fields->error < 0)
                return;
        if (!fields->list)
                fields->list = calloc(FIELDS_MAX, sizeof(*fields->list));
        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0 || !fields->list || fields->count == FIELDS_MAX) {
                if (n >= 0)
                        free(text);
                fields->error = -ENOMEM;
                return;
        }
        fields->list[fields->count++] = (struct iovec){ text, n };
}

static void free_fields(struct fields *fields)
{
        for (size_t i = 0; i < fields->count; i++)
                free(fields->list[i].iov_base);
        free(fields->list);
}

/* The workload that @cgroup is, or is in, so that journalctl finds its entries. */
static void add_workload(struct fields *fields, const struct cgroup *cgroup)
{
        const struct cgroup *own = cgroup_of_workload(cgroup);
        const struct workload *workload = own ? own->workload : NULL;

        if (!workload)
                return;
        if (workload->pod) {
                const char *name = strchr(workload->pod, '/') + 1;

                add_field(fields, "BPFBUDGET_NAMESPACE=%.*s", (int) (name - 1 - workload->pod), workload->pod);
                add_field(fields, "BPFBUDGET_POD=%s", name);
        }
        if (workload->pod_uid)
                add_field(fields, "BPFBUDGET_POD_UID=%s", workload->pod_uid);
        if (workload->container)
                add_field(fields, "BPFBUDGET_CONTAINER=%s", workload->container);
        if (workload->container_id)
                add_field(fields, "BPFBUDGET_CONTAINER_ID=%s", workload->container_id);
        if (workload->machine)
                add_field(fields, "BPFBUDGET_MACHINE=%s", workload->machine);
}

/* --- The entry ---------------------------------------------------------------------------------------------------- */

/* "map counts (12.0M), map flows (3.1M)": the largest objects of @cgroup's subtree. */
static void describe_top(const struct cgroup *cgroup, const struct ledger *ledger, char *text, size_t size)
{
        const struct object *top[ALERT_TOP] = {};
        struct object *object, *next;
        size_t used = 0;

        HASH_ITER (hh, ledger->by_key, object, next) {
                const struct object *candidate = object;

                if (!tree_is_below(object->cgroup, cgroup))
                        continue;
                for (size_t i = 0; candidate && i < ALERT_TOP; i++)
                        if (!top[i] || candidate->record.allocated > top[i]->record.allocated) {
                                const struct object *moved = top[i];

                                top[i] = candidate;
                                candidate = moved;
                        }
        }
        text[0] = '\0';
        for (size_t i = 0; i < ALERT_TOP && top[i] && used < size; i++) {
                char bytes[FORMAT_SIZE_MAX];

                used += snprintf(text + used, size - used, "%s%s %.*s (%s)", i ? ", " : "",
                                top[i]->record.kind == OBJECT_MAP ? "map" : "program", OBJECT_NAME_SIZE,
                                top[i]->record.name, format_size(bytes, top[i]->record.allocated));
        }
}

/* The kind of entry for a change of level. */
static const struct message {
        const char *id;
        int priority;
        const char *text;
} * message_of(const struct budget_event *event)
{
        static const struct message high = { BPFBUDGET_MESSAGE_HIGH_ID, LOG_WARNING, "is over" },
                                    max = { BPFBUDGET_MESSAGE_MAX_ID, LOG_ERR, "is over" },
                                    eased = { BPFBUDGET_MESSAGE_EASED_ID, LOG_NOTICE, "is below Max but still over" },
                                    clear = { BPFBUDGET_MESSAGE_CLEAR_ID, LOG_NOTICE, "is within" };

        if (event->to == LEVEL_MAX)
                return &max;
        if (event->to == LEVEL_OK)
                return &clear;
        return event->from == LEVEL_MAX ? &eased : &high;
}

static void format_limit(char buffer[FORMAT_SIZE_MAX], uint64_t bytes, unsigned int precision)
{
        if (bytes == BUDGET_INFINITY)
                strcpy(buffer, "infinity");
        else
                format_size_to(buffer, bytes, precision);
}

static void add_limit(struct fields *fields, const char *name, uint64_t bytes)
{
        if (bytes == BUDGET_INFINITY)
                add_field(fields, "%s=infinity", name);
        else
                add_field(fields, "%s=%llu", name, (unsigned long long) bytes);
}

/* "; 3 earlier messages were suppressed", or nothing. */
static void describe_suppressed(const struct budget_event *event, const char *what, char *text, size_t size)
{
        text[0] = '\0';
        if (event->suppressed)
                snprintf(text, size, "; %u earlier %s", event->suppressed, what);
}

/* The process that caused it, if that is known. */
static const char *known_comm(const struct budget_event *event)
{
        return event->pid && event->comm ? event->comm : NULL;
}

/*
 * The name of the workload @cgroup, or its path if it has none, shortened so that the message has room for the figures.
 */
static const char *show_cgroup(const struct cgroup *cgroup, char buffer[TEXT_PATH_SIZE])
{
        _cleanup_free_ char *title = cgroup ? cgroup_title(cgroup) : NULL;

        return title ? text_plain(title, buffer, TEXT_PATH_SIZE) : "(unknown)";
}

/* The cgroup was removed, but some of its objects can remain. */
static void describe_gone(const struct budget_event *event, const char *missing, char *text, size_t size)
{
        const struct cgroup *cgroup = event->cgroup;
        char left[FORMAT_SIZE_MAX], title[TEXT_PATH_SIZE], above[TEXT_PATH_SIZE];

        if (cgroup->left > 0)
                snprintf(text, size, "%s%s, of budget %s, is gone; %s of its BPF memory remain, in %s%s",
                                event->dry_run ? "(dry run) " : "", show_cgroup(cgroup, title),
                                event->policy->budget->name, format_size(left, cgroup->left),
                                show_cgroup(cgroup->parent, above), missing);
        else
                snprintf(text, size, "%s%s, of budget %s, is gone, and its BPF memory%s",
                                event->dry_run ? "(dry run) " : "", show_cgroup(cgroup, title),
                                event->policy->budget->name, missing);
}

/* Removes the last element of @list, "map counts (12.0M), map flows (3.1M)". Returns false if @list is empty. */
static bool drop_last(char *list)
{
        char *comma = strrchr(list, ',');

        if (!*list)
                return false;
        *(comma ?: list) = '\0';
        return true;
}

static void describe_change(const struct budget_event *event, const struct message *message, const char *top,
                char *text, size_t size)
{
        char usage[FORMAT_SIZE_MAX], high[FORMAT_SIZE_MAX], max[FORMAT_SIZE_MAX], missing[64], title[TEXT_PATH_SIZE];
        char largest[TOP_SIZE];
        const char *comm = known_comm(event);
        /* A size over a limit must also be printed as larger than the limit. */
        unsigned int precision = size_precision(event->usage, 0,
                        event->to == LEVEL_MAX    ? event->policy->max
                        : event->to == LEVEL_HIGH ? event->policy->high
                                                  : BUDGET_INFINITY);

        format_size_to(usage, event->usage, precision);
        format_limit(high, event->policy->high, precision);
        format_limit(max, event->policy->max, precision);
        describe_suppressed(event, "messages were suppressed", missing, sizeof(missing));
        if (event->to == LEVEL_OK && !event->cgroup->exists) {
                describe_gone(event, missing, text, size);
                return;
        }
        snprintf(largest, sizeof(largest), "%s", top);
        do {
                snprintf(text, size, "%s%s: BPF memory %s %s of budget %s: %s (High %s, Max %s)%s%s%s%s%s",
                                event->dry_run ? "(dry run) " : "", show_cgroup(event->cgroup, title), message->text,
                                event->to == LEVEL_OK ? "the limits" : budget_limit_name(event->limit),
                                event->policy->budget->name, usage, high, max, *largest ? "; largest: " : "", largest,
                                comm ? "; growth by " : "", comm ?: "", missing);
        } while (strlen(text) > TEXT_GOOD_LENGTH && drop_last(largest));
}

static void add_cause(struct fields *fields, const struct budget_event *event)
{
        char build_id[BUILD_ID_MAX];

        if (event->pid == 0) {
                add_field(fields, "BPFBUDGET_PID=unknown");
                add_field(fields, "BPFBUDGET_COMM=unknown");
                return;
        }
        add_field(fields, "BPFBUDGET_PID=%u", event->pid);
        add_field(fields, "BPFBUDGET_COMM=%s", event->comm ?: "unknown");
        if (*read_build_id(event->pid, build_id))
                add_field(fields, "BPFBUDGET_BUILD_ID=%s", build_id);
}

/* Begins an entry with the fields by which journalctl finds it. They have the exact bytes, whatever MESSAGE= shows. */
static void begin_entry(struct fields *fields, const char *id, const struct cgroup *cgroup)
{
        const char *path = cgroup->path ?: "";
        size_t length;
        const char *unit = path_unit(path, &length);

        add_field(fields, "MESSAGE_ID=%s", id);
        add_field(fields, "CGROUP=%s", path);
        if (unit)
                add_field(fields, "OBJECT_SYSTEMD_UNIT=%.*s", (int) length, unit);
        unit = path_user_unit(path, &length);
        if (unit)
                add_field(fields, "OBJECT_SYSTEMD_USER_UNIT=%.*s", (int) length, unit);
        add_workload(fields, cgroup);
}

/* Sends the entry. If there is no memory for its fields, logs @text only. Returns 0 or a negative errno. */
static int send_fields(struct fields *fields, int priority, const char *text)
{
        if (fields->error < 0) {
                free_fields(fields);
                log_message(priority, "%s", text);
                return fields->error;
        }
        log_entry(priority, text, fields->list, fields->count);
        return 0;
}

/* --- Changes of level --------------------------------------------------------------------------------------------- */

static int send_change(const struct budget_event *event, const struct ledger *ledger)
{
        const struct message *message = message_of(event);
        const struct policy *policy = event->policy;
        struct fields fields = {};
        char top[TOP_SIZE], text[TEXT_SIZE];

        describe_top(event->cgroup, ledger, top, sizeof(top));
        describe_change(event, message, top, text, sizeof(text));
        begin_entry(&fields, message->id, event->cgroup);
        add_field(&fields, "BPFBUDGET_STATE=%s", budget_level_name(event->to));
        add_field(&fields, "BPFBUDGET_BUDGET=%s", policy->budget->name);
        add_field(&fields, "BPFBUDGET_LIMIT=%s", budget_limit_name(event->limit));
        add_limit(&fields, "BPFBUDGET_HIGH", policy->high);
        add_limit(&fields, "BPFBUDGET_MAX", policy->max);
        add_field(&fields, "BPFBUDGET_USAGE=%llu", (unsigned long long) event->usage);
        add_field(&fields, "BPFBUDGET_DELTA=%lld", (long long) event->delta);
        add_field(&fields, "BPFBUDGET_TOP=%s", *top ? top : "none");
        if (!event->cgroup->exists)
                add_field(&fields, "BPFBUDGET_LEFT=%llu", (unsigned long long) event->cgroup->left);
        add_field(&fields, "BPFBUDGET_SUPPRESSED=%u", event->suppressed);
        add_cause(&fields, event);
        return send_fields(&fields, message->priority, text);
}

/* --- Pauses ------------------------------------------------------------------------------------------------------- */

static void describe_pause(const struct budget_event *event, char *text, size_t size)
{
        char grown[FORMAT_SIZE_MAX], usage[FORMAT_SIZE_MAX], high[FORMAT_SIZE_MAX], missing[64];
        char title[TEXT_PATH_SIZE], payer[TEXT_PATH_SIZE];
        const struct policy *policy = event->policy;
        bool above = event->payer != event->cgroup;
        const char *comm = known_comm(event);
        unsigned int precision = size_precision(event->usage, 0, policy->high);

        format_limit(high, policy->high, precision);
        describe_suppressed(event, "pauses were not reported", missing, sizeof(missing));
        snprintf(text, size,
                        "%s%s grew by %s of BPF memory over High of budget %s%s%s: paused for %llu ms (%s in use, High "
                        "%s)"
                        "%s%s%s",
                        event->dry_run ? "(dry run) " : "", show_cgroup(event->cgroup, title),
                        format_size(grown, event->delta), policy->budget->name, above ? " of " : "",
                        above ? show_cgroup(event->payer, payer) : "", (unsigned long long) event->pause_usec / 1000,
                        format_size_to(usage, event->usage, precision), high, comm ? "; growth by " : "", comm ?: "",
                        missing);
}

static int send_pause(const struct budget_event *event, const struct ledger *ledger)
{
        const struct policy *policy = event->policy;
        struct fields fields = {};
        char text[TEXT_SIZE];

        (void) ledger;
        describe_pause(event, text, sizeof(text));
        begin_entry(&fields, BPFBUDGET_MESSAGE_THROTTLED_ID, event->cgroup);
        add_field(&fields, "BPFBUDGET_CGROUP=%s", event->payer->path ?: "");
        add_field(&fields, "BPFBUDGET_BUDGET=%s", policy->budget->name);
        add_limit(&fields, "BPFBUDGET_HIGH", policy->high);
        add_field(&fields, "BPFBUDGET_USAGE=%llu", (unsigned long long) event->usage);
        add_field(&fields, "BPFBUDGET_DELTA=%lld", (long long) event->delta);
        add_field(&fields, "BPFBUDGET_PAUSE_USEC=%llu", (unsigned long long) event->pause_usec);
        add_field(&fields, "BPFBUDGET_THROTTLED=%llu", (unsigned long long) policy->events.throttled);
        add_field(&fields, "BPFBUDGET_THROTTLED_USEC=%llu", (unsigned long long) policy->events.throttled_usec);
        add_field(&fields, "BPFBUDGET_SUPPRESSED=%u", event->suppressed);
        add_cause(&fields, event);
        return send_fields(&fields, LOG_WARNING, text);
}

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

/* "12.5M", or a bare number of maps and programs. */
static const char *format_amount(char buffer[FORMAT_SIZE_MAX], const struct budget_event *event, uint64_t amount)
{
        /* Enough digits that the figures add up. */
        if (event->limit == LIMIT_MAX)
                return format_size_to(buffer, amount, size_precision(event->used, event->size, event->max));
        snprintf(buffer, FORMAT_SIZE_MAX, "%llu", (unsigned long long) amount);
        return buffer;
}

/* The amount that was requested: bytes, or one map or program. */
static uint64_t wanted(const struct budget_event *event)
{
        return event->limit == LIMIT_MAX ? event->size : 1;
}

/* "creation of map flows (hash, 12.5M)". Until 6.8 a program has neither name nor type when it is refused. */
static void describe_refused(const struct budget_event *event, const char *type, char *text, size_t size)
{
        bool program = event->object.kind == OBJECT_PROGRAM;
        const char *what = program ? "load of program" : event->growth ? "growth of map" : "creation of map";
        char amount[FORMAT_SIZE_MAX];

        if (event->limit == LIMIT_UNBOUNDED)
                snprintf(amount, sizeof(amount), "no ceiling");
        else
                format_amount(amount, event, wanted(event));
        if (program && event->object.type == BPF_PROG_TYPE_UNSPEC)
                snprintf(text, size, "load of a program (%s)", amount);
        else
                snprintf(text, size, "%s %.*s (%s, %s)", what, OBJECT_NAME_SIZE, event->object.name, type, amount);
}

/* @grower: the process that was refused. */
static void describe_refusal(const struct budget_event *event, const struct cgroup *grower, const char *type,
                char *text, size_t size)
{
        bool other = grower != event->cgroup;
        char used[FORMAT_SIZE_MAX], max[FORMAT_SIZE_MAX], refused[128], missing[64];
        char buffers[2][TEXT_PATH_SIZE];
        const char *limit = budget_limit_name(event->limit), *who = show_cgroup(grower, buffers[0]);
        const char *payer = other ? show_cgroup(event->cgroup, buffers[1]) : "";

        describe_refused(event, type, refused, sizeof(refused));
        describe_suppressed(event, "messages were suppressed", missing, sizeof(missing));
        if (event->limit == LIMIT_UNBOUNDED) {
                snprintf(text, size,
                                "%s: %s was refused the %s: budget %s%s%s counts ceilings, and has "
                                "Unbounded=refuse%s",
                                who, event->comm ?: "(unknown)", refused, event->policy->budget->name,
                                other ? " of " : "", payer, missing);
                return;
        }
        snprintf(text, size, "%s: %s was %s the %s: %s of budget %s%s%s is %s, %s in use%s", who,
                        event->comm ?: "(unknown)",
                        event->killed ? "killed for replacing a map's descriptor during" : "refused", refused, limit,
                        event->policy->budget->name, other ? " of " : "", payer, format_amount(max, event, event->max),
                        format_amount(used, event, event->used), missing);
}

static int send_refusal(const struct budget_event *event, const struct ledger *ledger)
{
        const struct cgroup *grower = event->grower && event->grower->path ? event->grower : event->cgroup;
        char buffer[FORMAT_SIZE_MAX], text[TEXT_SIZE];
        const char *type = object_type_name(&event->object, buffer);
        const struct policy *policy = event->policy;
        struct fields fields = {};

        (void) ledger;
        describe_refusal(event, grower, type, text, sizeof(text));
        begin_entry(&fields, BPFBUDGET_MESSAGE_DENIED_ID, grower);
        add_field(&fields, "BPFBUDGET_CGROUP=%s", event->cgroup->path ?: "");
        add_field(&fields, "BPFBUDGET_BUDGET=%s", policy->budget->name);
        add_field(&fields, "BPFBUDGET_LIMIT=%s", budget_limit_name(event->limit));
        add_field(&fields, "BPFBUDGET_MAX=%llu", (unsigned long long) event->max);
        add_field(&fields, "BPFBUDGET_USAGE=%llu", (unsigned long long) event->used);
        add_field(&fields, "BPFBUDGET_WANTED=%llu", (unsigned long long) wanted(event));
        add_field(&fields, "BPFBUDGET_OBJECT=%.*s", OBJECT_NAME_SIZE, event->object.name);
        add_field(&fields, "BPFBUDGET_TYPE=%s", type);
        add_field(&fields, "BPFBUDGET_DENIED=%llu", (unsigned long long) policy->events.denied);
        add_field(&fields, "BPFBUDGET_SUPPRESSED=%u", event->suppressed);
        add_cause(&fields, event);
        return send_fields(&fields, LOG_ERR, text);
}

/* --- Maps that fill ----------------------------------------------------------------------------------------------- */

static int send_fill(const struct budget_event *event, const struct ledger *ledger)
{
        const struct object_record *map = &event->object;
        char buffer[TYPE_NAME_MAX], text[TEXT_SIZE], title[TEXT_PATH_SIZE], missing[64];
        const char *type = object_type_name(map, buffer);
        const struct budget *budget = event->policy->budget;
        struct fields fields = {};

        (void) ledger;
        describe_suppressed(event, "messages were suppressed", missing, sizeof(missing));
        snprintf(text, sizeof(text),
                        "%s%s: map %.*s (%s, id %u) is nearly full: %llu of %u entries, MapFillHigh of budget %s is "
                        "%u%%%s",
                        event->dry_run ? "(dry run) " : "", show_cgroup(event->cgroup, title), OBJECT_NAME_SIZE,
                        map->name, type, map->id, (unsigned long long) map->entries, map->max_entries, budget->name,
                        budget->map_fill_high, missing);
        begin_entry(&fields, BPFBUDGET_MESSAGE_FILL_ID, event->cgroup);
        add_field(&fields, "BPFBUDGET_BUDGET=%s", budget->name);
        add_field(&fields, "BPFBUDGET_LIMIT=%s", budget_limit_name(event->limit));
        add_field(&fields, "BPFBUDGET_OBJECT=%.*s", OBJECT_NAME_SIZE, map->name);
        add_field(&fields, "BPFBUDGET_OBJECT_ID=%u", map->id);
        add_field(&fields, "BPFBUDGET_TYPE=%s", type);
        add_field(&fields, "BPFBUDGET_ENTRIES=%llu", (unsigned long long) map->entries);
        add_field(&fields, "BPFBUDGET_MAX_ENTRIES=%u", map->max_entries);
        add_field(&fields, "BPFBUDGET_HIGH=%u", budget->map_fill_high);
        add_field(&fields, "BPFBUDGET_SUPPRESSED=%u", event->suppressed);
        return send_fields(&fields, LOG_WARNING, text);
}

/* --- Orphans ------------------------------------------------------------------------------------------------------ */

static int send_orphans(const struct budget_event *event, const struct ledger *ledger)
{
        char text[TEXT_SIZE], bytes[FORMAT_SIZE_MAX], high[FORMAT_SIZE_MAX];
        struct fields fields = {};
        unsigned int precision = size_precision(event->usage, 0, event->max);

        (void) ledger;
        format_limit(high, event->max, precision);
        snprintf(text, sizeof(text),
                        "%sOrphans have %s of BPF memory in %llu maps and programs, OrphansHigh is %s; "
                        "\"bpfbudgetctl orphans\" lists them",
                        event->dry_run ? "(dry run) " : "", format_size_to(bytes, event->usage, precision),
                        (unsigned long long) event->used, high);
        add_field(&fields, "MESSAGE_ID=%s", BPFBUDGET_MESSAGE_ORPHANS_ID);
        add_field(&fields, "BPFBUDGET_LIMIT=%s", budget_limit_name(event->limit));
        add_field(&fields, "BPFBUDGET_USAGE=%llu", (unsigned long long) event->usage);
        add_field(&fields, "BPFBUDGET_OBJECTS=%llu", (unsigned long long) event->used);
        add_limit(&fields, "BPFBUDGET_HIGH", event->max);
        return send_fields(&fields, LOG_WARNING, text);
}

int alert_send(const struct budget_event *event, const struct ledger *ledger)
{
        static int (*const senders[EVENT_KINDS])(const struct budget_event *event, const struct ledger *ledger) = {
                [EVENT_STATE] = send_change,
                [EVENT_REFUSAL] = send_refusal,
                [EVENT_THROTTLE] = send_pause,
                [EVENT_FILL] = send_fill,
                [EVENT_ORPHANS] = send_orphans,
        };

        return senders[event->kind](event, ledger);
}
