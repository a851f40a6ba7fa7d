/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Budgets in unit files: unitbudgets.h, unitwatch.h. */
#include "config-fixture.h"

#include <poll.h>

#include "policy/unitbudgets.h"
#include "policy/unitwatch.h"

#define UNIT_ETC   "etc/systemd/system/"
#define UNIT_RUN   "run/systemd/system/"
#define UNIT_LOCAL "usr/local/lib/systemd/system/"
#define UNIT_LIB   "usr/lib/systemd/system/"

#define SERVICE(keys) "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true \\\n  [X-BPFBudget]x\n[X-BPFBudget]\n" keys

static const struct budget *find(struct fixture *f, const char *name)
{
        for (size_t i = 0; i < f->config.count; i++)
                if (strcmp(f->config.budgets[i].name, name) == 0)
                        return &f->config.budgets[i];
        return NULL;
}

static void assert_max(struct fixture *f, const char *path, uint64_t max)
{
        const struct budget *budget = match(f, path);

        if (!budget)
                fail_msg("%s has no budget", path);
        if (budget->max != max)
                fail_msg("%s: Max is %llu", path, (unsigned long long) budget->max);
}

static void test_section(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "agent.service", SERVICE("Max=8M\nOnMax=deny\n[Install]\nWantedBy=x\nMax=9M\n"));
        put(f, UNIT_LIB "other.service", "[Service]\nExecStart=/bin/true\n");
        put(f, UNIT_LIB "agent.timer", SERVICE("Max=8M\n"));
        put(f, UNIT_LIB "agent.slice", "  [X-BPFBudget] \nMax=16M\n");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 2);
        assert_max(f, "/system.slice/agent.service", 8 * MIB);
        assert_max(f, "/agent.slice", 16 * MIB);
        assert_match(f, "/system.slice/agent.service/sub", NULL);
        assert_match(f, "/system.slice/other.service", NULL);
        assert_int_equal(find(f, "agent.service")->on_max, ACTION_DENY);
        assert_non_null(strstr(find(f, "agent.service")->file, UNIT_LIB "agent.service"));
}

/* systemd ignores a section X-..., and so did the daemon one whose name is a slip. */
static void test_slips(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "a.service", "[Unit]\n  [X-BpfBudget]\nMax=8M\n[X-Fleet]\n[BPFBudget]\n#[X-BPFBudgt]\n");
        assert_loads(f, UNIT_LIB
                        "a.service:2: warning: [X-BpfBudget] is ignored: did you mean [X-BPFBudget]?\n" UNIT_LIB
                        "a.service:5: warning: [BPFBudget] is ignored: did you mean [X-BPFBudget]?\n");
        assert_int_equal(f->config.count, 0);
        put(f, UNIT_LIB "a.service", SERVICE("Max=8M\n"));
        assert_loads(f, "");
}

static void test_precedence_of_directories(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "a.service", SERVICE("Max=1M\n"));
        put(f, UNIT_LOCAL "a.service", SERVICE("Max=2M\n"));
        assert_loads(f, "");
        assert_max(f, "/a.service", 2 * MIB);
        put(f, UNIT_RUN "a.service", SERVICE("Max=3M\n"));
        assert_loads(f, "");
        assert_max(f, "/a.service", 3 * MIB);
        put(f, UNIT_ETC "a.service", "[Service]\n");
        assert_loads(f, "");
        assert_match(f, "/a.service", NULL);
}

static void test_dropins(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "a.service", SERVICE("High=1M\nMax=2M\n"));
        put(f, UNIT_LIB "a.service.d/10.conf", "[X-BPFBudget]\nMax=3M\n");
        put(f, UNIT_ETC "a.service.d/20.conf", "[Service]\n[X-BPFBudget]\nMapsMax=7\n");
        put(f, UNIT_ETC "b.service.d/10.conf", "[X-BPFBudget]\nMax=5M\n");
        put(f, UNIT_ETC "b.service.d/10.txt", "[X-BPFBudget]\nMax=6M\n");
        assert_loads(f, "");
        assert_max(f, "/a.service", 3 * MIB);
        assert_int_equal(match(f, "/a.service")->high, MIB);
        assert_int_equal(match(f, "/a.service")->maps_max, 7);
        assert_max(f, "/b.service", 5 * MIB);
        assert_non_null(strstr(match(f, "/b.service")->file, UNIT_ETC "b.service.d/10.conf"));
        assert_int_equal(match(f, "/b.service")->dropin_count, 0);
        assert_non_null(strstr(match(f, "/a.service")->file, UNIT_LIB "a.service"));
        assert_int_equal(match(f, "/a.service")->dropin_count, 2);
        assert_non_null(strstr(match(f, "/a.service")->dropins[1], UNIT_ETC "a.service.d/20.conf"));
        put(f, UNIT_RUN "a.service.d/10.conf", "[X-BPFBudget]\nMax=4M\n");
        put_link(f, UNIT_ETC "a.service.d/10.conf", "/dev/null");
        assert_loads(f, "");
        assert_max(f, "/a.service", 2 * MIB);
}

