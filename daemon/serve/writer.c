/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* The initial size: an object of a list takes some hundred bytes. */
#define ROOM_FIRST 4096

/* Enough for the longest value that is not a string: "-9223372036854775808". */
#define INTEGER_SIZE 24

void writer_deinit(struct writer *writer)
{
        free(writer->text);
        *writer = (struct writer){};
}

void writer_reset(struct writer *writer)
{
        writer->size = 0;
        writer->error = 0;
}

char *writer_room(struct writer *writer, size_t size)
{
        if (writer->room - writer->size < size) {
                size_t room = 2 * writer->room + size + ROOM_FIRST;
                char *text = writer->error ? NULL : realloc(writer->text, room);

                if (!text) {
                        writer->error = -ENOMEM;
                        return NULL;
                }
                writer->text = text;
                writer->room = room;
        }
        return writer->text + writer->size;
}

void writer_bytes(struct writer *writer, const char *text, size_t size)
{
        char *at = size > 0 ? writer_room(writer, size) : NULL;

        if (!at)
                return;
        memcpy(at, text, size);
        writer->size += size;
}

void writer_raw(struct writer *writer, const char *text)
{
        writer_bytes(writer, text, strlen(text));
}

void writer_integer(struct writer *writer, int64_t value)
{
        uint64_t left = value < 0 ? -(uint64_t) value : (uint64_t) value;
        char digits[INTEGER_SIZE], *first = digits + sizeof(digits);

        do
                *--first = '0' + left % 10;
        while (left /= 10);
        if (value < 0)
                *--first = '-';
        writer_bytes(writer, first, digits + sizeof(digits) - first);
}

void writer_boolean(struct writer *writer, bool value)
{
        writer_raw(writer, value ? "true" : "false");
}

/* Whether @text can be written unchanged in a JSON string. */
static bool is_plain(const char *text)
{
        for (; *text; text++)
                if (*text < ' ' || *text >= 0x7f || *text == '"' || *text == '\\')
                        return false;
        return true;
}

static void add_escaped(struct writer *writer, const char *text)
{
        static const char digits[] = "0123456789abcdef";
        bool utf8 = utf8_is_valid(text);

        for (; *text; text++) {
                unsigned char c = *text;

                if (c == '"' || c == '\\')
                        writer_bytes(writer, (char[]){ '\\', c }, 2);
                else if (c < ' ')
                        writer_bytes(writer, (char[]){ '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] }, 6);
                else
                        writer_bytes(writer, c >= 0x80 && !utf8 ? "?" : text, 1);
        }
}

void writer_string(struct writer *writer, const char *text)
{
        if (!text) {
                writer_raw(writer, "null");
                return;
        }
        writer_raw(writer, "\"");
        if (is_plain(text))
                writer_raw(writer, text);
        else
                add_escaped(writer, text);
        writer_raw(writer, "\"");
}

void writer_json(struct writer *writer, json_t *json)
{
        char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

        if (text)
                writer_raw(writer, text);
        else
                writer->error = -ENOMEM;
        free(text);
        json_decref(json);
}

void writer_open(struct writer *writer, char bracket)
{
        writer_bytes(writer, &bracket, 1);
        writer->first = true;
}

void writer_close(struct writer *writer, char bracket)
{
        writer_bytes(writer, &bracket, 1);
        writer->first = false;
}

void writer_element(struct writer *writer)
{
        if (!writer->first)
                writer_raw(writer, ",");
        writer->first = false;
}

void writer_key(struct writer *writer, const char *key)
{
        size_t length = strlen(key);
        char *at;

        writer_element(writer);
        at = writer_room(writer, length + 3);
        if (!at)
                return;
        *at++ = '"';
        at = mempcpy(at, key, length);
        memcpy(at, "\":", 2);
        writer->size += length + 3;
}

void writer_member_integer(struct writer *writer, const char *key, uint64_t value)
{
        writer_key(writer, key);
        writer_integer(writer, (int64_t) value);
}

void writer_member_string(struct writer *writer, const char *key, const char *text)
{
        writer_key(writer, key);
        writer_string(writer, text);
}

void writer_member_boolean(struct writer *writer, const char *key, bool value)
{
        writer_key(writer, key);
        writer_boolean(writer, value);
}

void writer_member_optional(struct writer *writer, const char *key, bool has, uint64_t value)
{
        writer_key(writer, key);
        if (has)
                writer_integer(writer, (int64_t) value);
        else
                writer_raw(writer, "null");
}

void writer_open_member(struct writer *writer, const char *key, char bracket)
{
        writer_key(writer, key);
        writer_open(writer, bracket);
}
