/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file of the configuration while it is read, and the messages about it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/keys.h"
#include "policy/message.h"
#include "policy/utf8.h"
#include "policy/values.h"

/* In bytes: room for two excerpts, all keys of a section, and the words around them. */
#define MESSAGE_SIZE 1024

/* What all files of one configuration share. */
struct loader {
        const struct config_machine *machine;
        const struct settings *settings; /* that budgets are checked with */
        config_message_t message;
        void *context;
        char *buffer; /* FILE_SIZE_MAX + 1 bytes */
        char *value;  /* LINE_LENGTH_MAX + 1 bytes */
        bool failed;  /* something fatal was reported */
        int error;    /* -ENOMEM */
};

/* A value as it was written, for messages that come when the file has been read. */
struct given {
        const char *file;
        unsigned int line;  /* 0: not given, or not valid */
        unsigned int order; /* among all values given, over all files */
        struct excerpt text;
};

/* Text of a file. */
struct line {
        const char *text;
        size_t length;
};

/* A file that is being read, and what earlier files of the same target have set. */
struct source {
        struct loader *loader;
        const struct format *format;
        void *target; /* struct settings or struct budget */
        unsigned int messages, errors, given_count;
        bool matched;                 /* [Match] has a key, valid or not */
        struct given given[KEYS_MAX]; /* by the key's place in the format */

        /* Of this file. */
        const char *file;
        const char *next, *end;
        unsigned int line;
        struct line rest;    /* of the value of a long line: what inih has not seen yet */
        size_t value_length; /* of those pieces of it that are in loader->value */
        bool crlf;
        bool extension; /* in a section [X-...], which belongs to other programs */
        bool refused;   /* the value of this line was already reported, and is not used */
};

/* Reports what is wrong with the file or directory @file as a whole. */
__attribute__((format(printf, 3, 4))) void report_file(
                struct loader *loader, const char *file, const char *format, ...);

/* Warns about the file or directory @file as a whole. */
__attribute__((format(printf, 3, 4))) void warn_file(struct loader *loader, const char *file, const char *format, ...);

/* Reports what is wrong in @line of the file of @source, up to a number of messages. */
__attribute__((format(printf, 4, 5))) void report_at(
                struct source *source, unsigned int line, bool fatal, const char *format, ...);

#define report_error(source, ...)   report_at(source, (source)->line, true, __VA_ARGS__)
#define report_warning(source, ...) report_at(source, (source)->line, false, __VA_ARGS__)

/* Reports that @comment follows the value of the key @name; comments must be on a line of their own. */
void report_comment(struct source *source, const char *name, const char *comment);

/* Reports how many messages about @source were not reported. */
void report_rest(struct source *source);
