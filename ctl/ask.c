/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/relation.h"
#include "field.h"
#include "policy/glob.h"
#include "policy/mount.h"
#include "serve/failure.h"
#include "workload.h"

/* --- What went wrong ---------------------------------------------------------------------------------------------- */

/* Errors with one parameter, which makes a sentence with the text before and after it. */
static const struct {
        const char *name, *before, *parameter, *behind;
        int error;
} errors[] = {
        { "io.bpfbudget.NoSuchCgroup", "", "cgroup", ": there is no such cgroup", ENOENT },
        { "io.bpfbudget.NoSuchUnit", "", "unit", ": there is no such unit, or it does not run", ENOENT },
        { "io.bpfbudget.NoSuchWorkload", "", "workload", ": there is no such workload in the history", ENOENT },
        { "io.bpfbudget.NoSuchType", "", "type", ": there is no such type of maps or programs", EINVAL },
        { "io.bpfbudget.NoSuchBudget", "", "cgroup", ": no budget was set for it at run time", ENOENT },
        { "io.bpfbudget.NotPermitted", "Not permitted: ", "reason", "", EPERM },
        { "io.bpfbudget.NotSupported", "Not supported: ", "reason", "", EOPNOTSUPP },
        { "io.bpfbudget.ReplyTooLarge", "It is too much for one answer", "", "", EMSGSIZE },
        { "org.varlink.service.MethodNotFound", "The daemon does not know the method ", "method",
                        ": it is older than this program", EOPNOTSUPP },
        { "org.varlink.service.MethodNotImplemented", "The daemon does not implement the method ", "method", "",
                        EOPNOTSUPP },
        { "org.varlink.service.InterfaceNotFound", "What listens there is not bpfbudgetd: it does not know ",
                        "interface", "", EOPNOTSUPP },
        { "org.varlink.service.InvalidParameter", "The daemon does not accept the parameter ", "parameter", "",
                        EINVAL },
};

/* Logs an error with more than one parameter, or with a list. Returns a negative errno; 0: it is another error. */
static int tell_long_error(const struct client *client)
{
        const json_t *parameters = client->error_parameters, *lines;

        if (strcmp(client->error, "io.bpfbudget.InvalidBudget") == 0) {
                log_error("%s: %s", field_string(parameters, "field"), field_string(parameters, "reason"));
                return -EINVAL;
        }
        if (strcmp(client->error, "org.varlink.service.InvalidParameter") == 0 &&
                        strcmp(field_string(parameters, "parameter"), "sinceUSec") == 0) {
                log_error("--since=: the time is in the future; use a time that has passed");
                return -EINVAL;
        }
        if (strcmp(client->error, "io.bpfbudget.InvalidName") == 0) {
                log_error("%s %s", field_string(parameters, "name"), field_string(parameters, "reason"));
                return -EINVAL;
        }
        if (strcmp(client->error, "io.bpfbudget.InvalidConfiguration") != 0)
                return 0;
        lines = field_get(parameters, "errors");
        for (size_t i = 0; i < json_array_size(lines); i++)
                log_error("%s", json_string_value(json_array_get(lines, i)) ?: "");
        log_error("The configuration has errors: the configuration in force is kept");
        return -EINVAL;
}

static int tell_error(const struct client *client)
{
        _cleanup_free_ char *text = NULL;
        int r = tell_long_error(client);

        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
                if (strcmp(errors[i].name, client->error) == 0) {
                        log_error("%s%s%s", errors[i].before,
                                        field_string(client->error_parameters, errors[i].parameter), errors[i].behind);
                        return -errors[i].error;
                }
        if (client->error_parameters)
                text = json_dumps(client->error_parameters, JSON_COMPACT);
        log_error("The daemon answered %s %s", client->error, text ?: "");
        return -EPROTO;
}

/* Logs why the daemon does not run, if it has left the reason in the file beside the socket. */
static void tell_failure(const char *socket)
{
        _cleanup_free_ char *reason = failure_read(socket);

        if (reason)
                log_error("bpfbudgetd did not start: %s", reason);
}

