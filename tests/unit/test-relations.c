/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "account/bpffs.h"
#include "account/relations.h"
#include "base/log.h"
#include "fail-alloc.h"
#include "fake-cgroups.h"

/* What the kernel would tell. */
static struct holder_record *holder_records;
static const struct use_record *use_records;
static size_t holder_record_count, use_record_count;
static int fail_holders, fail_uses;
static unsigned int uses_read;

int kernel_read_holders(struct kernel *kernel, kernel_record_t callback, void *context)
{
        int r = -fail_holders;

        (void) kernel;
        for (size_t i = 0; r == 0 && i < holder_record_count; i++)
                r = callback(context, &holder_records[i]);
        return r;
}

int kernel_read_uses(struct kernel *kernel, kernel_record_t callback, void *context)
{
        int r = -fail_uses;

        (void) kernel;
        uses_read++;
        for (size_t i = 0; r == 0 && i < use_record_count; i++)
                r = callback(context, &use_records[i]);
        return r;
}

static char logged[4096];
static unsigned int logged_count;

int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st);

/* Programs are on a disk, wherever this test is. */
int __wrap_statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st)
{
        (void) fd;
        (void) path;
        (void) flags;
        (void) mask;
        *st = (struct statx){ .stx_dev_major = 8 };
        return 0;
}

void log_message(int priority, const char *format, ...)
{
        va_list ap;

        (void) priority;
        va_start(ap, format);
        vsnprintf(logged, sizeof(logged), format, ap);
        va_end(ap);
        logged_count++;
}

/* How often somebody asked for the program of a process. */
static unsigned int exe_count;

static struct fake_cgroup cgroups[] = { { 1, 0, "/", false }, { 10, 1, "/a", false } };
static struct fake_hierarchy hierarchy = { cgroups, 2, 0 };

static int setup(void **state)
{
        struct tree *tree = calloc(1, sizeof(*tree));

        holder_record_count = use_record_count = 0;
        fail_holders = fail_uses = 0;
        logged_count = uses_read = 0;
        *state = tree;
        return tree ? tree_init(tree, 1, fake_lookup, &hierarchy) : -1;
}

static int teardown(void **state)
{
        tree_deinit(*state);
        free(*state);
        return 0;
}

static void test_holders(void **state)
{
        /* No process has this number: it is above the kernel's limit. */
        const uint32_t ended = 1 << 23, self = getpid();
        struct holder_record records[] = {
                { .kind = OBJECT_MAP, .id = 7, .pid = ended, .cgroup_id = 10, .comm = "gone" },
                { .kind = OBJECT_PROGRAM, .id = 7, .pid = self, .comm = "me" },
                { .kind = OBJECT_MAP, .id = 7, .pid = self, .cgroup_id = 10, .comm = "me" },
                { .kind = OBJECT_MAP, .id = 7, .pid = self, .cgroup_id = 10, .comm = "me" },
        };
        struct relations relations;
        const struct holder *holders;
        size_t count;

        holder_records = records;
        holder_record_count = 4;
        assert_int_equal(relations_read(&relations, NULL, *state, RELATION_HOLDERS), 0);
        holders = relations_holders(&relations, OBJECT_MAP, 7, &count);
        assert_int_equal(count, 2);
        assert_int_equal(holders[0].record.pid, self);
        assert_non_null(holders[0].exe);
        assert_string_equal(holders[0].cgroup->path, "/a");
        assert_int_equal(holders[1].record.pid, ended);
        assert_string_equal(holders[1].record.comm, "gone");
        assert_null(holders[1].exe);
        assert_string_equal(holders[1].build_id, "");
        holders = relations_holders(&relations, OBJECT_PROGRAM, 7, &count);
        assert_int_equal(count, 1);
        assert_string_equal(holders[0].cgroup->path, "/");
        assert_null(relations_holders(&relations, OBJECT_MAP, 8, &count));
        assert_int_equal(count, 0);
        relations_deinit(&relations);
}

