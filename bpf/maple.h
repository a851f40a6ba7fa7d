/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counts the used indices of a maple tree, leaf by leaf from the lowest index on. It mirrors mtree_range_walk() in
 * lib/maple_tree.c for 64-bit machines. The code that reads the slots of a node has no branches, because the verifier
 * would follow each; indices are below 2^63 but for the end of the tree, which is never compared.
 */
#pragma once

#include "kerneltypes.h"
#include "percpu.h"

#define MAPLE_RANGE_SLOTS  16 /* MAPLE_RANGE64_SLOTS */
#define MAPLE_ARANGE_SLOTS 10 /* MAPLE_ARANGE64_SLOTS */
/* Of a node's address with its type: enum maple_type in the bits above the lowest three. */
#define MAPLE_NODE_MASK  255UL
#define MAPLE_TYPE_SHIFT 3
#define MAPLE_TYPE_MASK  15
#define MAPLE_LEAF       1
#define MAPLE_ARANGE     3
/* Enough for 2^20 indices, because a node has five to ten slots. */
#define MAPLE_HEIGHT_MAX 10

struct maple_metadata {
        unsigned char end;
} CORE;

struct maple_range_64 {
        unsigned long pivot[MAPLE_RANGE_SLOTS - 1];
        void *slot[MAPLE_RANGE_SLOTS];
        struct maple_metadata meta; /* in the last slot, where that is not in use */
} CORE;

struct maple_arange_64 {
        unsigned long pivot[MAPLE_ARANGE_SLOTS - 1];
        void *slot[MAPLE_ARANGE_SLOTS];
        struct maple_metadata meta;
} CORE;

struct maple_walk {
        u64 root;
        u64 node;  /* with its type */
        u64 index; /* the lowest one of the leaf that is next */
        u64 max;   /* the highest one of the node */
        u64 count; /* of those that are taken */
        u64 ended;
};

/* 1 if the small number @a is less than @b, else 0. */
static __always_inline u64 is_less(u64 a, u64 b)
{
        return (a - b) >> 63;
}

static __always_inline u32 maple_type(u64 node)
{
        return node >> MAPLE_TYPE_SHIFT & MAPLE_TYPE_MASK;
}

/* Where a node's slots and pivots are; a pivot is the highest index of its slot, that of the last one is the node's. */
struct maple_node {
        u64 pivots;
        u64 slots;
        u64 end; /* which slot is the last */
};

static __always_inline struct maple_node maple_node(const struct maple_walk *walk)
{
        u64 address = walk->node & ~MAPLE_NODE_MASK, last = 0;
        struct maple_arange_64 *arange = (void *) address;
        struct maple_range_64 *range = (void *) address;

        if (maple_type(walk->node) == MAPLE_ARANGE)
                return (struct maple_node){ (u64) &arange->pivot, (u64) &arange->slot,
                        BPF_CORE_READ(arange, meta.end) };
        bpf_probe_read_kernel(&last, sizeof(last), &range->pivot[MAPLE_RANGE_SLOTS - 2]);
        return (struct maple_node){ (u64) &range->pivot, (u64) &range->slot,
                last ? MAPLE_RANGE_SLOTS - 1 - (last == walk->max) : BPF_CORE_READ(range, meta.end) };
}

static __always_inline u64 read_word(u64 vector, u64 index)
{
        u64 word = 0;

        bpf_probe_read_kernel(&word, sizeof(word), (void *) (vector + index * sizeof(word)));
        return word;
}

/* Goes from the node to the one below it that has the index. */
__noinline int descend_maple(struct maple_walk *walk)
{
        struct maple_node node;
        u64 at = 0;

        if (!walk)
                return 0;
        node = maple_node(walk);
        for (u32 i = 0; i < MAPLE_RANGE_SLOTS - 1; i++)
                at += is_less(i, node.end) & is_less(read_word(node.pivots, i), walk->index);
        if (at < node.end)
                walk->max = read_word(node.pivots, at);
        walk->node = read_word(node.slots, at);
        return 0;
}

/* Adds what is taken in the leaf that the walk has come to. */
__noinline int count_maple_leaf(struct maple_walk *walk)
{
        struct maple_node node;
        u64 start;

        if (!walk)
                return 0;
        node = maple_node(walk);
        start = walk->index;
        for (u32 i = 0; i < MAPLE_RANGE_SLOTS; i++) {
                u64 last = -is_less(i ^ node.end, 1); /* all ones for the last slot */
                u64 top = (walk->max & last) | (read_word(node.pivots, i) & ~last);

                /* What is there is a pointer: the highest bit is set. */
                walk->count += (top - start + 1) & -(is_less(i, node.end + 1) & read_word(node.slots, i) >> 63);
                start = top + 1;
        }
        return 0;
}

static int count_maple_next(u32 index, void *context)
{
        struct maple_walk *walk = context;

        walk->node = walk->root;
        walk->max = ~0ULL;
        for (u32 i = 0; i < MAPLE_HEIGHT_MAX && maple_type(walk->node) > MAPLE_LEAF; i++)
                descend_maple(walk);
        if (maple_type(walk->node) != MAPLE_LEAF)
                return 1;
        count_maple_leaf(walk);
        walk->index = walk->max + 1;
        walk->ended = walk->index == 0;
        return walk->ended;
}

/* Fills @count for the tree whose ma_root is @root. Returns false if the walk was given up after @leaves leaves. */
static __always_inline bool count_maple(u64 root, u32 leaves, u64 *count)
{
        struct maple_walk walk = { .root = root };

        /* No node, but what is at the index 0 itself, or nothing. */
        if ((root & 3) != 2 || root < 4096) {
                *count = root != 0;
                return true;
        }
        bpf_loop(leaves, count_maple_next, &walk, 0);
        *count = unknown(walk.count);
        return unknown(walk.ended) != 0;
}
