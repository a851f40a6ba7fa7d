/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How functions return errors, here and in ctl/:
 *
 * - 0 is success.
 * - A negative errno is a failure. The caller passes it up unchanged; who knows what it means to the user handles it,
 *   and logs one line there, with strerror(-r).
 * - A positive number is an answer, documented, best an enum of the function's noun. The caller handles it and does not
 *   pass it up.
 *
 * A function's comment names each negative errno that callers tell apart ("-ENOENT: there is none; another negative
 * errno"). No function returns -1 with errno set; a bool is an answer and no error; a pointer that is NULL is a lack of
 * memory unless its comment says otherwise. What has failed has left nothing open: what it opened is closed, what it
 * took over is freed.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* The kernel's own ENOTSUPP (include/linux/errno.h), which bpf(2) returns and strerror() has no text for. */
#define KERNEL_ENOTSUPP 524

/* What the kernel says by @error, a positive errno. */
static inline const char *kernel_error(int error)
{
        return error == KERNEL_ENOTSUPP ? "this kernel does not support it" : strerror(error);
}

/* The error in @r, for a caller to whom any answer is as good as success. */
static inline int error_only(int r)
{
        return r < 0 ? r : 0;
}

/* Whether @error, an errno, is of the machine at this moment and may be gone when the same is tried again. */
static inline bool error_is_passing(int error)
{
        return error == ENOMEM || error == EMFILE || error == ENFILE || error == EIO || error == EINTR;
}
