/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "account/podnames.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account/workload.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/uthash-nonfatal.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define LOG_DIRECTORY "/var/log"

/* What is above the places, from the top on. */
static const char *const parents[] = { "/", "/var", LOG_DIRECTORY };

/* Entries of a directory that are looked at. */
#define ENTRIES_MAX (4 * POD_NAMES_MAX)

#define WATCH_ENTRIES (IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct log_entry {
        char key[CONTAINER_ID_LENGTH + 1];
        char *pod, *container;
        UT_hash_handle hh;
};
_Static_assert(POD_UID_SIZE <= CONTAINER_ID_LENGTH + 1, "a uid is a key, too");

/* Kinds of what is wrong: each is logged once. */
enum fault {
        FAULT_NAME,
        FAULT_TYPE,
        FAULT_OWNER,
        FAULT_TWICE,
        FAULT_MANY,
        FAULT_DIRECTORY,
};

static const char *const fault_texts[] = {
        [FAULT_NAME] = "is not named as the kubelet does it",
        [FAULT_TYPE] = "is not what the kubelet makes there",
        [FAULT_OWNER] = "does not belong to root",
        [FAULT_TWICE] = "has the id of another one",
        [FAULT_MANY] = "is more than is looked at",
        [FAULT_DIRECTORY] = "cannot be read",
};

/* A name of the file system's as one line of text. */
static const char *printable(const char *name, char text[static NAME_MAX + 1])
{
        size_t i;

        for (i = 0; i < NAME_MAX && name[i]; i++)
                text[i] = name[i] >= ' ' && name[i] < 0x7f ? name[i] : '?';
        text[i] = '\0';
        return text;
}

static const struct kind {
        const char *directory;
        mode_t type;
        bool (*parse)(const char *name, struct log_entry *entry);
} kinds[POD_NAMES_PLACES];

static void warn_once(struct pod_names *names, enum pod_names_place place, const char *name, enum fault fault)
{
        char text[NAME_MAX + 1];

        if (names->warned & 1U << fault)
                return;
        names->warned |= 1U << fault;
        log_warning("%s%s/%s %s: it is ignored, as are others like it", names->root, kinds[place].directory,
                        printable(name, text), fault_texts[fault]);
}

/* --- Names ---------------------------------------------------------------------------------------------------------
 */

/* "@namespace/@name", NULL: no memory. */
static char *join(const char *namespace, size_t namespace_length, const char *name, size_t name_length)
{
        char *text;

        return asprintf(&text, "%.*s/%.*s", (int) namespace_length, namespace, (int) name_length, name) < 0 ? NULL
                                                                                                            : text;
}

/* NAMESPACE_POD_UID; none of them has a "_". */
static bool parse_pod(const char *name, struct log_entry *entry)
{
        const char *first = strchr(name, '_'), *last = strrchr(name, '_');

        if (!first || first == last || !is_pod_namespace(name, first - name) ||
                        !is_pod_name(first + 1, last - first - 1) || !is_pod_uid(last + 1, strlen(last + 1)))
                return false;
        strcpy(entry->key, last + 1);
        entry->pod = join(name, first - name, first + 1, last - first - 1);
        return true;
}

/* POD_NAMESPACE_CONTAINER-ID.log; one that was cut to the longest name of a file has no id, and is ignored. */
static bool parse_container(const char *name, struct log_entry *entry)
{
        static const char suffix[] = ".log";
        const char *first = strchr(name, '_'), *last = strrchr(name, '_'), *id;
        size_t length = strlen(name);

        if (!first || first == last || length < sizeof(suffix) + CONTAINER_ID_LENGTH)
                return false;
        id = name + length - strlen(suffix) - CONTAINER_ID_LENGTH;
        if (strcmp(id + CONTAINER_ID_LENGTH, suffix) != 0 || id <= last + 2 || id[-1] != '-' ||
                        !is_container_id(id, CONTAINER_ID_LENGTH) || !is_pod_name(name, first - name) ||
                        !is_pod_namespace(first + 1, last - first - 1) || !is_pod_namespace(last + 1, id - last - 2))
                return false;
        memcpy(entry->key, id, CONTAINER_ID_LENGTH);
        entry->pod = join(first + 1, last - first - 1, name, first - name);
        entry->container = strndup(last + 1, id - last - 2);
        return true;
}

