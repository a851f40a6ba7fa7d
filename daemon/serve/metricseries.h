/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which cgroups have metrics of their own: the root, those with a budget, and the largest of the others. What the rest
 * have is summed up, so that a sum over all is right: the rest as cgroup="(rest)", those that were removed and still
 * hold something as cgroup="(removed)".
 */
#pragma once

#include <stddef.h>

#include "account/tree.h"
#include "serve/metrictext.h"
#include "serve/writer.h"

/* Of the labels of all: a cgroup whose labels have no room is one of the rest. Whoever makes cgroups chooses their
 * names. Bytes. */
#define METRICS_LABELS_MAX (1024 * 1024)

/* What a path, which begins with a slash, cannot be. */
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
 * Selects of @tree's cgroups; of those without a budget, and not the root, @others_max at most. Returns 0 or -ENOMEM.
 * @selection is to be given to metric_selection_deinit() in any case. It is valid until @tree changes.
 */
int metric_selection_init(struct metric_selection *selection, const struct tree *tree, size_t others_max);
void metric_selection_deinit(struct metric_selection *selection);

/* The labels of @series. */
struct label_text metric_series_labels(const struct metric_selection *selection, const struct metric_series *series);
