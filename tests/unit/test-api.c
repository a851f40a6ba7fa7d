/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods of io.bpfbudget, asked over a socket: with a tree and a ledger made for the test, and doubles of what
 * reaches for the kernel. The clock is the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "build.h"
#include "loop.h"
#include "serve/api.h"
#include "serve/varlink.h"

/* --- Doubles ------------------------------------------------------------------------------------------------------ */

/* Cgroup N has the parent and path that the table says. */
struct place {
        uint64_t id, parent_id;
        const char *path;
        bool gone;    /* from the file system */
        bool no_path; /* it has an id, but nobody may look up its path */
};

/* What the doubles are asked for, and answer. */
static struct {
        unsigned int refreshes, rss_refreshes, flushed, reloads;
        uint64_t cost_usec; /* of each refresh */
        bool dirty, no_growth_told, no_holders;
        int lower_result, reload_result;
        struct cgroup *lowered;
        uint64_t lowered_high, lowered_max, watched;
        char *seen_by_reload; /* what the file of the runtime budget had then */
        void *flushed_context, *reload_context;
        struct place places[24];
        size_t place_count;
} world;

uint64_t now_usec(void)
{
        return loop_clock_usec;
}

int monitor_refresh(struct monitor *monitor)
{
        (void) monitor;
        world.refreshes++;
        loop_clock_usec += world.cost_usec;
        return 0;
}

int monitor_refresh_rss(struct monitor *monitor)
{
        (void) monitor;
        world.rss_refreshes++;
        loop_clock_usec += world.cost_usec;
        return 0;
}

bool monitor_wants_flush(const struct monitor *monitor)
{
        (void) monitor;
        return world.dirty;
}

bool kernel_tells_growth(const struct kernel *kernel)
{
        (void) kernel;
        return !world.no_growth_told;
}

const struct capability *kernel_capabilities(const struct kernel *kernel, size_t *count)
{
        static const struct capability capabilities[] = {
                { .name = "a", .purpose = "for a", .available = true },
                { .name = "b", .purpose = "for b", .reason = "none" },
        };

        (void) kernel;
        *count = 2;
        return capabilities;
}

struct sensor_counters kernel_counters(const struct kernel *kernel)
{
        (void) kernel;
        return (struct sensor_counters){ .wakeups = 109 };
}

void kernel_watch_cgroup(struct kernel *kernel, uint64_t id)
{
        (void) kernel;
        world.watched = id;
}

/* This process holds map 1 and program 1; program 1 uses map 1. */
int kernel_read_holders(struct kernel *kernel, kernel_holder_t callback, void *context)
{
        (void) kernel;
        if (world.no_holders)
                return -EOPNOTSUPP;
        for (uint32_t kind = OBJECT_MAP; kind <= OBJECT_PROGRAM; kind++) {
                struct holder_record record = { .cgroup_id = 3, .kind = kind, .id = 1, .pid = getpid(), .comm = "me" };
                int r = callback(context, &record);

                if (r < 0)
                        return r;
        }
        return 0;
}

int kernel_read_uses(struct kernel *kernel, kernel_use_t callback, void *context)
{
        struct use_record record = { .program_id = 1, .map_id = 1 };

        (void) kernel;
        return callback(context, &record);
}

int guard_lower(struct guard *guard, struct cgroup *cgroup, uint64_t high, uint64_t max)
{
        (void) guard;
        world.lowered = cgroup;
        world.lowered_high = high;
        world.lowered_max = max;
        return world.lower_result;
}

int cgroupfs_id(const struct cgroupfs *fs, const char *path, uint64_t *id)
{
        (void) fs;
        for (size_t i = 0; i < world.place_count; i++)
                if (!world.places[i].gone && strcmp(world.places[i].path, path) == 0) {
                        *id = world.places[i].id;
                        return 0;
                }
        return -ENOENT;
}

int cgroupfs_lookup(const struct cgroupfs *fs, uint64_t id, char **path, uint64_t *parent_id)
{
        (void) fs;
        for (size_t i = 0; i < world.place_count; i++) {
                const struct place *place = &world.places[i];

                if (place->id != id || place->gone)
                        continue;
                if (place->no_path)
                        return -EPERM;
                *path = strdup(place->path);
                *parent_id = place->parent_id;
                return 0;
        }
        return -ESTALE;
}

static int lookup(void *context, uint64_t id, char **path, uint64_t *parent_id)
{
        return cgroupfs_lookup(context, id, path, parent_id);
}

char *cgroupfs_file(const struct cgroupfs *fs, const char *path)
{
        char *file;

        return asprintf(&file, "%s%s", fs->mount, path) < 0 ? NULL : file;
}

/* --- The API ------------------------------------------------------------------------------------------------------ */

struct fixture {
        struct event_base *base;
        struct monitor monitor;
        struct guard guard;
        struct budget budgets[3];
        struct policy policies[3];
        struct api *api;
        int fd;             /* a connection of root */
        char directory[32]; /* of the socket, the runtime budgets, and "cgroups", where cgroups are directories */
        char socket[64], mount[64], budget_file[96];
};

static int reload(void *context, json_t *errors)
{
        struct fixture *f = context;
        FILE *file = fopen(f->budget_file, "re");
        size_t room = 0;

        world.reloads++;
        world.reload_context = context;
        free(world.seen_by_reload);
        world.seen_by_reload = NULL;
        if (file) {
                if (getdelim(&world.seen_by_reload, &room, '\0', file) < 0)
                        fail();
                fclose(file);
        }
        if (world.reload_result == -EINVAL)
                json_array_append_new(errors, json_string("x:1: bad"));
        return world.reload_result;
}

static void flushed(void *context)
{
        world.flushed++;
        world.flushed_context = context;
}

static void add_place(uint64_t id, uint64_t parent_id, const char *path)
{
        world.places[world.place_count++] = (struct place){ .id = id, .parent_id = parent_id, .path = path };
}

/* Maps and programs; @charged to cgroup @cgroup_id. */
static void put(struct fixture *f, uint32_t kind, uint32_t id, uint64_t cgroup_id, const char *name, uint64_t allocated,
                uint64_t charged)
{
        struct object_record record = {
                .address = (uint64_t) kind << 40 | (uint64_t) id << 8,
                .cgroup_id = cgroup_id,
                .allocated = allocated,
                .allocated_min = allocated,
                .charged = charged,
                .kind = kind,
                .id = id,
                .type = kind == OBJECT_MAP ? BPF_MAP_TYPE_HASH : BPF_PROG_TYPE_KPROBE,
                .attribution = cgroup_id ? ATTRIBUTION_CHARGED : ATTRIBUTION_NONE,
        };

        record.identity = record.address;
        memcpy(record.name, name, strnlen(name, sizeof(record.name)));
        assert_int_equal(ledger_put(&f->monitor.ledger, &record), LEDGER_NEW);
        tree_flush(&f->monitor.tree);
}

static struct cgroup *cgroup_of(struct fixture *f, uint64_t id)
{
        struct cgroup *cgroup = tree_find(&f->monitor.tree, id);

        assert_non_null(cgroup);
        return cgroup;
}

/* Gives cgroup @id budget @n. */
static struct policy *give_budget(struct fixture *f, uint64_t id, size_t n)
{
        struct cgroup *cgroup;

        assert_int_equal(tree_get(&f->monitor.tree, id, &cgroup), 0);
        f->policies[n].lowered_high = f->policies[n].lowered_max = BUDGET_INFINITY;
        policy_set(&f->policies[n], &f->budgets[n], BUDGET_INFINITY, BUDGET_INFINITY);
        cgroup->policy = &f->policies[n];
        return cgroup->policy;
}

