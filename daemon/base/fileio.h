/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files as a whole: read(2) and write(2) of all that is asked for, whatever interrupts them; files of a directory. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Reads @size bytes, or fewer at the end of the file. Returns the number of bytes read, or a negative errno. */
ssize_t read_all(int fd, char *buffer, size_t size);

/*
 * Writes @length bytes of @text to @fd, which may be non-blocking, and waits until all are written. Returns 0 or a
 * negative errno.
 */
int write_all(int fd, const char *text, size_t length);

/*
 * Replaces the file @path by one with the @size bytes of @text and the permissions @mode, atomically: it is written as
 * @new, in the same directory, and renamed. Returns 0 or a negative errno; then @path is as it was, and @new is gone.
 */
int replace_file(const char *path, const char *new, const char *text, size_t size, mode_t mode);

/* Opens the file @name of @directory for reading, close-on-exec. NULL: errno says why not. */
FILE *open_file_at(int directory, const char *name);

/* The number that the file @name of @directory begins with; @otherwise if there is none, or no such file. */
uint64_t read_number_at(int directory, const char *name, uint64_t otherwise);
