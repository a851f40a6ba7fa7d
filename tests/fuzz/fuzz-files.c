/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libFuzzer's entry: the input as each file that is read again: what /run/bpfbudget has of events, of pauses, of lost
 * messages and of budgets set at run time, and what Docker and Podman keep of their containers. What comes of it is a
 * value or an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account/containernames.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "enforce/eventstore.h"
#include "enforce/freezer.h"
#include "policy/config.h"
#include "policy/runtime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of a container: 64 digits. */
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char directory[] = "/tmp/fuzz-files.XXXXXX";

static const char *const made[] = { "/var", "/var/lib", "/var/lib/docker", "/var/lib/docker/containers",
        ("/var/lib/docker/containers/" ID), "/var/lib/containers", "/var/lib/containers/storage",
        "/var/lib/containers/storage/overlay-containers" };
static const char *const files[] = { "/events.json", "/x.budget", "/var/lib/docker/containers/" ID "/config.v2.json",
        "/var/lib/containers/storage/overlay-containers/containers.json" };

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

static char *path_of(const char *name)
{
        static char path[256];

        snprintf(path, sizeof(path), "%s%s", directory, name);
        return path;
}

static void remove_all(void)
{
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                unlink(path_of(files[i]));
        for (size_t i = ELEMENTSOF(made); i > 0; i--)
                rmdir(path_of(made[i - 1]));
        rmdir(directory);
}

static void start(void)
{
        log_set_max_level(-1);
        if (!mkdtemp(directory))
                abort();
        atexit(remove_all);
        for (size_t i = 0; i < ELEMENTSOF(made); i++)
                if (mkdir(path_of(made[i]), 0755) < 0)
                        abort();
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
        _cleanup_close_ int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || write(fd, data, size) != (ssize_t) size)
                abort();
}

static void read_events(void)
{
        struct cgroupfs none = { .mount_fd = -1 };
        struct event_store store;

        if (event_store_init(&store, &none, path_of("/events.json"), true) < 0)
                abort();
        event_store_deinit(&store);
}

static void ignore(void *context, const char *file, unsigned int line, bool fatal, const char *message)
{
        (void) context;
        (void) line;
        (void) fatal;
        if (!*file || !*message)
                abort();
}

static void read_budget(void)
{
        struct config_machine machine = { .ram = 1ULL << 33 };
        struct config config;

        config_load(&config, "", directory, &machine, ignore, NULL);
        config_deinit(&config);
}

static void read_containers(void)
{
        static const char *const runtimes[] = { "docker", "podman" };
        struct container_names names;

        container_names_init(&names, directory, getuid());
        for (size_t i = 0; i < ELEMENTSOF(runtimes); i++) {
                char *name = NULL;

                if (container_names_find(&names, runtimes[i], ID, &name) > 0 && !*name)
                        abort();
                free(name);
        }
        container_names_deinit(&names);
}

/* Each line of the record of pauses. */
static void read_pauses(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = strndup((const char *) data, size);
        const char *place;
        uint64_t id;

        if (!text)
                abort();
        for (char *line = text, *end; line; line = end) {
                end = strchr(line, '\n');
                if (end)
                        *end++ = '\0';
                if (freezer_parse(line, &id, &place) == 0 && (id == 0 || *place != '/'))
                        abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static bool started;

        if (!started)
                start();
        started = true;
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                write_file(files[i], data, size);
        read_events();
        read_budget();
        read_containers();
        read_pauses(data, size);
        return 0;
}
