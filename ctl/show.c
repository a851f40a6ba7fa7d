/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "show.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/relation.h"
#include "direct.h"
#include "field.h"
#include "terminal.h"
#include "text.h"
#include "verbs.h"
#include "waste.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */

/* Columns of sizes: members of the object at @path. */
#define SIZE_COLUMNS(path) \
        { "ALLOCATED", path "allocated", CELL_SIZE }, \
        { "CHARGED", path "charged", CELL_SIZE }, \
        { "UNCHARGED", path "uncharged", CELL_SIZE }

/* clang-format on */

static const struct column cgroup_columns[] = {
        { "CGROUP", "path", CELL_CGROUP, true },
        SIZE_COLUMNS("bpf."),
        { "COMMITTED", "bpf.committed", CELL_COMMITTED, .spare = true },
        { "MAPS", "bpf.mapCount", CELL_NUMBER },
        { "PROGRAMS", "bpf.programCount", CELL_NUMBER },
        { "RSS", "rss.anon+rss.file+rss.shmem", CELL_SIZE },
        { "FOOTPRINT", "footprint", CELL_SIZE },
        { "HIGH", "budget.high", CELL_SIZE },
        { "MAX", "budget.max", CELL_SIZE },
        { "STATE", "budget.state", CELL_STATE },
};

static const struct column object_columns[] = {
        { "KIND", "kind", CELL_TEXT },
        { "ID", "id", CELL_NUMBER },
        { "TYPE", "type", CELL_TEXT },
        { "NAME", "name", CELL_TEXT },
        SIZE_COLUMNS(""),
        { "CEILING", "ceiling", CELL_SIZE },
        { "ENTRIES", "entries", CELL_NUMBER },
        { "MAX", "maxEntries", CELL_NUMBER },
        { "FULL", "full", CELL_PERCENT },
        { "CGROUP", "cgroup", CELL_CGROUP, true },
};

static const struct {
        uint32_t relation;
        struct column column;
} relation_columns[] = {
        { RELATION_HOLDERS, { "HOLDERS", "holders", CELL_HOLDERS, true } },
        { RELATION_PINS, { "PINS", "pins", CELL_PINS, true } },
        { RELATION_USES, { "USED-BY", "usedBy", CELL_LIST, true } },
        { RELATION_USES, { "USES", "maps", CELL_LIST, true } },
};

static const struct column waste_columns[] = {
        { "OBJECT", "object", CELL_TEXT },
        { "TYPE", "type", CELL_TEXT },
        { "NAME", "name", CELL_TEXT },
        { "ALLOCATED", "allocated", CELL_SIZE },
        { "SAVED", "saved", CELL_SIZE },
        { "WHY", "reason", CELL_TEXT, true },
        { "CHANGE", "change", CELL_TEXT, true },
        { "CGROUP", "cgroup", CELL_CGROUP, true },
};

static const struct column group_columns[] = {
        { "GROUP", "group", CELL_TEXT, true },
        SIZE_COLUMNS(""),
        { "SHARED", "shared", CELL_SIZE },
        { "MAPS", "maps", CELL_NUMBER },
        { "PROGRAMS", "programs", CELL_NUMBER },
};

static const struct column budget_columns[] = {
        { "BUDGET", "name", CELL_TEXT },
        { "HIGH", "high", CELL_SIZE },
        { "MAX", "max", CELL_SIZE },
        { "MAPS-MAX", "mapsMax", CELL_NUMBER },
        { "PROGRAMS-MAX", "programsMax", CELL_NUMBER },
        { "RATIO-HIGH", "footprintRatioHigh", CELL_PERCENT },
        { "FILL-HIGH", "mapFillHigh", CELL_PERCENT },
        { "ON-HIGH", "onHigh", CELL_TEXT },
        { "ON-MAX", "onMax", CELL_TEXT },
        { "COUNT", "count", CELL_TEXT },
        { "CLEAR", "clearPercent", CELL_PERCENT },
        { "CGROUPS", "cgroups", CELL_NUMBER },
        { "FILE", "file", CELL_FILES, true },
};

static const struct column capability_columns[] = {
        { "CAPABILITY", "name", CELL_TEXT },
        { "AVAILABLE", "available", CELL_YES_NO },
        { "PURPOSE", "purpose", CELL_TEXT, true },
        { "REASON", "reason", CELL_TEXT, true },
};

/* --- Output ------------------------------------------------------------------------------------------------------- */

static int log_output(int r)
{
        if (r < 0)
                log_error("The output cannot be written: %s", strerror(-r));
        return r;
}

