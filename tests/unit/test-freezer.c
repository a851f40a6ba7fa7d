/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whom the freezer leaves alone, what it writes down, and what it does when that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "enforce/freezer.h"
#include "fail-alloc.h"
#include "fake-freezer.h"

#define SECOND (1000ULL * 1000)
#define START  (500 * SECOND)

struct fixture {
        char directory[64];
        char record[96], new_record[96];
        char box[96];
        uint64_t id;
        struct freezer freezer;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f || fake_make(f->directory) < 0)
                return -1;
        snprintf(f->record, sizeof(f->record), "%s/frozen", f->directory);
        snprintf(f->new_record, sizeof(f->new_record), "%s/frozen.new", f->directory);
        snprintf(f->box, sizeof(f->box), "%s/box", f->directory);
        f->id = fake_cgroup(f->box);
        f->freezer.file = f->record;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        int r;

        freezer_deinit(&f->freezer);
        r = fake_remove(f->directory);
        free(f);
        return r;
}

static int freeze_at(struct fixture *f, uint64_t id, const char *directory, struct frozen **frozen)
{
        return freezer_freeze(&f->freezer, id, directory, START, SECOND, frozen);
}

static int freeze(struct fixture *f, struct frozen **frozen)
{
        return freeze_at(f, f->id, f->box, frozen);
}

static bool exists(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0;
}

static void assert_record(const struct fixture *f, const char *expected)
{
        char text[1024];
        FILE *file = fopen(f->record, "re");
        size_t n;

        assert_non_null(file);
        n = fread(text, 1, sizeof(text) - 1, file);
        text[n] = '\0';
        fclose(file);
        assert_string_equal(text, expected);
        assert_false(exists(f->new_record));
}

/* Nothing is frozen, noted or written down. */
static void assert_untouched(const struct fixture *f)
{
        assert_null(f->freezer.first);
        assert_false(exists(f->record));
        assert_false(exists(f->new_record));
}

/* A cgroup beside the first. Returns its id. */
static uint64_t make(const struct fixture *f, const char *name, char directory[128])
{
        snprintf(directory, 128, "%s/%s", f->directory, name);
        return fake_cgroup(directory);
}

