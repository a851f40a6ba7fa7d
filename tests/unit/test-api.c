/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How old an answer of the API may be, the cgroup that a caller names, the daemon itself, and sockets. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "api-fixture.h"
#include "build.h"

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
                assert_ptr_equal(world.flushed_manager, &f->manager);
        /* The daemon sets its timers afterwards. */
        assert_int_equal(world.woken > 0, all + rss > 0);
        world.refreshes = world.rss_refreshes = world.flushed = world.woken = 0;
}

/* The same for an answer @usec later. */
static void expect_after(struct fixture *f, uint64_t usec, unsigned int all, unsigned int rss)
{
        loop_clock_usec += usec;
        get_root(f);
        expect_refreshes(f, all, rss);
}

/* An answer is at most 10 ms old, and not that when the sensors tell of something. */
static void test_fresh(void **state)
{
        struct fixture *f = *state;

        expect_after(f, 0, 1, 0);
        get_root(f);
        expect_after(f, 9999, 0, 0);
        expect_after(f, 1, 0, 1);
        loop_clock_usec += 9999;
        world.dirty = true;
        expect_after(f, 0, 1, 0);
        expect_after(f, 10000, 1, 0);
}

/* Where it takes long, an answer may be four times as old as that. */
static void test_fresh_costly(void **state)
{
        struct fixture *f = *state;

        world.cost_usec = 50000;
        expect_after(f, 0, 1, 0);
        world.dirty = true;
        expect_after(f, 199999, 0, 0);
        loop_clock_usec += 1;
        world.cost_usec = 1000;
        expect_after(f, 0, 1, 0);
        /* It is what the last one took. */
        expect_after(f, 3999, 0, 0);
        expect_after(f, 1, 1, 0);
        /* One of RSS, too. */
        world.dirty = false;
        world.cost_usec = 5000;
        expect_after(f, 10000, 0, 1);
        expect_after(f, 19999, 0, 0);
        expect_after(f, 1, 0, 1);
}

/* What no sensor tells of is at most a second old, however often RSS is brought up to date meanwhile. */
static void test_fresh_unreported(void **state)
{
        struct fixture *f = *state;

        expect_after(f, 0, 1, 0);
        expect_after(f, 500000, 0, 1);
        expect_after(f, 499999 - 1000, 0, 1);
        expect_after(f, 10000, 1, 0);
        expect_after(f, 10000, 0, 1);
        expect_after(f, 989999 - 1000, 0, 1);
}

/* The second begins when all was brought up to date; it is over when it is. */
static void test_fresh_second(void **state)
{
        struct fixture *f = *state;

        get_root(f);
        expect_after(f, 1000000, 2, 0);
        expect_after(f, 999999, 0, 1);
}

