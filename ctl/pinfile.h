/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pin in bpffs, which is removed only if it still refers to the expected object. */
#pragma once

#include <stdint.h>

/*
 * Removes the file at @path if it pins the object or link @kind (enum object_kind), @id. No symbolic link is followed,
 * and nothing but bpffs is touched. Returns 0; -ESTALE: something else is pinned there; another negative errno.
 */
int pinfile_remove(const char *path, uint32_t kind, uint32_t id);