static void test_masks_and_aliases(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "a.service", SERVICE("Max=1M\n"));
        put(f, UNIT_LIB "a.service.d/10.conf", "[X-BPFBudget]\nMax=3M\n");
        put_link(f, UNIT_ETC "a.service", "/dev/null");
        put(f, UNIT_LIB "b.service", SERVICE("Max=1M\n"));
        put(f, UNIT_RUN "b.service", "");
        put(f, UNIT_LIB "c.service", SERVICE("Max=1M\n"));
        put_link(f, UNIT_ETC "alias.service", "../../../usr/lib/systemd/system/c.service");
        put(f, "opt/linked.service", SERVICE("Max=2M\n"));
        put_link(f, UNIT_ETC "linked.service", "../../../opt/linked.service");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 2);
        assert_max(f, "/c.service", MIB);
        assert_match(f, "/alias.service", NULL);
        assert_max(f, "/linked.service", 2 * MIB);
}

static void test_templates(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "a@.service", SERVICE("High=1M\nMax=1M\n"));
        put(f, UNIT_ETC "a@.service.d/10.conf", "[X-BPFBudget]\nMax=2M\n");
        put(f, UNIT_ETC "a@b.service.d/10.conf", "[X-BPFBudget]\nMax=3M\n");
        put(f, UNIT_ETC "a@c.service", SERVICE("Max=4M\n"));
        put_link(f, UNIT_ETC "a@d.service", "../../../usr/lib/systemd/system/a@.service");
        assert_loads(f, "");
        assert_max(f, "/system.slice/system-a.slice/a@x.service", 2 * MIB);
        assert_max(f, "/system.slice/system-a.slice/a@b.service", 3 * MIB);
        assert_int_equal(match(f, "/a@b.service")->high, MIB);
        assert_max(f, "/a@c.service", 2 * MIB); /* the drop-in of the template is for it, too */
        assert_int_equal(match(f, "/a@c.service")->high, BUDGET_INFINITY);
        assert_max(f, "/a@d.service", 2 * MIB);
        assert_match(f, "/a.service", NULL);
        assert_match(f, "/a@.service", NULL);
}

/* Drop-ins for all units of a type and for those with a prefix; the more specific one of a name counts. */
static void test_prefixes_and_types(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "service.d/10.conf", "[X-BPFBudget]\nMax=1M\n");
        put(f, UNIT_LIB "foo-.service.d/20.conf", "[X-BPFBudget]\nMax=2M\nHigh=1M\n");
        put(f, UNIT_LIB "foo-bar-.service.d/30.conf", "[X-BPFBudget]\nMax=3M\n");
        put(f, UNIT_LIB "foo-bar-baz.service", SERVICE("MapsMax=7\n"));
        put(f, UNIT_LIB "foo-bar-qux.service", "[Service]\n");
        put(f, UNIT_LIB "foo-t@.service", SERVICE("MapsMax=8\n"));
        put(f, UNIT_LIB "foo-sl.slice.d/10.conf", "[X-BPFBudget]\nMax=9M\n");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 6);
        assert_max(f, "/system.slice/any.service", MIB);
        assert_max(f, "/system.slice/any@x.service", MIB);
        assert_max(f, "/system.slice/foo-x.service", 2 * MIB);
        assert_max(f, "/system.slice/foo-bar-qux.service", 3 * MIB);
        assert_max(f, "/system.slice/foo-bar-baz.service", 3 * MIB);
        assert_int_equal(match(f, "/foo-bar-baz.service")->maps_max, 7);
        assert_int_equal(match(f, "/foo-bar-baz.service")->high, MIB);
        assert_int_equal(match(f, "/foo-bar-qux.service")->maps_max, BUDGET_INFINITY);
        assert_max(f, "/system.slice/foo-t@x.service", 2 * MIB);
        assert_int_equal(match(f, "/foo-t@x.service")->maps_max, 8);
        assert_match(f, "/foo.slice", NULL);
        assert_string_equal(match(f, "/foo-bar-x.service")->name, "foo-bar-.service");
        /* Of one name the more specific drop-in, but first /etc, and those of the type in any case last. */
        put(f, UNIT_LIB "foo-bar-.service.d/20.conf", "[X-BPFBudget]\nMax=2500K\n");
        put(f, UNIT_ETC "service.d/20.conf", "[X-BPFBudget]\nMapsMax=1\n");
        put(f, UNIT_ETC "foo-.service.d/30.conf", "[X-BPFBudget]\nMax=4M\n");
        assert_loads(f, "");
        assert_max(f, "/foo-bar-x.service", 4 * MIB);
        assert_int_equal(match(f, "/foo-bar-x.service")->high, BUDGET_INFINITY);
        assert_int_equal(match(f, "/foo-bar-x.service")->maps_max, BUDGET_INFINITY);
        assert_int_equal(match(f, "/any.service")->maps_max, 1);
}

