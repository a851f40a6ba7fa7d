/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/unitbudgets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "policy/budgetcheck.h"
#include "policy/files.h"
#include "policy/lines.h"
#include "policy/spelling.h"
#include "policy/unitfiles.h"

const char *const unit_directories[] = {
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        NULL,
};

/* --- The section of one file ---------------------------------------------------------------------------------------
 */

/* Reads @file into @buffer, FILE_SIZE_MAX + 1 bytes. Returns its size, 0: it cannot be read, or is too large. */
static size_t read_unit(const char *file, char *buffer)
{
        /* O_NONBLOCK: a FIFO must not hang the daemon. */
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat status;
        size_t size = 0;

        if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
                return 0;
        while (size <= FILE_SIZE_MAX) {
                ssize_t n = read(fd, buffer + size, FILE_SIZE_MAX + 1 - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? 0 : size;
                size += n;
        }
        return 0;
}

/* Whether the line at @line, @length bytes, is the section's: of systemd, too, it has to be alone in its line. */
static bool is_section_line(const char *line, size_t length)
{
        static const char section[] = "[" UNIT_SECTION "]";

        while (length > 0 && strchr(" \t\r", line[length - 1]))
                length--;
        while (length > 0 && (*line == ' ' || *line == '\t')) {
                line++;
                length--;
        }
        return length == strlen(section) && memcmp(line, section, length) == 0;
}

static bool begins_section(const char *line, size_t length)
{
        while (length > 0 && (*line == ' ' || *line == '\t')) {
                line++;
                length--;
        }
        return length > 0 && *line == '[';
}

/*
 * Leaves of the @size bytes at @text our section, as [Budget], and blanks for the rest, so that lines keep their
 * numbers. Returns whether there is one.
 */
static bool keep_section(char *text, size_t size)
{
        static const char section[] = "[Budget]";
        bool found = false, inside = false;

        if (!memmem(text, size, "[" UNIT_SECTION "]", strlen("[" UNIT_SECTION "]")))
                return false;
        for (char *line = text, *end; line < text + size; line = end + 1) {
                size_t length;
                bool ours;

                end = memchr(line, '\n', text + size - line) ?: text + size;
                length = end - line;
                ours = is_section_line(line, length);
                if (ours || begins_section(line, length))
                        inside = ours;
                if (ours || !inside)
                        memset(line, ' ', length);
                if (ours)
                        memcpy(line, section, strlen(section));
                found |= ours;
        }
        return found;
}

/* --- Units ---------------------------------------------------------------------------------------------------------
 */

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t hash, const char *text, size_t size)
{
        for (size_t i = 0; i < size; i++)
                hash = (hash ^ (unsigned char) text[i]) * 0x100000001b3ULL;
        return hash;
}

/* What is being read, of one unit. */
struct reading {
        struct unit_budgets *budgets;
        struct loader *loader; /* NULL: only the fingerprint is wanted */
        char *buffer;
        const char *unit;
        struct source source;
        struct budget budget;
        bool any; /* the unit has a section */
};

static bool is_template(const char *unit)
{
        const char *at = strchr(unit, '@');

        return at && at[1] == '.';
}

/* Writes "a@.service" of "a@b.service". Returns whether it is an instance. */
static bool template_of(const char *unit, char text[static NAME_MAX + 1])
{
        const char *at = strchr(unit, '@'), *dot = strrchr(unit, '.');

        if (!at || at + 1 == dot || strlen(unit) > NAME_MAX)
                return false;
        snprintf(text, NAME_MAX + 1, "%.*s@%s", (int) (at - unit), unit, dot);
        return true;
}

/* The name in the section line that begins at @line, before @end; *name is "" if it is none or longer than ours. */
static void section_name(const char *line, const char *end, char name[static NAME_MAX_COMPARED + 1])
{
        const char *close;

        *name = '\0';
        while (line < end && (*line == ' ' || *line == '\t'))
                line++;
        close = line < end && *line == '[' ? memchr(line, ']', end - line) : NULL;
        if (close && close - line - 1 <= NAME_MAX_COMPARED)
                snprintf(name, NAME_MAX_COMPARED + 1, "%.*s", (int) (close - line - 1), line + 1);
}

/* Warns of sections in the @size bytes at @text whose names are slips for ours: systemd ignores them, too. */
static void warn_of_slips(struct source *source, const char *text, size_t size)
{
        unsigned int number = 1;

        for (const char *line = text, *end; line < text + size; line = end + 1, number++) {
                char name[NAME_MAX_COMPARED + 1];

                end = memchr(line, '\n', text + size - line) ?: text + size;
                section_name(line, end, name);
                if (*name && strcmp(name, UNIT_SECTION) != 0 &&
                                is_near(edit_distance(name, UNIT_SECTION), UNIT_SECTION))
                        report_at(source, number, false, "[%s] is ignored: did you mean [" UNIT_SECTION "]?",
                                        excerpt(name).text);
        }
}

/* Takes the section of @file into the budget, if it has one. */
static void take_file(struct reading *reading, const struct unit_file *file)
{
        size_t size = file->mask || file->alias ? 0 : read_unit(file->file, reading->buffer);
        struct unit_budgets *budgets = reading->budgets;

        reading->source.file = file->file;
        if (size > 0 && reading->loader)
                warn_of_slips(&reading->source, reading->buffer, size);
        if (size == 0 || !keep_section(reading->buffer, size))
                return;
        budgets->fingerprint = hash(budgets->fingerprint, reading->unit, strlen(reading->unit) + 1);
        budgets->fingerprint = hash(budgets->fingerprint, file->file, strlen(file->file) + 1);
        budgets->fingerprint = hash(budgets->fingerprint, reading->buffer, size);
        if (!reading->loader)
                return;
        if (!reading->any)
                reading->budget.file = strdup(file->file);
        reading->any = true;
        parse_source(&reading->source, size);
}

