/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/verifierlog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/*
 * What a log has to fit into: else the kernel returns ENOSPC instead of the reason, and before 6.4 the end is lost. It
 * is libbpf's own size (BPF_LOG_BUF_SIZE), and memory only as far as something is written.
 */
#define LOG_SIZE (16U * 1024 * 1024)

/*
 * The programs share the memory: the first one that is refused ends the load, so no other writes. That of program i
 * begins at byte i, and up to it all is 0. libbpf has a log written only when the load is tried again after an error.
 */
int verifier_log_init(struct verifier_log *log, struct bpf_object *object)
{
        struct bpf_program *program;
        size_t i = 0;

        *log = (struct verifier_log){ .text = calloc(1, LOG_SIZE) };
        if (!log->text)
                return -ENOMEM;
        log->object = object;
        bpf_object__for_each_program (program, object) {
                bpf_program__set_log_buf(program, log->text + i, LOG_SIZE - i);
                i++;
        }
        return 0;
}

void verifier_log_deinit(struct verifier_log *log)
{
        free(log->text);
        *log = (struct verifier_log){};
}

static void log_lines(const char *text)
{
        if (log_max_level() < LOG_DEBUG)
                return;
        while (*text) {
                size_t n = strcspn(text, "\n");

                log_debug("%.*s", (int) n, text);
                text += n + (text[n] != '\0');
        }
}

const struct bpf_program *verifier_log_refused(const struct verifier_log *log, char reason[static VERIFIER_REASON_MAX])
{
        struct bpf_program *program;
        size_t i = 0;

        if (!log->object)
                return NULL;
        bpf_object__for_each_program (program, log->object) {
                const char *text = log->text + i++;

                if (!*text)
                        continue;
                log_lines(text);
                verifier_reason(text, reason);
                return program;
        }
        return NULL;
}

void verifier_reason(const char *text, char reason[static VERIFIER_REASON_MAX])
{
        reason[0] = '\0';
        while (*text) {
                size_t n = strcspn(text, "\n");

                /* kernel/bpf/verifier.c, print_verification_stats() */
                if (n > 0 && strncmp(text, "processed ", strlen("processed ")) != 0)
                        snprintf(reason, VERIFIER_REASON_MAX, "%.*s", (int) n, text);
                text += n + (text[n] != '\0');
        }
}
