/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/lines.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "policy/fields.h"
#include "policy/source.h"
#include "policy/spelling.h"
#include "policy/utf8.h"

_Static_assert(INI_MAX_LINE >= LINE_LENGTH_MAX + 3, "inih's lines are too short");

/* Reports where the key @name, which is not one of @section, should be; "" is the top of the file, above any section.
 */
static void report_unknown_key(struct source *source, const char *section, const char *name)
{
        const struct format *format = source->format;
        unsigned int distance;
        const struct key *nearest = nearest_key(format, name, &distance);
        char names[MESSAGE_SIZE / 2];

        name_sections(format, names, sizeof(names));
        if (!*section && is_near(distance, nearest->name))
                report_error(source, "%s= is above the first section: put %s= below [%s]", name, nearest->name,
                                nearest->section);
        else if (!*section)
                report_error(source, "%s= is above the first section, and no key of %s, which has %s: remove it", name,
                                format->what, names);
        else if (strcmp(name, nearest->name) == 0)
                report_error(source, "%s= belongs in [%s], not in [%s]: move it there", name, nearest->section,
                                section);
        else if (!is_near(distance, nearest->name)) {
                name_keys(format, section, names, sizeof(names));
                report_error(source, "%s= is not a key of [%s], which has %s", name, section, names);
        } else if (strcmp(section, nearest->section) == 0)
                report_error(source, "%s= is not a key of [%s]: did you mean %s=?", name, section, nearest->name);
        else
                report_error(source, "%s= is not a key of [%s]: did you mean %s= of [%s]?", name, section,
                                nearest->name, nearest->section);
}

/* inih's handler. The reader has already reported lines and sections that are wrong. */
static int handle_key(void *user, const char *section, const char *name, const char *value)
{
        struct source *source = user;
        const struct key *key;
        int r;

        if (!name || !value || source->loader->error < 0 || (*section && !is_section(source->format, section)))
                return 1;
        if (strcmp(section, "Match") == 0)
                source->matched = true;
        key = find_key(source->format, section, name);
        if (!key) {
                report_unknown_key(source, section, name);
                return 1;
        }
        r = set_key(source, key, value);
        if (r < 0)
                source->loader->error = r;
        return 1;
}

/* A line of the file, without its end and the blanks around it. */
struct line {
        const char *text;
        size_t length;
};

static bool take_line(struct source *source, struct line *line)
{
        const char *start = source->next, *end;

        if (start == source->end)
                return false;
        end = memchr(start, '\n', source->end - start) ?: source->end;
        source->next = end < source->end ? end + 1 : end;
        source->line++;
        if (end > start && end[-1] == '\r') {
                if (!source->crlf)
                        report_warning(source, "lines end in CR LF, taken as LF: save the file with LF only");
                source->crlf = true;
                end--;
        }
        while (start < end && (*start == ' ' || *start == '\t'))
                start++;
        while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
        *line = (struct line){ start, end - start };
        return true;
}

static bool is_name_character(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* How long the name before "=" is, 0 if @line does not begin with "KEY=". */
static size_t name_length(const struct line *line)
{
        size_t i = 0, length;

        while (i < line->length && is_name_character(line->text[i]))
                i++;
        length = i;
        while (i < line->length && (line->text[i] == ' ' || line->text[i] == '\t'))
                i++;
        return i < line->length && line->text[i] == '=' ? length : 0;
}

static void report_long(struct source *source, const struct line *line)
{
        size_t name = name_length(line);

        if (name > 0 && name <= NAME_MAX_COMPARED)
                report_error(source,
                                "%.*s= is in a line of %zu bytes, at most %d are allowed: a list key may be given "
                                "several times",
                                (int) name, line->text, line->length, LINE_LENGTH_MAX);
        else
                report_error(source,
                                "line has %zu bytes, at most %d are allowed: shorten it, a list key may be given "
                                "several times",
                                line->length, LINE_LENGTH_MAX);
}

/* Whether the characters of @line can be taken; reports if not. */
static bool check_characters(struct source *source, const struct line *line)
{
        uint32_t character = 0;
        size_t i;

        if (memchr(line->text, '\0', line->length)) {
                report_error(source, "line has a NUL byte: save the file as plain text in UTF-8");
                return false;
        }
        if (line->length == 0 || *line->text == '#' || *line->text == ';')
                return true;
        if (line->length > LINE_LENGTH_MAX) {
                report_long(source, line);
                return false;
        }
        i = utf8_find_bad(line->text, line->length, &character);
        if (i == line->length)
                return true;
        if (character >= CHARACTER_INVALID)
                report_error(source, "line is not UTF-8 (byte 0x%02x at %zu): save the file as UTF-8",
                                character - CHARACTER_INVALID, i + 1);
        else
                report_error(source, "line has the control character U+%04X: remove it", character);
        return false;
}

/*
 * Writes the section line that inih is to see: where the name is a slip, the section that was meant, so that the keys
 * below it are checked too; where it is none at all, "[?]", whose keys are passed over.
 */
static void write_section(struct source *source, const struct line *line, char *buffer, size_t size)
{
        const char *end = memchr(line->text, ']', line->length);
        char name[LINE_LENGTH_MAX + 1], names[MESSAGE_SIZE / 2];
        unsigned int distance;
        const char *nearest;

        snprintf(name, sizeof(name), "%.*s", (int) ((end ?: line->text + line->length) - line->text - 1),
                        line->text + 1);
        nearest = nearest_section(source->format, name, &distance);
        if (!end)
                report_error(source, "[%s has no \"]\": close it", name);
        else if (!is_section(source->format, name) && is_near(distance, nearest))
                report_error(source, "[%s] is not a section of %s: did you mean [%s]?", name, source->format->what,
                                nearest);
        else if (!is_section(source->format, name)) {
                name_sections(source->format, names, sizeof(names));
                report_error(source, "[%s] is not a section of %s, which has %s", name, source->format->what, names);
        }
        snprintf(buffer, size, "[%s]\n", is_near(distance, nearest) ? nearest : "?");
}

/* inih's reader, as fgets(): hands over only lines that are right, and an empty one for each of the others. */
static char *read_line(char *buffer, int size, void *stream)
{
        struct source *source = stream;
        struct line line;

        if (!take_line(source, &line))
                return NULL;
        snprintf(buffer, size, "\n");
        if (!check_characters(source, &line) || line.length == 0 || *line.text == '#' || *line.text == ';')
                return buffer;
        if (*line.text == '[')
                write_section(source, &line, buffer, size);
        else if (name_length(&line) == 0)
                report_error(source,
                                "\"%.*s\" is neither KEY=VALUE nor [SECTION]: a line cannot be continued in the next",
                                (int) line.length, line.text);
        else
                snprintf(buffer, size, "%.*s\n", (int) line.length, line.text);
        return buffer;
}

void parse_source(struct source *source, size_t size)
{
        static const char bom[] = { '\xef', '\xbb', '\xbf' };
        const char *text = source->loader->buffer;
        int r;

        source->next = text;
        source->end = text + size;
        if (size >= sizeof(bom) && memcmp(text, bom, sizeof(bom)) == 0)
                source->next += sizeof(bom);
        r = ini_parse_stream(read_line, source, handle_key, source);
        if (r == -2)
                source->loader->error = -ENOMEM;
        else if (r > 0)
                report_at(source, r, true, "line is not understood by inih: expected KEY=VALUE or [SECTION]");
}
