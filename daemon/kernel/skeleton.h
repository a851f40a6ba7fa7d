/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What kernel.c and gate.c do alike with their BPF objects. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <bpf/libbpf.h>

/*
 * The BPF object of @size bytes that build-aux/pack-skeleton has compressed to @packed. Skeletons call it when they are
 * opened. NULL: no memory, or it is not that object.
 */
const void *skeleton_unpack(const void *packed, size_t packed_size, size_t size);

/*
 * Frees what skeleton_unpack() returned, after the skeleton was opened or could not be: libbpf keeps copies of what it
 * needs (bpf_object__elf_finish()). Keeps errno.
 */
void skeleton_free_unpacked(void);

/* Runs @program, one of those that are not attached, with @context of @size bytes, which it may change. Returns 0 or a
 * negative errno. */
int skeleton_run(const struct bpf_program *program, void *context, size_t size);

/*
 * How often the kernel has left out the attached @program because another task was preempted in it on that CPU
 * (kernel/bpf/trampoline.c, __bpf_prog_enter_recur()); 0 if that cannot be told.
 */
uint64_t skeleton_left_out(const struct bpf_program *program);

/* Maps the values of the array @map, to be given to munmap(). Returns 0 or a negative errno; then *address is NULL. */
int skeleton_map_values(const struct bpf_map *map, void **address);

/* Entries of a table that @wanted shall fit into: @min doubled until they do, or @max is reached. */
uint32_t skeleton_table_size(size_t wanted, uint32_t min, uint32_t max);
