/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For make check: gives a fuzzer's entry each file of its corpus, tests/fuzz/NAME, which is the name of the program
 * without "fuzz-"; and the same cut short, so that what ends too early is there, too. TAP. What fails ends it by a
 * signal.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The largest file of a corpus. */
#define INPUT_MAX 65536

static unsigned int inputs;

static void try(const uint8_t *data, size_t size)
{
        /* In memory of just its size, so that a sanitizer sees what is read behind its end. */
        uint8_t *copy = malloc(size ?: 1);

        if (!copy)
                abort();
        memcpy(copy, data, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
        inputs++;
}

static int try_file(const char *path)
{
        static uint8_t data[INPUT_MAX];
        FILE *file = fopen(path, "re");
        size_t size;

        if (!file)
                return -errno;
        size = fread(data, 1, sizeof(data), file);
        fclose(file);
        try(data, size);
        for (size_t part = size / 2; part > 0; part /= 2)
                try(data, part);
        return 0;
}

int main(void)
{
        const char *name = strstr(program_invocation_short_name, "fuzz-"), *source = getenv("srcdir") ?: ".";
        char directory[512], path[1024];
        struct dirent *entry;
        DIR *corpus;
        int r = 0;

        snprintf(directory, sizeof(directory), "%s/tests/fuzz/%s", source, name ? name + strlen("fuzz-") : "");
        corpus = opendir(directory);
        if (!corpus) {
                printf("Bail out! %s: %s\n", directory, strerror(errno));
                return EXIT_FAILURE;
        }
        try((const uint8_t *) "", 0);
        while (r == 0 && (entry = readdir(corpus)))
                if (*entry->d_name != '.') {
                        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
                        r = try_file(path);
                }
        closedir(corpus);
        printf("%s 1 - %u inputs of %s\n1..1\n", r == 0 && inputs > 1 ? "ok" : "not ok", inputs, directory);
        return r == 0 && inputs > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
