/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How functions return errors, here and in ctl/:
 *
 *      0       success
 *      -errno  it failed. The caller passes it up unchanged; who knows what it means to the user handles it, and logs
 * one line there, with strerror(-r). > 0     an answer, documented and best an enum of the function's noun. The caller
 * handles it; it is not passed up.
 *
 * A function's comment names each negative errno that callers tell apart ("-ENOENT: there is none; another negative
 * errno"). No function returns -1 with errno set; a bool is an answer and no error; a pointer that is NULL is a lack of
 * memory unless its comment says otherwise. What has failed has left nothing open: what it opened is closed, what it
 * took over is freed.
 */
#pragma once

/* The error in @r, for a caller to whom any answer is as good as success. */
static inline int error_only(int r)
{
        return r < 0 ? r : 0;
}