static int connect_to(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        strcpy(address.sun_path, path);
        assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

/* A connection of user @uid. */
static int connect_as(struct fixture *f, uid_t uid)
{
        int fd = connect_to(f->socket);

        loop_peer = uid;
        loop_turn(f->base);
        loop_peer = (uid_t) -1;
        return fd;
}

/* Any but root; the directories of cgroups that it owns are made by this one. */
static uid_t owner_uid(void)
{
        return getuid() ?: 4242;
}

/* Makes the directory of the cgroup at @path, @uid's. */
static void make_cgroup_directory(struct fixture *f, const char *path, uid_t uid)
{
        char directory[128];

        snprintf(directory, sizeof(directory), "%s%s", f->mount, path);
        assert_int_equal(mkdir(directory, 0700), 0);
        if (getuid() == 0)
                assert_int_equal(chown(directory, uid, 1), 0);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct api_options options = { .monitor = &f->monitor, .guard = &f->guard, .directory = f->directory };

        world = (typeof(world)){ .cost_usec = 1000 };
        add_place(1, 0, "/");
        add_place(2, 1, "/a.slice");
        add_place(3, 2, "/a.slice/b.service");
        add_place(4, 2, "/a.slice/c.service");
        add_place(5, 3, "/a.slice/b.service/inner");
        add_place(6, 1, "/d");
        strcpy(f->directory, "/tmp/test-api-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        snprintf(f->socket, sizeof(f->socket), "%s/socket", f->directory);
        snprintf(f->mount, sizeof(f->mount), "%s/cgroups", f->directory);
        snprintf(f->budget_file, sizeof(f->budget_file), "%s/+runtime-a.slice-b.service.budget", f->directory);
        assert_int_equal(mkdir(f->mount, 0700), 0);

        f->monitor.cgroupfs = (struct cgroupfs){ .mount = f->mount, .version = 2, .root_id = 1 };
        assert_int_equal(tree_init(&f->monitor.tree, 1, lookup, &f->monitor.cgroupfs), 0);
        ledger_init(&f->monitor.ledger, &f->monitor.tree);
        f->guard.config.budgets = f->budgets;
        f->guard.config.count = 3;
        for (size_t i = 0; i < 3; i++) {
                static const char *const names[] = { "first", "second", "third" };

                f->budgets[i] = (struct budget){ .name = (char *) names[i], .file = "/etc/bpfbudget/x.budget" };
                f->budgets[i].high = f->budgets[i].max = BUDGET_INFINITY;
                f->budgets[i].maps_max = f->budgets[i].programs_max = BUDGET_INFINITY;
                f->budgets[i].clear_percent = 90;
        }
        f->base = options.base = event_base_new();
        options.hooks.reload = reload;
        options.hooks.flushed = flushed;
        options.hooks.context = f;
        assert_int_equal(api_new(&options, &f->api), 0);
        assert_int_equal(api_listen(f->api, f->socket), 0);
        f->fd = connect_as(f, 0);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        char command[64];

        close(f->fd);
        api_free(f->api);
        event_base_free(f->base);
        ledger_deinit(&f->monitor.ledger);
        tree_deinit(&f->monitor.tree);
        free(world.seen_by_reload);
        snprintf(command, sizeof(command), "rm -r %s", f->directory);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

/* --- Calls -------------------------------------------------------------------------------------------------------- */

/* Sends a call of @method; @parameters, JSON with ' for ", may be formatted. */
static void send_call(struct fixture *f, int fd, bool more, const char *method, const char *format, va_list ap)
{
        _cleanup_free_ char *text = NULL, *parameters = NULL;

        assert_true(vasprintf(&parameters, format, ap) >= 0);
        for (char *p = parameters; *p; p++)
                if (*p == '\'')
                        *p = '"';
        assert_true(asprintf(&text, "{\"method\":\"%s%s\",\"more\":%s,\"parameters\":{%s}}",
                                    strchr(method, '.') ? "" : "io.bpfbudget.", method, more ? "true" : "false",
                                    parameters) >= 0);
        assert_int_equal(send(fd, text, strlen(text) + 1, MSG_NOSIGNAL), strlen(text) + 1);
        loop_turn(f->base);
}

/* The next reply; NULL: there is none. */
static json_t *receive(struct fixture *f, int fd)
{
        json_error_t error;
        bool closed;
        char *text = loop_receive(f->base, fd, &closed);
        json_t *reply = text ? json_loads(text, 0, &error) : NULL;

        if (text && !reply)
                fail_msg("%s at %d of %s", error.text, error.position, text);
        free(text);
        return reply;
}

/* The answer's parameters; it is no error. */
__attribute__((format(printf, 4, 5))) static json_t *ask_at(
                struct fixture *f, int fd, const char *method, const char *format, ...)
{
        json_t *reply, *parameters;
        va_list ap;

        va_start(ap, format);
        send_call(f, fd, false, method, format, ap);
        va_end(ap);
        reply = receive(f, fd);
        assert_non_null(reply);
        if (json_object_get(reply, "error"))
                fail_msg("%s: %s", method, json_dumps(reply, 0));
        assert_null(json_object_get(reply, "continues"));
        parameters = json_incref(json_object_get(reply, "parameters"));
        json_decref(reply);
        return parameters;
}

#define ask(f, method, ...)  ask_at(f, (f)->fd, method, __VA_ARGS__)
#define tell(f, method, ...) json_decref(ask_at(f, (f)->fd, method, __VA_ARGS__))

/* The call fails with @error ("Name": io.bpfbudget.Name), whose parameters are @expected, JSON with ' for ". */
__attribute__((format(printf, 6, 7))) static void refuse_at(struct fixture *f, int fd, const char *method,
                const char *error, const char *expected, const char *format, ...)
{
        _cleanup_free_ char *name = NULL, *text = strdup(expected);
        json_t *reply, *wanted;
        va_list ap;

        va_start(ap, format);
        send_call(f, fd, false, method, format, ap);
        va_end(ap);
        reply = receive(f, fd);
        assert_non_null(reply);
        assert_true(asprintf(&name, "%s%s", strchr(error, '.') ? "" : "io.bpfbudget.", error) > 0);
        if (!json_object_get(reply, "error"))
                fail_msg("%s: not %s but %s", method, error, json_dumps(reply, 0));
        assert_string_equal(json_string_value(json_object_get(reply, "error")), name);
        for (char *p = text; *p; p++)
                if (*p == '\'')
                        *p = '"';
        wanted = json_loads(text, 0, NULL);
        assert_non_null(wanted);
        if (!json_equal(json_object_get(reply, "parameters"), wanted))
                fail_msg("%s: not %s but %s", method, text, json_dumps(reply, 0));
        json_decref(wanted);
        json_decref(reply);
}

#define refuse(f, method, error, expected, ...) refuse_at(f, (f)->fd, method, error, expected, __VA_ARGS__)
#define INVALID                                 "org.varlink.service.InvalidParameter"

/* The connection is closed without an answer. */
__attribute__((format(printf, 3, 4))) static void expect_close(
                struct fixture *f, const char *method, const char *format, ...)
{
        int fd = connect_as(f, 0);
        va_list ap;
        bool closed;

        va_start(ap, format);
        send_call(f, fd, false, method, format, ap);
        va_end(ap);
        assert_null(loop_receive(f->base, fd, &closed));
        assert_true(closed);
        close(fd);
}

static void begin_stream(struct fixture *f, int fd, const char *method, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
static void begin_stream(struct fixture *f, int fd, const char *method, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        send_call(f, fd, true, method, format, ap);
        va_end(ap);
}

static int64_t number(json_t *object, const char *key)
{
        json_t *value = json_object_get(object, key);

        if (!json_is_integer(value))
                fail_msg("there is no number %s", key);
        return json_integer_value(value);
}

static const char *text(json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key));
}

/* The members @key of the elements of the array @name in @answer, which it takes over, in one text: "a b c". */
static const char *list(json_t *answer, const char *name, const char *key)
{
        static char all[4096];
        json_t *element;
        size_t i, n = 0;

        all[0] = '\0';
        assert_true(json_is_array(json_object_get(answer, name)));
        json_array_foreach(json_object_get(answer, name), i, element)
        {
                const json_t *value = json_object_get(element, key);

                if (json_is_integer(value))
                        n += snprintf(all + n, sizeof(all) - n, "%s%lld", i ? " " : "", json_integer_value(value));
                else
                        n += snprintf(all + n, sizeof(all) - n, "%s%s", i ? " " : "",
                                        json_string_value(value) ?: "null");
        }
        json_decref(answer);
        return all;
}

/* --- Up to date --------------------------------------------------------------------------------------------------- */

static void get_root(struct fixture *f)
{
        tell(f, "GetCgroup", "'cgroup':'/'");
}

/* What was brought up to date since the last call: all of it, or RSS only. */
static void expect_refreshes(struct fixture *f, unsigned int all, unsigned int rss)
{
        assert_int_equal(world.refreshes, all);
        assert_int_equal(world.rss_refreshes, rss);
        /* What follows from it is looked at each time. */
        assert_int_equal(world.flushed, all + rss);
        if (all + rss > 0)
                assert_ptr_equal(world.flushed_context, f);
        world.refreshes = world.rss_refreshes = world.flushed = 0;
}

/* An answer is at most 10 ms old, and not that when the sensors tell of something. */
static void test_fresh(void **state)
{
        struct fixture *f = *state;

        get_root(f);
        expect_refreshes(f, 1, 0);
        get_root(f);
        loop_clock_usec += 9999;
        get_root(f);
        expect_refreshes(f, 0, 0);
        loop_clock_usec += 1;
        get_root(f);
        expect_refreshes(f, 0, 1);
        loop_clock_usec += 9999;
        world.dirty = true;
        get_root(f);
        expect_refreshes(f, 1, 0);
        loop_clock_usec += 10000;
        get_root(f);
        expect_refreshes(f, 1, 0);
}

/* Where it takes long, an answer may be four times as old as that. */
static void test_fresh_costly(void **state)
{
        struct fixture *f = *state;

        world.cost_usec = 50000;
        get_root(f);
        expect_refreshes(f, 1, 0);
        world.dirty = true;
        loop_clock_usec += 199999;
        get_root(f);
        expect_refreshes(f, 0, 0);
        loop_clock_usec += 1;
        world.cost_usec = 1000;
        get_root(f);
        expect_refreshes(f, 1, 0);
        /* It is what the last one took. */
        loop_clock_usec += 3999;
        get_root(f);
        expect_refreshes(f, 0, 0);
        loop_clock_usec += 1;
        get_root(f);
        expect_refreshes(f, 1, 0);
        /* One of RSS, too. */
        world.dirty = false;
        world.cost_usec = 5000;
        loop_clock_usec += 10000;
        get_root(f);
        expect_refreshes(f, 0, 1);
        loop_clock_usec += 19999;
        get_root(f);
        expect_refreshes(f, 0, 0);
        loop_clock_usec += 1;
        get_root(f);
        expect_refreshes(f, 0, 1);
}

/* What no sensor tells of is at most a second old, however often RSS is brought up to date meanwhile. */
static void test_fresh_untold(void **state)
{
        struct fixture *f = *state;

        get_root(f);
        expect_refreshes(f, 1, 0);
        loop_clock_usec += 500000;
        get_root(f);
        expect_refreshes(f, 0, 1);
        loop_clock_usec += 499999 - 1000;
        get_root(f);
        expect_refreshes(f, 0, 1);
        loop_clock_usec += 10000;
        get_root(f);
        expect_refreshes(f, 1, 0);
        loop_clock_usec += 10000;
        get_root(f);
        expect_refreshes(f, 0, 1);
        loop_clock_usec += 989999 - 1000;
        get_root(f);
        expect_refreshes(f, 0, 1);
}

/* The second begins when all was brought up to date; it is over when it is. */
static void test_fresh_second(void **state)
{
        struct fixture *f = *state;

        get_root(f);
        loop_clock_usec += 1000000;
        get_root(f);
        expect_refreshes(f, 2, 0);
        loop_clock_usec += 999999;
        get_root(f);
        expect_refreshes(f, 0, 1);
}

/* Where no sensor tells of growth there is only the full pass. */
static void test_fresh_without_sensors(void **state)
{
        struct fixture *f = *state;

        world.no_growth_told = true;
        get_root(f);
        loop_clock_usec += 9999;
        get_root(f);
        expect_refreshes(f, 1, 0);
        loop_clock_usec += 1;
        get_root(f);
        expect_refreshes(f, 1, 0);
}

/* Which methods need it; Flush does it always. */
static void test_fresh_methods(void **state)
{
        static const struct {
                const char *method, *parameters;
                unsigned int refreshes;
        } methods[] = {
                { "ListCgroups", "", 1 },
                { "GetCgroup", "'cgroup':'/'", 1 },
                { "ListObjects", "", 1 },
                { "Explain", "'cgroup':'/'", 1 },
                { "Flush", "", 1 },
                { "ListBudgets", "", 0 },
                { "GetCapabilities", "", 0 },
                { "GetStatistics", "", 0 },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
                loop_clock_usec += 2000000;
                tell(f, methods[i].method, "%s", methods[i].parameters);
                expect_refreshes(f, methods[i].refreshes, 0);
        }
        tell(f, "Flush", "%s", "");
        tell(f, "Flush", "%s", "");
        expect_refreshes(f, 2, 0);
        get_root(f);
        expect_refreshes(f, 0, 0);
}

/* --- Cgroups ------------------------------------------------------------------------------------------------------ */

/* GetCgroup of @path is answered with the cgroup @id. */
static void expect_cgroup(struct fixture *f, const char *path, int64_t id, bool exists)
{
        json_t *answer = ask(f, "GetCgroup", "'cgroup':'%s'", path), *cgroup = json_object_get(answer, "cgroup");

        assert_int_equal(number(cgroup, "id"), id);
        assert_string_equal(text(cgroup, "path"), path);
        assert_int_equal(json_is_true(json_object_get(cgroup, "exists")), exists);
        json_decref(answer);
}

static void test_get_cgroup(void **state)
{
        static const char *const invalid[] = { "", "a", "//", "/a/", "/a//b", "/.", "/..", "/a/.", "/a/..", "/a/../b",
                "/./a", "/../etc" };
        static const char *const none[] = { "/x", "/...", "/.a", "/..a", "/a..", "/a.slice/..b", "/a.slice/.a" };
        struct fixture *f = *state;
        struct cgroup *cgroup;
        char path[PATH_MAX + 1], expected[PATH_MAX + 32];

        for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
                refuse(f, "GetCgroup", INVALID, "{'parameter':'cgroup'}", "'cgroup':'%s'", invalid[i]);
        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
                snprintf(expected, sizeof(expected), "{'cgroup':'%s'}", none[i]);
                refuse(f, "GetCgroup", "NoSuchCgroup", expected, "'cgroup':'%s'", none[i]);
        }
        memset(path, 'x', PATH_MAX);
        path[0] = '/';
        path[PATH_MAX] = '\0';
        refuse(f, "GetCgroup", INVALID, "{'parameter':'cgroup'}", "'cgroup':'%s'", path);
        path[PATH_MAX - 1] = '\0';
        snprintf(expected, sizeof(expected), "{'cgroup':'%s'}", path);
        refuse(f, "GetCgroup", "NoSuchCgroup", expected, "'cgroup':'%s'", path);

        expect_cgroup(f, "/", 1, true);
        put(f, OBJECT_MAP, 1, 3, "m", 100, 100);
        expect_cgroup(f, "/a.slice/b.service", 3, true);
        assert_int_equal(world.watched, 0);
        /* One that holds nothing: it is in the tree from then on, and its removal will be told. */
        assert_null(tree_find(&f->monitor.tree, 4));
        expect_cgroup(f, "/a.slice/c.service", 4, true);
        assert_int_equal(world.watched, 4);
        assert_non_null(tree_find(&f->monitor.tree, 4));
        /* One that is gone and still holds something is found by its path, when that is known; not another one. */
        world.places[2].gone = true;
        refuse(f, "GetCgroup", "NoSuchCgroup", "{'cgroup':'/a.slice/b.service'}", "'cgroup':'/a.slice/b.service'");
        cgroup = cgroup_of(f, 3);
        tree_check(&f->monitor.tree, cgroup);
        expect_cgroup(f, "/a.slice/b.service", 3, false);
        refuse(f, "GetCgroup", "NoSuchCgroup", "{'cgroup':'/a.slice/b'}", "'cgroup':'/a.slice/b'");
        /* The path is another's by now. */
        add_place(30, 2, "/a.slice/b.service");
        expect_cgroup(f, "/a.slice/b.service", 30, true);
        /* A file of the hierarchy has an id, too, but is none. */
        add_place(40, 1, "/memory.stat");
        world.places[world.place_count - 1].no_path = true;
        refuse(f, "GetCgroup", "NoSuchCgroup", "{'cgroup':'/memory.stat'}", "'cgroup':'/memory.stat'");
        assert_null(tree_find(&f->monitor.tree, 40));
}

/* What Usage, Rss and the budget say is in test-report; here that it is the right cgroup's. */
static void test_cgroup_figures(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *cgroup;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 70);
        put(f, OBJECT_PROGRAM, 1, 5, "p", 10, 7);
        f->budgets[1].high = 50;
        give_budget(f, 3, 1);
        answer = ask(f, "GetCgroup", "'cgroup':'/a.slice/b.service'");
        cgroup = json_object_get(answer, "cgroup");
        assert_int_equal(number(json_object_get(cgroup, "bpf"), "allocated"), 110);
        assert_int_equal(number(json_object_get(cgroup, "self"), "allocated"), 100);
        assert_string_equal(text(json_object_get(cgroup, "budget"), "name"), "second");
        assert_int_equal(number(json_object_get(cgroup, "budget"), "high"), 50);
        json_decref(answer);
}

