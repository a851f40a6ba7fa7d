/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which budget a cgroup has: match.h, config.h. */
#include "config-fixture.h"

#include "policy/unit.h"

struct unit_case {
        const char *path, *unit;
};

static void check_units(
                const char *(*find)(const char *path, size_t *length), const struct unit_case *cases, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                size_t length = 0;
                const char *unit = find(cases[i].path, &length), *expected = cases[i].unit ?: "";

                if (!unit != !cases[i].unit || length != strlen(expected) || memcmp(unit ?: "", expected, length) != 0)
                        fail_msg("\"%s\": \"%.*s\"", cases[i].path, (int) length, unit ?: "");
        }
}

static void test_path_unit(void **state)
{
        static const struct unit_case cases[] = {
                { "/", NULL },
                { "/a/b", NULL },
                { "/init.scope", "init.scope" },
                { "/system.slice", "system.slice" },
                { "/system.slice/ssh.service", "ssh.service" },
                { "/system.slice/ssh.service/payload", "ssh.service" },
                { "/system.slice/ssh.service/a/b/c", "ssh.service" },
                { "/system.slice/payload", "system.slice" },
                { "/user.slice/user-1000.slice/session-2.scope", "session-2.scope" },
                { "/user.slice/user-1000.slice/user@1000.service", "user@1000.service" },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "user@1000.service" },
                { "/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service" },
                { "/system.slice/system-a.slice/a@b@c.service/x", "a@b@c.service" },
                /* What a payload made is no unit, however it is called. */
                { "/x/user.slice/sshd.service", NULL },
                { "/x/sshd.service", NULL },
                { "/sshd.service.d/sshd.service", NULL },
                { "/system.slice/docker-1.scope/system.slice/agent.service", "docker-1.scope" },
                { "/system.slice/payload/sshd.service", "system.slice" },
                { "/init.scope/sshd.service", "init.scope" },
                { "/kubepods/pod1/system.slice/sshd.service", NULL },
                { "/.slice/sshd.service", NULL },
                { "/_.slice/sshd.service", NULL },
                { "//system.slice/sshd.service", NULL },
                /* unit_name_is_valid() */
                { "/a b.slice/sshd.service", NULL },
                { "/\xc3\xa9.slice/sshd.service", NULL },
                { "/a@b.slice/sshd.service", NULL },
                { "/system.slice/a@.service", "system.slice" },
                { "/system.slice/@a.service", "system.slice" },
                { "/system.slice/a\nb.service", "system.slice" },
                { "/system.slice/a+b.service", "system.slice" },
                { "/system.slice/__a.service", "_a.service" },
                { "/system.slice/___a.service", "__a.service" },
                { "/_system.slice/_a.slice/_b.service", "b.service" },
                { "/system.slice/..service", "..service" },
                { "/system.slice/a.timer/b.service", "system.slice" },
                { "/system.slice/dbus.socket", "dbus.socket" },
                { "/system.slice/-.mount", "-.mount" },
                { "/system.slice/home-a\\x2db.mount", "home-a\\x2db.mount" },
                { "/dev-sda1.swap", "dev-sda1.swap" },
                { "/system.slice/_cpu.service", "cpu.service" },
                { "/system.slice/.service", "system.slice" },
                { "/system.slice/_.service", "system.slice" },
                { "/x.timer", NULL },
                { "/x.servicex", NULL },
                { "x.service", "x.service" },
                { "", NULL },
        };

        (void) state;
        check_units(path_unit, cases, ELEMENTSOF(cases));
}

static void test_path_user_unit(void **state)
{
        static const struct unit_case cases[] = {
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "x.service" },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service/y.service", "x.service" },
                { "/user.slice/user-1000.slice/user@1000.service/app.slice/app-y.slice", "app-y.slice" },
                { "/user.slice/user-1000.slice/user@1000.service/init.scope", "init.scope" },
                { "/user.slice/user-1000.slice/user@1000.service/x.service", "x.service" },
                { "/user.slice/user-1000.slice/user@1000.service/session.slice/_a.service", "a.service" },
                { "/user@0.service/x.service", "x.service" },
                { "/user.slice/user-1000.slice/user@1000.service", NULL },
                { "/user.slice/user-1000.slice/user@1000.service/x/y.service", NULL },
                { "/user.slice/user-1000.slice/user@root.service/x.service", NULL },
                { "/user.slice/user-1000.slice/user@1.x.service/x.service", NULL },
                { "/user.slice/user-1000.slice/session-2.scope/x.service", NULL },
                { "/x/user@1000.service/x.service", NULL },
                { "/system.slice/docker-1.scope/user.slice/user@1000.service/x.service", NULL },
                { "/system.slice/x.service", NULL },
                { "/", NULL },
                { "", NULL },
        };

        (void) state;
        check_units(path_user_unit, cases, ELEMENTSOF(cases));
}

