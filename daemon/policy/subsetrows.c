/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/subsets.h"

#include <string.h>

#include "policy/utf8.h"

static int find_targets(struct builder *builder, uint32_t state, struct targets *targets)
{
        const struct state *from = builder->states[state];
        int r = step(builder, from->items, from->count, CHARACTER_INVALID, &targets->invalid);

        for (size_t i = 0; r == 0 && i < builder->range_count; i++)
                r = step(builder, from->items, from->count, builder->ranges[i].first, &targets->ranges[i]);
        return r;
}

static bool all_lead_to(const struct builder *builder, const struct targets *targets, uint32_t state)
{
        bool all = targets->invalid == state;

        for (size_t i = 0; i < builder->range_count; i++)
                all &= targets->ranges[i] == state;
        return all;
}

/* The state after that of @items, which are nodes, and the beginning @pending. */
static int intern_pending(struct builder *builder, const uint32_t *items, size_t count, const struct pending *pending,
                uint32_t *number)
{
        int r = 0;

        builder->closed.count = 0;
        for (size_t i = 0; r == 0 && i < count; i++)
                r = items_add(&builder->closed, items[i]);
        if (r == 0)
                r = items_add(&builder->closed, pending_item(builder, pending));
        return r < 0 ? r : intern(builder, builder->closed.list, builder->closed.count, number);
}

static int fill_beyond_ascii(struct builder *builder, uint32_t number, struct targets *targets, uint32_t row[256])
{
        const struct state *state = builder->states[number];
        int r = find_targets(builder, number, targets);
        uint32_t same = targets->invalid;

        if (r < 0)
                return r;
        if (all_lead_to(builder, targets, same)) {
                r = find_targets(builder, same, targets);
                if (r < 0)
                        return r;
                /* What is in the middle of a character is where it will be at its end. */
                if (all_lead_to(builder, targets, same)) {
                        for (int byte = 0x80; byte < 256; byte++)
                                row[byte] = same;
                        return 0;
                }
        }
        for (int byte = 0x80; r == 0 && byte < 256; byte++) {
                struct pending pending;

                row[byte] = same;
                if (begin_character(byte, &pending))
                        r = intern_pending(builder, state->items, state->count, &pending, &row[byte]);
        }
        return r;
}

/* Notes which ASCII characters lead elsewhere from the node @number than others. */
static void find_special(const struct builder *builder, uint32_t number, bool closed, bool special[128])
{
        const struct node *node = &builder->tree.nodes[number];

        if (node->loop == LOOP_ESCAPE)
                closed = true;
        for (size_t e = 0; e < node->edge_count; e++) {
                const struct edge *edge = &node->edges[e];

                if (edge->kind == EDGE_CHARACTER && edge->character < 128)
                        special[edge->character] = true;
                if (edge->kind == EDGE_STEM)
                        special['@'] = true;
                if (edge->kind == EDGE_BRACKETS)
                        memset(special, 1, 128 * sizeof(*special));
                if (closed && (edge->kind == EDGE_NOTHING || node->loop == LOOP_ESCAPE))
                        find_special(builder, edge->to, true, special);
        }
}

/* The row of a state that is in the middle of no character. */
static int fill_plain_row(struct builder *builder, uint32_t number, struct targets *targets, uint32_t row[256])
{
        const struct state *state = builder->states[number];
        bool special[128] = { ['/'] = true }, any = false;
        uint32_t other = 0;
        int r = 0;

        for (size_t i = 0; i < state->count; i++)
                find_special(builder, state->items[i], false, special);
        for (int c = 0; r == 0 && c < 128; c++) {
                if (special[c] || !any)
                        r = step(builder, state->items, state->count, c, &row[c]);
                else
                        row[c] = other;
                if (!special[c] && !any) {
                        other = row[c];
                        any = true;
                }
        }
        return r < 0 ? r : fill_beyond_ascii(builder, number, targets, row);
}

/* In the middle of a character the bytes that there were are none if it does not go on. */
static int fill_pending_row(struct builder *builder, uint32_t number, struct targets *targets, uint32_t row[256])
{
        const struct state *state = builder->states[number];
        size_t count = state->count - 1;
        const struct pending pending = item_pending(state->items[count]);
        uint32_t broken;
        int r = intern(builder, state->items, count, &number);

        broken = number;
        for (unsigned int i = 0; r == 0 && i < pending.bytes; i++)
                r = step(builder, builder->states[broken]->items, builder->states[broken]->count, CHARACTER_INVALID,
                                &broken);
        if (r == 0)
                r = fill_plain_row(builder, broken, targets, row);
        if (r == 0)
                r = find_targets(builder, number, targets);
        for (int byte = 0x80; r == 0 && byte < 0xc0; byte++) {
                struct pending next = pending;

                if (!continue_character(&next, byte))
                        continue;
                if (next.missing > 0)
                        r = intern_pending(builder, state->items, count, &next, &row[byte]);
                else
                        row[byte] = targets->ranges[range_index(builder, next.low)];
        }
        return r;
}

bool is_pending(const struct state *state)
{
        return state->count > 0 && state->items[state->count - 1] >= PENDING;
}

int fill_row(struct builder *builder, uint32_t number, struct targets *targets, uint32_t row[256])
{
        if (is_pending(builder->states[number]))
                return fill_pending_row(builder, number, targets, row);
        return fill_plain_row(builder, number, targets, row);
}
