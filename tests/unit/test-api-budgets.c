/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Budgets over the API: their list, root's, the owner's, and who may set them. */
#include "api-fixture.h"

#define CGROUP "'cgroup':'/a.slice/b.service'"
#define HEAD   "# Set at run time. It is gone when the machine boots.\n[Match]\nCgroup=/a.slice/b.service\n[Budget]\n"

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
                .unbounded = UNBOUNDED_ALLOW,
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
        assert_string_equal(text(budget, "unbounded"), "allow");
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
        f->manager.config.budgets = budgets;
        f->manager.config.count = count;
        refuse(f, "ListBudgets", "ReplyTooLarge", "{}", "%s", "");
        f->manager.config.count = 3;
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
                        "'onHigh':'throttle','onMax':'deny','count':'committed','unbounded':'allow','clearPercent':16",
                        "High=11\nMax=12\nMapsMax=13\nProgramsMax=14\nFootprintRatioHigh=15%\nOnHigh=throttle\n"
                        "OnMax=deny\nCount=committed\nUnbounded=allow\nClearPercent=16%\n");
        /* What is not given, or null, is none. */
        expect_budget(f, "", "");
        expect_budget(f, ",'high':null,'max':null,'onHigh':null,'count':null", "");
        expect_budget(f, ",'onHigh':'alert','onMax':'alert','count':'allocated','unbounded':'refuse','high':5",
                        "High=5\n");
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
        refuse(f, "UnsetBudget", "InvalidName", BAD_NAME("/a/..", DOTS), "'cgroup':'/a/..'");
        refuse(f, "SetBudget", "InvalidName", BAD_NAME("/a/..", DOTS), "'cgroup':'/a/..'");
        refuse(f, "SetBudget", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/x'");
        refuse(f, "SetBudget", "NoSuchCgroup", "{'cgroup':'/x'}", "'cgroup':'/sys/fs/cgroup/memory/x'");
        refuse(f, "UnsetBudget", "NoSuchBudget", "{'cgroup':'/x'}", "'cgroup':'/sys/fs/cgroup/x'");
        refuse(f, "UnsetBudget", "NoSuchBudget", "{'cgroup':'/x'}", "'cgroup':'/x'");
        refuse(f, "SetBudget", INVALID, "{'parameter':'onHigh'}", CGROUP ",'onHigh':'deny'");
        refuse(f, "SetBudget", INVALID, "{'parameter':'onMax'}", CGROUP ",'onMax':'throttle'");
        refuse(f, "SetBudget", INVALID, "{'parameter':'count'}", CGROUP ",'count':'all'");
}

/* @answer, taken over, has the warnings @expected, one a line. */
static void expect_warnings(json_t *answer, const char *expected)
{
        char lines[1024] = "";
        json_t *warning;
        size_t i;

        json_array_foreach(json_object_get(answer, "warnings"), i, warning)
        {
                strcat(lines, json_string_value(warning));
                strcat(lines, "\n");
        }
        json_decref(answer);
        assert_string_equal(lines, expected);
}

/* What its file has in doubt, and what is not in force here; nothing of other files. */
static void test_warnings(void **state)
{
        struct fixture *f = *state;
        char all[512];

        expect_warnings(ask(f, "SetBudget", CGROUP ",'onHigh':'throttle','onMax':'deny'"),
                        "strange: 7\nOnHigh=throttle is not available (no throttle): growth over High is reported, but "
                        "not throttled\n");
        f->manager.obstacle = "no gate";
        expect_warnings(ask(f, "SetBudget", CGROUP ",'onMax':'deny'"),
                        "strange: 7\nOnMax=deny is not available (no gate): growth past Max is reported, but not "
                        "refused\n");
        expect_warnings(ask(f, "SetBudget", CGROUP ",'high':5"), "strange: 7\n");
        snprintf(all, sizeof(all), "x:2: odd\n%s:5: strange: 7\n%sx:5: another's\n", f->budget_file, f->budget_file);
        expect_warnings(ask(f, "Reload", "%s", ""), all);
        f->manager.obstacle = NULL;
}

static void test_unset_gone(void **state)
{
        struct fixture *f = *state;

        expect_budget(f, ",'high':7", "High=7\n");
        world.places[2].gone = true;
        tell(f, "UnsetBudget", CGROUP);
        assert_null(read_budget(f));
}

/* What only files may give is no parameter. */
static void test_keys_of_files(void **state)
{
        struct fixture *f = *state;

        refuse(f, "SetBudget", "org.varlink.service.InvalidParameter", "{'parameter':'attribution'}",
                        CGROUP ",'attribution':'holder'");
        assert_int_equal(world.reloads, 0);
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
                { "mapFillHigh", "0", "is too small" },
                { "mapFillHigh", "101", "is too large" },
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

/* A path of any length that there is has room in a line of a budget file. */
static void test_long_paths(void **state)
{
        static const size_t lengths[] = { 190, 191, 300, 2047 };
        struct fixture *f = *state;
        char paths[4][2048], expected[2100];

        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
                char *path = memset(paths[i], 'x', sizeof(paths[i]));

                path[0] = '/';
                path[lengths[i]] = '\0';
                add_place(7 + i, 1, path);
                tell(f, "SetBudget", "'cgroup':'%s','high':1", path);
                assert_int_equal(world.reloads, 2 * i + 1);
                tell(f, "UnsetBudget", "'cgroup':'%s'", path);
                assert_int_equal(world.reloads, 2 * i + 2);
                snprintf(expected, sizeof(expected), "{'cgroup':'%s'}", path);
                refuse(f, "UnsetBudget", "NoSuchBudget", expected, "'cgroup':'%s'", path);
        }
}

/* Cgroups that no budget file can name, and a directory that is not there. */
static void test_unnameable(void **state)
{
        struct fixture *f = *state;
        char aside[64], expected[128];

        add_place(7, 1, "/blank blank");
        refuse(f, "SetBudget", "InvalidBudget",
                        "{'field':'cgroup','reason':'its name has blanks or control characters, or is not UTF-8'}",
                        "'cgroup':'/blank blank','high':1");
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
        refuse_at(f, fd, "UnsetBudget", "InvalidName", BAD_NAME("x", NO_SLASH), "'cgroup':'x'");
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
        assert_ptr_equal(world.flushed_manager, &f->manager);
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
        refuse_at(f, fd, "SetBudget", "NotPermitted",
                        "{'reason':'the owner of a cgroup may only lower its budget, and it has none: root has to set "
                        "one first, in a budget file or by set-budget'}",
                        CGROUP ",'high':1");
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_list_budgets),
                TEST(test_many_budgets),
                TEST(test_set_budget),
                TEST(test_warnings),
                TEST(test_unset_gone),
                TEST(test_keys_of_files),
                TEST(test_invalid_budget),
                TEST(test_not_in_force),
                TEST(test_long_paths),
                TEST(test_unnameable),
                TEST(test_strangers),
                TEST(test_owner_of_what),
                TEST(test_owner),
                TEST(test_owner_fails),
        };

        return run_api_tests(tests);
}
