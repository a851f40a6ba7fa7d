/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer's entry: calls of the API's methods with parameters of the input, with a tree and a ledger in memory: see
 * tests/unit/api-fixture.h. A call is a line: the number of a method as a letter ("A" is the first), then its
 * parameters; a small letter asks for more. Each reply is one JSON object, and the server answers afterwards.
 */
#include <stdint.h>
#include <string.h>

#include "tests/unit/api-fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const methods[] = { "ListCgroups", "GetCgroup", "ListObjects", "Explain", "ListBudgets", "SetBudget",
        "UnsetBudget", "Subscribe", "Flush", "Reload", "GetCapabilities", "GetReadiness", "GetStatistics",
        "GetMetrics" };

#define METHODS (sizeof(methods) / sizeof(methods[0]))

static struct fixture *fixture;

static void start(void)
{
        void *state;

        setup(&state);
        fixture = state;
        put(fixture, OBJECT_MAP, 7, 3, "map", 4096, 4096);
        put(fixture, OBJECT_PROGRAM, 8, 5, "program\n\xff", 8192, 4096);
        put(fixture, OBJECT_MAP, 9, 4, "other", 100, 50);
        hold(fixture, 7, 4);
        give_budget(fixture, 3, 0);
}

/* Sends what @line says. */
static void call(int fd, const char *line, size_t length)
{
        char text[4096], letter = *line & ~0x20;
        size_t method = (size_t) (letter - 'A') % METHODS;
        int n = snprintf(text, sizeof(text),
                        "{\"method\":\"io.bpfbudget.%s\",\"more\":%s,\"parameters\":", methods[method],
                        *line & 0x20 ? "true" : "false");

        if (length + 2 > sizeof(text) - n)
                return;
        memcpy(text + n, line + 1, length - 1);
        text[n + length - 1] = '}';
        text[n + length] = '\0';
        if (send(fd, text, n + length + 1, MSG_NOSIGNAL) < 0)
                return;
        loop_turn(fixture->base);
}

static void drain(int fd)
{
        for (int i = 0; i < 100; i++) {
                bool closed;
                char *text = loop_receive(fixture->base, fd, &closed);
                json_t *reply = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

                if (text && !json_is_object(json_object_get(reply, "parameters")))
                        abort();
                free(text);
                json_decref(reply);
                if (!text)
                        return;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *text = (const char *) data, *end = text + size;
        int fd;

        if (!fixture)
                start();
        fd = connect_as(fixture, size % 2 ? 0 : 4242);
        for (int calls = 0; text < end && calls < 8; calls++) {
                const char *next = memchr(text, '\n', end - text) ?: end;

                if (next > text && !memchr(text, '\0', next - text))
                        call(fd, text, next - text);
                drain(fd);
                text = next + 1;
        }
        close(fd);
        loop_turn(fixture->base);
        /* So that no rate is exceeded. */
        loop_clock_usec += 10 * 1000 * 1000;
        tell(fixture, "ListBudgets", "%s", "");
        return 0;
}
