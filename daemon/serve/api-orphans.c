/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/api-methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account/orphans.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/shell.h"
#include "policy/unit.h"
#include "serve/listing.h"
#include "serve/report.h"
#include "serve/writer.h"

static const char *const keeper_kinds[] = {
        [KEEPER_PIN] = "pin",
        [KEEPER_LINK] = "link",
        [KEEPER_PROGRAM] = "program",
};

/* "rm -- '/sys/fs/bpf/x'", to be freed; NULL: no memory. */
static char *removal(const char *path)
{
        _cleanup_free_ char *quoted = shell_quote(path);
        char *text;

        return !quoted || asprintf(&text, "rm -- %s", quoted) < 0 ? NULL : text;
}

static void write_keeper(void *context, const struct keeper *keeper)
{
        struct writer *writer = context;
        const struct link *link = keeper->link;
        char *command = keeper->path ? removal(keeper->path) : NULL;
        char type[LINK_TYPE_NAME_MAX];

        writer_element(writer);
        writer_open(writer, '{');
        writer_member_string(writer, "kind", keeper_kinds[keeper->kind]);
        writer_member_string(writer, "path", keeper->path);
        writer_member_optional(writer, "linkId", link, link ? link->id : 0);
        writer_member_string(writer, "linkType", link ? link_type_name(link->type, type) : NULL);
        writer_member_string(writer, "attachedTo", link ? link->attached : NULL);
        writer_member_optional(writer, "programId", keeper->kind == KEEPER_PROGRAM, keeper->program_id);
        writer_member_string(writer, "command", command);
        writer_close(writer, '}');
        free(command);
}

static void write_owner(struct writer *writer, const struct object *object)
{
        size_t length = 0;
        bool gone, exact;
        const char *owner = orphan_last_owner(object, &gone), *unit = owner ? path_unit(owner, &length) : NULL;
        uint64_t since = orphan_since_usec(object, &exact);
        char *name = unit ? strndup(unit, length) : NULL;

        writer_member_string(writer, "cgroup", object->cgroup->path);
        writer_member_string(writer, "lastOwner", owner);
        writer_member_string(writer, "lastUnit", name);
        writer_member_boolean(writer, "ownerGone", gone);
        writer_member_integer(writer, "since", since);
        writer_member_boolean(writer, "sinceExact", exact);
        free(name);
}

static void write_orphan(struct listing *listing, uint64_t key)
{
        const struct orphans *orphans = listing->state;
        const struct orphan *orphan = &orphans->list[key];
        const struct object *object = ledger_find(&listing->api->options.monitor->ledger, orphan->kind, orphan->id);
        struct writer *writer = &listing->api->writer;
        char name[OBJECT_NAME_SIZE + 1] = "", type[TYPE_NAME_MAX];

        /* The object was freed after it was listed. */
        if (!object)
                return;
        memcpy(name, object->record.name, OBJECT_NAME_SIZE);
        writer_element(writer);
        writer_open(writer, '{');
        writer_member_string(writer, "kind", object_kinds[orphan->kind == OBJECT_MAP ? 0 : 1]);
        writer_member_integer(writer, "id", orphan->id);
        writer_member_string(writer, "type", object_type_name(&object->record, type));
        writer_member_string(writer, "name", name);
        writer_member_integer(writer, "allocated", object->record.allocated);
        writer_member_integer(writer, "charged", object->record.charged);
        write_owner(writer, object);
        object_write_creator(writer, object->creator);
        writer_member_optional(writer, "uid", orphan->uid != UINT32_MAX, orphan->uid);
        writer_member_boolean(writer, "certain", orphan->certain);
        writer_member_integer(writer, "unseen", orphan->unseen);
        writer_open_member(writer, "keepers", '[');
        orphans_keepers(&orphans->relations, orphan->kind, orphan->id, write_keeper, writer);
        writer_close(writer, ']');
        writer_close(writer, '}');
}

static void free_orphans(void *state)
{
        orphans_deinit(state);
        free(state);
}

static bool is_owned(const struct api *api, const struct orphan *orphan, const char *glob)
{
        const struct object *object = ledger_find(&api->options.monitor->ledger, orphan->kind, orphan->id);
        const char *owner;
        bool gone;

        if (!object)
                return false;
        owner = orphan_last_owner(object, &gone);
        return !glob || (owner && glob_match(glob, owner));
}

/* Lists the orphans that match @glob (NULL: all). Returns whether any match, including those that are not listed. */
static bool list_owned(struct listing *listing, const struct orphans *orphans, const char *glob, bool all)
{
        bool any = false;

        for (size_t i = 0; i < orphans->count; i++) {
                if (!is_owned(listing->api, &orphans->list[i], glob))
                        continue;
                any = true;
                if (all || orphans->list[i].certain)
                        listing->keys[listing->count++] = i;
        }
        return any;
}

int api_list_orphans(void *context, struct varlink_call *call, json_t *parameters)
{
        bool all = json_is_true(json_object_get(parameters, "all"));
        const char *glob = parameter_cgroup(parameters);
        struct api *api = context;
        struct orphans *orphans = calloc(1, sizeof(*orphans));
        struct listing *listing;
        int r;

        if (!orphans)
                return -ENOMEM;
        api_refresh(api);
        r = orphans_find(orphans, api->options.monitor);
        listing = r == 0 ? listing_new(api, "orphans", orphans->count, write_orphan) : NULL;
        if (!listing) {
                free_orphans(orphans);
                return r == 0 || r == -ENOMEM ? -ENOMEM
                                              : api_not_supported(call, "this kernel does not report holders or uses");
        }
        listing->state = orphans;
        listing->free_state = free_orphans;
        /* The last owner may have been removed, so its name is checked only if nothing matches. */
        if (!list_owned(listing, orphans, glob, all)) {
                r = api_check_glob(api, call, parameters);
                if (r != 0) {
                        listing_free(listing);
                        return error_only(r);
                }
        }
        listing->state_size = relations_size(&orphans->relations) + orphans->count * sizeof(*orphans->list);
        return listing_answer(listing, call);
}

const struct varlink_parameter list_orphans_parameters[] = {
        { "cgroup", VARLINK_STRING, .optional = true },
        { "all", VARLINK_BOOLEAN, .optional = true },
        {},
};
