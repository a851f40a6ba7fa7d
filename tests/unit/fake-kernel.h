/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Doubles for report.c, which uses the kernel's capabilities and relations; tests of pure logic have none. */
#pragma once

#include <errno.h>

#include "kernel/kernel.h"

const struct capability *kernel_capabilities(const struct kernel *kernel, size_t *count)
{
        (void) kernel;
        *count = 0;
        return NULL;
}

int kernel_read_holders(struct kernel *kernel, kernel_record_t callback, void *context)
{
        (void) kernel;
        (void) callback;
        (void) context;
        return -EOPNOTSUPP;
}

int kernel_read_uses(struct kernel *kernel, kernel_record_t callback, void *context)
{
        (void) kernel;
        (void) callback;
        (void) context;
        return -EOPNOTSUPP;
}
