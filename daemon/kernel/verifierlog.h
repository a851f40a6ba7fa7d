/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verifier's logs of the programs of an object that is loaded: which one the kernel refused, and why. */
#pragma once

#include <stddef.h>

#include <bpf/libbpf.h>

/* Bytes of a reason, with the 0 at its end; longer ones are cut off. */
#define VERIFIER_REASON_MAX 80

struct verifier_log {
        struct bpf_object *object;
        char *text;
};

/*
 * Gives each program of @object, which has not been loaded yet, a log of its own. @log has to live as long as the
 * object is being loaded, and is to be given to verifier_log_deinit() in any case. Returns 0 or -ENOMEM.
 */
int verifier_log_init(struct verifier_log *log, struct bpf_object *object);
void verifier_log_deinit(struct verifier_log *log);

/*
 * After a load that failed: the program that the verifier refused, with why in @reason. NULL: the verifier refused
 * none. There is no log of a program that the kernel refuses before the verifier runs (bpf_prog_load(),
 * kernel/bpf/syscall.c).
 */
const struct bpf_program *verifier_log_refused(const struct verifier_log *log, char reason[static VERIFIER_REASON_MAX]);

/*
 * Why the verifier, whose log is @text, refused a program: the last line of the log that is not part of the statistics,
 * or "".
 */
void verifier_reason(const char *text, char reason[static VERIFIER_REASON_MAX]);
