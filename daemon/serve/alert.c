/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/alert.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include <linux/bpf.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/size.h"
#include "kernel/process.h"
#include "serve/messages.h"
#include "serve/report.h"

/* journald listens here; sd_journal_send() drops silently what nobody takes. */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

#define FIELDS_MAX 24

struct fields {
        struct iovec list[FIELDS_MAX];
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
        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0 || fields->count == FIELDS_MAX) {
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

/* What kind of entry a change of level is. */
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

static void format_limit(char buffer[FORMAT_SIZE_MAX], uint64_t bytes)
{
        if (bytes == BUDGET_INFINITY)
                strcpy(buffer, "infinity");
        else
                format_size(buffer, bytes);
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

static void describe_change(const struct budget_event *event, const struct message *message, const char *top,
                char *text, size_t size)
{
        char usage[FORMAT_SIZE_MAX], high[FORMAT_SIZE_MAX], max[FORMAT_SIZE_MAX], missing[64];
        const char *comm = known_comm(event);

        format_size(usage, event->usage);
        format_limit(high, event->policy->high);
        format_limit(max, event->policy->max);
        describe_suppressed(event, "messages were suppressed", missing, sizeof(missing));
        snprintf(text, size, "%sBPF memory of %s %s %s of budget %s: %s (High %s, Max %s)%s%s%s%s%s",
                        event->dry_run ? "(dry run) " : "", event->cgroup->path ?: "(unknown)", message->text,
                        event->to == LEVEL_OK ? "the limits" : budget_limit_name(event->limit),
                        event->policy->budget->name, usage, high, max, *top ? "; largest: " : "", top,
                        comm ? "; growth by " : "", comm ?: "", missing);
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

/* Begins an entry with what journalctl finds it by. Without a journal @text goes to the log, and it returns false. */
static bool begin_entry(struct fields *fields, const char *text, const char *id, int priority, const char *path)
{
        size_t length;
        const char *unit = path_unit(path, &length);

        if (access(JOURNAL_SOCKET, W_OK) < 0) {
                log_message(priority, "%s", text);
                return false;
        }
        add_field(fields, "MESSAGE=%s", text);
        add_field(fields, "MESSAGE_ID=%s", id);
        add_field(fields, "PRIORITY=%d", priority);
        add_field(fields, "CGROUP=%s", path);
        if (unit)
                add_field(fields, "OBJECT_SYSTEMD_UNIT=%.*s", (int) length, unit);
        return true;
}

/* Sends the entry; where the journal does not take it, @text goes to the log. Returns 0 or a negative errno. */
static int send_fields(struct fields *fields, int priority, const char *text)
{
        int r = fields->error < 0 ? fields->error : sd_journal_sendv(fields->list, fields->count);

        free_fields(fields);
        if (r < 0)
                log_message(priority, "%s", text);
        return r < 0 ? r : 0;
}

/* --- Changes of level --------------------------------------------------------------------------------------------- */

static int send_change(const struct budget_event *event, const struct ledger *ledger)
{
        const struct message *message = message_of(event);
        const struct policy *policy = event->policy;
        struct fields fields = {};
        char top[256], text[1024];

        describe_top(event->cgroup, ledger, top, sizeof(top));
        describe_change(event, message, top, text, sizeof(text));
        if (!begin_entry(&fields, text, message->id, message->priority, event->cgroup->path ?: ""))
                return 0;
        add_field(&fields, "BPFBUDGET_STATE=%s", budget_level_name(event->to));
        add_field(&fields, "BPFBUDGET_BUDGET=%s", policy->budget->name);
        add_field(&fields, "BPFBUDGET_LIMIT=%s", budget_limit_name(event->limit));
        add_limit(&fields, "BPFBUDGET_HIGH", policy->high);
        add_limit(&fields, "BPFBUDGET_MAX", policy->max);
        add_field(&fields, "BPFBUDGET_USAGE=%llu", (unsigned long long) event->usage);
        add_field(&fields, "BPFBUDGET_DELTA=%lld", (long long) event->delta);
        add_field(&fields, "BPFBUDGET_TOP=%s", *top ? top : "none");
        add_field(&fields, "BPFBUDGET_SUPPRESSED=%u", event->suppressed);
        add_cause(&fields, event);
        return send_fields(&fields, message->priority, text);
}

/* --- Pauses ------------------------------------------------------------------------------------------------------- */

static void describe_pause(const struct budget_event *event, char *text, size_t size)
{
        char grown[FORMAT_SIZE_MAX], usage[FORMAT_SIZE_MAX], high[FORMAT_SIZE_MAX], missing[64];
        const struct policy *policy = event->policy;
        bool above = event->payer != event->cgroup;
        const char *comm = known_comm(event);

        format_limit(high, policy->high);
        describe_suppressed(event, "pauses were not reported", missing, sizeof(missing));
        snprintf(text, size,
                        "%s%s grew by %s of BPF memory over High of budget %s%s%s: paused for %llu ms (%s in use, High "
                        "%s)"
                        "%s%s%s",
                        event->dry_run ? "(dry run) " : "", event->cgroup->path ?: "(unknown)",
                        format_size(grown, event->delta), policy->budget->name, above ? " of " : "",
                        above ? event->payer->path ?: "(unknown)" : "", (unsigned long long) event->pause_usec / 1000,
                        format_size(usage, event->usage), high, comm ? "; growth by " : "", comm ?: "", missing);
}

static int send_pause(const struct budget_event *event, const struct ledger *ledger)
{
        const struct policy *policy = event->policy;
        struct fields fields = {};
        char text[1024];

        (void) ledger;
        describe_pause(event, text, sizeof(text));
        if (!begin_entry(&fields, text, BPFBUDGET_MESSAGE_THROTTLED_ID, LOG_WARNING, event->cgroup->path ?: ""))
                return 0;
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
        if (event->limit == LIMIT_MAX)
                return format_size(buffer, amount);
        snprintf(buffer, FORMAT_SIZE_MAX, "%llu", (unsigned long long) amount);
        return buffer;
}

/* What was asked for: bytes, or one map or program. */
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

        format_amount(amount, event, wanted(event));
        if (program && event->object.type == BPF_PROG_TYPE_UNSPEC)
                snprintf(text, size, "load of a program (%s)", amount);
        else
                snprintf(text, size, "%s %.*s (%s, %s)", what, OBJECT_NAME_SIZE, event->object.name, type, amount);
}

/* @grower: path of who was refused, NULL: not known. */
static void describe_refusal(
                const struct budget_event *event, const char *grower, const char *type, char *text, size_t size)
{
        const char *limit = budget_limit_name(event->limit), *path = event->cgroup->path;
        char used[FORMAT_SIZE_MAX], max[FORMAT_SIZE_MAX], refused[128], missing[64];

        describe_refused(event, type, refused, sizeof(refused));
        describe_suppressed(event, "messages were suppressed", missing, sizeof(missing));
        snprintf(text, size,
                        "%s in %s was refused the %s: %s of %s of budget %s%s%s are in use, "
                        "%s is %s%s",
                        event->comm ?: "(unknown)", grower ?: "(unknown)", refused,
                        format_amount(used, event, event->used), limit, event->policy->budget->name,
                        grower == path ? "" : " for ", grower == path ? "" : path ?: "(unknown)", limit,
                        format_amount(max, event, event->max), missing);
}

static int send_refusal(const struct budget_event *event, const struct ledger *ledger)
{
        const char *grower = event->grower && event->grower->path ? event->grower->path : event->cgroup->path;
        char buffer[FORMAT_SIZE_MAX], text[1024];
        const char *type = object_type_name(&event->object, buffer);
        const struct policy *policy = event->policy;
        struct fields fields = {};

        (void) ledger;
        describe_refusal(event, grower, type, text, sizeof(text));
        if (!begin_entry(&fields, text, BPFBUDGET_MESSAGE_DENIED_ID, LOG_ERR, grower ?: ""))
                return 0;
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

int alert_send(const struct budget_event *event, const struct ledger *ledger)
{
        static int (*const senders[EVENT_KINDS])(const struct budget_event *event, const struct ledger *ledger) = {
                [EVENT_STATE] = send_change,
                [EVENT_REFUSAL] = send_refusal,
                [EVENT_THROTTLE] = send_pause,
        };

        return senders[event->kind](event, ledger);
}