int show_json(const struct options *options, const json_t *json)
{
        size_t flags = options->json == JSON_PRETTY ? JSON_INDENT(8) : JSON_COMPACT;

        if (json_dumpf(json, stdout, flags) < 0 || fputc('\n', stdout) == EOF || fflush(stdout) == EOF)
                return log_output(-EIO);
        return 0;
}

int show_json_list(const struct options *options, const char *key, json_t *list)
{
        json_t *json = json_pack("{sO}", key, list);
        int r = json ? show_json(options, json) : log_output(-ENOMEM);

        json_decref(json);
        return r;
}

int show_table(const struct options *options, const struct column *columns, size_t n, const json_t *rows,
                const ssize_t *parents)
{
        struct table table = {
                .columns = columns,
                .column_count = n,
                .rows = rows,
                .parents = parents,
                .legend = options->legend,
                .bytes = options->bytes,
                .colors = terminal_colors(),
                .width = options->full ? 0 : terminal_width(),
        };

        return log_output(table_print(&table, stdout));
}

static int tell_columns(const char *name, const struct column *columns, size_t n)
{
        _cleanup_free_ char *titles = NULL;
        size_t size;
        FILE *stream = open_memstream(&titles, &size);

        if (!stream)
                return log_output(-ENOMEM);
        for (size_t i = 0; i < n; i++) {
                fputs(i ? ", " : "", stream);
                for (const char *c = columns[i].title; *c; c++)
                        fputc(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c, stream);
        }
        if (fclose(stream) != 0)
                return log_output(-ENOMEM);
        log_error("--sort=%s: there is no such field here; there are %s", name, titles);
        return -EINVAL;
}

/* Sorts @rows by --sort=, if it is given. Returns 0 or a negative errno, logged. */
static int sort_rows(const struct options *options, const struct column *columns, size_t n, json_t *rows)
{
        const char *name = options->sort;
        const struct column *column;
        bool reverse;

        if (!name)
                return 0;
        reverse = *name == '-';
        column = column_find(columns, n, name + reverse);
        if (!column)
                return tell_columns(name + reverse, columns, n);
        return log_output(field_sort(rows, column->field, column_descends(column) != reverse));
}

/* Sorts and shows @list, which it takes over; in JSON, the list is the member @key. */
static int show_list(
                const struct options *options, const char *key, const struct column *columns, size_t n, json_t *list)
{
        int r = sort_rows(options, columns, n, list);

        if (r == 0 && options->json != JSON_OFF)
                r = show_json_list(options, key, list);
        else if (r == 0)
                r = show_table(options, columns, n, list, NULL);
        json_decref(list);
        return r;
}

int show_rows(const struct options *options, const struct column *columns, size_t n, json_t *rows)
{
        int r = sort_rows(options, columns, n, rows);

        return r < 0 ? r : show_table(options, columns, n, rows, NULL);
}

/* --- Cgroups ------------------------------------------------------------------------------------------------------ */

/* Whether the daemon's reply can be written to stdout unchanged. */
static bool as_it_comes(const struct options *options)
{
        return options->json == JSON_SHORT && !options->direct && !options->sort && !options->waste &&
               options->grouping == GROUP_NONE;
}

/* Whether the cgroup @row has neither BPF memory nor a budget of its own, and is not the root. */
static bool is_idle(const json_t *row)
{
        const json_t *allocated = field_get(row, "bpf.allocated"), *budget = field_get(row, "budget");

        if (!allocated || json_integer_value(allocated) > 0 || field_integer(row, "bpf.objects") > 0 ||
                        strcmp(field_string(row, "path"), "/") == 0)
                return false;
        return !budget || (strcmp(field_string(budget, "name"), DEFAULT_BUDGET) == 0 &&
                                          strcmp(field_string(budget, "state"), "ok") == 0);
}

/* Removes the cgroups from @list that are shown only with --all. */
static void leave_out_idle(json_t *list)
{
        for (size_t i = json_array_size(list); i > 0; i--)
                if (is_idle(json_array_get(list, i - 1)))
                        json_array_remove(list, i - 1);
}

/* Whether the cgroup whose JSON is @element is shown without --all. */
static bool wants_text(struct slice element)
{
        struct slice bpf, allocated;
        json_t *row;
        bool idle;

        /* Most elements of a long list have BPF memory, and need not be parsed. */
        if (slice_member(element, "bpf", &bpf) && slice_member(bpf, "allocated", &allocated) &&
                        !slice_is(allocated, "0"))
                return true;
        row = json_loadb(element.start, element.length, 0, NULL);
        idle = row && is_idle(row);
        json_decref(row);
        return !idle;
}

