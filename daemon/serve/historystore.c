/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/historystore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/fileio.h"
#include "base/log.h"
#include "serve/historyclock.h"
#include "serve/historydb.h"
#include "serve/historypack.h"
#include "serve/historyshare.h"

/* "bpfb": the application that the file belongs to. */
#define APPLICATION_ID 0x62706662

/* The file's header (sqlite.org/fileformat2.html): offsets of its version and its application, big-endian numbers. */
#define HEADER_SIZE  100
#define HEADER_MAGIC "SQLite format 3"
/* Offsets of the versions of SQLite's format to write and to read, one byte each, and of that of the schema. */
#define HEADER_WRITE_FORMAT   18
#define HEADER_READ_FORMAT    19
#define HEADER_SCHEMA_FORMAT  44
#define HEADER_VERSION        60
#define HEADER_APPLICATION_ID 68

/* Memory for pages, in KiB; the number of pages of the log at which it is written back to the database. */
#define CACHE_KIB     160
#define LOG_PAGES     128
#define PAGE_SIZE     4096
#define LOG_BYTES_MAX (2 * LOG_PAGES * PAGE_SIZE)

/* The number of oldest hours that are deleted at once, once an hour: a clock that is wrong for a while deletes few. */
#define PRUNE_HOURS 24

/* A row that is further in the future was written while the clock was wrong. */
#define FUTURE_HOURS HISTORY_HOURS

static const char schema[] =
                "CREATE TABLE series(id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL, kind INTEGER NOT "
                "NULL,"
                " name TEXT NOT NULL, cgroup TEXT, outer INTEGER NOT NULL, first INTEGER NOT NULL, seen INTEGER NOT "
                "NULL,"
                " initial INTEGER NOT NULL, level INTEGER NOT NULL, allocated INTEGER, ceiling INTEGER,"
                " unbounded INTEGER, percpu INTEGER, largest INTEGER, UNIQUE(parent, kind, name));"
                "CREATE TABLE peaks(hour INTEGER, series INTEGER, peak INTEGER NOT NULL, last INTEGER, steps INTEGER,"
                " step INTEGER, PRIMARY KEY(hour, series)) WITHOUT ROWID;"
                "CREATE TABLE mappeaks(hour INTEGER, series INTEGER, peak INTEGER NOT NULL, last INTEGER, steps "
                "INTEGER,"
                " step INTEGER, PRIMARY KEY(hour, series)) WITHOUT ROWID;"
                "CREATE TABLE packed(hour INTEGER, maps INTEGER, rows BLOB NOT NULL, PRIMARY KEY(hour, maps));"
                "CREATE TABLE events(id INTEGER PRIMARY KEY, sec INTEGER NOT NULL, series INTEGER NOT NULL,"
                " kind INTEGER NOT NULL, count INTEGER NOT NULL, usage INTEGER, size INTEGER, usec INTEGER, what TEXT,"
                " comm TEXT, object TEXT);"
                "CREATE TABLE sessions(began INTEGER PRIMARY KEY, ended INTEGER NOT NULL);"
                "PRAGMA application_id=1651533410; PRAGMA user_version=1;";
_Static_assert(APPLICATION_ID == 1651533410 && HISTORY_VERSION == 1, "as the schema says");

/* Workloads and maps have tables of their own, so that maps are read only on request. */
#define ADD_HOUR_TO(table)                                                                   \
        "INSERT INTO " table " VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(hour,series) DO UPDATE" \
        " SET peak=max(peak,excluded.peak), last=coalesce(excluded.last,excluded.peak),"     \
        " steps=steps+excluded.steps, step=max(step,excluded.step)"
