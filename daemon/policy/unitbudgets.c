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
#include "policy/unitparts.h"

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
#define FINGERPRINT_NONE 0xcbf29ce484222325ULL

static uint64_t hash(uint64_t hash, const char *text, size_t size)
{
        for (size_t i = 0; i < size; i++)
                hash = (hash ^ (unsigned char) text[i]) * 0x100000001b3ULL;
        return hash;
}

/* Units whose files with a section are the same: one, or all that have the drop-ins of a name. */
struct unit_class {
        const char *unit;        /* the name, of unitparts.h */
        struct unit_parts parts; /* that have a section; none: these units do not have those of their base */
        unsigned int depth;      /* how many bases it has */
};

struct classes {
        struct unit_class *list;
        size_t count;
};

static void classes_deinit(struct classes *classes)
{
        for (size_t i = 0; i < classes->count; i++)
                unit_parts_deinit(&classes->list[i].parts);
        free(classes->list);
}

/* What is being read. */
struct reading {
        struct unit_budgets *budgets;
        struct loader *loader; /* NULL: only the fingerprint is wanted */
        char *buffer;
        const struct classes *classes;
        struct source source;
        struct budget budget;
};

/* Lists those parts of @name that have a section. Returns 0 or -ENOMEM. */
static int list_sections(const struct unit_files *files, const char *name, struct unit_parts *parts)
{
        int r = unit_parts_list(parts, files, name);
        size_t kept = 0;

        for (size_t i = 0; i < parts->count; i++)
                if (parts->list[i]->section)
                        parts->list[kept++] = parts->list[i];
        parts->count = kept;
        return r;
}

static bool same_parts(const struct unit_parts *x, const struct unit_parts *y)
{
        return x->count == y->count && (x->count == 0 || memcmp(x->list, y->list, x->count * sizeof(*x->list)) == 0);
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

/* Adds @unit, unless a budget of its base will be its as well. Returns 0 or -ENOMEM. */
static int add_class(struct classes *classes, const struct unit_files *files, const char *unit)
{
        char base[NAME_MAX + 1], text[NAME_MAX + 1] = "";
        struct unit_class class = { .unit = unit }, *list;
        struct unit_parts above = {};
        int r = list_sections(files, unit, &class.parts);

        for (bool more = unit_base(unit, base); more; more = unit_base(text, base)) {
                if (class.depth++ == 0 && r == 0)
                        r = list_sections(files, base, &above);
                strcpy(text, base);
        }
        list = r == 0 && !same_parts(&class.parts, &above) ? array_grow(classes->list, classes->count, sizeof(*list))
                                                           : NULL;
        if (list) {
                classes->list = list;
                list[classes->count++] = class;
        } else {
                r = same_parts(&class.parts, &above) ? r : -ENOMEM;
                unit_parts_deinit(&class.parts);
        }
        unit_parts_deinit(&above);
        return r;
}

/* More specific names first: the first that matches is a cgroup's. */
static int compare_classes(const void *a, const void *b)
{
        const struct unit_class *x = a, *y = b;

        return (int) y->depth - (int) x->depth ?: strcmp(x->unit, y->unit);
}

/* A masked unit does not run, and an alias is the other unit. */
static bool has_no_budget(const struct unit_file *first)
{
        return !first->name && (first->mask || (first->alias && !unit_is_linked_instance(first)));
}

static int find_classes(struct classes *classes, const struct unit_files *files)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < files->count; i++)
                if ((i == 0 || strcmp(files->list[i - 1].unit, files->list[i].unit) != 0) &&
                                !has_no_budget(&files->list[i]))
                        r = add_class(classes, files, files->list[i].unit);
        if (classes->count > 0)
                qsort(classes->list, classes->count, sizeof(*classes->list), compare_classes);
        return r;
}

/* Finds which files have a section, and what is in it. @loader, unless NULL, is told of slips in the names of sections.
 */
static void find_sections(struct unit_files *files, struct loader *loader, char *buffer)
{
        for (size_t i = 0; i < files->count; i++) {
                struct unit_file *file = &files->list[i];
                size_t size = file->mask || file->alias ? 0 : read_unit(file->file, buffer);

                struct source source = { .loader = loader, .file = file->file };

                if (size > 0 && loader)
                        warn_of_slips(&source, buffer, size);
                if (size > 0 && keep_section(buffer, size))
                        file->section = hash(FINGERPRINT_NONE, buffer, size) ?: 1;
        }
}

