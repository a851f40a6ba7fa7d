/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "build.h"
#include "serve/cgrouplabels.h"
#include "serve/metricseries.h"
#include "serve/objectsummary.h"
#include "serve/report.h"

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

/* All that is written. */
struct metrics {
        const struct metrics_source *source;
        struct metric_selection selection;
        struct object_summary objects;
        struct metric_text text;
};

/* --- Cgroups ------------------------------------------------------------------------------------------------------ */

/* Writes the samples of @usage, a cgroup's own, with @labels. */
typedef void (*write_usage_t)(struct metric_text *text, struct label_text labels, const struct usage *usage);

static void write_bytes(struct metric_text *text, struct label_text labels, const struct usage *usage)
{
        uint64_t programs_charged = usage->charged - usage->maps_charged;

        metric_sample(text, labels, "kind=\"maps\",charged=\"true\"", usage->maps_charged);
        metric_sample(text, labels, "kind=\"maps\",charged=\"false\"", usage->maps - usage->maps_charged);
        metric_sample(text, labels, "kind=\"programs\",charged=\"true\"", programs_charged);
        metric_sample(text, labels, "kind=\"programs\",charged=\"false\"", usage->programs - programs_charged);
        /* No kernel charges JIT images to a cgroup. */
        metric_sample(text, labels, "kind=\"jit\",charged=\"false\"", usage->jit);
}

static void write_committed(struct metric_text *text, struct label_text labels, const struct usage *usage)
{
        metric_sample(text, labels, NULL, usage->committed);
}

static void write_objects(struct metric_text *text, struct label_text labels, const struct usage *usage)
{
        metric_sample(text, labels, "kind=\"maps\"", usage->map_count);
        metric_sample(text, labels, "kind=\"programs\"", usage->program_count);
}

static void write_rss(struct metric_text *text, struct label_text labels, const struct usage *usage)
{
        metric_sample(text, labels, "type=\"anon\"", usage->rss[RSS_ANON]);
        metric_sample(text, labels, "type=\"file\"", usage->rss[RSS_FILE]);
        metric_sample(text, labels, "type=\"shmem\"", usage->rss[RSS_SHMEM]);
        metric_sample(text, labels, "type=\"swap\"", usage->rss[RSS_SWAP]);
}

static const struct {
        struct metric metric;
        write_usage_t write;
} usage_metrics[] = {
        { { "bpfbudget_cgroup_bytes", METRIC_GAUGE, "bytes",
                          "Kernel memory of a cgroup's own BPF objects, without the cgroups below it." },
                        write_bytes },
        { { "bpfbudget_cgroup_committed_bytes", METRIC_GAUGE, "bytes",
                          "What a cgroup's own BPF objects can grow to without anybody creating anything." },
                        write_committed },
        { { "bpfbudget_cgroup_objects", METRIC_GAUGE, "objects", "A cgroup's own BPF maps and programs." },
                        write_objects },
        { { "bpfbudget_cgroup_rss_bytes", METRIC_GAUGE, "bytes",
                          "Resident memory and swap of a cgroup's own processes." },
                        write_rss },
};

static const struct label_text rest_labels = { LABELS_REST, sizeof(LABELS_REST) - 1 };
static const struct label_text removed_labels = { LABELS_REMOVED, sizeof(LABELS_REMOVED) - 1 };

static void write_usage(struct metrics *metrics)
{
        const struct metric_selection *selection = &metrics->selection;

        for (size_t i = 0; i < ELEMENTSOF(usage_metrics); i++) {
                metric_begin(&metrics->text, &usage_metrics[i].metric);
                for (size_t n = 0; n < selection->count; n++)
                        usage_metrics[i].write(&metrics->text, metric_series_labels(selection, &selection->series[n]),
                                        &selection->series[n].cgroup->self);
                if (selection->rest_count > 0)
                        usage_metrics[i].write(&metrics->text, rest_labels, &selection->rest);
                if (selection->removed_count > 0)
                        usage_metrics[i].write(&metrics->text, removed_labels, &selection->removed);
        }
}

/* --- Budgets ------------------------------------------------------------------------------------------------------ */

/* Writes the samples of @cgroup, which has a budget. */
typedef void (*write_budget_t)(struct metric_text *text, struct label_text labels, const struct cgroup *cgroup);

static void write_budget_usage(struct metric_text *text, struct label_text labels, const struct cgroup *cgroup)
{
        metric_sample(text, labels, NULL, policy_usage(cgroup->policy, &cgroup->total));
}

/* A limit that is not set has no sample. */
static void write_limits(struct metric_text *text, struct label_text labels, const struct cgroup *cgroup)
{
        if (cgroup->policy->high != BUDGET_INFINITY)
                metric_sample(text, labels, "limit=\"high\"", cgroup->policy->high);
        if (cgroup->policy->max != BUDGET_INFINITY)
                metric_sample(text, labels, "limit=\"max\"", cgroup->policy->max);
}