/* A unit whose own file or mask is in place of one with a section does not have that. */
static void test_without_section(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "a@.service", SERVICE("MapsMax=9\n"));
        put(f, UNIT_ETC "a@plain.service", "[Service]\n");
        put(f, UNIT_LIB "t@.socket", SERVICE("Max=1M\n"));
        put(f, UNIT_ETC "t@plain.socket", "[Socket]\n");
        put(f, UNIT_LIB "service.d/10.conf", "[X-BPFBudget]\nMax=2M\n");
        put_link(f, UNIT_ETC "b.service.d/10.conf", "/dev/null");
        put(f, UNIT_ETC "c.service.d/10.conf", "[Service]\n");
        assert_loads(f, "");
        assert_int_equal(match(f, "/a@x.service")->maps_max, 9);
        assert_max(f, "/a@x.service", 2 * MIB);
        assert_max(f, "/a@plain.service", 2 * MIB);
        assert_int_equal(match(f, "/a@plain.service")->maps_max, BUDGET_INFINITY);
        assert_max(f, "/t@x.socket", MIB);
        assert_match(f, "/t@plain.socket", NULL);
        assert_match(f, "/b.service", NULL);
        assert_match(f, "/c.service", NULL);
        assert_max(f, "/d.service", 2 * MIB);
}

/* Linked units, linked instances and aliases have their drop-ins as systemd reads them. */
static void test_links(void **state)
{
        struct fixture *f = *state;

        put(f, "opt/t@.service", SERVICE("Max=1M\n"));
        put_link(f, UNIT_ETC "t@.service", "../../../opt/t@.service");
        put_link(f, UNIT_ETC "t@i.service", "t@.service");
        put(f, UNIT_ETC "t@i.service.d/10.conf", "[X-BPFBudget]\nMapsMax=3\n");
        put(f, UNIT_LIB "c.service", "[Service]\n");
        put_link(f, UNIT_ETC "alias.service", "../../../usr/lib/systemd/system/c.service");
        put(f, UNIT_ETC "alias.service.d/10.conf", "[X-BPFBudget]\nMax=4M\n");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 3);
        assert_max(f, "/t@x.service", MIB);
        assert_int_equal(match(f, "/t@x.service")->maps_max, BUDGET_INFINITY);
        assert_max(f, "/t@i.service", MIB);
        assert_int_equal(match(f, "/t@i.service")->maps_max, 3);
        assert_max(f, "/c.service", 4 * MIB);
        assert_match(f, "/alias.service", NULL);
}

/* Below the administrator's, above the vendor's, whatever their names are. */
static void test_order(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "a.service", SERVICE("Max=1M\n"));
        put(f, UNIT_LIB "b.service", SERVICE("Max=1M\n"));
        put(f, UNIT_LIB "c.service", SERVICE("Max=1M\n"));
        put(f, ETC "50.budget", "[Match]\nUnit=a.service\n");
        put(f, RUN "60.budget", "[Match]\nUnit=b.service\n");
        put(f, UNIT_LIB "e.service", SERVICE("Max=1M\n"));
        put(f, ETC "zz.budget", "[Match]\nUnit=e.service f.service\n");
        put(f, LIB "10-vendor.budget", "[Match]\nUnit=c.service f.service\n");
        put(f, LIB "90-default.budget", "[Match]\nUnit=*.service\n");
        assert_loads(f, "");
        assert_match(f, "/e.service", "zz");
        assert_match(f, "/f.service", "zz");
        assert_match(f, "/a.service", "50");
        assert_match(f, "/b.service", "60");
        assert_match(f, "/c.service", "c.service");
        assert_match(f, "/d.service", "90-default");
        assert_string_equal(f->config.budgets[f->config.count - 1].name, "90-default");
        /* The administrator's file in place of the vendor's is the administrator's. */
        put(f, ETC "90-default.budget", "[Match]\nUnit=*.service\n");
        assert_loads(f, "");
        assert_match(f, "/c.service", "90-default");
}

