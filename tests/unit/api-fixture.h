/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The API for tests of its methods, which are called over a socket. The tree and the ledger are made for the test, and
 * doubles replace the functions that use the kernel. The clock is the test's own. To be included by one file of a
 * program.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "enforce/doctor.h"
#include "kernel/probe.h"
#include "loop.h"
#include "serve/api.h"
#include "serve/varlink.h"

/* --- Doubles ------------------------------------------------------------------------------------------------------ */

/* Cgroup N has the parent and path that the table says. */
struct place {
        uint64_t id, parent_id;
        const char *path;
        bool gone;    /* from the file system */
        bool no_path; /* it has an id, but its path cannot be looked up */
};

/* The calls and the results of the doubles. */
static struct {
        unsigned int refreshes, rss_refreshes, flushed, woken, reloads, adopted;
        uint64_t cost_usec; /* of each refresh */
        bool dirty, no_growth_told, no_holders;
        int lower_result, reload_result;
        struct cgroup *lowered;
        uint64_t lowered_high, lowered_max, watched, evaluated;
        char *seen_by_reload; /* content of the file of the runtime budget at the reload */
        const struct manager *flushed_manager;
        struct policy *adopted_policy; /* for cgroups that are added to the tree; NULL: none */
        void *reload_context;
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

/* The daemon's own objects: map 1, and a program that was freed. */
bool kernel_own(const struct kernel *kernel, size_t i, uint32_t *kind, uint32_t *id)
{
        (void) kernel;
        *kind = i ? OBJECT_PROGRAM : OBJECT_MAP;
        *id = i ? 99 : 1;
        return i < 2;
}

const struct machine *kernel_machine(const struct kernel *kernel)
{
        static const struct machine machine = { .settings.possible_cpus = 64 };

        (void) kernel;
        return &machine;
}

const char *enforce_obstacle(const struct enforce *enforce)
{
        (void) enforce;
        return "no throttle";
}

/* The daemon's own obstacle is the reason of a finding that is about two facilities. */
void doctor_examine(const struct monitor *monitor, const char *throttle_obstacle, const char *refusal_obstacle,
                struct readiness *readiness)
{
        (void) monitor;
        assert_string_equal(throttle_obstacle, "no throttle");
        *readiness = (struct readiness){
                .level = READINESS_NONE,
                .levels = { [FACILITY_ALERTS] = READINESS_PARTIAL, [FACILITY_REFUSAL] = READINESS_NONE },
                .findings = { { .name = "both",
                                .levels = { [FACILITY_ALERTS] = READINESS_PARTIAL,
                                                [FACILITY_REFUSAL] = READINESS_NONE },
                                .action = "Do",
                                .remedy = "this" } },
                .count = 1,
        };
        snprintf(readiness->findings[0].reason, sizeof(readiness->findings[0].reason), "%s", refusal_obstacle ?: "");
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
int kernel_read_holders(struct kernel *kernel, kernel_record_t callback, void *context)
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

int kernel_read_uses(struct kernel *kernel, kernel_record_t callback, void *context)
{
        struct use_record record = { .program_id = 1, .map_id = 1 };

        (void) kernel;
        return callback(context, &record);
}

/* Each object has one reference, by a pin that is not visible. */
int kernel_measure(struct kernel *kernel, struct object_record *records, size_t n)
{
        (void) kernel;
        for (size_t i = 0; i < n; i++) {
                records[i].references = 1;
                records[i].uid = 1000;
        }
        return 0;
}

int cgroupfs_path(const struct cgroupfs *fs, uint64_t id, char **path)
{
        (void) fs;
        (void) id;
        *path = NULL;
        return -ESTALE;
}

void manager_apply(struct manager *manager)
{
        world.flushed++;
        world.flushed_manager = manager;
}

/* Gives new cgroups a budget. */
void manager_adopt_added(struct manager *manager)
{
        struct cgroup *cgroup;

        while ((cgroup = tree_take_added(&manager->monitor->tree)))
                if (world.adopted_policy)
                        cgroup->policy = world.adopted_policy;
        world.adopted++;
}

void manager_evaluate(struct manager *manager, struct cgroup *cgroup)
{
        (void) manager;
        world.evaluated = cgroup->id;
}

int manager_lower(struct manager *manager, struct cgroup *cgroup, uint64_t high, uint64_t max)
{
        (void) manager;
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

static const struct place *find_place(uint64_t id)
{
        for (size_t i = 0; i < world.place_count; i++)
                if (world.places[i].id == id && !world.places[i].gone)
                        return &world.places[i];
        return NULL;
}

int cgroupfs_exists(const struct cgroupfs *fs, uint64_t id)
{
        const struct place *place = find_place(id);

        (void) fs;
        return !place ? -ESTALE : place->no_path ? -EPERM : 0;
}

static inline int lookup(void *context, uint64_t id, char **name, uint64_t *parent_id)
{
        int r = cgroupfs_exists(context, id);

        if (r < 0 || !name)
                return r;
        *name = strdup(strrchr(find_place(id)->path, '/') + 1);
        *parent_id = find_place(id)->parent_id;
        return 0;
}

int cgroupfs_open(const struct cgroupfs *fs, uint64_t id)
{
        const struct place *place = find_place(id);
        char directory[PATH_MAX];
        int fd;

        if (!place || place->no_path)
                return place ? -EPERM : -ESTALE;
        snprintf(directory, sizeof(directory), "%s%s", fs->mount, place->path);
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* --- The API ------------------------------------------------------------------------------------------------------ */

struct fixture {
        struct event_base *base;
        struct monitor monitor;
        struct manager manager;
        struct budget budgets[3];
        struct policy policies[3];
        struct api *api;
        struct event *flushed;
        int fd;             /* a connection of root */
        char directory[32]; /* of the socket, the runtime budgets, and "cgroups", where cgroups are directories */
        char socket[64], mount[64], budget_file[96];
};

static inline int reload(void *context, json_t *errors, json_t *warnings)
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
        json_array_append_new(warnings, json_string("x:2: odd"));
        json_array_append_new(warnings, json_sprintf("%s:5: strange: 7", f->budget_file));
        json_array_append_new(warnings, json_sprintf("%sx:5: another's", f->budget_file));
        return world.reload_result;
}

static inline void on_flushed(evutil_socket_t fd, short what, void *context)
{
        (void) fd;
        (void) what;
        (void) context;
        world.woken++;
}

static inline void add_place(uint64_t id, uint64_t parent_id, const char *path)
{
        world.places[world.place_count++] = (struct place){ .id = id, .parent_id = parent_id, .path = path };
}

/* Adds a map or program of cgroup @cgroup_id, with these @allocated and @charged bytes. */
static inline void put(struct fixture *f, uint32_t kind, uint32_t id, uint64_t cgroup_id, const char *name,
                uint64_t allocated, uint64_t charged)
{
        struct object_record record = {
                .address = (uint64_t) kind << 40 | (uint64_t) id << 8,
                .cgroup_id = cgroup_id,
                .allocated = allocated,
                .allocated_min = allocated,
                .ceiling = allocated,
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

static inline struct cgroup *cgroup_of(struct fixture *f, uint64_t id)
{
        struct cgroup *cgroup = tree_find(&f->monitor.tree, id);

        assert_non_null(cgroup);
        return cgroup;
}

/* Attributes map @id to cgroup @cgroup_id, as for Attribution=holder: only this cgroup holds it. */
static inline void hold(struct fixture *f, uint32_t id, uint64_t cgroup_id)
{
        ledger_begin_holders(&f->monitor.ledger);
        ledger_add_holder(&f->monitor.ledger, OBJECT_MAP, id, cgroup_of(f, cgroup_id), true);
        assert_int_equal(ledger_end_holders(&f->monitor.ledger), 1);
        tree_flush(&f->monitor.tree);
}

/* Gives cgroup @id budget @n. */
static inline struct policy *give_budget(struct fixture *f, uint64_t id, size_t n)
{
        struct cgroup *cgroup;

        assert_int_equal(tree_get(&f->monitor.tree, id, &cgroup), 0);
        f->policies[n].lowered_high = f->policies[n].lowered_max = BUDGET_INFINITY;
        policy_set(&f->policies[n], &f->budgets[n], BUDGET_INFINITY, BUDGET_INFINITY);
        cgroup->policy = &f->policies[n];
        return cgroup->policy;
}

static inline int connect_to(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        strcpy(address.sun_path, path);
        assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

/* Connects as user @uid. */
static inline int connect_as(struct fixture *f, uid_t uid)
{
        int fd = connect_to(f->socket);

        loop_peer = uid;
        loop_turn(f->base);
        loop_peer = (uid_t) -1;
        return fd;
}

/* A user other than root, to whom this process can give the directories of cgroups. */
static inline uid_t owner_uid(void)
{
        return getuid() ?: 4242;
}

/* Creates the directory of the cgroup at @path, owned by @uid. */
static inline void make_cgroup_directory(struct fixture *f, const char *path, uid_t uid)
{
        char directory[128];

        snprintf(directory, sizeof(directory), "%s%s", f->mount, path);
        assert_int_equal(mkdir(directory, 0700), 0);
        if (getuid() == 0)
                assert_int_equal(chown(directory, uid, 1), 0);
}

static inline int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        struct api_options options = { .monitor = &f->monitor, .manager = &f->manager, .directory = f->directory };

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
        f->manager.monitor = &f->monitor;
        f->manager.config.budgets = f->budgets;
        f->manager.config.count = 3;
        for (size_t i = 0; i < 3; i++) {
                static const char *const names[] = { "first", "second", "third" };

                f->budgets[i] = (struct budget){ .name = (char *) names[i], .file = "/etc/bpfbudget/x.budget" };
                f->budgets[i].high = f->budgets[i].max = BUDGET_INFINITY;
                f->budgets[i].maps_max = f->budgets[i].programs_max = BUDGET_INFINITY;
                f->budgets[i].clear_percent = 90;
        }
        f->base = options.base = event_base_new();
        options.hooks.reload = reload;
        options.hooks.context = f;
        options.flushed = f->flushed = event_new(f->base, -1, 0, on_flushed, NULL);
        assert_int_equal(api_new(&options, &f->api), 0);
        assert_int_equal(api_listen(f->api, f->socket), 0);
        f->fd = connect_as(f, 0);
        *state = f;
        return 0;
}

static inline int teardown(void **state)
{
        struct fixture *f = *state;
        char command[64];

        close(f->fd);
        api_free(f->api);
        event_free(f->flushed);
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

/* Replaces each ' in @json by ". */
static inline void quote(char *json)
{
        for (; *json; json++)
                if (*json == '\'')
                        *json = '"';
}

/* Sends a call of @method; @parameters, JSON with ' for ", may be formatted. */
static inline void send_call(struct fixture *f, int fd, bool more, const char *method, const char *format, va_list ap)
{
        _cleanup_free_ char *text = NULL, *parameters = NULL;

        assert_true(vasprintf(&parameters, format, ap) >= 0);
        quote(parameters);
        assert_true(asprintf(&text, "{\"method\":\"%s%s\",\"more\":%s,\"parameters\":{%s}}",
                                    strchr(method, '.') ? "" : "io.bpfbudget.", method, more ? "true" : "false",
                                    parameters) >= 0);
        assert_int_equal(send(fd, text, strlen(text) + 1, MSG_NOSIGNAL), strlen(text) + 1);
        loop_turn(f->base);
}

/* The next reply; NULL: there is none. */
static inline json_t *receive(struct fixture *f, int fd)
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

/* Sends a call as send_call() does. Returns the reply. */
static inline json_t *call_at(struct fixture *f, int fd, const char *method, const char *format, va_list ap)
{
        json_t *reply;

        send_call(f, fd, false, method, format, ap);
        reply = receive(f, fd);
        assert_non_null(reply);
        return reply;
}

/* Calls a method, and asserts that the reply is not an error. Returns the parameters of the reply. */
__attribute__((format(printf, 4, 5))) static inline json_t *ask_at(
                struct fixture *f, int fd, const char *method, const char *format, ...)
{
        json_t *reply, *parameters;
        va_list ap;

        va_start(ap, format);
        reply = call_at(f, fd, method, format, ap);
        va_end(ap);
        if (json_object_get(reply, "error"))
                fail_msg("%s: %s", method, json_dumps(reply, 0));
        assert_null(json_object_get(reply, "continues"));
        parameters = json_incref(json_object_get(reply, "parameters"));
        json_decref(reply);
        return parameters;
}

#define ask(f, method, ...)  ask_at(f, (f)->fd, method, __VA_ARGS__)
#define tell(f, method, ...) json_decref(ask_at(f, (f)->fd, method, __VA_ARGS__))

/*
 * Asserts that the call fails with @error ("Name": io.bpfbudget.Name), whose parameters are @expected, JSON with ' for
 * ".
 */
__attribute__((format(printf, 6, 7))) static inline void refuse_at(struct fixture *f, int fd, const char *method,
                const char *error, const char *expected, const char *format, ...)
{
        _cleanup_free_ char *name = NULL, *text = strdup(expected);
        json_t *reply, *wanted;
        va_list ap;

        va_start(ap, format);
        reply = call_at(f, fd, method, format, ap);
        va_end(ap);
        assert_true(asprintf(&name, "%s%s", strchr(error, '.') ? "" : "io.bpfbudget.", error) > 0);
        if (!json_object_get(reply, "error"))
                fail_msg("%s: not %s but %s", method, error, json_dumps(reply, 0));
        assert_string_equal(json_string_value(json_object_get(reply, "error")), name);
        quote(text);
        wanted = json_loads(text, 0, NULL);
        assert_non_null(wanted);
        if (!json_equal(json_object_get(reply, "parameters"), wanted))
                fail_msg("%s: not %s but %s", method, text, json_dumps(reply, 0));
        json_decref(wanted);
        json_decref(reply);
}

#define refuse(f, method, error, expected, ...) refuse_at(f, (f)->fd, method, error, expected, __VA_ARGS__)
/* The parameters of InvalidName; a " in a reason is \\". */
#define BAD_NAME(name, reason) "{'name':'" name "','reason':'" reason "'}"
#define NO_SLASH               "does not begin with \\\"/\\\": give the path below the cgroup mount"
#define DOTS                   "has a component \\\".\\\" or \\\"..\\\", which no cgroup has: give the path without it"
#define SLASHES                "has an empty component: write one \\\"/\\\" for \\\"//\\\""
#define LAST_SLASH             "ends in \\\"/\\\", which no cgroup does: leave it out"
#define OPEN_BRACKET           "has a \\\"[\\\" without \\\"]\\\": close it"

#define INVALID "org.varlink.service.InvalidParameter"

static inline void begin_stream(struct fixture *f, int fd, const char *method, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
static inline void begin_stream(struct fixture *f, int fd, const char *method, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        send_call(f, fd, true, method, format, ap);
        va_end(ap);
}

/* Sends a call for one reply, and does not wait for it. */
static inline void begin_call(struct fixture *f, int fd, const char *method, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
static inline void begin_call(struct fixture *f, int fd, const char *method, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        send_call(f, fd, false, method, format, ap);
        va_end(ap);
}

static inline int64_t number(json_t *object, const char *key)
{
        json_t *value = json_object_get(object, key);

        if (!json_is_integer(value))
                fail_msg("there is no number %s", key);
        return json_integer_value(value);
}

static inline const char *text(json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key));
}

/* Joins the members @key of the elements of the array @name in @answer, which it takes over: "a b c". */
static inline const char *list(json_t *answer, const char *name, const char *key)
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

/* Subscribes, and receives the first reply. Returns the descriptor. */
static inline int subscribe(struct fixture *f, const char *parameters)
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

static inline void send_event(struct fixture *f, enum event_kind kind, uint64_t cgroup_id)
{
        struct budget_event event = { .kind = kind, .cgroup = cgroup_of(f, cgroup_id) };

        api_event(f->api, &event);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* The main() of each program: runs the array @tests. */
#define run_api_tests(tests) \
        (signal(SIGPIPE, SIG_IGN), log_set_max_level(LOG_CRIT), cmocka_run_group_tests(tests, NULL, NULL))
