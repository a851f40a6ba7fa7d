/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freezing and thawing of real cgroups, below the cgroup v2 hierarchy, whatever controllers it has. Skipped as a whole
 * where there is none that can be written.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "enforce/enforce.h"
#include "enforce/freezer.h"
#include "kernel/cgroupfs.h"
#include "policy/policy.h"
#include "unit/fake-cgroups.h"

#define TIMEOUT_MSEC 60000
#define SECOND       (1000ULL * 1000)
#define START        (500 * SECOND)

static char mount_point[256];

/* A cgroup of this test with a process in it that counts. */
struct box {
        char path[128]; /* below the mount */
        char directory[400];
        uint64_t id;
        pid_t pid; /* 0: nobody */
        volatile uint64_t *counter;
};

struct fixture {
        char record[64];
        struct freezer freezer;
        struct box boxes[4];
        size_t count;
};

/* --- Cgroups ------------------------------------------------------------------------------------------------------ */

static void sleep_msec(unsigned int msec)
{
        struct timespec ts = { msec / 1000, msec % 1000 * 1000000L };

        nanosleep(&ts, NULL);
}

static int put_text(const struct box *box, const char *name, const char *text)
{
        char path[512];
        int fd, r;

        snprintf(path, sizeof(path), "%s/%s", box->directory, name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
        close(fd);
        return r;
}

static void get_text(const char *path, char text[4096])
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        assert_true(fd >= 0);
        n = read(fd, text, 4095);
        assert_true(n >= 0);
        text[n] = '\0';
        close(fd);
}

/* What cgroup.freeze says. */
static bool is_set(const struct box *box)
{
        char path[512], text[4096];

        snprintf(path, sizeof(path), "%s/cgroup.freeze", box->directory);
        get_text(path, text);
        return text[0] == '1';
}

static bool is_frozen(const struct box *box)
{
        char path[512], text[4096];

        snprintf(path, sizeof(path), "%s/cgroup.events", box->directory);
        get_text(path, text);
        return strstr(text, "frozen 1");
}

static void wait_frozen(const struct box *box, bool frozen)
{
        for (int i = 0; i < TIMEOUT_MSEC && is_frozen(box) != frozen; i++)
                sleep_msec(1);
        assert_int_equal(is_frozen(box), frozen);
}

static void wait_counts(const struct box *box)
{
        uint64_t before = *box->counter;

        for (int i = 0; i < TIMEOUT_MSEC && *box->counter == before; i++)
                sleep_msec(1);
        assert_true(*box->counter > before);
}

/* Only what runs counts. */
static void assert_stands(const struct box *box)
{
        uint64_t before = *box->counter;

        sleep_msec(50);
        assert_int_equal(*box->counter, before);
}

static struct box *make_box(struct fixture *f, const struct box *parent, const char *name)
{
        struct box *box = &f->boxes[f->count];
        int fd;

