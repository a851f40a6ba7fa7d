/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "configlog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

static void collect(json_t *texts, const char *file, unsigned int line, const char *message)
{
        _cleanup_free_ char *text = NULL;
        int n = line ? asprintf(&text, "%s:%u: %s", file, line, message) : asprintf(&text, "%s: %s", file, message);

        if (n < 0)
                text = NULL;
        else
                json_array_append_new(texts, json_string(text));
}

static void log_config(void *context, const char *file, unsigned int line, bool fatal, const char *message)
{
        struct config_log *log = context;
        json_t *texts;

        if (fatal)
                log->errors++;
        else
                log->warnings++;
        texts = fatal ? log->texts : log->warning_texts;
        if (texts)
                collect(texts, file, line, message);
        if (line)
                log_message(fatal ? LOG_ERR : LOG_WARNING, "%s:%u: %s", file, line, message);
        else
                log_message(fatal ? LOG_ERR : LOG_WARNING, "%s: %s", file, message);
}

int load_config(const char *directory, struct config *config, struct config_log *log)
{
        struct config_machine machine = { .ram = config_read_ram() };
        int r = config_load(config, "", directory, &machine, log_config, log);

        if (r < 0 && r != -EINVAL)
                log_error("The configuration cannot be read: %s", strerror(-r));
        return r;
}
