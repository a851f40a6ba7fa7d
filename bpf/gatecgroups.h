/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Creation and removal of cgroups. A new cgroup gets its limits while the kernel creates it, before anybody can enter
 * it: the automaton of the configuration (automaton.h) finds its budget by its path. Objects that outlive a removed
 * cgroup, because they are pinned or attached, count against the next cgroup of the same path.
 */
#pragma once

#include "automaton.h"
#include "gatebooks.h"
#include "pathhash.h"

/* include/linux/limits.h: NAME_MAX, and the end. */
#define NAME_SIZE 256

/* Two automata, one in force and one for the next configuration; each has half of the entries. Set by the daemon. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1024);
        __uint(map_flags, BPF_F_MMAPABLE);
        __type(key, u32);
        __type(value, struct automaton_entry);
} gate_automaton SEC(".maps");

/* The limits of the budgets that labels name, likewise. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 2);
        __uint(map_flags, BPF_F_MMAPABLE);
        __type(key, u32);
        __type(value, struct gate_limits);
} gate_limits SEC(".maps");

/* Domains of removed cgroups in which something is booked, by the hash of their path. */
struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 1024);
        __uint(map_flags, BPF_F_NO_PREALLOC);
        __type(key, struct path_hash);
        __type(value, u64);
} gate_left SEC(".maps");

/* Entries of a half of each; set by the daemon. */
const volatile __u32 automaton_half, limits_half;

/*
 * Which half is in force (0 or 1), and in the upper 32 bits how many states its automaton has; 0: there is none. The
 * daemon writes both in one store, and programs read both in one load.
 */
__u64 gate_half = 0;

/* --- Paths -------------------------------------------------------------------------------------------------------- */

/* A way down from the root. */
struct descent {
        u64 ancestors; /* address of the array of cgroups above, the root first, and itself last */
        u32 level;     /* of the cgroup; the root's is 0 */
        u32 failed;    /* a name could not be read */
        u32 first;     /* entry of the automaton */
        u32 states;
        u32 first_limits;
        u32 state, unit_state; /* after the path so far */
        u32 no_unit;           /* it has a byte that no unit has in its name */
        struct path_hash hash;
};

static __always_inline u32 next_state(u32 first, u32 state, u8 byte)
{
        u32 key = first + state;
        struct automaton_entry *row = bpf_map_lookup_elem(&gate_automaton, &key), *transition;

        if (!row)
                return 0;
        key = first + (row->base & ~AUTOMATON_IDLE) + byte;
        transition = bpf_map_lookup_elem(&gate_automaton, &key);
        return transition && transition->owner == state ? transition->next : row->next;
}

/* Names are read in pieces, for the sake of the stack. */
#define PIECE_SIZE 64

/* Advances @descent by the piece of a name that begins at @address. Returns its length in bytes, 0 at the end. */
__noinline u32 descend_piece(struct descent *descent, u64 address)
{
        union {
                char text[PIECE_SIZE];
                u64 words[PIECE_SIZE / sizeof(u64)];
        } piece = {};
        u32 state, unit_state, no_unit = 0, length = 0;

        if (!descent || bpf_probe_read_kernel_str(piece.text, sizeof(piece.text), (const void *) address) < 0)
                return 0;
        state = descent->state;
        unit_state = descent->unit_state;
        for (length = 0; length < PATH_HASH_PIECE; length++) {
                u8 byte = piece.text[length];

                if (!byte)
                        break;
                if (length % sizeof(u64) == 0)
                        path_hash_word(&descent->hash, piece.words[length / sizeof(u64)]);
                state = next_state(descent->first, state, byte);
                unit_state = next_state(descent->first, unit_state, byte);
                no_unit |= !automaton_is_unit_byte(byte);
        }
        descent->state = state;
        descent->unit_state = unit_state;
        descent->no_unit |= no_unit;
        return length;
}

/* Advances @descent by the name at @address. */
static __always_inline void descend_name(struct descent *descent, u64 address)
{
        u32 length;

        descent->state = next_state(descent->first, descent->state, '/');
        descent->unit_state = next_state(descent->first, descent->unit_state, '/');
        for (u32 i = 0; i < NAME_SIZE / PATH_HASH_PIECE + 1; i++) {
                length = descend_piece(descent, address);
                if (i == 0 && !length)
                        descent->failed = 1;
                if (length < PATH_HASH_PIECE)
                        break;
                address += PATH_HASH_PIECE;
        }
        path_hash_end(&descent->hash);
}

