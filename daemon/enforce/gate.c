/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "enforce/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "bpf/gate.skel.h"
#include "enforce/gatepins.h"
#include "enforce/pathhash.h"
#include "kernel/coretypes.h"
#include "kernel/owner.h"
#include "kernel/skeleton.h"
#include "kernel/verifierlog.h"

/* The tables that are pinned, by their names in gatebooks.h, which are those of their pins. */
static const char *const tables[] = { "gate_domains", "gate_objects", "gate_settings", "gate_events", "gate_left" };

/* The gate's programs, by GATE_HOOK_*; their names are those of their links' pins. */
static const struct {
        const char *name;
} programs[GATE_HOOKS] = {
        [GATE_HOOK_MAP] = { "gate_map" },
        [GATE_HOOK_PROGRAM] = { "gate_program" },
        [GATE_HOOK_PROGRAM_LOADED] = { "gate_program_loaded" },
        [GATE_HOOK_UPDATE] = { "gate_update" },
        [GATE_HOOK_BATCH] = { "gate_batch" },
        [GATE_HOOK_PAGES] = { "gate_pages" },
        [GATE_HOOK_MAP_FREE] = { "gate_map_free" },
        [GATE_HOOK_PROGRAM_FREE] = { "gate_program_free" },
        [GATE_HOOK_MAP_DENIED] = { "gate_map_denied" },
        [GATE_HOOK_PROGRAM_DENIED] = { "gate_program_denied" },
        [GATE_HOOK_MKDIR] = { "gate_mkdir" },
        [GATE_HOOK_RMDIR] = { "gate_rmdir" },
};

/*
 * The fallback programs (bpf/gatefallback.h), where refusing requires fmod_ret, which a preemptible kernel skips at
 * times: at the function's entry a probe decides, which cannot be preempted, and others refuse what it decided on.
 * Other kernels do without them: they double what the gate costs.
 */
static const struct {
        const char *name;
        size_t hook;        /* whose decision it is */
        const char *target; /* NULL: that of the hook */
        bool probe;
} fallbacks[] = {
        { "gate_map_entered", GATE_HOOK_MAP, NULL, true },
        { "gate_program_entered", GATE_HOOK_PROGRAM, NULL, true },
        { "gate_update_entered", GATE_HOOK_UPDATE, NULL, true },
        { "gate_map_freed", GATE_HOOK_MAP_FREE, NULL, true },
        { "gate_program_freed", GATE_HOOK_PROGRAM_FREE, NULL, true },
        { "gate_map_again1", GATE_HOOK_MAP, NULL, false },
        { "gate_map_again2", GATE_HOOK_MAP, NULL, false },
        { "gate_map_again3", GATE_HOOK_MAP, NULL, false },
        { "gate_map_again4", GATE_HOOK_MAP, NULL, false },
        { "gate_program_again", GATE_HOOK_PROGRAM, NULL, false },
        { "gate_update_again1", GATE_HOOK_UPDATE, NULL, false },
        { "gate_update_again2", GATE_HOOK_UPDATE, NULL, false },
        { "gate_map_given", GATE_HOOK_MAP, "security_bpf_map", false },
        { "gate_program_given", GATE_HOOK_PROGRAM, "security_bpf_prog", false },
};
#define FALLBACKS (sizeof(fallbacks) / sizeof(fallbacks[0]))

struct gate {
        struct gate_options options;
        struct gate_bpf *skeleton;
        struct bpf_link *links[GATE_HOOKS];
        struct bpf_link *fallback_links[FALLBACKS];
        bool probed;  /* the fallback programs are there */
        bool started; /* the pinned settings, if any, are this one's: taken over, or pinned since */
        struct ring_buffer *ring;
        struct gate_settings *settings;    /* mapped */
        struct skeleton_array settlements; /* struct gate_settlement */
        struct automaton_entry *automata;  /* mapped, both halves */
        struct gate_limits *limits;        /* mapped, likewise */

        /* While gate_take_events() runs. */
        gate_event_t callback;
        void *context;
};

/* --- Tables of a predecessor -------------------------------------------------------------------------------------- */

static bool same_layout(int settings_fd)
{
        struct gate_settings settings = {};
        uint32_t key = 0;

        return bpf_map_lookup_elem(settings_fd, &key, &settings) == 0 && settings.layout == GATE_LAYOUT;
}

/*
 * Takes a predecessor's tables over: all of them or none. Returns whether there were any that are usable; others are
 * told of, and replaced later.
 */
