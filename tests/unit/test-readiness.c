/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said of hosts that have this and lack that, and what is to be done there: daemon/enforce/readiness.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <linux/capability.h>

#include "enforce/readiness.h"

#define REFUSED_REMEDY "grep Seccomp: /proc/self/status; cat /sys/kernel/security/lsm; dmesg"
#define TRAMPOLINES    "CONFIG_BPF_JIT=y CONFIG_FUNCTION_TRACER=y CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y"

static struct host host;
static struct capability capabilities[CAPABILITIES];
static struct readiness_facts facts;
static struct readiness readiness;

/* --- Hosts -------------------------------------------------------------------------------------------------------- */

/* Has everything: Debian 13. */
static int setup(void **state)
{
        (void) state;
        host = (struct host){
                .release = "6.12.57+deb13-amd64",
                .machine = "x86_64",
                .version = HOST_VERSION(6, 12),
                .root = true,
                .capabilities = ~0ULL,
                .securityfs = true,
                .lsms = "lockdown,capability,landlock,yama,apparmor,bpf",
                .lsm_hooks = true,
                .bpffs = true,
                .cgroup_version = 2,
                .cgroup_handles = true,
                .own_cgroup = true,
        };
        for (size_t i = 0; i < CAPABILITIES; i++)
                capabilities[i] = (struct capability){ .name = "name", .purpose = "purpose", .available = true };
        facts = (struct readiness_facts){ .host = &host, .capabilities = capabilities };
        return 0;
}

/* As probe() does where nothing can be loaded. */
static void lose_hooks(const char *reason)
{
        for (size_t i = 0; i < HOOKS + GATE_HOOKS; i++)
                capability_lost(&capabilities[i], "%s", reason);
}

static void lose_trampolines(void)
{
        for (size_t i = 0; i < HOOKS; i++)
                if (hooks[i].kind == HOOK_FUNCTION)
                        capability_lost(&capabilities[i], "no trampolines");
        for (size_t i = 0; i < GATE_HOOKS; i++)
                capability_lost(&capabilities[CAPABILITY_GATE + i], "no trampolines");
}

static void not_root(void)
{
        host.root = false;
        host.capabilities = 0;
        host.cgroup_handles = false;
        host.freeze_error = -EACCES;
        lose_hooks("no permission");
}

static void user_namespace(void)
{
        host.user_namespace = true;
        host.bpf_error = -EPERM;
        host.cgroup_handles = false;
        lose_hooks("no permission");
}

static void no_cap_bpf(void)
{
        host.capabilities &= ~(1ULL << CAP_BPF | 1ULL << CAP_SYS_ADMIN);
        host.bpf_error = -EPERM;
        lose_hooks("no permission");
}

static void no_cap_perfmon(void)
{
        host.capabilities &= ~(1ULL << CAP_PERFMON | 1ULL << CAP_SYS_ADMIN);
        host.bpf_error = -EPERM;
        lose_hooks("no permission");
}

static void neither(void)
{
        no_cap_bpf();
        no_cap_perfmon();
}

/* Before Linux 5.8 there are no others, and later it implies them. */
static void cap_sys_admin(void)
{
        host.capabilities &= ~(1ULL << CAP_BPF | 1ULL << CAP_PERFMON);
}

static void no_cap_sys_admin(void)
{
        host.capabilities &= ~(1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SYS_RESOURCE);
}

static void bpf_refused(void)
{
        host.bpf_error = -EPERM;
        lose_hooks("no permission");
}

static void seccomp(void)
{
        host.seccomp = true;
        bpf_refused();
}

static void harmless_seccomp(void)
{
        host.seccomp = true;
}

static void no_bpf(void)
{
        host.bpf_error = -ENOSYS;
        lose_hooks("Function not implemented");
}

static void lockdown(void)
{
        host.confidentiality = true;
        lose_hooks("lockdown");
}

