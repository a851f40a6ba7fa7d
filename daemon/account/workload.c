/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/workload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define DIGITS "0123456789"
#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* --- What names are made of ----------------------------------------------------------------------------------------
 */

/* Whether @text has 1 to @max bytes of @characters. */
static bool consists_of(const char *text, size_t length, size_t max, const char *characters)
{
        if (length == 0 || length > max)
                return false;
        for (size_t i = 0; i < length; i++)
                if (text[i] == '\0' || !strchr(characters, text[i]))
                        return false;
        return true;
}

bool is_pod_namespace(const char *text, size_t length)
{
        return consists_of(text, length, 63, LOWER DIGITS "-");
}

bool is_pod_name(const char *text, size_t length)
{
        return consists_of(text, length, 253, LOWER DIGITS "-.");
}

bool is_pod_uid(const char *text, size_t length)
{
        return consists_of(text, length, POD_UID_SIZE - 1, LOWER UPPER DIGITS "-");
}

bool is_container_id(const char *text, size_t length)
{
        return length == CONTAINER_ID_LENGTH && consists_of(text, length, CONTAINER_ID_LENGTH, DIGITS "abcdef");
}

bool is_container_name(const char *text, size_t length)
{
        return consists_of(text, length, WORKLOAD_NAME_SIZE - 1, LOWER UPPER DIGITS "_.-");
}

static bool is_machine_name(const char *text, size_t length)
{
        return consists_of(text, length, 64, LOWER UPPER DIGITS "_.-");
}

/* --- Components of a path ------------------------------------------------------------------------------------------
 */

/* Text without a NUL at its end. */
struct part {
        const char *text;
        size_t length;
};

static bool is(struct part part, const char *text)
{
        return part.length == strlen(text) && memcmp(part.text, text, part.length) == 0;
}

/* Takes @suffix off @part. Returns whether it ends in that, with something before it. */
static bool strip_suffix(struct part *part, const char *suffix)
{
        size_t length = strlen(suffix);

        if (part->length <= length || memcmp(part->text + part->length - length, suffix, length) != 0)
                return false;
        part->length -= length;
        return true;
}

static bool strip_prefix(struct part *part, const char *prefix)
{
        size_t length = strlen(prefix);

        if (part->length <= length || memcmp(part->text, prefix, length) != 0)
                return false;
        part->text += length;
        part->length -= length;
        return true;
}

/* What the components of a path say, up to one of them. */
struct finding {
        bool found; /* this component is a workload's own */
        enum workload_kind kind;
        enum workload_qos qos;
        const char *runtime;
        bool is_pod;
        struct part uid, id, machine; /* of what it is in, too; length 0: none */
        bool nested;
};

/* --- Pods ----------------------------------------------------------------------------------------------------------
 */

/* Directories of the kubelet's for the classes of pods, without what --cgroup-root= puts before them. */
static const struct {
        const char *slice;        /* with the systemd driver, without ".slice" */
        const char *parent, *top; /* with the cgroupfs driver */
        enum workload_qos qos;
} classes[] = {
        { "kubepods", "kubepods", NULL, QOS_GUARANTEED },
        { "kubepods-burstable", "burstable", "kubepods", QOS_BURSTABLE },
        { "kubepods-besteffort", "besteffort", "kubepods", QOS_BEST_EFFORT },
};

/* The class of the slice that @part, "kubelet-kubepods-burstable-pod…" without what begins at "-pod", is. */
static enum workload_qos slice_class(struct part part)
{
        for (size_t i = 0; i < LENGTH(classes); i++) {
                struct part before = part;

                if (is(part, classes[i].slice) ||
                                (strip_suffix(&before, classes[i].slice) && before.text[before.length - 1] == '-'))
                        return classes[i].qos;
        }
        return QOS_NONE;
}

/* Whether @uid is one as the systemd driver writes it, with "_" for "-", which would be another level of slices. */
static bool is_escaped_uid(struct part uid)
{
        return consists_of(uid.text, uid.length, POD_UID_SIZE - 1, LOWER UPPER DIGITS "_");
}

/* Whether @part is the slice of a pod; then its uid, as it is written, and class are in @finding. */
static bool find_pod_slice(struct part part, struct finding *finding)
{
        struct part uid, before = part;
        const char *dash;
        enum workload_qos qos;

        if (!strip_suffix(&before, ".slice"))
                return false;
        dash = memrchr(before.text, '-', before.length);
        if (!dash)
                return false;
        uid = (struct part){ dash + 1, before.text + before.length - dash - 1 };
        before.length = dash - before.text;
        qos = slice_class(before);
        if (qos == QOS_NONE || !strip_prefix(&uid, "pod") || !is_escaped_uid(uid))
                return false;
        finding->uid = uid;
        finding->qos = qos;
        return true;
}

