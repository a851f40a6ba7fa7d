/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/process.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The note of type NT_GNU_BUILD_ID in @notes, @size bytes of ELF notes. */
static bool find_build_id(const unsigned char *notes, size_t size, char buffer[BUILD_ID_MAX])
{
        size_t at = 0;

        while (size - at >= sizeof(Elf64_Nhdr)) {
                Elf64_Nhdr note;
                size_t name, descriptor, end;

                memcpy(&note, notes + at, sizeof(note));
                name = at + sizeof(note);
                descriptor = name + (((size_t) note.n_namesz + 3) & ~(size_t) 3);
                end = descriptor + (((size_t) note.n_descsz + 3) & ~(size_t) 3);
                if (end > size || end <= at)
                        return false;
                if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0 &&
                                note.n_descsz <= (BUILD_ID_MAX - 1) / 2) {
                        for (size_t i = 0; i < note.n_descsz; i++)
                                sprintf(buffer + 2 * i, "%02x", notes[descriptor + i]);
                        return true;
                }
                at = end;
        }
        return false;
}

/*
 * Whether opening and reading the file @fd (O_PATH) waits at most for a local disk. A server of FUSE, which anybody may
 * have in a user namespace, or of a network file system can let a reader hang that not even SIGKILL ends, and overlayfs
 * may be on top of one. A file system on a block device has its number (st_dev), others have anonymous ones, whose
 * major is 0. AT_STATX_DONT_SYNC asks no server.
 */
static bool is_on_disk(int fd)
{
        struct statx st;

        return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) == 0 && st.stx_dev_major != 0;
}

/*
 * Opens the program that process @pid runs. Returns a descriptor, or -1 if there is none, or if reading it could block
 * forever.
 */
static int open_program(uint32_t pid)
{
        _cleanup_close_ int file = -1;
        char path[64];

        snprintf(path, sizeof(path), "/proc/%u/exe", pid);
        file = open(path, O_PATH | O_CLOEXEC);
        if (file < 0 || !is_on_disk(file))
                return -1;
        /* The same file, whatever the process runs by now. */
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
        return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

char *read_build_id(uint32_t pid, char buffer[BUILD_ID_MAX])
{
        _cleanup_close_ int fd = open_program(pid);
        unsigned char notes[4096];
        Elf64_Ehdr header;

        buffer[0] = '\0';
        if (fd < 0 || pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
                        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
                return buffer;
        for (unsigned int i = 0; i < header.e_phnum && i < 64; i++) {
                Elf64_Phdr segment;
                ssize_t n;

                if (pread(fd, &segment, sizeof(segment), header.e_phoff + i * sizeof(segment)) != sizeof(segment))
                        return buffer;
                if (segment.p_type != PT_NOTE)
                        continue;
                n = pread(fd, notes, segment.p_filesz < sizeof(notes) ? segment.p_filesz : sizeof(notes),
                                segment.p_offset);
                if (n > 0 && find_build_id(notes, n, buffer))
                        return buffer;
        }
        return buffer;
}

char *read_exe(uint32_t pid)
{
        char path[64], target[PATH_MAX];
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%u/exe", pid);
        n = readlink(path, target, sizeof(target));
        return n > 0 && (size_t) n < sizeof(target) ? strndup(target, n) : NULL;
}
