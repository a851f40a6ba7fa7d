/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/historyclock.h"

#include <stdio.h>

#define HOUR_USEC (3600 * 1000000ULL)

uint64_t store_first_repeated(const struct history_store *store, uint64_t hour, uint64_t usec)
{
        uint64_t last = store->pruned_hour;

        /* A difference of one hour more than the time that has passed is normal, because both are rounded. */
        if (last == 0 || hour <= last || usec < store->written_usec ||
                        hour - last > (usec - store->written_usec) / HOUR_USEC + 1)
                return hour + 1;
        return last + 1;
}

int store_drop_repeated(struct history_store *store, uint64_t hour, uint64_t usec)
{
        unsigned long long first = store_first_repeated(store, hour, usec), last = hour;
        char sql[256];

        if (first > last)
                return 0;
        snprintf(sql, sizeof(sql),
                        "DELETE FROM packed WHERE hour BETWEEN %llu AND %llu;"
                        "DELETE FROM peaks WHERE hour BETWEEN %llu AND %llu;"
                        "DELETE FROM mappeaks WHERE hour BETWEEN %llu AND %llu;",
                        first, last, first, last, first, last);
        return store_error(sqlite3_exec(store->db, sql, NULL, NULL, NULL));
}