/* The same of the directory of one, @part in @parent in @top. */
static bool find_pod_directory(struct part part, struct part parent, struct part top, struct finding *finding)
{
        if (!strip_prefix(&part, "pod") || !is_pod_uid(part.text, part.length))
                return false;
        for (size_t i = 0; i < LENGTH(classes); i++)
                if (is(parent, classes[i].parent) && (!classes[i].top || is(top, classes[i].top))) {
                        finding->uid = part;
                        finding->qos = classes[i].qos;
                        return true;
                }
        return false;
}

/* --- Containers ----------------------------------------------------------------------------------------------------
 */

/* What runtimes put before the id. */
static const struct {
        const char *prefix;
        const char *runtime;
} runtimes[] = {
        { "cri-containerd", "containerd" }, { "nerdctl", "containerd" }, { "crio", "cri-o" }, { "docker", "docker" },
        { "libpod", "podman" }, { "libpod-payload", "podman" }, /* --cgroups=split, as units of Quadlet have it */
};

/* Whether @part is "PREFIX@separatorID". */
static bool find_id(struct part part, char separator, struct finding *finding)
{
        struct part id;

        if (part.length <= CONTAINER_ID_LENGTH + 1)
                return false;
        id = (struct part){ part.text + part.length - CONTAINER_ID_LENGTH, CONTAINER_ID_LENGTH };
        part.length -= CONTAINER_ID_LENGTH + 1;
        if (part.text[part.length] != separator || !is_container_id(id.text, id.length))
                return false;
        for (size_t i = 0; i < LENGTH(runtimes); i++)
                if (is(part, runtimes[i].prefix)) {
                        finding->id = id;
                        finding->runtime = runtimes[i].runtime;
                        return true;
                }
        return false;
}

/*
 * What a runtime with the cgroupfs driver makes of the "SLICE:PREFIX:ID" that is meant for the systemd driver: one
 * cgroup of this name. Then the pod has no cgroup of its own.
 */
static bool find_triple(struct part part, struct finding *finding)
{
        const char *colon = memchr(part.text, ':', part.length);
        struct part slice;

        if (!colon)
                return false;
        slice = (struct part){ part.text, colon - part.text };
        part = (struct part){ colon + 1, part.length - slice.length - 1 };
        if (!find_id(part, ':', finding))
                return false;
        find_pod_slice(slice, finding);
        return true;
}

/* Whether @part in @parent, which is a pod's own if @in_pod, is a container's. */
static bool find_container(struct part part, struct part parent, bool in_pod, struct finding *finding)
{
        struct part name = part;

        if (is_container_id(part.text, part.length)) {
                finding->id = part;
                finding->runtime = !in_pod && is(parent, "docker") ? "docker" : NULL;
                return true;
        }
        strip_suffix(&name, ".scope");
        return find_id(name, '-', finding);
}

/* --- Machines ------------------------------------------------------------------------------------------------------
 */

/* Whether @part in @parent is a machine's: machined's scope, or the service of systemd-nspawn. */
static bool find_machine(struct part part, struct part parent, struct finding *finding)
{
        if (!is(parent, "machine.slice"))
                return false;
        if (!(strip_suffix(&part, ".scope") && strip_prefix(&part, "machine-")) &&
                        !(strip_suffix(&part, ".service") && strip_prefix(&part, "systemd-nspawn@")))
                return false;
        finding->machine = part;
        return true;
}

/* Undoes systemd's escaping of "-" and of what else a machine's name has (unit_name_escape()). NULL: no memory. */
static char *unescape(struct part part)
{
        char *text = malloc(part.length + 1), *end = text;

        if (!text)
                return NULL;
        for (size_t i = 0; i < part.length; i++) {
                char digits[3] = "", *stop;

                if (part.length - i >= 4 && memcmp(part.text + i, "\\x", 2) == 0) {
                        memcpy(digits, part.text + i + 2, 2);
                        *end = strtoul(digits, &stop, 16);
                        if (stop == digits + 2 && *end) {
                                end++;
                                i += 3;
                                continue;
                        }
                }
                *end++ = part.text[i];
        }
        *end = '\0';
        return text;
}