int ask_tell(const struct client *client, int r)
{
        switch (r) {
        case 0:
                return 0;
        case CLIENT_ERROR:
                return tell_error(client);
        case -ETIMEDOUT:
                log_error("The daemon at %s does not answer", client->path);
                break;
        case -ECONNRESET:
                log_error("The daemon at %s closed the connection", client->path);
                tell_failure(client->path);
                break;
        case -EMSGSIZE:
                log_error("The answer of the daemon at %s does not end: it is longer than any answer may be",
                                client->path);
                break;
        case -EBADMSG:
                log_error("What listens at %s does not speak varlink", client->path);
                break;
        default:
                log_error("%s: %s", client->path, strerror(-r));
        }
        return r;
}

int ask_tell_connect(const struct options *options, int r)
{
        switch (r) {
        case 0:
                return 0;
        case -ENOENT:
        case -ECONNREFUSED:
                log_error("bpfbudgetd is not running: nobody listens at %s. Start it by \"systemctl start "
                          "bpfbudgetd\", "
                          "or use --direct for cgroups, tree, objects, report, capabilities and doctor",
                                options->socket);
                tell_failure(options->socket);
                return ASK_NOT_RUNNING;
        case -EACCES:
        case -EPERM:
                log_error("%s: access denied. Only root and the group bpfbudget may ask the daemon", options->socket);
                return r;
        default:
                log_error("%s: %s", options->socket, strerror(-r));
                return r;
        }
}

int ask_connect(struct client *client, const struct options *options)
{
        return ask_tell_connect(options, client_connect(client, options->socket));
}

/* --- Questions ---------------------------------------------------------------------------------------------------- */

static char *full_name(const char *method)
{
        char *name;

        if (strchr(method, '.'))
                return strdup(method);
        return asprintf(&name, "io.bpfbudget.%s", method) < 0 ? NULL : name;
}

int ask(struct client *client, const char *method, json_t *parameters, json_t **reply)
{
        _cleanup_free_ char *name = full_name(method);
        json_t *answer = NULL;
        int r;

        if (!name) {
                json_decref(parameters);
                return ask_tell(client, -ENOMEM);
        }
        r = client_call(client, name, parameters, &answer);
        if (r == 0 && reply)
                *reply = answer;
        else if (r == 0)
                json_decref(answer);
        return ask_tell(client, r);
}

struct joined {
        const char *key;
        json_t *list;
};

static int join(void *context, json_t *reply)
{
        struct joined *joined = context;
        json_t *part = json_object_get(reply, joined->key);

        if (!json_is_array(part))
                return -EBADMSG;
        return json_array_extend(joined->list, part) < 0 ? -ENOMEM : 0;
}

int ask_list(struct client *client, const char *method, json_t *parameters, const char *key, json_t **list)
{
        _cleanup_free_ char *name = full_name(method);
        struct joined joined = { key, json_array() };
        int r;

        if (!name || !joined.list) {
                json_decref(parameters);
                r = -ENOMEM;
        } else
                r = client_call_more(client, name, parameters, join, &joined);
        if (r == 0)
                *list = joined.list;
        else
                json_decref(joined.list);
        return ask_tell(client, r);
}

/* A name without a suffix is that of a service, as for systemctl. */
static char *unit_name(const char *name)
{
        static const char *const suffixes[] = { ".service", ".scope", ".slice", ".socket", ".mount", ".swap" };
        size_t n = strlen(name);
        char *unit;

        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
                size_t length = strlen(suffixes[i]);

                if (n > length && strcmp(name + n - length, suffixes[i]) == 0)
                        return strdup(name);
        }
        return asprintf(&unit, "%s.service", name) < 0 ? NULL : unit;
}

/* The path @name without the slashes at its end, as the daemon writes it. To be freed. */
static char *cgroup_path(const char *name)
{
        const char *path = strip_mount(name);
        size_t n = strlen(path);

        while (n > 1 && path[n - 1] == '/')
                n--;
        return strndup(path, n);
}

bool ask_is_exact(const char *name)
{
        return !strpbrk(name, "*?[");
}

/* The glob of the unit @name and what is below it; NULL: no memory. */
static char *unit_glob(const char *name)
{
        _cleanup_free_ char *unit = unit_name(name);
        char *glob;

        return unit && asprintf(&glob, "**/%s/**", unit) >= 0 ? glob : NULL;
}

