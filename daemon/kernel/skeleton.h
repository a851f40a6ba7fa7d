/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions for BPF objects that kernel.c and gate.c share. */
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

/*
 * Runs @program, which must not be attached, with @context of @size bytes, which the program may change. Returns 0 or a
 * negative errno.
 */
int skeleton_run(const struct bpf_program *program, void *context, size_t size);

/*
 * How often the kernel has missed the attached @program (a recursion miss) because another task was preempted in it on
 * that CPU (kernel/bpf/trampoline.c, __bpf_prog_enter_recur()); 0 if that is not known.
 */
uint64_t skeleton_missed(const struct bpf_program *program);

/* Maps the values of the array @map, to be given to munmap(). Returns 0 or a negative errno; then *address is NULL. */
int skeleton_map_values(const struct bpf_map *map, void **address);

/* A mapped array, and the program that is run on its elements. */
struct skeleton_array {
        const struct bpf_program *program;
        void *elements;   /* NULL: not mapped */
        size_t size, max; /* bytes of an element, and how many there is room for */
};

/* Maps @map, whose elements have a multiple of 8 bytes. Returns 0 or a negative errno. */
int skeleton_array_init(struct skeleton_array *array, const struct bpf_map *map, const struct bpf_program *program);
void skeleton_array_deinit(struct skeleton_array *array);

/*
 * Runs the program on the @n @elements, as many at a time as there is room for. @request, of @request_size bytes, is
 * its context, and begins with their number, a uint32_t, which is set here. @results has room for the elements as the
 * program leaves them, and may be @elements; NULL: they are of no interest. Returns 0 or a negative errno.
 */
int skeleton_array_run(const struct skeleton_array *array, void *request, size_t request_size, const void *elements,
                void *results, size_t n);

/* The number of entries of a table for @wanted entries: @min, doubled until it suffices or reaches @max. */
uint32_t skeleton_table_size(size_t wanted, uint32_t min, uint32_t max);
