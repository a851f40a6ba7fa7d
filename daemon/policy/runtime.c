/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fileio.h"
#include "policy/keys.h"

/* "+" sorts before digits, letters, "-" and ".": no file that people name so far comes before. */
#define PREFIX "+runtime-"
#define SUFFIX ".budget"

/* No budget that is written here is longer: one line that can be as long as lines may be, and short ones. Bytes. */
#define FILE_SIZE_MAX (LINE_LENGTH_MAX + 4096)

bool runtime_is(const char *directory, const struct budget *budget)
{
        size_t length = strlen(directory);

        return strncmp(budget->file, directory, length) == 0 && budget->file[length] == '/' &&
               strncmp(budget->file + length + 1, PREFIX, strlen(PREFIX)) == 0;
}

/* FNV-1a, for names that are too long. */
static uint64_t hash_of(const char *text)
{
        uint64_t hash = 0xcbf29ce484222325;

        for (; *text; text++)
                hash = (hash ^ (unsigned char) *text) * 0x100000001b3;
        return hash;
}

/*
 * The file's name for @path, as systemd-escape would make it: "/" is "-", and what is neither a letter, a digit, ":",
 * "_" nor "." is \xNN. What would be too long for a name ends in a hash instead.
 */
static void name_of(const char *path, char name[NAME_MAX + 1])
{
        const size_t most = NAME_MAX - strlen(SUFFIX) - 17;
        size_t n = sprintf(name, "%s", PREFIX);
        const char *p = path + (path[0] == '/' && path[1] != '\0');

        for (; *p && n + 4 <= most; p++)
                if (*p == '/')
                        name[n++] = '-';
                else if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                                *p == ':' || *p == '_' || *p == '.')
                        name[n++] = *p;
                else
                        n += sprintf(name + n, "\\x%02x", (unsigned char) *p);
        name[n] = '\0';
        if (*p)
                n += sprintf(name + n, "-%016llx", (unsigned long long) hash_of(path));
        strcpy(name + n, SUFFIX);
}

char *runtime_file(const char *directory, const char *path)
{
        char name[NAME_MAX + 1], *file;

        name_of(path, name);
        return asprintf(&file, "%s/%s", directory, name) < 0 ? NULL : file;
}

/* Reads @file; *text is NULL if it is not there. */
static int read_text(const char *file, char **text)
{
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        ssize_t n;

        *text = NULL;
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        *text = malloc(FILE_SIZE_MAX + 1);
        if (!*text)
                return -ENOMEM;
        n = read(fd, *text, FILE_SIZE_MAX);
        if (n < 0) {
                int r = -errno;

                free(*text);
                *text = NULL;
                return r;
        }
        (*text)[n] = '\0';
        return 0;
}

static int write_text(const char *directory, const char *file, const char *text)
{
        _cleanup_free_ char *new = NULL;

        /* Hidden, so that nobody reads it as a budget. */
        if (asprintf(&new, "%s/.runtime.new", directory) < 0) {
                new = NULL;
                return -ENOMEM;
        }
        return replace_file(file, new, text, strlen(text), 0644);
}

/* The text of the budget file, to be freed; NULL: no memory. */
static char *format_budget(const char *glob, const struct budget *budget)
{
        size_t size;
        char *text = NULL;
        FILE *file = open_memstream(&text, &size);

        if (!file)
                return NULL;
        fprintf(file, "# Set at run time. It is gone when the machine boots.\n[Match]\nCgroup=%s\n[Budget]\n", glob);
        for (size_t i = 0; i < budget_format.count; i++) {
                const struct key *key = &budget_format.keys[i];
                uint64_t value = key_get(key, budget);
                char value_text[KEY_TEXT_SIZE];

                if (key->runtime && value != key->initial && key_format(key, value, value_text))
                        fprintf(file, "%s=%s\n", key->name, value_text);
        }
        if (fclose(file) == EOF) {
                free(text);
                return NULL;
        }
        return text;
}

int runtime_write(const char *directory, const char *path, const struct budget *budget, char **before)
{
        _cleanup_free_ char *glob = NULL, *text = NULL, *file = runtime_file(directory, path);
        int r;

        *before = NULL;
        if (!file)
                return -ENOMEM;
        r = glob_escape(path, &glob);
        if (r < 0) {
                glob = NULL;
                return r;
        }
        text = format_budget(glob, budget);
        if (!text)
                return -ENOMEM;
        r = read_text(file, before);
        if (r < 0)
                return r;
        r = write_text(directory, file, text);
        if (r < 0) {
                free(*before);
                *before = NULL;
        }
        return r;
}

int runtime_remove(const char *directory, const char *path, char **before)
{
        _cleanup_free_ char *file = runtime_file(directory, path);
        int r;

        *before = NULL;
        if (!file)
                return -ENOMEM;
        r = read_text(file, before);
        if (r < 0)
                return r;
        if (!*before)
                return -ENOENT;
        if (unlink(file) == 0)
                return 0;
        r = -errno;
        free(*before);
        *before = NULL;
        return r;
}

int runtime_restore(const char *directory, const char *path, char *before)
{
        _cleanup_free_ char *file = runtime_file(directory, path), *text = before;

        if (!file)
                return -ENOMEM;
        if (!text)
                return unlink(file) < 0 && errno != ENOENT ? -errno : 0;
        return write_text(directory, file, text);
}
