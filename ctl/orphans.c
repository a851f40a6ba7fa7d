/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists orphans, what keeps them, and the commands that free them. */
#include "orphans.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/size.h"
#include "field.h"
#include "show.h"
#include "text.h"
#include "verbs.h"

int orphans_ask(const struct options *options, const char *argument, bool all, json_t **list)
{
        _cleanup_free_ char *glob = NULL;
        int r = ask_glob(options, argument, &glob);

        if (r < 0)
                return r;
        return ask_once(options, "ListOrphans", json_pack("{ss* sb}", "cgroup", glob, "all", all), "orphans", argument,
                        list);
}

char *orphan_name(const json_t *orphan, char buffer[ORPHAN_NAME_MAX])
{
        bool map = strcmp(field_string(orphan, "kind"), "map") == 0;

        snprintf(buffer, ORPHAN_NAME_MAX, "%s:%llu", map ? "map" : "prog",
                        (unsigned long long) field_integer(orphan, "id"));
        return buffer;
}

/* --- Cells -------------------------------------------------------------------------------------------------------- */

/* The name of an interface is looked up here, because the service has a network namespace of its own. */
static void put_attached(FILE *stream, const char *attached)
{
        static const char interface[] = "interface ";
        const char *index = attached + strlen(interface);
        char name[IF_NAMESIZE];

        if (strncmp(attached, interface, strlen(interface)) == 0 && isdigit(*index) &&
                        if_indextoname(strtoul(index, NULL, 10), name))
                fprintf(stream, ", attached to %s%s", interface, name);
        else if (*attached)
                fprintf(stream, ", attached to %s", attached);
}

static void put_keeper(FILE *stream, const json_t *keeper)
{
        const char *kind = field_string(keeper, "kind");

        if (strcmp(kind, "program") == 0)
                fprintf(stream, "prog:%llu", (unsigned long long) field_integer(keeper, "programId"));
        else if (strcmp(kind, "link") == 0) {
                fprintf(stream, "%s (link:%llu %s", field_string(keeper, "path"),
                                (unsigned long long) field_integer(keeper, "linkId"), field_string(keeper, "linkType"));
                put_attached(stream, field_string(keeper, "attachedTo"));
                fputc(')', stream);
        } else
                fputs(field_string(keeper, "path"), stream);
}

/* What keeps @orphan, to be freed; NULL: no memory. */
static char *kept_by(const json_t *orphan)
{
        const json_t *keepers = field_get(orphan, "keepers");
        uint64_t unseen = field_integer(orphan, "unseen");
        bool certain = field_true(orphan, "certain");
        size_t count = json_array_size(keepers), size;
        char *text = NULL;
        FILE *stream = open_memstream(&text, &size);

        if (!stream)
                return NULL;
        for (size_t i = 0; i < count; i++) {
                fputs(i ? ", " : "", stream);
                put_keeper(stream, json_array_get(keepers, i));
        }
        if (!certain)
                fprintf(stream, "%snot seen", count ? ", " : "");
        if (unseen > 1)
                fprintf(stream, " (%llu references)", (unsigned long long) unseen);
        if (fclose(stream) == 0)
                return text;
        free(text);
        return NULL;
}

/* The commands that would free @orphan, to be freed; NULL: no memory. */
static char *freed_by(const json_t *orphan)
{
        const json_t *keepers = field_get(orphan, "keepers");
        char *text = NULL;
        size_t size, written = 0;
        FILE *stream = open_memstream(&text, &size);

        if (!stream)
                return NULL;
        for (size_t i = 0; field_true(orphan, "certain") && i < json_array_size(keepers); i++) {
                const char *command = field_string(json_array_get(keepers, i), "command");

                if (*command)
                        fprintf(stream, "%s%s", written++ ? "; " : "", command);
        }
        if (written == 0)
                fputc('-', stream);
        if (fclose(stream) == 0)
                return text;
        free(text);
        return NULL;
}

/* "2026-12-01 03:00", with "<" before it if the actual time may be earlier. */
static void format_since(const json_t *orphan, char buffer[32])
{
        time_t seconds = field_integer(orphan, "since") / 1000000;
        struct tm tm;
        size_t n = 0;

        if (!field_true(orphan, "sinceExact"))
                buffer[n++] = '<';
        strftime(buffer + n, 32 - n, "%Y-%m-%d %H:%M", localtime_r(&seconds, &tm));
}