/* Unit= is about what path_unit() says, and only about its own cgroup. */
static void test_forged_units(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "10-ssh.budget", "[Match]\nUnit=sshd.service system.slice\n");
        put(f, ETC "20-in-a.budget", "[Match]\nUnit=x.service\nCgroup=/a.slice/**\n");
        put(f, ETC "30-rest.budget", "[Match]\nCgroup=/**\n");
        assert_loads(f, "");
        assert_match(f, "/system.slice", "10-ssh");
        assert_match(f, "/system.slice/sshd.service", "10-ssh");
        assert_match(f, "/sshd.service", "10-ssh");
        assert_match(f, "/a.slice/a-b.slice/sshd.service", "10-ssh");
        assert_match(f, "/x/user.slice/sshd.service", "30-rest");
        assert_match(f, "/system.slice/docker-1.scope/system.slice/sshd.service", "30-rest");
        assert_match(f, "/system.slice/docker-1.scope/system.slice", "30-rest");
        assert_match(f, "/user.slice/user-1.slice/user@1.service/sshd.service", "30-rest");
        assert_match(f, "/system.slice/payload/sshd.service", "30-rest");
        assert_match(f, "/a.slice/x.service", "20-in-a");
        assert_match(f, "/a.slice/a-b.slice/x.service", "20-in-a");
        assert_match(f, "/a.slice/y.service/x.service", "30-rest");
        assert_match(f, "/a.slice/y/x.service", "30-rest");
        assert_match(f, "/b.slice/x.service", "30-rest");
}

static void test_first_file_wins(void **state)
{
        struct fixture *f = *state;

        put(f, LIB "90-default.budget", "[Match]\nCgroup=/**\n");
        put(f, ETC "50-all-services.budget", "[Match]\nCgroup=/system.slice/*.service\n");
        put(f, RUN "40-ssh.budget", "[Match]\nUnit=ssh.service\n");
        assert_loads(f, "");
        assert_int_equal(f->config.count, 3);
        assert_string_equal(f->config.budgets[0].name, "40-ssh");
        assert_string_equal(f->config.budgets[2].name, "90-default");
        assert_match(f, "/system.slice/ssh.service", "40-ssh");
        assert_match(f, "/system.slice/ssh.service/sub", "90-default"); /* counts in its unit */
        assert_match(f, "/system.slice/cron.service", "50-all-services");
        assert_match(f, "/system.slice/cron.service/sub", "90-default");
        assert_match(f, "/", "90-default");
}

/* Parent and child have each their own; that both hold is for the policy. */
static void test_parent_and_child(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "10-slice.budget", "[Match]\nCgroup=/a.slice\n[Budget]\nMax=2M\n");
        put(f, ETC "20-services.budget", "[Match]\nCgroup=/a.slice/**/*.service\n[Budget]\nMax=1M\n");
        put(f, ETC "30-rest.budget", "[Match]\nCgroup=/a.slice/**\n[Budget]\nMax=5K\n");
        assert_loads(f, "");
        assert_match(f, "/a.slice", "10-slice");
        assert_match(f, "/a.slice/x.service", "20-services");
        assert_match(f, "/a.slice/a-b.slice/y.service", "20-services");
        assert_match(f, "/a.slice/x.service/sub", "30-rest");
        assert_match(f, "/b.slice", NULL);
}

static void test_excludes(void **state)
{
        struct fixture *f = *state;

        put(f, ETC "a.budget", "[Match]\nCgroup=/s.slice/* !/s.slice/x*\nCgroup=!/s.slice/y /t\n");
        put(f, ETC "b.budget", "[Match]\nUnit=!ssh.service\n");
        assert_loads(f, "");
        assert_match(f, "/s.slice/a", "a");
        assert_match(f, "/t", "a");
        assert_match(f, "/s.slice/x1", NULL);
        assert_match(f, "/s.slice/y", NULL);
        assert_match(f, "/s.slice/x.service", "b"); /* only excludes: all other units, but not what is in no unit */
        assert_match(f, "/ssh.service", NULL);
        assert_match(f, "/z", NULL);
}

