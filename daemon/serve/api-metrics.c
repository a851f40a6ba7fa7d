/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/api-methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "serve/api.h"

/* The maximum number of bytes of text in a reply of a stream, unless a single line is longer. */
#define PIECE_SIZE (64 * 1024)

static const char *const formats[] = {
        [METRICS_PROMETHEUS] = "prometheus",
        [METRICS_OPENMETRICS] = "openmetrics",
        [METRICS_FORMATS] = NULL,
};

/* Metrics that are being sent. */
struct metrics_stream {
        struct writer text;
        size_t at;
};

static void stream_free(void *state)
{
        struct metrics_stream *stream = state;

        writer_deinit(&stream->text);
        free(stream);
}

/*
 * The length of the whole lines at the beginning of @text: at most @size bytes, or one line if that is longer. The text
 * ends with a whole line.
 */
static size_t piece_length(const char *text, size_t left, size_t size)
{
        const char *end = left <= size ? text + left - 1 : memrchr(text, '\n', size) ?: memchr(text, '\n', left);

        return end + 1 - text;
}

static int stream_reply(struct metrics_stream *stream, struct varlink_call *call, size_t size)
{
        const char *text = stream->text.text + stream->at;
        size_t left = stream->text.size - stream->at, length = piece_length(text, left, size);

        stream->at += length;
        return varlink_reply(call, json_pack("{ss%}", "text", text, length), length < left);
}

static int stream_next(void *state, struct varlink_call *call)
{
        return stream_reply(state, call, PIECE_SIZE);
}

static const struct varlink_stream metrics_stream = { .next = stream_next, .end = stream_free };

const struct varlink_parameter get_metrics_parameters[] = {
        { "format", VARLINK_WORD, .optional = true, formats },
        {},
};

int api_get_metrics(void *context, struct varlink_call *call, json_t *parameters)
{
        const char *format = parameter_string(parameters, "format");
        struct metrics_stream *stream = calloc(1, sizeof(*stream));
        struct api *api = context;
        int r;

        if (!stream)
                return -ENOMEM;
        api_refresh_if_old(api);
        r = api_write_metrics(api, format ? word_index(formats, format) : METRICS_PROMETHEUS, &stream->text);
        if (r == 0 && varlink_wants_more(call)) {
                varlink_make_stream(call, &metrics_stream, stream);
                return 0;
        }
        if (r == 0)
                r = stream_reply(stream, call, stream->text.size);
        stream_free(stream);
        return r == -EMSGSIZE ? api_reply_too_large(call) : r;
}