/* The cgroup of the workload @name: *cgroup is to be freed. */
static int find_workload(struct client *client, const char *name, char **cgroup)
{
        json_t *list;
        int r = ask_list(client, "ListCgroups", NULL, "cgroups", &list);

        if (r < 0)
                return r;
        r = workload_find(list, name, cgroup);
        json_decref(list);
        if (r == -ENOENT)
                return ask_tell_missing(name);
        return r == -ENOMEM ? ask_tell(client, r) : r;
}

int ask_check_unit(struct client *client, const char *name)
{
        _cleanup_free_ char *cgroup = NULL, *glob = NULL;
        int r;

        /* The daemon has already checked paths and globs, and a list for a glob may be empty. */
        if (!name || strchr(name, '/') || !ask_is_exact(name))
                return 0;
        r = ask_cgroup(client, name, &cgroup);
        if (r < 0)
                return r;
        glob = unit_glob(name);
        if (!glob)
                return ask_tell(client, -ENOMEM);
        if (glob_match(glob, cgroup))
                return 0;
        log_error("%s: there is no such unit, but the workload at %s: give this path", name, cgroup);
        return -ENOENT;
}

int ask_once(const struct options *options, const char *method, json_t *parameters, const char *key,
                const char *argument, json_t **list)
{
        struct client client;
        int r = ask_connect(&client, options);

        if (r < 0)
                json_decref(parameters);
        else
                r = ask_list(&client, method, parameters, key, list);
        if (r == 0 && json_array_size(*list) == 0) {
                r = ask_check_unit(&client, argument);
                if (r < 0)
                        json_decref(*list);
        }
        client_deinit(&client);
        return r;
}

struct written {
        const char *key;
        bool (*wants)(struct slice element); /* NULL: all */
        FILE *stream;
        bool any;     /* was written */
        bool answers; /* the list is not empty */
};

static int write_piece(struct written *written, struct slice piece)
{
        if (written->any)
                fputc(',', written->stream);
        written->any = true;
        return fwrite(piece.start, 1, piece.length, written->stream) < piece.length ? -ENOMEM : 0;
}

static int write_part(void *context, struct slice parameters)
{
        struct written *written = context;
        struct slice list, elements, element;
        int r = 0;

        if (!slice_member(parameters, written->key, &list) || !slice_elements(list, &elements))
                return -EBADMSG;
        if (elements.length == 0)
                return 0;
        written->answers = true;
        if (!written->wants)
                return write_piece(written, elements);
        while (r == 0 && elements.length > 0) {
                if (!slice_take(&elements, &element))
                        return -EBADMSG;
                if (written->wants(element))
                        r = write_piece(written, element);
        }
        return r;
}

/* Collects the list as text in *@text, to be freed, @size bytes. */
static int collect_text(struct client *client, const char *method, json_t *parameters, struct written *written,
                char **text, size_t *size)
{
        _cleanup_free_ char *name = full_name(method);
        int r = -ENOMEM;

        written->stream = open_memstream(text, size);
        if (name && written->stream) {
                fprintf(written->stream, "{\"%s\":[", written->key);
                r = client_call_text(client, name, parameters, write_part, written);
                fputs("]}\n", written->stream);
        } else
                json_decref(parameters);
        if (written->stream && fclose(written->stream) != 0)
                r = -ENOMEM;
        return ask_tell(client, r);
}

int ask_and_write(const struct options *options, const char *method, json_t *parameters, const char *key,
                const char *argument, bool (*wants)(struct slice element), FILE *file)
{
        struct written written = { .key = key, .wants = wants };
        _cleanup_free_ char *text = NULL;
        struct client client;
        size_t size;
        int r;

        r = ask_connect(&client, options);
        if (r < 0)
                json_decref(parameters);
        else
                r = collect_text(&client, method, parameters, &written, &text, &size);
        if (r == 0 && !written.answers)
                r = ask_check_unit(&client, argument);
        if (r == 0 && (fwrite(text, 1, size, file) < size || fflush(file) == EOF)) {
                log_error("The output cannot be written: %s", strerror(errno));
                r = -EIO;
        }
        client_deinit(&client);
        return r;
}

