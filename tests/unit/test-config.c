/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is installed: the configuration as a whole. */
#include "config-fixture.h"

/* make check tells where the source is; by hand, the test is run there. */
static void load_installed(struct fixture *f, const char *name)
{
        struct config_machine machine = { .ram = RAM };
        const char *source = getenv("srcdir");
        char directory[512];
        int r;

        snprintf(directory, sizeof(directory), "%s/%s", source ?: ".", name);
        r = config_load(&f->config, "", directory, &machine, record, f);
        fputc('\0', f->stream);
        fflush(f->stream);
        assert_string_equal(f->told, "");
        assert_int_equal(r, 0);
}

static void test_nothing_at_all(void **state)
{
        struct fixture *f = *state;

        assert_loads(f, "");
        assert_int_equal(f->config.count, 0);
        assert_default_settings(&f->config.settings);
        assert_null(match(f, "/a"));
}

static void test_default_budget(void **state)
{
        struct fixture *f = *state;
        const struct budget *budget;

        load_installed(f, "conf");
        assert_default_settings(&f->config.settings);
        assert_int_equal(f->config.count, 1);
        budget = match(f, "/system.slice/ssh.service");
        assert_non_null(budget);
        assert_int_equal(budget->high, RAM / 4);
        assert_true(budget->max == BUDGET_INFINITY);
        assert_int_equal(budget->on_high, ACTION_ALERT);
        assert_int_equal(budget->on_max, ACTION_ALERT);
        assert_match(f, "/init.scope", "90-default");
        assert_match(f, "/user.slice", "90-default");
        assert_match(f, "/", NULL);
        assert_match(f, "/system.slice", NULL);
        assert_match(f, "/system.slice/ssh.service/sub", NULL);
}

static void test_examples(void **state)
{
        struct fixture *f = *state;

        load_installed(f, "conf/examples");
        assert_int_equal(f->config.count, 3);
        assert_match(f, "/system.slice/datadog-agent-sysprobe.service", "agents");
        assert_match(f, "/user.slice/user-1000.slice", "users");
        assert_match(f, "/user.slice/user-0.slice", NULL);
        assert_match(f, "/user.slice/user-1000.slice/session-1.scope", NULL);
}

/* The file says "the lines below are the defaults": they are all there, and they are. */
static void test_documented_defaults(void **state)
{
        static const char *const keys[] = { "PollSec", "AlertIntervalSec", "AlertBurst", "ThrottleMaxSec",
                "NeverThrottle", "MaxCgroups", "FailMode", "Strict", "MetricsListen", "MetricsCgroupsMax",
                "MetricsMapsMax" };
        struct fixture *f = *state;
        char path[512], text[8192] = "", *p = text;
        _cleanup_fclose_ FILE *file = NULL;

        snprintf(path, sizeof(path), "%s/conf/" CONF, getenv("srcdir") ?: ".");
        file = fopen(path, "r");
        assert_non_null(file);
        assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                char line[64];

                snprintf(line, sizeof(line), "\n#%s=", keys[i]);
                p = strstr(text, line);
                assert_non_null(p);
                p[1] = ' ';
        }
        put(f, ETC CONF, text);
        assert_loads(f, "");
        assert_default_settings(&f->config.settings);
}

#define UID   "0d2ab0f5_6a4d_4e2b_9d0e_3f6a1c8b7e21"
#define DASH  "0d2ab0f5-6a4d-4e2b-9d0e-3f6a1c8b7e21"
#define ID    "5f0c1b6e8d9a4c3f2e1d0b9a8c7f6e5d4c3b2a1908f7e6d5c4b3a2918070f6e5"
#define CLASS "kubepods.slice/kubepods-burstable.slice/"
#define KIND  "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"

/* Cgroups of pods as kubelets, runtimes and distributions make them, and those above and below, which have none. */
static void test_kubernetes(void **state)
{
        static const char *const pods[] = {
                "/kubepods.slice/kubepods-pod1234.slice",
                "/kubepods.slice/kubepods-pod" UID ".slice",
                "/" CLASS "kubepods-burstable-pod" UID ".slice",
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID ".slice",
                "/kubepods/pod12",
                "/kubepods/pod" DASH,
                "/kubepods/besteffort/pod" DASH,
                "/kubepods/burstable/pod" DASH,
                /* minikube, k3d: the node is a container of docker */
                "/system.slice/docker-" ID ".scope/" CLASS "kubepods-burstable-pod" UID ".slice",
                "/docker/" ID "/kubepods/burstable/pod" DASH,
                /* kind */
                "/" KIND "kubelet-kubepods-burstable-pod" UID ".slice",
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID ".slice",
                "/system.slice/docker-" ID ".scope/" KIND "kubelet-kubepods-burstable-pod" UID ".slice",
                "/docker/" ID "/" KIND "kubelet-kubepods-burstable-pod" UID ".slice",
                "/docker/" ID "/kubelet/kubepods/besteffort/pod" DASH,
                /* containerd without SystemdCgroup */
                "/system.slice/containerd.service/kubepods-burstable-pod" UID ".slice:cri-containerd:" ID,
                "/system.slice/containerd.service/kubepods-pod" UID ".slice:cri-containerd:" ID,
                "/system.slice/k3s.service/kubepods-besteffort-pod" UID ".slice:cri-containerd:" ID,
                "/docker/" ID "/kubelet-kubepods-besteffort-pod" UID ".slice:cri-containerd:" ID,
        };
        static const char *const others[] = {
                "/",
                "/kubepods",
                "/kubepods/burstable",
                "/kubepods.slice",
                "/kubepods.slice/kubepods-burstable.slice",
                "/kubelet.slice",
                "/kubelet.slice/kubelet-kubepods.slice",
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice",
                "/" CLASS "kubepods-burstable-pod" UID ".slice/cri-containerd-" ID ".scope",
                "/" KIND "kubelet-kubepods-burstable-pod" UID ".slice/cri-containerd-" ID ".scope",
                "/kubepods/burstable/pod" DASH "/" ID,
                "/system.slice/containerd.service",
                "/system.slice/docker-" ID ".scope",
                "/machine.slice/libpod-" ID ".scope",
        };
        struct fixture *f = *state;

        load_installed(f, "conf/examples");
        for (size_t i = 0; i < ELEMENTSOF(pods); i++)
                assert_match(f, pods[i], "kubernetes");
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                assert_match(f, others[i], NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_nothing_at_all),
                TEST(test_default_budget),
                TEST(test_examples),
                TEST(test_documented_defaults),
                TEST(test_kubernetes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