static void too_old(void)
{
        strcpy(host.release, "4.19.0-27-amd64");
        host.version = HOST_VERSION(4, 19);
        host.bpf_error = -EINVAL;
        capability_lost(&capabilities[CAPABILITY_BTF], "no BTF");
        lose_hooks("no kernel BTF");
}

static void rather_old(void)
{
        strcpy(host.release, "5.15.0-1");
        host.version = HOST_VERSION(5, 15);
}

static void no_btf(void)
{
        capability_lost(&capabilities[CAPABILITY_BTF], "no BTF");
        lose_hooks("no kernel BTF");
}

static void no_iterators(void)
{
        lose_hooks("this kernel does not have it");
}

static void memory_disabled(void)
{
        host.memory_disabled = true;
        host.cgroup_version = 0;
        host.cgroup_handles = false;
        host.own_cgroup = false;
        host.freeze_error = -ENOENT;
}

static void not_mounted(void)
{
        memory_disabled();
        host.memory_disabled = false;
}

static void not_mounted_v1(void)
{
        not_mounted();
        host.memory_on_v1 = true;
}

static void no_dac_read_search(void)
{
        host.capabilities &= ~(1ULL << CAP_DAC_READ_SEARCH);
        host.cgroup_handles = false;
}

static void handles_filtered(void)
{
        host.cgroup_handles = false;
}

static void cgroup_namespace(void)
{
        host.cgroup_namespace = true;
        host.cgroup_part = true;
}

/* The host's hierarchy is mounted beside it. */
static void whole_in_namespace(void)
{
        host.cgroup_namespace = true;
}

static void subtree(void)
{
        host.cgroup_part = true;
}

static void pid_namespace(void)
{
        host.pid_namespace = true;
}

static void nobpf(void)
{
        host.nobpf = true;
}

static void no_programs(void)
{
        capability_lost(&capabilities[HOOK_PROGRAMS], "why");
}

static void no_tasks(void)
{
        capability_lost(&capabilities[HOOK_TASKS], "why");
}

static void no_files(void)
{
        capability_lost(&capabilities[HOOK_FILES], "why");
}

static void no_uses(void)
{
        capability_lost(&capabilities[HOOK_USES], "why");
}

static void no_ptrace(void)
{
        host.capabilities &= ~(1ULL << CAP_SYS_PTRACE);
}

/* One way to learn of growth is enough. */
static void no_memcg_state(void)
{
        capability_lost(&capabilities[HOOK_MOD_MEMCG_STATE], "this kernel does not have it");
}

static void polled(void)
{
        no_memcg_state();
        capability_lost(&capabilities[HOOK_MEM_REFILL], "this kernel does not have it");
}

static void no_trampolines(void)
{
        lose_trampolines();
}

/* They are there, but not for this process. */
static void refused_trampolines(void)
{
        lose_trampolines();
        no_memcg_state();
        capabilities[CAPABILITY_GATE + GATE_HOOK_MAP].refused = true;
        capabilities[HOOK_MEM_REFILL].refused = true;
}

static void refused_trampolines_arm64(void)
{
        refused_trampolines();
        strcpy(host.machine, "aarch64");
        host.version = HOST_VERSION(6, 1);
}

static void no_trampolines_polled(void)
{
        lose_trampolines();
        no_memcg_state();
}

static void arm64_61(void)
{
        no_trampolines_polled();
        strcpy(host.machine, "aarch64");
        strcpy(host.release, "6.1.0-41-arm64");
        host.version = HOST_VERSION(6, 1);
}

static void arm64_612(void)
{
        strcpy(host.machine, "aarch64");
        lose_trampolines();
}

static void version_1(void)
{
        host.cgroup_version = 1;
        host.freeze_error = -EOPNOTSUPP;
}

static void read_only(void)
{
        host.freeze_error = -EROFS;
        capability_lost(&capabilities[CAPABILITY_FREEZE], "read-only");
}

static void no_freezer(void)
{
        host.freeze_error = -EACCES;
        capability_lost(&capabilities[CAPABILITY_FREEZE], "cgroup.freeze cannot be written: Permission denied");
}