#define ROWS_OF(table) "SELECT hour,series,peak,last,steps,step FROM " table
/* An hour below 0 is damage that SQLite does not detect. */
#define LIST_HOURS_OF(table) ROWS_OF(table) " WHERE hour BETWEEN 0 AND ?1 ORDER BY hour,series"
#define LIST_HOUR_OF(table)  ROWS_OF(table) " WHERE hour=?1 ORDER BY series"
/* The first hour before ?1 that is not packed yet. */
#define NEXT_HOUR_OF(table, maps) \
        "SELECT min(hour) FROM " table " WHERE hour<?1 AND hour NOT IN (SELECT hour FROM packed WHERE maps=" maps ")"

static const char *const statements[STATEMENTS] = {
        [FIND_SERIES] = "SELECT id FROM series WHERE parent=?1 AND kind=?2 AND name=?3",
        [COUNT_NAMES] = "SELECT count(*) FROM series WHERE parent=0 AND kind=?1 AND name>=?2 AND name<?3",
        [ADD_SERIES] = "INSERT INTO series(parent,kind,name,cgroup,outer,first,seen,initial,level,allocated,"
                       "ceiling,unbounded,percpu,largest) VALUES(?1,?2,?3,?4,?5,?6,?6,?7,?8,?9,?10,?11,?12,?13)",
        /* A workload that is gone keeps its last known attributes. */
        [SET_SERIES] = "UPDATE series SET "
                       "level=?2,seen=?3,first=min(first,?3),cgroup=?4,outer=?5,allocated=?6,ceiling=?7,unbounded=?8,"
                       "percpu=?9,largest=max(coalesce(largest,0),?10) WHERE id=?1",
        [SET_LEVEL] = "UPDATE series SET level=?2,seen=?3,first=min(first,?3) WHERE id=?1",
        [SET_INITIAL] = "UPDATE series SET initial=?2 WHERE id=?1",
        [ADD_HOUR] = ADD_HOUR_TO("peaks"),
        [ADD_MAP_HOUR] = ADD_HOUR_TO("mappeaks"),
        [ADD_EVENT] = "INSERT INTO events(sec,series,kind,count,usage,size,usec,what,comm,object)"
                      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)",
        [SET_SESSION] = "INSERT INTO sessions VALUES(?1,?2) ON CONFLICT(began) DO UPDATE SET"
                        " ended=max(ended,excluded.ended)",
        [LIST_LEFT] = "SELECT id,kind FROM series WHERE level>0",
        [LIST_SERIES] = "SELECT id,parent,kind,name,cgroup,outer,first,initial,level,allocated,ceiling,unbounded,"
                        "percpu,largest FROM series ORDER BY id",
        [LIST_HOURS] = LIST_HOURS_OF("peaks"),
        [LIST_MAP_HOURS] = LIST_HOURS_OF("mappeaks"),
        [LIST_PACKED] = "SELECT hour,rows FROM packed WHERE maps=?2 AND hour BETWEEN 0 AND ?1"
                        " ORDER BY hour",
        [LIST_HOUR] = LIST_HOUR_OF("peaks"),
        [LIST_MAP_HOUR] = LIST_HOUR_OF("mappeaks"),
        [NEXT_HOUR] = NEXT_HOUR_OF("peaks", "0"),
        [NEXT_MAP_HOUR] = NEXT_HOUR_OF("mappeaks", "1"),
        [DROP_HOUR] = "DELETE FROM peaks WHERE hour=?1",
        [DROP_MAP_HOUR] = "DELETE FROM mappeaks WHERE hour=?1",
        [ADD_PACKED] = "INSERT INTO packed VALUES(?1,?2,?3)",
        [LIST_EVENTS] = "SELECT sec,series,kind,count,usage,size,usec,what,comm,object FROM events"
                        " WHERE sec>=?1 AND sec<?2 ORDER BY sec,id",
        [LIST_SESSIONS] = "SELECT began,ended FROM sessions",
};

int store_error(int code)
{
        switch (code & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EBADMSG;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_PERM:
        case SQLITE_CANTOPEN:
                return -EACCES;
        default:
                return -EIO;
        }
}

/* --- Opening ------------------------------------------------------------------------------------------------------ */

