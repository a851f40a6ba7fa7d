/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/keys.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "policy/spelling.h"

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

static const struct word on_high_words[] = { { "alert", ACTION_ALERT }, { "throttle", ACTION_THROTTLE }, { NULL } };
static const struct word on_max_words[] = { { "alert", ACTION_ALERT }, { "deny", ACTION_DENY }, { NULL } };
static const struct word attribution_words[] = { { "charged", BUDGET_CHARGED }, { "holder", BUDGET_HOLDER }, { NULL } };
static const struct word count_words[] = {
        { "allocated", COUNT_ALLOCATED },
        { "charged", COUNT_CHARGED },
        { "committed", COUNT_COMMITTED },
        { NULL },
};
static const struct word unbounded_words[] = { { "refuse", UNBOUNDED_REFUSE }, { "allow", UNBOUNDED_ALLOW }, { NULL } };
static const struct word fail_words[] = { { "open", false }, { "closed", true }, { NULL } };
static const struct word boolean_words[] = {
        { "yes", true },
        { "no", false },
        { "true", true },
        { "false", false },
        { "1", true },
        { "0", false },
        { "on", true },
        { "off", false },
        { NULL },
};

#define EXPECTED_SIZE  "bytes with K, M, G or T (64M), a share of RAM up to 100% (25%), or infinity"
#define EXPECTED_COUNT "a whole number of 0 to 4294967295, or infinity"

/* An absurd ratio is a slip; BPF of many times its RSS is what a small loader of large maps looks like. */
#define RATIO_MAX 1000000

/* A shorter interval would keep a CPU busy, with a longer one nothing is noticed. */
#define POLL_USEC_MIN (100 * 1000ULL)
#define POLL_USEC_MAX (3600 * 1000000ULL)

#define ALERT_INTERVAL_USEC_MAX (24 * 3600 * 1000000ULL)

/* A service that stands still for longer is taken for dead by its clients and its watchdog. */
#define THROTTLE_USEC_MAX (60 * 1000000ULL)

/* The kernel numbers memory cgroups with 16 bits; some room for those that are gone and still hold maps. */
#define CGROUPS_LIMIT (1024 * 1024)

/* More series than any server wants of one machine. */
#define METRICS_CGROUPS_LIMIT 100000
#define METRICS_MAPS_LIMIT    10000

#define BUDGET_FIELD(field)   offsetof(struct budget, field), sizeof(((struct budget *) NULL)->field)
#define SETTINGS_FIELD(field) offsetof(struct settings, field), sizeof(((struct settings *) NULL)->field)