static bool take_over(struct gate *gate)
{
        enum { COUNT = sizeof(tables) / sizeof(tables[0]) };
        struct bpf_map *maps[COUNT];
        int fds[COUNT], error = 0;
        size_t opened = 0;

        if (access(GATE_DIRECTORY, F_OK) < 0)
                return false;
        if (!is_roots(GATE_DIRECTORY))
                error = -EUCLEAN;
        for (; error == 0 && opened < COUNT; opened++) {
                maps[opened] = bpf_object__find_map_by_name(gate->skeleton->obj, tables[opened]);
                fds[opened] = gate_pin_open_table(maps[opened]);
                if (fds[opened] < 0) {
                        error = fds[opened];
                        break;
                }
                if (strcmp(tables[opened], "gate_settings") == 0 && !same_layout(fds[opened]))
                        error = -EUCLEAN;
        }
        for (size_t i = 0; i < opened; i++) {
                if (error == 0 && bpf_map__reuse_fd(maps[i], fds[i]) < 0)
                        error = -errno;
                close(fds[i]);
        }
        if (error == 0)
                return true;
        log_warning("%s holds tables that this version cannot take over (%s): they are built anew from a snapshot",
                        GATE_DIRECTORY,
                        error == -EUCLEAN ? "another layout, or not root's"
                        : error == -E2BIG ? "too small"
                                          : strerror(-error));
        return false;
}

/* --- Start and end ------------------------------------------------------------------------------------------------ */

static struct bpf_program *program_of(const struct gate *gate, size_t i)
{
        return bpf_object__find_program_by_name(gate->skeleton->obj, programs[i].name);
}

/* Tells the program of hook @i what it is attached to on this kernel. */
static int set_target(struct gate *gate, size_t i)
{
        const struct gate_target *target = &gate->options.machine->gate[i];
        struct bpf_program *program = program_of(gate, i);
        int r = 0;

        if (!target->target) {
                bpf_program__set_autoload(program, false);
                return 0;
        }
        if (target->kind == HOOK_LSM) {
                r = bpf_program__set_type(program, BPF_PROG_TYPE_LSM);
                if (r == 0)
                        r = bpf_program__set_expected_attach_type(program, BPF_LSM_MAC);
        }
        if (r == 0 && target->kind != HOOK_TRACEPOINT)
                r = bpf_program__set_attach_target(program, 0, target->target);
        return r;
}

static struct bpf_program *fallback_of(const struct gate *gate, size_t i)
{
        return bpf_object__find_program_by_name(gate->skeleton->obj, fallbacks[i].name);
}

/* What fallbacks[@i] is attached to; NULL: this kernel does not have it. */
static const char *fallback_target(const struct gate *gate, size_t i)
{
        const char *hook = gate->options.machine->gate[fallbacks[i].hook].target;

        return hook ? fallbacks[i].target ?: hook : NULL;
}

static int set_fallbacks(struct gate *gate)
{
        const struct gate_target *map = &gate->options.machine->gate[GATE_HOOK_MAP];
        int r = 0;

        gate->probed = map->kind == HOOK_REFUSAL && map->target && probe_entry(map->target) && probe_preemption();
        gate->skeleton->rodata->probed = gate->probed;
        for (size_t i = 0; r == 0 && i < FALLBACKS; i++) {
                const char *target = fallback_target(gate, i);

                if (!gate->probed || !target)
                        bpf_program__set_autoload(fallback_of(gate, i), false);
                else if (!fallbacks[i].probe)
                        r = bpf_program__set_attach_target(fallback_of(gate, i), 0, target);
        }
        return r;
}

