/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/pathhash.h"

#include <string.h>
#include <sys/param.h>

struct path_hash hash_path(const uint64_t seed[2], const char *path)
{
        struct path_hash hash = { { seed[0], seed[1] } };

        if (!path)
                return (struct path_hash){};
        while (path[0] == '/' && path[1]) {
                size_t length = strcspn(++path, "/");

                for (size_t i = 0, n; i < length; i += n) {
                        uint64_t word = 0;

                        /* As the gate, which reads names in pieces of PATH_HASH_PIECE bytes. */
                        n = MIN(sizeof(word), PATH_HASH_PIECE - i % PATH_HASH_PIECE);
                        n = MIN(n, length - i);
                        memcpy(&word, path + i, n);
                        path_hash_word(&hash, word);
                }
                path_hash_end(&hash);
                path += length;
        }
        return hash;
}
