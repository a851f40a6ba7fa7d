/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instances of bpffs. Pins in instances that are not mounted in this mount namespace cannot be seen. */
#pragma once

#include <stdbool.h>

/*
 * Whether there are, or may be, instances of bpffs in other mount namespaces that are not completely visible in this
 * one. Returns false only if this process can see all processes, and all their bpffs mounts are visible here. Reads the
 * mounts of each mount namespace.
 */
bool bpffs_may_be_elsewhere(void);
