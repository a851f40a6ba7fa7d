/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/historypack.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

/* The maximum size of a number: seven bits in each byte, lowest first. */
#define NUMBER_SIZE_MAX 10
#define NUMBERS         5

static void put_number(struct packer *packer, uint64_t number)
{
        for (; number >= 0x80; number >>= 7)
                packer->bytes[packer->size++] = (uint8_t) (number | 0x80);
        packer->bytes[packer->size++] = (uint8_t) number;
}

int pack_row(struct packer *packer, const struct history_row *row)
{
        if (packer->room - packer->size < NUMBERS * NUMBER_SIZE_MAX) {
                size_t room = 2 * packer->room + 4096;
                uint8_t *more = realloc(packer->bytes, room);

                if (!more)
                        return -ENOMEM;
                packer->bytes = more;
                packer->room = room;
        }
        put_number(packer, row->series - packer->series);
        packer->series = row->series;
        put_number(packer, row->peak);
        /* Mostly the same as the peak. */
        put_number(packer, row->peak - row->last);
        put_number(packer, row->steps);
        put_number(packer, row->step);
        return 0;
}

static bool take_number(const uint8_t **at, const uint8_t *end, uint64_t *number)
{
        *number = 0;
        for (unsigned int shift = 0; *at < end && shift < 64; shift += 7) {
                uint8_t byte = *(*at)++;

                *number |= (uint64_t) (byte & 0x7f) << shift;
                if (byte < 0x80)
                        return true;
        }
        return false;
}

int unpack_row(const uint8_t **at, const uint8_t *end, struct history_row *row)
{
        uint64_t difference, fallen;

        if (*at == end)
                return 0;
        if (!take_number(at, end, &difference) || !take_number(at, end, &row->peak) || !take_number(at, end, &fallen) ||
                        !take_number(at, end, &row->steps) || !take_number(at, end, &row->step) || fallen > row->peak)
                return -EBADMSG;
        row->series += difference;
        row->last = row->peak - fallen;
        return 1;
}

void store_take_row(sqlite3_stmt *statement, struct history_row *row)
{
        row->series = sqlite3_column_int64(statement, 1);
        row->peak = sqlite3_column_int64(statement, 2);
        row->last = sqlite3_column_type(statement, 3) == SQLITE_NULL ? row->peak
                                                                     : (uint64_t) sqlite3_column_int64(statement, 3);
        row->steps = sqlite3_column_int64(statement, 4);
        row->step = sqlite3_column_int64(statement, 5);
}

/* Reads the rows of the hour at which @packed is. Returns 0 or -EBADMSG. */
static int read_packed(sqlite3_stmt *packed, row_sink_t sink, void *context)
{
        const uint8_t *bytes = sqlite3_column_blob(packed, 1), *end = bytes + sqlite3_column_bytes(packed, 1);
        uint64_t hour = sqlite3_column_int64(packed, 0);
        struct history_row row = {};
        int r;

        while ((r = unpack_row(&bytes, end, &row)) > 0)
                sink(context, hour, &row);
        return r;
}

int store_read_rows(struct history_store *store, bool maps, uint64_t until, row_sink_t sink, void *context)
{
        sqlite3_stmt *packed = store->statements[LIST_PACKED];
        sqlite3_stmt *list = store->statements[maps ? LIST_MAP_HOURS : LIST_HOURS];
        int p, r;

        sqlite3_bind_int64(packed, 1, until);
        sqlite3_bind_int(packed, 2, maps);
        sqlite3_bind_int64(list, 1, until);
        p = sqlite3_step(packed);
        r = sqlite3_step(list);
        while (p == SQLITE_ROW || r == SQLITE_ROW) {
                struct history_row row;

                if (p == SQLITE_ROW &&
                                (r != SQLITE_ROW || sqlite3_column_int64(packed, 0) <= sqlite3_column_int64(list, 0))) {
                        p = read_packed(packed, sink, context) < 0 ? SQLITE_CORRUPT : sqlite3_step(packed);
                        continue;
                }
                store_take_row(list, &row);
                sink(context, sqlite3_column_int64(list, 0), &row);
                r = sqlite3_step(list);
        }
        sqlite3_reset(packed);
        sqlite3_reset(list);
        return store_error(p) ?: store_error(r);
}

struct carrying {
        struct history_store *store;
        int error;
};

static void carry_row(void *context, uint64_t hour, const struct history_row *row)
{
        struct carrying *carrying = context;
        sqlite3_stmt *set = carrying->store->statements[SET_INITIAL];

        (void) hour;
        if (carrying->error < 0)
                return;
        sqlite3_bind_int64(set, 1, (sqlite3_int64) row->series);
        sqlite3_bind_int64(set, 2, (sqlite3_int64) row->last);
        carrying->error = store_run(set);
}

int store_carry(struct history_store *store, uint64_t hour)
{
        struct carrying carrying = { store, 0 };
        int r = store_read_rows(store, false, hour, carry_row, &carrying);

        if (r == 0)
                r = store_read_rows(store, true, hour, carry_row, &carrying);
        return r ?: carrying.error;
}

/* Packs the hour @hour of @maps or workloads. */
static int pack_hour(struct history_store *store, bool maps, uint64_t hour)
{
        sqlite3_stmt *list = store->statements[maps ? LIST_MAP_HOUR : LIST_HOUR];
        sqlite3_stmt *add = store->statements[ADD_PACKED], *drop = store->statements[maps ? DROP_MAP_HOUR : DROP_HOUR];
        _cleanup_free_ uint8_t *bytes = NULL;
        struct packer packer = {};
        int r, s = 0;

        sqlite3_bind_int64(list, 1, hour);
        while (s == 0 && (r = sqlite3_step(list)) == SQLITE_ROW) {
                struct history_row row;

                store_take_row(list, &row);
                s = pack_row(&packer, &row);
        }
        sqlite3_reset(list);
        bytes = packer.bytes;
        if (s < 0 || store_error(r) < 0)
                return s < 0 ? s : store_error(r);
        sqlite3_bind_int64(add, 1, hour);
        sqlite3_bind_int(add, 2, maps);
        sqlite3_bind_blob(add, 3, bytes, packer.size, SQLITE_STATIC);
        r = store_run(add);
        sqlite3_bind_null(add, 3);
        if (r < 0)
                return r;
        sqlite3_bind_int64(drop, 1, hour);
        return store_run(drop);
}

int store_pack(struct history_store *store, uint64_t now)
{
        for (int maps = 0; maps < 2; maps++) {
                sqlite3_stmt *next = store->statements[maps ? NEXT_MAP_HOUR : NEXT_HOUR];
                bool more = true;

                while (more) {
                        uint64_t hour = 0;
                        int r;

                        sqlite3_bind_int64(next, 1, now);
                        r = sqlite3_step(next);
                        more = r == SQLITE_ROW && sqlite3_column_type(next, 0) != SQLITE_NULL;
                        if (more)
                                hour = sqlite3_column_int64(next, 0);
                        sqlite3_reset(next);
                        r = store_error(r);
                        if (r == 0 && more)
                                r = pack_hour(store, maps, hour);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}
