/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What workloads are called, by trees of logs and state files of the test's own: workloads.h. */
#include "config-fixture.h"

#include "account/workloads.h"

#include "fake-cgroups.h"
#include "fake-log.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2  "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID  "7cf1f4a8-0f4c-4b7e-9d6e-0a1b2c3d4e5f"
#define UID_ "7cf1f4a8_0f4c_4b7e_9d6e_0a1b2c3d4e5f"
#define HASH "1d9ab0a5f8a9c5a3d7c7a1f2b3c4d5e6"

#define PODS       "var/log/pods/"
#define CONTAINERS "var/log/containers/"
#define DOCKER     "var/lib/docker/containers/"
#define PODMAN     "var/lib/containers/storage/overlay-containers/"

static struct fake_cgroup cgroups[] = {
        { 2, 1, "/kubepods.slice" },
        { 3, 2, "/kubepods.slice/kubepods-pod" UID_ ".slice" },
        { 4, 3, "/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope" },
        { 5, 3, "/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID2 ".scope" },
        { 6, 1, "/kubepods" },
        { 7, 6, "/kubepods/pod" HASH },
        { 8, 1, "/docker" },
        { 9, 8, "/docker/" ID },
        { 10, 1, "/libpod-" ID },
        { 11, 1, "/system.slice" },
        { 12, 4, "/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" ID ".scope/init" },
};

/* The directory of no cgroup, all the same: whose it is, is all that is asked. */
static char directory[64];

int cgroupfs_open(const struct cgroupfs *fs, uint64_t id)
{
        (void) fs;
        return id ? open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC) : -ESTALE;
}

struct workloads_fixture {
        struct fixture *files;
        struct fake_hierarchy hierarchy;
        struct tree tree;
        struct cgroupfs cgroupfs;
        struct workloads workloads;
};

static int setup_workloads(void **state)
{
        struct workloads_fixture *f = calloc(1, sizeof(*f));
        void *files;

        if (!f || setup(&files) < 0)
                return -1;
        f->files = files;
        f->hierarchy = (struct fake_hierarchy){ cgroups, ELEMENTSOF(cgroups), 0 };
        strcpy(directory, f->files->root);
        *state = f;
        return tree_init(&f->tree, 1, fake_lookup, &f->hierarchy);
}

static int teardown_workloads(void **state)
{
        struct workloads_fixture *f = *state;
        void *files = f->files;

        workloads_deinit(&f->workloads);
        tree_deinit(&f->tree);
        free(f);
        return teardown(&files);
}

static void start(struct workloads_fixture *f)
{
        struct workloads_options options = { &f->tree, &f->cgroupfs, f->files->root, true };

        forget_log();
        assert_int_equal(workloads_init(&f->workloads, &options), 0);
}

static struct cgroup *get(struct workloads_fixture *f, uint64_t id)
{
        struct cgroup *cgroup;

        assert_int_equal(tree_get(&f->tree, id, &cgroup), 0);
        assert_int_equal(workloads_name(&f->workloads, cgroup), 0);
        return cgroup;
}

static void put_directory(struct workloads_fixture *f, const char *name)
{
        assert_int_equal(mkdir(path_of(f->files, name), 0755), 0);
}

static void put_log(struct workloads_fixture *f, const char *name)
{
        put_link(f->files, name, "/nowhere");
}

static void put_pod(struct workloads_fixture *f)
{
        put_directory(f, PODS "kube-system_cilium-x7k_" UID);
        put_log(f, CONTAINERS "cilium-x7k_kube-system_cilium-agent-" ID ".log");
}

static void assert_names(const struct cgroup *cgroup, const char *pod, const char *container)
{
        if (!pod)
                assert_null(cgroup->workload->pod);
        else {
                assert_non_null(cgroup->workload->pod);
                assert_string_equal(cgroup->workload->pod, pod);
        }
        if (!container)
                assert_null(cgroup->workload->container);
        else {
                assert_non_null(cgroup->workload->container);
                assert_string_equal(cgroup->workload->container, container);
        }
}