static void test_uses(void **state)
{
        static const struct use_record records[] = { { 5, 2 }, { 4, 2 }, { 5, 1 }, { 5, 2 }, { 4, 3 } };
        const struct use_record *list;
        struct relations relations;
        size_t count;

        use_records = records;
        use_record_count = 5;
        assert_int_equal(relations_read(&relations, NULL, *state, RELATION_USES), 0);
        list = relations_maps(&relations, 5, &count);
        assert_int_equal(count, 2);
        assert_int_equal(list[0].map_id, 1);
        assert_int_equal(list[1].map_id, 2);
        list = relations_programs(&relations, 2, &count);
        assert_int_equal(count, 2);
        assert_int_equal(list[0].program_id, 4);
        assert_int_equal(list[1].program_id, 5);
        assert_null(relations_programs(&relations, 9, &count));
        relations_deinit(&relations);
}

static void test_nothing_asked_for(void **state)
{
        struct relations relations;
        size_t count;

        assert_int_equal(relations_read(&relations, NULL, *state, 0), 0);
        assert_null(relations_holders(&relations, OBJECT_MAP, 1, &count));
        assert_null(relations_pins(&relations, OBJECT_MAP, 1, &count));
        relations_deinit(&relations);
}

/* --- Many ----------------------------------------------------------------------------------------------------------
 */

#define MANY 300

/* In whatever order they come, and however often: each is there once, in order, and what is asked for is found. */
static void test_many_holders(void **state)
{
        static struct holder_record records[MANY];
        bool there[2][8][8] = {};
        struct relations relations;
        size_t sum = 0;

        srandom(3);
        for (size_t i = 0; i < MANY; i++) {
                unsigned int kind = random() % 2, id = random() % 8, process = random() % 8;

                records[i] = (struct holder_record){
                        .kind = kind ? OBJECT_PROGRAM : OBJECT_MAP, .id = id, .pid = (1 << 23) + process
                };
                memset(records[i].comm, 'c', sizeof(records[i].comm));
                there[kind][id][process] = true;
        }
        holder_records = records;
        holder_record_count = MANY;
        exe_count = 0;
        assert_int_equal(relations_read(&relations, NULL, *state, RELATION_HOLDERS), 0);
        /* Each process is asked about once. */
        assert_int_equal(exe_count, 8);
        for (unsigned int kind = 0; kind < 2; kind++)
                for (unsigned int id = 0; id < 8; id++) {
                        const struct holder *holders;
                        size_t count, n = 0;

                        holders = relations_holders(&relations, kind ? OBJECT_PROGRAM : OBJECT_MAP, id, &count);
                        for (unsigned int process = 0; process < 8; process++) {
                                if (!there[kind][id][process])
                                        continue;
                                assert_true(n < count);
                                assert_int_equal(holders[n].record.pid, (1 << 23) + process);
                                assert_string_equal(holders[n].record.comm, "ccccccccccccccc");
                                n++;
                        }
                        assert_int_equal(count, n);
                        sum += n;
                }
        assert_int_equal(relations.holder_count, sum);
        relations_deinit(&relations);
        assert_int_equal(relations.holder_count, 0);
        assert_null(relations.holders);
}

static void test_many_uses(void **state)
{
        static struct use_record records[MANY];
        bool there[16][16] = {};
        struct relations relations;

        srandom(4);
        for (size_t i = 0; i < MANY; i++) {
                records[i] = (struct use_record){ random() % 16, random() % 16 };
                there[records[i].program_id][records[i].map_id] = true;
        }
        use_records = records;
        use_record_count = MANY;
        assert_int_equal(relations_read(&relations, NULL, *state, RELATION_USES), 0);
        for (unsigned int id = 0; id < 17; id++) {
                size_t map_count, program_count, n = 0, m = 0;
                const struct use_record *maps = relations_maps(&relations, id, &map_count);
                const struct use_record *programs = relations_programs(&relations, id, &program_count);

                for (unsigned int other = 0; id < 16 && other < 16; other++) {
                        if (there[id][other]) {
                                assert_true(n < map_count);
                                assert_int_equal(maps[n].program_id, id);
                                assert_int_equal(maps[n++].map_id, other);
                        }
                        if (there[other][id]) {
                                assert_true(m < program_count);
                                assert_int_equal(programs[m].map_id, id);
                                assert_int_equal(programs[m++].program_id, other);
                        }
                }
                assert_int_equal(map_count, n);
                assert_int_equal(program_count, m);
        }
        relations_deinit(&relations);
}

