/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/unitparts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

/* --- Names -------------------------------------------------------------------------------------------------------- */

/*
 * The length of the part of a name that another one with a prefix has, up to and with a dash, of the @length bytes at
 * @stem; 0: there is none. As unit_file_find_dirs() of systemd has it, src/shared/dropin.c: a dash at the end is cut
 * off, but not more than one.
 */
static size_t prefix_length(const char *stem, size_t length)
{
        const char *dash = memrchr(stem, '-', length);

        if (dash && dash + 1 == stem + length) {
                length--;
                dash = memrchr(stem, '-', length);
        }
        return dash && dash > stem ? dash + 1 - stem : 0;
}

static bool is_template(const char *name)
{
        const char *at = strchr(name, '@');

        return at && at[1] == '.';
}

static bool is_prefix(const char *name)
{
        const char *dot = strrchr(name, '.');

        return dot && dot > name && dot[-1] == '-';
}

bool unit_base(const char *name, char base[static NAME_MAX + 1])
{
        const char *at = strchr(name, '@'), *dot = strrchr(name, '.');
        size_t prefix;

        if (!dot || strlen(name) > NAME_MAX)
                return false;
        if (at && at + 1 < dot) {
                snprintf(base, NAME_MAX + 1, "%.*s@%s", (int) (at - name), name, dot);
                return true;
        }
        prefix = prefix_length(name, (at ?: dot) - name);
        if (prefix > 0)
                snprintf(base, NAME_MAX + 1, "%.*s%s", (int) prefix, name, dot);
        else
                strcpy(base, dot + 1);
        return true;
}

bool unit_has_base(const char *name, const char *base)
{
        char next[NAME_MAX + 1], text[NAME_MAX + 1];

        for (const char *level = name; strcmp(level, base) != 0; level = text) {
                if (!unit_base(level, next))
                        return false;
                strcpy(text, next);
        }
        return true;
}

int unit_name_glob(const char *name, char **glob)
{
        const char *dot = strrchr(name, '.');
        int n;

        if (!dot)
                n = asprintf(glob, "*.%s", name);
        else if (is_template(name))
                n = asprintf(glob, "%.*s?*%s", (int) (dot - name), name, dot);
        else if (is_prefix(name))
                n = asprintf(glob, "%.*s*%s", (int) (dot - name), name, dot);
        else
                n = asprintf(glob, "%s", name);
        if (n >= 0)
                return 0;
        *glob = NULL;
        return -ENOMEM;
}

/* --- Files -------------------------------------------------------------------------------------------------------- */

/* Of a drop-in: of several with its name, that with the lowest is read. */
enum origin {
        ORIGIN_NAME, /* the unit's names */
        ORIGIN_ALIAS,
        ORIGIN_TYPE, /* "service.d": the last of all */
};

struct candidate {
        const struct unit_file *file;
        enum origin origin;
        unsigned int depth; /* how many names are more specific */
};

struct candidates {
        struct candidate *list;
        size_t count;
};

static int add_dropins(
                struct candidates *candidates, const struct unit_files *files, const char *unit, struct candidate where)
{
        for (size_t i = unit_files_find(files, unit); i < files->count && strcmp(files->list[i].unit, unit) == 0; i++) {
                struct candidate *list;

                if (!files->list[i].name)
                        continue;
                list = array_grow(candidates->list, candidates->count, sizeof(*list));
                if (!list)
                        return -ENOMEM;
                candidates->list = list;
                where.file = &files->list[i];
                list[candidates->count++] = where;
        }
        return 0;
}

/* Those of the unit @name and its bases, and of their aliases. */
static int add_all(struct candidates *candidates, const struct unit_files *files, const char *name)
{
        char level[NAME_MAX + 1], next[NAME_MAX + 1];
        int r = 0;

        if (strlen(name) > NAME_MAX)
                return 0;
        strcpy(level, name);
        for (unsigned int depth = 0;; depth++) {
                bool type = !unit_base(level, next);
                struct candidate where = { .origin = type ? ORIGIN_TYPE : ORIGIN_NAME, .depth = depth };

                r = add_dropins(candidates, files, level, where);
                where.origin = ORIGIN_ALIAS;
                for (size_t i = 0; r == 0 && i < files->alias_count; i++) {
                        const struct unit_file *alias = &files->list[files->aliases[i]];

                        if (strcmp(alias->target, level) == 0 && is_template(alias->unit) == is_template(level))
                                r = add_dropins(candidates, files, alias->unit, where);
                }
                if (r < 0 || type)
                        return r;
                strcpy(level, next);
        }
}

static int compare_candidates(const void *a, const void *b)
{
        const struct candidate *x = a, *y = b;

        return strcmp(x->file->name, y->file->name)   ?: (int) x->origin - (int) y->origin
                               ?: (int) x->file->rank - (int) y->file->rank
                                                      ?: (int) x->depth - (int) y->depth;
}

static int add_part(struct unit_parts *parts, const struct unit_file *file)
{
        const struct unit_file **list = array_grow(parts->list, parts->count, sizeof(*list));

        if (!list)
                return -ENOMEM;
        parts->list = list;
        list[parts->count++] = file;
        return 0;
}

/* The unit's own file, or its template's; NULL: there is none, or @name is that of many units. */
static const struct unit_file *main_file(const struct unit_files *files, const char *name)
{
        size_t i = unit_files_find(files, name);
        char base[NAME_MAX + 1];
        bool instance = unit_base(name, base) && is_template(base);

        if (is_prefix(name))
                return NULL;
        if (i < files->count && !files->list[i].name && !(instance && unit_is_linked_instance(&files->list[i])))
                return files->list[i].mask || files->list[i].alias ? NULL : &files->list[i];
        return instance ? main_file(files, base) : NULL;
}

int unit_parts_list(struct unit_parts *parts, const struct unit_files *files, const char *name)
{
        const struct unit_file *file = main_file(files, name);
        struct candidates candidates = {};
        int r;

        *parts = (struct unit_parts){};
        r = file ? add_part(parts, file) : 0;
        if (r == 0)
                r = add_all(&candidates, files, name);
        if (candidates.count > 0)
                qsort(candidates.list, candidates.count, sizeof(*candidates.list), compare_candidates);
        for (size_t i = 0; r == 0 && i < candidates.count; i++) {
                file = candidates.list[i].file;
                if ((i == 0 || strcmp(candidates.list[i - 1].file->name, file->name) != 0) && !file->mask)
                        r = add_part(parts, file);
        }
        free(candidates.list);
        return r;
}

void unit_parts_deinit(struct unit_parts *parts)
{
        free(parts->list);
        *parts = (struct unit_parts){};
}
