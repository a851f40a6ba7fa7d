/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/varlink-server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for the first attempt to write a reply. */
#define REPLY_SIZE_GUESS 4096

void varlink_end_call(struct varlink_call *call)
{
        const struct varlink_stream *stream = call->stream;

        call->active = false;
        call->stream = NULL;
        call->state_size = 0;
        if (stream && stream->end)
                stream->end(call->state);
}

/* Makes room for @size consecutive bytes at the end of @output, and returns their address. */
static char *reserve(struct evbuffer *output, size_t size, struct evbuffer_iovec *room)
{
        if (evbuffer_reserve_space(output, size, room, 1) != 1 || room->iov_len < size)
                return NULL;
        return room->iov_base;
}

/* The text before and after the parameters of a reply. */
static const char reply_start[] = "{\"parameters\":", reply_end[] = "}", reply_continues[] = ",\"continues\":true}";

static bool is_too_large(const struct client *client, size_t size)
{
        return evbuffer_get_length(client_output(client)) + size > VARLINK_OUTPUT_MAX;
}

int varlink_reply_piece(struct varlink_call *call, const char *text, size_t size, unsigned int which)
{
        const char *end = !(which & VARLINK_LAST) ? NULL : which & VARLINK_CONTINUES ? reply_continues : reply_end;
        size_t start_size = which & VARLINK_FIRST ? sizeof(reply_start) - 1 : 0, end_size = end ? strlen(end) + 1 : 0;
        struct client *client = call->client;
        struct evbuffer_iovec room;
        char *at;

        if (!call->oneway && !client->dead) {
                if (is_too_large(client, size))
                        return -EMSGSIZE;
                at = reserve(client_output(client), start_size + size + end_size, &room);
                if (!at)
                        return -ENOMEM;
                at = mempcpy(at, reply_start, start_size);
                at = mempcpy(at, text, size);
                if (end)
                        memcpy(at, end, end_size);
                room.iov_len = start_size + size + end_size;
                if (evbuffer_commit_space(client_output(client), &room, 1) < 0)
                        return -ENOMEM;
        }
        if (end && !(which & VARLINK_CONTINUES))
                varlink_end_call(call);
        return 0;
}

int varlink_reply_text(struct varlink_call *call, const char *text, size_t size, bool continues)
{
        return varlink_reply_piece(
                        call, text, size, VARLINK_FIRST | VARLINK_LAST | (continues ? VARLINK_CONTINUES : 0));
}

/*
 * Writes @head, @json and @tail (with its NUL) directly into the client's output. Most replies fit at the first
 * attempt.
 */
static int write_json(struct client *client, const char *head, const json_t *json, const char *tail)
{
        size_t head_size = strlen(head), tail_size = strlen(tail) + 1, size = REPLY_SIZE_GUESS;
        struct evbuffer *output = client_output(client);
        struct evbuffer_iovec room;
        char *at;

        for (;;) {
                size_t needed;

                at = reserve(output, head_size + size + tail_size, &room);
                if (!at)
                        return -ENOMEM;
                needed = json_dumpb(json, at + head_size, size, JSON_COMPACT);
                if (needed == 0)
                        return -ENOMEM;
                if (is_too_large(client, needed))
                        return -EMSGSIZE;
                if (needed <= size) {
                        size = needed;
                        break;
                }
                size = needed;
        }
        memcpy(at, head, head_size);
        memcpy(at + head_size + size, tail, tail_size);
        room.iov_len = head_size + size + tail_size;
        return evbuffer_commit_space(output, &room, 1) < 0 ? -ENOMEM : 0;
}

int varlink_reply(struct varlink_call *call, json_t *parameters, bool continues)
{
        struct client *client = call->client;
        int r = 0;

        if (!parameters)
                return -ENOMEM;
        if (!call->oneway && !client->dead)
                r = write_json(client, reply_start, parameters, continues ? reply_continues : reply_end);
        json_decref(parameters);
        if (r == 0 && !continues)
                varlink_end_call(call);
        return r;
}

int varlink_error(struct varlink_call *call, const char *name, json_t *parameters)
{
        struct client *client = call->client;
        json_t *reply;
        int r = 0;

        reply = json_pack("{ss so}", "error", name, "parameters", parameters ?: json_object());
        if (!reply)
                return -ENOMEM;
        if (!call->oneway && !client->dead)
                r = write_json(client, "", reply, "");
        json_decref(reply);
        if (r == 0)
                varlink_end_call(call);
        return r;
}

int varlink_invalid_parameter(struct varlink_call *call, const char *parameter)
{
        return varlink_error(call, "org.varlink.service.InvalidParameter", json_pack("{ss}", "parameter", parameter));
}

bool varlink_wants_more(const struct varlink_call *call)
{
        return call->more;
}

uid_t varlink_uid(const struct varlink_call *call)
{
        return call->client->user->uid;
}

void varlink_make_stream(struct varlink_call *call, const struct varlink_stream *stream, void *state)
{
        call->stream = stream;
        call->state = state;
}