static const struct kind kinds[POD_NAMES_PLACES] = {
        [PLACE_PODS] = { LOG_DIRECTORY "/pods", S_IFDIR, parse_pod },
        [PLACE_CONTAINERS] = { LOG_DIRECTORY "/containers", S_IFLNK, parse_container },
};

static void entry_free(struct log_entry *entry)
{
        if (!entry)
                return;
        free(entry->pod);
        free(entry->container);
        free(entry);
}

static void cleanup_entry(struct log_entry **entry)
{
        entry_free(*entry);
}

static bool same_names(const struct log_entry *a, const struct log_entry *b)
{
        return strcmp(a->pod, b->pod) == 0 && (!a->container || strcmp(a->container, b->container) == 0);
}

/* Makes the entry for @name. Returns 0; -EINVAL: the name does not have the kubelet's form; -ENOMEM. */
static int make_entry(enum pod_names_place place, const char *name, struct log_entry **ret)
{
        _cleanup_(cleanup_entry) struct log_entry *entry = calloc(1, sizeof(*entry));

        if (!entry)
                return -ENOMEM;
        if (!kinds[place].parse(name, entry))
                return -EINVAL;
        if (!entry->pod || (place == PLACE_CONTAINERS && !entry->container))
                return -ENOMEM;
        *ret = entry;
        entry = NULL;
        return 0;
}

/* What is wrong with @name in the directory @fd; -1: nothing, -2: it is gone. */
static int check_entry(const struct pod_names *names, enum pod_names_place place, int fd, const char *name)
{
        struct stat status;

        if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return -2;
        if ((status.st_mode & S_IFMT) != kinds[place].type)
                return FAULT_TYPE;
        return status.st_uid == names->owner ? -1 : FAULT_OWNER;
}

/* Adds the entry for @name in the directory @fd. Returns 1: it is new; 0: it is not, or is ignored; -ENOMEM. */
static int add(struct pod_names *names, enum pod_names_place place, int fd, const char *name, char key[])
{
        _cleanup_(cleanup_entry) struct log_entry *entry = NULL;
        struct log_entry *other;
        int r = make_entry(place, name, &entry), fault;

        if (r == -ENOMEM)
                return r;
        fault = r < 0 ? FAULT_NAME : check_entry(names, place, fd, name);
        if (fault == -1 && HASH_COUNT(names->places[place].entries) >= POD_NAMES_MAX)
                fault = FAULT_MANY;
        if (fault == -1) {
                HASH_FIND_STR(names->places[place].entries, entry->key, other);
                if (other && same_names(other, entry))
                        return 0;
                if (other)
                        fault = FAULT_TWICE;
        }
        if (fault >= 0)
                warn_once(names, place, name, fault);
        if (fault != -1)
                return 0;
        strcpy(key, entry->key);
        HASH_ADD_STR(names->places[place].entries, key, entry);
        if (!HASH_ADDED(entry))
                return -ENOMEM;
        entry = NULL;
        return 1;
}

/* Forgets what @name says. Returns 0 or -ENOMEM. */
static int forget(struct pod_names *names, enum pod_names_place place, const char *name)
{
        _cleanup_(cleanup_entry) struct log_entry *entry = NULL;
        struct log_entry *known;
        int r = make_entry(place, name, &entry);

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        HASH_FIND_STR(names->places[place].entries, entry->key, known);
        if (known && same_names(known, entry)) {
                HASH_DEL(names->places[place].entries, known);
                entry_free(known);
        }
        return 0;
}

