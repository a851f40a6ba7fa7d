/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The few types of the running kernel that a BPF object's CO-RE relocations can refer to, as a BTF file of its own:
 * libbpf searches all types of the BTF that it is given once for each type of the object, and vmlinux has about
 * 100,000. bpftool gen min_core_btf does the same for a kernel that is known when a package is built.
 */
#pragma once

#include <bpf/btf.h>

/* "/proc/self/fd/" and a number. */
#define CORE_TYPES_PATH_MAX 32

/*
 * Opens an empty file in memory and writes to @path what is to be the object's btf_custom_path; libbpf reads it when
 * the object is loaded. Returns its file descriptor, which the caller closes after that, or a negative errno.
 */
int core_types_open(char path[static CORE_TYPES_PATH_MAX]);

/*
 * Writes to @fd what @kernel, the BTF of vmlinux, has of the types that @object names, including flavours
 * (name___flavour), and of all types that these contain. Types that they merely point to are omitted, because no
 * relocation follows a pointer (bpf_core_fields_are_compat() and bpf_core_parse_spec() in libbpf's relo_core.c).
 * Returns 0 or a negative errno.
 */
int core_types_write(int fd, const struct btf *kernel, const struct btf *object);

static inline void cleanup_btf(struct btf **btf)
{
        btf__free(*btf);
}