static void no_own_cgroup(void)
{
        host.own_cgroup = false;
}

static void no_dac_override(void)
{
        host.capabilities &= ~(1ULL << CAP_DAC_OVERRIDE);
}

static void throttle_obstacle(void)
{
        facts.throttle_obstacle = "with --config nothing is kept";
}

static void refusal_obstacle(void)
{
        facts.refusal_obstacle = "the gate cannot be loaded";
}

static void no_gate_free(void)
{
        capability_lost(&capabilities[CAPABILITY_GATE + GATE_HOOK_MAP_FREE], "nothing tells of freed maps");
}

static void no_gate_update(void)
{
        capability_lost(&capabilities[CAPABILITY_GATE + GATE_HOOK_UPDATE], "why");
}

static void no_gate_mkdir(void)
{
        capability_lost(&capabilities[CAPABILITY_GATE + GATE_HOOK_MKDIR], "why");
}

/* Before 6.9 there are no arenas. */
static void no_gate_pages(void)
{
        capability_lost(&capabilities[CAPABILITY_GATE + GATE_HOOK_PAGES], "why");
}

/* Without kernel preemption fmod_ret does as well. */
static void no_lsm_voluntary(void)
{
        strcpy(host.lsms, "lockdown,capability,yama,apparmor");
}

static void no_lsm(void)
{
        no_lsm_voluntary();
        host.preemptible = host.entry_probes = true;
}

/* One whose name only contains it. */
static void nearly_lsm(void)
{
        no_lsm();
        strcpy(host.lsms, "xbpf,bpfx,bpf-x");
}

static void no_lsm_fprobe(void)
{
        no_lsm();
        host.entry_probes = false;
}

static void no_lsm_hooks(void)
{
        no_lsm();
        host.lsm_hooks = false;
}

static void no_securityfs(void)
{
        no_lsm();
        host.securityfs = false;
        *host.lsms = '\0';
}

static void lsm_61(void)
{
        host.version = HOST_VERSION(6, 1);
        host.preemptible = true;
}

static void no_bpffs(void)
{
        host.bpffs = false;
}

static void read_only_bpffs(void)
{
        host.bpffs_read_only = true;
}

/* A pod: of its own namespaces, and without the capabilities of the service. */
static void container(void)
{
        pid_namespace();
        cgroup_namespace();
        no_dac_override();
        no_ptrace();
        no_bpffs();
}

static void much_at_once(void)
{
        no_lsm();
        version_1();
        no_bpffs();
        nobpf();
}

/* --- The table ---------------------------------------------------------------------------------------------------- */

#define CONTAINER_LINE "--cgroupns=host --volume=/sys/fs/cgroup:/sys/fs/cgroup"