/* What a process is is asked once, and is the same for all that it holds. */
static void test_holder_of_several(void **state)
{
        struct holder_record records[3] = {};
        const struct holder *holders[3];
        struct relations relations;
        char own[4096];
        size_t count;
        ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

        assert_true(n > 0);
        own[n] = '\0';
        for (unsigned int i = 0; i < 3; i++)
                records[i] = (struct holder_record){
                        .kind = OBJECT_MAP, .id = i, .pid = i < 2 ? getpid() : 1 << 23, .cgroup_id = i < 2 ? 10 : 999
                };
        holder_records = records;
        holder_record_count = 3;
        assert_int_equal(relations_read(&relations, NULL, *state, RELATION_HOLDERS), 0);
        for (unsigned int i = 0; i < 3; i++) {
                holders[i] = relations_holders(&relations, OBJECT_MAP, i, &count);
                assert_int_equal(count, 1);
        }
        for (unsigned int i = 0; i < 2; i++) {
                assert_string_equal(holders[i]->exe, own);
                assert_string_equal(holders[i]->path, "/a");
                assert_string_equal(holders[i]->build_id, holders[0]->build_id);
        }
        assert_true(strlen(holders[0]->build_id) > 0);
        /* One of a cgroup that is gone. */
        assert_null(holders[2]->path);
        assert_null(holders[2]->exe);
        assert_string_equal(holders[2]->build_id, "");
        assert_false(holders[2]->cgroup->exists);
        relations_deinit(&relations);
}

/* --- Pins ----------------------------------------------------------------------------------------------------------
 */

/* A descriptor that a pin was opened as, and how the kernel would name it. */
static struct {
        int fd;
        uint32_t id;
        const char *link;
} opened[64];
static size_t opened_count, get_count;

/* The name of a pin says what it is: "map-5", "prog-5", "link-5"; what has another is none. */
int bpf_obj_get(const char *path)
{
        const char *name = strrchr(path, '/') + 1, *number = strchr(name, '-');

        get_count++;
        if (!number || strncmp(name, "bad", 3) == 0) {
                errno = EACCES;
                return -EACCES;
        }
        assert_true(opened_count < sizeof(opened) / sizeof(opened[0]));
        opened[opened_count].link = strncmp(name, "map", 3) == 0    ? "anon_inode:bpf-map"
                                    : strncmp(name, "prog", 4) == 0 ? "anon_inode:bpf-prog"
                                                                    : "anon_inode:bpf_link";
        opened[opened_count].id = atoi(number + 1);
        opened[opened_count].fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return opened[opened_count++].fd;
}

int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *size)
{
        for (size_t i = opened_count; i > 0; i--) {
                if (opened[i - 1].fd != fd)
                        continue;
                if (opened[i - 1].id == 0)
                        return -EINVAL;
                memcpy(info, (const uint32_t[]){ 77, opened[i - 1].id }, *size < 8 ? *size : 8);
                return 0;
        }
        return -EBADF;
}

ssize_t __real_readlink(const char *path, char *buffer, size_t size);
ssize_t __wrap_readlink(const char *path, char *buffer, size_t size);

ssize_t __wrap_readlink(const char *path, char *buffer, size_t size)
{
        int fd;

        if (sscanf(path, "/proc/self/fd/%d", &fd) == 1)
                for (size_t i = opened_count; i > 0; i--)
                        if (opened[i - 1].fd == fd) {
                                size_t n = strlen(opened[i - 1].link);

                                memcpy(buffer, opened[i - 1].link, n < size ? n : size);
                                return n < size ? n : size;
                        }
        exe_count += strncmp(path, "/proc/", 6) == 0 && strcmp(path + strlen(path) - 4, "/exe") == 0;
        return __real_readlink(path, buffer, size);
}

/* A directory with this name is on another device. */
static ino_t other_device;

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);

int __wrap_fstat(int fd, struct stat *st)
{
        int r = __real_fstat(fd, st);

        if (r == 0 && other_device && st->st_ino == other_device)
                st->st_dev++;
        return r;
}

/* So many files more are in the next directory. */
static unsigned int more_files;

struct dirent *__real_readdir(DIR *directory);
struct dirent *__wrap_readdir(DIR *directory);

struct dirent *__wrap_readdir(DIR *directory)
{
        static struct dirent entry = { .d_type = DT_REG, .d_name = "bad" };

