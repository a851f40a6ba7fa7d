/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/fill.h"

#include <stddef.h>

#include <linux/bpf.h>

#include "bpf/newtypes.h"

/* The types whose entries come and go, and whose max_entries bounds them. */
static const uint32_t filling_types[] = {
        BPF_MAP_TYPE_HASH,
        BPF_MAP_TYPE_PERCPU_HASH,
        BPF_MAP_TYPE_LRU_HASH,
        BPF_MAP_TYPE_LRU_PERCPU_HASH,
        BPF_MAP_TYPE_HASH_OF_MAPS,
        BPF_MAP_TYPE_LPM_TRIE,
        BPF_MAP_TYPE_DEVMAP_HASH,
        BPF_MAP_TYPE_SOCKHASH,
        MAP_TYPE_RHASH,
        MAP_TYPE_ARENA,
};

static bool is_filling(const struct object_record *record)
{
        for (size_t i = 0; i < sizeof(filling_types) / sizeof(filling_types[0]); i++)
                if (record->kind == OBJECT_MAP && record->type == filling_types[i])
                        return true;
        return false;
}

bool fill_of(const struct object_record *record, uint32_t *percent)
{
        if (record->max_entries == 0 || !is_filling(record))
                return false;
        /* Also a sum over CPUs that was taken while it moved may be below 0. */
        if ((int64_t) record->entries < 0)
                return false;
        *percent = record->entries >= record->max_entries ? 100 : record->entries * 100 / record->max_entries;
        return true;
}

bool fill_is_a_limit(const struct object_record *record)
{
        return is_filling(record) && record->type != BPF_MAP_TYPE_LRU_HASH &&
               record->type != BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

bool fill_is_over(uint32_t percent, uint32_t high, uint32_t clear, bool was)
{
        if (high == 0)
                return false;
        /* Hundredths of a percent, so that a small limit has room for hysteresis. */
        return was ? percent * 100 > high * clear : percent >= high;
}
