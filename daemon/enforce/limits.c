/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "policy/policy.h"
#include "policy/utf8.h"

/* At most so many warnings of what a cgroup's owner wrote in this time: GetCgroup has the last one in any case. */
#define WARNINGS_MAX           8
#define WARNINGS_INTERVAL_USEC (60 * 1000 * 1000ULL)

/* What is wrong with the size @text, which parse_bytes() returned @error for. */
static const char *size_fault(const char *text, int error)
{
        if (is_decimal_size(text))
                return "has a unit that may be a power of 1000 or of 1024";
        return error == -ERANGE    ? "is too large"
               : error == -EDOM    ? "is negative"
               : error == -ENODATA ? "cannot be computed, as the size of RAM is not known"
                                   : "is not a size such as 64M, 25% or infinity";
}

/*
 * Reads the size in the xattr @name of the cgroup whose directory is @fd. Returns 0, and *bytes is BUDGET_INFINITY if
 * it is not set, or is no size; then *fault says what is wrong, to be freed. -ENOMEM.
 */
static int read_xattr(int fd, const char *name, uint64_t ram, uint64_t *bytes, char **fault)
{
        char text[64] = "";
        uint32_t character;
        ssize_t n = fgetxattr(fd, name, text, sizeof(text) - 1);
        int r;

        *fault = NULL;
        *bytes = BUDGET_INFINITY;
        if (n < 0 && errno != ERANGE)
                return 0;
        text[n < 0 ? 0 : n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        /* As memory.high and memory.max have it. */
        if (strcmp(text, "max") == 0)
                return 0;
        r = n < 0 ? -EINVAL : parse_bytes(text, ram, bytes);
        if (r == 0)
                return 0;
        *bytes = BUDGET_INFINITY;
        if (n < 0)
                strcpy(text, "(too long)");
        else if (utf8_find_bad(text, strlen(text), &character) < strlen(text))
                strcpy(text, "(not text)");
        r = asprintf(fault, "%s: \"%s\" %s", name, text, size_fault(text, r));
        return r < 0 ? -ENOMEM : 0;
}

/* Whether one more warning may be logged now; then it is counted. */
static bool may_warn(struct warning_window *warnings)
{
        uint64_t now = now_usec();

        if (warnings->count == 0 || now - warnings->start_usec >= WARNINGS_INTERVAL_USEC)
                *warnings = (struct warning_window){ .start_usec = now };
        return warnings->count++ < WARNINGS_MAX;
}

/* Keeps @fault (taken over) of the xattr @limit, and logs it if it is another one than before; owners may make many. */
static void note_fault(
                const struct cgroup *cgroup, enum owner_limit limit, const struct cgroupfs *cgroupfs, char *fault)
{
        struct policy *policy = cgroup->policy;
        char *before = policy->ignored[limit];
        bool changed = fault && (!before || strcmp(before, fault) != 0);

        policy->ignored[limit] = fault;
        free(before);
        if (!changed)
                return;
        if (may_warn(&policy->warnings))
                log_warning("%s%s: %s; it is ignored", cgroupfs->mount, cgroup->path ?: "/(unknown)", fault);
}

/* The limit that the owner of @cgroup, whose directory is @fd, set by an xattr; BUDGET_INFINITY: none. */
static uint64_t own_limit(const struct cgroup *cgroup, enum owner_limit limit, const struct cgroupfs *cgroupfs, int fd,
                uint64_t ram)
{
        static const char *const names[OWNER_LIMITS] = { [OWNER_HIGH] = XATTR_HIGH, [OWNER_MAX] = XATTR_MAX };
        uint64_t bytes;
        char *fault;

        if (read_xattr(fd, names[limit], ram, &bytes, &fault) < 0)
                return BUDGET_INFINITY;
        note_fault(cgroup, limit, cgroupfs, fault);
        return bytes;
}

static bool has_xattr(int fd, const char *name)
{
        char text[64];

        return fgetxattr(fd, name, text, sizeof(text)) >= 0 || errno == ERANGE;
}

void limits_warn_of_unused(
                struct warning_window *warnings, const struct cgroup *cgroup, const struct cgroupfs *cgroupfs)
{
        _cleanup_close_ int fd = cgroupfs_open(cgroupfs, cgroup->id);
        const char *name = fd < 0                      ? NULL
                           : has_xattr(fd, XATTR_HIGH) ? XATTR_HIGH
                           : has_xattr(fd, XATTR_MAX)  ? XATTR_MAX
                                                       : NULL;

        if (!name)
                return;
        if (may_warn(warnings))
                log_warning("%s%s: %s has no effect, as no budget applies to this cgroup", cgroupfs->mount,
                                cgroup->path ?: "/(unknown)", name);
}

static uint32_t owner_of(const struct cgroupfs *cgroupfs, uint64_t id)
{
        _cleanup_close_ int fd = cgroupfs_open(cgroupfs, id);
        struct stat st;

        return fd >= 0 && fstat(fd, &st) == 0 ? st.st_uid : 0;
}

const struct budget *limits_find_budget(const struct config *config, const struct cgroupfs *cgroupfs, uint64_t id,
                const char *path, const struct workload *workload)
{
        const struct match_subject subject = { .path = path, .uid = owner_of(cgroupfs, id), .workload = workload };

        return config_match(config, &subject);
}

bool limits_set(const struct cgroup *cgroup, const struct budget *budget, const struct cgroupfs *cgroupfs, uint64_t ram)
{
        _cleanup_close_ int fd = cgroupfs_open(cgroupfs, cgroup->id);
        struct policy *policy = cgroup->policy;
        uint64_t high = policy->lowered_high, max = policy->lowered_max, before = policy->max;

        if (fd >= 0) {
                uint64_t own_high = own_limit(cgroup, OWNER_HIGH, cgroupfs, fd, ram);
                uint64_t own_max = own_limit(cgroup, OWNER_MAX, cgroupfs, fd, ram);

                high = MIN(high, own_high);
                max = MIN(max, own_max);
        }
        policy_set(policy, budget, high, max);
        return policy->max != before;
}
