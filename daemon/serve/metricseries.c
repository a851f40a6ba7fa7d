/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/metricseries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "serve/cgrouplabels.h"

/* Whether @cgroup always has series, however small it is. */
static bool is_always_shown(const struct cgroup *cgroup)
{
        return cgroup->policy || !cgroup->parent;
}

/* Whether @cgroup has usage of its own. */
static bool has_usage(const struct cgroup *cgroup)
{
        return usage_objects(&cgroup->self) > 0 || usage_footprint(&cgroup->self) > 0;
}

/* Cgroups that are always shown come first, then the largest; of equal ones, the older one. */
static int compare_rank(const void *a, const void *b)
{
        const struct cgroup *x = *(const struct cgroup *const *) a, *y = *(const struct cgroup *const *) b;
        uint64_t x_footprint = usage_footprint(&x->self), y_footprint = usage_footprint(&y->self);

        if (is_always_shown(x) != is_always_shown(y))
                return is_always_shown(x) ? -1 : 1;
        if (x->self.allocated != y->self.allocated)
                return x->self.allocated > y->self.allocated ? -1 : 1;
        if (x_footprint != y_footprint)
                return x_footprint > y_footprint ? -1 : 1;
        return (x->id > y->id) - (x->id < y->id);
}

/* The cgroups that exist and have anything to show, sorted; *count is their number. NULL: no memory. */
static const struct cgroup **rank_cgroups(struct metric_selection *selection, const struct tree *tree, size_t *count)
{
        const struct cgroup **ranked = calloc(tree->count + 1, sizeof(*ranked));
        struct cgroup *cgroup, *next;

        *count = 0;
        if (!ranked)
                return NULL;
        HASH_ITER (hh, tree->by_id, cgroup, next) {
                if (!cgroup->exists) {
                        usage_add(&selection->removed, &cgroup->self);
                        selection->removed_count += has_usage(cgroup);
                } else if (is_always_shown(cgroup) || has_usage(cgroup))
                        ranked[(*count)++] = cgroup;
        }
        qsort(ranked, *count, sizeof(*ranked), compare_rank);
        return ranked;
}

static void add_rest(struct metric_selection *selection, const struct cgroup *cgroup)
{
        usage_add(&selection->rest, &cgroup->self);
        selection->rest_count++;
}

/* Gives @cgroup series, or adds it to the rest if there is no room for its labels. */
static void add_series(struct metric_selection *selection, const struct cgroup *cgroup)
{
        struct cgroup_labels labels = labels_of_cgroup(cgroup);
        size_t at = selection->labels.size;

        labels_write(&selection->labels, &labels);
        if (selection->labels.size > METRICS_LABELS_MAX) {
                selection->labels.size = at;
                add_rest(selection, cgroup);
                return;
        }
        selection->series[selection->count++] = (struct metric_series){ cgroup, at, selection->labels.size - at };
}

struct label_text metric_series_labels(const struct metric_selection *selection, const struct metric_series *series)
{
        return (struct label_text){ selection->labels.text + series->label_at, series->label_size };
}

static int compare_text(struct label_text x, struct label_text y)
{
        int order = memcmp(x.text, y.text, x.size < y.size ? x.size : y.size);

        return order ?: (x.size > y.size) - (x.size < y.size);
}

/* Sorts by labels; of series with the same labels, the newest cgroup comes first. */
static int compare_series(const void *a, const void *b, void *context)
{
        const struct metric_series *x = a, *y = b;
        int order = compare_text(metric_series_labels(context, x), metric_series_labels(context, y));

        return order ?: (x->cgroup->id < y->cgroup->id) - (x->cgroup->id > y->cgroup->id);
}

/*
 * Only one cgroup can have a path. If two have the same path, the older one was removed, but this has not been reported
 * yet.
 */
static void drop_replaced(struct metric_selection *selection)
{
        size_t kept = 0;

        for (size_t i = 0; i < selection->count; i++) {
                const struct metric_series *series = &selection->series[i];

                if (kept > 0 && compare_text(metric_series_labels(selection, &selection->series[kept - 1]),
                                                metric_series_labels(selection, series)) == 0) {
                        usage_add(&selection->removed, &series->cgroup->self);
                        selection->removed_count += has_usage(series->cgroup);
                } else
                        selection->series[kept++] = *series;
        }
        selection->count = kept;
}

int metric_selection_init(struct metric_selection *selection, const struct tree *tree, size_t others_max)
{
        _cleanup_free_ const struct cgroup **ranked = NULL;
        size_t count, others = 0;

        *selection = (struct metric_selection){};
        ranked = rank_cgroups(selection, tree, &count);
        selection->series = ranked ? calloc(count + 1, sizeof(*selection->series)) : NULL;
        if (!selection->series)
                return -ENOMEM;
        for (size_t i = 0; i < count; i++) {
                if (!is_always_shown(ranked[i]) && others++ >= others_max)
                        add_rest(selection, ranked[i]);
                else
                        add_series(selection, ranked[i]);
        }
        if (selection->labels.error)
                return selection->labels.error;
        qsort_r(selection->series, selection->count, sizeof(*selection->series), compare_series, selection);
        drop_replaced(selection);
        return 0;
}

void metric_selection_deinit(struct metric_selection *selection)
{
        free(selection->series);
        writer_deinit(&selection->labels);
        *selection = (struct metric_selection){};
}