static uint32_t big_endian(const unsigned char *bytes)
{
        return (uint32_t) bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/* Whether SQLite can write with @header. It does not report all such errors as damage, and would fail each minute. */
static bool is_writable(const unsigned char *header)
{
        return header[HEADER_WRITE_FORMAT] <= 2 && header[HEADER_READ_FORMAT] <= 2 &&
               big_endian(header + HEADER_SCHEMA_FORMAT) <= 4 && big_endian(header + HEADER_VERSION) > 0;
}

/*
 * Checks the file without SQLite, which would change it. Returns 0: it is new, or a history; -EBADMSG, -EPROTONOSUPPORT
 * or another negative errno.
 */
static int check_header(const char *path)
{
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        unsigned char header[HEADER_SIZE];
        struct stat st;
        ssize_t n;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return -EBADMSG;
        n = read_all(fd, (char *) header, sizeof(header));
        if (n <= 0)
                return n;
        if (n < HEADER_SIZE || memcmp(header, HEADER_MAGIC, sizeof(HEADER_MAGIC)) != 0 ||
                        big_endian(header + HEADER_APPLICATION_ID) != APPLICATION_ID)
                return -EBADMSG;
        if (big_endian(header + HEADER_VERSION) > HISTORY_VERSION)
                return -EPROTONOSUPPORT;
        return is_writable(header) ? 0 : -EBADMSG;
}

static int execute(struct history_store *store, const char *sql)
{
        return store_error(sqlite3_exec(store->db, sql, NULL, NULL, NULL));
}

/* Answers the pragma or query @sql with a number. Returns 0 or a negative errno. */
static int get_number(const struct history_store *store, const char *sql, uint64_t *number)
{
        sqlite3_stmt *statement;
        int r = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

        if (r != SQLITE_OK)
                return store_error(r);
        r = sqlite3_step(statement);
        *number = r == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
        sqlite3_finalize(statement);
        return store_error(r);
}

/* Whether all pages are sound, as far as that can be seen. Returns 0, -EBADMSG, or another negative errno. */
static int check_pages(struct history_store *store)
{
        sqlite3_stmt *statement;
        int r = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL);

        if (r != SQLITE_OK)
                return store_error(r);
        r = sqlite3_step(statement);
        if (r == SQLITE_ROW && strcmp((const char *) sqlite3_column_text(statement, 0) ?: "", "ok") != 0)
                r = SQLITE_CORRUPT;
        sqlite3_finalize(statement);
        return store_error(r);
}

/* One process has the database: it holds the lock from the first read on, and the log needs no shared memory. */
static int set_up(struct history_store *store)
{
        uint64_t version;
        char text[64];
        int r;

        sqlite3_extended_result_codes(store->db, 1);
        r = execute(store, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA page_size=4096; PRAGMA synchronous=NORMAL;"
                           "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;");
        if (r == 0)
                r = get_number(store, "PRAGMA user_version", &version);
        if (r == 0 && version == 0) {
                r = execute(store, "BEGIN IMMEDIATE");
                if (r == 0)
                        r = execute(store, schema);
                if (r == 0)
                        r = execute(store, "COMMIT");
        }
        if (r == 0)
                r = execute(store, "PRAGMA journal_mode=WAL");
        snprintf(text, sizeof(text), "PRAGMA cache_size=-%d;PRAGMA wal_autocheckpoint=%d;", CACHE_KIB, LOG_PAGES);
        if (r == 0)
                r = execute(store, text);
        snprintf(text, sizeof(text), "PRAGMA journal_size_limit=%d", LOG_BYTES_MAX);
        if (r == 0)
                r = execute(store, text);
        snprintf(text, sizeof(text), "PRAGMA max_page_count=%llu", HISTORY_BYTES_MAX / PAGE_SIZE);
        if (r == 0)
                r = execute(store, text);
        /* This takes the write lock, which is then held. */
        if (r == 0)
                r = execute(store, "BEGIN IMMEDIATE; COMMIT");
        return r == 0 ? check_pages(store) : r;
}

