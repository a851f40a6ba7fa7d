/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/size.h"
#include "serve/api-methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/error.h"
#include "base/log.h"
#include "serve/report.h"

struct subscriber {
        struct api *api;
        struct varlink_call *call;
        char *glob;     /* NULL: all cgroups */
        uint32_t kinds; /* bit n: events of enum event_kind n */
        uint64_t lost;  /* events since the last reply */
        struct subscriber *next, *prev;
};

static const char *const event_kinds[] = {
        [EVENT_STATE] = "state",
        [EVENT_REFUSAL] = "refusal",
        [EVENT_THROTTLE] = "throttle",
        [EVENT_FILL] = "fill",
        [EVENT_ORPHANS] = "orphans",
        [EVENT_KINDS] = NULL,
};

static json_t *text_or_null(const char *text)
{
        json_t *json = text ? json_string(text) : NULL;

        return json ?: json_null();
}

/* A value that only events about nearly full maps have; NULL for others. */
static json_t *of_map(const struct budget_event *event, uint64_t value)
{
        return event->kind == EVENT_FILL ? json_integer((json_int_t) value) : NULL;
}

static json_t *event_to_json(const struct budget_event *event)
{
        const struct object_record *object = event->object.kind ? &event->object : NULL;
        const struct policy *policy = event->policy;
        bool state = event->kind == EVENT_STATE || event->kind == EVENT_FILL || event->kind == EVENT_ORPHANS;
        char name[OBJECT_NAME_SIZE + 1] = "", type[TYPE_NAME_MAX];

        memcpy(name, event->object.name, OBJECT_NAME_SIZE);
        return json_pack("{ss so sI sI so so so so so so so so so so so so so* so* so*}", "kind",
                        event_kinds[event->kind], "cgroup", text_or_null(event->cgroup->path), "cgroupId",
                        (json_int_t) event->cgroup->id, "usage", (json_int_t) event->usage, "high",
                        limit_to_json(event->kind == EVENT_ORPHANS ? event->max
                                        : policy                   ? policy->high
                                                                   : BUDGET_INFINITY),
                        "max", limit_to_json(policy ? policy->max : BUDGET_INFINITY), "from",
                        text_or_null(state ? budget_level_name(event->from) : NULL), "to",
                        text_or_null(state ? budget_level_name(event->to) : NULL), "limit",
                        text_or_null(event->limit == LIMIT_NONE ? NULL : budget_limit_name(event->limit)), "pid",
                        event->pid ? json_integer(event->pid) : json_null(), "comm", text_or_null(event->comm),
                        "objectKind", text_or_null(object ? object_kinds[object->kind == OBJECT_MAP ? 0 : 1] : NULL),
                        "objectType", text_or_null(object ? object_type_name(object, type) : NULL), "objectName",
                        text_or_null(object ? name : NULL), "size",
                        event->size ? json_integer((json_int_t) event->size) : json_null(), "pauseUSec",
                        event->kind == EVENT_THROTTLE ? json_integer((json_int_t) event->pause_usec) : json_null(),
                        "objectId", of_map(event, event->object.id), "entries", of_map(event, event->object.entries),
                        "maxEntries", of_map(event, event->object.max_entries));
}

static void subscriber_free(void *state)
{
        struct subscriber *subscriber = state;

        DL_DELETE(subscriber->api->subscribers, subscriber);
        free(subscriber->glob);
        free(subscriber);
}

/* Sends @event, taken over, if there is room for it. */
static void send_event(struct subscriber *subscriber, json_t *event)
{
        int r = varlink_push(
                        subscriber->call, json_pack("{so sI}", "event", event, "lost", (json_int_t) subscriber->lost));

        if (r == 0)
                subscriber->lost = 0;
        else if (!json_is_null(event))
                subscriber->lost++;
}

/* The client has read everything, and is now sent the number of events that it missed. */
static void on_drained(void *state)
{
        struct subscriber *subscriber = state;

        if (subscriber->lost > 0)
                send_event(subscriber, json_null());
}

static const struct varlink_stream subscription = { .drained = on_drained, .end = subscriber_free };

static uint32_t get_kinds(const json_t *parameters)
{
        const json_t *words = json_object_get(parameters, "kinds");
        uint32_t mask = 0;

        if (!words)
                return UINT32_MAX;
        for (size_t i = 0; i < json_array_size(words); i++)
                mask |= 1u << word_index(event_kinds, json_string_value(json_array_get(words, i)));
        return mask;
}

int api_subscribe(void *context, struct varlink_call *call, json_t *parameters)
{
        const char *glob = parameter_cgroup(parameters);
        struct subscriber *subscriber;
        struct api *api = context;
        int r;

        /* The cgroup need not exist yet, but some names are impossible. */
        r = api_check_form(api, call, glob);
        if (r != 0)
                return error_only(r);
        subscriber = calloc(1, sizeof(*subscriber));
        if (!subscriber)
                return -ENOMEM;
        subscriber->api = api;
        subscriber->call = call;
        subscriber->kinds = get_kinds(parameters);
        subscriber->glob = glob ? strdup(glob) : NULL;
        DL_APPEND(api->subscribers, subscriber);
        varlink_make_stream(call, &subscription, subscriber);
        if (glob && !subscriber->glob)
                return -ENOMEM;
        return varlink_push(call, json_pack("{sn sI}", "event", "lost", (json_int_t) 0));
}

static bool wants_event(const struct subscriber *subscriber, const struct budget_event *event)
{
        const char *path = event->cgroup->path;

        return subscriber->kinds & 1u << event->kind &&
               (!subscriber->glob || (path && glob_match(subscriber->glob, path)));
}

void subscribers_send(struct api *api, const struct budget_event *event)
{
        struct subscriber *subscriber;
        json_t *json;

        if (!api->subscribers)
                return;
        json = event_to_json(event);
        if (!json)
                log_warning("Out of memory: an event is not sent to subscribers");
        DL_FOREACH(api->subscribers, subscriber)
        if (json && wants_event(subscriber, event))
                send_event(subscriber, json_incref(json));
        json_decref(json);
}

const struct varlink_parameter subscribe_parameters[] = {
        { "cgroup", VARLINK_STRING, .optional = true },
        { "kinds", VARLINK_WORDS, .optional = true, event_kinds },
        {},
};
