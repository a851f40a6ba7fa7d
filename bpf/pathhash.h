/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * A keyed hash of a cgroup's path, over its names from the top, by which the gate recognizes a path. New tables have a
 * new key, so that nobody can choose a path that has the hash of another.
 */
#pragma once

#include <linux/types.h>

struct path_hash {
        __u64 words[2];
};

/* A name is hashed in pieces of this many bytes, and each piece in words. */
#define PATH_HASH_PIECE 63

#define PATH_HASH_ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))

/*
 * Adds the next 8 bytes of a name to the hash; the last ones are padded with zeroes. Odd multipliers and rotations as
 * in xxHash64.
 */
static inline __attribute__((always_inline)) void path_hash_word(struct path_hash *hash, __u64 word)
{
        hash->words[0] = PATH_HASH_ROTATE(hash->words[0] + word * 0xC2B2AE3D27D4EB4FULL, 31) * 0x9E3779B185EBCA87ULL;
        hash->words[1] = PATH_HASH_ROTATE(hash->words[1] ^ word, 27) * 0x165667B19E3779F9ULL + hash->words[0];
}

/* After each name. */
static inline __attribute__((always_inline)) void path_hash_end(struct path_hash *hash)
{
        path_hash_word(hash, ~0ULL);
}