static int descend(u32 i, struct descent *descent)
{
        struct cgroup *cgroup = NULL;

        bpf_probe_read_kernel(&cgroup, sizeof(cgroup), (const void *) (descent->ancestors + (i + 1) * sizeof(u64)));
        descend_name(descent, (u64) BPF_CORE_READ(cgroup, kn, name));
        return descent->failed ? 1 : 0;
}

/* The path of the cgroup at @address. */
static __always_inline struct descent find_path(u64 address, const struct gate_settings *settings)
{
        struct cgroup *cgroup = (void *) address;
        u64 half = *(volatile u64 *) &gate_half;
        u32 index = half;
        struct descent descent = {
                .ancestors = address + bpf_core_field_offset(struct cgroup, ancestors),
                .level = BPF_CORE_READ(cgroup, level),
                .states = half >> 32,
                .first = index * automaton_half,
                .first_limits = index * limits_half,
                .state = AUTOMATON_START,
                .unit_state = AUTOMATON_UNITS,
                .hash = { { settings->path_seed[0], settings->path_seed[1] } },
        };

        bpf_loop(descent.level, descend, &descent, 0);
        return descent;
}

/* The label of @state; a state without one gets a number after all budgets. */
static __always_inline u32 label_of(const struct descent *descent, u32 state)
{
        u32 key = descent->first + descent->states + state;
        struct automaton_entry *label = bpf_map_lookup_elem(&gate_automaton, &key);

        return label && label->label ? label->label : ~0U;
}

/* The limits that a cgroup has by its path; NULL: none, or the path alone does not determine them. */
static __always_inline struct gate_limits *limits_of(const struct descent *descent)
{
        u32 label = label_of(descent, descent->state), key;
        u32 as_unit = descent->unit_state && !descent->no_unit ? label_of(descent, descent->unit_state) : ~0U;
        struct gate_limits *limits;

        if ((as_unit & ~AUTOMATON_FLAGS) < (label & ~AUTOMATON_FLAGS))
                label = as_unit;
        if (label & AUTOMATON_USERS || (label & AUTOMATON_UNIT && descent->no_unit))
                return NULL;
        key = descent->first_limits + (label & ~AUTOMATON_FLAGS) - 1;
        limits = bpf_map_lookup_elem(&gate_limits, &key);
        return limits && limits->refuses ? limits : NULL;
}

/* --- Domains that come -------------------------------------------------------------------------------------------- */

/* Adds what is booked in the domain @left to *@booking. */
static __always_inline void add_usage(struct booking *booking, const struct gate_domain *left)
{
        for (u32 i = 0; i < GATE_RESOURCES; i++)
                booking->amount[i] = left->usage[i];
}

/*
 * If a removed cgroup of the same path has left objects behind, moves its domain below @id, the domain of the new
 * cgroup. From now on these objects are booked in the new domain, too, instead of in domains of removed cgroups between
 * the old domain and the parent of the new one.
 */
__noinline int inherit(u64 id, struct path_hash *hash)
{
        struct path_hash key = {};
        struct booking booking = {};
        struct gate_domain *left, *new;
        u64 *found, left_id, parent, above;
        u32 levels;

        if (!hash)
                return 0;
        key = *hash;
        found = bpf_map_lookup_elem(&gate_left, &key);
        if (!found)
                return 0;
        left_id = *found;
        bpf_map_delete_elem(&gate_left, &key);
        left = bpf_map_lookup_elem(&gate_domains, &left_id);
        new = bpf_map_lookup_elem(&gate_domains, &id);
        if (!left || !new || !left->gone)
                return 0;
        parent = left->parent;
        above = new->parent;
        levels = parent == above ? 0 : levels_below(parent, above);
        if (parent != above && !levels)
                return 0;
        add_usage(&booking, left);
        left->parent = id;
        add(new, &booking, 1);
        if (levels)
                unbook(parent, &booking, levels);
        return 0;
}

