/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/links.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"

/* Types that the linux/bpf.h of Debian 12 does not have, by the kernel's numbers. */
enum {
        LINK_TYPE_NETFILTER = 10,    /* 6.4 */
        LINK_TYPE_TCX = 11,          /* 6.6 */
        LINK_TYPE_UPROBE_MULTI = 12, /* 6.6 */
        LINK_TYPE_NETKIT = 13,       /* 6.7 */
        LINK_TYPE_SOCKMAP = 14,      /* 6.10 */
};

static const char *const type_names[] = {
        [BPF_LINK_TYPE_RAW_TRACEPOINT] = "raw_tracepoint",
        [BPF_LINK_TYPE_TRACING] = "tracing",
        [BPF_LINK_TYPE_CGROUP] = "cgroup",
        [BPF_LINK_TYPE_ITER] = "iter",
        [BPF_LINK_TYPE_NETNS] = "netns",
        [BPF_LINK_TYPE_XDP] = "xdp",
        [BPF_LINK_TYPE_PERF_EVENT] = "perf_event",
        [BPF_LINK_TYPE_KPROBE_MULTI] = "kprobe_multi",
        [BPF_LINK_TYPE_STRUCT_OPS] = "struct_ops",
        [LINK_TYPE_NETFILTER] = "netfilter",
        [LINK_TYPE_TCX] = "tcx",
        [LINK_TYPE_UPROBE_MULTI] = "uprobe_multi",
        [LINK_TYPE_NETKIT] = "netkit",
        [LINK_TYPE_SOCKMAP] = "sockmap",
};

/* struct bpf_link_info as far as it is used, also of kernels that are newer than the headers. */
struct info {
        uint32_t type, id, program_id, pad;
        union {
                struct {
                        uint64_t name; /* address of room for it */
                        uint32_t name_size;
                } raw_tracepoint;
                struct {
                        uint64_t id;
                } cgroup;
                struct {
                        uint32_t inode;
                } netns;
                struct {
                        uint32_t index;
                } interface; /* of XDP, tcx, netkit */
                struct {
                        uint32_t map_id;
                } struct_ops;
                struct {
                        uint32_t type, unused;
                        uint64_t name;
                        uint32_t name_size;
                } perf_event; /* since 6.6 */
                uint64_t room[8];
        };
};

#define NAME_SIZE 128

const char *link_type_name(uint32_t type, char buffer[LINK_TYPE_NAME_MAX])
{
        if (type < sizeof(type_names) / sizeof(type_names[0]) && type_names[type])
                return type_names[type];
        snprintf(buffer, LINK_TYPE_NAME_MAX, "type-%u", type);
        return buffer;
}

static bool get_info(int fd, struct info *info)
{
        uint32_t size = sizeof(*info);

        return bpf_obj_get_info_by_fd(fd, info, &size) == 0;
}

/* "WHAT NAME", to be freed; NULL: no memory. */
static char *describe(const char *what, const char *name)
{
        char *text;

        return asprintf(&text, "%s %s", what, name) < 0 ? NULL : text;
}

static char *describe_number(const char *what, uint64_t number)
{
        char name[24];

        snprintf(name, sizeof(name), "%llu", (unsigned long long) number);
        return describe(what, name);
}

/* By its index: the service is in a network namespace of its own, where other interfaces have these. */
static char *describe_interface(uint32_t index)
{
        return index ? describe_number("interface", index) : strdup("interface (gone)");
}

/* Links are of cgroup v2; ids of another hierarchy would name another cgroup. */
static char *describe_cgroup(const struct cgroupfs *cgroupfs, uint64_t id)
{
        _cleanup_free_ char *path = NULL;

        if (id == 0)
                return strdup("cgroup (gone)");
        if (cgroupfs && cgroupfs->version == 2 && cgroupfs_path(cgroupfs, id, &path) == 0)
                return describe("cgroup", path);
        path = NULL;
        return describe_number("cgroup", id);
}

/* The names are to be asked for apart: what they need room in means another thing for other types. */
static char *describe_raw_tracepoint(int fd)
{
        char name[NAME_SIZE] = "";
        struct info info = { .raw_tracepoint = { (uintptr_t) name, sizeof(name) } };

        return get_info(fd, &info) && *name ? describe("tracepoint", name) : NULL;
}

/* enum bpf_perf_event_type, since 6.6: uprobe, uretprobe, kprobe, kretprobe, tracepoint, event. */
static char *describe_perf_event(int fd, uint32_t type)
{
        static const char *const kinds[] = { NULL, "uprobe", "uretprobe", "kprobe", "kretprobe", "tracepoint" };
        char name[NAME_SIZE] = "";
        struct info info = { .perf_event = { .name = (uintptr_t) name, .name_size = sizeof(name) } };

        if (type >= sizeof(kinds) / sizeof(kinds[0]) || !kinds[type])
                return NULL;
        return get_info(fd, &info) && *name ? describe(kinds[type], name) : NULL;
}

static char *describe_target(const struct cgroupfs *cgroupfs, int fd, const struct info *info)
{
        switch (info->type) {
        case BPF_LINK_TYPE_RAW_TRACEPOINT:
                return describe_raw_tracepoint(fd);
        case BPF_LINK_TYPE_PERF_EVENT:
                return describe_perf_event(fd, info->perf_event.type);
        case BPF_LINK_TYPE_CGROUP:
                return describe_cgroup(cgroupfs, info->cgroup.id);
        case BPF_LINK_TYPE_NETNS:
                return describe_number("network namespace", info->netns.inode);
        case BPF_LINK_TYPE_XDP:
        case LINK_TYPE_TCX:
        case LINK_TYPE_NETKIT:
                return describe_interface(info->interface.index);
        default:
                return NULL;
        }
}

int link_read(int fd, const struct cgroupfs *cgroupfs, struct link *link)
{
        struct info info = {};

        if (!get_info(fd, &info))
                return -errno;
        *link = (struct link){
                .id = info.id,
                .type = info.type,
                .program_id = info.program_id,
                .map_id = info.type == BPF_LINK_TYPE_STRUCT_OPS ? info.struct_ops.map_id : 0,
                /* The network device, and the perf event, have one of their own (dev_xdp_install(),
                 * bpf_perf_link_attach()). */
                .references = info.type == BPF_LINK_TYPE_XDP || info.type == BPF_LINK_TYPE_PERF_EVENT ? 2 : 1,
                .attached = describe_target(cgroupfs, fd, &info),
        };
        return 0;
}

void link_deinit(struct link *link)
{
        free(link->attached);
}
