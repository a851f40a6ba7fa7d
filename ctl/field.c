/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "field.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

json_t *field_get(const json_t *json, const char *path)
{
        while (json && *path && *path != '+') {
                size_t length = strcspn(path, ".+");
                char key[64];

                if (length >= sizeof(key))
                        return NULL;
                memcpy(key, path, length);
                key[length] = '\0';
                json = json_object_get(json, key);
                path += length + (path[length] == '.');
        }
        return json && !json_is_null(json) ? (json_t *) json : NULL;
}

uint64_t field_integer(const json_t *json, const char *path)
{
        uint64_t sum = 0;

        for (;;) {
                json_int_t value = json_integer_value(field_get(json, path));

                sum += value < 0 ? 0 : value;
                path = strchr(path, '+');
                if (!path)
                        return sum;
                path++;
        }
}

const char *field_string(const json_t *json, const char *path)
{
        return json_string_value(field_get(json, path)) ?: "";
}

bool field_true(const json_t *json, const char *path)
{
        return json_is_true(field_get(json, path));
}

/* Missing values come first, then numbers, texts and lists. */
static int rank(const json_t *value)
{
        return !value ? 0 : json_is_string(value) ? 2 : json_is_array(value) ? 3 : 1;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
        return (a > b) - (a < b);
}

int field_compare(const json_t *a, const json_t *b, const char *path)
{
        const json_t *x = field_get(a, path), *y = field_get(b, path);

        if (rank(x) != rank(y))
                return rank(x) - rank(y);
        if (json_is_string(x))
                return strcmp(json_string_value(x), json_string_value(y));
        if (json_is_array(x))
                return compare_numbers(json_array_size(x), json_array_size(y));
        if (json_is_boolean(x))
                return json_is_true(x) - json_is_true(y);
        return compare_numbers(field_integer(a, path), field_integer(b, path));
}

struct sort_entry {
        json_t *row;
        size_t index;
        const char *path;
        int sign;
};

static int compare_entries(const void *a, const void *b)
{
        const struct sort_entry *x = a, *y = b;
        int r = x->sign * field_compare(x->row, y->row, x->path);

        return r ?: (x->index > y->index) - (x->index < y->index);
}

int field_sort(json_t *rows, const char *path, bool reverse)
{
        size_t n = json_array_size(rows);
        _cleanup_free_ struct sort_entry *entries = calloc(n + 1, sizeof(*entries));

        if (!entries)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                entries[i] = (struct sort_entry){ json_incref(json_array_get(rows, i)), i, path, reverse ? -1 : 1 };
        qsort(entries, n, sizeof(*entries), compare_entries);
        /* The array has its size already: setting an element cannot fail. */
        for (size_t i = 0; i < n; i++)
                json_array_set_new(rows, i, entries[i].row);
        return 0;
}