/* Takes the section of @file into the budget. */
static int take_file(struct reading *reading, const struct unit_file *file)
{
        size_t size = read_unit(file->file, reading->buffer);

        /* It has changed since: the next reading comes. */
        if (size == 0 || !keep_section(reading->buffer, size))
                return 0;
        reading->source.file = file->file;
        parse_source(&reading->source, size);
        return budget_add_file(&reading->budget, file->file);
}

/* Names the budget, and says for which cgroups it is: not those whose units have less than all of its class. */
static int name_budget(struct reading *reading, const struct unit_class *class)
{
        const struct classes *classes = reading->classes;
        struct budget *budget = &reading->budget;
        int r = 0;

        budget->name = strdup(class->unit);
        if (!budget->file || !budget->name)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < classes->count; i++) {
                const struct unit_class *other = &classes->list[i];
                _cleanup_free_ char *glob = NULL;

                if (other != class && (other->parts.count > 0 || !unit_has_base(other->unit, class->unit)))
                        continue;
                r = unit_name_glob(other->unit, &glob);
                if (r == 0)
                        r = patterns_add(&budget->units, glob, other != class);
        }
        return r;
}

/* Adds the budget that was read, if nothing is wrong in it. Returns 0 or -ENOMEM. */
static int keep_budget(struct reading *reading, const struct unit_class *class)
{
        struct unit_budgets *budgets = reading->budgets;
        struct budget *list;
        int r = name_budget(reading, class);

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

static void add_fingerprint(struct unit_budgets *budgets, const struct unit_class *class)
{
        uint64_t fingerprint = hash(budgets->fingerprint, class->unit, strlen(class->unit) + 1);

        for (size_t i = 0; i < class->parts.count; i++) {
                const struct unit_file *file = class->parts.list[i];

                fingerprint = hash(fingerprint, file->file, strlen(file->file) + 1);
                fingerprint = hash(fingerprint, (const char *) &file->section, sizeof(file->section));
        }
        budgets->fingerprint = fingerprint;
}

static int read_class(struct reading *reading, const struct unit_class *class)
{
        int r = 0;

        add_fingerprint(reading->budgets, class);
        if (!reading->loader || class->parts.count == 0)
                return 0;
        reading->source = (struct source){
                .loader = reading->loader, .format = &budget_format, .target = &reading->budget
        };
        keys_reset(&budget_format, &reading->budget);
        for (size_t i = 0; r == 0 && i < class->parts.count; i++)
                r = take_file(reading, class->parts.list[i]);
        if (r == 0 && reading->budget.file)
                r = reading->loader->error ?: keep_budget(reading, class);
        budget_deinit(&reading->budget);
        reading->budget = (struct budget){};
        return r;
}

static int read_all_classes(struct unit_budgets *budgets, struct loader *loader, char *buffer, struct unit_files *files)
{
        _cleanup_(classes_deinit) struct classes classes = {};
        struct reading reading = { .budgets = budgets, .loader = loader, .buffer = buffer, .classes = &classes };
        int r;

        find_sections(files, loader, buffer);
        r = find_classes(&classes, files);
        for (size_t i = 0; r == 0 && i < classes.count; i++)
                r = read_class(&reading, &classes.list[i]);
        return r;
}

int unit_budgets_load(struct unit_budgets *budgets, struct loader *loader, const char *root)
{
        _cleanup_(unit_files_deinit) struct unit_files files = {};
        bool failed = loader->failed;
        int r = unit_files_list(&files, root, unit_directories);

        *budgets = (struct unit_budgets){ .fingerprint = FINGERPRINT_NONE };
        if (r == 0)
                r = read_all_classes(budgets, loader, loader->buffer, &files);
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
        struct unit_budgets budgets = { .fingerprint = FINGERPRINT_NONE };
        _cleanup_free_ char *buffer = malloc(FILE_SIZE_MAX + 1);
        int r = buffer ? unit_files_list(&files, root, unit_directories) : -ENOMEM;

        if (r == 0)
                r = read_all_classes(&budgets, NULL, buffer, &files);
        *fingerprint = budgets.fingerprint;
        return r;
}