/* Levels of accounting, alerts, throttle, refusal by their first letters; findings as "NAME=REMEDY", one a line. */
static const struct {
        const char *what;
        void (*make)(void);
        const char *levels, *findings;
} table[] = {
        { "everything", NULL, "ffff", "" },
        { "not root", not_root, "nnnn", "not-root=sudo bpfbudgetctl doctor\n" },
        { "user namespace", user_namespace, "nnnn", "user-namespace=--userns=host\n" },
        { "CAP_BPF", no_cap_bpf, "nnnn", "no-cap-bpf=CapabilityBoundingSet=CAP_BPF\n" },
        { "CAP_PERFMON", no_cap_perfmon, "nnnn", "no-cap-perfmon=CapabilityBoundingSet=CAP_PERFMON\n" },
        { "CAP_BPF and CAP_PERFMON", neither, "nnnn",
                        "no-cap-bpf=CapabilityBoundingSet=CAP_BPF\nno-cap-perfmon=CapabilityBoundingSet=CAP_"
                        "PERFMON\n" },
        { "CAP_SYS_ADMIN instead", cap_sys_admin, "ffff", "" },
        { "what the service lacks", no_cap_sys_admin, "ffff", "" },
        { "seccomp", seccomp, "nnnn", "seccomp=--security-opt=seccomp=unconfined\n" },
        { "seccomp that lets bpf by", harmless_seccomp, "ffff", "" },
        { "bpf refused", bpf_refused, "nnnn", "bpf-refused=journalctl -k -g 'denied|lockdown'\n" },
        { "no bpf", no_bpf, "nnnn", "no-bpf=CONFIG_BPF_SYSCALL=y\n" },
        { "lockdown", lockdown, "nnnn", "lockdown=lockdown=integrity\n" },
        { "4.19", too_old, "nnnn", "kernel-too-old=Linux 6.1 or newer\n" },
        { "5.15", rather_old, "pppp", "kernel-old=Linux 6.1 or newer\n" },
        { "no BTF", no_btf, "nnnn", "no-btf=CONFIG_DEBUG_INFO_BTF=y\n" },
        { "no iterators", no_iterators, "nnnn",
                        "no-iterator=CONFIG_BPF_SYSCALL=y CONFIG_BPF_EVENTS=y CONFIG_DEBUG_INFO_BTF=y\n" },
        { "memory disabled", memory_disabled, "pnnn", "memory-disabled=cgroup_enable=memory\n" },
        { "not mounted", not_mounted, "pnnn", "no-cgroup-mount=mount -t cgroup2 cgroup2 /sys/fs/cgroup\n" },
        { "not mounted, v1", not_mounted_v1, "pnnn",
                        "no-cgroup-mount=mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory\n" },
        { "CAP_DAC_READ_SEARCH", no_dac_read_search, "pnnn",
                        "no-cap-dac-read-search=CapabilityBoundingSet=CAP_DAC_READ_SEARCH\n" },
        { "handles filtered", handles_filtered, "pnnn", "no-cgroup-handles=--security-opt=seccomp=unconfined\n" },
        { "cgroup namespace", cgroup_namespace, "pppp", "cgroup-namespace=" CONTAINER_LINE "\n" },
        { "cgroup namespace with all", whole_in_namespace, "ffff", "" },
        { "subtree", subtree, "pppp", "cgroup-subtree=--volume=/sys/fs/cgroup:/sys/fs/cgroup\n" },
        { "PID namespace", pid_namespace, "ppff", "pid-namespace=--pid=host\n" },
        { "nobpf", nobpf, "pfff", "nobpf=cgroup.memory=nobpf\n" },
        { "programs", no_programs, "pppp", "no-programs=Linux 6.1 or newer\n" },
        { "RSS", no_tasks, "ppff", "no-rss=Linux 6.1 or newer\n" },
        { "holders", no_files, "pfff", "no-relations=Linux 6.1 or newer\n" },
        { "uses", no_uses, "pfff", "no-relations=Linux 6.1 or newer\n" },
        { "CAP_SYS_PTRACE", no_ptrace, "pfff", "no-cap-sys-ptrace=CapabilityBoundingSet=CAP_SYS_PTRACE\n" },
        { "growth by functions", no_memcg_state, "ffff", "" },
        { "polled", polled, "fppf", "polled=" TRAMPOLINES "\n" },
        { "no trampolines", no_trampolines, "fffn", "no-trampolines=" TRAMPOLINES " CONFIG_SECURITY=y\n" },
        { "no trampolines before 6.15", no_trampolines_polled, "fppn",
                        "polled=" TRAMPOLINES "\nno-trampolines=" TRAMPOLINES " CONFIG_SECURITY=y\n" },
        { "trampolines refused", refused_trampolines, "fppn",
                        "polled-by-refusal=" REFUSED_REMEDY "\ntrampolines-refused=" REFUSED_REMEDY "\n" },
        { "trampolines refused on arm64", refused_trampolines_arm64, "fppn",
                        "polled-by-refusal=" REFUSED_REMEDY "\ntrampolines-refused=" REFUSED_REMEDY "\n" },
        { "arm64 6.1", arm64_61, "fppn", "polled=" TRAMPOLINES "\nno-trampolines-arm64=Linux 6.4 or newer\n" },
        { "arm64 6.12", arm64_612, "fffn", "no-trampolines=" TRAMPOLINES " CONFIG_SECURITY=y\n" },
        { "cgroup v1", version_1, "ffnf", "cgroup-v1=systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all\n" },
        { "read-only cgroups", read_only, "ffnf", "cgroup-read-only=mount -o remount,rw /sys/fs/cgroup\n" },
        { "no freezer", no_freezer, "ffnf", "no-freezer=CapabilityBoundingSet=CAP_DAC_OVERRIDE\n" },
        { "own cgroup", no_own_cgroup, "ffnf", "own-cgroup=" CONTAINER_LINE "\n" },
        { "CAP_DAC_OVERRIDE", no_dac_override, "ffpf", "no-cap-dac-override=CapabilityBoundingSet=CAP_DAC_OVERRIDE\n" },
        { "daemon does not throttle", throttle_obstacle, "ffnf", "throttle-obstacle=\n" },
        { "gate without freed maps", no_gate_free, "fffn", "no-trampolines=" TRAMPOLINES " CONFIG_SECURITY=y\n" },
        { "gate without updates", no_gate_update, "fffp", "gate-incomplete=bpfbudgetd --capabilities --json=pretty\n" },
        { "gate without new cgroups", no_gate_mkdir, "fffp",
                        "gate-incomplete=bpfbudgetd --capabilities --json=pretty\n" },
        { "gate without arenas", no_gate_pages, "ffff", "" },
        { "no LSM, voluntary", no_lsm_voluntary, "ffff", "" },
        { "no LSM", no_lsm, "fffp", "no-lsm=lsm=lockdown,capability,yama,apparmor,bpf\n" },
        { "nearly an LSM", nearly_lsm, "fffp", "no-lsm=lsm=xbpf,bpfx,bpf-x,bpf\n" },
        { "no LSM, no fprobe", no_lsm_fprobe, "fffp",
                        "no-lsm=lsm=lockdown,capability,yama,apparmor,bpf\nno-fprobe=CONFIG_FPROBE=y\n" },
        { "no LSM hooks", no_lsm_hooks, "fffp", "no-lsm-hooks=CONFIG_BPF_LSM=y\n" },
        { "no securityfs", no_securityfs, "fffp",
                        "no-securityfs=mount -t securityfs securityfs /sys/kernel/security\n" },
        { "LSM before 6.2", lsm_61, "fffp", "lsm-preempted=preempt=voluntary\n" },
        { "no bpffs", no_bpffs, "fffp", "no-bpffs=mount -t bpf bpf /sys/fs/bpf\n" },
        { "read-only bpffs", read_only_bpffs, "fffp", "bpffs-read-only=mount -o remount,rw /sys/fs/bpf\n" },
        { "daemon does not refuse", refusal_obstacle, "fffn", "refusal-obstacle=\n" },
        { "container", container, "pppp",
                        "cgroup-namespace=" CONTAINER_LINE "\npid-namespace=--pid=host\n"
                        "no-cap-sys-ptrace=CapabilityBoundingSet=CAP_SYS_PTRACE\n"
                        "no-cap-dac-override=CapabilityBoundingSet=CAP_DAC_OVERRIDE\n"
                        "no-bpffs=mount -t bpf bpf /sys/fs/bpf\n" },
        { "much at once", much_at_once, "pfnp",
                        "nobpf=cgroup.memory=nobpf\ncgroup-v1=systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all\n"
                        "no-lsm=lsm=lockdown,capability,yama,apparmor,bpf\nno-bpffs=mount -t bpf bpf /sys/fs/bpf\n" },
};