static int list_cgroups(const struct options *options, const char *argument, const char *glob, json_t **list)
{
        int r = options->direct ? direct_cgroups(argument, glob, list)
                                : ask_once(options, "ListCgroups", ask_cgroups_parameters(glob), "cgroups", argument,
                                                  list);

        if (r == 0 && !options->all)
                leave_out_idle(*list);
        return r;
}

int verb_cgroups(const struct options *options, int argc, char *argv[])
{
        const char *argument = argc ? argv[0] : NULL;
        _cleanup_free_ char *glob = NULL;
        json_t *list;
        int r;

        r = ask_glob(options, argument, &glob);
        if (r < 0)
                return r;
        if (as_it_comes(options))
                return ask_and_write(options, "ListCgroups", ask_cgroups_parameters(glob), "cgroups", argument,
                                options->all ? NULL : wants_text, stdout);
        r = list_cgroups(options, argument, glob, &list);
        return r < 0 ? r : show_list(options, "cgroups", cgroup_columns, LENGTH(cgroup_columns), list);
}

int verb_tree(const struct options *options, int argc, char *argv[])
{
        const char *argument = argc ? argv[0] : NULL;
        _cleanup_free_ ssize_t *parents = NULL;
        _cleanup_free_ char *glob = NULL;
        json_t *list;
        int r;

        r = ask_glob(options, argument, &glob);
        if (r == 0)
                r = list_cgroups(options, argument, glob, &list);
        if (r < 0)
                return r;
        r = sort_rows(options, cgroup_columns, LENGTH(cgroup_columns), list);
        if (r == 0)
                r = log_output(table_make_tree(list, &parents));
        if (r == 0 && options->json != JSON_OFF)
                r = show_json_list(options, "cgroups", list);
        else if (r == 0)
                r = show_table(options, cgroup_columns, LENGTH(cgroup_columns), list, parents);
        json_decref(list);
        return r;
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

#define OBJECT_COLUMNS_MAX (LENGTH(object_columns) + LENGTH(relation_columns))

/* Writes the columns for @relations to @columns. Returns their number. */
static size_t choose_object_columns(uint32_t relations, struct column columns[OBJECT_COLUMNS_MAX])
{
        size_t n = LENGTH(object_columns);

        memcpy(columns, object_columns, sizeof(object_columns));
        for (size_t i = 0; i < LENGTH(relation_columns); i++)
                if (relations & relation_columns[i].relation)
                        columns[n++] = relation_columns[i].column;
        return n;
}

/* Shows @list, which it takes over, or its groups. */
static int show_objects(const struct options *options, uint32_t relations, json_t *list)
{
        struct column columns[OBJECT_COLUMNS_MAX];
        json_t *groups;

        if (options->waste) {
                json_t *waste = waste_of(list);

                json_decref(list);
                return waste ? show_list(options, "waste", waste_columns, LENGTH(waste_columns), waste)
                             : log_output(-ENOMEM);
        }
        if (options->grouping == GROUP_NONE)
                return show_list(options, "objects", columns, choose_object_columns(relations, columns), list);
        groups = group_objects(list, options->grouping);
        json_decref(list);
        return groups ? show_list(options, "groups", group_columns, LENGTH(group_columns), groups)
                      : log_output(-ENOMEM);
}

int verb_objects(const struct options *options, int argc, char *argv[])
{
        const char *argument = argc ? argv[0] : NULL;
        uint32_t relations = options->relations | grouping_relations(options->grouping);
        _cleanup_free_ char *glob = NULL;
        json_t *list;
        int r;

        r = ask_glob(options, argument, &glob);
        if (r < 0)
                return r;
        if (as_it_comes(options))
                return ask_and_write(options, "ListObjects", ask_objects_parameters(glob, relations), "objects",
                                argument, NULL, stdout);
        r = options->direct ? direct_objects(argument, glob, relations, &list)
                            : ask_once(options, "ListObjects", ask_objects_parameters(glob, relations), "objects",
                                              argument, &list);
        return r < 0 ? r : show_objects(options, relations, list);
}

/* --- Budgets, capabilities ---------------------------------------------------------------------------------------- */

int verb_budgets(const struct options *options, int argc, char *argv[])
{
        json_t *list;
        int r = ask_once(options, "ListBudgets", NULL, "budgets", NULL, &list);

        (void) argc;
        (void) argv;
        return r < 0 ? r : show_list(options, "budgets", budget_columns, LENGTH(budget_columns), list);
}

int verb_capabilities(const struct options *options, int argc, char *argv[])
{
        json_t *list;
        int r = options->direct ? direct_capabilities(&list)
                                : ask_once(options, "GetCapabilities", NULL, "capabilities", NULL, &list);

        (void) argc;
        (void) argv;
        return r < 0 ? r : show_list(options, "capabilities", capability_columns, LENGTH(capability_columns), list);
}
