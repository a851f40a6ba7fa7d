/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The labels by which metrics name a cgroup, and what may stand in a label. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "account/tree.h"
#include "serve/writer.h"

/* A longer value is cut; its cgroup then has the label cgroup_id, too. Bytes. */
#define LABEL_VALUE_MAX 1024

/* What a cgroup is to people. NULL, 0: not known, or there is none; then there is no label. */
struct cgroup_labels {
        const char *cgroup; /* path */
        uint64_t cgroup_id; /* where the path does not tell it from others */
        const char *unit;   /* of systemd, unit_length bytes */
        size_t unit_length;
        const char *namespace; /* of Kubernetes, as the pod; namespace_length bytes */
        size_t namespace_length;
        const char *pod, *container;
};

/* They refer to @cgroup, which has to stay meanwhile. */
struct cgroup_labels labels_of_cgroup(const struct cgroup *cgroup);

/* Writes @labels, without braces: cgroup="/a",unit="b.service". */
void labels_write(struct writer *writer, const struct cgroup_labels *labels);

/*
 * Writes one label, a comma before it unless it is the @first one. A byte of @value (@length bytes) that is not UTF-8
 * becomes U+FFFD and its two hexadecimal digits, and so do the bytes of U+FFFD: different values stay different.
 */
void label_write(struct writer *writer, bool first, const char *name, const char *value, size_t length);