/* Of this start of the gate, unlike any before it whose programs are still there. */
static uint64_t new_instance(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int open_skeleton(struct gate *gate, const char *types_path)
{
        LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = types_path);
        const struct machine *machine = gate->options.machine;
        int r = 0;

        gate->skeleton = gate_bpf__open_opts(&opts);
        skeleton_free_unpacked();
        if (!gate->skeleton)
                return -errno;
        gate->skeleton->rodata->machine = machine->settings;
        gate->skeleton->rodata->program_by_aux = machine->program_by_aux;
        gate->skeleton->rodata->pages_argument = machine->pages_argument;
        gate->skeleton->rodata->instance = new_instance();
        bpf_map__set_max_entries(gate->skeleton->maps.gate_domains, gate->options.domains_max);
        bpf_map__set_max_entries(gate->skeleton->maps.gate_left, gate->options.domains_max);
        bpf_map__set_max_entries(gate->skeleton->maps.gate_objects, gate->options.objects_max);
        gate->skeleton->rodata->objects_max = gate->options.objects_max;
        bpf_map__set_max_entries(gate->skeleton->maps.gate_automaton, 2 * gate->options.automaton_max);
        bpf_map__set_max_entries(gate->skeleton->maps.gate_limits, 2 * gate->options.budgets_max);
        gate->skeleton->rodata->automaton_half = gate->options.automaton_max;
        gate->skeleton->rodata->limits_half = gate->options.budgets_max;
        for (size_t i = 0; r == 0 && i < GATE_HOOKS; i++)
                r = set_target(gate, i);
        return r < 0 ? r : set_fallbacks(gate);
}

static int handle_event(void *context, void *data, size_t size)
{
        struct gate *gate = context;

        if (size >= sizeof(struct gate_event))
                gate->callback(gate->context, data);
        return 0;
}

static int open_tables(struct gate *gate)
{
        struct gate_introduction introduction = { .map_fd = bpf_map__fd(gate->skeleton->maps.gate_settings) };
        int r;

        r = skeleton_map_values(gate->skeleton->maps.gate_settings, (void **) &gate->settings);
        if (r == 0)
                r = skeleton_array_init(&gate->settlements, gate->skeleton->maps.settlements,
                                gate->skeleton->progs.settle_objects);
        if (r == 0)
                r = skeleton_map_values(gate->skeleton->maps.gate_automaton, (void **) &gate->automata);
        if (r == 0)
                r = skeleton_map_values(gate->skeleton->maps.gate_limits, (void **) &gate->limits);
        if (r == 0 && gate->options.fresh && gate->options.previous)
                memcpy(gate->settings->path_seed, gate->options.previous->settings->path_seed,
                                sizeof(gate->settings->path_seed));
        if (r == 0 && !gate->settings->path_seed[0] &&
                        getrandom(gate->settings->path_seed, sizeof(gate->settings->path_seed), 0) < 0)
                r = -errno;
        if (r < 0)
                return r;
        gate->settings->layout = GATE_LAYOUT;
        gate->settings->own_cgroup = gate->options.own_cgroup;
        r = skeleton_run(gate->skeleton->progs.introduce_gate, &introduction, sizeof(introduction));
        if (r < 0)
                return r;
        /* A number that another process may have after us; the cgroup tells as much. */
        if (gate->options.own_cgroup)
                gate->settings->daemon_tgid = 0;
        gate->ring = ring_buffer__new(bpf_map__fd(gate->skeleton->maps.gate_events), handle_event, gate, NULL);
        return gate->ring ? 0 : -errno;
}

static int attach_hook(struct gate *gate, size_t i)
{
        const struct gate_target *target = &gate->options.machine->gate[i];
        int r;

        if (!target->target)
                return 0;
        /* A program whose type was changed has lost what its section says about attaching. */
        gate->links[i] = target->kind == HOOK_LSM ? bpf_program__attach_lsm(program_of(gate, i))
                                                  : bpf_program__attach(program_of(gate, i));
        if (gate->links[i])
                return 0;
        r = -errno;
        log_error("%s cannot be attached to %s: %s", programs[i].name, target->target, kernel_error(-r));
        return r;
}

/* Without one of them, the gate is less exact on a preemptible kernel. */
static void attach_fallback(struct gate *gate, size_t i)
{
        const char *target = fallback_target(gate, i);
        LIBBPF_OPTS(bpf_kprobe_multi_opts, opts, .syms = &target, .cnt = 1);

        if (!gate->probed || !target)
                return;
        gate->fallback_links[i] = fallbacks[i].probe ? bpf_program__attach_kprobe_multi_opts(
                                                                       fallback_of(gate, i), NULL, &opts)
                                                     : bpf_program__attach(fallback_of(gate, i));
        if (!gate->fallback_links[i])
                log_warning("%s cannot be attached to %s: %s", fallbacks[i].name, target, kernel_error(errno));
}

static int attach(struct gate *gate)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < GATE_HOOKS; i++)
                r = attach_hook(gate, i);
        for (size_t i = 0; r == 0 && i < FALLBACKS; i++)
                attach_fallback(gate, i);
        return r;
}

