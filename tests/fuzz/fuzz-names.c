/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer's entry: names that anybody gives. Each line of the input is a line of mountinfo, a name among the
 * kubelet's logs, the path of a cgroup as a workload's and as a unit's, and text for people. It includes
 * account/bpffs.c and account/podnames.c.
 */
#include <stdint.h>

#include "account/bpffs.c"
/* Both have functions of these names. */
#define add   pod_add
#define parse pod_parse
#include "account/podnames.c"
#undef add
#undef parse

#include "account/workload.h"
#include "base/text.h"
#include "base/utf8.h"
#include "policy/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_mount(const char *line)
{
        _cleanup_free_ char *copy = strdup(line);
        struct instance instance;

        if (!copy)
                abort();
        if (parse(copy, &instance))
                is_shown(&instance);
}

static void read_log_name(const char *line)
{
        for (size_t place = 0; place < POD_NAMES_PLACES; place++) {
                struct log_entry *entry = NULL;

                if (strlen(line) > NAME_MAX)
                        return;
                if (make_entry(place, line, &entry) == 0 && !*entry->key)
                        abort();
                if (entry)
                        entry_free(entry);
        }
}

static void read_path(const char *path)
{
        struct workload *workload = NULL;
        size_t length = 0;
        const char *unit;

        if (*path != '/')
                return;
        if (workload_from_path(path, &workload) < 0)
                abort();
        if (workload && (workload->kind >= WORKLOAD_KINDS || workload->qos >= QOS_CLASSES))
                abort();
        workload_free(workload);
        unit = path_unit(path, &length);
        if (unit && (unit < path || unit + length > path + strlen(path) || length == 0))
                abort();
}

/* It is one line of plain text, no longer than it may be; and again the same. */
static void show(const char *line)
{
        char text[TEXT_PATH_SIZE], again[TEXT_PATH_SIZE];

        text_plain(line, text, sizeof(text));
        for (const char *p = text; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        abort();
        if (strlen(text) >= sizeof(text) || strcmp(text_plain(text, again, sizeof(again)), text) != 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = strndup((const char *) data, size);

        if (!text)
                abort();
        for (char *line = text, *end; line; line = end) {
                end = strchr(line, '\n');
                if (end)
                        *end++ = '\0';
                read_mount(line);
                read_log_name(line);
                read_path(line);
                show(line);
        }
        return 0;
}