static void resolve_all(struct workloads_fixture *f)
{
        assert_int_equal(workloads_resolve(&f->workloads), 0);
        assert_false(workloads_wants_resolve(&f->workloads));
}

/* What is known already is there at once, and nothing is left to do. */
static void test_known_before(void **state)
{
        struct workloads_fixture *f = *state;

        put_pod(f);
        put_directory(f, PODS "kube-system_kube-apiserver-node1_" HASH);
        start(f);
        assert_names(get(f, 3), "kube-system/cilium-x7k", NULL);
        assert_names(get(f, 4), "kube-system/cilium-x7k", "cilium-agent");
        assert_names(get(f, 7), "kube-system/kube-apiserver-node1", NULL);
        assert_false(workloads_wants_resolve(&f->workloads));
        assert_null(get(f, 11)->workload);
        assert_null(get(f, 12)->workload);
        assert_ptr_equal(cgroup_of_workload(get(f, 12)), get(f, 4));
        assert_null(cgroup_of_workload(get(f, 11)));
        assert_int_equal(count_logged("<"), 0);
}

/* The kubelet makes the cgroup first, then the directory; the link when the container runs. */
static void test_known_later(void **state)
{
        struct workloads_fixture *f = *state;
        struct cgroup *pod, *container;

        start(f);
        pod = get(f, 3);
        container = get(f, 4);
        assert_true(pod->workload->pending);
        assert_true(workloads_wants_resolve(&f->workloads));
        resolve_all(f);
        assert_false(pod->workload->pending);
        assert_names(pod, NULL, NULL);
        while (workloads_take_resolved(&f->workloads))
                ;

        put_directory(f, PODS "kube-system_cilium-x7k_" UID);
        resolve_all(f);
        assert_names(pod, "kube-system/cilium-x7k", NULL);
        assert_names(container, "kube-system/cilium-x7k", NULL);
        assert_non_null(workloads_take_resolved(&f->workloads));
        assert_non_null(workloads_take_resolved(&f->workloads));
        assert_null(workloads_take_resolved(&f->workloads));

        put_log(f, CONTAINERS "cilium-x7k_kube-system_cilium-agent-" ID ".log");
        resolve_all(f);
        assert_names(container, "kube-system/cilium-x7k", "cilium-agent");
        assert_ptr_equal(workloads_take_resolved(&f->workloads), container);
        assert_null(workloads_take_resolved(&f->workloads));
        assert_int_equal(count_logged("<"), 0);
}

/* A link that was there before the directory of its pod. */
static void test_link_first(void **state)
{
        struct workloads_fixture *f = *state;
        struct cgroup *container;

        put_log(f, CONTAINERS "cilium-x7k_kube-system_cilium-agent-" ID ".log");
        start(f);
        container = get(f, 4);
        resolve_all(f);
        assert_names(container, NULL, NULL);
        put_directory(f, PODS "kube-system_cilium-x7k_" UID);
        resolve_all(f);
        assert_names(container, "kube-system/cilium-x7k", "cilium-agent");
}

/* The directory is removed and made again, by a reset of the node. */
static void test_directory_again(void **state)
{
        struct workloads_fixture *f = *state;

        put_pod(f);
        start(f);
        nftw(path_of(f->files, PODS), remove_one, 16, FTW_DEPTH | FTW_PHYS);
        resolve_all(f);
        get(f, 3);
        resolve_all(f);
        assert_names(get(f, 3), NULL, NULL);
        put_directory(f, PODS "kube-system_cilium-x7k_" UID);
        resolve_all(f);
        assert_names(get(f, 3), "kube-system/cilium-x7k", NULL);
}

