/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lost.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

/* A number: 20 digits at most. */
#define TEXT_SIZE 32

uint64_t lost_take(const char *file)
{
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        char text[TEXT_SIZE];
        ssize_t n;

        if (fd < 0)
                return 0;
        unlink(file);
        n = read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return 0;
        text[n] = '\0';
        return *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
}

void lost_leave(const char *file, uint64_t count)
{
        uint64_t before = lost_take(file);
        _cleanup_close_ int fd = -1;
        char text[TEXT_SIZE];
        int length;

        if (before + count == 0)
                return;
        fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
        length = snprintf(text, sizeof(text), "%llu\n", (unsigned long long) before + count);
        if (fd >= 0 && write(fd, text, length) < length)
                unlink(file);
}