/* The unit, or the path of the cgroup, that had it last, to be freed; NULL: no memory. */
static char *last_owner(const json_t *orphan)
{
        const char *unit = field_string(orphan, "lastUnit"), *owner = field_string(orphan, "lastOwner");
        char *text;

        if (!*owner)
                return strdup("-");
        return asprintf(&text, "%s%s", *unit ? unit : owner, field_true(orphan, "ownerGone") ? " (gone)" : "") < 0
                               ? NULL
                               : text;
}

/* --- Table -------------------------------------------------------------------------------------------------------- */

static const struct column orphan_columns[] = {
        { "OBJECT", "object", CELL_TEXT },
        { "TYPE", "type", CELL_TEXT },
        { "NAME", "name", CELL_TEXT },
        { "ALLOCATED", "allocated", CELL_SIZE },
        { "LAST-OWNER", "owner", CELL_TEXT, true },
        { "SINCE", "since", CELL_TEXT },
        { "KEPT-BY", "keepers", CELL_TEXT, true },
        /* Never cut: without the closing quote, a shell could run the name of a pin as a command. */
        { "FREED-BY", "commands", CELL_TEXT },
};

static json_t *make_row(const json_t *orphan)
{
        _cleanup_free_ char *keepers = kept_by(orphan), *commands = freed_by(orphan), *owner = last_owner(orphan);
        char name[ORPHAN_NAME_MAX], since[32];

        if (!keepers || !commands || !owner)
                return NULL;
        format_since(orphan, since);
        return json_pack("{ss ss ss sI ss ss ss ss}", "object", orphan_name(orphan, name), "type",
                        field_string(orphan, "type"), "name", field_string(orphan, "name"), "allocated",
                        (json_int_t) field_integer(orphan, "allocated"), "owner", owner, "since", since, "keepers",
                        keepers, "commands", commands);
}

json_t *orphans_rows(const json_t *list)
{
        json_t *rows = json_array();

        for (size_t i = 0; rows && i < json_array_size(list); i++)
                if (json_array_append_new(rows, make_row(json_array_get(list, i))) < 0) {
                        json_decref(rows);
                        return NULL;
                }
        return rows;
}

void orphans_columns(struct table *table)
{
        table->columns = orphan_columns;
        table->column_count = sizeof(orphan_columns) / sizeof(orphan_columns[0]) - 1;
}

static int show_orphan_rows(const struct options *options, const json_t *list)
{
        json_t *rows = orphans_rows(list);
        int r = -ENOMEM;

        if (rows)
                r = show_rows(options, orphan_columns, sizeof(orphan_columns) / sizeof(orphan_columns[0]), rows);
        else
                log_error("Out of memory");
        json_decref(rows);
        return r;
}

/*
 * Removes the objects from @list that are not certain to be orphans. Returns the number of their bytes; *@count is the
 * number of objects.
 */
static uint64_t leave_out_uncertain(json_t *list, size_t *count)
{
        uint64_t bytes = 0;

        *count = 0;
        for (size_t i = json_array_size(list); i > 0; i--) {
                const json_t *orphan = json_array_get(list, i - 1);

                if (field_true(orphan, "certain"))
                        continue;
                bytes += field_integer(orphan, "allocated");
                (*count)++;
                json_array_remove(list, i - 1);
        }
        return bytes;
}

static void tell_uncertain(const struct options *options, size_t count, uint64_t bytes)
{
        char text[FORMAT_BYTES_MAX];

        if (count == 0 || !options->legend)
                return;
        printf("\n%zu more %s (%s in all) without a holder %s references that the daemon has not seen, and may be in "
               "use by a\n"
               "socket, an attachment without a link, a program array or a pin in another mount namespace. --all shows "
               "%s.\n",
                        count, count == 1 ? "object" : "objects", format_bytes(text, bytes, options->bytes),
                        count == 1 ? "has" : "have", count == 1 ? "it" : "them");
}

int verb_orphans(const struct options *options, int argc, char *argv[])
{
        json_t *list;
        size_t count = 0;
        uint64_t bytes = 0;
        int r;

        r = orphans_ask(options, argc ? argv[0] : NULL, true, &list);
        if (r < 0)
                return r;
        if (!options->all)
                bytes = leave_out_uncertain(list, &count);
        if (options->json != JSON_OFF)
                r = show_json_list(options, "orphans", list);
        else
                r = show_orphan_rows(options, list);
        if (r == 0 && options->json == JSON_OFF)
                tell_uncertain(options, count, bytes);
        json_decref(list);
        return r;
}