/* Names go with the directory; another pod's may have the same name, and never the same uid. */
static void test_removed(void **state)
{
        struct workloads_fixture *f = *state;
        struct pod_name name;

        put_pod(f);
        start(f);
        assert_true(pod_names_find(&f->workloads.pods, PLACE_PODS, UID, &name));
        assert_int_equal(rmdir(path_of(f->files, PODS "kube-system_cilium-x7k_" UID)), 0);
        assert_int_equal(unlink(path_of(f->files, CONTAINERS "cilium-x7k_kube-system_cilium-agent-" ID ".log")), 0);
        resolve_all(f);
        assert_false(pod_names_find(&f->workloads.pods, PLACE_PODS, UID, &name));
        assert_false(pod_names_find(&f->workloads.pods, PLACE_CONTAINERS, ID, &name));
}

static void test_forgotten(void **state)
{
        struct workloads_fixture *f = *state;

        start(f);
        get(f, 3);
        get(f, 4);
        resolve_all(f);
        assert_non_null(f->workloads.unnamed);
        workloads_forget(&f->workloads, get(f, 4));
        workloads_forget(&f->workloads, get(f, 3));
        assert_null(f->workloads.unnamed);
}

/* Each kind of lie is ignored, and logged once. */
static void test_lies(void **state)
{
        static const char *const names[] = {
                PODS "kube-system_a_b_" UID,
                PODS "kube-system_" UID,
                PODS "Kube_pod_" UID,
                PODS "kube-system_\xff\xfe_" UID,
                PODS "kube-system_pod_" ID ID,
                PODS "__",
                PODS "_",
                PODS "a\nb",
                CONTAINERS "x.log",
                CONTAINERS "pod_ns_" ID ".log",
                CONTAINERS "pod_ns_c-" ID ".txt",
                CONTAINERS "pod_ns_-" ID ".log",
                CONTAINERS "pod_ns-c-" ID ".log",
        };
        struct workloads_fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                put_directory(f, names[i]);
        put_log(f, PODS "kube-system_link_" UID);
        put(f->files, PODS "kube-system_file_" HASH, "");
        put_directory(f, CONTAINERS "cilium-x7k_kube-system_cilium-agent-" ID ".log");
        start(f);
        assert_null(f->workloads.pods.places[PLACE_PODS].entries);
        assert_null(f->workloads.pods.places[PLACE_CONTAINERS].entries);
        assert_int_equal(count_logged("<"), 2);
        put_directory(f, PODS "also_wrong");
        resolve_all(f);
        assert_int_equal(count_logged("<"), 2);
}

static void test_same_uid(void **state)
{
        struct workloads_fixture *f = *state;

        put_pod(f);
        start(f);
        put_directory(f, PODS "default_evil_" UID);
        put_log(f, CONTAINERS "evil_default_cilium-agent-" ID2 ".log");
        resolve_all(f);
        assert_int_equal(count_logged("<"), 1);
        assert_names(get(f, 3), "kube-system/cilium-x7k", NULL);
        get(f, 5);
        resolve_all(f);
        assert_names(get(f, 5), "kube-system/cilium-x7k", NULL); /* the link is another pod's */
        assert_int_equal(rmdir(path_of(f->files, PODS "default_evil_" UID)), 0);
        resolve_all(f);
        assert_names(get(f, 3), "kube-system/cilium-x7k", NULL);
}

/* Whoever is not root has neither directories that are believed, nor cgroups that get a name of root's. */
static void test_owners(void **state)
{
        struct workloads_fixture *f = *state;
        struct workloads_options options = { &f->tree, &f->cgroupfs, f->files->root, true };

        put_pod(f);
        start(f);
        f->workloads.owner = geteuid() + 1;
        assert_names(get(f, 3), NULL, NULL);
        assert_true(get(f, 3)->workload->nested);
        assert_false(workloads_wants_resolve(&f->workloads));
        workloads_deinit(&f->workloads);
        assert_int_equal(pod_names_init(&f->workloads.pods, options.root, geteuid() + 1, true), 0);
        assert_null(f->workloads.pods.places[PLACE_PODS].entries);
        assert_int_equal(count_logged("<"), 1);
        pod_names_deinit(&f->workloads.pods);
}