static void test_all_keys_must_match(void **state)
{
        struct fixture *f = *state;
        struct match_subject subject = { .path = "/s.slice/a.service", .uid = 1000 };

        put(f, ETC "a.budget", "[Match]\nCgroup=/s.slice/**\nUnit=a.service\nUser=1000 root\n");
        assert_loads(f, "");
        assert_non_null(config_match(&f->config, &subject));
        subject.uid = 0; /* root, by name */
        assert_non_null(config_match(&f->config, &subject));
        subject.uid = 1001;
        assert_null(config_match(&f->config, &subject));
        subject = (struct match_subject){ .path = "/s.slice/b.service", .uid = 1000 };
        assert_null(config_match(&f->config, &subject));
        subject.path = "/t.slice/a.service";
        assert_null(config_match(&f->config, &subject));
}

/* The workload of @kind called so; NULL: it has no such name. */
static const struct workload *workload(enum workload_kind kind, const char *pod, const char *container)
{
        static struct workload workload;

        workload = (struct workload){
                .kind = kind,
                .is_pod = kind == WORKLOAD_POD,
                .pod = (char *) pod,
                .container = (char *) container,
        };
        return &workload;
}

static const char *name_of(struct fixture *f, const struct workload *workload)
{
        struct match_subject subject = { .path = "/kubepods/pod1234/0123456789abcdef", .workload = workload };
        const struct budget *budget;

        if (workload && workload->is_pod)
                subject.path = workload->kind == WORKLOAD_POD ? "/kubepods/pod1234"
                                                              : "/kubepods-pod1.slice:crio:0123456789";
        budget = config_match(&f->config, &subject);
        return budget ? budget->name : "none";
}

static void test_pods_and_containers(void **state)
{
        struct fixture *f = *state;
        struct workload alone = { .kind = WORKLOAD_CONTAINER, .is_pod = true, .pod = (char *) "kube-system/cilium-1" };

        put(f, ETC "10.budget", "[Match]\nPod=kube-system/cilium-* !kube-system/cilium-operator-*\nPod=*/web\n");
        put(f, ETC "20.budget", "[Match]\nPod=kube-system/cilium-*\nContainer=cilium-agent\n");
        put(f, ETC "30.budget", "[Match]\nContainer=db-*\n");
        put(f, ETC "35.budget", "[Match]\nCgroup=/kubepods/**\nPod=both/*\n");
        put(f, ETC "40.budget", "[Match]\nPod=!kube-system/*\n");
        put(f, ETC "90.budget", "[Match]\nCgroup=/**\n");
        assert_loads(f, "");
        assert_string_equal(name_of(f, workload(WORKLOAD_POD, "kube-system/cilium-1", NULL)), "10");
        assert_string_equal(name_of(f, workload(WORKLOAD_POD, "a/web", NULL)), "10");
        assert_string_equal(name_of(f, workload(WORKLOAD_POD, "kube-system/cilium-operator-1", NULL)), "90");
        assert_string_equal(name_of(f, workload(WORKLOAD_CONTAINER, "kube-system/cilium-1", "cilium-agent")), "20");
        assert_string_equal(name_of(f, workload(WORKLOAD_CONTAINER, "kube-system/cilium-1", "other")), "90");
        assert_string_equal(name_of(f, workload(WORKLOAD_CONTAINER, NULL, "db-1")), "30");
        assert_string_equal(name_of(f, workload(WORKLOAD_POD, "a/b", NULL)), "40"); /* only excludes: any other pod */
        assert_string_equal(name_of(f, workload(WORKLOAD_POD, NULL, NULL)), "90");
        assert_string_equal(name_of(f, workload(WORKLOAD_CONTAINER, "a/b", "c")), "90"); /* counts in its pod */
        assert_string_equal(name_of(f, workload(WORKLOAD_POD, "both/a", NULL)), "35");
        assert_string_equal(name_of(f, workload(WORKLOAD_CONTAINER, "both/a", "c")), "90");
        assert_string_equal(name_of(f, workload(WORKLOAD_MACHINE, NULL, NULL)), "90");
        assert_string_equal(name_of(f, NULL), "90");
        assert_string_equal(name_of(f, &alone), "10"); /* the pod has no cgroup of its own */
        assert_true(config_refuses_names(&f->config) == false);
}

