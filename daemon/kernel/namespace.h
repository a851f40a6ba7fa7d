/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether this process is in a namespace other than the initial one, as in a container. */
#pragma once

#include <stdbool.h>

enum namespace {
        NAMESPACE_USER,
        NAMESPACE_PID,
        NAMESPACE_CGROUP,
};

/* Whether the namespace of this process differs from the initial one of the host; false if that is not known. */
bool in_other_namespace(enum namespace which);