/* clang-format off */
static const struct key budget_keys[] = {
        { "Match", "Cgroup", KEY_PATHS, offsetof(struct budget, cgroups),
          .unit = "globs", .help = "Paths of cgroups that the budget is for" },
        { "Match", "Unit", KEY_UNITS, offsetof(struct budget, units),
          .unit = "globs", .help = "Units that the budget is for" },
        { "Match", "User", KEY_USERS, offsetof(struct budget, users),
          .unit = "users", .help = "Owners of cgroups that the budget is for",
          .expected = "names or numbers of users" },
        { "Match", "Pod", KEY_PODS, offsetof(struct budget, pods),
          .unit = "globs", .help = "Pods of Kubernetes that the budget is for" },
        { "Match", "Container", KEY_CONTAINERS, offsetof(struct budget, containers),
          .unit = "globs", .help = "Containers that the budget is for" },
        { "Budget", "High", KEY_SIZE, BUDGET_FIELD(high), 0, INT64_MAX, BUDGET_INFINITY, .runtime = true,
          .unit = "bytes", .help = "Usage that OnHigh= applies to", .expected = EXPECTED_SIZE },
        { "Budget", "Max", KEY_SIZE, BUDGET_FIELD(max), 0, INT64_MAX, BUDGET_INFINITY, .runtime = true,
          .unit = "bytes", .help = "Usage that OnMax= applies to", .expected = EXPECTED_SIZE },
        { "Budget", "MapsMax", KEY_COUNT, BUDGET_FIELD(maps_max), 0, UINT32_MAX, BUDGET_INFINITY, .runtime = true,
          .unit = "maps", .help = "Limit of the number of maps", .expected = EXPECTED_COUNT },
        { "Budget", "ProgramsMax", KEY_COUNT, BUDGET_FIELD(programs_max), 0, UINT32_MAX, BUDGET_INFINITY,
          .runtime = true,
          .unit = "programs", .help = "Limit of the number of programs", .expected = EXPECTED_COUNT },
        { "Budget", "FootprintRatioHigh", KEY_RATIO, BUDGET_FIELD(footprint_ratio_high), 1, RATIO_MAX,
          BUDGET_INFINITY, .runtime = true,
          .unit = "percent", .help = "Usage in percent of RSS that OnHigh= applies to",
          .expected = "a whole percentage of 1% to 1000000%, or infinity" },
        { "Budget", "MapFillHigh", KEY_RATIO, BUDGET_FIELD(map_fill_high), 1, 100, BUDGET_INFINITY, .runtime = true,
          .unit = "percent", .help = "Alert for maps that are so full",
          .expected = "a whole percentage of 1% to 100%, or infinity" },
        { "Budget", "OnHigh", KEY_WORD, BUDGET_FIELD(on_high), .initial = ACTION_ALERT, .words = on_high_words,
          .runtime = true, .unit = "action", .help = "What happens over High=", .expected = "alert or throttle" },
        { "Budget", "OnMax", KEY_WORD, BUDGET_FIELD(on_max), .initial = ACTION_ALERT, .words = on_max_words,
          .runtime = true, .unit = "action", .help = "What happens at Max=", .expected = "alert or deny" },
        { "Budget", "Attribution", KEY_WORD, BUDGET_FIELD(attribution), .initial = BUDGET_CHARGED,
          .words = attribution_words,
          .unit = "cgroup", .help = "Whose cgroup an object counts in", .expected = "charged or holder" },
        { "Budget", "Count", KEY_WORD, BUDGET_FIELD(count), .initial = COUNT_ALLOCATED, .words = count_words,
          .runtime = true, .unit = "bytes", .help = "Which bytes count",
          .expected = "allocated, charged or committed" },
        { "Budget", "Unbounded", KEY_WORD, BUDGET_FIELD(unbounded), .initial = UNBOUNDED_REFUSE,
          .words = unbounded_words, .runtime = true,
          .unit = "action", .help = "What Count=committed does with maps that have no ceiling",
          .expected = "refuse or allow" },
        { "Budget", "ClearPercent", KEY_PERCENT, BUDGET_FIELD(clear_percent), 1, 100, BUDGET_CLEAR_PERCENT,
          .runtime = true,
          .unit = "percent", .help = "Usage in percent of a limit below which it is clear again",
          .expected = "a whole percentage of 1% to 100%" },
};