/* The cgroup inherits as long as its name is looked for; but not what a name has nothing to do with. */
static void test_pending_name(void **state)
{
        struct fixture *f = *state;
        struct workload pending = { .kind = WORKLOAD_CONTAINER, .pending = true };
        struct match_subject other = { .path = "/system.slice/a.service" };

        put(f, ETC "05.budget", "[Match]\nCgroup=/first/**\n");
        put(f, ETC "10.budget", "[Match]\nContainer=web\n[Budget]\nMax=1M\nOnMax=deny\n");
        put(f, ETC "90.budget", "[Match]\nCgroup=/**\n");
        assert_loads(f, "");
        assert_string_equal(name_of(f, &pending), "none");
        pending.pending = false;
        assert_string_equal(name_of(f, &pending), "90");
        pending = (struct workload){ .kind = WORKLOAD_POD, .is_pod = true, .pending = true };
        assert_string_equal(name_of(f, &pending), "90");
        assert_string_equal(config_match(&f->config, &other)->name, "90");
        pending.kind = WORKLOAD_CONTAINER;
        other = (struct match_subject){ .path = "/first/0123456789abcdef", .workload = &pending };
        assert_string_equal(config_match(&f->config, &other)->name, "05");
        assert_true(config_refuses_names(&f->config));
}

static void test_bad_names(void **state)
{
        static const struct {
                const char *line, *told;
        } cases[] = {
                { "Pod=cilium", "Pod=cilium has no namespace: write NAMESPACE/NAME, or */NAME for any namespace" },
                { "Pod=/a", "Pod=/a is not NAMESPACE/NAME: write both, with one \"/\" between them" },
                { "Pod=a/", "Pod=a/ is not NAMESPACE/NAME: write both, with one \"/\" between them" },
                { "Pod=a/b/c", "Pod=a/b/c is not NAMESPACE/NAME: write both, with one \"/\" between them" },
                { "Pod=a/[b", "Pod=a/[b has a \"[\" without \"]\": close it" },
                { "Container=!", "Container=! is empty: give the name of a container" },
                { "Container=a/b",
                                "Container=a/b has a \"/\", which no container has: use Pod= for NAMESPACE/NAME of its "
                                "pod" },
                { "Container=[a", "Container=[a has a \"[\" without \"]\": close it" },
        };
        struct fixture *f = *state;
        char text[128], told[256];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                snprintf(text, sizeof(text), "[Match]\n%s\n", cases[i].line);
                snprintf(told, sizeof(told), ETC "a.budget:2: %s\n", cases[i].told);
                put(f, ETC "a.budget", text);
                assert_refused(f, told);
        }
        put(f, ETC "a.budget", "[Match]\nPod=a/b,c/d\n");
        assert_refused(f,
                        ETC "a.budget:2: Pod=a/b,c/d is not NAMESPACE/NAME: write both, with one \"/\" between them\n");
        put(f, ETC "a.budget", "[Match]\nContainer=a,b\n");
        assert_loads(f, ETC "a.budget:2: warning: Container=a,b is one glob: separate globs by blanks\n");
}

static void test_users(void **state)
{
        struct fixture *f = *state;
        struct match_subject subject = { .path = "/a", .uid = 0 };

        put(f, ETC "a.budget", "[Match]\nUser=!root !no-such-user\n");
        load_from(f, false);
        assert_null(config_match(&f->config, &subject));
        subject.uid = 5;
        assert_non_null(config_match(&f->config, &subject));
        subject.uid = UINT32_MAX; /* not known: not the user that does not exist */
        assert_non_null(config_match(&f->config, &subject));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_path_unit),
                TEST(test_path_user_unit),
                TEST(test_forged_units),
                TEST(test_first_file_wins),
                TEST(test_parent_and_child),
                TEST(test_excludes),
                TEST(test_all_keys_must_match),
                TEST(test_users),
                TEST(test_pods_and_containers),
                TEST(test_pending_name),
                TEST(test_bad_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
