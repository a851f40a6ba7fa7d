/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fileio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/cleanup.h"

ssize_t read_all(int fd, char *buffer, size_t size)
{
        size_t count = 0;

        while (count < size) {
                ssize_t n = read(fd, buffer + count, size - count);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                count += n;
        }
        return count;
}

int write_all(int fd, const char *text, size_t length)
{
        while (length > 0) {
                ssize_t n = write(fd, text, length);

                if (n < 0 && errno == EAGAIN) {
                        struct pollfd waiting = { .fd = fd, .events = POLLOUT };

                        poll(&waiting, 1, -1);
                        continue;
                }
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                length -= n;
        }
        return 0;
}

int replace_file(const char *path, const char *new, const char *text, size_t size, mode_t mode)
{
        _cleanup_close_ int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
        int r;

        if (fd < 0)
                return -errno;
        r = write_all(fd, text, size);
        if (r == 0 && rename(new, path) < 0)
                r = -errno;
        if (r < 0)
                unlink(new);
        return r;
}

FILE *open_file_at(int directory, const char *name)
{
        int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
        FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

        if (!file && fd >= 0)
                close(fd);
        return file;
}

uint64_t read_number_at(int directory, const char *name, uint64_t otherwise)
{
        _cleanup_fclose_ FILE *file = open_file_at(directory, name);
        unsigned long long value;

        return file && fscanf(file, "%llu", &value) == 1 ? value : otherwise;
}
