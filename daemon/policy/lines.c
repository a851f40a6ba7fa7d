/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/lines.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "policy/fields.h"
#include "policy/source.h"
#include "policy/spelling.h"
#include "policy/utf8.h"

/*
 * The buffer of a libinih as distributions build it has 200 bytes. A value that is longer goes in pieces: the first
 * with its key, the others as lines that continue it. A mark at both ends of a piece keeps the blanks there, which inih
 * takes off, and what would begin a comment or a section. No line has it otherwise: it is a control character.
 */
#define MARK '\1'
_Static_assert(INI_MAX_LINE >= 2 * NAME_MAX_COMPARED, "inih has no room for a key and a piece of its value");

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

/* Adds a piece of a long value to those before. Returns the whole value with the last of them, NULL until then. */
static const char *join_pieces(struct source *source, const char *piece)
{
        char *value = source->loader->value;
        size_t length = strlen(piece) - 2; /* the marks */

        memcpy(value + source->value_length, piece + 1, length);
        source->value_length += length;
        if (source->rest.length > 0)
                return NULL;
        value[source->value_length] = '\0';
        return value;
}

/* inih's handler. The reader has already reported lines and sections that are wrong. */
static int handle_key(void *user, const char *section, const char *name, const char *value)
{
        struct source *source = user;
        const struct key *key;
        int r;

        if (value && *value == MARK)
                value = join_pieces(source, value);
        if (!name || !value || source->loader->error < 0 || (*section && !is_section(source->format, section)))
                return 1;
        if (strcmp(section, "Match") == 0)
                source->matched = true;
        key = find_key(source->format, section, name);
        if (!key) {
                report_unknown_key(source, section, name);
                return 1;
        }
        if (source->refused)
                return 1;
        r = set_key(source, key, value);
        if (r < 0)
                source->loader->error = r;
        return 1;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

static struct line strip(const char *start, const char *end)
{
        while (start < end && is_blank(*start))
                start++;
        while (end > start && is_blank(end[-1]))
                end--;
        return (struct line){ start, end - start };
}

/* Takes the next line of the file, without its end and the blanks around it. Returns whether there is one. */
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
        *line = strip(start, end);
        return true;
}

