/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a cgroup is by its path: workload.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "account/workload.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2   "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID   "7cf1f4a8-0f4c-4b7e-9d6e-0a1b2c3d4e5f"
#define UID_  "7cf1f4a8_0f4c_4b7e_9d6e_0a1b2c3d4e5f"
#define HASH_ "1d9ab0a5f8a9c5a3d7c7a1f2b3c4d5e6"

#define SLICES "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice"

struct expectation {
        const char *path;
        const char *kind, *qos, *runtime, *uid, *id, *machine;
        bool nested;
};

static void check_text(const char *path, const char *what, const char *found, const char *expected)
{
        if (!found != !expected || (found && strcmp(found, expected) != 0))
                fail_msg("\"%s\": %s is \"%s\", expected \"%s\"", path, what, found ?: "(none)", expected ?: "(none)");
}

static void check(const struct expectation *e)
{
        struct workload *workload;

        assert_int_equal(workload_from_path(e->path, &workload), 0);
        check_text(e->path, "kind", workload ? workload_kind_name(workload->kind) : NULL, e->kind);
        if (!workload)
                return;
        check_text(e->path, "class", workload_qos_name(workload->qos), e->qos);
        check_text(e->path, "runtime", workload->runtime, e->runtime);
        check_text(e->path, "uid", workload->pod_uid, e->uid);
        check_text(e->path, "id", workload->container_id, e->id);
        check_text(e->path, "machine", workload->machine, e->machine);
        if (workload->nested != e->nested)
                fail_msg("\"%s\": nested is %d", e->path, workload->nested);
        workload_free(workload);
}

static void check_all(const struct expectation *list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                check(&list[i]);
}

static void test_systemd_driver(void **state)
{
        static const struct expectation list[] = {
                { SLICES, "pod", "Burstable", NULL, UID },
                { "/kubepods.slice/kubepods-pod" UID_ ".slice", "pod", "Guaranteed", NULL, UID },
                { "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice", "pod",
                                "BestEffort", NULL, UID },
                { "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" HASH_ ".slice", "pod", "Burstable",
                                NULL, HASH_ }, /* static */
                { SLICES "/cri-containerd-" ID ".scope", "container", "Burstable", "containerd", UID, ID },
                { SLICES "/crio-" ID ".scope", "container", "Burstable", "cri-o", UID, ID },
                { SLICES "/docker-" ID ".scope", "container", "Burstable", "docker", UID, ID },
                { SLICES "/crio-conmon-" ID ".scope" },
                { SLICES "/crio-" ID ".scope/container" },
                { SLICES "/cri-containerd-" ID ".scope/init" },
                { SLICES "/cri-containerd-0123456789ab.scope" },
                { "/kubepods.slice" },
                { "/kubepods.slice/kubepods-burstable.slice" },
                { "/kubepods.slice/kubepods-other-pod" UID_ ".slice" },
                { "/kubepods.slice/mykubepods-pod" UID_ ".slice" },
                { "/kubepods.slice/kubepods-pod.slice" },
                { "/kubepods.slice/kubepods-pod" UID_ ".service" },
                { "/my.slice/my-kubepods.slice/my-kubepods-pod" UID_ ".slice", "pod", "Guaranteed", NULL, UID },
        };

        (void) state;
        check_all(list, LENGTH(list));
}

static void test_cgroupfs_driver(void **state)
{
        static const struct expectation list[] = {
                { "/kubepods/pod" UID, "pod", "Guaranteed", NULL, UID },
                { "/kubepods/burstable/pod" UID, "pod", "Burstable", NULL, UID },
                { "/kubepods/besteffort/pod" HASH_, "pod", "BestEffort", NULL, HASH_ },
                { "/root/kubepods/burstable/pod" UID, "pod", "Burstable", NULL, UID },
                { "/kubepods/burstable/pod" UID "/" ID, "container", "Burstable", NULL, UID, ID },
                { "/kubepods/burstable/pod" UID "/crio-" ID, "container", "Burstable", "cri-o", UID, ID },
                { "/kubepods/burstable/pod" UID "/" ID "/sub" },
                { "/kubepods/burstable" },
                { "/burstable/pod" UID },
                { "/pod" UID },
                { "/kubepods/burstable/pod" },
                { "/kubepods/burstable/pod/../x" },
                { "/kubepods/burstable/podx_y" },
        };

        (void) state;
        check_all(list, LENGTH(list));
}

/* A runtime with another driver than the kubelet's. */
static void test_mixed_drivers(void **state)
{
#define TRIPLE "kubepods-besteffort-pod" UID_ ".slice:cri-containerd:" ID
        static const struct expectation list[] = {
                { "/system.slice/containerd.service/" TRIPLE, "container", "BestEffort", "containerd", UID, ID },
                { "/" TRIPLE, "container", "BestEffort", "containerd", UID, ID },
                { "/kubepods-pod" UID_ ".slice:crio:" ID, "container", "Guaranteed", "cri-o", UID, ID },
                { "/system.slice:docker:" ID, "container", NULL, "docker", NULL, ID },
                { "/system.slice:mine:" ID },
                { "/system.slice:docker:x" },
                { "/:docker:" ID, "container", NULL, "docker", NULL, ID },
                { "/a:b" },
        };

        (void) state;
        check_all(list, LENGTH(list));
}

