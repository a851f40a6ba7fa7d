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
} * message_of(const struct policy_change *change)
{
        static const struct message high = { BPFBUDGET_MESSAGE_HIGH_ID, LOG_WARNING, "is over" },
                                    max = { BPFBUDGET_MESSAGE_MAX_ID, LOG_ERR, "is over" },
                                    eased = { BPFBUDGET_MESSAGE_EASED_ID, LOG_NOTICE, "is below Max but still over" },
                                    clear = { BPFBUDGET_MESSAGE_CLEAR_ID, LOG_NOTICE, "is within" };

        if (change->to == LEVEL_MAX)
                return &max;
        if (change->to == LEVEL_OK)
                return &clear;
        return change->from == LEVEL_MAX ? &eased : &high;
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

static void describe_message(const struct alert *alert, const struct message *message, const char *top, bool dry_run,
                char *text, size_t size)
{
        char usage[FORMAT_SIZE_MAX], high[FORMAT_SIZE_MAX], max[FORMAT_SIZE_MAX], missing[64] = "";

        format_size(usage, alert->usage);
        format_limit(high, alert->policy->high);
        format_limit(max, alert->policy->max);
        if (alert->suppressed)
                snprintf(missing, sizeof(missing), "; %u earlier messages were suppressed", alert->suppressed);
        snprintf(text, size, "%sBPF memory of %s %s %s of budget %s: %s (High %s, Max %s)%s%s%s%s%s",
                        dry_run ? "(dry run) " : "", alert->cgroup->path ?: "(unknown)", message->text,
                        alert->change.to == LEVEL_OK ? "the limits" : budget_limit_name(alert->change.limit),
                        alert->policy->budget->name, usage, high, max, *top ? "; largest: " : "", top,
                        alert->cause && alert->cause->pid ? "; growth by " : "",
                        alert->cause && alert->cause->pid ? alert->cause->comm : "", missing);
}

static void add_cause(struct fields *fields, const struct growth_cause *cause)
{
        char build_id[BUILD_ID_MAX];

        if (!cause || cause->pid == 0) {
                add_field(fields, "BPFBUDGET_PID=unknown");
                add_field(fields, "BPFBUDGET_COMM=unknown");
                return;
        }
        add_field(fields, "BPFBUDGET_PID=%u", cause->pid);
        add_field(fields, "BPFBUDGET_COMM=%.*s", OBJECT_NAME_SIZE, cause->comm);
        if (*read_build_id(cause->pid, build_id))
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

int alert_send(const struct alert *alert, const struct ledger *ledger, bool dry_run)
{
        const struct message *message = message_of(&alert->change);
        const struct policy *policy = alert->policy;
        struct fields fields = {};
        char top[256], text[1024];

        describe_top(alert->cgroup, ledger, top, sizeof(top));
        describe_message(alert, message, top, dry_run, text, sizeof(text));
        if (!begin_entry(&fields, text, message->id, message->priority, alert->cgroup->path ?: ""))
                return 0;
        add_field(&fields, "BPFBUDGET_STATE=%s", budget_level_name(alert->change.to));
        add_field(&fields, "BPFBUDGET_BUDGET=%s", policy->budget->name);
        add_field(&fields, "BPFBUDGET_LIMIT=%s", budget_limit_name(alert->change.limit));
        add_limit(&fields, "BPFBUDGET_HIGH", policy->high);
        add_limit(&fields, "BPFBUDGET_MAX", policy->max);
        add_field(&fields, "BPFBUDGET_USAGE=%llu", (unsigned long long) alert->usage);
        add_field(&fields, "BPFBUDGET_DELTA=%lld", (long long) alert->delta);
        add_field(&fields, "BPFBUDGET_TOP=%s", *top ? top : "none");
        add_field(&fields, "BPFBUDGET_SUPPRESSED=%u", alert->suppressed);
        add_cause(&fields, alert->cause);
        return send_fields(&fields, message->priority, text);
}

/* --- Pauses ------------------------------------------------------------------------------------------------------- */

static void describe_throttle(const struct throttle_alert *alert, bool dry_run, char *text, size_t size)
{
        char grown[FORMAT_SIZE_MAX], usage[FORMAT_SIZE_MAX], high[FORMAT_SIZE_MAX], missing[64] = "";
        const struct policy *policy = alert->payer->policy;
        bool above = alert->payer != alert->cgroup;

        format_limit(high, policy->high);
        if (alert->suppressed)
                snprintf(missing, sizeof(missing), "; %u earlier pauses were not told", alert->suppressed);
        snprintf(text, size,
                        "%s%s grew by %s of BPF memory over High of budget %s%s%s: paused for %llu ms (%s in use, High "
                        "%s)"
                        "%s%s%s",
                        dry_run ? "(dry run) " : "", alert->cgroup->path ?: "(unknown)",
                        format_size(grown, alert->grown), policy->budget->name, above ? " of " : "",
                        above ? alert->payer->path ?: "(unknown)" : "", (unsigned long long) alert->pause_usec / 1000,
                        format_size(usage, alert->usage), high, alert->cause && alert->cause->pid ? "; growth by " : "",
                        alert->cause && alert->cause->pid ? alert->cause->comm : "", missing);
}

int alert_send_throttle(const struct throttle_alert *alert, bool dry_run)
{
        const struct policy *policy = alert->payer->policy;
        struct fields fields = {};
        char text[1024];

        describe_throttle(alert, dry_run, text, sizeof(text));
        if (!begin_entry(&fields, text, BPFBUDGET_MESSAGE_THROTTLED_ID, LOG_WARNING, alert->cgroup->path ?: ""))
                return 0;
        add_field(&fields, "BPFBUDGET_CGROUP=%s", alert->payer->path ?: "");
        add_field(&fields, "BPFBUDGET_BUDGET=%s", policy->budget->name);
        add_limit(&fields, "BPFBUDGET_HIGH", policy->high);
        add_field(&fields, "BPFBUDGET_USAGE=%llu", (unsigned long long) alert->usage);
        add_field(&fields, "BPFBUDGET_DELTA=%llu", (unsigned long long) alert->grown);
        add_field(&fields, "BPFBUDGET_PAUSE_USEC=%llu", (unsigned long long) alert->pause_usec);
        add_field(&fields, "BPFBUDGET_THROTTLED=%llu", (unsigned long long) policy->events.throttled);
        add_field(&fields, "BPFBUDGET_THROTTLED_USEC=%llu", (unsigned long long) policy->events.throttled_usec);
        add_field(&fields, "BPFBUDGET_SUPPRESSED=%u", alert->suppressed);
        add_cause(&fields, alert->cause);
        return send_fields(&fields, LOG_WARNING, text);
}

/* --- Refusals ----------------------------------------------------------------------------------------------------- */

/* "12.5M", or a bare number of maps and programs. */
static const char *format_amount(char buffer[FORMAT_SIZE_MAX], const struct gate_event *event, uint64_t amount)
{
        if (event->resource <= GATE_CHARGED)
                return format_size(buffer, amount);
        snprintf(buffer, FORMAT_SIZE_MAX, "%llu", (unsigned long long) amount);
        return buffer;
}

/* "creation of map flows (hash, 12.5M)". Until 6.8 a program has neither name nor type when it is refused. */
static void describe_refused(const struct gate_event *event, const char *type, char *text, size_t size)
{
        const char *what = event->kind == GATE_REFUSED_PROGRAM  ? "load of program"
                           : event->kind == GATE_REFUSED_GROWTH ? "growth of map"
                                                                : "creation of map";
        char wanted[FORMAT_SIZE_MAX];

        format_amount(wanted, event, event->wanted);
        if (event->kind == GATE_REFUSED_PROGRAM && event->type == BPF_PROG_TYPE_UNSPEC)
                snprintf(text, size, "load of a program (%s)", wanted);
        else
                snprintf(text, size, "%s %.*s (%s, %s)", what, OBJECT_NAME_SIZE, event->name, type, wanted);
}

int alert_send_refusal(const struct refusal *refusal)
{
        static const char *const limits[GATE_RESOURCES] = { "Max", "Max", "MapsMax", "ProgramsMax" };
        char usage[FORMAT_SIZE_MAX], max[FORMAT_SIZE_MAX], buffer[FORMAT_SIZE_MAX], refused[128];
        char text[1024], missing[64] = "";
        const struct gate_event *event = refusal->event;
        const struct policy *policy = refusal->cgroup->policy;
        const char *grower = refusal->grower && refusal->grower->path ? refusal->grower->path : refusal->cgroup->path;
        struct growth_cause cause = { .pid = event->pid };
        struct object_record record = {
                .kind = event->kind == GATE_REFUSED_PROGRAM ? OBJECT_PROGRAM : OBJECT_MAP,
                .type = event->type,
        };
        const char *type = object_type_name(&record, buffer);
        struct fields fields = {};

        if (event->kind < GATE_REFUSED_MAP || event->kind > GATE_REFUSED_GROWTH || event->resource >= GATE_RESOURCES)
                return 0;
        describe_refused(event, type, refused, sizeof(refused));
        memcpy(cause.comm, event->comm, sizeof(cause.comm));
        if (refusal->suppressed)
                snprintf(missing, sizeof(missing), "; %u earlier messages were suppressed", refusal->suppressed);
        snprintf(text, sizeof(text),
                        "%.*s in %s was refused the %s: %s of %s of budget %s%s%s are in use, "
                        "%s is %s%s",
                        OBJECT_NAME_SIZE, event->comm, grower ?: "(unknown)", refused,
                        format_amount(usage, event, event->usage), limits[event->resource], policy->budget->name,
                        grower == refusal->cgroup->path ? "" : " for ",
                        grower == refusal->cgroup->path ? "" : refusal->cgroup->path, limits[event->resource],
                        format_amount(max, event, event->max), missing);
        if (!begin_entry(&fields, text, BPFBUDGET_MESSAGE_DENIED_ID, LOG_ERR, grower ?: ""))
                return 0;
        add_field(&fields, "BPFBUDGET_CGROUP=%s", refusal->cgroup->path ?: "");
        add_field(&fields, "BPFBUDGET_BUDGET=%s", policy->budget->name);
        add_field(&fields, "BPFBUDGET_LIMIT=%s", limits[event->resource]);
        add_field(&fields, "BPFBUDGET_MAX=%llu", (unsigned long long) event->max);
        add_field(&fields, "BPFBUDGET_USAGE=%llu", (unsigned long long) event->usage);
        add_field(&fields, "BPFBUDGET_WANTED=%llu", (unsigned long long) event->wanted);
        add_field(&fields, "BPFBUDGET_OBJECT=%.*s", OBJECT_NAME_SIZE, event->name);
        add_field(&fields, "BPFBUDGET_TYPE=%s", type);
        add_field(&fields, "BPFBUDGET_DENIED=%llu", (unsigned long long) policy->events.denied);
        add_field(&fields, "BPFBUDGET_SUPPRESSED=%u", refusal->suppressed);
        add_cause(&fields, &cause);
        return send_fields(&fields, LOG_ERR, text);
}