        if (more_files == 0)
                return __real_readdir(directory);
        more_files--;
        return &entry;
}

/* Whether there are other instances of bpffs. */
static bool elsewhere;

bool bpffs_may_be_elsewhere(void)
{
        return elsewhere;
}

/* The mounts that there are. */
static const char *mounts_file;

FILE *__real_setmntent(const char *file, const char *mode);
FILE *__wrap_setmntent(const char *file, const char *mode);

FILE *__wrap_setmntent(const char *file, const char *mode)
{
        return __real_setmntent(strcmp(file, "/proc/self/mounts") == 0 ? mounts_file : file, mode);
}

struct mounts {
        char directory[64], file[80];
        struct tree *tree;
};

static int setup_mounts(void **state)
{
        static struct mounts m;

        opened_count = get_count = 0;
        other_device = 0;
        more_files = 0;
        strcpy(m.directory, "/tmp/bpfbudget-pins-XXXXXX");
        if (!mkdtemp(m.directory))
                return -1;
        snprintf(m.file, sizeof(m.file), "%s/mounts", m.directory);
        mounts_file = m.file;
        if (setup((void **) &m.tree) < 0)
                return -1;
        *state = &m;
        return 0;
}

static int teardown_mounts(void **state)
{
        struct mounts *m = *state;
        char command[96];

        teardown((void **) &m->tree);
        snprintf(command, sizeof(command), "exec rm -rf '%s'", m->directory);
        return system(command);
}

/* Makes the directories above @path and, if it does not end with a slash, the file. */
static void make(const struct mounts *m, const char *path)
{
        char whole[512];

        snprintf(whole, sizeof(whole), "%s/%s", m->directory, path);
        for (char *slash = whole + strlen(m->directory) + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = '\0';
                assert_true(mkdir(whole, 0755) == 0 || errno == EEXIST);
                *slash = '/';
        }
        if (whole[strlen(whole) - 1] != '/')
                close(open(whole, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

/* Writes the table of mounts: type and directory of each. */
static void mount_at(const struct mounts *m, const char *const mounts[][2], size_t n)
{
        FILE *file = fopen(m->file, "we");

        assert_non_null(file);
        for (size_t i = 0; i < n; i++)
                fprintf(file, "none %s/%s %s rw,relatime 0 0\n", m->directory, mounts[i][1], mounts[i][0]);
        assert_int_equal(fclose(file), 0);
}

/* @paths: where the object is pinned, below the test's directory and apart by spaces. */
static void assert_pins(const struct mounts *m, const struct relations *relations, uint32_t kind, uint32_t id,
                const char *paths)
{
        char text[512] = "";
        const struct pin *pins;
        size_t count;

        pins = relations_pins(relations, kind, id, &count);
        for (size_t i = 0; i < count; i++) {
                assert_int_equal(pins[i].kind, kind);
                assert_int_equal(pins[i].id, id);
                assert_true(strncmp(pins[i].path, m->directory, strlen(m->directory)) == 0);
                strcat(strcat(text, i ? " " : ""), pins[i].path + strlen(m->directory));
        }
        assert_string_equal(text, paths);
        assert_int_equal(pins == NULL, count == 0);
}

/* Maps and programs, in whatever directory of a bpffs; links, other files and other file systems are passed over. */
static void test_pins(void **state)
{
        static const char *const files[] = { "1/map-5", "1/z/map-5", "1/a/b/map-5", "1/a/prog-5", "1/a/map-6",
                "1/link-5", "1/bad-5", "1/map-0", "1/bad", "2/prog-6", "2/map-5", "3/map-5" };
        static const char *const mounts[][2] = { { "bpf", "1" }, { "tmpfs", "3" }, { "bpf", "no-such" }, { "bpf", "2" },
                { "bpf", "1" } };
        struct mounts *m = *state;
        struct relations relations;
        char target[96], name[96];
        size_t count;

        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
                make(m, files[i]);
        snprintf(target, sizeof(target), "%s/1/map-5", m->directory);
        snprintf(name, sizeof(name), "%s/2/map-9", m->directory);
        assert_int_equal(symlink(target, name), 0);
        mount_at(m, mounts, 5);
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_PINS), 0);
        assert_int_equal(relations.asked, RELATION_PINS);
        assert_pins(m, &relations, OBJECT_MAP, 5, "/1/a/b/map-5 /1/map-5 /1/z/map-5 /2/map-5");
        assert_pins(m, &relations, OBJECT_MAP, 6, "/1/a/map-6");
        assert_pins(m, &relations, OBJECT_PROGRAM, 5, "/1/a/prog-5");
        assert_pins(m, &relations, OBJECT_PROGRAM, 6, "/2/prog-6");
        assert_pins(m, &relations, OBJECT_MAP, 0, "");
        assert_pins(m, &relations, OBJECT_MAP, 9, "");
        assert_int_equal(relations.pin_count, 8); /* one is the link's own */
        assert_null(relations_holders(&relations, OBJECT_MAP, 5, &count));
        assert_int_equal(logged_count, 0);
        assert_true(opened_count > 0);
        for (size_t i = 0; i < opened_count; i++)
                assert_int_equal(fcntl(opened[i].fd, F_GETFD), -1);
        relations_deinit(&relations);
        assert_int_equal(relations.pin_count, 0);
}

/* A walk ends at a depth, and says so. */
static void test_pins_depth(void **state)
{
        static const char *const mounts[][2] = { { "bpf", "m" } };
        struct mounts *m = *state;
        struct relations relations;
        char path[256] = "m/";

        for (unsigned int i = 0; i < 17; i++) {
                char file[300];

                snprintf(file, sizeof(file), "%smap-%u", path, 1 + i);
                make(m, file);
                strcat(path, "d/");
        }
        mount_at(m, mounts, 1);
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_PINS), 0);
        assert_int_equal(relations.pin_count, 17);
        assert_int_equal(logged_count, 0);
        assert_false(relations.pins_unseen);
        relations_deinit(&relations);
        strcat(path, "map-18");
        make(m, path);
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_PINS), 0);
        assert_int_equal(relations.pin_count, 17);
        assert_int_equal(logged_count, 1);
        assert_true(relations.pins_unseen);
        relations_deinit(&relations);
}