void varlink_stream_holds(struct varlink_call *call, size_t size)
{
        call->state_size = size;
}

int varlink_push(struct varlink_call *call, json_t *parameters)
{
        struct client *client = call->client;
        int r;

        if (evbuffer_get_length(client_output(client)) >= VARLINK_BACKLOG_MAX ||
                        !user_takes_push(client->server, client->user)) {
                json_decref(parameters);
                return -ENOBUFS;
        }
        r = varlink_reply(call, parameters, true);
        client_count_held(client);
        return r;
}

static const char service_description[] = "# What every varlink service answers.\n"
                                          "interface org.varlink.service\n"
                                          "\n"
                                          "# Who the service is, and which interfaces it has.\n"
                                          "method GetInfo() -> (\n"
                                          "        vendor: string,\n"
                                          "        product: string,\n"
                                          "        version: string,\n"
                                          "        url: string,\n"
                                          "        interfaces: []string\n"
                                          ")\n"
                                          "\n"
                                          "# The description of an interface in this language.\n"
                                          "method GetInterfaceDescription(interface: string) -> (description: string)\n"
                                          "\n"
                                          "error InterfaceNotFound(interface: string)\n"
                                          "error MethodNotFound(method: string)\n"
                                          "error MethodNotImplemented(method: string)\n"
                                          "error InvalidParameter(parameter: string)\n"
                                          "error PermissionDenied()\n"
                                          "error ExpectedMore()\n";

static int get_info(void *context, struct varlink_call *call, json_t *parameters);
static int get_interface_description(void *context, struct varlink_call *call, json_t *parameters);

static const struct varlink_parameter interface_parameter[] = { { "interface", VARLINK_STRING }, {} };
static const struct varlink_method service_methods[] = {
        { "GetInfo", get_info },
        { "GetInterfaceDescription", get_interface_description, interface_parameter },
        {},
};
static const struct varlink_interface service_interface = {
        "org.varlink.service",
        service_description,
        service_methods,
};

/* The interface whose name is the first @length bytes of @name. */
static const struct varlink_interface *find_interface(
                const struct varlink_server *server, const char *name, size_t length)
{
        if (strlen(service_interface.name) == length && memcmp(service_interface.name, name, length) == 0)
                return &service_interface;
        for (size_t i = 0; i < server->interface_count; i++)
                if (strlen(server->interfaces[i].name) == length &&
                                memcmp(server->interfaces[i].name, name, length) == 0)
                        return &server->interfaces[i];
        return NULL;
}

static int get_info(void *context, struct varlink_call *call, json_t *parameters)
{
        const struct varlink_server *server = call->client->server;
        const struct varlink_info *info = server->info;
        json_t *interfaces = json_pack("[s]", service_interface.name);

        (void) context;
        (void) parameters;
        for (size_t i = 0; interfaces && i < server->interface_count; i++)
                if (json_array_append_new(interfaces, json_string(server->interfaces[i].name)) < 0) {
                        json_decref(interfaces);
                        return -ENOMEM;
                }
        return varlink_reply(call,
                        json_pack("{ss ss ss ss so}", "vendor", info->vendor, "product", info->product, "version",
                                        info->version, "url", info->url, "interfaces", interfaces),
                        false);
}

static int interface_not_found(struct varlink_call *call, const char *name, size_t length)
{
        return varlink_error(
                        call, "org.varlink.service.InterfaceNotFound", json_pack("{ss%}", "interface", name, length));
}

static int get_interface_description(void *context, struct varlink_call *call, json_t *parameters)
{
        const char *name = json_string_value(json_object_get(parameters, "interface"));
        const struct varlink_interface *interface = find_interface(call->client->server, name, strlen(name));

        (void) context;
        if (!interface)
                return interface_not_found(call, name, strlen(name));
        return varlink_reply(call, json_pack("{ss}", "description", interface->description), false);
}

bool varlink_is_excessive(const char *text, size_t size)
{
        size_t depth = 0, values = 0;
        bool string = false;

        for (size_t i = 0; i < size; i++) {
                char c = text[i];

                if (string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                string = false;
                        continue;
                }
                if (c == '"')
                        string = true;
                else if (c == '{' || c == '[') {
                        if (++depth > VARLINK_DEPTH_MAX || ++values > VARLINK_VALUES_MAX)
                                return true;
                } else if ((c == '}' || c == ']') && depth > 0)
                        depth--;
                else if (c == ',' && ++values > VARLINK_VALUES_MAX)
                        return true;
        }
        return false;
}

static bool is_word(const json_t *value, const char *const *words)
{
        if (!json_is_string(value))
                return false;
        for (; *words; words++)
                if (strcmp(*words, json_string_value(value)) == 0)
                        return true;
        return false;
}