/* --- Lists -------------------------------------------------------------------------------------------------------- */

static void test_list_cgroups(void **state)
{
        struct fixture *f = *state;
        const uint64_t rss[RSS_MEMBERS] = { [RSS_ANON] = 5 };
        struct cgroup *cgroup;

        /* The root is listed in any case. */
        assert_string_equal(list(ask(f, "ListCgroups", "%s", ""), "cgroups", "id"), "1");
        put(f, OBJECT_MAP, 1, 3, "m", 100, 100);
        put(f, OBJECT_MAP, 2, 4, "m", 300, 300);
        put(f, OBJECT_MAP, 3, 5, "m", 40, 40);
        /* Largest first: /a.slice 440, c 300, b 140 with inner 40. */
        assert_string_equal(list(ask(f, "ListCgroups", "%s", ""), "cgroups", "id"), "1 2 4 3 5");
        assert_string_equal(list(ask(f, "ListCgroups", "'minimum':140"), "cgroups", "id"), "1 2 4 3");
        assert_string_equal(list(ask(f, "ListCgroups", "'minimum':141"), "cgroups", "id"), "1 2 4");
        assert_string_equal(list(ask(f, "ListCgroups", "'cgroup':'/a.slice/*'"), "cgroups", "id"), "4 3");
        assert_string_equal(list(ask(f, "ListCgroups", "'cgroup':'/'"), "cgroups", "id"), "1");
        assert_string_equal(list(ask(f, "ListCgroups", "'cgroup':'/x'"), "cgroups", "id"), "");
        /* One with processes but no objects is, one with neither is not. */
        assert_int_equal(tree_get(&f->monitor.tree, 6, &cgroup), 0);
        assert_string_equal(list(ask(f, "ListCgroups", "'cgroup':'/d'"), "cgroups", "id"), "");
        tree_set_rss(&f->monitor.tree, cgroup, rss);
        tree_flush(&f->monitor.tree);
        assert_string_equal(list(ask(f, "ListCgroups", "'cgroup':'/d'"), "cgroups", "id"), "6");
        /* States: of those with a budget only. */
        assert_string_equal(list(ask(f, "ListCgroups", "'state':'ok'"), "cgroups", "id"), "");
        give_budget(f, 2, 0);
        give_budget(f, 3, 1)->level = LEVEL_HIGH;
        give_budget(f, 4, 2)->level = LEVEL_MAX;
        assert_string_equal(list(ask(f, "ListCgroups", "'state':'ok'"), "cgroups", "id"), "2");
        assert_string_equal(list(ask(f, "ListCgroups", "'state':'high'"), "cgroups", "id"), "3");
        assert_string_equal(list(ask(f, "ListCgroups", "'state':'max'"), "cgroups", "id"), "4");
        assert_string_equal(list(ask(f, "ListCgroups", "'state':'max','minimum':301"), "cgroups", "id"), "");
        refuse(f, "ListCgroups", INVALID, "{'parameter':'state'}", "'state':'low'");
        refuse(f, "ListCgroups", INVALID, "{'parameter':'minimum'}", "'minimum':-1");
        refuse(f, "ListCgroups", INVALID, "{'parameter':'cgroup'}", "'cgroup':1");
        /* A glob matches no path that is not known. */
        add_place(7, 1, "/nameless");
        world.places[world.place_count - 1].no_path = true;
        put(f, OBJECT_MAP, 9, 7, "m", 1, 1);
        assert_null(cgroup_of(f, 7)->path);
        assert_string_equal(list(ask(f, "ListCgroups", "'minimum':1"), "cgroups", "id"), "1 2 4 3 5 7");
        assert_string_equal(list(ask(f, "ListCgroups", "'cgroup':'**','minimum':1"), "cgroups", "id"), "1 2 4 3 5");
}

static void test_list_objects(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *object;

        put(f, OBJECT_MAP, 1, 3, "abc", 100, 60);
        put(f, OBJECT_PROGRAM, 1, 3, "abd", 300, 300);
        put(f, OBJECT_MAP, 3, 4, "0123456789abcdef", 200, 0);
        put(f, OBJECT_MAP, 4, 0, "nobody", 50, 0);
        answer = ask(f, "ListObjects", "%s", "");
        object = json_array_get(json_object_get(answer, "objects"), 1);
        assert_string_equal(text(object, "kind"), "map");
        assert_string_equal(text(object, "cgroup"), "/a.slice/c.service");
        assert_int_equal(number(object, "uncharged"), 200);
        assert_null(json_object_get(object, "holders"));
        assert_null(json_object_get(object, "pins"));
        assert_null(json_object_get(object, "usedBy"));
        assert_string_equal(list(answer, "objects", "name"), "abd 0123456789abcdef abc nobody");

        assert_string_equal(list(ask(f, "ListObjects", "'kind':'map'"), "objects", "id"), "3 1 4");
        assert_string_equal(list(ask(f, "ListObjects", "'kind':'program'"), "objects", "name"), "abd");
        assert_string_equal(list(ask(f, "ListObjects", "'type':'hash'"), "objects", "id"), "3 1 4");
        assert_string_equal(list(ask(f, "ListObjects", "'type':'kprobe'"), "objects", "name"), "abd");
        assert_string_equal(list(ask(f, "ListObjects", "'type':'has'"), "objects", "name"), "");
        assert_string_equal(list(ask(f, "ListObjects", "'name':'ab?'"), "objects", "name"), "abd abc");
        assert_string_equal(list(ask(f, "ListObjects", "'name':'0123456789abcdef'"), "objects", "id"), "3");
        assert_string_equal(list(ask(f, "ListObjects", "'name':'ab'"), "objects", "id"), "");
        assert_string_equal(list(ask(f, "ListObjects", "'minimum':200"), "objects", "name"), "abd 0123456789abcdef");
        assert_string_equal(list(ask(f, "ListObjects", "'minimum':201"), "objects", "name"), "abd");
        assert_string_equal(list(ask(f, "ListObjects", "'cgroup':'/a.slice/b.service'"), "objects", "name"), "abd abc");
        /* Not of cgroups below. */
        assert_string_equal(list(ask(f, "ListObjects", "'cgroup':'/a.slice'"), "objects", "name"), "");
        assert_string_equal(list(ask(f, "ListObjects", "'cgroup':'/'"), "objects", "name"), "nobody");
        refuse(f, "ListObjects", INVALID, "{'parameter':'kind'}", "'kind':'link'");
        refuse(f, "ListObjects", INVALID, "{'parameter':'minimum'}", "'minimum':-1");
        refuse(f, "ListObjects", INVALID, "{'parameter':'holders'}", "'holders':1");
}

