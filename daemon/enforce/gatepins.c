/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/gatepins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "bpf/gaterecords.h"
#include "kernel/owner.h"

#define LOCK_DIRECTORY "/run/bpfbudget"

/* --- One daemon at a time ----------------------------------------------------------------------------------------- */

/* Of this process: the lock that whoever works with the pins holds. It goes with the process. */
static int lock_fd = -1;

int gate_pins_lock(void)
{
        _cleanup_close_ int fd = -1;

        if (lock_fd >= 0 || !gate_pins_mounted())
                return 0;
        if (mkdir(LOCK_DIRECTORY, 0755) < 0 && errno != EEXIST)
                log_debug(LOCK_DIRECTORY " cannot be made: %s", strerror(errno));
        /* Not on bpffs: whoever can open a file, or a directory, can lock it. */
        fd = open(GATE_LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0) {
                log_warning(GATE_LOCK_FILE " cannot be opened (%s): a second bpfbudgetd would not be noticed",
                                strerror(errno));
                return 0;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : 0;
        /* For messages only: without room for it the lock holds as well. */
        if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", getpid()) < 0)
                log_debug(GATE_LOCK_FILE " cannot be written: %s", strerror(errno));
        lock_fd = fd;
        fd = -1;
        return 0;
}

pid_t gate_pins_holder(void)
{
        _cleanup_close_ int fd = open(GATE_LOCK_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        char text[32] = "";

        if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0)
                return 0;
        return (pid_t) strtol(text, NULL, 10);
}

void gate_pins_unlock(void)
{
        if (lock_fd >= 0)
                close(lock_fd);
        lock_fd = -1;
}

/* --- Pins --------------------------------------------------------------------------------------------------------- */

bool gate_pins_mounted(void)
{
        struct statfs fs;

        return statfs(BPFFS, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

static char *pin_path(const char *name, const char *suffix)
{
        char *path;

        return asprintf(&path, "%s/%s%s", GATE_DIRECTORY, name, suffix) < 0 ? NULL : path;
}

void gate_pins_stop_enforcing(void)
{
        _cleanup_free_ char *path = pin_path("gate_settings", "");
        _cleanup_close_ int fd = path ? bpf_obj_get(path) : -1;
        _cleanup_free_ struct gate_settings *settings = NULL;
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info), key = 0;

        if (fd < 0 || !is_roots(path) || bpf_obj_get_info_by_fd(fd, &info, &size) < 0 ||
                        info.type != BPF_MAP_TYPE_ARRAY || info.key_size != sizeof(key) ||
                        info.value_size < offsetof(struct gate_settings, reserved))
                return;
        settings = calloc(1, info.value_size);
        if (!settings || bpf_map_lookup_elem(fd, &key, settings) < 0)
                return;
        settings->enforcing = 0;
        bpf_map_update_elem(fd, &key, settings, BPF_ANY);
}

int gate_pins_remove(void)
{
        DIR *directory = opendir(GATE_DIRECTORY);
        struct dirent *entry;
        int count = 0;

        if (!directory) {
                if (errno == ENOENT)
                        return 0;
                count = -errno;
                log_error("%s cannot be read, so the gate stays closed: %s", GATE_DIRECTORY, strerror(-count));
                return count;
        }
        gate_pins_stop_enforcing();
        while ((entry = readdir(directory))) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                if (unlinkat(dirfd(directory), entry->d_name, 0) < 0)
                        log_error("%s/%s cannot be removed: %s", GATE_DIRECTORY, entry->d_name, strerror(errno));
                else
                        count++;
        }
        closedir(directory);
        if (rmdir(GATE_DIRECTORY) < 0) {
                count = -errno;
                log_error("%s cannot be removed: %s", GATE_DIRECTORY, strerror(-count));
        }
        return count;
}

int gate_pin_beside(int fd, const char *name)
{
        /* bpffs reserves names with dots. */
        _cleanup_free_ char *new = pin_path(name, "_new");

        if (!new)
                return -ENOMEM;
        unlink(new);
        return bpf_obj_pin(fd, new) < 0 ? -errno : 0;
}

int gate_pin_put_in_place(int fd, const char *name)
{
        _cleanup_free_ char *path = pin_path(name, ""), *new = pin_path(name, "_new");

        (void) fd;
        if (!path || !new)
                return -ENOMEM;
        return rename(new, path) < 0 ? -errno : 0;
}

int gate_pin_open_table(const struct bpf_map *map)
{
        _cleanup_free_ char *path = pin_path(bpf_map__name(map), "");
        struct bpf_map_info info = {};
        uint32_t size = sizeof(info);
        int fd, r;

        if (!path)
                return -ENOMEM;
        if (access(path, F_OK) < 0)
                return -errno;
        if (!is_roots(path))
                return -EUCLEAN;
        fd = bpf_obj_get(path);
        if (fd < 0)
                return errno == ENOENT ? -ENOENT : -EUCLEAN;
        if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.type != (uint32_t) bpf_map__type(map) ||
                        info.key_size != bpf_map__key_size(map) || info.value_size != bpf_map__value_size(map))
                r = -EUCLEAN;
        else if (info.max_entries < bpf_map__max_entries(map))
                r = -E2BIG;
        else
                return fd;
        close(fd);
        return r;
}

void gate_pins_remove_others(bool (*is_kept)(const char *name))
{
        DIR *directory = opendir(GATE_DIRECTORY);
        struct dirent *entry;

        while (directory && (entry = readdir(directory)))
                if (entry->d_name[0] != '.' && !is_kept(entry->d_name))
                        unlinkat(dirfd(directory), entry->d_name, 0);
        if (directory)
                closedir(directory);
}