static const struct key settings_keys[] = {
        { "Daemon", "PollSec", KEY_TIME, SETTINGS_FIELD(poll_usec), POLL_USEC_MIN, POLL_USEC_MAX, SETTINGS_POLL_USEC,
          .unit = "time", .help = "Interval of passes where no sensor reports growth",
          .expected = "a time of 100ms to 1h, or 0 for none" },
        { "Daemon", "AlertIntervalSec", KEY_TIME, SETTINGS_FIELD(alert_interval_usec), 0, ALERT_INTERVAL_USEC_MAX,
          SETTINGS_ALERT_INTERVAL_USEC,
          .unit = "time", .help = "Interval of the limit of alerts",
          .expected = "a time of at most 24h such as 500ms, 5s or 2min, or 0 for no limit" },
        { "Daemon", "AlertBurst", KEY_NUMBER, SETTINGS_FIELD(alert_burst), 1, UINT32_MAX, SETTINGS_ALERT_BURST,
          .unit = "alerts", .help = "Alerts of a cgroup in that interval",
          .expected = "a whole number of 1 to 4294967295" },
        { "Daemon", "ThrottleMaxSec", KEY_TIME, SETTINGS_FIELD(throttle_max_usec), 0, THROTTLE_USEC_MAX,
          SETTINGS_THROTTLE_MAX_USEC,
          .unit = "time", .help = "Longest pause of a cgroup",
          .expected = "a time of at most 1min such as 500ms or 2s, or 0 for no pauses" },
        { "Daemon", "NeverThrottle", KEY_PATHS, offsetof(struct settings, never_throttle),
          .unit = "globs", .help = "Paths of cgroups that are never paused" },
        { "Daemon", "MaxCgroups", KEY_NUMBER, SETTINGS_FIELD(cgroups_max), 0, CGROUPS_LIMIT, SETTINGS_CGROUPS_MAX,
          .unit = "cgroups", .help = "Size of the tables in the kernel",
          .expected = "a whole number of 1 to 1048576, or 0 for what the machine has" },
        { "Daemon", "FailMode", KEY_FLAG, SETTINGS_FIELD(fail_closed), .initial = SETTINGS_FAIL_CLOSED,
          .words = fail_words,
          .unit = "mode", .help = "What the gate does without the daemon", .expected = "open or closed" },
        { "Daemon", "Strict", KEY_FLAG, SETTINGS_FIELD(strict), .initial = SETTINGS_STRICT, .words = boolean_words,
          .unit = "boolean", .help = "Whether to fail where OnMax=deny is not available", .expected = "yes or no" },
        { "Daemon", "OrphansHigh", KEY_SIZE, SETTINGS_FIELD(orphans_high), 0, INT64_MAX, BUDGET_INFINITY,
          .unit = "bytes", .help = "Alert for what nobody living holds", .expected = EXPECTED_SIZE },
        { "Daemon", "History", KEY_FLAG, SETTINGS_FIELD(history), .initial = SETTINGS_HISTORY, .words = boolean_words,
          .unit = "boolean", .help = "Whether a history of usage is kept on disk", .expected = "yes or no" },
        { "Daemon", "MetricsListen", KEY_ADDRESS, offsetof(struct settings, metrics_listen),
          .unit = "address", .help = "Where metrics are served",
          .expected = "a path, IPV4:PORT or [IPV6]:PORT, such as /run/bpfbudget/metrics or 127.0.0.1:9843" },
        { "Daemon", "MetricsCgroupsMax", KEY_NUMBER, SETTINGS_FIELD(metrics_cgroups_max), 0, METRICS_CGROUPS_LIMIT,
          SETTINGS_METRICS_CGROUPS_MAX,
          .unit = "cgroups", .help = "How many cgroups without a budget have metrics of their own",
          .expected = "a whole number of 0 to 100000" },
        { "Daemon", "MetricsMapsMax", KEY_NUMBER, SETTINGS_FIELD(metrics_maps_max), 0, METRICS_MAPS_LIMIT,
          SETTINGS_METRICS_MAPS_MAX,
          .unit = "maps", .help = "How many maps have metrics of their own",
          .expected = "a whole number of 0 to 10000" },
};
/* clang-format on */

_Static_assert(ELEMENTSOF(budget_keys) <= KEYS_MAX && ELEMENTSOF(settings_keys) <= KEYS_MAX, "too many keys");

static const char *const budget_sections[] = { "Match", "Budget", NULL };
static const char *const settings_sections[] = { "Daemon", NULL };

const struct format budget_format = {
        "a budget",
        budget_sections,
        budget_keys,
        ELEMENTSOF(budget_keys),
};
const struct format settings_format = {
        "the settings",
        settings_sections,
        settings_keys,
        ELEMENTSOF(settings_keys),
};

bool is_section(const struct format *format, const char *name)
{
        for (const char *const *section = format->sections; *section; section++)
                if (strcmp(*section, name) == 0)
                        return true;
        return false;
}