/* Loads the programs, and logs which one the verifier refuses and why. */
static int load_programs(struct gate *gate)
{
        _cleanup_(verifier_log_deinit) struct verifier_log log = {};
        char reason[VERIFIER_REASON_MAX];
        const struct bpf_program *program;
        int r = verifier_log_init(&log, gate->skeleton->obj);

        if (r == 0)
                r = gate_bpf__load(gate->skeleton);
        /* As in kernel.c. */
        if (r == 0 && !gate->skeleton->bss)
                r = -ENOMEM;
        program = r < 0 ? verifier_log_refused(&log, reason) : NULL;
        if (program)
                log_error("The kernel refuses the gate's program %s: %s", bpf_program__name(program), reason);
        return r;
}

/* Loads the programs, with the tables of a predecessor if it left some. */
static int load(struct gate *gate)
{
        _cleanup_(cleanup_btf) struct btf *btf = btf__load_vmlinux_btf();
        char path[CORE_TYPES_PATH_MAX];
        _cleanup_close_ int types = -EBADF;
        int r;

        if (!btf)
                return -errno;
        types = core_types_open(path);
        if (types < 0)
                return types;
        r = open_skeleton(gate, path);
        if (r == 0)
                r = core_types_write(types, btf, bpf_object__btf(gate->skeleton->obj));
        if (r < 0)
                return r;
        gate->started = !gate->options.fresh && take_over(gate);
        if (gate->started)
                log_info("The gate of a predecessor is taken over from %s", GATE_DIRECTORY);
        return load_programs(gate);
}

static void cleanup_gate(struct gate **gate)
{
        gate_close(*gate);
}

int gate_open(const struct gate_options *options, struct gate **ret)
{
        _cleanup_(cleanup_gate) struct gate *gate = NULL;
        int r = gate_pins_lock();

        if (r < 0) {
                log_error("Another bpfbudgetd has the gate (PID %d, " GATE_LOCK_FILE ")", gate_pins_holder());
                return r;
        }
        gate = calloc(1, sizeof(*gate));
        if (!gate)
                return -ENOMEM;
        gate->options = *options;
        r = load(gate);
        if (r < 0) {
                log_error("The gate cannot be loaded: %s", kernel_error(-r));
                return r;
        }
        r = open_tables(gate);
        if (r < 0) {
                log_error("The tables of the gate cannot be used: %s", strerror(-r));
                return r;
        }
        r = attach(gate);
        if (r < 0)
                return r;
        *ret = gate;
        gate = NULL;
        return 0;
}

const struct bpf_object *gate_object(const struct gate *gate)
{
        return gate->skeleton->obj;
}

void gate_close(struct gate *gate)
{
        if (!gate)
                return;
        for (size_t i = 0; i < GATE_HOOKS; i++)
                bpf_link__destroy(gate->links[i]);
        for (size_t i = 0; i < FALLBACKS; i++)
                bpf_link__destroy(gate->fallback_links[i]);
        ring_buffer__free(gate->ring);
        if (gate->settings)
                munmap(gate->settings, sizeof(*gate->settings));
        if (gate->automata)
                munmap(gate->automata, 2 * gate->options.automaton_max * sizeof(*gate->automata));
        if (gate->limits)
                munmap(gate->limits, 2 * gate->options.budgets_max * sizeof(*gate->limits));
        skeleton_array_deinit(&gate->settlements);
        gate_bpf__destroy(gate->skeleton);
        free(gate);
}

static bool is_ours(const char *name)
{
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
                if (strcmp(name, tables[i]) == 0)
                        return true;
        for (size_t i = 0; i < GATE_HOOKS; i++)
                if (strcmp(name, programs[i].name) == 0)
                        return true;
        for (size_t i = 0; i < FALLBACKS; i++)
                if (strcmp(name, fallbacks[i].name) == 0)
                        return true;
        return false;
}

/* Runs @function for what is to be pinned. Tables first: programs without them would be of no use to a successor. */
static int for_each_pin(const struct gate *gate, int (*function)(int fd, const char *name))
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof(tables) / sizeof(tables[0]); i++)
                r = function(bpf_map__fd(bpf_object__find_map_by_name(gate->skeleton->obj, tables[i])), tables[i]);
        for (size_t i = 0; r == 0 && i < GATE_HOOKS; i++)
                if (gate->links[i])
                        r = function(bpf_link__fd(gate->links[i]), programs[i].name);
        for (size_t i = 0; r == 0 && i < FALLBACKS; i++)
                if (gate->fallback_links[i])
                        r = function(bpf_link__fd(gate->fallback_links[i]), fallbacks[i].name);
        return r;
}

