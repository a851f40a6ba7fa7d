/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/cgrouplabels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy/unit.h"
#include "policy/utf8.h"

/* The character that, with its digits, replaces a byte that is not UTF-8. */
#define REPLACEMENT           0xfffd
#define REPLACEMENT_CHARACTER "\xef\xbf\xbd"

/* Sets the names of the workload that @cgroup is, or is in. */
static void set_workload(struct cgroup_labels *labels, const struct cgroup *cgroup)
{
        const struct cgroup *own = cgroup_of_workload(cgroup);
        const struct workload *workload = own ? own->workload : NULL;
        const char *slash = workload && workload->pod ? strchr(workload->pod, '/') : NULL;

        if (!workload)
                return;
        if (slash) {
                labels->namespace = workload->pod;
                labels->namespace_length = slash - workload->pod;
                labels->pod = slash + 1;
        }
        labels->container = workload->container;
}

struct cgroup_labels labels_of_cgroup(const struct cgroup *cgroup)
{
        struct cgroup_labels labels = { .cgroup = cgroup->path };

        if (!cgroup->path || cgroup->abbreviated || strlen(cgroup->path) > LABEL_VALUE_MAX)
                labels.cgroup_id = cgroup->id;
        if (cgroup->path)
                labels.unit = path_unit(cgroup->path, &labels.unit_length);
        set_workload(&labels, cgroup);
        return labels;
}

static void write_bytes_of(struct writer *writer, const char *bytes, size_t length)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < length; i++) {
                unsigned char c = bytes[i];

                writer_raw(writer, REPLACEMENT_CHARACTER);
                writer_bytes(writer, (char[]){ digits[c >> 4], digits[c & 15] }, 2);
        }
}

/* Writes the character at @text, @length bytes. */
static void write_character(struct writer *writer, const char *text, size_t length, uint32_t character)
{
        if (character >= CHARACTER_INVALID || character == REPLACEMENT)
                write_bytes_of(writer, text, length);
        else if (character == '\n')
                writer_raw(writer, "\\n");
        else if (character == '"' || character == '\\')
                writer_bytes(writer, (char[]){ '\\', (char) character }, 2);
        else
                writer_bytes(writer, text, length);
}

void label_write(struct writer *writer, bool first, const char *name, const char *value, size_t length)
{
        size_t end = length < LABEL_VALUE_MAX ? length : LABEL_VALUE_MAX;

        if (!first)
                writer_raw(writer, ",");
        writer_raw(writer, name);
        writer_raw(writer, "=\"");
        for (size_t at = 0, n; at < end; at += n) {
                uint32_t character;

                n = utf8_decode(value + at, length - at, &character);
                write_character(writer, value + at, n, character);
        }
        writer_raw(writer, "\"");
}

void labels_write(struct writer *writer, const struct cgroup_labels *labels)
{
        const struct {
                const char *name, *value;
                size_t length;
        } optional[] = {
                { "unit", labels->unit, labels->unit_length },
                { "namespace", labels->namespace, labels->namespace_length },
                { "pod", labels->pod, labels->pod ? strlen(labels->pod) : 0 },
                { "container", labels->container, labels->container ? strlen(labels->container) : 0 },
        };
        const char *path = labels->cgroup ?: "(unknown)"; /* a path begins with a slash */
        char id[24];

        label_write(writer, true, "cgroup", path, strlen(path));
        if (labels->cgroup_id) {
                int n = snprintf(id, sizeof(id), "%" PRIu64, labels->cgroup_id);

                label_write(writer, false, "cgroup_id", id, n);
        }
        for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
                if (optional[i].value)
                        label_write(writer, false, optional[i].name, optional[i].value, optional[i].length);
}
