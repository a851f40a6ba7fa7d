/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the memory of one cgroup goes, in words and tables. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "field.h"
#include "graph.h"
#include "show.h"
#include "terminal.h"
#include "text.h"
#include "verbs.h"
#include "waste.h"
#include "why.h"

/* Columns of a bar in the table of shares. */
#define SHARE_BAR_WIDTH 20

/* Text without a terminal is wrapped here. */
#define TEXT_WIDTH 79

/* The shares of the interface, in words. */
static const struct {
        const char *name, *text;
} share_names[] = {
        { "anon", "anonymous" },
        { "file", "files (page cache)" },
        { "shmem", "shared memory" },
        { "sockets", "sockets" },
        { "pageTables", "page tables" },
        { "kernelStack", "kernel stacks" },
        { "bpf", "BPF maps and programs" },
        { "kernel", "other kernel memory" },
        { "other", "other" },
        { "slab", "  in slab" },
        { "percpu", "  in per-CPU memory" },
        { "vmalloc", "  in vmalloc" },
};

static const char *share_text(const char *name)
{
        for (size_t i = 0; i < sizeof(share_names) / sizeof(share_names[0]); i++)
                if (strcmp(share_names[i].name, name) == 0)
                        return share_names[i].text;
        return name;
}

/* --- Head --------------------------------------------------------------------------------------------------------- */

static void print_memory(const struct options *options, const json_t *answer)
{
        char current[FORMAT_BYTES_MAX], max[FORMAT_BYTES_MAX];

        if (!field_get(answer, "memoryCurrent"))
                return;
        printf("      Memory: %s in use",
                        format_bytes(current, field_integer(answer, "memoryCurrent"), options->bytes));
        if (field_get(answer, "memoryMax"))
                printf(", at most %s", format_bytes(max, field_integer(answer, "memoryMax"), options->bytes));
        putchar('\n');
}

static void print_budget(const struct options *options, const json_t *answer)
{
        const json_t *budget = field_get(answer, "cgroup.budget"), *ignored = field_get(budget, "ignored");
        _cleanup_free_ char *name = text_shown(field_string(budget, "name")),
                            *state = text_shown(field_string(budget, "state"));
        char usage[FORMAT_BYTES_MAX], high[FORMAT_BYTES_MAX], max[FORMAT_BYTES_MAX];

        if (!budget) {
                printf("      Budget: none\n");
                return;
        }
        format_bytes(usage, field_integer(budget, "usage"), options->bytes);
        format_bytes(high, field_integer(budget, "high"), options->bytes);
        format_bytes(max, field_integer(budget, "max"), options->bytes);
        printf("      Budget: %s: %s; %s, High %s, Max %s\n", name ?: "", state ?: "", usage,
                        field_get(budget, "high") ? high : "none", field_get(budget, "max") ? max : "none");
        for (size_t i = 0; i < json_array_size(ignored); i++) {
                _cleanup_free_ char *shown = text_shown(json_string_value(json_array_get(ignored, i)) ?: "");

                printf("     Ignored: %s\n", shown ?: "");
        }
}

/* Prints what the cgroup can grow to while nobody creates another object. */
static void print_committed(const struct options *options, const json_t *answer)
{
        uint64_t unbounded = field_integer(answer, "cgroup.bpf.unboundedCount");
        char committed[FORMAT_BYTES_MAX];

        if (!field_get(answer, "cgroup.bpf.committed"))
                return;
        printf("   Committed: %s",
                        format_bytes(committed, field_integer(answer, "cgroup.bpf.committed"), options->bytes));
        if (unbounded > 0)
                printf("; %llu %s no ceiling", (unsigned long long) unbounded,
                                unbounded == 1 ? "object has" : "objects have");
        putchar('\n');
}

static void print_head(const struct options *options, const json_t *answer)
{
        char allocated[FORMAT_BYTES_MAX], charged[FORMAT_BYTES_MAX], uncharged[FORMAT_BYTES_MAX];
        bool bold = terminal_colors();
        const char *path = field_string(answer, "cgroup.path");
        _cleanup_free_ char *label = cgroup_label(json_object_get(answer, "cgroup"), *path ? path : "(unknown)"),
                            *title = label ? text_shown(label) : NULL, *shown = text_shown(path);

        printf("%s%s%s\n", bold ? "\033[1m" : "", title ?: "(unknown)", bold ? "\033[0m" : "");
        if (label && *path && strcmp(label, path) != 0)
                printf("      Cgroup: %s\n", shown ?: "");
        print_memory(options, answer);
        printf("         BPF: %s: %s charged, %s uncharged\n",
                        format_bytes(allocated, field_integer(answer, "cgroup.bpf.allocated"), options->bytes),
                        format_bytes(charged, field_integer(answer, "bpfCharged"), options->bytes),
                        format_bytes(uncharged, field_integer(answer, "bpfUncharged"), options->bytes));
        print_committed(options, answer);
        print_budget(options, answer);
}

/* --- Shares ------------------------------------------------------------------------------------------------------- */

