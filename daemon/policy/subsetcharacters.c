/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/subsets.h"

#include <errno.h>
#include <stdlib.h>

#include "policy/utf8.h"

static int add_range(struct builder *builder, uint32_t first)
{
        struct range *grown;

        if (first < 0x80 || first >= CHARACTER_INVALID)
                return 0;
        grown = reallocarray(builder->ranges, builder->range_count + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        builder->ranges = grown;
        builder->ranges[builder->range_count++].first = first;
        return 0;
}

static int add_ranges_of(struct builder *builder, const struct edge *edge)
{
        int r = 0;

        if (edge->kind == EDGE_CHARACTER) {
                r = add_range(builder, edge->character);
                return r < 0 ? r : add_range(builder, edge->character + 1);
        }
        /* Both ends of ranges in brackets; that other characters in there begin one too does no harm. */
        for (size_t i = 0; r == 0 && i < edge->length;) {
                uint32_t character;

                i += utf8_decode(edge->brackets + i, edge->length - i, &character);
                r = add_range(builder, character);
                if (r == 0)
                        r = add_range(builder, character + 1);
        }
        return r;
}

int find_ranges(struct builder *builder)
{
        size_t kept = 0;
        int r = add_range(builder, 0x80);

        for (size_t n = 0; n < builder->tree.count; n++)
                for (size_t e = 0; r == 0 && e < builder->tree.nodes[n].edge_count; e++)
                        r = add_ranges_of(builder, &builder->tree.nodes[n].edges[e]);
        if (r < 0)
                return r;
        qsort(builder->ranges, builder->range_count, sizeof(*builder->ranges), compare_numbers);
        for (size_t i = 0; i < builder->range_count; i++)
                if (kept == 0 || builder->ranges[i].first != builder->ranges[kept - 1].first)
                        builder->ranges[kept++] = builder->ranges[i];
        builder->range_count = kept;
        return 0;
}

/* The range that @character is in; its first character. */
size_t range_index(const struct builder *builder, uint32_t character)
{
        size_t low = 0, high = builder->range_count;

        while (high - low > 1) {
                size_t middle = (low + high) / 2;

                if (builder->ranges[middle].first <= character)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

static uint32_t range_of(const struct builder *builder, uint32_t character)
{
        return builder->ranges[range_index(builder, character)].first;
}

/* What @byte begins; false: it begins no character. */
bool begin_character(uint8_t byte, struct pending *pending)
{
        static const uint32_t smallest[] = { 0, 0x80, 0x800, 0x10000 };

        if (byte < 0xc2 || byte > 0xf4)
                return false;
        pending->bytes = 1;
        pending->missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        pending->low = (uint32_t) (byte & (0x3f >> pending->missing)) << 6 * pending->missing;
        pending->high = pending->low + (1U << 6 * pending->missing) - 1;
        if (pending->low < smallest[pending->missing])
                pending->low = smallest[pending->missing];
        if (pending->high >= CHARACTER_INVALID)
                pending->high = CHARACTER_INVALID - 1;
        if (byte == 0xed)
                pending->high = 0xd7ff; /* surrogates are not UTF-8 */
        return true;
}

/* Goes on by @byte; false: it is no byte of such a character. */
bool continue_character(struct pending *pending, uint8_t byte)
{
        unsigned int shift = 6 * (pending->missing - 1);
        uint32_t low = ((pending->high >> (shift + 6) << 6) | (byte & 0x3f)) << shift, high = low + (1U << shift) - 1;

        if ((byte & 0xc0) != 0x80 || high < pending->low || low > pending->high)
                return false;
        pending->low = low > pending->low ? low : pending->low;
        pending->high = high < pending->high ? high : pending->high;
        pending->bytes++;
        pending->missing--;
        return true;
}

/* The first of the characters that begin with the same bytes as @character, but for the last @missing. */
static uint32_t block_of(uint32_t character, unsigned int missing)
{
        return character >> 6 * missing << 6 * missing;
}

/*
 * As an item: how many bytes there were and are missing, and a character that begins with them. Where all globs treat
 * alike what they may begin, and no second byte is ruled out, all such beginnings are one item, the first.
 */
uint32_t pending_item(const struct builder *builder, const struct pending *pending)
{
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t unit = 1U << 6 * pending->missing, low = pending->low, range = range_of(builder, low), first;

        if (range == range_of(builder, pending->high) && pending->high - low + 1 == unit) {
                first = smallest[pending->bytes + pending->missing];
                first = block_of((range > first ? range : first) + unit - 1, pending->missing);
                low = first == 0xd000 && pending->missing == 2 ? 0xe000 : first;
        }
        return PENDING | pending->bytes << 23 | pending->missing << 21 | low;
}

struct pending item_pending(uint32_t item)
{
        struct pending pending = { .bytes = item >> 23 & 3, .missing = item >> 21 & 3, .low = item & 0x1fffff };

        pending.high = block_of(pending.low, pending.missing) + (1U << 6 * pending.missing) - 1;
        if (pending.missing == 2 && block_of(pending.low, 2) == 0xd000)
                pending.high = 0xd7ff;
        if (pending.high >= CHARACTER_INVALID)
                pending.high = CHARACTER_INVALID - 1;
        return pending;
}
