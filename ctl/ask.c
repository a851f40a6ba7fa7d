/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/relation.h"
#include "field.h"

/* --- What went wrong ---------------------------------------------------------------------------------------------- */

/* Errors whose parameter makes a sentence with what is before and behind it. */
static const struct {
        const char *name, *before, *parameter, *behind;
        int error;
} errors[] = {
        { "io.bpfbudget.NoSuchCgroup", "", "cgroup", ": there is no such cgroup", ENOENT },
        { "io.bpfbudget.NoSuchUnit", "", "unit", ": there is no such unit, or it does not run", ENOENT },
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

/* Errors with more than one parameter, or a list. Returns a negative errno; 0: it is none of them. */
static int tell_long_error(const struct client *client)
{
        const json_t *parameters = client->error_parameters, *lines;

        if (strcmp(client->error, "io.bpfbudget.InvalidBudget") == 0) {
                log_error("%s: %s", field_string(parameters, "field"), field_string(parameters, "reason"));
                return -EINVAL;
        }
        if (strcmp(client->error, "io.bpfbudget.InvalidConfiguration") != 0)
                return 0;
        lines = field_get(parameters, "errors");
        for (size_t i = 0; i < json_array_size(lines); i++)
                log_error("%s", json_string_value(json_array_get(lines, i)) ?: "");
        log_error("The configuration has errors: the one in force stays");
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
                break;
        case -EBADMSG:
                log_error("What listens at %s does not speak varlink", client->path);
                break;
        default:
                log_error("%s: %s", client->path, strerror(-r));
        }
        return r;
}

int ask_connect(struct client *client, const struct options *options)
{
        int r = client_connect(client, options->socket);

        switch (r) {
        case 0:
                return 0;
        case -ENOENT:
        case -ECONNREFUSED:
                log_error("bpfbudgetd is not running: nobody listens at %s. Start it by \"systemctl start "
                          "bpfbudgetd\", "
                          "or use --direct for cgroups, tree, objects and capabilities",
                                options->socket);
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

int ask_once(const struct options *options, const char *method, json_t *parameters, const char *key, json_t **list)
{
        struct client client;
        int r = ask_connect(&client, options);

        if (r < 0)
                json_decref(parameters);
        else
                r = ask_list(&client, method, parameters, key, list);
        client_deinit(&client);
        return r;
}

struct written {
        const char *key;
        FILE *stream;
        bool any;
};

static int write_part(void *context, struct slice parameters)
{
        struct written *written = context;
        struct slice list, elements;

        if (!slice_member(parameters, written->key, &list) || !slice_elements(list, &elements))
                return -EBADMSG;
        if (elements.length == 0)
                return 0;
        if (written->any)
                fputc(',', written->stream);
        written->any = true;
        return fwrite(elements.start, 1, elements.length, written->stream) < elements.length ? -ENOMEM : 0;
}

/* Collects the list as text in *@text, to be freed. */
static int collect_text(struct client *client, const char *method, json_t *parameters, const char *key, char **text,
                size_t *size)
{
        _cleanup_free_ char *name = full_name(method);
        struct written written = { key, open_memstream(text, size), false };
        int r = -ENOMEM;

        if (name && written.stream) {
                fprintf(written.stream, "{\"%s\":[", key);
                r = client_call_text(client, name, parameters, write_part, &written);
                fputs("]}\n", written.stream);
        } else
                json_decref(parameters);
        if (written.stream && fclose(written.stream) != 0)
                r = -ENOMEM;
        return ask_tell(client, r);
}

int ask_and_write(const struct options *options, const char *method, json_t *parameters, const char *key, FILE *file)
{
        _cleanup_free_ char *text = NULL;
        struct client client;
        size_t size;
        int r;

        r = ask_connect(&client, options);
        if (r < 0)
                json_decref(parameters);
        else
                r = collect_text(&client, method, parameters, key, &text, &size);
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

/* --- Cgroups and units -------------------------------------------------------------------------------------------- */

/* A path below the mount of the cgroup hierarchy; constant or part of @name. */
static const char *strip_mount(const char *name)
{
        static const char *const mounts[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };

        for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
                size_t n = strlen(mounts[i]);

                if (strncmp(name, mounts[i], n) == 0 && (name[n] == '/' || name[n] == '\0'))
                        return name[n] ? name + n : "/";
        }
        return name;
}

/* A name without a suffix is a service's, as for systemctl. */
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

/* Without the slashes at its end, as the daemon names it. To be freed. */
static char *cgroup_path(const char *name)
{
        const char *path = strip_mount(name);
        size_t n = strlen(path);

        while (n > 1 && path[n - 1] == '/')
                n--;
        return strndup(path, n);
}

int ask_glob(const char *name, char **glob)
{
        _cleanup_free_ char *unit = NULL;

        *glob = NULL;
        if (!name)
                return 0;
        if (*name == '/' || *name == '*')
                *glob = strdup(name);
        else if ((unit = unit_name(name)) && asprintf(glob, "**/%s/**", unit) < 0)
                *glob = NULL;
        if (*glob)
                return 0;
        log_error("Out of memory");
        return -ENOMEM;
}

json_t *ask_subject(const char *name)
{
        _cleanup_free_ char *text = *name == '/' ? cgroup_path(name) : unit_name(name);

        return text ? json_pack("{ss}", *name == '/' ? "cgroup" : "unit", text) : NULL;
}

int ask_cgroup(struct client *client, const char *name, char **cgroup)
{
        json_t *reply;
        int r;

        if (*name == '/') {
                *cgroup = cgroup_path(name);
                return *cgroup ? 0 : ask_tell(client, -ENOMEM);
        }
        /* Which cgroup a unit has is the daemon's knowledge. */
        r = ask(client, "Explain", ask_subject(name), &reply);
        if (r < 0)
                return r;
        *cgroup = strdup(field_string(reply, "cgroup.path"));
        json_decref(reply);
        return *cgroup ? 0 : ask_tell(client, -ENOMEM);
}