#define ROWS (sizeof(table) / sizeof(table[0]))

static void write_levels(char text[static FACILITIES + 1])
{
        for (size_t i = 0; i < FACILITIES; i++)
                text[i] = *readiness_level_names[readiness.levels[i]];
        text[FACILITIES] = '\0';
}

static void write_findings(char *text, size_t size)
{
        *text = '\0';
        for (size_t i = 0; i < readiness.count; i++)
                snprintf(text + strlen(text), size - strlen(text), "%s=%s\n", readiness.findings[i].name,
                                readiness.findings[i].remedy);
}

static void test_table(void **state)
{
        char levels[FACILITIES + 1], findings[2048];

        for (size_t i = 0; i < ROWS; i++) {
                setup(state);
                if (table[i].make)
                        table[i].make();
                readiness_judge(&facts, &readiness);
                write_levels(levels);
                write_findings(findings, sizeof(findings));
                if (strcmp(levels, table[i].levels) != 0 || strcmp(findings, table[i].findings) != 0)
                        fail_msg("%s: %s\n%s", table[i].what, levels, findings);
        }
}

/* The whole is as the worst of all, and nothing is taken away that nobody answers for. */
static void test_levels_add_up(void **state)
{
        for (size_t row = 0; row < ROWS; row++) {
                enum readiness_level worst = READINESS_FULL;

                setup(state);
                if (table[row].make)
                        table[row].make();
                readiness_judge(&facts, &readiness);
                for (size_t i = 0; i < FACILITIES; i++) {
                        enum readiness_level found = READINESS_FULL;

                        for (size_t k = 0; k < readiness.count; k++)
                                if (readiness.findings[k].levels[i] > found)
                                        found = readiness.findings[k].levels[i];
                        assert_int_equal(found, readiness.levels[i]);
                        if (found > worst)
                                worst = found;
                }
                assert_int_equal(readiness.level, worst);
        }
}

