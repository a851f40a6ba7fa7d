/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer's entry: loads its input as a budget and as settings, and matches with what comes of it. Whatever is in a
 * file, messages are one line of text and, if it was taken, paths can be matched.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... tests/fuzz/fuzz-config.c daemon/policy/{config,fields,...}.c -linih
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "policy/config.h"
#include "policy/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[] = "/tmp/fuzz-config.XXXXXX";
static char budget_file[sizeof(directory) + 32], settings_file[sizeof(directory) + 32];

static void remove_directory(void)
{
        unlink(budget_file);
        unlink(settings_file);
        rmdir(directory);
}

static void make_directory(void)
{
        if (!mkdtemp(directory))
                abort();
        snprintf(budget_file, sizeof(budget_file), "%s/x.budget", directory);
        snprintf(settings_file, sizeof(settings_file), "%s/bpfbudgetd.conf", directory);
        atexit(remove_directory);
}

static void write_file(const char *file, const uint8_t *data, size_t size)
{
        _cleanup_close_ int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || write(fd, data, size) != (ssize_t) size)
                abort();
}

static void check_message(void *context, const char *file, unsigned int line, bool fatal, const char *message)
{
        size_t *fatals = context;

        if (!*file || !*message || line > 2 * 1024 * 1024)
                abort();
        for (const char *p = message; *p; p++)
                if ((unsigned char) *p < ' ' && *p != '\t')
                        abort();
        *fatals += fatal;
}

static void load_and_match(void)
{
        static const char *const paths[] = { "/", "/a", "/system.slice/a.service", "/system.slice/a.service/b/\xff/c" };
        struct config_machine machine = { .ram = 8ULL << 30 };
        struct config config;
        size_t fatals = 0;
        int r = config_load(&config, "", directory, &machine, check_message, &fatals);

        if ((r == 0) != (fatals == 0))
                abort();
        for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
                struct match_subject subject = { .path = paths[i], .uid = 0 };

                config_match(&config, &subject);
                patterns_match(&config.settings.never_throttle, paths[i]);
        }
        config_deinit(&config);
}

/* The first line as a glob, the second as a path: a glob that is the path of nothing but letters matches it. */
static void match_glob(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *glob = strndup((const char *) data, size);
        char *path;
        size_t length;
        uint64_t bytes;

        if (!glob)
                abort();
        path = strchr(glob, '\n');
        if (path)
                *path++ = '\0';
        if (!strpbrk(glob, "*?[") && strlen(glob) < 256 && !glob_match(glob, glob))
                abort();
        glob_match(glob, path ?: glob);
        path_unit(path ?: glob, &length);
        parse_bytes(glob, 1, &bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!*budget_file)
                make_directory();
        match_glob(data, size);
        write_file(budget_file, data, size);
        write_file(settings_file, (const uint8_t *) "", 0);
        load_and_match();
        write_file(settings_file, data, size);
        unlink(budget_file);
        load_and_match();
        return 0;
}
