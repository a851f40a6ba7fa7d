/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether programs can be attached to functions of the kernel: a kernel may load a program that it cannot attach. */
#pragma once

#include <errno.h>
#include <stdbool.h>

#include "base/error.h"

/*
 * Attaches a program that does nothing to the function @btf_id of the kernel, and detaches it. Returns 0 or a negative
 * errno; -ENOTSUPP (for which strerror() has no text) if ftrace has no direct calls. If it succeeds, it takes as long
 * as a grace period of RCU tasks.
 */
int trampoline_try(int btf_id);

/*
 * Whether that, or the load of such a program, failed with @error (0: it did not) though the kernel has trampolines.
 * What it lacks has errors of its own; EINVAL is the verifier's.
 */
static inline bool trampoline_is_refused(int error)
{
        return error < 0 && error != -KERNEL_ENOTSUPP && error != -EOPNOTSUPP && error != -ENOSYS && error != -ENODEV &&
               error != -EINVAL;
}