/* The place of the first file of @unit in @files; files->count: there is none. */
static size_t find_unit(const struct unit_files *files, const char *unit)
{
        size_t low = 0, high = files->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(files->list[middle].unit, unit) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < files->count && strcmp(files->list[low].unit, unit) == 0 ? low : files->count;
}

/* Takes the files of the unit at @i: its own, or only its drop-ins. */
static void take_unit(struct reading *reading, const struct unit_files *files, size_t i, bool own)
{
        const char *unit = i < files->count ? files->list[i].unit : NULL;

        for (; i < files->count && strcmp(files->list[i].unit, unit) == 0; i++)
                if (own == !files->list[i].name)
                        take_file(reading, &files->list[i]);
}

/* Names the budget, and says for which cgroups it is: that of the unit, or those of all instances. */
static int name_budget(struct reading *reading)
{
        const char *unit = reading->unit, *at = strchr(unit, '@');
        struct budget *budget = &reading->budget;
        _cleanup_free_ char *glob = NULL;

        if (is_template(unit) ? asprintf(&glob, "%.*s@?*%s", (int) (at - unit), unit, at + 1) < 0
                              : !(glob = strdup(unit))) {
                glob = NULL;
                return -ENOMEM;
        }
        budget->name = strdup(unit);
        return budget->file && budget->name ? patterns_add(&budget->units, glob, false) : -ENOMEM;
}

/* Adds the budget that was read, if nothing is wrong in it. Returns 0 or -ENOMEM. */
static int keep_budget(struct reading *reading)
{
        struct unit_budgets *budgets = reading->budgets;
        struct budget *list;
        int r = name_budget(reading);

        if (r < 0)
                return r;
        check_limits(&reading->source, &reading->budget);
        report_rest(&reading->source);
        if (reading->source.errors > 0)
                return 0;
        list = array_grow(budgets->list, budgets->count, sizeof(*list));
        if (!list)
                return -ENOMEM;
        budgets->list = list;
        list[budgets->count++] = reading->budget;
        reading->budget = (struct budget){};
        return 0;
}

/* Reads the unit whose first file is at @i: its file, or its template's, then the drop-ins of both. */
static int read_one(struct unit_budgets *budgets, struct loader *loader, char *buffer, const struct unit_files *files,
                size_t i)
{
        const struct unit_file *first = &files->list[i];
        struct reading reading = { budgets, loader, buffer, first->unit };
        size_t base = files->count;
        char template[NAME_MAX + 1];
        int r = 0;

        if (!first->name && (first->mask || first->alias))
                return 0;
        reading.source = (struct source){ .loader = loader, .format = &budget_format, .target = &reading.budget };
        keys_reset(&budget_format, &reading.budget);
        if (template_of(first->unit, template))
                base = find_unit(files, template);
        take_unit(&reading, files, first->name ? base : i, true);
        take_unit(&reading, files, base, false);
        take_unit(&reading, files, i, false);
        if (reading.any)
                r = loader->error ?: keep_budget(&reading);
        budget_deinit(&reading.budget);
        return r;
}

/* Templates after units: the first that matches is a cgroup's. */
static int read_all(struct unit_budgets *budgets, struct loader *loader, char *buffer, const struct unit_files *files)
{
        int r = 0;

        for (int templates = 0; templates < 2; templates++)
                for (size_t i = 0, next; r == 0 && i < files->count; i = next) {
                        for (next = i + 1; next < files->count &&
                                           strcmp(files->list[next].unit, files->list[i].unit) == 0;)
                                next++;
                        if (is_template(files->list[i].unit) == templates)
                                r = read_one(budgets, loader, buffer, files, i);
                }
        return r;
}

int unit_budgets_load(struct unit_budgets *budgets, struct loader *loader, const char *root)
{
        _cleanup_(unit_files_deinit) struct unit_files files = {};
        bool failed = loader->failed;
        int r = unit_files_list(&files, root, unit_directories);

        *budgets = (struct unit_budgets){ .fingerprint = 0xcbf29ce484222325ULL };
        if (r == 0)
                r = read_all(budgets, loader, loader->buffer, &files);
        /* Reported, and no reason to refuse the rest. */
        loader->failed = failed;
        return r;
}

void unit_budgets_deinit(struct unit_budgets *budgets)
{
        for (size_t i = 0; i < budgets->count; i++)
                budget_deinit(&budgets->list[i]);
        free(budgets->list);
        *budgets = (struct unit_budgets){};
}

int unit_budgets_fingerprint(const char *root, uint64_t *fingerprint)
{
        _cleanup_(unit_files_deinit) struct unit_files files = {};
        struct unit_budgets budgets = { .fingerprint = 0xcbf29ce484222325ULL };
        _cleanup_free_ char *buffer = malloc(FILE_SIZE_MAX + 1);
        int r = buffer ? unit_files_list(&files, root, unit_directories) : -ENOMEM;

        if (r == 0)
                r = read_all(&budgets, NULL, buffer, &files);
        *fingerprint = budgets.fingerprint;
        return r;
}