static void write_state(struct metric_text *text, struct label_text labels, const struct cgroup *cgroup)
{
        metric_sample(text, labels, "state=\"ok\"", cgroup->policy->level == LEVEL_OK);
        metric_sample(text, labels, "state=\"high\"", cgroup->policy->level == LEVEL_HIGH);
        metric_sample(text, labels, "state=\"max\"", cgroup->policy->level == LEVEL_MAX);
}

static void write_events(struct metric_text *text, struct label_text labels, const struct cgroup *cgroup)
{
        const struct budget_events *events = &cgroup->policy->events;

        metric_sample(text, labels, "event=\"high\"", events->high);
        metric_sample(text, labels, "event=\"max\"", events->max);
        metric_sample(text, labels, "event=\"denied\"", events->denied);
        metric_sample(text, labels, "event=\"throttled\"", events->throttled);
}

static void write_throttled(struct metric_text *text, struct label_text labels, const struct cgroup *cgroup)
{
        metric_sample_usec(text, labels, NULL, cgroup->policy->events.throttled_usec);
}

static const struct {
        struct metric metric;
        write_budget_t write;
} budget_metrics[] = {
        { { "bpfbudget_budget_usage_bytes", METRIC_GAUGE, "bytes",
                          "What the limits of a cgroup's budget are about, with the cgroups below it." },
                        write_budget_usage },
        { { "bpfbudget_budget_limit_bytes", METRIC_GAUGE, "bytes",
                          "Limits in force for a cgroup with a budget; there is none where there is no limit." },
                        write_limits },
        { { "bpfbudget_budget_state", METRIC_GAUGE, NULL, "1 for the state that a cgroup's budget is in, else 0." },
                        write_state },
        { { "bpfbudget_events", METRIC_COUNTER, NULL,
                          "How often a limit was passed, a growth refused, or the cgroup paused, since it has a "
                          "budget." },
                        write_events },
        { { "bpfbudget_throttled_seconds", METRIC_COUNTER, "seconds", "How long a cgroup with a budget was paused." },
                        write_throttled },
};

static void write_budgets(struct metrics *metrics)
{
        const struct metric_selection *selection = &metrics->selection;

        for (size_t i = 0; i < ELEMENTSOF(budget_metrics); i++) {
                metric_begin(&metrics->text, &budget_metrics[i].metric);
                for (size_t n = 0; n < selection->count; n++)
                        if (selection->series[n].cgroup->policy)
                                budget_metrics[i].write(&metrics->text,
                                                metric_series_labels(selection, &selection->series[n]),
                                                selection->series[n].cgroup);
        }
}

/* --- Maps --------------------------------------------------------------------------------------------------------- */

static void write_map_labels(struct writer *writer, const struct object_record *record, const struct cgroup *cgroup)
{
        struct cgroup_labels labels = labels_of_cgroup(cgroup);
        char type[TYPE_NAME_MAX], id[16];
        const char *type_name = object_type_name(record, type);

        writer_reset(writer);
        if (cgroup->exists)
                labels_write(writer, &labels);
        else
                writer_raw(writer, LABELS_REMOVED);
        snprintf(id, sizeof(id), "%u", record->id);
        label_write(writer, false, "map", record->name, strnlen(record->name, OBJECT_NAME_SIZE));
        label_write(writer, false, "map_id", id, strlen(id));
        label_write(writer, false, "map_type", type_name, strlen(type_name));
}

static uint64_t map_entries(const struct object_record *record)
{
        return record->entries;
}

static uint64_t map_max_entries(const struct object_record *record)
{
        return record->max_entries;
}

static const struct {
        struct metric metric;
        uint64_t (*value)(const struct object_record *record);
} map_metrics[] = {
        { { "bpfbudget_map_entries", METRIC_GAUGE, "entries",
                          "Entries of the largest maps, when they were measured last." },
                        map_entries },
        { { "bpfbudget_map_max_entries", METRIC_GAUGE, "entries", "How many entries the largest maps have room for." },
                        map_max_entries },
};

static void cleanup_writer(struct writer *writer)
{
        writer_deinit(writer);
}

/* Returns 0 or -ENOMEM. */
static int write_maps(struct metrics *metrics)
{
        const struct object_summary *objects = &metrics->objects;
        _cleanup_(cleanup_writer) struct writer labels = {};

        for (size_t i = 0; i < ELEMENTSOF(map_metrics); i++) {
                metric_begin(&metrics->text, &map_metrics[i].metric);
                for (size_t n = 0; n < objects->count; n++) {
                        const struct object *map = objects->largest[n];

                        write_map_labels(&labels, &map->record, map->cgroup);
                        if (labels.error)
                                return labels.error;
                        metric_sample(&metrics->text, (struct label_text){ labels.text, labels.size }, NULL,
                                        map_metrics[i].value(&map->record));
                }
        }
        return 0;
}