        assert_true(f->count < sizeof(f->boxes) / sizeof(f->boxes[0]));
        if (parent) {
                strcpy(box->path, parent->path);
                strcat(strcat(box->path, "/"), name);
        } else
                snprintf(box->path, sizeof(box->path), "/bpfbudget-freezer-%d-%s", (int) getpid(), name);
        strcat(strcpy(box->directory, mount_point), box->path);
        assert_int_equal(mkdir(box->directory, 0755), 0);
        f->count++;
        fd = open(box->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(cgroupfs_id_of(fd, &box->id), 0);
        close(fd);
        box->counter = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(box->counter != MAP_FAILED);
        return box;
}

static void populate(struct box *box)
{
        box->pid = fork();
        assert_true(box->pid >= 0);
        if (box->pid == 0) {
                if (put_text(box, "cgroup.procs", "0") < 0)
                        _exit(1);
                for (;;) {
                        *box->counter += 1;
                        sleep_msec(1);
                }
        }
        wait_counts(box);
}

static void end_process(struct box *box)
{
        if (!box->pid)
                return;
        kill(box->pid, SIGKILL);
        waitpid(box->pid, NULL, 0);
        box->pid = 0;
}

static void remove_box(struct box *box)
{
        int r;

        end_process(box);
        r = rmdir(box->directory);
        for (int tries = 0; r < 0 && errno == EBUSY && tries < 200; tries++) {
                sleep_msec(10);
                r = rmdir(box->directory);
        }
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        strcpy(f->record, "/tmp/bpfbudget-freezer-XXXXXX");
        if (!mkdtemp(f->record))
                return -1;
        strcat(f->record, "/frozen");
        f->freezer.file = f->record;
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        freezer_deinit(&f->freezer);
        while (f->count > 0)
                remove_box(&f->boxes[--f->count]);
        unlink(f->record);
        *strrchr(f->record, '/') = '\0';
        rmdir(f->record);
        free(f);
        return 0;
}

static int freeze(struct fixture *f, const struct box *box, struct frozen **frozen)
{
        return freezer_freeze(&f->freezer, box->id, box->directory, START, SECOND, frozen);
}

static bool has_record(const struct fixture *f)
{
        return access(f->record, F_OK) == 0;
}

static void write_record(const struct fixture *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void write_record(const struct fixture *f, const char *format, ...)
{
        _cleanup_fclose_ FILE *file = fopen(f->record, "we");
        va_list ap;

        assert_non_null(file);
        va_start(ap, format);
        assert_true(vfprintf(file, format, ap) > 0);
        va_end(ap);
}

/* --- Freezing ----------------------------------------------------------------------------------------------------- */

static void test_freeze_and_thaw(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a b");
        struct frozen *frozen;
        char record[4096], expected[512];

        populate(box);
        assert_int_equal(freeze(f, box, &frozen), 0);
        wait_frozen(box, true);
        assert_stands(box);
        get_text(f->record, record);
        snprintf(expected, sizeof(expected), "%llu %s\n", (unsigned long long) box->id, box->directory);
        assert_string_equal(record, expected);
        assert_ptr_equal(freezer_find(&f->freezer, box->id), frozen);
        assert_int_equal(frozen->until_usec, START + SECOND);

        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_false(is_set(box));
        wait_counts(box);
        assert_false(has_record(f));
        assert_null(freezer_find(&f->freezer, box->id));
}

static void test_several_by_time(void **state)
{
        struct fixture *f = *state;
        struct frozen *frozen[3];

        for (int i = 0; i < 3; i++) {
                struct box *box = make_box(f, NULL, (char[]){ 'a' + i, '\0' });

                populate(box);
                assert_int_equal(freezer_freeze(&f->freezer, box->id, box->directory, START, (3 - i) * SECOND,
                                                 &frozen[i]),
                                0);
        }
        assert_ptr_equal(f->freezer.first, frozen[2]);
        freezer_set_until(&f->freezer, frozen[0], START);
        assert_ptr_equal(f->freezer.first, frozen[0]);
        assert_ptr_equal(f->freezer.first->next, frozen[2]);
        /* Those that are left stay in the record. */
        assert_int_equal(freezer_thaw(&f->freezer, frozen[0]), 0);
        freezer_deinit(&f->freezer);
        assert_true(is_set(&f->boxes[1]) && is_set(&f->boxes[2]));
        assert_int_equal(freezer_release(f->record), 2);
        for (int i = 0; i < 3; i++)
                assert_false(is_set(&f->boxes[i]));
}

static void test_somebody_elses_stays(void **state)
{
        struct fixture *f = *state;
        struct box *parent = make_box(f, NULL, "a"), *child = make_box(f, parent, "b");
        struct frozen *frozen;

        populate(child);
        assert_int_equal(put_text(child, "cgroup.freeze", "1"), 0);
        assert_int_equal(freeze(f, child, &frozen), FREEZER_ALREADY);
        assert_true(is_set(child));
        assert_false(has_record(f));

        /* Frozen from above. */
        assert_int_equal(put_text(child, "cgroup.freeze", "0"), 0);
        assert_int_equal(put_text(parent, "cgroup.freeze", "1"), 0);
        wait_frozen(child, true);
        assert_int_equal(freeze(f, child, &frozen), FREEZER_ALREADY);
        assert_false(is_set(child));
        assert_int_equal(put_text(parent, "cgroup.freeze", "0"), 0);
}

/* Real cgroups tell of writes that change nothing, too; those of others stay. */
static void test_somebody_writes(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a"), *other = make_box(f, NULL, "b");
        struct frozen *frozen, *frozen_other;

        populate(box);
        populate(other);
        assert_int_equal(freeze(f, box, &frozen), 0);
        assert_int_equal(freeze(f, other, &frozen_other), 0);
        freezer_take_writes(&f->freezer);
        assert_int_equal(frozen->until_usec, START + SECOND);
        wait_frozen(box, true);
        assert_int_equal(put_text(box, "cgroup.freeze", "1"), 0);
        freezer_take_writes(&f->freezer);
        assert_int_equal(frozen->until_usec, 0);
        assert_int_equal(frozen_other->until_usec, START + SECOND);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_int_equal(freezer_thaw(&f->freezer, frozen_other), 0);
        wait_counts(other);
        assert_true(is_set(box));
        assert_stands(box);
        assert_false(has_record(f));

        /* They thaw it, and it is paused for the next growth. */
        assert_int_equal(put_text(box, "cgroup.freeze", "0"), 0);
        wait_counts(box);
        assert_int_equal(freeze(f, box, &frozen), 0);
        wait_frozen(box, true);
        assert_int_equal(put_text(box, "cgroup.freeze", "0"), 0);
        wait_counts(box);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_int_equal(freeze(f, box, &frozen), 0);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_false(is_set(box));
}

static void test_nobody_there(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a");
        struct frozen *frozen;

        assert_int_equal(freeze(f, box, &frozen), FREEZER_EMPTY);
        assert_false(is_set(box));
        /* Its name is another's now, or it is no cgroup at all. */
        assert_int_equal(freezer_freeze(&f->freezer, box->id + 1, box->directory, START, 1, &frozen), FREEZER_GONE);
        assert_int_equal(freezer_freeze(&f->freezer, 1, "/tmp", START, 1, &frozen), FREEZER_GONE);
        remove_box(box);
        assert_int_equal(freeze(f, box, &frozen), FREEZER_GONE);
        assert_false(has_record(f));
}

/* What is below is frozen with it. */
static void test_below(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a"), *child = make_box(f, box, "b"), *grandchild = make_box(f, child, "c");
        struct frozen *frozen;

        populate(grandchild);
        assert_int_equal(freeze(f, box, &frozen), 0);
        wait_frozen(grandchild, true);
        assert_stands(grandchild);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        wait_counts(grandchild);
}

/* What a tenant makes below a cgroup, however deep and many, is no way out. */
static void test_dodge(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a");
        struct frozen *frozen;
        char name[251];
        int fds[18];

        memset(name, 'x', sizeof(name));
        name[250] = '\0';
        populate(box);
        fds[0] = open(box->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; i < 17; i++) {
                assert_int_equal(mkdirat(fds[i], name, 0755), 0);
                fds[i + 1] = openat(fds[i], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                assert_true(fds[i + 1] >= 0);
        }
        assert_int_equal(freeze(f, box, &frozen), 0);
        wait_frozen(box, true);
        assert_stands(box);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        wait_counts(box);
        close(fds[17]);
        for (int i = 16; i >= 0; i--) {
                assert_int_equal(unlinkat(fds[i], name, AT_REMOVEDIR), 0);
                close(fds[i]);
        }
}

static void test_removed_while_frozen(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a");
        struct frozen *frozen;

        populate(box);
        assert_int_equal(freeze(f, box, &frozen), 0);
        remove_box(box);
        assert_int_equal(access(box->directory, F_OK), -1);
        assert_int_equal(freezer_thaw(&f->freezer, frozen), 0);
        assert_false(has_record(f));
}

/* What cannot be written down is not frozen. */
static void test_no_record_no_freeze(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a");
        struct frozen *frozen;

        populate(box);
        f->freezer.file = "/tmp/bpfbudget-no-such-directory/frozen";
        assert_int_equal(freeze(f, box, &frozen), -ENOENT);
        assert_false(is_set(box));
        assert_null(f->freezer.first);
}

/* --- What was left ------------------------------------------------------------------------------------------------ */

static void test_release(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a");
        struct frozen *frozen;

        populate(box);
        assert_int_equal(freezer_release(f->record), 0);
        assert_int_equal(freeze(f, box, &frozen), 0);
        wait_frozen(box, true);
        /* As if the daemon had died. */
        freezer_deinit(&f->freezer);
        assert_true(is_set(box));
        assert_int_equal(freezer_release(f->record), 1);
        wait_frozen(box, false);
        assert_false(has_record(f));
        assert_int_equal(freezer_release(f->record), 0);
}

static void test_release_gone(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a");
        struct frozen *frozen;

        populate(box);
        assert_int_equal(freeze(f, box, &frozen), 0);
        freezer_deinit(&f->freezer);
        remove_box(box);
        assert_int_equal(freezer_release(f->record), 0);
        assert_false(has_record(f));
}

/* Of a damaged record what can be read is thawed; what is somebody else's, by its id, is not. */
static void test_release_damaged(void **state)
{
        struct fixture *f = *state;
        struct box *left = make_box(f, NULL, "left"), *foreign = make_box(f, NULL, "foreign");

        populate(left);
        populate(foreign);
        assert_int_equal(put_text(left, "cgroup.freeze", "1"), 0);
        assert_int_equal(put_text(foreign, "cgroup.freeze", "1"), 0);
        write_record(f, "\x01\x02garbage\n%llu %s\n7\n%llu %s\n1 /etc\n%llu %.*s",
                        (unsigned long long) foreign->id + 1000, foreign->directory, (unsigned long long) left->id,
                        left->directory, (unsigned long long) foreign->id, (int) strlen(foreign->directory) - 2,
                        foreign->directory);
        assert_int_equal(freezer_release(f->record), 1);
        assert_false(is_set(left));
        assert_true(is_set(foreign));
        assert_false(has_record(f));
}

/*
 * Runs the daemon with @option in a /run of its own, that has @box in its record, and without BTF, so that it does not
 * start. Returns its exit status.
 */
static int run_daemon(const struct box *box, const char *option)
{
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                const char *daemon = getenv("BPFBUDGETD") ?: "bpfbudgetd";
                FILE *file;

                if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                                mount("none", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/bpfbudget", 0755) < 0 ||
                                mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL) < 0)
                        _exit(98);
                file = fopen(FREEZER_FILE, "w");
                if (!file || fprintf(file, "%llu %s\n", (unsigned long long) box->id, box->directory) < 0 ||
                                fclose(file) != 0)
                        _exit(98);
                execlp(daemon, daemon, option, NULL);
                _exit(99);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_true(WEXITSTATUS(status) < 98);
        return WEXITSTATUS(status);
}

static void test_release_option(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a");

        populate(box);
        assert_int_equal(put_text(box, "cgroup.freeze", "1"), 0);
        assert_int_equal(run_daemon(box, "--release"), 0);
        assert_false(is_set(box));
        wait_counts(box);
}

/* A successor thaws before all else, even one that then fails to start. */
static void test_successor(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a");

        populate(box);
        assert_int_equal(put_text(box, "cgroup.freeze", "1"), 0);
        assert_true(run_daemon(box, "--json=short") != 0);
        assert_false(is_set(box));
        wait_counts(box);
}

/* One that only says what it would do touches nothing, nor does one that is tried out beside the system's. */
static void test_others_release_nothing(void **state)
{
        struct fixture *f = *state;
        struct box *box = make_box(f, NULL, "a");

        populate(box);
        assert_int_equal(put_text(box, "cgroup.freeze", "1"), 0);
        assert_true(run_daemon(box, "--dry-run") != 0);
        assert_true(run_daemon(box, "--config=/tmp") != 0);
        run_daemon(box, "--check-config");
        assert_true(run_daemon(box, "--once") != 0);
        assert_true(is_set(box));
}

/* --- Who is paused for what --------------------------------------------------------------------------------------- */

#define MIB (1024ULL * 1024)

/* A slice with a budget and two services in it, one of them with a process. */
struct scene {
        struct box *slice, *service, *other;
        struct fake_cgroup cgroups[4];
        struct fake_hierarchy hierarchy;
        struct tree tree;
        struct cgroupfs cgroupfs;
        struct capability capability;
        struct settings settings;
        struct budget budget;
        struct policy policy;
        struct enforce enforce;
};

static void add(struct scene *s, const struct box *box, uint64_t bytes)
{
        struct usage change = { .allocated = bytes };
        struct cgroup *cgroup;

        assert_int_equal(tree_get(&s->tree, box->id, &cgroup), 0);
        tree_add(&s->tree, cgroup, &change);
        tree_flush(&s->tree);
}

static struct cgroup *node(struct scene *s, const struct box *box)
{
        return tree_find(&s->tree, box->id);
}

static void set_high(struct scene *s, uint64_t high)
{
        s->budget.high = high;
        policy_set(&s->policy, &s->budget, BUDGET_INFINITY, BUDGET_INFINITY);
}

static void enforce_start(struct scene *s, const char *record, bool dry_run)
{
        assert_int_equal(enforce_init(&s->enforce, &s->settings, &s->tree, &s->cgroupfs, &s->capability, record,
                                         dry_run),
                        0);
}

static void scene_make(struct scene *s, struct fixture *f)
{
        *s = (struct scene){
                .cgroupfs = { .mount_fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                                .mount = mount_point,
                                .version = 2 },
                .capability = { .available = true },
                .settings = { .throttle_max_usec = 2 * SECOND, .alert_interval_usec = 60 * SECOND, .alert_burst = 8 },
                .budget = { .max = BUDGET_INFINITY, .on_high = ACTION_THROTTLE, .clear_percent = 90 },
        };
        assert_int_equal(cgroupfs_id_of(s->cgroupfs.mount_fd, &s->cgroupfs.root_id), 0);
        s->slice = make_box(f, NULL, "a.slice");
        s->service = make_box(f, s->slice, "b.service");
        s->other = make_box(f, s->slice, "c.service");
        populate(s->service);
        s->cgroups[0] = (struct fake_cgroup){ 1, 0, "/", false };
        s->cgroups[1] = (struct fake_cgroup){ s->slice->id, 1, s->slice->path, false };
        s->cgroups[2] = (struct fake_cgroup){ s->service->id, s->slice->id, s->service->path, false };
        s->cgroups[3] = (struct fake_cgroup){ s->other->id, s->slice->id, s->other->path, false };
        s->hierarchy = (struct fake_hierarchy){ s->cgroups, 4, 0 };
        assert_int_equal(tree_init(&s->tree, 1, fake_lookup, &s->hierarchy), 0);
        add(s, s->service, 8 * MIB);
        add(s, s->other, 2 * MIB);
        set_high(s, 8 * MIB);
        node(s, s->slice)->policy = &s->policy;
        enforce_start(s, f->record, false);
}

static void scene_end(struct scene *s)
{
        enforce_deinit(&s->enforce);
        tree_deinit(&s->tree);
        close(s->cgroupfs.mount_fd);
}

static bool grow(struct scene *s, const struct box *box, uint64_t now, struct pause *pause)
{
        return enforce_grown(&s->enforce, node(s, box), MIB, now, pause);
}

/* The one that grew, for the slice's budget; its time comes, and it is counted. */
static void test_who_grew_is_paused(void **state)
{
        struct fixture *f = *state;
        struct scene s;
        struct thawed thawed;
        struct pause pause;

        scene_make(&s, f);
        assert_null(enforce_obstacle(&s.enforce));
        assert_int_equal(enforce_next_usec(&s.enforce), UINT64_MAX);
        assert_true(grow(&s, s.service, START, &pause));
        assert_ptr_equal(pause.cgroup, node(&s, s.service));
        assert_ptr_equal(pause.payer, node(&s, s.slice));
        assert_int_equal(pause.usec, 2 * SECOND);
        assert_true(pause.tell);
        wait_frozen(s.service, true);
        assert_false(is_set(s.slice));
        assert_true(has_record(f));
        assert_int_equal(s.policy.events.throttled, 1);
        assert_int_equal(enforce_next_usec(&s.enforce), START + 2 * SECOND);

        /* Still paused. */
        assert_false(grow(&s, s.service, START + SECOND, &pause));
        assert_false(enforce_thaw(&s.enforce, START + SECOND, false, &thawed));
        assert_true(is_set(s.service));

        assert_true(enforce_thaw(&s.enforce, START + 2 * SECOND + 5000, false, &thawed));
        assert_ptr_equal(thawed.payer, node(&s, s.slice));
        assert_int_equal(thawed.usec, 2 * SECOND + 5000);
        assert_int_equal(s.policy.events.throttled_usec, 2 * SECOND + 5000);
        assert_false(is_set(s.service));
        assert_false(has_record(f));
        wait_counts(s.service);

        /* The next one of the burst is not told. */
        assert_true(grow(&s, s.service, START + 3 * SECOND, &pause));
        assert_false(pause.tell);
        assert_int_equal(s.policy.events.throttled, 2);
        assert_true(enforce_thaw(&s.enforce, START + 3 * SECOND, true, &thawed));
        assert_false(is_set(s.service));
        scene_end(&s);
}

static void test_who_is_not_paused(void **state)
{
        struct fixture *f = *state;
        struct pattern list = {};
        struct pause pause;
        struct scene s;

        scene_make(&s, f);
        /* Nobody is in it; not over High; only an alert is wanted; never; not for long enough; gone. */
        assert_false(grow(&s, s.other, START, &pause));
        set_high(&s, 10 * MIB);
        assert_false(grow(&s, s.service, START, &pause));
        set_high(&s, 8 * MIB);
        s.budget.on_high = ACTION_ALERT;
        assert_false(grow(&s, s.service, START, &pause));
        s.budget.on_high = ACTION_THROTTLE;
        list.glob = s.service->path;
        s.settings.never_throttle = (struct patterns){ &list, 1 };
        assert_false(grow(&s, s.service, START, &pause));
        s.settings.never_throttle = (struct patterns){};
        s.settings.throttle_max_usec = 0;
        assert_false(grow(&s, s.service, START, &pause));
        s.settings.throttle_max_usec = SECOND;
        node(&s, s.service)->exists = false;
        assert_false(grow(&s, s.service, START, &pause));
        node(&s, s.service)->exists = true;
        assert_int_equal(s.policy.events.throttled, 0);
        assert_false(is_set(s.service) || is_set(s.other) || is_set(s.slice));

        /* The slice itself has no process, and not all in it may be paused. */
        list.glob = s.other->path;
        s.settings.never_throttle = (struct patterns){ &list, 1 };
        enforce_reload(&s.enforce);
        assert_false(grow(&s, s.slice, START, &pause));
        assert_false(is_set(s.slice));
        assert_true(grow(&s, s.service, START, &pause));
        assert_int_equal(pause.usec, SECOND);
        scene_end(&s);
}

/* A pause that has lost its reason ends at once. */
static void test_review(void **state)
{
        struct fixture *f = *state;
        struct pattern list = {};
        struct thawed thawed;
        struct pause pause;
        uint64_t now = START;
        struct scene s;

        scene_make(&s, f);
        for (int i = 0; i < 5; i++, now += 20 * SECOND) {
                assert_true(grow(&s, s.service, now, &pause));
                enforce_review(&s.enforce, now + 1000);
                assert_false(enforce_thaw(&s.enforce, now + 1000, false, &thawed));
                assert_true(is_set(s.service));
                switch (i) {
                case 0:
                        set_high(&s, 100 * MIB);
                        break;
                case 1:
                        s.budget.on_high = ACTION_ALERT;
                        break;
                case 2:
                        node(&s, s.slice)->policy = NULL;
                        break;
                case 3:
                        list.glob = s.service->path;
                        s.settings.never_throttle = (struct patterns){ &list, 1 };
                        break;
                case 4:
                        s.settings.throttle_max_usec = SECOND;
                        break;
                }
                enforce_review(&s.enforce, now + 2000);
                assert_true(enforce_thaw(&s.enforce, now + 2000, false, &thawed));
                assert_false(is_set(s.service));
                assert_int_equal(thawed.usec, 2000);
                set_high(&s, 8 * MIB);
                s.budget.on_high = ACTION_THROTTLE;
                node(&s, s.slice)->policy = &s.policy;
                s.settings.never_throttle = (struct patterns){};
        }
        scene_end(&s);
}

static void test_dry_run(void **state)
{
        struct fixture *f = *state;
        struct pause pause;
        struct scene s;

        scene_make(&s, f);
        enforce_deinit(&s.enforce);
        enforce_start(&s, NULL, true);
        assert_true(grow(&s, s.service, START, &pause));
        assert_true(pause.tell);
        assert_false(is_set(s.service));
        assert_false(has_record(f));
        assert_int_equal(s.policy.events.throttled, 0);
        assert_int_equal(enforce_next_usec(&s.enforce), UINT64_MAX);
        scene_end(&s);
}

static void test_obstacle(void **state)
{
        struct fixture *f = *state;
        struct pause pause;
        struct scene s;

        scene_make(&s, f);
        enforce_deinit(&s.enforce);
        s.capability = (struct capability){ .reason = "for a reason" };
        enforce_start(&s, f->record, false);
        assert_string_equal(enforce_obstacle(&s.enforce), "for a reason");
        assert_false(grow(&s, s.service, START, &pause));
        enforce_deinit(&s.enforce);
        s.capability = (struct capability){ .available = true };
        enforce_start(&s, NULL, false);
        assert_non_null(enforce_obstacle(&s.enforce));
        assert_false(grow(&s, s.service, START, &pause));
        assert_false(is_set(s.service));
        scene_end(&s);
}

/* Where cgroup v2 is mounted and may be written. */
static bool find_mount(void)
{
        FILE *mounts = setmntent("/proc/self/mounts", "re");
        struct mntent *entry;

        while (mounts && !*mount_point && (entry = getmntent(mounts)))
                if (strcmp(entry->mnt_type, "cgroup2") == 0 && access(entry->mnt_dir, W_OK) == 0)
                        snprintf(mount_point, sizeof(mount_point), "%s", entry->mnt_dir);
        if (mounts)
                endmntent(mounts);
        return *mount_point;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_freeze_and_thaw),
                TEST(test_several_by_time),
                TEST(test_somebody_elses_stays),
                TEST(test_somebody_writes),
                TEST(test_nobody_there),
                TEST(test_below),
                TEST(test_dodge),
                TEST(test_removed_while_frozen),
                TEST(test_no_record_no_freeze),
                TEST(test_release),
                TEST(test_release_gone),
                TEST(test_release_damaged),
                TEST(test_release_option),
                TEST(test_successor),
                TEST(test_others_release_nothing),
                TEST(test_who_grew_is_paused),
                TEST(test_who_is_not_paused),
                TEST(test_review),
                TEST(test_dry_run),
                TEST(test_obstacle),
        };

        if (geteuid() != 0 || !find_mount()) {
                printf("1..0 # SKIP root and a cgroup v2 hierarchy that can be written are needed\n");
                return getenv("CI") ? 1 : 77;
        }
        return cmocka_run_group_tests_name("freezer", tests, NULL, NULL);
}