/* An object is its holder's where a budget says so: it is looked for there, and not where it is charged. */
static void test_list_held(void **state)
{
        struct fixture *f = *state;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        put(f, OBJECT_MAP, 2, 6, "n", 10, 10);
        ledger_begin_holders(&f->monitor.ledger);
        ledger_add_holder(&f->monitor.ledger, OBJECT_MAP, 1, cgroup_of(f, 6), true);
        assert_int_equal(ledger_end_holders(&f->monitor.ledger), 1);
        tree_flush(&f->monitor.tree);
        assert_string_equal(list(ask(f, "ListObjects", "'cgroup':'/d'"), "objects", "id"), "1 2");
        assert_string_equal(list(ask(f, "ListObjects", "'cgroup':'/a.slice/**'"), "objects", "id"), "");
}

static void test_relations(void **state)
{
        static const char *const names[] = { "holders", "pins", "uses" };
        struct fixture *f = *state;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        put(f, OBJECT_PROGRAM, 1, 3, "p", 50, 50);
        for (size_t i = 0; i < 3; i++) {
                json_t *answer = ask(f, "ListObjects", "'%s':true,'%s':false", names[i], names[(i + 1) % 3]);
                json_t *map = json_array_get(json_object_get(answer, "objects"), 0);
                json_t *program = json_array_get(json_object_get(answer, "objects"), 1);

                assert_int_equal(json_is_array(json_object_get(map, "holders")), i == 0);
                assert_int_equal(json_is_array(json_object_get(map, "pins")), i == 1);
                assert_int_equal(json_is_array(json_object_get(map, "usedBy")), i == 2);
                assert_int_equal(json_is_array(json_object_get(program, "maps")), i == 2);
                if (i == 0) {
                        json_t *holder = json_array_get(json_object_get(map, "holders"), 0);

                        assert_int_equal(number(holder, "pid"), getpid());
                        assert_string_equal(text(holder, "cgroup"), "/a.slice/b.service");
                }
                if (i == 2) {
                        json_t *used = json_object_get(map, "usedBy"), *uses = json_object_get(program, "maps");

                        assert_int_equal(json_array_size(used), 1);
                        assert_int_equal(json_array_size(uses), 1);
                }
                json_decref(answer);
        }
        /* In a stream, too. */
        begin_stream(f, f->fd, "ListObjects", "'holders':true,'kind':'map'");
        {
                json_t *reply = receive(f, f->fd);
                json_t *objects = json_object_get(json_object_get(reply, "parameters"), "objects");

                assert_int_equal(json_array_size(json_object_get(json_array_get(objects, 0), "holders")), 1);
                json_decref(reply);
        }
        world.no_holders = true;
        refuse(f, "ListObjects", "NotSupported", "{'reason':'this kernel does not report holders or uses'}",
                        "'holders':true");
        tell(f, "ListObjects", "'uses':true");
}

/* Takes a reply of a stream. Returns the elements of @name, and whether more follow. */
static json_t *take_batch(struct fixture *f, const char *name, bool *continues)
{
        json_t *reply = receive(f, f->fd), *elements;

        assert_non_null(reply);
        assert_null(json_object_get(reply, "error"));
        *continues = json_is_true(json_object_get(reply, "continues"));
        elements = json_incref(json_object_get(json_object_get(reply, "parameters"), name));
        json_decref(reply);
        return elements;
}

/* Replies of 64 KiB, each made when the one before is taken: what goes meanwhile is missed, and nothing else. */
static void test_stream(void **state)
{
        struct fixture *f = *state;
        bool continues = true, seen[1001] = {};
        unsigned int replies = 0, missing = 0;

        for (uint32_t id = 1; id <= 1000; id++)
                put(f, OBJECT_MAP, id, 3, "m", 2000 - id, 60);
        begin_stream(f, f->fd, "ListObjects", "%s", "");
        for (; continues; replies++) {
                json_t *batch = take_batch(f, "objects", &continues), *object;
                size_t i, length;
                char *dumped = json_dumps(batch, JSON_COMPACT);

                length = strlen(dumped);
                free(dumped);
                if (continues)
                        assert_in_range(length, 64 * 1024 - 1024, 64 * 1024 + 1024);
                else
                        assert_true(length < 64 * 1024 + 1024);
                json_array_foreach(batch, i, object)
                {
                        assert_false(seen[number(object, "id")]);
                        seen[number(object, "id")] = true;
                }
                json_decref(batch);
                if (replies == 0) {
                        /* Of the last ones every second goes, and one comes with the same id. */
                        for (uint32_t id = 901; id <= 1000; id += 2)
                                assert_true(ledger_remove(&f->monitor.ledger, OBJECT_MAP, id));
                        put(f, OBJECT_PROGRAM, 901, 3, "p", 10, 10);
                }
        }
        assert_true(replies > 3);
        for (uint32_t id = 1; id <= 1000; id++) {
                assert_int_equal(seen[id], id <= 900 || id % 2 == 0);
                missing += !seen[id];
        }
        assert_int_equal(missing, 50);
        assert_null(receive(f, f->fd));
}

static void test_stream_of_cgroups(void **state)
{
        struct fixture *f = *state;
        json_t *batch;
        bool continues;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        begin_stream(f, f->fd, "ListCgroups", "'minimum':1");
        batch = take_batch(f, "cgroups", &continues);
        assert_int_equal(json_array_size(batch), 3);
        assert_false(continues);
        json_decref(batch);
        /* None is an answer, too. */
        begin_stream(f, f->fd, "ListCgroups", "'minimum':1000");
        batch = take_batch(f, "cgroups", &continues);
        assert_int_equal(json_array_size(batch), 0);
        assert_false(continues);
        json_decref(batch);
}

/* Without "more" there is one reply, of any size there may be; larger is an error. */
static void test_too_large(void **state)
{
        struct fixture *f = *state;
        json_t *answer;
        uint32_t id = 1;

        for (; id <= 1000; id++)
                put(f, OBJECT_MAP, id, 3, "m", 100, 60);
        answer = ask(f, "ListObjects", "%s", "");
        assert_int_equal(json_array_size(json_object_get(answer, "objects")), 1000);
        json_decref(answer);
        for (; id <= 12000; id++)
                put(f, OBJECT_MAP, id, 4, "m", 100, 60);
        refuse(f, "ListObjects", "ReplyTooLarge", "{}", "%s", "");
        /* What was made for it is no part of the next answer. */
        answer = ask(f, "ListObjects", "'cgroup':'/a.slice/b.service'");
        assert_int_equal(json_array_size(json_object_get(answer, "objects")), 1000);
        json_decref(answer);
}

/* --- Explain ------------------------------------------------------------------------------------------------------ */

static void write_file(struct fixture *f, const char *cgroup, const char *name, const char *content)
{
        char path[160];
        FILE *file;

        snprintf(path, sizeof(path), "%s%s/%s", f->mount, cgroup, name);
        file = fopen(path, "we");
        assert_non_null(file);
        fputs(content, file);
        fclose(file);
}

static int64_t share(json_t *answer, const char *name)
{
        json_t *element;
        size_t i;

        json_array_foreach(json_object_get(answer, "shares"), i, element)
        {
                if (strcmp(text(element, "name"), name) == 0)
                        return number(element, "bytes");
        }
        fail_msg("there is no share %s", name);
        return 0;
}

static void test_explain(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *objects;

        make_cgroup_directory(f, "/a.slice", getuid());
        write_file(f, "/a.slice", "memory.stat", "anon 1000\nkernel 900\nslab 30\n");
        write_file(f, "/a.slice", "memory.current", "2000\n");
        write_file(f, "/a.slice", "memory.max", "max\n");
        /* Twelve maps below it, the largest with the largest number, and two elsewhere. */
        for (uint32_t id = 1; id <= 12; id++)
                put(f, OBJECT_MAP, id, id % 2 ? 3 : 4, "small", 100 + id, 60);
        put(f, OBJECT_MAP, 20, 6, "elsewhere", 5000, 10);
        put(f, OBJECT_MAP, 21, 0, "nobody", 4000, 0);
        /* Not among the ten largest, but nobody is charged for most of it. */
        put(f, OBJECT_MAP, 22, 5, "uncharged", 90, 5);
        answer = ask(f, "Explain", "'cgroup':'/a.slice'");
        assert_int_equal(number(json_object_get(answer, "cgroup"), "id"), 2);
        assert_int_equal(number(answer, "memoryCurrent"), 2000);
        assert_true(json_is_null(json_object_get(answer, "memoryMax")));
        assert_int_equal(number(answer, "bpfCharged"), 12 * 60 + 5);
        assert_int_equal(number(answer, "bpfUncharged"), 12 * 40 + 78 + 85);
        assert_int_equal(share(answer, "bpf"), 12 * 60 + 5);
        assert_int_equal(share(answer, "anon"), 1000);
        assert_int_equal(share(answer, "kernel"), 900 - 725);
        assert_int_equal(share(answer, "slab"), 30);
        for (size_t i = 0; i < json_array_size(json_object_get(answer, "shares")); i++) {
                json_t *element = json_array_get(json_object_get(answer, "shares"), i);

                assert_int_equal(json_is_true(json_object_get(element, "detail")),
                                strcmp(text(element, "name"), "slab") == 0 ||
                                                strcmp(text(element, "name"), "percpu") == 0 ||
                                                strcmp(text(element, "name"), "vmalloc") == 0);
        }
        objects = json_object_get(answer, "objects");
        assert_int_equal(json_array_size(objects), 10);
        for (size_t i = 0; i < 10; i++) {
                assert_int_equal(number(json_array_get(objects, i), "id"), 12 - i);
                assert_true(json_is_array(json_object_get(json_array_get(objects, i), "holders")));
                assert_true(json_is_array(json_object_get(json_array_get(objects, i), "pins")));
                assert_null(json_object_get(json_array_get(objects, i), "usedBy"));
        }
        assert_non_null(strstr(text(answer, "verdict"), "the largest part of that, 85B, is map uncharged (hash)"));
        json_decref(answer);
}

/* The largest of several that are as large: the first one in the list. With all charged there is none. */
static void test_explain_charged(void **state)
{
        struct fixture *f = *state;
        json_t *answer;

        put(f, OBJECT_MAP, 1, 3, "one", 100, 100);
        answer = ask(f, "Explain", "'cgroup':'/a.slice/b.service'");
        assert_non_null(strstr(text(answer, "verdict"), "all of it charged"));
        /* The hierarchy tells nothing of it: there is no such directory. */
        assert_true(json_is_null(json_object_get(answer, "memoryCurrent")));
        json_decref(answer);
        put(f, OBJECT_MAP, 2, 3, "two", 90, 60);
        put(f, OBJECT_MAP, 3, 3, "three", 80, 49);
        put(f, OBJECT_MAP, 4, 3, "four", 70, 40);
        answer = ask(f, "Explain", "'cgroup':'/a.slice/b.service'");
        assert_non_null(strstr(text(answer, "verdict"), "31B, is map three"));
        json_decref(answer);
}