/* --- The daemon --------------------------------------------------------------------------------------------------- */

static uint64_t get_orphans(const struct metrics *metrics)
{
        return metrics->objects.orphaned;
}

static uint64_t get_cgroups(const struct metrics *metrics)
{
        return metrics->source->monitor->tree.count;
}

static uint64_t get_rest(const struct metrics *metrics)
{
        return metrics->selection.rest_count;
}

static uint64_t get_flushes(const struct metrics *metrics)
{
        return metrics->source->monitor->statistics.flushes;
}

static uint64_t get_full_passes(const struct metrics *metrics)
{
        return metrics->source->monitor->statistics.full_passes;
}

static uint64_t get_overflows(const struct metrics *metrics)
{
        return metrics->source->monitor->statistics.overflows;
}

static uint64_t get_drift(const struct metrics *metrics)
{
        return metrics->source->monitor->statistics.drift;
}

static uint64_t get_ready(const struct metrics *metrics)
{
        return metrics->source->monitor->complete;
}

static uint64_t get_not_enforced(const struct metrics *metrics)
{
        return metrics->source->manager->obstacle != NULL;
}

static const struct {
        struct metric metric;
        uint64_t (*value)(const struct metrics *metrics);
} daemon_metrics[] = {
        { { "bpfbudget_orphan_bytes", METRIC_GAUGE, "bytes",
                          "Kernel memory of BPF objects that have outlived the cgroup that was charged for them." },
                        get_orphans },
        { { "bpfbudget_cgroups", METRIC_GAUGE, "cgroups", "Cgroups that the daemon knows." }, get_cgroups },
        { { "bpfbudget_rest_cgroups", METRIC_GAUGE, "cgroups", "Cgroups that are summed up as cgroup=(rest)." },
                        get_rest },
        { { "bpfbudget_flushes", METRIC_COUNTER, NULL, "Flushes of what has changed." }, get_flushes },
        { { "bpfbudget_full_passes", METRIC_COUNTER, NULL, "Passes over all BPF objects." }, get_full_passes },
        { { "bpfbudget_overflows", METRIC_COUNTER, NULL,
                          "Times that reports of the kernel were lost; a pass over all objects answers each." },
                        get_overflows },
        { { "bpfbudget_drift", METRIC_COUNTER, NULL,
                          "Objects that a pass over all has found to differ from what the kernel reported." },
                        get_drift },
        { { "bpfbudget_ready", METRIC_GAUGE, NULL, "1 if all BPF objects have been measured, else 0." }, get_ready },
        { { "bpfbudget_deny_unavailable", METRIC_GAUGE, NULL,
                          "1 if a budget has OnMax=deny and this kernel cannot refuse, else 0." },
                        get_not_enforced },
};

static const struct metric dropped_metric = { "bpfbudget_dropped_alerts", METRIC_COUNTER, NULL,
        "Alerts that are not in the journal: held back by AlertBurst=, or not taken by it." };
static const struct metric build_metric = { "bpfbudget_build", METRIC_INFO, NULL, "The version of the daemon." };

static void write_daemon(struct metrics *metrics)
{
        static const char *const reasons[] = {
                [ALERT_DROP_RATE_LIMIT] = "reason=\"rate_limit\"",
                [ALERT_DROP_JOURNAL] = "reason=\"journal\"",
        };
        static const struct label_text none = {};

        for (size_t i = 0; i < ELEMENTSOF(daemon_metrics); i++) {
                metric_begin(&metrics->text, &daemon_metrics[i].metric);
                metric_sample(&metrics->text, none, NULL, daemon_metrics[i].value(metrics));
        }
        metric_begin(&metrics->text, &dropped_metric);
        for (size_t i = 0; i < ALERT_DROPS; i++)
                metric_sample(&metrics->text, none, reasons[i], metrics->source->dropped[i]);
        metric_begin(&metrics->text, &build_metric);
        metric_sample(&metrics->text, none, "version=\"" PACKAGE_VERSION "\"", 1);
}

int metrics_write(struct writer *writer, const struct metrics_source *source, enum metrics_format format)
{
        const struct settings *settings = &source->manager->config.settings;
        struct metrics metrics = { .source = source, .text = { .writer = writer, .format = format } };
        int r = metric_selection_init(&metrics.selection, &source->monitor->tree, settings->metrics_cgroups_max);

        if (r == 0)
                r = object_summary_init(&metrics.objects, &source->monitor->ledger, settings->metrics_maps_max);
        if (r == 0) {
                write_usage(&metrics);
                write_budgets(&metrics);
                r = write_maps(&metrics);
        }
        if (r == 0) {
                write_daemon(&metrics);
                metrics_end(&metrics.text);
        }
        metric_selection_deinit(&metrics.selection);
        object_summary_deinit(&metrics.objects);
        return r ?: writer->error;
}