static bool is_name_character(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Names of sections and keys that begin so are other programs', as in the files of systemd. */
static bool is_extension(const char *name, size_t length)
{
        return length >= 2 && name[0] == 'X' && name[1] == '-';
}

/* The same, but for the upper case, which is a slip. */
static bool is_extension_slip(const char *name, size_t length)
{
        return length >= 2 && name[0] == 'x' && name[1] == '-';
}

/* How long the name before "=" is, 0 if @line does not begin with "KEY=". */
static size_t name_length(const struct line *line)
{
        size_t i = 0, length;

        while (i < line->length && is_name_character(line->text[i]))
                i++;
        length = i;
        while (i < line->length && is_blank(line->text[i]))
                i++;
        return i < line->length && line->text[i] == '=' ? length : 0;
}

/* Whether @line is "X-NAME=VALUE". */
static bool is_extension_key(const struct line *line)
{
        return is_extension(line->text, line->length) && memchr(line->text, '=', line->length);
}

/* Reports what is wrong with @line, which is neither a pair nor a section. */
static void report_no_pair(struct source *source, const struct line *line)
{
        const char *equals = memchr(line->text, '=', line->length);

        if (equals && is_extension_slip(line->text, line->length))
                report_error(source, "%s= is not a key: those of other programs begin with an upper-case \"X-\"",
                                excerpt_of(line->text, strip(line->text, equals).length).text);
        else
                report_error(source,
                                "\"%s\" is neither KEY=VALUE nor [SECTION]: a line cannot be continued in the next",
                                excerpt_of(line->text, line->length).text);
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

/* Reports what is behind the section in @line, from @end on: a comment may be there, but nothing that would be lost. */
static void check_behind_section(struct source *source, const struct line *line, const char *name, const char *end)
{
        struct line behind = strip(end, line->text + line->length);

        if (behind.length > 0 && *behind.text != ';' && *behind.text != '#')
                report_error(source, "[%s] has \"%s\" behind it: put it in a line of its own", name,
                                excerpt_of(behind.text, behind.length).text);
}

/* Reports that there is no section @name; the nearest one is at @distance. */
static void report_section(struct source *source, const char *name, const char *nearest, unsigned int distance)
{
        char names[MESSAGE_SIZE / 2];

        name_sections(source->format, names, sizeof(names));
        if (is_extension_slip(name, strlen(name)))
                report_error(source,
                                "[%s] is not a section of %s: those of other programs begin with an upper-case \"X-\"",
                                name, source->format->what);
        else if (is_near(distance, nearest))
                report_error(source, "[%s] is not a section of %s: did you mean [%s]?", name, source->format->what,
                                nearest);
        else
                report_error(source, "[%s] is not a section of %s, which has %s", name, source->format->what, names);
}

/*
 * Writes the section line that inih is to see: where the name is a slip, the section that was meant, so that the keys
 * below it are checked too; where it is none at all, "[?]", whose keys are passed over.
 */
static void write_section(struct source *source, const struct line *line, char *buffer, size_t size)
{
        const char *end = memchr(line->text, ']', line->length);
        struct excerpt name = excerpt_of(line->text + 1, (end ?: line->text + line->length) - line->text - 1);
        unsigned int distance;
        const char *nearest = nearest_section(source->format, name.text, &distance);

        source->extension = end && is_extension(name.text, strlen(name.text));
        if (!end)
                report_error(source, "[%s has no \"]\": close it", name.text);
        else if (!source->extension) {
                check_behind_section(source, line, name.text, end + 1);
                if (!is_section(source->format, name.text))
                        report_section(source, name.text, nearest, distance);
        }
        snprintf(buffer, size, "[%s]\n", is_near(distance, nearest) ? nearest : "?");
}

/* Writes the next piece of a long value, as much as there is room for, between two marks, and the line's end. */
static void write_piece(struct source *source, char *buffer, size_t size)
{
        struct line *rest = &source->rest;
        size_t length = MIN(rest->length, size - strlen("\1\1\n") - 1);

        snprintf(buffer, size, "%c%.*s%c\n", MARK, (int) length, rest->text, MARK);
        rest->text += length;
        rest->length -= length;
}

/* The value of @line. */
static struct line find_value(const struct line *line)
{
        const char *start = (const char *) memchr(line->text, '=', line->length) + 1;

        return strip(start, line->text + line->length);
}

/* Reports what inih would take for a comment and cut off: a semicolon behind a blank, and what follows. */
static bool check_comment(struct source *source, const struct line *line, size_t name)
{
        const char *value = (const char *) memchr(line->text, '=', line->length) + 1, *end = line->text + line->length;

        for (const char *p = value; p < end; p++)
                if (*p == ';' && is_blank(p[-1])) {
                        report_comment(source, excerpt_of(line->text, name).text, excerpt_of(p, end - p).text);
                        return false;
                }
        return true;
}

/* Writes the "KEY=VALUE" line that inih is to see, or what is at the start of it that there is room for. */
static void write_pair(struct source *source, const struct line *line, size_t name, char *buffer, size_t size)
{
        source->refused = !check_comment(source, line, name);
        if (source->refused) {
                snprintf(buffer, size, "%.*s=\n", (int) MIN(name, EXCERPT_LENGTH_MAX), line->text);
                return;
        }
        if (line->length + strlen("\n") < size) {
                snprintf(buffer, size, "%.*s\n", (int) line->length, line->text);
                return;
        }
        /* There is no such key: its value is of no interest. */
        if (name > NAME_MAX_COMPARED) {
                snprintf(buffer, size, "%.*s=\n", (int) MIN(MIN(name, size - strlen("=\n") - 1), EXCERPT_LENGTH_MAX),
                                line->text);
                return;
        }
        source->rest = find_value(line);
        source->value_length = 0;
        snprintf(buffer, size, "%.*s=", (int) name, line->text);
        write_piece(source, buffer + name + 1, size - name - 1);
}

/*
 * inih's reader, as fgets(): hands over only lines that are right, long ones in pieces, and an empty one for each of
 * the others.
 */
static char *read_line(char *buffer, int size, void *stream)
{
        struct source *source = stream;
        struct line line;
        size_t name;

        if (source->rest.length > 0) {
                *buffer = ' ';
                write_piece(source, buffer + 1, size - 1);
                return buffer;
        }
        if (!take_line(source, &line))
                return NULL;
        snprintf(buffer, size, "\n");
        if (!check_characters(source, &line) || line.length == 0 || *line.text == '#' || *line.text == ';')
                return buffer;
        if (*line.text == '[')
                write_section(source, &line, buffer, size);
        else if (source->extension || is_extension_key(&line))
                ;
        else if ((name = name_length(&line)) == 0)
                report_no_pair(source, &line);
        else
                write_pair(source, &line, name, buffer, size);
        return buffer;
}

void parse_source(struct source *source, size_t size)
{
        static const char bom[] = { '\xef', '\xbb', '\xbf' };
        const char *text = source->loader->buffer;
        int r;

        source->line = 0;
        source->rest.length = 0;
        source->crlf = source->extension = source->refused = false;
        source->next = text;
        source->end = text + size;
        if (size >= sizeof(bom) && memcmp(text, bom, sizeof(bom)) == 0)
                source->next += sizeof(bom);
        r = ini_parse_stream(read_line, source, handle_key, source);
        if (r == -2)
                source->loader->error = -ENOMEM;
        /* inih counts pieces as lines: which line it was is not known. */
        else if (r > 0)
                report_at(source, 0, true, "a line is not understood by inih: expected KEY=VALUE or [SECTION]");
}