static int add_share(json_t *rows, const char *name, uint64_t bytes, uint64_t whole, bool in_whole)
{
        char bar[GRAPH_SIZE_MAX] = "";
        json_t *row;

        if (in_whole)
                graph_bar(bar, SHARE_BAR_WIDTH, bytes, whole, GRAPH_NO_MARK, text_is_utf8());
        row = json_pack("{ss sI so ss}", "name", name, "bytes", (json_int_t) bytes, "percent",
                        in_whole && whole ? json_integer(lround((double) bytes / whole * 100)) : json_null(), "bar",
                        bar);
        return json_array_append_new(rows, row) < 0 ? -ENOMEM : 0;
}

static int print_shares(const struct options *options, const json_t *answer)
{
        static const struct column columns[] = {
                { "MEMORY", "name", CELL_TEXT, true },
                { "SIZE", "bytes", CELL_SIZE },
                { "SHARE", "percent", CELL_PERCENT },
                { "", "bar", CELL_TEXT },
        };
        const json_t *shares = field_get(answer, "shares");
        uint64_t whole = field_integer(answer, "memoryCurrent");
        json_t *rows = json_array();
        int r = rows ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < json_array_size(shares); i++) {
                const json_t *share = json_array_get(shares, i);

                r = add_share(rows, share_text(field_string(share, "name")), field_integer(share, "bytes"), whole,
                                !field_true(share, "detail"));
        }
        if (r == 0)
                r = add_share(rows, "uncharged BPF", field_integer(answer, "bpfUncharged"), whole, false);
        if (r == 0) {
                putchar('\n');
                r = show_table(options, columns, sizeof(columns) / sizeof(columns[0]), rows, NULL);
        } else
                log_error("Out of memory");
        json_decref(rows);
        return r;
}

/* --- Objects ------------------------------------------------------------------------------------------------------ */

static int print_objects(const struct options *options, const json_t *answer)
{
        static const struct column columns[] = {
                { "OBJECT", "kind", CELL_TEXT },
                { "ID", "id", CELL_NUMBER },
                { "TYPE", "type", CELL_TEXT },
                { "NAME", "name", CELL_TEXT },
                { "CHARGED", "charged", CELL_SIZE },
                { "UNCHARGED", "uncharged", CELL_SIZE },
                { "FULL", "full", CELL_PERCENT },
                { "HOLDERS", "holders", CELL_HOLDERS, true },
                { "PINS", "pins", CELL_PINS, true },
        };
        const json_t *objects = field_get(answer, "objects");

        if (json_array_size(objects) == 0)
                return 0;
        putchar('\n');
        return show_table(options, columns, sizeof(columns) / sizeof(columns[0]), objects, NULL);
}

/* Prints what a change of the listed objects would save. */
static int print_waste(const struct options *options, const json_t *answer)
{
        static const struct column columns[] = {
                { "OBJECT", "object", CELL_TEXT },
                { "NAME", "name", CELL_TEXT },
                { "SAVED", "saved", CELL_SIZE },
                { "WHY", "reason", CELL_TEXT, true },
                { "CHANGE", "change", CELL_TEXT, true },
        };
        json_t *waste = waste_of(field_get(answer, "objects"));
        int r = 0;

        if (!waste)
                return -ENOMEM;
        if (json_array_size(waste) > 0) {
                putchar('\n');
                r = show_table(options, columns, sizeof(columns) / sizeof(columns[0]), waste, NULL);
        }
        json_decref(waste);
        return r;
}

/* --- Summary ------------------------------------------------------------------------------------------------------ */

/* Prints @text in lines of at most @width columns, broken at spaces. */
static void print_wrapped(const char *text, size_t width)
{
        size_t column = 0;

        while (*text) {
                size_t length = strcspn(text, " "), columns;
                _cleanup_free_ char *word = strndup(text, length), *shown = word ? text_shown(word) : NULL;

                columns = shown ? text_width(shown) : 0;
                if (column > 0 && column + 1 + columns > width) {
                        putchar('\n');
                        column = 0;
                }
                column += printf("%s", column ? " " : "") + columns;
                fputs(shown ?: "", stdout);
                text += length;
                text += strspn(text, " ");
        }
        putchar('\n');
}

static int print_answer(const struct options *options, const json_t *answer)
{
        size_t width = terminal_width() ?: TEXT_WIDTH;
        int r;

        print_head(options, answer);
        r = print_shares(options, answer);
        if (r == 0)
                r = print_objects(options, answer);
        if (r == 0)
                r = print_waste(options, answer);
        if (r < 0)
                return r;
        if (json_array_size(field_get(answer, "refusals")) > 0) {
                putchar('\n');
                why_print(options, answer);
        }
        putchar('\n');
        print_wrapped(field_string(answer, "verdict"), width < TEXT_WIDTH ? width : TEXT_WIDTH);
        return 0;
}

int verb_explain(const struct options *options, int argc, char *argv[])
{
        struct client client;
        json_t *answer;
        int r;

        (void) argc;
        r = ask_connect(&client, options);
        if (r == 0)
                r = ask_explain(&client, argv[0], &answer);
        if (r == 0) {
                r = options->json != JSON_OFF ? show_json(options, answer) : print_answer(options, answer);
                json_decref(answer);
        }
        client_deinit(&client);
        return r;
}
