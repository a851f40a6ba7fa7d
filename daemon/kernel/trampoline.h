/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether programs can be attached to functions of the kernel: a kernel may load a program that it cannot attach. */
#pragma once

/*
 * Attaches a program that does nothing to the function @btf_id of the kernel, and detaches it. Returns 0 or a negative
 * errno; -ENOTSUPP (for which strerror() has no text) if ftrace has no direct calls. If it succeeds, it takes as long
 * as a grace period of RCU tasks.
 */
int trampoline_try(int btf_id);