static void forget_place(struct pod_names *names, enum pod_names_place place)
{
        struct log_entry *entry, *next;

        HASH_ITER (hh, names->places[place].entries, entry, next) {
                HASH_DEL(names->places[place].entries, entry);
                entry_free(entry);
        }
}

/* --- Directories ---------------------------------------------------------------------------------------------------
 */

static int path_of(const struct pod_names *names, const char *directory, char **path)
{
        if (asprintf(path, "%s%s", names->root, directory) >= 0)
                return 0;
        *path = NULL;
        return -ENOMEM;
}

/* Reads all of @place again. @found may be NULL. Returns 0 or -ENOMEM. */
static int read_place(struct pod_names *names, enum pod_names_place place, pod_names_found_t found, void *context)
{
        _cleanup_closedir_ DIR *directory = NULL;
        _cleanup_free_ char *path = NULL;
        const struct dirent *entry;
        size_t count = 0;
        int r = path_of(names, kinds[place].directory, &path);

        if (r < 0)
                return r;
        directory = opendir(path);
        if (!directory) {
                if (errno != ENOENT)
                        warn_once(names, place, "", FAULT_DIRECTORY);
                return 0;
        }
        while (r >= 0 && (entry = readdir(directory))) {
                char key[CONTAINER_ID_LENGTH + 1];

                if (*entry->d_name == '.')
                        continue;
                if (++count > ENTRIES_MAX) {
                        warn_once(names, place, entry->d_name, FAULT_MANY);
                        break;
                }
                r = add(names, place, dirfd(directory), entry->d_name, key);
                if (r > 0 && found)
                        found(context, key);
        }
        return r < 0 ? r : 0;
}

/* Adds a watch of @directory. Returns it, -1: there is none. */
static int watch(const struct pod_names *names, const char *directory, uint32_t mask)
{
        _cleanup_free_ char *path = NULL;

        if (names->fd < 0 || path_of(names, directory, &path) < 0)
                return -1;
        return inotify_add_watch(names->fd, path, mask);
}

static bool all_watched(const struct pod_names *names)
{
        for (int i = 0; i < POD_NAMES_PLACES; i++)
                if (names->places[i].watch < 0)
                        return false;
        return true;
}

/*
 * Watches the parent of the directories, or else the lowest existing directory above it; from the top downwards, so
 * that nothing is missed.
 */
static void watch_parent(struct pod_names *names)
{
        for (size_t i = 0; i < LENGTH(parents); i++) {
                int parent = watch(names, parents[i], IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);

                if (parent < 0)
                        break;
                if (names->parent_watch >= 0 && names->parent_watch != parent)
                        inotify_rm_watch(names->fd, names->parent_watch);
                names->parent_watch = parent;
        }
}

/*
 * Watches the existing directories that are not watched yet, and then reads them; also their parent while one is
 * missing.
 */
static int watch_all(struct pod_names *names, pod_names_found_t found, void *context)
{
        int r = 0;

        watch_parent(names);
        for (int i = 0; r == 0 && i < POD_NAMES_PLACES; i++) {
                if (names->places[i].watch >= 0)
                        continue;
                names->places[i].watch = watch(names, kinds[i].directory, WATCH_ENTRIES);
                r = read_place(names, i, found, context);
        }
        if (all_watched(names) && names->parent_watch >= 0) {
                inotify_rm_watch(names->fd, names->parent_watch);
                names->parent_watch = -1;
        }
        return r;
}

int pod_names_init(struct pod_names *names, const char *root, uid_t owner, bool follow)
{
        *names = (struct pod_names){ .fd = -1, .root = root, .owner = owner, .parent_watch = -1 };
        for (int i = 0; i < POD_NAMES_PLACES; i++)
                names->places[i].watch = -1;
        if (follow)
                names->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (follow && names->fd < 0)
                log_warning("inotify is not available (%s): pods that come later have no names", strerror(errno));
        return watch_all(names, NULL, NULL);
}

void pod_names_deinit(struct pod_names *names)
{
        for (int i = 0; i < POD_NAMES_PLACES; i++)
                forget_place(names, i);
        if (names->fd >= 0)
                close(names->fd);
        names->fd = -1;
}