static bool fits(const json_t *value, const struct varlink_parameter *parameter)
{
        switch (parameter->type) {
        case VARLINK_BOOLEAN:
                return json_is_boolean(value);
        case VARLINK_INTEGER:
                return json_is_integer(value);
        case VARLINK_SIZE:
                return json_is_integer(value) && json_integer_value(value) >= 0;
        case VARLINK_STRING:
                return json_is_string(value);
        case VARLINK_WORD:
                return is_word(value, parameter->words);
        case VARLINK_WORDS:
                for (size_t i = 0; i < json_array_size(value); i++)
                        if (!is_word(json_array_get(value, i), parameter->words))
                                return false;
                return json_is_array(value);
        }
        return false;
}

static const struct varlink_parameter *find_parameter(const struct varlink_method *method, const char *name)
{
        for (const struct varlink_parameter *p = method->parameters; p && p->name; p++)
                if (strcmp(p->name, name) == 0)
                        return p;
        return NULL;
}

/*
 * Removes members that are null from @parameters. Returns the name of a parameter that the method does not accept,
 * NULL: all are valid.
 */
static const char *check_parameters(const struct varlink_method *method, json_t *parameters)
{
        const char *name;
        json_t *value;
        void *next;

        json_object_foreach_safe(parameters, next, name, value)
        {
                const struct varlink_parameter *parameter = find_parameter(method, name);

                if (!parameter)
                        return name;
                if (json_is_null(value) && parameter->optional)
                        json_object_del(parameters, name);
                else if (!fits(value, parameter))
                        return parameter->name;
        }
        for (const struct varlink_parameter *p = method->parameters; p && p->name; p++)
                if (!p->optional && !json_object_get(parameters, p->name))
                        return p->name;
        return NULL;
}

static int dispatch(struct varlink_call *call, const char *name, json_t *parameters)
{
        const struct varlink_server *server = call->client->server;
        const char *dot = strrchr(name, '.'), *wrong;
        const struct varlink_interface *interface;
        const struct varlink_method *method;

        interface = dot ? find_interface(server, name, dot - name) : NULL;
        if (!interface)
                return interface_not_found(call, name, dot ? (size_t) (dot - name) : strlen(name));
        for (method = interface->methods; method->name; method++)
                if (strcmp(method->name, dot + 1) == 0)
                        break;
        if (!method->name)
                return varlink_error(call, "org.varlink.service.MethodNotFound", json_pack("{ss}", "method", name));
        wrong = check_parameters(method, parameters);
        if (wrong)
                return varlink_invalid_parameter(call, wrong);
        if (method->needs_more && !call->more)
                return varlink_error(call, "org.varlink.service.ExpectedMore", NULL);
        return method->handle(server->context, call, parameters);
}

/* Sets *flag from the member @value of a call; null counts as absent. */
static bool take_flag(const json_t *value, bool *flag)
{
        *flag = json_is_true(value);
        return json_is_boolean(value) || json_is_null(value);
}

/*
 * Reads the members of the call @json except its method. Returns the name of a member that is wrong, NULL: all are
 * valid. *parameters is a borrowed reference, NULL if there are none.
 */
static const char *read_members(struct varlink_call *call, json_t *json, json_t **parameters)
{
        const char *key, *wrong = NULL;
        json_t *value;

        *parameters = NULL;
        json_object_foreach(json, key, value)
        {
                bool upgrade = false, good = false;

                if (strcmp(key, "method") == 0)
                        good = true;
                else if (strcmp(key, "parameters") == 0) {
                        *parameters = json_is_null(value) ? NULL : value;
                        good = json_is_object(value) || json_is_null(value);
                } else if (strcmp(key, "more") == 0)
                        good = take_flag(value, &call->more);
                else if (strcmp(key, "oneway") == 0)
                        good = take_flag(value, &call->oneway);
                else if (strcmp(key, "upgrade") == 0)
                        /* No method here switches to another protocol. */
                        good = take_flag(value, &upgrade) && !upgrade;
                else
                        /* Extensions of other vendors have names such as "com.example". */
                        good = strchr(key, '.');
                if (!good)
                        wrong = key;
        }
        return wrong ?: call->more && call->oneway ? "more" : NULL;
}

/* Answers the call @json. Returns 0, or a negative errno if the connection is to be closed. */
static int answer(struct client *client, json_t *json)
{
        const char *method = json_string_value(json_object_get(json, "method")), *wrong;
        struct varlink_call *call = &client->call;
        json_t *parameters, *none = NULL;
        int r;

        if (!json_is_object(json) || !method)
                return -EBADMSG;
        *call = (struct varlink_call){ .client = client, .active = true };
        wrong = read_members(call, json, &parameters);
        if (!parameters)
                parameters = none = json_object();
        if (!parameters)
                return -ENOMEM;
        r = wrong ? varlink_invalid_parameter(call, wrong) : dispatch(call, method, parameters);
        json_decref(none);
        if (r == 0 && call->active && call->oneway)
                /* The caller does not want replies, so the stream ends. */
                varlink_end_call(call);
        return r;
}

int varlink_answer(struct client *client, const char *text, size_t size)
{
        json_error_t error;
        json_t *json;
        int r;

        if (varlink_is_excessive(text, size))
                return -EBADMSG;
        json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
        if (!json)
                return -EBADMSG;
        r = answer(client, json);
        json_decref(json);
        return r;
}