/* Where no sensor tells of growth there is only the full pass. */
static void test_fresh_without_sensors(void **state)
{
        struct fixture *f = *state;

        world.no_growth_told = true;
        get_root(f);
        expect_after(f, 9999, 1, 0);
        expect_after(f, 1, 1, 0);
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
                { "GetReadiness", "", 0 },
                { "GetStatistics", "", 0 },
                { "GetMetrics", "", 1 },
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
        expect_after(f, 0, 0, 0);
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

/* One that nothing was known of has its budget in the first answer. */
static void test_get_new_cgroup(void **state)
{
        struct fixture *f = *state;
        json_t *answer;

        f->policies[2].lowered_high = f->policies[2].lowered_max = BUDGET_INFINITY;
        policy_set(&f->policies[2], &f->budgets[2], BUDGET_INFINITY, BUDGET_INFINITY);
        world.adopted_policy = &f->policies[2];
        add_place(7, 1, "/new");
        answer = ask(f, "GetCgroup", "'cgroup':'/new'");
        assert_string_equal(json_string_value(json_object_get(
                                            json_object_get(json_object_get(answer, "cgroup"), "budget"), "name")),
                        "third");
        json_decref(answer);
        world.adopted_policy = NULL;
}

static void test_get_cgroup(void **state)
{
        static const struct {
                const char *path, *reason;
        } invalid[] = {
                { "", NO_SLASH },
                { "a", NO_SLASH },
                { "//", SLASHES },
                { "//a", SLASHES },
                { "/a/", LAST_SLASH },
                { "/a//b", SLASHES },
                { "/.", DOTS },
                { "/..", DOTS },
                { "/a/.", DOTS },
                { "/a/..", DOTS },
                { "/a/../b", DOTS },
                { "/./a", DOTS },
                { "/../etc", DOTS },
        };
        static const char *const none[] = { "/x", "/...", "/.a", "/..a", "/a..", "/a.slice/..b", "/a.slice/.a" };
        struct fixture *f = *state;
        struct cgroup *cgroup;
        char path[PATH_MAX + 1], expected[PATH_MAX + 32];

        for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
                snprintf(expected, sizeof(expected), BAD_NAME("%s", "%s"), invalid[i].path, invalid[i].reason);
                refuse(f, "GetCgroup", "InvalidName", expected, "'cgroup':'%s'", invalid[i].path);
        }
        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
                snprintf(expected, sizeof(expected), "{'cgroup':'%s'}", none[i]);
                refuse(f, "GetCgroup", "NoSuchCgroup", expected, "'cgroup':'%s'", none[i]);
        }
        memset(path, 'x', PATH_MAX);
        path[0] = path[PATH_MAX / 2] = '/';
        path[PATH_MAX] = '\0';
        snprintf(expected, sizeof(expected), "{'cgroup':'%s'}", path);
        refuse(f, "GetCgroup", "NoSuchCgroup", expected, "'cgroup':'%s'", path);

        expect_cgroup(f, "/", 1, true);
        assert_int_equal(world.evaluated, 1);
        refuse(f, "GetCgroup", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/sys/fs/cgroup/memory/x'");
        json_decref(ask(f, "GetCgroup", "'cgroup':'/sys/fs/cgroup'"));
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

/* The text of all replies to GetMetrics with more, each of whole lines; to be freed. *count is how many. */
static char *stream_metrics(struct fixture *f, size_t *count)
{
        char *all = strdup("");
        bool continues = true;

        begin_stream(f, f->fd, "GetMetrics", "%s", "");
        for (*count = 0; continues; ++*count) {
                json_t *reply = receive(f, f->fd);
                const char *piece = text(json_object_get(reply, "parameters"), "text");

                all = realloc(all, strlen(all) + strlen(piece) + 1);
                strcat(all, piece);
                assert_int_equal(piece[strlen(piece) - 1], '\n');
                continues = json_is_true(json_object_get(reply, "continues"));
                json_decref(reply);
        }
        return all;
}

/* The metrics in both formats, in one reply or in several. */
static void test_metrics(void **state)
{
        struct fixture *f = *state;
        json_t *answer;
        size_t count;
        char *all;

        f->manager.config.settings.metrics_cgroups_max = 1000;
        f->manager.config.settings.metrics_maps_max = 1000;
        api_alert_dropped(f->api, ALERT_DROP_JOURNAL);
        api_alert_dropped(NULL, ALERT_DROP_JOURNAL);
        answer = ask(f, "GetMetrics", "'format':'openmetrics'");
        assert_non_null(strstr(text(answer, "text"), "\nbpfbudget_dropped_alerts_total{reason=\"journal\"} 1\n"));
        assert_string_equal(strstr(text(answer, "text"), "# EOF"), "# EOF\n");
        json_decref(answer);
        for (uint32_t id = 1000; id < 2000; id++) {
                put(f, OBJECT_MAP, id, 3, "m", 100, 100);
                ledger_find(&f->monitor.ledger, OBJECT_MAP, id)->record.entries = 1;
        }
        answer = ask(f, "GetMetrics", "%s", "");
        all = stream_metrics(f, &count);
        assert_string_equal(text(answer, "text"), all);
        assert_true(count > 2);
        json_decref(answer);
        free(all);
}

/* What takes away from two facilities is listed with both, and what is the daemon's own affair is handed on. */
static void test_readiness(void **state)
{
        struct fixture *f = *state;
        json_t *answer, *facilities;

        f->manager.obstacle = "no gate";
        answer = ask(f, "GetReadiness", "%s", "");
        facilities = json_object_get(answer, "facilities");
        assert_string_equal(text(answer, "level"), "none");
        assert_string_equal(list(json_incref(answer), "facilities", "name"), "accounting alerts throttle refusal");
        assert_string_equal(list(json_incref(answer), "facilities", "level"), "full partial full none");
        assert_string_equal(list(json_incref(json_array_get(facilities, 0)), "findings", "name"), "");
        assert_string_equal(list(json_incref(json_array_get(facilities, 1)), "findings", "name"), "both");
        assert_string_equal(list(json_incref(json_array_get(facilities, 1)), "findings", "level"), "partial");
        assert_string_equal(list(json_incref(json_array_get(facilities, 3)), "findings", "level"), "none");
        assert_string_equal(list(json_incref(json_array_get(facilities, 3)), "findings", "reason"), "no gate");
        assert_string_equal(list(json_incref(json_array_get(facilities, 3)), "findings", "action"), "Do");
        assert_string_equal(list(json_incref(json_array_get(facilities, 3)), "findings", "remedy"), "this");
        json_decref(answer);
}

static void test_statistics(void **state)
{
        const struct {
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
                { "ownAllocated", 1 },
                { "possibleCpus", 64 },
                { "onlineCpus", get_nprocs() },
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
        f->manager.over_high = 110;
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
        struct api_options options = { .monitor = &f->monitor, .manager = &f->manager, .directory = f->directory };
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

/* Without a history there is no answer but that; what is asked for has to be a time. */
static void test_no_history(void **state)
{
        struct fixture *f = *state;

        refuse(f, "GetHistory", "NotSupported", "{'reason':'History=no is set'}", "%s", "");
        refuse(f, "Suggest", "NotSupported", "{'reason':'History=no is set'}", "'workload':'a.service'");
        refuse(f, "GetHistory", INVALID, "{'parameter':'sinceUSec'}", "'sinceUSec':7200000000,'untilUSec':3600000000");
        /* An end before all that is kept is no beginning after it. */
        refuse(f, "GetHistory", "NotSupported", "{'reason':'History=no is set'}", "'untilUSec':3600000000");
        refuse(f, "GetHistory", INVALID, "{'parameter':'points'}", "'points':-1");
        refuse(f, "Suggest", INVALID, "{'parameter':'cpus'}", "'cpus':0");
        refuse(f, "Suggest", "InvalidName", BAD_NAME("a[b", OPEN_BRACKET), "'workload':'a[b'");
        refuse(f, "GetHistory", "InvalidName", BAD_NAME("/sys/fs/cgroup//a", SLASHES),
                        "'workload':'/sys/fs/cgroup//a'");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_fresh),
                TEST(test_fresh_costly),
                TEST(test_fresh_unreported),
                TEST(test_fresh_second),
                TEST(test_fresh_without_sensors),
                TEST(test_fresh_methods),
                TEST(test_get_cgroup),
                TEST(test_get_new_cgroup),
                TEST(test_cgroup_figures),
                TEST(test_info),
                TEST(test_capabilities),
                TEST(test_readiness),
                TEST(test_statistics),
                TEST(test_metrics),
                TEST(test_passed),
                TEST(test_own_socket),
                TEST(test_no_history),
        };

        return run_api_tests(tests);
}