static int prepare(struct history_store *store)
{
        for (size_t i = 0; i < STATEMENTS; i++) {
                int r = sqlite3_prepare_v3(
                                store->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);

                /* A table is missing. */
                if (r == SQLITE_ERROR)
                        r = SQLITE_CORRUPT;
                if (r != SQLITE_OK)
                        return store_error(r);
        }
        return 0;
}

void history_store_close(struct history_store *store)
{
        if (!store)
                return;
        for (size_t i = 0; i < STATEMENTS; i++)
                sqlite3_finalize(store->statements[i]);
        sqlite3_close(store->db);
        free(store->path);
        free(store);
}

static int open_once(const char *path, struct history_store **ret)
{
        struct history_store *store = calloc(1, sizeof(*store));
        int r = check_header(path);

        if (!store || r < 0) {
                free(store);
                return r < 0 ? r : -ENOMEM;
        }
        store->path = strdup(path);
        r = store->path ? store_error(sqlite3_open_v2(path, &store->db,
                                          SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL))
                        : -ENOMEM;
        if (r == 0)
                r = set_up(store);
        if (r == 0)
                r = prepare(store);
        if (r < 0) {
                history_store_close(store);
                return r;
        }
        *ret = store;
        return 0;
}

/*
 * Renames a damaged database together with its log, because SQLite would apply the log to the new file. Returns 0 or a
 * negative errno.
 */
static int move_aside(const char *path)
{
        static const char *const suffixes[] = { "", "-wal", "-journal", "-shm" };

        for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
                _cleanup_free_ char *from = NULL, *to = NULL;

                if (asprintf(&from, "%s%s", path, suffixes[i]) < 0) {
                        from = NULL;
                        return -ENOMEM;
                }
                if (asprintf(&to, "%s.damaged%s", path, suffixes[i]) < 0) {
                        to = NULL;
                        return -ENOMEM;
                }
                if (rename(from, to) < 0 && errno != ENOENT)
                        return -errno;
        }
        log_warning("%s is damaged: it is %s.damaged now, and the history begins anew", path, path);
        return 0;
}

/* To be freed; NULL: no memory. */
static char *file_path(const char *directory)
{
        char *path;

        return asprintf(&path, "%s/" HISTORY_FILE, directory) < 0 ? NULL : path;
}

int history_store_set_aside(const char *directory)
{
        _cleanup_free_ char *path = file_path(directory);

        return path ? move_aside(path) : -ENOMEM;
}

int history_store_open(const char *directory, struct history_store **ret)
{
        _cleanup_free_ char *path = file_path(directory);
        int r;

        if (!path)
                return -ENOMEM;
        if (mkdir(directory, 0700) < 0 && errno != EEXIST)
                return -errno;
        r = open_once(path, ret);
        if (r != -EBADMSG)
                return r;
        r = move_aside(path);
        return r < 0 ? r : open_once(path, ret);
}

