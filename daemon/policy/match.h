/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which budget a cgroup has: the first one whose Cgroup=, Unit= and User= match it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/budget.h"

/* What a cgroup is matched by. */
struct match_subject {
        const char *path; /* below the memory hierarchy's mount, "/" for the root */
        uint32_t uid;     /* owner of its directory */
};

/* The first budget of @config for @subject, or NULL. */
const struct budget *config_match(const struct config *config, const struct match_subject *subject);

/*
 * The systemd unit of the cgroup @path: its last component that is one (.service, .scope, .slice, .socket, .mount or
 * .swap: no other unit has a cgroup), without the "_" that systemd puts before names that the kernel claims. For a
 * cgroup below a service it is the service. NULL if there is none.
 */
const char *path_unit(const char *path, size_t *length);

/* Suffixes of the units that have a cgroup, for messages. */
#define UNIT_SUFFIXES ".service, .scope, .slice, .socket, .mount or .swap"

/* Whether @name, @length bytes, is one of a unit that has a cgroup. */
bool is_unit(const char *name, size_t length);
