/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read of a process: its executable, and the build id in that. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* With the functions that read what is in a file. */
#include "kernel/process.c"

/* --- Notes -------------------------------------------------------------------------------------------------------- */

static unsigned char notes[512];
static size_t notes_size;

static void add_note(uint32_t type, const char *name, uint32_t name_size, uint32_t size, unsigned char first)
{
        Elf64_Nhdr note = { .n_namesz = name_size, .n_descsz = size, .n_type = type };

        memcpy(notes + notes_size, &note, sizeof(note));
        notes_size += sizeof(note);
        memcpy(notes + notes_size, name, name_size);
        notes_size += (name_size + 3) & ~3U;
        for (uint32_t i = 0; i < size; i++)
                notes[notes_size + i] = first + i;
        notes_size += (size + 3) & ~3U;
}

/* Looks in exactly @notes_size bytes. */
static bool find(char buffer[BUILD_ID_MAX])
{
        unsigned char *copy = malloc(notes_size ?: 1);
        bool found;

        assert_non_null(copy);
        memcpy(copy, notes, notes_size);
        *buffer = '\0';
        found = find_build_id(copy, notes_size, buffer);
        free(copy);
        assert_int_equal(found, *buffer != '\0');
        return found;
}

static int setup(void **state)
{
        (void) state;
        memset(notes, 0, sizeof(notes));
        notes_size = 0;
        return 0;
}

static void test_first_note(void **state)
{
        char id[BUILD_ID_MAX];

        (void) state;
        assert_false(find(id));
        add_note(NT_GNU_BUILD_ID, "GNU", 4, 4, 0xab);
        assert_true(find(id));
        assert_string_equal(id, "abacadae");
}

/* Names and contents are padded to four bytes each. */
static void test_later_note(void **state)
{
        char id[BUILD_ID_MAX];

        (void) state;
        add_note(NT_GNU_BUILD_ID, "other", 6, 5, 0x10);
        add_note(NT_GNU_ABI_TAG, "GNU", 4, 3, 0x20);
        add_note(NT_GNU_BUILD_ID, "GNX", 4, 4, 0x30);
        add_note(NT_GNU_BUILD_ID, "GNU", 4, 20, 0);
        assert_true(find(id));
        assert_string_equal(id, "000102030405060708090a0b0c0d0e0f10111213");
}

/* What is too long, or does not fit, is none. */
static void test_odd_notes(void **state)
{
        char id[BUILD_ID_MAX];

        (void) state;
        add_note(NT_GNU_BUILD_ID, "GNU", 4, (BUILD_ID_MAX - 1) / 2 + 1, 0);
        assert_false(find(id));
        setup(NULL);
        add_note(NT_GNU_BUILD_ID, "GNU", 4, (BUILD_ID_MAX - 1) / 2, 1);
        assert_true(find(id));
        assert_int_equal(strlen(id), (BUILD_ID_MAX - 1) / 2 * 2);
        notes_size -= 1;
        assert_false(find(id));
        notes_size = sizeof(Elf64_Nhdr) - 1;
        assert_false(find(id));
        notes_size = sizeof(Elf64_Nhdr);
        assert_false(find(id));
        /* Sizes at which a sum would wrap around. */
        setup(NULL);
        add_note(1, "GNU", 4, 4, 0);
        ((Elf64_Nhdr *) notes)->n_descsz = UINT32_MAX;
        assert_false(find(id));
        ((Elf64_Nhdr *) notes)->n_namesz = UINT32_MAX;
        assert_false(find(id));
}

/* --- Processes ---------------------------------------------------------------------------------------------------- */

static unsigned int major_number; /* that files are on */
static int statx_result;

int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st);

int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st)
{
        assert_true(fd >= 0);
        assert_string_equal(path, "");
        assert_int_equal(flags, AT_EMPTY_PATH | AT_STATX_DONT_SYNC);
        assert_int_equal(mask, 0);
        /* Nothing has been opened that a server would be asked for. */
        assert_true(fcntl(fd, F_GETFL) & O_PATH);
        memset(st, 0, sizeof(*st));
        st->stx_dev_major = major_number;
        st->stx_dev_minor = 44;
        return statx_result;
}

struct own_notes {
        char id[BUILD_ID_MAX];
};

static int find_own(struct dl_phdr_info *info, size_t size, void *context)
{
        struct own_notes *own = context;

        (void) size;
        for (int i = 0; i < info->dlpi_phnum; i++)
                if (info->dlpi_phdr[i].p_type == PT_NOTE && !*own->id)
                        find_build_id((void *) (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
                                        info->dlpi_phdr[i].p_memsz, own->id);
        return 1; /* the first is the program */
}

static void test_own(void **state)
{
        char id[BUILD_ID_MAX] = "garbage", *exe, *expected;
        struct own_notes own = {};

        (void) state;
        major_number = 8;
        dl_iterate_phdr(find_own, &own);
        assert_true(strlen(own.id) >= 16);
        assert_ptr_equal(read_build_id(getpid(), id), id);
        assert_string_equal(id, own.id);
        exe = read_exe(getpid());
        expected = realpath("/proc/self/exe", NULL);
        assert_string_equal(exe, expected);
        free(expected);
        free(exe);
}

/* One that has ended. */
static void test_gone(void **state)
{
        char id[BUILD_ID_MAX] = "garbage";
        pid_t pid = fork();

        (void) state;
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_string_equal(read_build_id(pid, id), "");
        assert_null(read_exe(pid));
}

/* To read a file of a network file system, or of a server of FUSE, may never end: nobody does. */
static void test_not_on_disk(void **state)
{
        char id[BUILD_ID_MAX] = "garbage", *exe;

        (void) state;
        major_number = 0;
        assert_ptr_equal(read_build_id(getpid(), id), id);
        assert_string_equal(id, "");
        exe = read_exe(getpid());
        assert_non_null(exe);
        free(exe);
        major_number = 8;
        statx_result = -1;
        assert_string_equal(read_build_id(getpid(), id), "");
        statx_result = 0;
        assert_true(strlen(read_build_id(getpid(), id)) >= 16);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_first_note, setup),
                cmocka_unit_test_setup(test_later_note, setup),
                cmocka_unit_test_setup(test_odd_notes, setup),
                cmocka_unit_test(test_own),
                cmocka_unit_test(test_gone),
                cmocka_unit_test(test_not_on_disk),
        };

        return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
