/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instances of bpffs. Pins in instances that are not mounted in this mount namespace cannot be seen. */
#pragma once

#include <stdbool.h>

/*
 * Whether there are, or may be, instances of bpffs in other mount namespaces that this one does not show whole. False
 * if each process, all of which this one has to be able to see, has only mounts of those that are shown here. It reads
 * the mounts of each mount namespace.
 */
bool bpffs_may_be_elsewhere(void);
