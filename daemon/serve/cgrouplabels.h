/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The labels by which metrics name a cgroup, and the encoding of their values. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "account/tree.h"
#include "serve/writer.h"

/* The maximum length of a value in bytes. A longer one is cut, and its cgroup also gets the label cgroup_id. */
#define LABEL_VALUE_MAX 1024

/* The values of labels. If a member is NULL or 0, it is not known or does not exist, and there is no such label. */
struct cgroup_labels {
        const char *cgroup; /* path */
        uint64_t cgroup_id; /* if the path does not identify the cgroup */
        const char *unit;   /* of systemd, unit_length bytes */
        size_t unit_length;
        const char *namespace; /* of Kubernetes, as the pod; namespace_length bytes */
        size_t namespace_length;
        const char *pod, *container;
};

/* The result refers to @cgroup, which must outlive it. */
struct cgroup_labels labels_of_cgroup(const struct cgroup *cgroup);

/* Writes @labels, without braces: cgroup="/a",unit="b.service". */
void labels_write(struct writer *writer, const struct cgroup_labels *labels);

/*
 * Writes one label, preceded by a comma unless it is the @first. A byte of @value (@length bytes) that is not UTF-8
 * becomes U+FFFD and its two hexadecimal digits, and so do the bytes of U+FFFD: different values stay different.
 */
void label_write(struct writer *writer, bool first, const char *name, const char *value, size_t length);