/* --- All of it -----------------------------------------------------------------------------------------------------
 */

/* What @part, which @parent and @top are above, adds to @finding. */
static void take_part(struct finding *finding, struct part part, struct part parent, struct part top, bool in_pod)
{
        struct finding found = { .found = true };
        bool inside = finding->id.length > 0 || finding->machine.length > 0;

        if (find_machine(part, parent, &found))
                found.kind = WORKLOAD_MACHINE;
        else if (find_pod_slice(part, &found) || find_pod_directory(part, parent, top, &found))
                found.kind = WORKLOAD_POD;
        else if (find_triple(part, &found) || find_container(part, parent, in_pod, &found))
                found.kind = WORKLOAD_CONTAINER;
        else {
                finding->found = false;
                return;
        }
        found.nested = finding->nested || inside;
        found.is_pod = found.uid.length > 0;
        if (found.kind == WORKLOAD_CONTAINER && found.uid.length == 0 && !inside) {
                found.uid = finding->uid;
                found.qos = finding->qos;
        }
        *finding = found;
}

static void find(const char *path, struct finding *finding)
{
        struct part parent = { "", 0 }, top = { "", 0 };
        bool in_pod = false;

        while (*path == '/') {
                struct part part = { path + 1, strcspn(path + 1, "/") };

                take_part(finding, part, parent, top, in_pod);
                in_pod = finding->found && finding->kind == WORKLOAD_POD;
                top = parent;
                parent = part;
                path = part.text + part.length;
        }
}

/* A copy of @part in *text if it has any. Returns 0 or -ENOMEM. */
static int copy(char **text, struct part part)
{
        if (part.length == 0)
                return 0;
        *text = strndup(part.text, part.length);
        return *text ? 0 : -ENOMEM;
}

static void cleanup_workload(struct workload **workload)
{
        workload_free(*workload);
}

int workload_from_path(const char *path, struct workload **ret)
{
        _cleanup_(cleanup_workload) struct workload *workload = NULL;
        struct finding finding = {};

        *ret = NULL;
        find(path, &finding);
        if (!finding.found)
                return 0;
        workload = calloc(1, sizeof(*workload));
        if (!workload)
                return -ENOMEM;
        workload->kind = finding.kind;
        workload->qos = finding.qos;
        workload->runtime = finding.runtime;
        workload->nested = finding.nested;
        workload->is_pod = finding.is_pod;
        if (copy(&workload->pod_uid, finding.uid) < 0 || copy(&workload->container_id, finding.id) < 0)
                return -ENOMEM;
        for (char *c = workload->pod_uid; c && *c; c++)
                if (*c == '_')
                        *c = '-';
        if (finding.kind == WORKLOAD_MACHINE) {
                workload->machine = unescape(finding.machine);
                if (!workload->machine)
                        return -ENOMEM;
                if (!is_machine_name(workload->machine, strlen(workload->machine)))
                        return 0;
        }
        *ret = workload;
        workload = NULL;
        return 0;
}

void workload_free(struct workload *workload)
{
        if (!workload)
                return;
        free(workload->pod_uid);
        free(workload->container_id);
        free(workload->pod);
        free(workload->container);
        free(workload->machine);
        free(workload);
}

int workload_set_name(char **name, const char *text)
{
        char *text_copy;

        if (*name && strcmp(*name, text) == 0)
                return 0;
        text_copy = strdup(text);
        if (!text_copy)
                return -ENOMEM;
        free(*name);
        *name = text_copy;
        return 1;
}

bool workload_has_name(const struct workload *workload)
{
        switch (workload->kind) {
        case WORKLOAD_POD:
                return workload->pod;
        case WORKLOAD_CONTAINER:
                return workload->container;
        case WORKLOAD_MACHINE:
        case WORKLOAD_KINDS:
                break;
        }
        return workload->machine;
}

const char *workload_kind_name(enum workload_kind kind)
{
        static const char *const names[WORKLOAD_KINDS] = {
                [WORKLOAD_POD] = "pod",
                [WORKLOAD_CONTAINER] = "container",
                [WORKLOAD_MACHINE] = "machine",
        };

        return names[kind];
}

const char *workload_qos_name(enum workload_qos qos)
{
        static const char *const names[QOS_CLASSES] = {
                [QOS_GUARANTEED] = "Guaranteed",
                [QOS_BURSTABLE] = "Burstable",
                [QOS_BEST_EFFORT] = "BestEffort",
        };

        return names[qos];
}