/* Returns 1 if a domain was made, 0 if there is none to make, or -ENOMEM. Not inlined, for the sake of the callers'
 * stack.
 */
static __noinline int make_domain(u64 id, u64 parent_css, struct descent *descent, struct gate_settings *settings)
{
        struct gate_limits *limits = limits_of(descent);
        struct gate_domain domain = { .path = descent->hash };

        if (!limits)
                return 0;
        domain.parent = find_domain(parent_css);
        for (u32 i = 0; i < GATE_RESOURCES; i++)
                domain.max[i] = limits->max[i];
        if (bpf_map_update_elem(&gate_domains, &id, &domain, BPF_NOEXIST) < 0) {
                if (bpf_map_lookup_elem(&gate_domains, &id))
                        return 0;
                __sync_fetch_and_add(&settings->domains_missing, 1);
                return -ENOMEM;
        }
        count_domain(1);
        return 1;
}

/* Gives the cgroup at @address, which is being made, its domain. Returns 0, or -ENOMEM if there is no room for it. */
__noinline int enter_cgroup(u64 address)
{
        struct cgroup *cgroup = (void *) address;
        struct gate_settings *settings = get_settings();
        struct descent descent;
        u64 id;
        int r;

        if (!settings)
                return 0;
        descent = find_path(address, settings);
        if (!descent.states || descent.failed || !descent.level)
                return 0;
        id = BPF_CORE_READ(cgroup, kn, id);
        r = make_domain(id, (u64) BPF_CORE_READ(cgroup, self.parent), &descent, settings);
        return r > 0 ? inherit(id, &descent.hash) : r;
}

/* A way down to a cgroup, to enter domains that are missing. */
struct completion {
        u64 ancestors; /* as in struct descent */
        s64 result;
};

static int complete_level(u32 i, struct completion *completion)
{
        struct cgroup *cgroup = NULL;
        u64 id;

        bpf_probe_read_kernel(&cgroup, sizeof(cgroup), (const void *) (completion->ancestors + (i + 1) * sizeof(u64)));
        id = BPF_CORE_READ(cgroup, kn, id);
        if (!bpf_map_lookup_elem(&gate_domains, &id))
                completion->result = enter_cgroup((u64) cgroup);
        return completion->result < 0 ? 1 : 0;
}

/*
 * After a domain could not be entered: tries again with those of the cgroup of @css and all above. Returns 0, or
 * -ENOMEM if one is still missing, so that its limit cannot be enforced.
 */
static __always_inline int complete_domains(u64 css_address)
{
        struct cgroup_subsys_state *css = (void *) css_address;
        struct cgroup *cgroup = BPF_CORE_READ(css, cgroup);
        struct completion completion = { .ancestors = (u64) cgroup + bpf_core_field_offset(struct cgroup, ancestors) };

        bpf_loop(BPF_CORE_READ(cgroup, level), complete_level, &completion, 0);
        return completion.result;
}

/* --- Domains that go ---------------------------------------------------------------------------------------------- */

static __always_inline bool is_used(const struct gate_domain *domain)
{
        u64 any = 0;

        for (u32 i = 0; i < GATE_RESOURCES; i++)
                any |= domain->usage[i];
        return any;
}

/* The cgroup @id was removed. No process is in it, so nothing more is booked in its domain. */
__noinline int leave_cgroup(u64 id)
{
        struct gate_domain *domain = bpf_map_lookup_elem(&gate_domains, &id);
        struct path_hash hash;

        if (!domain)
                return 0;
        domain->gone = 1;
        hash = domain->path;
        if (!is_used(domain)) {
                if (bpf_map_delete_elem(&gate_domains, &id) == 0)
                        count_domain(-1);
                return 0;
        }
        if (hash.words[0] || hash.words[1])
                bpf_map_update_elem(&gate_left, &hash, &id, BPF_ANY);
        return 0;
}

/* Whether @cgroup is of the hierarchy that memory is on. */
static __always_inline bool is_memory_cgroup(struct cgroup *cgroup)
{
        return BPF_CORE_READ(cgroup, root) == BPF_CORE_READ(own_css(), cgroup, root);
}