static int pin_all_beside(const struct gate *gate)
{
        int r;

        if (!gate_pins_mounted()) {
                log_warning("No bpffs is mounted at %s: the gate holds only while the daemon runs", BPFFS);
                return -ENODEV;
        }
        if (access(GATE_DIRECTORY, F_OK) == 0 && !is_roots(GATE_DIRECTORY)) {
                log_warning("%s can be changed by others than root: it is removed and created again", GATE_DIRECTORY);
                gate_pins_remove();
        }
        r = mkdir(GATE_DIRECTORY, 0700) < 0 && errno != EEXIST ? -errno : for_each_pin(gate, gate_pin_beside);
        if (r < 0)
                log_warning("The gate cannot be pinned below %s (%s): it holds only while the daemon runs",
                                GATE_DIRECTORY, strerror(-r));
        return r;
}

/*
 * Whenever the daemon dies, all programs of the gate in force are pinned: those of the old gate until the settings
 * switch to this one, and from then on those of this one, next to or in place of the old.
 */
int gate_start(struct gate *gate)
{
        int r = pin_all_beside(gate);

        gate->settings->instance = gate->skeleton->rodata->instance;
        gate->settings->enforcing = 1;
        /*
         * A previous gate with other tables, whose programs are detached one by one, must not refuse anything
         * meanwhile.
         */
        if (!gate->started)
                gate_pins_stop_enforcing();
        gate->started = true;
        if (r == 0) {
                r = for_each_pin(gate, gate_pin_put_in_place);
                if (r < 0)
                        log_error("What is pinned below %s cannot be replaced: %s", GATE_DIRECTORY, strerror(-r));
        }
        if (r != -ENODEV)
                gate_pins_remove_others(is_ours);
        return r;
}

int gate_release(void)
{
        int r = gate_pins_lock();

        if (r == 0)
                r = gate_pins_remove();
        gate_pins_unlock();
        return r;
}

/* --- Domains and objects ------------------------------------------------------------------------------------------ */

int gate_set_budgets(
                struct gate *gate, const struct automaton *automaton, const struct gate_limits *limits, size_t count)
{
        __u64 *half = &gate->skeleton->bss->gate_half;
        uint32_t index = *half == 0;

        if (!automaton || automaton->count > gate->options.automaton_max || count > gate->options.budgets_max)
                return -E2BIG;
        memcpy(gate->automata + index * gate->options.automaton_max, automaton->entries,
                        automaton->count * sizeof(*automaton->entries));
        memcpy(gate->limits + index * gate->options.budgets_max, limits, count * sizeof(*limits));
        __atomic_store_n(half, (uint64_t) automaton->states << 32 | index, __ATOMIC_RELEASE);
        return 0;
}

int gate_set_domain(struct gate *gate, uint64_t id, uint64_t parent, const char *path,
                const uint64_t max[GATE_RESOURCES], uint64_t denied)
{
        const uint64_t seed[] = { gate->settings->path_seed[0], gate->settings->path_seed[1] };
        struct gate_domain_request request = { .id = id,
                .domain = { .parent = parent, .denied = denied, .path = hash_path(seed, path) } };
        int r;

        memcpy(request.domain.max, max, sizeof(request.domain.max));
        r = skeleton_run(gate->skeleton->progs.set_domain, &request, sizeof(request));
        return r < 0 ? r : request.error;
}

/* Whether something is booked in @domain, which then has to be taken off it and those above. */
static bool is_used(const struct gate_domain *domain)
{
        for (int i = 0; i < GATE_RESOURCES; i++)
                if (domain->usage[i])
                        return true;
        return false;
}

/* What is booked in @domain, the one of @id, is under no limit of its own any more. */
static void lift_limits(struct gate *gate, uint64_t id, const struct gate_domain *domain, bool lives)
{
        struct gate_domain_request request = { .id = id, .domain = *domain };

        request.domain.retired = lives;
        for (int i = 0; i < GATE_RESOURCES; i++)
                request.domain.max[i] = GATE_UNLIMITED;
        skeleton_run(gate->skeleton->progs.set_domain, &request, sizeof(request));
}