/* --- What comes and goes -------------------------------------------------------------------------------------------
 */

/* One reading of the queue. */
struct taking {
        struct pod_names *names;
        int fds[POD_NAMES_PLACES]; /* of the directories, opened when the first event of each needs it; -1 */
        pod_names_found_t found;
        void *context;
        bool again; /* directories are to be looked for */
};

/* The directory is gone, or another is in its place. */
static void lose_place(struct taking *taking, enum pod_names_place place)
{
        struct pod_names *names = taking->names;

        if (names->places[place].watch >= 0)
                inotify_rm_watch(names->fd, names->places[place].watch);
        names->places[place].watch = -1;
        forget_place(names, place);
        taking->again = true;
}

static int take_name(struct taking *taking, enum pod_names_place place, const struct inotify_event *event)
{
        struct pod_names *names = taking->names;
        char key[CONTAINER_ID_LENGTH + 1];
        int r;

        if (event->len == 0 || *event->name == '.')
                return 0;
        if (event->mask & (IN_DELETE | IN_MOVED_FROM))
                return forget(names, place, event->name);
        if (taking->fds[place] < 0) {
                _cleanup_free_ char *path = NULL;

                r = path_of(names, kinds[place].directory, &path);
                if (r < 0)
                        return r;
                taking->fds[place] = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (taking->fds[place] < 0)
                        return 0;
        }
        r = add(names, place, taking->fds[place], event->name, key);
        if (r > 0)
                taking->found(taking->context, key);
        return r < 0 ? r : 0;
}

/* Whether @name is one of the places, or a directory above them. */
static bool is_on_the_way(const char *name)
{
        for (size_t i = 1; i < LENGTH(parents); i++)
                if (strcmp(strrchr(parents[i], '/') + 1, name) == 0)
                        return true;
        for (int i = 0; i < POD_NAMES_PLACES; i++)
                if (strcmp(strrchr(kinds[i].directory, '/') + 1, name) == 0)
                        return true;
        return false;
}

static int take_event(struct taking *taking, const struct inotify_event *event)
{
        struct pod_names *names = taking->names;

        if (event->mask & IN_Q_OVERFLOW) {
                for (int i = 0; i < POD_NAMES_PLACES; i++)
                        lose_place(taking, i);
                return 0;
        }
        for (int i = 0; i < POD_NAMES_PLACES; i++) {
                if (names->places[i].watch != event->wd)
                        continue;
                if (!(event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)))
                        return take_name(taking, i, event);
                lose_place(taking, i);
                return 0;
        }
        if (event->wd == names->parent_watch && event->mask & IN_IGNORED)
                names->parent_watch = -1;
        else if (event->wd == names->parent_watch && event->len > 0)
                taking->again |= is_on_the_way(event->name);
        return 0;
}

int pod_names_take(struct pod_names *names, pod_names_found_t found, void *context)
{
        char buffer[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
        struct taking taking = { names, { -1, -1 }, found, context, false };
        ssize_t n;
        int r = 0;

        while (r == 0 && names->fd >= 0 && (n = read(names->fd, buffer, sizeof(buffer))) > 0)
                for (char *p = buffer; r == 0 && p < buffer + n;) {
                        const struct inotify_event *event = (const struct inotify_event *) p;

                        r = take_event(&taking, event);
                        p += sizeof(*event) + event->len;
                }
        for (int i = 0; i < POD_NAMES_PLACES; i++)
                if (taking.fds[i] >= 0)
                        close(taking.fds[i]);
        return r == 0 && taking.again ? watch_all(names, found, context) : r;
}

bool pod_names_find(const struct pod_names *names, enum pod_names_place place, const char *key, struct pod_name *name)
{
        struct log_entry *entry;

        HASH_FIND_STR(names->places[place].entries, key, entry);
        if (!entry)
                return false;
        *name = (struct pod_name){ entry->pod, entry->container };
        return true;
}