/* What a cgroup is charged for is in its memory, also where a budget counts it as its holder's. */
static void test_explain_held(void **state)
{
        struct fixture *f = *state;
        json_t *answer;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        put(f, OBJECT_MAP, 2, 6, "n", 10, 7);
        ledger_begin_holders(&f->monitor.ledger);
        ledger_add_holder(&f->monitor.ledger, OBJECT_MAP, 1, cgroup_of(f, 6), true);
        assert_int_equal(ledger_end_holders(&f->monitor.ledger), 1);
        tree_flush(&f->monitor.tree);
        answer = ask(f, "Explain", "'cgroup':'/a.slice'");
        assert_int_equal(share(answer, "bpf"), 60);
        assert_int_equal(number(answer, "bpfCharged"), 0);
        assert_string_equal(list(answer, "objects", "id"), "");
        answer = ask(f, "Explain", "'cgroup':'/d'");
        assert_int_equal(share(answer, "bpf"), 7);
        assert_int_equal(number(answer, "bpfCharged"), 67);
        assert_string_equal(list(answer, "objects", "id"), "1 2");
}

/* Of a cgroup that is gone the file system would tell of another that has its path now. */
static void test_explain_gone(void **state)
{
        struct fixture *f = *state;
        json_t *answer;

        make_cgroup_directory(f, "/d", getuid());
        write_file(f, "/d", "memory.stat", "anon 1000\n");
        write_file(f, "/d", "memory.current", "2000\n");
        put(f, OBJECT_MAP, 2, 6, "n", 10, 7);
        answer = ask(f, "Explain", "'cgroup':'/d'");
        assert_int_equal(number(answer, "memoryCurrent"), 2000);
        json_decref(answer);
        world.places[5].gone = true;
        tree_check(&f->monitor.tree, cgroup_of(f, 6));
        answer = ask(f, "Explain", "'cgroup':'/d'");
        assert_true(json_is_null(json_object_get(answer, "memoryCurrent")));
        assert_true(json_is_null(json_object_get(answer, "memoryMax")));
        assert_int_equal(share(answer, "anon"), 0);
        assert_int_equal(share(answer, "bpf"), 7);
        json_decref(answer);
}

static void test_explain_unit(void **state)
{
        struct fixture *f = *state;
        json_t *answer;

        put(f, OBJECT_MAP, 1, 5, "m", 100, 60);
        /* The service itself, not what is below it; "b" is short for it. */
        for (int i = 0; i < 2; i++) {
                answer = ask(f, "Explain", "'unit':'%s'", i ? "b" : "b.service");
                assert_string_equal(text(json_object_get(answer, "cgroup"), "path"), "/a.slice/b.service");
                json_decref(answer);
        }
        answer = ask(f, "Explain", "'unit':'a.slice'");
        assert_int_equal(number(json_object_get(answer, "cgroup"), "id"), 2);
        json_decref(answer);
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'a'}", "'unit':'a'");
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'inner'}", "'unit':'inner'");
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'b.servic'}", "'unit':'b.servic'");
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'b.services'}", "'unit':'b.services'");
        refuse(f, "Explain", "NoSuchUnit", "{'unit':''}", "'unit':''");
        refuse(f, "Explain", INVALID, "{'parameter':'cgroup'}", "%s", "");
        refuse(f, "Explain", INVALID, "{'parameter':'unit'}", "'unit':'b','cgroup':'/'");
        refuse(f, "Explain", INVALID, "{'parameter':'cgroup'}", "'cgroup':'a'");
        refuse(f, "Explain", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/x'");
        /* One that is gone is not the unit any more. */
        world.places[2].gone = true;
        tree_check(&f->monitor.tree, cgroup_of(f, 3));
        refuse(f, "Explain", "NoSuchUnit", "{'unit':'b'}", "'unit':'b'");
}

/* A kernel that does not tell holders: the rest is worth an answer. */
static void test_explain_without_holders(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *object;

        put(f, OBJECT_MAP, 1, 3, "m", 100, 60);
        world.no_holders = true;
        answer = ask(f, "Explain", "'cgroup':'/'");
        object = json_array_get(json_object_get(answer, "objects"), 0);
        assert_int_equal(number(object, "id"), 1);
        assert_null(json_object_get(object, "holders"));
        assert_true(json_is_array(json_object_get(object, "pins")));
        json_decref(answer);
}

/* --- Budgets ------------------------------------------------------------------------------------------------------ */

#define CGROUP "'cgroup':'/a.slice/b.service'"
#define HEAD   "# Set at run time. It is gone when the machine boots.\n[Match]\nCgroup=/a.slice/b.service\n[Budget]\n"

static void test_list_budgets(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *budget;
        char near[128];

        f->budgets[1] = (struct budget){
                .name = "second",
                .file = f->budget_file,
                .high = 11,
                .max = 12,
                .maps_max = 13,
                .programs_max = 14,
                .footprint_ratio_high = 15,
                .on_high = ACTION_THROTTLE,
                .on_max = ACTION_DENY,
                .attribution = BUDGET_HOLDER,
                .count = COUNT_CHARGED,
                .clear_percent = 16,
        };
        snprintf(near, sizeof(near), "%s/x.budget", f->directory);
        f->budgets[2].file = near;
        give_budget(f, 3, 1);
        give_budget(f, 4, 1);
        give_budget(f, 6, 2);
        answer = ask(f, "ListBudgets", "%s", "");
        budget = json_array_get(json_object_get(answer, "budgets"), 1);
        assert_string_equal(text(budget, "file"), f->budget_file);
        assert_int_equal(number(budget, "high"), 11);
        assert_int_equal(number(budget, "max"), 12);
        assert_int_equal(number(budget, "mapsMax"), 13);
        assert_int_equal(number(budget, "programsMax"), 14);
        assert_int_equal(number(budget, "footprintRatioHigh"), 15);
        assert_string_equal(text(budget, "onHigh"), "throttle");
        assert_string_equal(text(budget, "onMax"), "deny");
        assert_string_equal(text(budget, "attribution"), "holder");
        assert_string_equal(text(budget, "count"), "charged");
        assert_int_equal(number(budget, "clearPercent"), 16);
        assert_int_equal(number(budget, "cgroups"), 2);
        assert_true(json_is_true(json_object_get(budget, "runtime")));
        budget = json_array_get(json_object_get(answer, "budgets"), 0);
        assert_true(json_is_null(json_object_get(budget, "high")));
        assert_true(json_is_null(json_object_get(budget, "footprintRatioHigh")));
        assert_int_equal(number(budget, "cgroups"), 0);
        assert_true(json_is_false(json_object_get(budget, "runtime")));
        budget = json_array_get(json_object_get(answer, "budgets"), 2);
        assert_int_equal(number(budget, "cgroups"), 1);
        assert_true(json_is_false(json_object_get(budget, "runtime")));
        assert_string_equal(list(answer, "budgets", "name"), "first second third");
}

/* More budgets than there is room for in a reply. */
static void test_many_budgets(void **state)
{
        struct fixture *f = *state;
        const size_t count = 30000;
        struct budget *budgets = calloc(count, sizeof(*budgets));

        assert_non_null(budgets);
        for (size_t i = 0; i < count; i++)
                budgets[i] = f->budgets[0];
        f->guard.config.budgets = budgets;
        f->guard.config.count = count;
        refuse(f, "ListBudgets", "ReplyTooLarge", "{}", "%s", "");
        f->guard.config.count = 3;
        assert_string_equal(list(ask(f, "ListBudgets", "%s", ""), "budgets", "name"), "first first first");
        free(budgets);
}

/* What the file of the runtime budget says now; NULL: there is none. */
static const char *read_budget(struct fixture *f)
{
        static char content[4096];
        FILE *file = fopen(f->budget_file, "re");
        size_t n;

        if (!file)
                return NULL;
        n = fread(content, 1, sizeof(content) - 1, file);
        content[n] = '\0';
        fclose(file);
        return content;
}

/* SetBudget with @parameters writes @lines, which are in force before it is answered. */
static void expect_budget(struct fixture *f, const char *parameters, const char *lines)
{
        char expected[512];
        unsigned int before = world.reloads;

        snprintf(expected, sizeof(expected), HEAD "%s", lines);
        tell(f, "SetBudget", CGROUP "%s", parameters);
        assert_int_equal(world.reloads, before + 1);
        assert_ptr_equal(world.reload_context, f);
        assert_non_null(world.seen_by_reload);
        assert_string_equal(world.seen_by_reload, expected);
        assert_string_equal(read_budget(f), expected);
}