const char *nearest_section(const struct format *format, const char *name, unsigned int *distance)
{
        const char *nearest = NULL;

        *distance = UINT32_MAX;
        for (const char *const *section = format->sections; *section; section++) {
                unsigned int d = edit_distance(name, *section);

                if (d < *distance) {
                        *distance = d;
                        nearest = *section;
                }
        }
        return nearest;
}

const struct key *nearest_key(const struct format *format, const char *name, unsigned int *distance)
{
        const struct key *nearest = NULL;

        *distance = UINT32_MAX;
        for (size_t i = 0; i < format->count; i++) {
                unsigned int d = edit_distance(name, format->keys[i].name);

                if (d < *distance) {
                        *distance = d;
                        nearest = &format->keys[i];
                }
        }
        return nearest;
}

void name_sections(const struct format *format, char *text, size_t size)
{
        size_t length = 0;

        for (const char *const *section = format->sections; *section && length < size; section++)
                length += snprintf(text + length, size - length, "%s[%s]", length ? " and " : "", *section);
}

void name_keys(const struct format *format, const char *section, char *text, size_t size)
{
        size_t length = 0;

        for (size_t i = 0; i < format->count && length < size; i++)
                if (strcmp(format->keys[i].section, section) == 0)
                        length += snprintf(text + length, size - length, "%s%s=", length ? ", " : "",
                                        format->keys[i].name);
}

const struct key *find_key(const struct format *format, const char *section, const char *name)
{
        for (size_t i = 0; i < format->count; i++)
                if (strcmp(format->keys[i].section, section) == 0 && strcmp(format->keys[i].name, name) == 0)
                        return &format->keys[i];
        return NULL;
}

uint64_t key_get(const struct key *key, const void *target)
{
        const void *field = (const char *) target + key->offset;
        uint64_t value = key->size == sizeof(uint64_t)   ? *(const uint64_t *) field
                         : key->size == sizeof(uint32_t) ? *(const uint32_t *) field
                         : key->size == sizeof(bool)     ? *(const bool *) field
                                                         : 0;

        return key->type == KEY_RATIO && value == 0 ? BUDGET_INFINITY : value;
}

void key_set(const struct key *key, void *target, uint64_t value)
{
        void *field = (char *) target + key->offset;

        if (key->type == KEY_RATIO && value == BUDGET_INFINITY)
                value = 0;
        if (key->size == sizeof(uint64_t))
                *(uint64_t *) field = value;
        else if (key->size == sizeof(uint32_t))
                *(uint32_t *) field = value;
        else if (key->size == sizeof(bool))
                *(bool *) field = value;
}
_Static_assert(sizeof(enum budget_action) == sizeof(uint32_t), "enums are set as numbers");

void keys_reset(const struct format *format, void *target)
{
        for (size_t i = 0; i < format->count; i++)
                key_set(&format->keys[i], target, format->keys[i].initial);
}

const char *key_word(const struct key *key, uint64_t value)
{
        for (const struct word *word = key->words; word && word->text; word++)
                if (word->value == value)
                        return word->text;
        return NULL;
}

bool key_format(const struct key *key, uint64_t value, char text[static KEY_TEXT_SIZE])
{
        const char *word = key_word(key, value);
        bool percent = key->type == KEY_PERCENT || key->type == KEY_RATIO;

        if (word)
                snprintf(text, KEY_TEXT_SIZE, "%s", word);
        else if (key->size == 0 || key->words || value < key->minimum)
                return false;
        else if (value == BUDGET_INFINITY)
                snprintf(text, KEY_TEXT_SIZE, "infinity");
        else
                snprintf(text, KEY_TEXT_SIZE, "%llu%s", (unsigned long long) value,
                                percent                 ? "%"
                                : key->type == KEY_TIME ? "us"
                                                        : "");
        return true;
}

void key_parameter(const struct key *key, char name[static KEY_NAME_SIZE])
{
        snprintf(name, KEY_NAME_SIZE, "%s", key->name);
        name[0] += 'a' - 'A';
}