static void test_docker(void **state)
{
        struct workloads_fixture *f = *state;
        struct cgroup *cgroup;

        put(f->files, DOCKER ID "/config.v2.json", "{\"ID\":\"" ID "\",\"Name\":\"/web_1\",\"Config\":{}}");
        start(f);
        cgroup = get(f, 9);
        assert_true(cgroup->workload->pending);
        resolve_all(f);
        assert_names(cgroup, NULL, "web_1");
        assert_int_equal(count_logged("<"), 0);
}

static void test_podman(void **state)
{
        struct workloads_fixture *f = *state;

        start(f);
        get(f, 10);
        resolve_all(f);
        assert_names(get(f, 10), NULL, NULL);
        put(f->files, PODMAN "containers.json", "[{\"id\":\"" ID2 "\",\"names\":[\"b\"]}, {}, 3, {\"id\":\"x\"}]");
        put(f->files, PODMAN "volatile-containers.json", "[{\"id\":\"" ID "\",\"names\":[\"a\",\"z\"]}]");
        assert_int_equal(workloads_name_all(&f->workloads), 0);
        assert_names(get(f, 10), NULL, "a");
        assert_int_equal(count_logged("<"), 0);
}

/* What is no state file is ignored, and logged once. */
static void test_bad_state_files(void **state)
{
        static const char *const texts[] = { "", "{", "[]", "{\"Name\":3}", "{\"Name\":\"a b\"}", "{\"Name\":\"/\"}",
                "{\"Name\":\"/\xff\"}", "\"x\"" };
        struct workloads_fixture *f = *state;
        const char *file = DOCKER ID "/config.v2.json";

        start(f);
        get(f, 9);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                put(f->files, file, texts[i]);
                assert_int_equal(workloads_name_all(&f->workloads), 0);
                assert_names(get(f, 9), NULL, NULL);
        }
        assert_int_equal(truncate(path_of(f->files, file), DOCKER_FILE_MAX + 1), 0);
        assert_int_equal(workloads_name_all(&f->workloads), 0);
        assert_names(get(f, 9), NULL, NULL);
        assert_int_equal(unlink(path_of(f->files, file)), 0);
        put(f->files, DOCKER "target", "{\"Name\":\"/linked\"}");
        put_link(f->files, file, "../target");
        assert_int_equal(workloads_name_all(&f->workloads), 0);
        assert_names(get(f, 9), NULL, NULL);
        assert_int_equal(unlink(path_of(f->files, file)), 0);
        assert_int_equal(mkfifo(path_of(f->files, file), 0600), 0);
        assert_int_equal(workloads_name_all(&f->workloads), 0);
        assert_names(get(f, 9), NULL, NULL);
        assert_int_equal(count_logged("<"), 1);
}

/* The directory of a node that lies, or of one that nobody cleans up. */
static void test_many(void **state)
{
        struct workloads_fixture *f = *state;
        char name[128];

        path_of(f->files, PODS "x");
        for (unsigned int i = 0; i < 10000; i++) {
                snprintf(name, sizeof(name), PODS "default_pod-%u_%032x", i, i);
                put_directory(f, name);
        }
        put_directory(f, PODS "kube-system_cilium-x7k_" UID);
        start(f);
        assert_names(get(f, 3), "kube-system/cilium-x7k", NULL);
        assert_int_equal(count_logged("<"), 0);
}

#define TEST_WORKLOADS(function) cmocka_unit_test_setup_teardown(function, setup_workloads, teardown_workloads)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST_WORKLOADS(test_known_before),
                TEST_WORKLOADS(test_known_later),
                TEST_WORKLOADS(test_link_first),
                TEST_WORKLOADS(test_directory_again),
                TEST_WORKLOADS(test_removed),
                TEST_WORKLOADS(test_forgotten),
                TEST_WORKLOADS(test_lies),
                TEST_WORKLOADS(test_same_uid),
                TEST_WORKLOADS(test_owners),
                TEST_WORKLOADS(test_docker),
                TEST_WORKLOADS(test_podman),
                TEST_WORKLOADS(test_bad_state_files),
                TEST_WORKLOADS(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