/* What was not looked at: in other mount namespaces, and where the walk ended. */
static void test_pins_unseen(void **state)
{
        static const char *const mounts[][2] = { { "bpf", "m" } };
        struct mounts *m = *state;
        struct relations relations;

        make(m, "m/map-5");
        mount_at(m, mounts, 1);
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_PINS), 0);
        assert_false(relations.pins_unseen);
        relations_deinit(&relations);
        elsewhere = true;
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_PINS), 0);
        assert_true(relations.pins_unseen);
        assert_pins(m, &relations, OBJECT_MAP, 5, "/m/map-5");
        relations_deinit(&relations);
        /* Whoever does not ask for pins is not told of them either. */
        assert_int_equal(relations_read(&relations, NULL, m->tree, 0), 0);
        assert_false(relations.pins_unseen);
        relations_deinit(&relations);
        elsewhere = false;
}

/* And after a number of files, of each file system. */
static void test_pins_files(void **state)
{
        static const char *const mounts[][2] = { { "bpf", "1" }, { "bpf", "2" } };
        struct mounts *m = *state;
        struct relations relations;

        make(m, "1/map-1");
        make(m, "2/map-2");
        mount_at(m, mounts, 2);
        more_files = 99999;
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_PINS), 0);
        assert_pins(m, &relations, OBJECT_MAP, 1, "/1/map-1");
        assert_int_equal(logged_count, 0);
        relations_deinit(&relations);
        more_files = 100000;
        get_count = 0;
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_PINS), 0);
        assert_pins(m, &relations, OBJECT_MAP, 1, "");
        assert_pins(m, &relations, OBJECT_MAP, 2, "/2/map-2");
        assert_int_equal(get_count, 100001);
        assert_int_equal(logged_count, 1);
        relations_deinit(&relations);
        /* It is said once, however many there are. */
        more_files = 100010;
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_PINS), 0);
        assert_int_equal(logged_count, 2);
        relations_deinit(&relations);
}

/* What is mounted below a bpffs is its own walk. */
static void test_pins_of_one_device(void **state)
{
        static const char *const mounts[][2] = { { "bpf", "1" } };
        struct mounts *m = *state;
        struct relations relations;
        char path[96];
        struct stat st;

        make(m, "1/other/map-1");
        make(m, "1/same/map-2");
        mount_at(m, mounts, 1);
        snprintf(path, sizeof(path), "%s/1/other", m->directory);
        assert_int_equal(stat(path, &st), 0);
        other_device = st.st_ino;
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_PINS), 0);
        assert_int_equal(relations.pin_count, 1);
        assert_pins(m, &relations, OBJECT_MAP, 2, "/1/same/map-2");
        relations_deinit(&relations);
}