/* A slip costs the one budget, and is reported; a directory of one's own is without unit files. */
static void test_errors(void **state)
{
        struct fixture *f = *state;

        put(f, UNIT_LIB "a.service", SERVICE("Max=1X\n"));
        put(f, UNIT_LIB "b.service", SERVICE("High=2M\nMax=1M\n"));
        put(f, UNIT_LIB "c.service", SERVICE("Max=1M\n"));
        put(f, UNIT_LIB "d.service", "[X-BPFBudget]\nOnMax=deny\n");
        assert_loads(f, UNIT_LIB "a.service:7: Max=1X is not valid: " SIZE_EXPECTED "\n" UNIT_LIB
                                 "b.service:8: High=2M (line 7) is more than Max=1M (line 8): lower High= or raise "
                                 "Max=\n" UNIT_LIB "d.service:2: warning: OnMax=deny does nothing without Max=, "
                                 "MapsMax= or ProgramsMax=: set the limit to refuse past\n");
        assert_int_equal(f->config.count, 2);
        assert_max(f, "/c.service", MIB);
        assert_int_equal(load_from(f, true), 0);
        assert_int_equal(f->config.count, 0);
}

static void test_bad_files(void **state)
{
        struct fixture *f = *state;
        char *text = malloc(2 * MIB);

        assert_non_null(text);
        memset(text, '\n', 2 * MIB);
        memcpy(text, "[X-BPFBudget]\nMax=1M\n", 21);
        put_bytes(f, UNIT_LIB "large.service", text, 2 * MIB);
        free(text);
        put(f, UNIT_LIB "*.service", SERVICE("Max=1M\n"));
        put(f, UNIT_LIB "a b.service", SERVICE("Max=1M\n"));
        put(f, UNIT_LIB "dir.service/x", SERVICE("Max=1M\n"));
        put(f, UNIT_LIB "a.service.d/\xff.conf", "[X-BPFBudget]\nMax=1M\n");
        put_bytes(f, UNIT_LIB "nul.service", "\0\0[X-BPFBudget]\n\0[X-BPFBudget]", 31);
        put_link(f, UNIT_LIB "gone.service", "/nowhere/gone.service");
        put_link(f, UNIT_LIB "loop.service", "loop.service");
        assert_int_equal(mkfifo(path_of(f, UNIT_LIB "fifo.service"), 0600), 0);
        assert_loads(f, "");
        assert_int_equal(f->config.count, 0);
}

static uint64_t fingerprint(struct fixture *f)
{
        uint64_t value;

        assert_int_equal(unit_budgets_fingerprint(f->root, &value), 0);
        return value;
}

static void test_fingerprint(void **state)
{
        struct fixture *f = *state;
        uint64_t before;

        put(f, UNIT_LIB "a.service", "[Service]\n");
        before = fingerprint(f);
        put(f, UNIT_LIB "a.service", "[Service]\nType=oneshot\n");
        assert_int_equal(fingerprint(f), before);
        put(f, UNIT_LIB "a.service.d/10.conf", "[X-BPFBudget]\nMax=1M\n");
        assert_int_not_equal(fingerprint(f), before);
        assert_loads(f, "");
        assert_int_equal(f->config.units_fingerprint, fingerprint(f));
        put(f, UNIT_LIB "a.service.d/10.conf", "[X-BPFBudget]\nMax=2M\n");
        assert_int_not_equal(f->config.units_fingerprint, fingerprint(f));
}

static bool is_noticed(struct unit_watch *watch)
{
        struct pollfd poll_fd = { .fd = watch->fd, .events = POLLIN };
        bool noticed = poll(&poll_fd, 1, 0) == 1;

        unit_watch_take(watch);
        return noticed;
}

static void test_watch(void **state)
{
        struct fixture *f = *state;
        struct unit_watch watch;

        put(f, UNIT_LIB "a.service", "[Service]\n");
        assert_int_equal(unit_watch_init(&watch, f->root), 0);
        assert_false(is_noticed(&watch));
        put(f, UNIT_LIB "a.service", "[X-BPFBudget]\n");
        assert_true(is_noticed(&watch));
        assert_false(is_noticed(&watch));
        put(f, UNIT_LIB "a.service.d/10.conf", "");
        assert_true(is_noticed(&watch));
        put(f, UNIT_LIB "a.service.d/20.conf", "");
        assert_true(is_noticed(&watch));
        assert_int_equal(unlink(path_of(f, UNIT_LIB "a.service.d/20.conf")), 0);
        assert_true(is_noticed(&watch));
        put(f, UNIT_ETC "b.service", ""); /* in directories that were not there */
        assert_true(is_noticed(&watch));
        put(f, UNIT_ETC "c.service", "");
        assert_true(is_noticed(&watch));
        unit_watch_deinit(&watch);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_section),
                TEST(test_slips),
                TEST(test_precedence_of_directories),
                TEST(test_dropins),
                TEST(test_masks_and_aliases),
                TEST(test_templates),
                TEST(test_prefixes_and_types),
                TEST(test_without_section),
                TEST(test_links),
                TEST(test_order),
                TEST(test_errors),
                TEST(test_bad_files),
                TEST(test_fingerprint),
                TEST(test_watch),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