static void test_set_budget(void **state)
{
        struct fixture *f = *state;

        expect_budget(f,
                        ",'high':11,'max':12,'mapsMax':13,'programsMax':14,'footprintRatioHigh':15,"
                        "'onHigh':'throttle','onMax':'deny','count':'charged','clearPercent':16",
                        "High=11\nMax=12\nMapsMax=13\nProgramsMax=14\nFootprintRatioHigh=15%\nOnHigh=throttle\n"
                        "OnMax=deny\nCount=charged\nClearPercent=16%\n");
        /* What is not given, or null, is none. */
        expect_budget(f, "", "");
        expect_budget(f, ",'high':null,'max':null,'onHigh':null,'count':null", "");
        expect_budget(f, ",'onHigh':'alert','onMax':'alert','count':'allocated','high':5", "High=5\n");
        /* All that is in bounds, just so. */
        expect_budget(f, ",'high':0,'max':0,'mapsMax':0,'programsMax':0,'footprintRatioHigh':1,'clearPercent':1",
                        "High=0\nMax=0\nMapsMax=0\nProgramsMax=0\nFootprintRatioHigh=1%\nClearPercent=1%\n");
        expect_budget(f,
                        ",'high':9223372036854775807,'max':9223372036854775807,'mapsMax':4294967295,"
                        "'programsMax':4294967295,'footprintRatioHigh':1000000,'clearPercent':100",
                        "High=9223372036854775807\nMax=9223372036854775807\nMapsMax=4294967295\n"
                        "ProgramsMax=4294967295\nFootprintRatioHigh=1000000%\nClearPercent=100%\n");
        expect_budget(f, ",'high':7", "High=7\n");
        tell(f, "UnsetBudget", CGROUP);
        assert_null(world.seen_by_reload);
        assert_null(read_budget(f));
        refuse(f, "UnsetBudget", "NoSuchBudget", "{" CGROUP "}", CGROUP);
        refuse(f, "UnsetBudget", INVALID, "{'parameter':'cgroup'}", "'cgroup':'/a/..'");
        refuse(f, "SetBudget", INVALID, "{'parameter':'cgroup'}", "'cgroup':'/a/..'");
        refuse(f, "SetBudget", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/x'");
        refuse(f, "UnsetBudget", "NoSuchBudget", "{'cgroup':'/x'}", "'cgroup':'/x'");
        refuse(f, "SetBudget", INVALID, "{'parameter':'onHigh'}", CGROUP ",'onHigh':'deny'");
        refuse(f, "SetBudget", INVALID, "{'parameter':'onMax'}", CGROUP ",'onMax':'throttle'");
        refuse(f, "SetBudget", INVALID, "{'parameter':'count'}", CGROUP ",'count':'all'");
}

static void test_unset_gone(void **state)
{
        struct fixture *f = *state;

        expect_budget(f, ",'high':7", "High=7\n");
        world.places[2].gone = true;
        tell(f, "UnsetBudget", CGROUP);
        assert_null(read_budget(f));
}

/* Out of bounds by one. */
static void test_invalid_budget(void **state)
{
        static const struct {
                const char *field, *value, *reason;
        } wrong[] = {
                { "high", "-1", "is negative" },
                { "max", "-1", "is negative" },
                { "mapsMax", "-1", "is negative" },
                { "mapsMax", "4294967296", "is too large" },
                { "programsMax", "-9223372036854775808", "is negative" },
                { "programsMax", "4294967296", "is too large" },
                { "footprintRatioHigh", "0", "is too small" },
                { "footprintRatioHigh", "1000001", "is too large" },
                { "clearPercent", "0", "is too small" },
                { "clearPercent", "101", "is too large" },
                { "high", "13,'max':12", "is more than max" },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                char expected[128];

                snprintf(expected, sizeof(expected), "{'field':'%s','reason':'%s'}", wrong[i].field, wrong[i].reason);
                refuse(f, "SetBudget", "InvalidBudget", expected, CGROUP ",'%s':%s", wrong[i].field, wrong[i].value);
        }
        /* The first that is wrong is named, whatever follows. */
        refuse(f, "SetBudget", "InvalidBudget", "{'field':'high','reason':'is negative'}",
                        CGROUP ",'high':-1,'clearPercent':50");
        assert_int_equal(world.reloads, 0);
        assert_null(read_budget(f));
}

/* Errors elsewhere in the configuration: nothing changes on disk. */
static void test_not_in_force(void **state)
{
        struct fixture *f = *state;

        world.reload_result = -EINVAL;
        refuse(f, "SetBudget", "InvalidConfiguration", "{'errors':['x:1: bad']}", CGROUP ",'high':7");
        assert_string_equal(world.seen_by_reload, HEAD "High=7\n");
        assert_null(read_budget(f));
        world.reload_result = 0;
        expect_budget(f, ",'high':7", "High=7\n");
        world.reload_result = -EINVAL;
        refuse(f, "SetBudget", "InvalidConfiguration", "{'errors':['x:1: bad']}", CGROUP ",'high':8");
        assert_string_equal(read_budget(f), HEAD "High=7\n");
        refuse(f, "UnsetBudget", "InvalidConfiguration", "{'errors':['x:1: bad']}", CGROUP);
        assert_null(world.seen_by_reload);
        assert_string_equal(read_budget(f), HEAD "High=7\n");
        refuse(f, "Reload", "InvalidConfiguration", "{'errors':['x:1: bad']}", "%s", "");
        /* Any other failure ends the connection. */
        world.reload_result = -ENOMEM;
        expect_close(f, "SetBudget", CGROUP ",'high':8");
        assert_string_equal(read_budget(f), HEAD "High=7\n");
        expect_close(f, "UnsetBudget", CGROUP);
        assert_string_equal(read_budget(f), HEAD "High=7\n");
        expect_close(f, "Reload", "%s", "");
        world.reload_result = 0;
        world.reloads = 0;
        tell(f, "Reload", "%s", "");
        assert_int_equal(world.reloads, 1);
        assert_ptr_equal(world.reload_context, f);
}

/* Cgroups that no budget file can name, and a directory that is not there. */
static void test_unnameable(void **state)
{
        struct fixture *f = *state;
        char path[2048] = "/", aside[64], expected[128];

        add_place(7, 1, "/blank blank");
        refuse(f, "SetBudget", "InvalidBudget",
                        "{'field':'cgroup','reason':'its name has blanks or control characters, or is not UTF-8'}",
                        "'cgroup':'/blank blank','high':1");
        memset(path + 1, 'x', sizeof(path) - 2);
        add_place(8, 1, path);
        refuse(f, "SetBudget", "InvalidBudget",
                        "{'field':'cgroup','reason':'its path is too long for a line of a budget file'}",
                        "'cgroup':'%s','high':1", path);
        add_place(9, 1, "/nameless");
        world.places[world.place_count - 1].no_path = true;
        put(f, OBJECT_MAP, 1, 9, "m", 1, 1);
        refuse(f, "SetBudget", "NotSupported",
                        "{'reason':'paths of cgroups are not known: CAP_DAC_READ_SEARCH is missing'}",
                        "'cgroup':'/nameless','high':1");
        assert_int_equal(world.reloads, 0);

        snprintf(aside, sizeof(aside), "%s.aside", f->directory);
        assert_int_equal(rename(f->directory, aside), 0);
        snprintf(expected, sizeof(expected), "{'reason':'%s: No such file or directory'}", f->directory);
        refuse(f, "SetBudget", "NotSupported", expected, CGROUP ",'high':1");
        refuse(f, "UnsetBudget", "NoSuchBudget", "{" CGROUP "}", CGROUP);
        assert_int_equal(rename(aside, f->directory), 0);
        /* One that cannot be read: it is a directory. */
        assert_int_equal(mkdir(f->budget_file, 0700), 0);
        snprintf(expected, sizeof(expected), "{'reason':'%s: Is a directory'}", f->directory);
        refuse(f, "UnsetBudget", "NotSupported", expected, CGROUP);
}

/* --- Who may ------------------------------------------------------------------------------------------------------ */

#define NOT_OWNER "{'reason':'only root and the owner of the cgroup may set its budget'}"

static void test_strangers(void **state)
{
        struct fixture *f = *state;
        int fd;

        make_cgroup_directory(f, "/a.slice", owner_uid());
        make_cgroup_directory(f, "/a.slice/b.service", owner_uid());
        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        give_budget(f, 3, 0);
        expect_budget(f, ",'high':7", "High=7\n");
        world.reloads = world.flushed = 0;
        fd = connect_as(f, owner_uid() + 1);
        refuse_at(f, fd, "SetBudget", "NotPermitted", NOT_OWNER, CGROUP ",'high':1");
        /* Nor are they told what is wrong with it. */
        refuse_at(f, fd, "SetBudget", "NotPermitted", NOT_OWNER, CGROUP ",'high':-1");
        refuse_at(f, fd, "SetBudget", "NotPermitted", NOT_OWNER, "'cgroup':'/','high':1");
        refuse_at(f, fd, "UnsetBudget", "NotPermitted",
                        "{'reason':'only root and the owner of the cgroup may unset its budget'}", CGROUP);
        refuse_at(f, fd, "UnsetBudget", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/x'");
        refuse_at(f, fd, "UnsetBudget", INVALID, "{'parameter':'cgroup'}", "'cgroup':'x'");
        refuse_at(f, fd, "Reload", "NotPermitted", "{'reason':'only root may reload the configuration'}", "%s", "");
        assert_int_equal(world.reloads, 0);
        assert_null(world.lowered);
        assert_string_equal(read_budget(f), HEAD "High=7\n");
        /* They may look. */
        json_decref(ask_at(f, fd, "GetCgroup", CGROUP));
        json_decref(ask_at(f, fd, "Flush", "%s", ""));
        json_decref(ask_at(f, fd, "ListBudgets", "%s", ""));
        json_decref(ask_at(f, fd, "ListObjects", "%s", ""));
        json_decref(ask_at(f, fd, "Explain", CGROUP));
        close(fd);
}

/* The owner is who the cgroup's directory belongs to, while it is there. */
static void test_owner_of_what(void **state)
{
        struct fixture *f = *state;
        int fd = connect_as(f, owner_uid());

        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        give_budget(f, 3, 0);
        /* There is no such directory. */
        refuse_at(f, fd, "SetBudget", "NotPermitted", NOT_OWNER, CGROUP ",'high':1");
        make_cgroup_directory(f, "/a.slice", owner_uid());
        make_cgroup_directory(f, "/a.slice/b.service", owner_uid());
        json_decref(ask_at(f, fd, "SetBudget", CGROUP ",'high':1"));
        /* The cgroup is gone: the directory is another's. */
        world.places[2].gone = true;
        tree_check(&f->monitor.tree, cgroup_of(f, 3));
        refuse_at(f, fd, "SetBudget", "NotPermitted", NOT_OWNER, CGROUP ",'high':1");
        close(fd);
}

/* SetBudget of the owner at @fd with @parameters lowers to @high and @max. */
static void expect_lowered(struct fixture *f, int fd, const char *parameters, uint64_t high, uint64_t max)
{
        world.lowered = NULL;
        world.flushed = 0;
        json_decref(ask_at(f, fd, "SetBudget", CGROUP "%s", parameters));
        assert_ptr_equal(world.lowered, cgroup_of(f, 3));
        assert_int_equal(world.lowered_high, high);
        assert_int_equal(world.lowered_max, max);
        /* It is in force at once. */
        assert_int_equal(world.flushed, 1);
        assert_ptr_equal(world.flushed_context, f);
}

static void test_owner(void **state)
{
        static const char *const others[] = { "'mapsMax':1", "'programsMax':1", "'footprintRatioHigh':1",
                "'onHigh':'alert'", "'onMax':'alert'", "'count':'charged'", "'clearPercent':50" };
        static const char only[] = "{'reason':'the owner of a cgroup may lower high and max, nothing else'}";
        static const char raise_it[] = "{'reason':'the owner of a cgroup may lower its budget, not raise it'}";
        struct fixture *f = *state;
        struct policy *policy;
        int fd = connect_as(f, owner_uid());

        make_cgroup_directory(f, "/a.slice", owner_uid() + 1);
        make_cgroup_directory(f, "/a.slice/b.service", owner_uid());
        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        refuse_at(f, fd, "SetBudget", "NoSuchBudget", "{" CGROUP "}", CGROUP ",'high':1");
        refuse_at(f, fd, "UnsetBudget", "NoSuchBudget", "{" CGROUP "}", CGROUP);
        assert_null(world.lowered);

        f->budgets[0].high = 500;
        f->budgets[0].max = 1000;
        policy = give_budget(f, 3, 0);
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
                refuse_at(f, fd, "SetBudget", "NotPermitted", only, CGROUP ",'high':1,%s", others[i]);
        refuse_at(f, fd, "SetBudget", "NotPermitted", raise_it, CGROUP ",'high':501");
        refuse_at(f, fd, "SetBudget", "NotPermitted", raise_it, CGROUP ",'max':1001");
        refuse_at(f, fd, "SetBudget", "NotPermitted", raise_it, CGROUP ",'high':501,'max':600");
        refuse_at(f, fd, "SetBudget", "NotPermitted", raise_it, CGROUP ",'high':1,'max':1001");
        refuse_at(f, fd, "SetBudget", "InvalidBudget", "{'field':'max','reason':'is negative'}", CGROUP ",'max':-1");
        refuse_at(f, fd, "SetBudget", "InvalidBudget", "{'field':'high','reason':'is more than max'}",
                        CGROUP ",'high':2,'max':1");
        assert_null(world.lowered);
        expect_lowered(f, fd, ",'high':500,'max':1000", 500, 1000);
        expect_lowered(f, fd, ",'high':0", 0, BUDGET_INFINITY);
        expect_lowered(f, fd, ",'max':600,'high':null,'mapsMax':null", BUDGET_INFINITY, 600);
        /* What was lowered may be raised again, as far as the budget goes. */
        policy->high = 100;
        policy->max = 200;
        expect_lowered(f, fd, ",'high':400,'max':900", 400, 900);
        /* Where the budget has no limit any is lower. */
        f->budgets[0].high = f->budgets[0].max = BUDGET_INFINITY;
        expect_lowered(f, fd, ",'high':4000,'max':9223372036854775807", 4000, INT64_MAX);

        world.lowered = NULL;
        world.flushed = 0;
        json_decref(ask_at(f, fd, "UnsetBudget", CGROUP));
        assert_ptr_equal(world.lowered, cgroup_of(f, 3));
        assert_int_equal(world.lowered_high, BUDGET_INFINITY);
        assert_int_equal(world.lowered_max, BUDGET_INFINITY);
        assert_int_equal(world.flushed, 1);
        /* Nothing of that is a file. */
        assert_null(read_budget(f));
        assert_int_equal(world.reloads, 0);

        /* Root's is the budget itself. */
        expect_budget(f, ",'high':4000", "High=4000\n");
        /* Not of the cgroup above; without root there is one user only. */
        give_budget(f, 2, 1);
        if (getuid() == 0)
                refuse_at(f, fd, "SetBudget", "NotPermitted", NOT_OWNER, "'cgroup':'/a.slice','high':1");
        close(fd);
}

static void test_owner_fails(void **state)
{
        struct fixture *f = *state;
        bool closed;
        int fd = connect_as(f, owner_uid());
        static const char call[] = "{\"method\":\"io.bpfbudget.SetBudget\",\"parameters\":"
                                   "{\"cgroup\":\"/a.slice/b.service\",\"high\":1}}";

        make_cgroup_directory(f, "/a.slice", owner_uid());
        make_cgroup_directory(f, "/a.slice/b.service", owner_uid());
        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        give_budget(f, 3, 0);
        world.flushed = 0;
        world.lower_result = -ENOMEM;
        assert_int_equal(send(fd, call, sizeof(call), 0), sizeof(call));
        loop_turn(f->base);
        assert_null(loop_receive(f->base, fd, &closed));
        assert_true(closed);
        assert_int_equal(world.flushed, 0);
        close(fd);
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

/* A subscriber, who has had the first reply. */
static int subscribe(struct fixture *f, const char *parameters)
{
        int fd = connect_as(f, 0);
        json_t *reply;

        begin_stream(f, fd, "Subscribe", "%s", parameters);
        reply = receive(f, fd);
        assert_non_null(reply);
        assert_true(json_is_true(json_object_get(reply, "continues")));
        assert_true(json_is_null(json_object_get(json_object_get(reply, "parameters"), "event")));
        assert_int_equal(number(json_object_get(reply, "parameters"), "lost"), 0);
        json_decref(reply);
        return fd;
}

/* The next event at @fd, with *lost; NULL: nothing comes. */
static json_t *next_event(struct fixture *f, int fd, int64_t *lost)
{
        json_t *reply, *event;

        loop_turn(f->base);
        reply = receive(f, fd);
        if (!reply)
                return NULL;
        assert_true(json_is_true(json_object_get(reply, "continues")));
        event = json_incref(json_object_get(json_object_get(reply, "parameters"), "event"));
        *lost = number(json_object_get(reply, "parameters"), "lost");
        json_decref(reply);
        return event;
}

static void expect_event(struct fixture *f, int fd, const char *kind)
{
        int64_t lost = 0;
        json_t *event = next_event(f, fd, &lost);

        if (!kind)
                assert_null(event);
        else {
                assert_non_null(event);
                assert_string_equal(text(event, "kind"), kind);
                assert_int_equal(lost, 0);
        }
        json_decref(event);
}

static void send_event(struct fixture *f, enum event_kind kind, uint64_t cgroup_id)
{
        struct budget_event event = { .kind = kind, .cgroup = cgroup_of(f, cgroup_id) };

        api_event(f->api, &event);
}

static void test_subscribe(void **state)
{
        static const char *const names[] = { "state", "refusal", "throttle" };
        struct fixture *f = *state;
        int all = subscribe(f, ""), none = subscribe(f, "'kinds':[]"), null = subscribe(f, "'kinds':null");
        int two = subscribe(f, "'kinds':['throttle','state']"), there = subscribe(f, "'cgroup':'/a.slice/*'");
        int both = subscribe(f, "'cgroup':'/d','kinds':['refusal']"), anywhere = subscribe(f, "'cgroup':'**'");

        add_place(7, 1, "/nameless");
        world.places[world.place_count - 1].no_path = true;
        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        put(f, OBJECT_MAP, 2, 6, "m", 1, 1);
        put(f, OBJECT_MAP, 3, 7, "m", 1, 1);
        for (enum event_kind kind = EVENT_STATE; kind < EVENT_KINDS; kind++) {
                send_event(f, kind, 3);
                expect_event(f, all, names[kind]);
                expect_event(f, null, names[kind]);
                expect_event(f, none, NULL);
                expect_event(f, two, kind == EVENT_REFUSAL ? NULL : names[kind]);
                expect_event(f, there, names[kind]);
                expect_event(f, both, NULL);
                expect_event(f, anywhere, names[kind]);
                send_event(f, kind, 6);
                expect_event(f, all, names[kind]);
                expect_event(f, null, names[kind]);
                expect_event(f, two, kind == EVENT_REFUSAL ? NULL : names[kind]);
                expect_event(f, there, NULL);
                expect_event(f, both, kind == EVENT_REFUSAL ? "refusal" : NULL);
                expect_event(f, anywhere, names[kind]);
        }
        /* A cgroup whose path is not known is matched by no glob. */
        send_event(f, EVENT_STATE, 7);
        expect_event(f, all, "state");
        expect_event(f, anywhere, NULL);
        refuse(f, "Subscribe", "org.varlink.service.ExpectedMore", "{}", "%s", "");
        /* One that leaves is told no more, the others are. */
        close(null);
        close(there);
        loop_turn(f->base);
        send_event(f, EVENT_STATE, 3);
        expect_event(f, all, "state");
        expect_event(f, two, "state");
        close(all);
        close(none);
        close(two);
        close(both);
        close(anywhere);
        loop_turn(f->base);
        send_event(f, EVENT_STATE, 3);
        api_event(NULL, NULL);
}

/* What an event says, by kind. */
static void test_event(void **state)
{
        struct fixture *f = *state;
        int fd = subscribe(f, "");
        struct budget_event event;
        int64_t lost;
        json_t *json, *expected;

        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        f->budgets[0].high = 500;
        f->budgets[0].max = 1000;
        event = (struct budget_event){ .kind = EVENT_STATE,
                .cgroup = cgroup_of(f, 3),
                .policy = give_budget(f, 3, 0),
                .usage = 700,
                .pid = 11,
                .comm = "me",
                .from = LEVEL_OK,
                .to = LEVEL_HIGH,
                .limit = LIMIT_HIGH,
                .pause_usec = 9 };
        api_event(f->api, &event);
        json = next_event(f, fd, &lost);
        expected = json_pack("{ss ss si si si si ss ss ss si ss sn sn sn sn sn}", "kind", "state", "cgroup",
                        "/a.slice/b.service", "cgroupId", 3, "usage", 700, "high", 500, "max", 1000, "from", "ok", "to",
                        "high", "limit", "High", "pid", 11, "comm", "me", "objectKind", "objectType", "objectName",
                        "size", "pauseUSec");
        assert_non_null(expected);
        assert_true(json_equal(json, expected));
        json_decref(json);
        json_decref(expected);

        f->policies[0].max = BUDGET_INFINITY;
        event = (struct budget_event){ .kind = EVENT_REFUSAL,
                .cgroup = cgroup_of(f, 3),
                .policy = &f->policies[0],
                .usage = 701,
                .limit = LIMIT_MAX,
                .from = LEVEL_HIGH,
                .to = LEVEL_MAX,
                .size = 12,
                .object = { .kind = OBJECT_MAP, .type = BPF_MAP_TYPE_HASH, .name = "0123456789abcdef" },
                .pause_usec = 9 };
        api_event(f->api, &event);
        json = next_event(f, fd, &lost);
        expected = json_pack("{ss ss si si si sn sn sn ss sn sn ss ss ss si sn}", "kind", "refusal", "cgroup",
                        "/a.slice/b.service", "cgroupId", 3, "usage", 701, "high", 500, "max", "from", "to", "limit",
                        "Max", "pid", "comm", "objectKind", "map", "objectType", "hash", "objectName",
                        "0123456789abcdef", "size", 12, "pauseUSec");
        assert_non_null(expected);
        assert_true(json_equal(json, expected));
        json_decref(json);
        json_decref(expected);

        event = (struct budget_event){ .kind = EVENT_REFUSAL,
                .cgroup = cgroup_of(f, 3),
                .object = { .kind = OBJECT_PROGRAM, .type = BPF_PROG_TYPE_KPROBE, .name = "p" } };
        api_event(f->api, &event);
        json = next_event(f, fd, &lost);
        assert_string_equal(text(json, "objectKind"), "program");
        assert_string_equal(text(json, "objectType"), "kprobe");
        assert_string_equal(text(json, "objectName"), "p");
        assert_true(json_is_null(json_object_get(json, "high")));
        assert_true(json_is_null(json_object_get(json, "max")));
        assert_true(json_is_null(json_object_get(json, "limit")));
        assert_true(json_is_null(json_object_get(json, "size")));
        json_decref(json);

        event = (struct budget_event){ .kind = EVENT_THROTTLE, .cgroup = cgroup_of(f, 3), .pause_usec = 0 };
        api_event(f->api, &event);
        json = next_event(f, fd, &lost);
        assert_string_equal(text(json, "kind"), "throttle");
        assert_int_equal(number(json, "pauseUSec"), 0);
        assert_true(json_is_null(json_object_get(json, "from")));
        json_decref(json);
        close(fd);
}

/* Who is too slow loses events, and is told how many: when there is room again, or with the next event. */
static void test_lost(void **state)
{
        struct fixture *f = *state;
        int fd = subscribe(f, "'kinds':['state']");
        int64_t got = 0, lost = 0, more, sent;
        json_t *event;

        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        /* Nothing is read meanwhile: a backlog of 256 KiB is full after less than 1,500, each of 200 to 400 bytes. */
        for (sent = 0; sent < 1500; sent++)
                send_event(f, EVENT_STATE, 3);
        /* One that it has not subscribed to is none that it has lost. */
        send_event(f, EVENT_REFUSAL, 3);
        while ((event = next_event(f, fd, &more))) {
                if (json_is_null(event)) {
                        assert_true(more > 0);
                        assert_int_equal(lost, 0);
                } else
                        assert_int_equal(more, 0);
                got += !json_is_null(event);
                lost += more;
                json_decref(event);
        }
        assert_int_equal(got + lost, sent);
        assert_true(lost > 0);
        assert_true(got > 500);
        /* It is told once. */
        send_event(f, EVENT_STATE, 3);
        expect_event(f, fd, "state");
        close(fd);
}

/* --- The daemon itself -------------------------------------------------------------------------------------------- */

static void test_info(void **state)
{
        struct fixture *f = *state;
        json_t *answer = ask(f, "org.varlink.service.GetInfo", "%s", ""), *interfaces;

        assert_string_equal(text(answer, "vendor"), "bpfbudget");
        assert_string_equal(text(answer, "product"), "bpfbudgetd");
        assert_string_equal(text(answer, "version"), PACKAGE_VERSION);
        interfaces = json_object_get(answer, "interfaces");
        assert_int_equal(json_array_size(interfaces), 2);
        assert_string_equal(json_string_value(json_array_get(interfaces, 1)), "io.bpfbudget");
        json_decref(answer);
        answer = ask(f, "org.varlink.service.GetInterfaceDescription", "'interface':'io.bpfbudget'");
        assert_non_null(strstr(text(answer, "description"), "\nmethod GetStatistics() -> (statistics: Statistics)\n"));
        json_decref(answer);
}

static void test_capabilities(void **state)
{
        struct fixture *f = *state;
        json_t *answer = ask(f, "GetCapabilities", "%s", "");
        json_t *second = json_array_get(json_object_get(answer, "capabilities"), 1);

        assert_true(json_is_false(json_object_get(second, "available")));
        assert_string_equal(text(second, "reason"), "none");
        assert_string_equal(list(answer, "capabilities", "name"), "a b");
}

static void test_statistics(void **state)
{
        static const struct {
                const char *name;
                int64_t value;
        } expected[] = {
                { "flushes", 101 },
                { "fullPasses", 102 },
                { "fullPassUSec", 103 },
                { "updates", 104 },
                { "overflows", 105 },
                { "drift", 106 },
                { "updatedCgroups", 107 },
                { "rssPasses", 108 },
                { "wakeups", 109 },
                { "cgroups", 4 },
                { "objects", 2 },
                { "overHigh", 110 },
                { "clients", 3 },
                { "refusals", 5 },
                { "throttles", 6 },
        };
        struct fixture *f = *state;
        int one = connect_as(f, 1), two = subscribe(f, "");
        json_t *answer, *statistics;

        f->monitor.statistics = (struct monitor_statistics){ .flushes = 101,
                .full_passes = 102,
                .full_pass_usec = 103,
                .updates = 104,
                .overflows = 105,
                .drift = 106,
                .updated_cgroups = 107,
                .rss_passes = 108 };
        f->guard.over_high = 110;
        put(f, OBJECT_MAP, 1, 3, "m", 1, 1);
        put(f, OBJECT_MAP, 2, 6, "m", 1, 1);
        for (int i = 0; i < 6; i++) {
                send_event(f, EVENT_THROTTLE, 3);
                if (i < 5)
                        send_event(f, EVENT_REFUSAL, 3);
                if (i < 4)
                        send_event(f, EVENT_STATE, 3);
        }
        answer = ask(f, "GetStatistics", "%s", "");
        statistics = json_object_get(answer, "statistics");
        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
                if (number(statistics, expected[i].name) != expected[i].value)
                        fail_msg("%s is %lld", expected[i].name, (long long) number(statistics, expected[i].name));
        assert_int_equal(json_object_size(statistics), sizeof(expected) / sizeof(expected[0]));
        json_decref(answer);
        close(one);
        close(two);
        /* Events are counted also while nobody has subscribed. */
        loop_turn(f->base);
        send_event(f, EVENT_REFUSAL, 3);
        answer = ask(f, "GetStatistics", "%s", "");
        assert_int_equal(number(json_object_get(answer, "statistics"), "refusals"), 6);
        assert_int_equal(number(json_object_get(answer, "statistics"), "clients"), 1);
        json_decref(answer);
}

/* --- Sockets ------------------------------------------------------------------------------------------------------ */

static int make_socket(int type, const char *path, bool listening)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, type, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || (listening && listen(fd, 5) < 0))
                _exit(2);
        return fd;
}

/* In a process of its own, whose descriptors are from 3 on what the service manager passes. */
static void be_activated(struct fixture *f, const char *paths[2])
{
        struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct api_options options = { .monitor = &f->monitor, .guard = &f->guard, .directory = f->directory };
        char other[64], number_of_us[16];
        int fds[6], tcp = socket(AF_INET, SOCK_STREAM, 0);
        struct api *api;

        snprintf(other, sizeof(other), "%s/other", f->directory);
        fds[0] = make_socket(SOCK_STREAM, paths[0], true);
        snprintf(other, sizeof(other), "%s/datagram", f->directory);
        fds[1] = make_socket(SOCK_DGRAM, other, false);
        snprintf(other, sizeof(other), "%s/seqpacket", f->directory);
        fds[2] = make_socket(SOCK_SEQPACKET, other, true);
        snprintf(other, sizeof(other), "%s/deaf", f->directory);
        fds[3] = make_socket(SOCK_STREAM, other, false);
        fds[4] = tcp;
        if (tcp >= 0 && (bind(tcp, (struct sockaddr *) &nowhere, sizeof(nowhere)) < 0 || listen(tcp, 5) < 0))
                _exit(3);
        fds[5] = make_socket(SOCK_STREAM, paths[1], true);
        for (int i = 0; i < 6; i++)
                fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
        for (int i = 0; i < 6; i++)
                if (fds[i] >= 0)
                        dup2(fds[i], 3 + i);
        for (int i = 0; i < 6; i++)
                close(fds[i]);
        snprintf(number_of_us, sizeof(number_of_us), "%d", (int) getpid());
        setenv("LISTEN_PID", number_of_us, 1);
        setenv("LISTEN_FDS", "6", 1);
        options.base = event_base_new();
        options.hooks.flushed = flushed;
        if (api_new(&options, &api) != 0 || api_listen_passed(api) != 2)
                _exit(4);
        /* Children do not take it for theirs. */
        if (getenv("LISTEN_FDS"))
                _exit(5);
        for (int i = 0; i < 2; i++) {
                static const char call[] = "{\"method\":\"io.bpfbudget.Flush\"}";
                int fd = connect_to(paths[i]);
                bool closed;
                char *reply;

                if (send(fd, call, sizeof(call), 0) != sizeof(call))
                        _exit(6);
                loop_turn(options.base);
                reply = loop_receive(options.base, fd, &closed);
                if (!reply || strcmp(reply, "{\"parameters\":{}}") != 0)
                        _exit(7);
                free(reply);
        }
        api_free(api);
        event_base_free(options.base);
        /* The manager's sockets stay. */
        _exit(access(paths[0], F_OK) == 0 ? 0 : 8);
}

/* Of the sockets that the service manager passes those are served that listen for unix streams. */
static void test_passed(void **state)
{
        struct fixture *f = *state;
        char first[64], last[64];
        const char *paths[2] = { first, last };
        int status;
        pid_t pid;

        /* None are passed. */
        assert_int_equal(api_listen_passed(f->api), 0);
        snprintf(first, sizeof(first), "%s/first", f->directory);
        snprintf(last, sizeof(last), "%s/last", f->directory);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                setenv("CMOCKA_TEST_ABORT", "1", 1);
                be_activated(f, paths);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* What it makes itself is for root and a group. */
static void test_own_socket(void **state)
{
        struct fixture *f = *state;
        struct stat st;

        assert_int_equal(stat(f->socket, &st), 0);
        assert_int_equal(st.st_mode, S_IFSOCK | 0660);
        assert_int_equal(api_listen(f->api, f->socket), -EADDRINUSE);
        api_free(NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_fresh),
                TEST(test_fresh_costly),
                TEST(test_fresh_untold),
                TEST(test_fresh_second),
                TEST(test_fresh_without_sensors),
                TEST(test_fresh_methods),
                TEST(test_get_cgroup),
                TEST(test_cgroup_figures),
                TEST(test_list_cgroups),
                TEST(test_list_objects),
                TEST(test_list_held),
                TEST(test_relations),
                TEST(test_stream),
                TEST(test_stream_of_cgroups),
                TEST(test_too_large),
                TEST(test_explain),
                TEST(test_explain_charged),
                TEST(test_explain_held),
                TEST(test_explain_gone),
                TEST(test_explain_unit),
                TEST(test_explain_without_holders),
                TEST(test_list_budgets),
                TEST(test_many_budgets),
                TEST(test_set_budget),
                TEST(test_unset_gone),
                TEST(test_invalid_budget),
                TEST(test_not_in_force),
                TEST(test_unnameable),
                TEST(test_strangers),
                TEST(test_owner_of_what),
                TEST(test_owner),
                TEST(test_owner_fails),
                TEST(test_subscribe),
                TEST(test_event),
                TEST(test_lost),
                TEST(test_info),
                TEST(test_capabilities),
                TEST(test_statistics),
                TEST(test_passed),
                TEST(test_own_socket),
        };

        signal(SIGPIPE, SIG_IGN);
        log_set_max_level(LOG_CRIT);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
