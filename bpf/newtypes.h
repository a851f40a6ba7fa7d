/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Map types that the linux/bpf.h of the oldest supported distribution does not have, by the kernel's numbers
 * (include/uapi/linux/bpf.h). bpf/, the daemon and the tests include this file.
 */
#pragma once

#define MAP_TYPE_CGRP_STORAGE 32 /* 6.2 */
#define MAP_TYPE_ARENA        33 /* 6.9 */
#define MAP_TYPE_INSN_ARRAY   34 /* in 7.2, not in 6.18 */
#define MAP_TYPE_RHASH        35 /* in 7.2, not in 6.18 */
