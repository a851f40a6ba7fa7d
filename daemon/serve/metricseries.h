/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which cgroups have metrics of their own: the root, those with a budget, and the largest of the others. The others are
 * summed up, so that a sum over all series is correct: the rest as cgroup="(rest)", those that were removed and still
 * hold something as cgroup="(removed)".
 */
#pragma once

#include <stddef.h>

#include "account/tree.h"
#include "serve/metrictext.h"
#include "serve/writer.h"

/*
 * The maximum size of all labels, in bytes, because the names of cgroups are chosen by whoever creates them. A cgroup
 * whose labels do not fit belongs to the rest.
 */
#define METRICS_LABELS_MAX (1024 * 1024)

/* No path has these values, because paths begin with a slash. */
#define LABELS_REST    "cgroup=\"(rest)\""
#define LABELS_REMOVED "cgroup=\"(removed)\""

/* The series of one cgroup. */
struct metric_series {
        const struct cgroup *cgroup;
        size_t label_at, label_size; /* its labels, in the text of all */
};

struct metric_selection {
        struct metric_series *series; /* ordered by their labels; no two have the same */
        size_t count;
        struct usage rest, removed; /* own usage of the others */
        size_t rest_count, removed_count;
        struct writer labels;
};

/*
 * Selects cgroups of @tree: the root, those with a budget, and at most @others_max others. Returns 0 or -ENOMEM.
 * @selection is to be given to metric_selection_deinit() in any case. It is valid until @tree changes.
 */
int metric_selection_init(struct metric_selection *selection, const struct tree *tree, size_t others_max);
void metric_selection_deinit(struct metric_selection *selection);

/* The labels of @series. */
struct label_text metric_series_labels(const struct metric_selection *selection, const struct metric_series *series);
