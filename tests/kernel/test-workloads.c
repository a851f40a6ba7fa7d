/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Workloads: real cgroups, made as the kubelet makes those of pods, and logs of pods below a directory of the test's
 * own. Needs root and a memory controller.
 */
#include "harness.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MIB (1024 * 1024)

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID  "7cf1f4a8-0f4c-4b7e-9d6e-0a1b2c3d4e5f"
#define UID_ "7cf1f4a8_0f4c_4b7e_9d6e_0a1b2c3d4e5f"

static const struct map_case two_mib = { "array", BPF_MAP_TYPE_ARRAY, 4, 2 * MIB, 1, .count = 1 };

/* A pod with a container, in the one form or the other. */
struct fixture {
        struct test_cgroup top, pods, class, pod, container;
        char config[64], root[80];
        struct live_daemon daemon;
        struct worker worker;
};

static void make(struct fixture *f, bool systemd)
{
        cgroup_make(&f->top, NULL, "workloads");
        cgroup_make(&f->pods, &f->top, systemd ? "kubepods.slice" : "kubepods");
        cgroup_make(&f->class, &f->pods, systemd ? "kubepods-burstable.slice" : "burstable");
        cgroup_make(&f->pod, &f->class, systemd ? "kubepods-burstable-pod" UID_ ".slice" : "pod" UID);
        cgroup_make(&f->container, &f->pod, systemd ? "cri-containerd-" ID ".scope" : ID);
        config_make(f->config);
        snprintf(f->root, sizeof(f->root), "%s/node", f->config);
        assert_int_equal(mkdir(f->root, 0755), 0);
        assert_int_equal(setenv("BPFBUDGETD_TEST_ROOT", f->root, 1), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
        (void) status;
        (void) type;
        (void) ftw;
        return remove(path);
}

static void stop(struct fixture *f)
{
        worker_end(&f->worker);
        assert_int_equal(live_end(&f->daemon), 0);
        unsetenv("BPFBUDGETD_TEST_ROOT");
        nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_cgroups(struct fixture *f)
{
        cgroup_remove(&f->container);
        cgroup_remove(&f->pod);
        cgroup_remove(&f->class);
        cgroup_remove(&f->pods);
        cgroup_remove(&f->top);
}

static void end(struct fixture *f)
{
        stop(f);
        remove_cgroups(f);
}

static void put_directory(const struct fixture *f, const char *name)
{
        char path[256];

        snprintf(path, sizeof(path), "%s/%s", f->root, name);
        assert_int_equal(mkdir(path, 0755), 0);
}

static void make_log_directories(const struct fixture *f)
{
        put_directory(f, "var");
        put_directory(f, "var/log");
        put_directory(f, "var/log/pods");
        put_directory(f, "var/log/containers");
}

/* What the kubelet makes when the pod is there, and when its container runs. */
static void make_logs(const struct fixture *f)
{
        char path[256];

        put_directory(f, "var/log/pods/kube-system_cilium-x7k_" UID);
        snprintf(path, sizeof(path), "%s/var/log/containers/cilium-x7k_kube-system_cilium-agent-" ID ".log", f->root);
        assert_int_equal(symlink("/nowhere", path), 0);
}

static const char *workload_text(json_t *report, const struct test_cgroup *cgroup, const char *key)
{
        return json_string_value(json_object_get(json_object_get(find_cgroup(report, cgroup->path), "workload"), key))
                               ?: "";
}

/* Waits until the container of @f has the @name of its workload. */
static json_t *wait_name(struct fixture *f, const char *name)
{
        for (int i = 0; i < 100; i++) {
                json_t *report = live_report(&f->daemon);

                if (strcmp(workload_text(report, &f->container, "name"), name) == 0)
                        return report;
                json_decref(report);
                sleep_msec(50);
        }
        fail_msg("%s has no name", f->container.path);
        return NULL;
}

static void check_names(struct fixture *f, bool systemd)
{
        json_t *report = wait_name(f, "kube-system/cilium-x7k/cilium-agent");

        assert_string_equal(workload_text(report, &f->container, "kind"), "container");
        assert_string_equal(workload_text(report, &f->container, "containerId"), ID);
        assert_string_equal(workload_text(report, &f->container, "runtime"), systemd ? "containerd" : "");
        assert_string_equal(workload_text(report, &f->container, "cgroup"), f->container.path);
        assert_string_equal(workload_text(report, &f->pod, "kind"), "pod");
        assert_string_equal(workload_text(report, &f->pod, "name"), "kube-system/cilium-x7k");
        assert_string_equal(workload_text(report, &f->pod, "namespace"), "kube-system");
        assert_string_equal(workload_text(report, &f->pod, "pod"), "cilium-x7k");
        assert_string_equal(workload_text(report, &f->pod, "podUid"), UID);
        assert_string_equal(workload_text(report, &f->pod, "qosClass"), "Burstable");
        json_decref(report);
}

static void run_named(bool systemd)
{
        struct fixture f;

        make(&f, systemd);
        make_log_directories(&f);
        make_logs(&f);
        live_start_with(&f.daemon, NULL, f.config);
        worker_start(&f.worker, &f.container, create_maps, (void *) &two_mib);
        check_names(&f, systemd);
        end(&f);
}

static void test_systemd_driver(void **state)
{
        (void) state;
        run_named(true);
}

static void test_cgroupfs_driver(void **state)
{
        (void) state;
        run_named(false);
}

static unsigned int count_of(const char *text, const char *part)
{
        unsigned int n = 0;

        for (; (text = strstr(text, part)); text += strlen(part))
                n++;
        return n;
}

/* A name that comes after the maps brings its budget with it, which alerts once, and no other of the pod's does. */
static void test_name_comes_late(void **state)
{
        _cleanup_free_ char *over = NULL, *rest = NULL;
        struct fixture f;

        (void) state;
        make(&f, true);
        config_write(f.config, "50-cilium.budget", "[Match]\nPod=kube-system/cilium-*\n[Budget]\nHigh=1M\n");
        live_start_with(&f.daemon, NULL, f.config);
        worker_start(&f.worker, &f.container, create_maps, (void *) &two_mib);
        json_decref(live_report(&f.daemon));
        make_log_directories(&f);
        make_logs(&f);
        over = live_wait_log(&f.daemon, "is over High of budget 50-cilium");
        assert_non_null(strstr(over, "kube-system/cilium-x7k: BPF memory is over High of budget 50-cilium"));
        check_names(&f, true);
        rest = live_log(&f.daemon);
        assert_int_equal(count_of(over, "is over High") + count_of(rest, "is over High"), 1);
        end(&f);
}

/* A budget of the container's, and one of its pod's, which is known before: both hold. */
static void test_budget_of_container(void **state)
{
        _cleanup_free_ char *over = NULL;
        struct fixture f;

        (void) state;
        make(&f, false);
        make_log_directories(&f);
        make_logs(&f);
        config_write(f.config, "50-agent.budget",
                        "[Match]\nPod=kube-system/*\nContainer=cilium-agent\n[Budget]\nHigh=1M\n");
        config_write(f.config, "60-pods.budget", "[Match]\nPod=*/*\n[Budget]\nHigh=64M\n");
        live_start_with(&f.daemon, NULL, f.config);
        worker_start(&f.worker, &f.container, create_maps, (void *) &two_mib);
        over = live_wait_log(&f.daemon, "is over High of budget 50-agent");
        assert_non_null(strstr(over, "kube-system/cilium-x7k/cilium-agent: BPF memory is over High"));
        end(&f);
}

/* Docker's file is read after the flush that finds the container; until then it has no other budget. */
static void test_docker(void **state)
{
        static const char *const directories[] = { "var", "var/lib", "var/lib/docker", "var/lib/docker/containers",
                ("var/lib/docker/containers/" ID) };
        _cleanup_free_ char *over = NULL, *rest = NULL;
        struct test_cgroup docker, container;
        struct fixture f;
        char name[256];

        (void) state;
        make(&f, false);
        cgroup_make(&docker, &f.top, "docker");
        cgroup_make(&container, &docker, ID);
        for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
                put_directory(&f, directories[i]);
        snprintf(name, sizeof(name), "node/var/lib/docker/containers/%s/config.v2.json", ID);
        config_write(f.config, name, "{\"Name\": \"/web_1\"}");
        config_write(f.config, "50-web.budget", "[Match]\nContainer=web_*\n[Budget]\nHigh=1M\n");
        config_write(f.config, "90-rest.budget", "[Match]\nCgroup=/**\n[Budget]\nHigh=1K\nClearPercent=1\n");
        live_start_with(&f.daemon, NULL, f.config);
        worker_start(&f.worker, &container, create_maps, (void *) &two_mib);
        over = live_wait_log(&f.daemon, "web_1: BPF memory is over High of budget 50-web");
        rest = live_log(&f.daemon);
        assert_null(strstr(over, "web_1 is over High of budget 90-rest"));
        assert_null(strstr(over, ID " is over High of budget 90-rest"));
        stop(&f);
        cgroup_remove(&container);
        cgroup_remove(&docker);
        remove_cgroups(&f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_systemd_driver, harness_teardown),
                cmocka_unit_test_teardown(test_cgroupfs_driver, harness_teardown),
                cmocka_unit_test_teardown(test_name_comes_late, harness_teardown),
                cmocka_unit_test_teardown(test_budget_of_container, harness_teardown),
                cmocka_unit_test_teardown(test_docker, harness_teardown),
        };
        int r = harness_main();

        if (r != 0)
                return r;
        /* Without charges nobody knows which cgroup a map is of. */
        if (harness_nobpf()) {
                puts("1..0 # SKIP cgroup.memory=nobpf");
                return 0;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