uint64_t history_store_size(const struct history_store *store)
{
        _cleanup_free_ char *log = NULL;
        struct stat st;
        uint64_t size = stat(store->path, &st) == 0 ? st.st_size : 0;

        if (asprintf(&log, "%s-wal", store->path) < 0)
                log = NULL;
        return size + (log && stat(log, &st) == 0 ? st.st_size : 0);
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

void history_batch_free(struct history_batch *batch)
{
        for (size_t i = 0; i < batch->series_count; i++) {
                free(batch->series[i].name);
                free(batch->series[i].cgroup);
        }
        free(batch->series);
        free(batch->hours);
        free(batch->events);
        free(batch);
}

int store_run(sqlite3_stmt *statement)
{
        int r = sqlite3_step(statement);

        sqlite3_reset(statement);
        return store_error(r);
}

/* A size as SQLite stores it: a number of 63 bits. */
static sqlite3_int64 number(uint64_t value)
{
        return MIN(value, (uint64_t) INT64_MAX);
}

static void bind_facts(sqlite3_stmt *statement, int column, const struct history_facts *facts)
{
        sqlite3_bind_int64(statement, column, number(facts->allocated));
        sqlite3_bind_int64(statement, column + 1, number(facts->ceiling));
        sqlite3_bind_int64(statement, column + 2, number(facts->unbounded));
        sqlite3_bind_int64(statement, column + 3, number(facts->percpu));
        sqlite3_bind_int64(statement, column + 4, number(facts->largest));
}

/* *id is 0 if the series is not written. */
static int add_series(struct history_store *store, const struct history_batch *batch,
                const struct history_series_note *note, uint64_t parent, uint64_t *id)
{
        sqlite3_stmt *add = store->statements[ADD_SERIES];
        bool has;
        int r = history_has_share(store, note->kind, note->name, &has);

        if (r < 0 || !has || (note->parent && !parent))
                return r;
        sqlite3_bind_int64(add, 1, parent);
        sqlite3_bind_int(add, 2, note->kind);
        sqlite3_bind_text(add, 3, note->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(add, 4, note->cgroup, -1, SQLITE_STATIC);
        sqlite3_bind_int(add, 5, note->outer);
        sqlite3_bind_int64(add, 6, batch->hour);
        sqlite3_bind_int64(add, 7, number(note->initial));
        sqlite3_bind_int64(add, 8, number(note->level));
        bind_facts(add, 9, &note->facts);
        r = store_run(add);
        *id = sqlite3_last_insert_rowid(store->db);
        return r;
}

static int set_series(struct history_store *store, const struct history_batch *batch,
                const struct history_series_note *note, uint64_t id)
{
        bool gone = note->level == 0 || note->kind >= HISTORY_MAP;
        sqlite3_stmt *set = store->statements[gone ? SET_LEVEL : SET_SERIES];

        sqlite3_bind_int64(set, 1, id);
        sqlite3_bind_int64(set, 2, number(note->level));
        sqlite3_bind_int64(set, 3, batch->hour);
        if (gone)
                return store_run(set);
        sqlite3_bind_text(set, 4, note->cgroup, -1, SQLITE_STATIC);
        sqlite3_bind_int(set, 5, note->outer);
        bind_facts(set, 6, &note->facts);
        return store_run(set);
}

/* Writes the series of @batch, and finds their @ids. */
static int write_series(struct history_store *store, const struct history_batch *batch, uint64_t *ids)
{
        sqlite3_stmt *find = store->statements[FIND_SERIES];
        int r = 0;

        for (size_t i = 0; i < batch->series_count && r == 0; i++) {
                const struct history_series_note *note = &batch->series[i];
                uint64_t parent = note->parent ? ids[note->parent - 1] : 0;

                sqlite3_bind_int64(find, 1, parent);
                sqlite3_bind_int(find, 2, note->kind);
                sqlite3_bind_text(find, 3, note->name, -1, SQLITE_STATIC);
                r = sqlite3_step(find);
                ids[i] = r == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
                sqlite3_reset(find);
                r = store_error(r);
                if (r == 0)
                        r = ids[i] ? set_series(store, batch, note, ids[i])
                                   : add_series(store, batch, note, parent, &ids[i]);
        }
        return r;
}

/* If @id is 0, the series is not written. */
static int write_hour(struct history_store *store, uint64_t id, uint32_t kind, const struct history_hour_note *note)
{
        sqlite3_stmt *add = store->statements[kind < HISTORY_MAP ? ADD_HOUR : ADD_MAP_HOUR];

        if (id == 0)
                return 0;
        sqlite3_bind_int64(add, 1, note->hour);
        sqlite3_bind_int64(add, 2, id);
        sqlite3_bind_int64(add, 3, number(note->peak));
        if (note->last == note->peak)
                sqlite3_bind_null(add, 4);
        else
                sqlite3_bind_int64(add, 4, number(note->last));
        sqlite3_bind_int(add, 5, note->steps);
        sqlite3_bind_int64(add, 6, number(note->step));
        return store_run(add);
}

static int write_event(struct history_store *store, uint64_t id, const struct history_event_note *note)
{
        sqlite3_stmt *add = store->statements[ADD_EVENT];

        if (id == 0)
                return 0;
        sqlite3_bind_int64(add, 1, note->sec);
        sqlite3_bind_int64(add, 2, id);
        sqlite3_bind_int(add, 3, note->kind);
        sqlite3_bind_int64(add, 4, note->count);
        sqlite3_bind_int64(add, 5, number(note->usage));
        sqlite3_bind_int64(add, 6, number(note->size));
        sqlite3_bind_int64(add, 7, number(note->usec));
        sqlite3_bind_text(add, 8, note->what, strnlen(note->what, sizeof(note->what)), SQLITE_STATIC);
        sqlite3_bind_text(add, 9, note->comm, strnlen(note->comm, sizeof(note->comm)), SQLITE_STATIC);
        sqlite3_bind_text(add, 10, note->object, strnlen(note->object, sizeof(note->object)), SQLITE_STATIC);
        return store_run(add);
}

static int compare_ids(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

/* A series with usage in its last written row. */
struct left {
        uint64_t id;
        uint32_t kind;
};

/* Sets *left, to be freed, to those that are not among the @count @ids. Returns 0 or a negative errno. */
static int list_left(struct history_store *store, const uint64_t *ids, size_t count, struct left **left, size_t *found)
{
        sqlite3_stmt *list = store->statements[LIST_LEFT];
        int r;

        while ((r = sqlite3_step(list)) == SQLITE_ROW) {
                struct left one = { sqlite3_column_int64(list, 0), sqlite3_column_int(list, 1) }, *more;

                if (bsearch(&one.id, ids, count, sizeof(*ids), compare_ids))
                        continue;
                more = array_grow(*left, *found, sizeof(*more));
                if (!more) {
                        r = SQLITE_NOMEM;
                        break;
                }
                *left = more;
                more[(*found)++] = one;
        }
        sqlite3_reset(list);
        return store_error(r);
}

/* The first batch of a daemon has all series with usage: another series that had usage before has lost it meanwhile. */
static int end_left(struct history_store *store, const struct history_batch *batch, uint64_t *ids)
{
        struct history_hour_note none = { .hour = batch->hour };
        sqlite3_stmt *set = store->statements[SET_LEVEL];
        _cleanup_free_ struct left *left = NULL;
        size_t count = 0;
        int r;

        qsort(ids, batch->series_count, sizeof(*ids), compare_ids);
        r = list_left(store, ids, batch->series_count, &left, &count);
        for (size_t i = 0; i < count && r == 0; i++) {
                sqlite3_bind_int64(set, 1, left[i].id);
                sqlite3_bind_int64(set, 2, 0);
                sqlite3_bind_int64(set, 3, batch->hour);
                r = store_run(set);
                if (r == 0)
                        r = write_hour(store, left[i].id, left[i].kind, &none);
        }
        return r;
}

static int write_session(struct history_store *store, const struct history_batch *batch)
{
        sqlite3_stmt *set = store->statements[SET_SESSION];

        sqlite3_bind_int64(set, 1, batch->began_sec);
        sqlite3_bind_int64(set, 2, MAX(batch->began_sec, batch->sec));
        return store_run(set);
}

/* Deletes the hours up to @hour, and those too far in the future, with everything that refers only to them. */
static int forget(struct history_store *store, uint64_t hour, uint64_t now)
{
        unsigned long long first = hour + 1, last = now + FUTURE_HOURS;
        char sql[512];
        int r = store_carry(store, hour);

        if (r < 0)
                return r;
        snprintf(sql, sizeof(sql),
                        "DELETE FROM packed WHERE hour NOT BETWEEN %llu AND %llu;"
                        "DELETE FROM peaks WHERE hour NOT BETWEEN %llu AND %llu;"
                        "DELETE FROM mappeaks WHERE hour NOT BETWEEN %llu AND %llu;",
                        first, last, first, last, first, last);
        r = execute(store, sql);
        if (r < 0)
                return r;
        snprintf(sql, sizeof(sql),
                        "DELETE FROM events WHERE sec NOT BETWEEN %llu AND %llu;"
                        "DELETE FROM sessions WHERE ended<%llu;"
                        "DELETE FROM series WHERE level=0 AND seen<%llu;",
                        first * 3600, last * 3600, first * 3600, first);
        return execute(store, sql);
}

#define OLDEST_HOUR "SELECT min(hour) FROM (SELECT min(hour) AS hour FROM packed UNION ALL SELECT min(hour) FROM peaks)"

/* Deletes the oldest rows if they are too old. */
static int forget_old(struct history_store *store, uint64_t now)
{
        uint64_t oldest, limit = now > HISTORY_HOURS ? now - HISTORY_HOURS : 0;
        char sql[128];
        int r = get_number(store, OLDEST_HOUR, &oldest);

        if (r == 0)
                r = forget(store, MIN(limit, oldest + PRUNE_HOURS), now);
        snprintf(sql, sizeof(sql), "DELETE FROM events WHERE id<=(SELECT max(id) FROM events)-%d", HISTORY_EVENTS_MAX);
        return r < 0 ? r : execute(store, sql);
}

/* If the file has nearly its maximum size, deletes the oldest hours. */
static int make_room(struct history_store *store, uint64_t now)
{
        uint64_t pages, unused = 0, oldest;
        int r;

        for (;;) {
                r = get_number(store, "PRAGMA page_count", &pages);
                if (r == 0)
                        r = get_number(store, "PRAGMA freelist_count", &unused);
                if (r < 0 || (pages - unused) * PAGE_SIZE < HISTORY_BYTES_MAX / 8 * 7)
                        return r;
                r = get_number(store, OLDEST_HOUR, &oldest);
                if (r < 0 || oldest == 0 || oldest >= now)
                        return r;
                r = forget(store, oldest, now);
                if (r < 0)
                        return r;
        }
}

static int write_all_of(struct history_store *store, const struct history_batch *batch, uint64_t *ids)
{
        int r = 0;

        if (batch->hour != store->pruned_hour) {
                r = forget_old(store, batch->hour);
                if (r == 0)
                        r = make_room(store, batch->hour);
        }
        if (r == 0)
                r = store_drop_repeated(store, batch->hour, batch->usec);
        if (r == 0)
                r = write_series(store, batch, ids);
        for (size_t i = 0; i < batch->hour_count && r == 0; i++)
                r = write_hour(store, ids[batch->hours[i].series], batch->series[batch->hours[i].series].kind,
                                &batch->hours[i]);
        for (size_t i = 0; i < batch->event_count && r == 0; i++)
                r = write_event(store, ids[batch->events[i].series], &batch->events[i]);
        if (r == 0)
                r = write_session(store, batch);
        if (r == 0 && batch->first)
                r = end_left(store, batch, ids);
        return r == 0 && batch->hour != store->pruned_hour ? store_pack(store, batch->hour) : r;
}

int history_store_write(struct history_store *store, const struct history_batch *batch)
{
        _cleanup_free_ uint64_t *ids = calloc(batch->series_count + 1, sizeof(*ids));
        int r;

        if (!ids)
                return -ENOMEM;
        r = execute(store, "BEGIN IMMEDIATE");
        if (r < 0)
                return r;
        r = write_all_of(store, batch, ids);
        if (r == 0)
                r = execute(store, "COMMIT");
        if (r < 0 && !sqlite3_get_autocommit(store->db))
                sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        if (r == 0) {
                store->pruned_hour = batch->hour;
                store->written_usec = batch->usec;
                store->began_sec = batch->last ? 0 : batch->began_sec;
        }
        sqlite3_db_release_memory(store->db);
        return r;
}