/* Reasons are sentences, and remedies say what to do with them; what was filled in fits. */
static void test_texts(void **state)
{
        for (size_t row = 0; row < ROWS; row++) {
                setup(state);
                if (table[row].make)
                        table[row].make();
                readiness_judge(&facts, &readiness);
                for (size_t i = 0; i < readiness.count; i++) {
                        const struct finding *finding = &readiness.findings[i];
                        size_t length = strlen(finding->reason);

                        assert_true(length > 0 && length < sizeof(finding->reason) - 1);
                        assert_int_equal(finding->reason[length - 1], '.');
                        assert_null(strstr(finding->reason, "%s"));
                        assert_null(strstr(finding->remedy, "%s"));
                        assert_int_equal(*finding->action == '\0', *finding->remedy == '\0');
                        assert_true(strlen(finding->action) < sizeof(finding->action) - 1);
                        assert_true(strlen(finding->remedy) < sizeof(finding->remedy) - 1);
                }
        }
}

/* What the kernel, or the daemon, said is in the reason. */
static void test_reasons(void **state)
{
        setup(state);
        no_gate_free();
        throttle_obstacle();
        readiness_judge(&facts, &readiness);
        assert_int_equal(readiness.count, 2);
        assert_string_equal(
                        readiness.findings[0].reason, "The daemon does not throttle: with --config nothing is kept.");
        assert_string_equal(readiness.findings[1].reason, "Maps cannot be refused: nothing tells of freed maps.");
        setup(state);
        too_old();
        readiness_judge(&facts, &readiness);
        assert_non_null(strstr(readiness.findings[0].reason, "Linux 4.19.0-27-amd64 is too old"));
}

/* The longest list that is read is repeated whole. */
static void test_long_list(void **state)
{
        char expected[sizeof(host.lsms) + 16];

        setup(state);
        no_lsm();
        memset(host.lsms, 'x', sizeof(host.lsms) - 1);
        readiness_judge(&facts, &readiness);
        snprintf(expected, sizeof(expected), "lsm=%s,bpf", host.lsms);
        assert_string_equal(readiness.findings[0].remedy, expected);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_levels_add_up),
                cmocka_unit_test(test_texts),
                cmocka_unit_test(test_reasons),
                cmocka_unit_test(test_long_list),
        };

        return cmocka_run_group_tests_name("readiness", tests, NULL, NULL);
}