int gate_remove_domain(struct gate *gate, uint64_t id, bool lives)
{
        struct gate_domain domain;

        if (gate_read_domain(gate, id, &domain) < 0)
                return 0;
        if (is_used(&domain)) {
                lift_limits(gate, id, &domain, lives);
                return -EBUSY;
        }
        if (bpf_map_delete_elem(bpf_map__fd(gate->skeleton->maps.gate_domains), &id) == 0)
                __atomic_sub_fetch(&gate->settings->domains, 1, __ATOMIC_RELAXED);
        return 0;
}

int gate_read_domain(const struct gate *gate, uint64_t id, struct gate_domain *domain)
{
        return bpf_map_lookup_elem(bpf_map__fd(gate->skeleton->maps.gate_domains), &id, domain) < 0 ? -ENOENT : 0;
}

int gate_read_object(const struct gate *gate, uint64_t key, struct gate_object *object)
{
        return bpf_map_lookup_elem(bpf_map__fd(gate->skeleton->maps.gate_objects), &key, object) < 0 ? -ENOENT : 0;
}

int gate_carry_domain(struct gate *gate, uint64_t id, const struct gate_domain *domain, bool left)
{
        struct gate_domain carried = { .parent = domain->parent, .path = domain->path, .gone = 1 };

        for (int i = 0; i < GATE_RESOURCES; i++)
                carried.max[i] = GATE_UNLIMITED;
        if (bpf_map_update_elem(bpf_map__fd(gate->skeleton->maps.gate_domains), &id, &carried, BPF_NOEXIST) < 0)
                return -errno;
        __atomic_add_fetch(&gate->settings->domains, 1, __ATOMIC_RELAXED);
        if (left && bpf_map_update_elem(bpf_map__fd(gate->skeleton->maps.gate_left), &carried.path, &id, BPF_ANY) < 0)
                return -errno;
        return 0;
}

bool gate_is_left(const struct gate *gate, uint64_t id, const struct path_hash *path)
{
        uint64_t found;

        return bpf_map_lookup_elem(bpf_map__fd(gate->skeleton->maps.gate_left), path, &found) == 0 && found == id;
}

int gate_next_domain(const struct gate *gate, uint64_t *id)
{
        int fd = bpf_map__fd(gate->skeleton->maps.gate_domains);

        return bpf_map_get_next_key(fd, *id ? id : NULL, id) < 0 ? -ENOENT : 0;
}

int gate_settle(struct gate *gate, struct gate_settlement *settlements, size_t n)
{
        struct gate_settle_request request = {};

        return skeleton_array_run(&gate->settlements, &request, sizeof(request), settlements, settlements, n);
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

int gate_events_fd(const struct gate *gate)
{
        return ring_buffer__epoll_fd(gate->ring);
}

int gate_take_events(struct gate *gate, gate_event_t callback, void *context)
{
        gate->callback = callback;
        gate->context = context;
        return ring_buffer__consume(gate->ring);
}

void gate_read_fill(const struct gate *gate, struct gate_fill *fill)
{
        *fill = (struct gate_fill){
                .domains = gate->settings->domains,
                .domains_max = bpf_map__max_entries(gate->skeleton->maps.gate_domains),
                .objects = gate->settings->objects,
                .objects_max = bpf_map__max_entries(gate->skeleton->maps.gate_objects),
                .domains_missing = gate->settings->domains_missing,
        };
}

void gate_completed(struct gate *gate)
{
        gate->settings->domains_missing = 0;
}

uint64_t gate_unbooked(const struct gate *gate)
{
        return gate->settings->unbooked;
}

uint64_t gate_untold(const struct gate *gate)
{
        return gate->skeleton->bss->cgroups_untold;
}

/*
 * The number of calls on which no program decided at hook @i: at most those that the probe missed, and those that the
 * hook's own program did.
 */
static uint64_t undecided(const struct gate *gate, size_t i)
{
        uint64_t missed = skeleton_missed(program_of(gate, i)), by_probe;

        for (size_t k = 0; gate->probed && k < FALLBACKS; k++)
                if (fallbacks[k].hook == i && gate->fallback_links[k] && fallbacks[k].probe) {
                        by_probe = skeleton_missed(fallback_of(gate, k));
                        return by_probe < missed ? by_probe : missed;
                }
        return missed;
}

uint64_t gate_missed(const struct gate *gate)
{
        return undecided(gate, GATE_HOOK_MAP) + undecided(gate, GATE_HOOK_PROGRAM) + undecided(gate, GATE_HOOK_UPDATE) +
               gate->skeleton->bss->unread;
}
