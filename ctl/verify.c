/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks configuration files without the daemon, by the code with which the daemon reads them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "field.h"
#include "policy/config.h"
#include "show.h"
#include "text.h"
#include "verbs.h"

struct findings {
        const struct options *options;
        json_t *list;
        size_t errors, warnings;
};

static void note(void *context, const char *file, unsigned int line, bool fatal, const char *message)
{
        struct findings *findings = context;
        json_t *finding;

        if (fatal)
                findings->errors++;
        else
                findings->warnings++;
        if (findings->options->json == JSON_OFF) {
                _cleanup_free_ char *name = text_shown(file), *text = text_shown(message);

                if (line)
                        printf("%s:%u: %s: %s\n", name ?: "", line, fatal ? "error" : "warning", text ?: "");
                else
                        printf("%s: %s: %s\n", name ?: "", fatal ? "error" : "warning", text ?: "");
                return;
        }
        finding = json_pack(
                        "{ss sI sb ss}", "file", file, "line", (json_int_t) line, "fatal", fatal, "message", message);
        json_array_append_new(findings->list, finding);
}

int verb_verify(const struct options *options, int argc, char *argv[])
{
        struct config_machine machine = { .ram = config_read_ram() };
        struct findings findings = { .options = options, .list = json_array() };
        struct config config = {};
        int r, shown = 0;

        r = config_load(&config, "", argc ? argv[0] : NULL, &machine, note, &findings);
        if (r < 0 && r != -EINVAL)
                log_error("The configuration cannot be read: %s", strerror(-r));
        else if (options->json != JSON_OFF)
                shown = show_json_list(options, "findings", findings.list);
        else if (options->legend)
                printf("%zu budgets, %zu errors, %zu warnings: the configuration %s\n", config.count, findings.errors,
                                findings.warnings,
                                r < 0                 ? "would not be used"
                                : findings.errors > 0 ? "would be used without these units' budgets"
                                                      : "is valid");
        if (r == 0 && findings.errors > 0)
                r = -EINVAL;
        json_decref(findings.list);
        config_deinit(&config);
        return r ?: shown;
}