json_t *ask_cgroups_parameters(const char *glob)
{
        return json_pack("{ss*}", "cgroup", glob);
}

json_t *ask_objects_parameters(const char *glob, uint32_t relations)
{
        return json_pack("{ss* sb sb sb}", "cgroup", glob, "holders", (relations & RELATION_HOLDERS) != 0, "pins",
                        (relations & RELATION_PINS) != 0, "uses", (relations & RELATION_USES) != 0);
}

/* --- Cgroups, units and workloads --------------------------------------------------------------------------------- */

int ask_tell_missing(const char *name)
{
        _cleanup_free_ char *unit = strchr(name, '/') ? NULL : unit_name(name);

        if (unit)
                log_error("%s: there is no such unit, or it does not run", unit);
        else if (*name == '/')
                log_error("%s: there is no such cgroup", name);
        else
                log_error("%s: there is no such pod or container, or its name is not known", name);
        return -ENOENT;
}

/* The glob of the cgroup of the workload @name and those below it. */
static int workload_glob(const struct options *options, const char *name, char **glob)
{
        _cleanup_free_ char *cgroup = NULL, *escaped = NULL;
        struct client client = { .fd = -1 };
        int r;

        if (options->direct) {
                log_error("%s: names of pods and containers need the daemon, there is no --direct", name);
                return -EINVAL;
        }
        r = ask_connect(&client, options);
        if (r == 0)
                r = find_workload(&client, name, &cgroup);
        client_deinit(&client);
        if (r < 0)
                return r;
        r = glob_escape(cgroup, &escaped);
        if (r == 0 && asprintf(glob, "%s/**", escaped) >= 0)
                return 0;
        *glob = NULL;
        log_error("%s: %s", cgroup, strerror(r < 0 ? -r : ENOMEM));
        return r < 0 ? r : -ENOMEM;
}

int ask_glob(const struct options *options, const char *name, char **glob)
{
        *glob = NULL;
        if (!name)
                return 0;
        if (is_workload_name(name))
                return workload_glob(options, name, glob);
        if (*name == '/')
                *glob = cgroup_path(name);
        else
                *glob = *name == '*' ? strdup(name) : unit_glob(name);
        if (*glob)
                return 0;
        log_error("Out of memory");
        return -ENOMEM;
}

/* Asks about the cgroup @path. */
static int explain_cgroup(struct client *client, const char *path, json_t **reply)
{
        _cleanup_free_ char *text = cgroup_path(path);

        return text ? ask(client, "Explain", json_pack("{ss}", "cgroup", text), reply) : ask_tell(client, -ENOMEM);
}

int ask_explain(struct client *client, const char *name, json_t **reply)
{
        _cleanup_free_ char *unit = NULL, *cgroup = NULL;
        int r;

        if (*name == '/')
                return explain_cgroup(client, name, reply);
        if (!is_workload_name(name)) {
                unit = unit_name(name);
                if (!unit)
                        return ask_tell(client, -ENOMEM);
                r = client_call(client, "io.bpfbudget.Explain", json_pack("{ss}", "unit", unit), reply);
                if (r != CLIENT_ERROR || strcmp(client->error, "io.bpfbudget.NoSuchUnit") != 0)
                        return ask_tell(client, r);
        }
        r = find_workload(client, name, &cgroup);
        return r < 0 ? r : explain_cgroup(client, cgroup, reply);
}

int ask_cgroup(struct client *client, const char *name, char **cgroup)
{
        json_t *reply;
        int r;

        if (*name == '/') {
                *cgroup = cgroup_path(name);
                return *cgroup ? 0 : ask_tell(client, -ENOMEM);
        }
        if (is_workload_name(name))
                return find_workload(client, name, cgroup);
        /* Only the daemon knows the cgroup of a unit. */
        r = ask_explain(client, name, &reply);
        if (r < 0)
                return r;
        *cgroup = strdup(field_string(reply, "cgroup.path"));
        json_decref(reply);
        return *cgroup ? 0 : ask_tell(client, -ENOMEM);
}
