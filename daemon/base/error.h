/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How functions return errors, here and in ctl/:
 *
 * - 0 is success.
 * - A negative errno is a failure. The caller passes it up unchanged. The function that knows what it means to the user
 *   handles it, and logs one line with strerror(-r).
 * - A positive number is a documented answer, preferably an enum named after the function's noun. The caller handles it
 *   and does not pass it up.
 *
 * A function's comment names each negative errno that callers tell apart ("-ENOENT: there is none; another negative
 * errno"). No function returns -1 with errno set; a bool is an answer, not an error; a NULL pointer means that there is
 * no memory unless the comment says otherwise. A function that fails has closed what it opened, and freed what it took
 * over.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* The kernel's own ENOTSUPP (include/linux/errno.h), which bpf(2) returns and strerror() has no text for. */
#define KERNEL_ENOTSUPP 524

/* The text of @error, a positive errno of the kernel. */
static inline const char *kernel_error(int error)
{
        return error == KERNEL_ENOTSUPP ? "this kernel does not support it" : strerror(error);
}

/* Returns @r if it is an error, else 0: for callers that do not distinguish a positive answer from success. */
static inline int error_only(int r)
{
        return r < 0 ? r : 0;
}

/* Whether @error, an errno, has a temporary cause, so that a retry may succeed. */
static inline bool error_is_passing(int error)
{
        return error == ENOMEM || error == EMFILE || error == ENFILE || error == EIO || error == EINTR;
}