/* --- What fails ----------------------------------------------------------------------------------------------------
 */

/* Only what is asked for is read, and after a failure nothing more. */
static void test_failures(void **state)
{
        static const struct use_record uses[] = { { 1, 2 } };
        const uint32_t all = RELATION_HOLDERS | RELATION_USES | RELATION_PINS;
        static const char *const mounts[][2] = { { "bpf", "1" } };
        struct mounts *m = *state;
        struct relations relations;

        make(m, "1/map-1");
        mount_at(m, mounts, 1);
        use_records = uses;
        use_record_count = 1;
        assert_int_equal(relations_read(&relations, NULL, m->tree, RELATION_HOLDERS), 0);
        assert_int_equal(uses_read + get_count, 0);
        relations_deinit(&relations);
        assert_int_equal(relations_read(&relations, NULL, m->tree, all), 0);
        assert_int_equal(relations.use_count, 1);
        assert_int_equal(relations.pin_count, 1);
        relations_deinit(&relations);
        assert_int_equal(logged_count, 0);

        uses_read = get_count = 0;
        fail_holders = EOPNOTSUPP;
        assert_int_equal(relations_read(&relations, NULL, m->tree, all), -EOPNOTSUPP);
        assert_int_equal(uses_read + get_count, 0);
        assert_int_equal(logged_count, 1);
        relations_deinit(&relations);
        fail_holders = 0;
        fail_uses = EIO;
        assert_int_equal(relations_read(&relations, NULL, m->tree, all), -EIO);
        assert_int_equal(get_count, 0);
        assert_int_equal(logged_count, 2);
        relations_deinit(&relations);
        fail_uses = 0;
        assert_int_equal(unlink(m->file), 0);
        assert_int_equal(relations_read(&relations, NULL, m->tree, all), -ENOENT);
        assert_int_equal(logged_count, 3);
        relations_deinit(&relations);
}

static void test_no_memory(void **state)
{
        struct holder_record holders[] = { { .kind = OBJECT_MAP, .id = 1, .pid = getpid(), .cgroup_id = 10 },
                { .kind = OBJECT_MAP, .id = 2, .pid = getpid(), .cgroup_id = 10 } };
        static const struct use_record uses[] = { { 1, 2 }, { 3, 4 } };
        static const char *const mounts[][2] = { { "bpf", "1" } };
        struct mounts *m = *state;
        int r = -ENOMEM;

        make(m, "1/map-1");
        make(m, "1/prog-1");
        mount_at(m, mounts, 1);
        holder_records = holders;
        holder_record_count = 2;
        use_records = uses;
        use_record_count = 2;
        for (unsigned int n = 1; r < 0; n++) {
                struct relations relations;
                bool failed;

                assert_true(n < 200);
                opened_count = 0;
                fail_at = n;
                r = relations_read(&relations, NULL, m->tree, RELATION_HOLDERS | RELATION_USES | RELATION_PINS);
                failed = fail_at == 0;
                fail_at = 0;
                assert_int_equal(r, failed ? -ENOMEM : 0);
                assert_int_equal(logged_count, n - !failed);
                if (!failed)
                        assert_int_equal(relations.holder_count + relations.use_count + relations.pin_count, 6);
                relations_deinit(&relations);
        }
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_PINS(name) cmocka_unit_test_setup_teardown(name, setup_mounts, teardown_mounts)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_holders),
                TEST(test_uses),
                TEST(test_nothing_asked_for),
                TEST(test_many_holders),
                TEST(test_many_uses),
                TEST(test_holder_of_several),
                TEST_PINS(test_pins),
                TEST_PINS(test_pins_depth),
                TEST_PINS(test_pins_unseen),
                TEST_PINS(test_pins_files),
                TEST_PINS(test_pins_of_one_device),
                TEST_PINS(test_failures),
                TEST_PINS(test_no_memory),
        };

        return cmocka_run_group_tests_name("relations", tests, NULL, NULL);
}