static void test_freeze_and_thaw(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;
        char line[256];
        struct stat st;

        assert_int_equal(freeze(f, &frozen), 0);
        assert_true(fake_is_set(f->box));
        assert_int_equal(frozen->id, f->id);
        assert_string_equal(frozen->directory, f->box);
        assert_int_equal(frozen->since_usec, START);
        assert_int_equal(frozen->until_usec, START + SECOND);
        assert_ptr_equal(f->freezer.first, frozen);
        snprintf(line, sizeof(line), "%llu %s\n", (unsigned long long) f->id, f->box);
        assert_record(f, line);
        assert_int_equal(stat(f->record, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_false(fake_is_set(f->box));
        assert_untouched(f);
        assert_int_equal(logged_count, 0);
}

/* --- Whose it becomes --------------------------------------------------------------------------------------------- */

/* Somebody else writes @text, which may be what is there. Returns whether it is frozen after its pause. */
static bool thaw_after_write(struct fixture *f, const char *text)
{
        struct frozen *frozen;

        assert_int_equal(freeze(f, &frozen), 0);
        freezer_take_writes(&f->freezer);
        assert_int_equal(frozen->until_usec, START + SECOND);
        fake_put(f->box, "cgroup.freeze", text);
        *calls = '\0';
        /* Also if nobody has looked since. */
        if (*text == '1') {
                freezer_take_writes(&f->freezer);
                assert_int_equal(frozen->until_usec, 0);
        }
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_null(strchr(calls, 'w'));
        assert_untouched(f);
        assert_non_null(strstr(logged, f->box));
        return fake_is_set(f->box);
}

static void test_somebody_writes(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;

        assert_false(thaw_after_write(f, "0\n"));
        assert_true(thaw_after_write(f, "1\n"));
        /* What they wrote before is forgotten with the next pause. */
        fake_put(f->box, "cgroup.freeze", "0\n");
        assert_int_equal(freeze(f, &frozen), 0);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_false(fake_is_set(f->box));
}

static void test_somebody_writes_to_one(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen, *other;
        char directory[128];
        uint64_t id = make(f, "other", directory);

        assert_int_equal(freeze(f, &frozen), 0);
        fake_put(f->box, "cgroup.freeze", "1\n");
        assert_int_equal(freeze_at(f, id, directory, &other), 0);
        assert_int_equal(other->until_usec, START + SECOND);
        assert_int_equal(frozen->until_usec, 0);
        assert_ptr_equal(f->freezer.first, frozen);
        assert_int_equal(freezer_thaw(&f->freezer, other), 0);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_false(fake_is_set(directory));
        assert_true(fake_is_set(f->box));
}

/* systemctl freeze writes nothing to what is frozen already. */
static void test_somebody_tells_the_manager(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;

        assert_int_equal(freeze(f, &frozen), 0);
        fake_frozen_unit = f->box;
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_true(fake_is_set(f->box));
        assert_untouched(f);
}

static void test_release_of_a_frozen_unit(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;

        assert_int_equal(freeze(f, &frozen), 0);
        freezer_deinit(&f->freezer);
        fake_frozen_unit = f->box;
        assert_int_equal(freezer_release(f->record), 0);
        assert_true(fake_is_set(f->box));
        assert_untouched(f);
        assert_non_null(strstr(logged, f->box));
}

/* --- Who is left alone ---------------------------------------------------------------------------------------------
 */

static void test_who_is_left_alone(void **state)
{
        static const struct {
                const char *control, *freeze, *events;
                int answer;
        } table[] = {
                { "", "0\n", "populated 1\nfrozen 0\n", 0 },
                { "\n", "0\n", "populated 1\nfrozen 0\n", 0 },
                { "cpu pids\n", "0\n", "populated 1\nfrozen 0\n", 0 },
                { "memory_x xmemory memorymemory\n", "0\n", "populated 1\nfrozen 0\n", 0 },
                { "memory\n", "0\n", "populated 1\nfrozen 0\n", FREEZER_INNER },
                { "memory", "0\n", "populated 1\nfrozen 0\n", FREEZER_INNER },
                { "cpu memory pids\n", "0\n", "populated 1\nfrozen 0\n", FREEZER_INNER },
                { "xmemory memory\n", "0\n", "populated 1\nfrozen 0\n", FREEZER_INNER },
                { "memory", "0\n", "populated 0\nfrozen 0\n", FREEZER_INNER },
                /* It was told to freeze, and is not all frozen yet. */
                { "", "1\n", "populated 1\nfrozen 0\n", FREEZER_ALREADY },
                { "", "1\n", "populated 1\nfrozen 1\n", FREEZER_ALREADY },
                /* By a cgroup above it. */
                { "", "0\n", "populated 1\nfrozen 1\n", FREEZER_ALREADY },
                { "", "0\n", "populated 0\nfrozen 1\n", FREEZER_ALREADY },
                { "", "0\n", "populated 0\nfrozen 0\n", FREEZER_EMPTY },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                struct frozen *frozen = NULL;

                fake_put(f->box, "cgroup.subtree_control", table[i].control);
                fake_put(f->box, "cgroup.freeze", table[i].freeze);
                fake_put(f->box, "cgroup.events", table[i].events);
                assert_int_equal(freeze(f, &frozen), table[i].answer);
                if (table[i].answer == 0) {
                        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
                        continue;
                }
                assert_int_equal(fake_is_set(f->box), table[i].freeze[0] == '1');
                assert_null(frozen);
                assert_untouched(f);
        }
}

/* A file that is not there is a cgroup that is not; one that cannot be read is an error. */
static void test_files(void **state)
{
        static const char *const names[] = { "cgroup.subtree_control", "cgroup.freeze", "cgroup.events" };
        struct fixture *f = *state;
        struct frozen *frozen;
        char directory[128], file[256];

        for (size_t i = 0; i < 3; i++) {
                uint64_t id = make(f, names[i], directory);

                snprintf(file, sizeof(file), "%s/%s", directory, names[i]);
                assert_int_equal(unlink(file), 0);
                assert_int_equal(freeze_at(f, id, directory, &frozen), FREEZER_GONE);
                assert_int_equal(mkdir(file, 0755), 0);
                assert_int_equal(freeze_at(f, id, directory, &frozen), -EISDIR);
                assert_untouched(f);
        }
}

static void test_no_cgroup(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;
        char path[PATH_MAX];

        assert_int_equal(freeze_at(f, f->id + 1, f->box, &frozen), FREEZER_GONE);
        snprintf(path, sizeof(path), "%s/no-such", f->directory);
        assert_int_equal(freeze_at(f, f->id, path, &frozen), FREEZER_GONE);
        snprintf(path, sizeof(path), "%s/cgroup.freeze", f->box);
        assert_int_equal(freeze_at(f, f->id, path, &frozen), FREEZER_GONE);
        /* The way to it is no link. */
        snprintf(path, sizeof(path), "%s/link", f->directory);
        assert_int_equal(symlink(f->box, path), 0);
        assert_int_equal(freeze_at(f, f->id, path, &frozen), FREEZER_GONE);
        fake_magic = TMPFS_MAGIC;
        assert_int_equal(freeze(f, &frozen), FREEZER_GONE);
        fake_magic = CGROUP2_SUPER_MAGIC;
        fail_id = EOPNOTSUPP;
        assert_int_equal(freeze(f, &frozen), -EOPNOTSUPP);
        fail_id = 0;
        assert_false(fake_is_set(f->box));
        assert_untouched(f);
}

/* A name that would not fit into a line of the record. No kernel makes such a cgroup. */
static void test_names(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;
        char directory[128];
        uint64_t id = make(f, "a\nb", directory);

        assert_int_equal(freeze_at(f, id, directory, &frozen), -EINVAL);
        assert_false(fake_is_set(directory));
        assert_untouched(f);
}

/* However long the way to it is, it is frozen, recorded, and thawed by the record. */
static void test_long_path(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;
        char *longest = malloc(3 * PATH_MAX + 1);

        assert_non_null(longest);
        for (size_t length = PATH_MAX - 1; length <= 3 * PATH_MAX; length += length < PATH_MAX ? 1 : PATH_MAX) {
                memset(longest, '/', length);
                strcpy(longest + length - strlen(f->box), f->box);
                /* Names that add up, and not only slashes. */
                for (size_t i = 0; i + 2 + strlen(f->box) < length; i += 2)
                        memcpy(longest + i, "/.", 2);
                assert_int_equal(freeze_at(f, f->id, longest, &frozen), 0);
                assert_true(fake_is_set(f->box));
                freezer_deinit(&f->freezer);
                assert_int_equal(freezer_release(f->record), 1);
                assert_false(fake_is_set(f->box));
                assert_untouched(f);
        }
        free(longest);
}

/* --- What is below it ----------------------------------------------------------------------------------------------
 */

/* Makes cgroups below the first until the path of the last one is @total bytes long. */
static void make_deep(const struct fixture *f, size_t total)
{
        int fd = open(f->box, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        size_t length = strlen(f->box);
        char name[256];

        memset(name, 'x', sizeof(name));
        while (length < total) {
                size_t rest = total - length - 1, size = rest > 250 ? 200 : rest;
                int below;

                assert_true(fd >= 0);
                name[size] = '\0';
                assert_true(mkdirat(fd, name, 0755) == 0 || errno == EEXIST);
                below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                close(fd);
                fd = below;
                name[size] = 'x';
                length += size + 1;
        }
        close(fd);
}

/* Nothing below it is searched: it is frozen whatever that is, and in no more time. */
static void test_what_is_below_is_no_matter(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;

        make_deep(f, 2 * PATH_MAX);
        assert_int_equal(freeze(f, &frozen), 0);
        assert_true(fake_is_set(f->box));
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_untouched(f);
}

/* --- The record ----------------------------------------------------------------------------------------------------
 */

/* What cannot be written down is not frozen, and leaves nothing. */
static void test_record_fails(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;
        char missing[128];

        snprintf(missing, sizeof(missing), "%s/no-such/frozen", f->directory);
        f->freezer.file = missing;
        assert_int_equal(freeze(f, &frozen), -ENOENT);
        assert_false(fake_is_set(f->box));
        f->freezer.file = f->record;
        /* Something else has its name. */
        assert_int_equal(mkdir(f->record, 0755), 0);
        assert_int_equal(freeze(f, &frozen), -EISDIR);
        assert_false(fake_is_set(f->box));
        assert_false(exists(f->new_record));
        assert_null(f->freezer.first);
}

/* The record is on disk, whole and by its name, before the cgroup is frozen. */
static void test_record_comes_first(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;

        assert_int_equal(freeze(f, &frozen), 0);
        assert_string_equal(calls, "srsw");
        *calls = '\0';
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_string_equal(calls, "w");
        fail_fsync = EIO;
        assert_int_equal(freeze(f, &frozen), -EIO);
        assert_false(fake_is_set(f->box));
        assert_untouched(f);
        fail_fsync = 0;
        fail_rename = ENOSPC;
        assert_int_equal(freeze(f, &frozen), -ENOSPC);
        assert_false(fake_is_set(f->box));
        assert_untouched(f);
}

/* What a predecessor has left of its record is written over, but not through a link. */
static void test_record_is_new(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;
        char line[256], target[96];

        fake_put(f->directory, "frozen.new",
                        "1 /left/by/a/predecessor/that/had/a/longer/name/than/this\n"
                        "2 /left/by/a/predecessor/that/had/a/longer/name/than/this\n");
        snprintf(line, sizeof(line), "%llu %s\n", (unsigned long long) f->id, f->box);
        assert_int_equal(freeze(f, &frozen), 0);
        assert_record(f, line);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);

        fake_put(f->directory, "target", "precious\n");
        snprintf(target, sizeof(target), "%s/target", f->directory);
        assert_int_equal(symlink(target, f->new_record), 0);
        assert_int_equal(freeze(f, &frozen), -ELOOP);
        assert_false(fake_is_set(f->box));
        assert_false(exists(f->new_record));
        snprintf(f->record, sizeof(f->record), "%s", target);
        assert_record(f, "precious\n");
}

/* What cannot be frozen is taken back; what was frozen before stays, and in the record. */
static void test_freezing_fails(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen, *other;
        char directory[128], line[256];
        uint64_t id = make(f, "other", directory);

        fail_pwrite = EIO;
        assert_int_equal(freeze(f, &frozen), -EIO);
        assert_untouched(f);
        fail_pwrite = ENODEV;
        assert_int_equal(freeze(f, &frozen), FREEZER_GONE);
        assert_untouched(f);
        fail_pwrite = 0;
        assert_int_equal(freeze_at(f, id, directory, &other), 0);
        snprintf(line, sizeof(line), "%llu %s\n", (unsigned long long) id, directory);
        fail_pwrite = EACCES;
        assert_int_equal(freeze(f, &frozen), -EACCES);
        assert_ptr_equal(f->freezer.first, other);
        assert_null(other->next);
        assert_record(f, line);
}

static void test_no_memory(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen = NULL;
        int r = -ENOMEM;

        for (unsigned int n = 1; r < 0; n++) {
                assert_true(n < 100);
                fail_at = n;
                r = freeze(f, &frozen);
                /* Without memory to sync the directory the record is there, and taken back. */
                if (fail_at == 0) {
                        assert_int_equal(r, -ENOMEM);
                        assert_false(fake_is_set(f->box));
                        assert_untouched(f);
                }
                fail_at = 0;
        }
        assert_int_equal(r, 0);
        assert_true(fake_is_set(f->box));
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_untouched(f);
}

/* It stays frozen, and in the record, until it can be thawed. One that is gone is no failure. */
static void test_thawing_fails(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;
        char line[256];

        snprintf(line, sizeof(line), "%llu %s\n", (unsigned long long) f->id, f->box);
        assert_int_equal(freeze(f, &frozen), 0);
        fail_pwrite = EIO;
        assert_int_equal(freezer_thaw(&f->freezer, frozen), -EIO);
        assert_ptr_equal(freezer_find(&f->freezer, f->id), frozen);
        assert_record(f, line);
        fail_pwrite = ENODEV;
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_untouched(f);

        /* The record that cannot be written is told, and no reason to leave it frozen. */
        fail_pwrite = 0;
        fake_put(f->box, "cgroup.freeze", "0\n");
        assert_int_equal(freeze(f, &frozen), 0);
        assert_int_equal(logged_count, 0);
        assert_int_equal(unlink(f->record), 0);
        assert_int_equal(mkdir(f->record, 0755), 0);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_false(fake_is_set(f->box));
        assert_int_equal(logged_count, 1);
        assert_non_null(strstr(logged, f->record));
}

/* --- The list ------------------------------------------------------------------------------------------------------
 */

static void assert_order(const struct freezer *freezer, struct frozen *const frozen[5], const size_t order[5])
{
        const struct frozen *next = freezer->first;

        for (size_t i = 0; i < 5; i++, next = next->next)
                assert_ptr_equal(next, frozen[order[i]]);
        assert_null(next);
}

/* By time, and of those with the same time the first comes first. */
static void test_list(void **state)
{
        static const unsigned int msec[] = { 30, 10, 20, 10, 30 };
        struct fixture *f = *state;
        struct frozen *frozen[5];
        char directory[128];

        for (size_t i = 0; i < 5; i++) {
                uint64_t id = make(f, (char[]){ 'a' + i, '\0' }, directory);

                assert_int_equal(freezer_freeze(&f->freezer, id, directory, START, msec[i], &frozen[i]), 0);
                assert_ptr_equal(freezer_find(&f->freezer, id), frozen[i]);
        }
        assert_null(freezer_find(&f->freezer, f->id));
        assert_order(&f->freezer, frozen, (const size_t[]){ 1, 3, 2, 0, 4 });
        freezer_set_until(&f->freezer, frozen[2], START + 100);
        freezer_set_until(&f->freezer, frozen[4], START + 10);
        assert_int_equal(frozen[4]->until_usec, START + 10);
        assert_order(&f->freezer, frozen, (const size_t[]){ 1, 3, 4, 0, 2 });
        /* One in the middle, the last and the first. */
        assert_int_equal(freezer_thaw(&f->freezer, frozen[4]), 0);
        assert_int_equal(freezer_thaw(&f->freezer, frozen[2]), 0);
        assert_int_equal(freezer_thaw(&f->freezer, frozen[1]), 0);
        assert_ptr_equal(f->freezer.first, frozen[3]);
        assert_ptr_equal(frozen[3]->next, frozen[0]);
        assert_null(frozen[0]->next);
        freezer_deinit(&f->freezer);
        assert_null(f->freezer.first);
        assert_int_equal(freezer_release(f->record), 2);
        assert_false(exists(f->record));
}

/* --- What was left -------------------------------------------------------------------------------------------------
 */

/* Of several those that can be thawed are, whatever is wrong with the others. */
static void test_release(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;
        char directory[128], text[512];
        uint64_t id = make(f, "other", directory);

        assert_int_equal(freezer_release(f->record), 0);
        assert_int_equal(freeze(f, &frozen), 0);
        assert_int_equal(freeze_at(f, id, directory, &frozen), 0);
        freezer_deinit(&f->freezer);
        assert_int_equal(freezer_release(f->record), 2);
        assert_false(fake_is_set(f->box));
        assert_false(fake_is_set(directory));
        assert_untouched(f);
        assert_int_equal(logged_count, 2);

        fake_put(f->box, "cgroup.freeze", "1\n");
        fake_put(directory, "cgroup.freeze", "1\n");
        snprintf(text, sizeof(text), "7\n%llu %s\n%llu %s\n", (unsigned long long) id + 1000000, directory,
                        (unsigned long long) f->id, f->box);
        fake_put(f->directory, "frozen", text);
        assert_int_equal(freezer_release(f->record), 1);
        assert_false(fake_is_set(f->box));
        assert_true(fake_is_set(directory));
        assert_untouched(f);
}

/* While one cannot be thawed, the record stays. */
static void test_release_fails(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen;
        char directory[128], line[512], file[256];
        uint64_t id = make(f, "other", directory);

        fake_put(f->box, "cgroup.freeze", "1\n");
        snprintf(line, sizeof(line), "%llu %s\n%llu %s\n", (unsigned long long) id, directory,
                        (unsigned long long) f->id, f->box);
        fake_put(f->directory, "frozen", line);
        snprintf(file, sizeof(file), "%s/cgroup.freeze", directory);
        assert_int_equal(unlink(file), 0);
        assert_int_equal(mkdir(file, 0755), 0);
        assert_int_equal(freezer_release(f->record), -EISDIR);
        assert_false(fake_is_set(f->box));
        assert_record(f, line);
        assert_non_null(strstr(logged, f->box));

        /* Then it has gone. */
        assert_int_equal(rmdir(file), 0);
        fail_pwrite = EIO;
        assert_int_equal(freezer_release(f->record), -EIO);
        assert_record(f, line);
        assert_non_null(strstr(logged, "cannot be thawed"));
        fail_pwrite = ENODEV;
        assert_int_equal(freezer_release(f->record), 0);
        assert_untouched(f);
        fail_pwrite = 0;
        assert_int_equal(freeze(f, &frozen), 0);
}

static void test_release_unreadable(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(mkdir(f->record, 0755), 0);
        assert_int_equal(freezer_release(f->record), -EISDIR);
        assert_int_equal(logged_count, 1);
        assert_true(exists(f->record));
        assert_int_equal(rmdir(f->record), 0);
        assert_int_equal(symlink(f->record, f->record), 0);
        assert_int_equal(freezer_release(f->record), -ELOOP);
        assert_int_equal(logged_count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_freeze_and_thaw),
                TEST(test_somebody_writes),
                TEST(test_somebody_writes_to_one),
                TEST(test_somebody_tells_the_manager),
                TEST(test_release_of_a_frozen_unit),
                TEST(test_who_is_left_alone),
                TEST(test_files),
                TEST(test_no_cgroup),
                TEST(test_names),
                TEST(test_long_path),
                TEST(test_what_is_below_is_no_matter),
                TEST(test_record_fails),
                TEST(test_record_comes_first),
                TEST(test_record_is_new),
                TEST(test_freezing_fails),
                TEST(test_no_memory),
                TEST(test_thawing_fails),
                TEST(test_list),
                TEST(test_release),
                TEST(test_release_fails),
                TEST(test_release_unreadable),
        };

        return cmocka_run_group_tests_name("freezer", tests, NULL, NULL);
}