static void test_containers(void **state)
{
        static const struct expectation list[] = {
                { "/docker/" ID, "container", NULL, "docker", NULL, ID },
                { "/system.slice/docker-" ID ".scope", "container", NULL, "docker", NULL, ID },
                { "/mine/" ID, "container", NULL, NULL, NULL, ID },
                { "/machine.slice/libpod-" ID ".scope", "container", NULL, "podman", NULL, ID },
                { "/machine.slice/libpod-conmon-" ID ".scope" },
                { "/machine.slice/machine-libpod_pod_" ID2 ".slice/libpod-" ID ".scope", "container", NULL, "podman",
                                NULL, ID },
                { "/machine.slice/machine-libpod_pod_" ID2 ".slice" },
                { "/libpod_parent/libpod-" ID, "container", NULL, "podman", NULL, ID },
                { "/system.slice/web.service/libpod-payload-" ID, "container", NULL, "podman", NULL, ID },
                { "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope", "container", NULL,
                                "podman", NULL, ID },
                { "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope/container" },
                { "/default/nerdctl-" ID, "container", NULL, "containerd", NULL, ID },
                { "/docker/" ID "0" },
                { "/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef" },
                { "/docker" },
                { "/docker/buildx" },
        };

        (void) state;
        check_all(list, LENGTH(list));
}

/* What is in a container was made by whoever is in there. */
static void test_nested(void **state)
{
#define KIND                                                                                                         \
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" UID_ \
        ".slice"
        static const struct expectation list[] = {
                { KIND, "pod", "Burstable", NULL, UID },
                { "/system.slice/docker-" ID ".scope" KIND, "pod", "Burstable", NULL, UID, .nested = true },
                { "/system.slice/docker-" ID ".scope" KIND "/cri-containerd-" ID2 ".scope", "container", "Burstable",
                                "containerd", UID, ID2, .nested = true },
                { "/docker/" ID "/kubelet/kubepods/besteffort/pod" UID "/" ID2, "container", "BestEffort", NULL, UID,
                                ID2, .nested = true },
                { "/docker/" ID "/docker/" ID2, "container", NULL, "docker", NULL, ID2, .nested = true },
                { SLICES "/crio-" ID ".scope/docker/" ID2, "container", NULL, "docker", NULL, ID2, .nested = true },
                { "/machine.slice/machine-a.scope/payload/system.slice/docker-" ID ".scope", "container", NULL,
                                "docker", NULL, ID, .nested = true },
        };

        (void) state;
        check_all(list, LENGTH(list));
}

static void test_machines(void **state)
{
        static const struct expectation list[] = {
                { "/machine.slice/systemd-nspawn@web.service", "machine", .machine = "web" },
                { "/machine.slice/machine-web.scope", "machine", .machine = "web" },
                { "/machine.slice/machine-qemu\\x2d3\\x2dvm1.scope", "machine", .machine = "qemu-3-vm1" },
                { "/machine.slice/machine-qemu\\x2d3\\x2dvm1.scope/libvirt/emulator" },
                { "/machine.slice/machine-a\\x0ab.scope" },
                { "/machine.slice/machine-a\\x00b.scope" },
                { "/machine.slice/machine-a\\x2.scope" },
                { "/machine.slice" },
                { "/machine.slice/other.scope" },
                { "/system.slice/systemd-nspawn@web.service" },
                { "/system.slice/ssh.service" },
                { "/" },
                { "" },
        };

        (void) state;
        check_all(list, LENGTH(list));
}

static void test_names(void **state)
{
        struct workload workload = { .kind = WORKLOAD_CONTAINER };

        (void) state;
        assert_false(workload_has_name(&workload));
        assert_int_equal(workload_set_name(&workload.container, "a"), 1);
        assert_int_equal(workload_set_name(&workload.container, "a"), 0);
        assert_int_equal(workload_set_name(&workload.container, "b"), 1);
        assert_true(workload_has_name(&workload));
        workload.kind = WORKLOAD_POD;
        assert_false(workload_has_name(&workload));
        free(workload.container);
        assert_true(is_pod_namespace("kube-system", 11));
        assert_false(is_pod_namespace("kube_system", 11));
        assert_false(is_pod_namespace("", 0));
        assert_true(is_pod_name("cilium-x.y", 10));
        assert_false(is_pod_name("a/b", 3));
        assert_false(is_pod_name("A", 1));
        assert_false(is_pod_name("a\0b", 3));
        assert_true(is_container_name("My_web.1", 8));
        assert_false(is_container_name("\xff", 1));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_systemd_driver),
                cmocka_unit_test(test_cgroupfs_driver),
                cmocka_unit_test(test_mixed_drivers),
                cmocka_unit_test(test_containers),
                cmocka_unit_test(test_nested),
                cmocka_unit_test(test_machines),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
