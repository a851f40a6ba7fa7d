/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings and budgets from configuration files. inih splits lines; precedence, checks and messages are here.
 *
 * Directories, the first one wins for files of the same name: /etc/bpfbudget, /run/bpfbudget, /usr/lib/bpfbudget.
 * bpfbudgetd.conf, then bpfbudgetd.conf.d/NAME.conf hold the settings; NAME.budget one budget each, ordered by file
 * name. A file that is a link to /dev/null, or empty, masks those of the same name below.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Budget values that are not set, and "infinity". */
#define BUDGET_INFINITY UINT64_MAX

/* Default of ClearPercent=: a state is left when usage is this far below its limit, so that it does not flap. */
#define BUDGET_CLEAR_PERCENT 90

/* Default of PollSec=: what an operator still takes for "now", while a pass over 10,000 maps takes 4 ms of it. */
#define SETTINGS_POLL_USEC (5ULL * 1000 * 1000)

/* Defaults of AlertIntervalSec= and AlertBurst=: ok → high → max and back are four, so two full rounds a minute. */
#define SETTINGS_ALERT_INTERVAL_USEC (60ULL * 1000 * 1000)
#define SETTINGS_ALERT_BURST         8

/* Default of ThrottleMaxSec=: the pause that memory.high makes at most (MEMCG_MAX_HIGH_DELAY_JIFFIES, mm/memcontrol.c).
 */
#define SETTINGS_THROTTLE_MAX_USEC (2ULL * 1000 * 1000)

/* Default of MaxCgroups=: twice the memory cgroups that there are, and some a CPU (kernel.c). */
#define SETTINGS_CGROUPS_MAX 0

/* Default of FailMode=: stopping the service on purpose opens the gate; an outage is worse than a missed limit. */
#define SETTINGS_FAIL_CLOSED false

/* Default of Strict=: what the kernel cannot do is told in the capability table, and the rest still works. */
#define SETTINGS_STRICT false

enum budget_action {
        ACTION_ALERT,    /* say it in the journal */
        ACTION_THROTTLE, /* OnHigh= */
        ACTION_DENY,     /* OnMax= */
};

enum budget_attribution {
        BUDGET_CHARGED, /* by the charged cgroup */
        BUDGET_HOLDER,  /* by the cgroup of who holds the object, where the charged one is gone or another */
};

enum budget_count {
        COUNT_ALLOCATED,
        COUNT_CHARGED,
};

/* Several patterns of one key; @exclude: it began with "!". */
struct pattern {
        char *glob;
        bool exclude;

        /* What of @glob stands for itself, in bytes: at its start, at its end, and the longest in between. */
        uint16_t prefix, suffix, needle, needle_length;
};

struct patterns {
        struct pattern *list;
        size_t count;
};

/* One *.budget file. */
struct budget {
        char *name; /* file name without .budget */
        char *file; /* path it was read from */

        /* [Match]: a key that is not set matches everything; at least one is. */
        struct patterns cgroups; /* Cgroup= */
        struct patterns units;   /* Unit=: the unit's own cgroup, not those below it */
        struct patterns users;   /* User=: names or numbers, as given */
        uint32_t *uids;          /* of users, UINT32_MAX where there is no such user */

        /* [Budget]; bytes unless said otherwise. */
        uint64_t high, max;              /* BUDGET_INFINITY: none */
        uint32_t footprint_ratio_high;   /* percent of RSS; 0: none */
        uint64_t maps_max, programs_max; /* how many; BUDGET_INFINITY: any */
        enum budget_action on_high, on_max;
        enum budget_attribution attribution;
        enum budget_count count;
        uint32_t clear_percent;
};

/* bpfbudgetd.conf, section [Daemon]. */
struct settings {
        uint64_t poll_usec;           /* PollSec=: between passes where no sensor tells of growth; 0: none */
        uint64_t alert_interval_usec; /* AlertIntervalSec=: at most AlertBurst= alerts a cgroup in this time */
        uint32_t alert_burst;
        uint64_t throttle_max_usec;     /* ThrottleMaxSec= */
        struct patterns never_throttle; /* NeverThrottle= */
        uint32_t cgroups_max;           /* MaxCgroups=: size of the tables in the kernel; 0: from the machine */
        bool fail_closed;               /* FailMode=open|closed */
        bool strict;                    /* Strict=: refuse to start where OnMax=deny cannot be had */
};

struct config {
        struct settings settings;
        struct budget *budgets; /* ordered by file name: the first one that matches is a cgroup's */
        size_t count;
};

/*
 * One thing wrong: @file and @line (0: the file as a whole), and what, in words, in one line of valid UTF-8. @fatal is
 * false for a warning.
 */
typedef void (*config_message_t)(void *context, const char *file, unsigned int line, bool fatal, const char *message);

/* What a value needs to know of the machine. */
struct config_machine {
        uint64_t ram; /* bytes, for values in percent; 0: not known, such values are errors */
};

/* RAM of this machine in bytes. */
uint64_t config_read_ram(void);

/*
 * Reads everything below @root ("" for the system; a test directory otherwise) from the three directories, or only the
 * one directory @directory if that is not NULL (--check-config DIR). All files are read to their end, so that all that
 * is wrong is told at once. Returns 0; -EINVAL if there was anything fatal, then *config is empty; -ENOMEM. @config is
 * to be given to config_deinit() in any case.
 */
int config_load(struct config *config, const char *root, const char *directory, const struct config_machine *machine,
                config_message_t message, void *context);
void config_deinit(struct config *config);

/* What a cgroup is matched by. */
struct match_subject {
        const char *path; /* below the memory hierarchy's mount, "/" for the root */
        uint32_t uid;     /* owner of its directory */
};

/* The first budget of @config for @subject, or NULL. */
const struct budget *config_match(const struct config *config, const struct match_subject *subject);

/*
 * Whether @path matches @glob, both UTF-8: "?" and "[…]" one character, "*" any within a path component, "**" any
 * across components; where "**" is a whole component it may also be none, so that the children of "/a" and "/a" itself
 * match one glob. "[!…]" and "[^…]" are the other characters. A backslash stands for itself, as names of systemd units
 * have it. The root has no component: "*" as first component does not match it, "**" does. Time is linear in the length
 * of the path; a glob of more than 255 bytes matches nothing.
 */
bool glob_match(const char *glob, const char *path);

/*
 * A glob that matches @path, of a cgroup, and nothing else, for a line of a budget file. Returns 0 and *glob, to be
 * freed; -EINVAL: the path has blanks, control characters, or is not UTF-8; -ENAMETOOLONG: a line has no room for it;
 * -ENOMEM.
 */
int glob_escape(const char *path, char **glob);

/* Whether any including pattern matches @path, or all are excluding ones, and no excluding one does; false if none. */
bool patterns_match(const struct patterns *patterns, const char *path);

/*
 * The systemd unit of the cgroup @path: its last component that is one (.service, .scope, .slice, .socket, .mount or
 * .swap: no other unit has a cgroup), without the "_" that systemd puts before names that the kernel claims. For a
 * cgroup below a service it is the service. NULL if there is none.
 */
const char *path_unit(const char *path, size_t *length);

/*
 * Parses "64M", "1.5G", "25%" (of @ram bytes), "infinity" into bytes; K, M, G, T are powers of 1024. Returns 0, -EINVAL
 * (not a size), -ERANGE (more than 100% or than INT64_MAX, the most that a page counter of the kernel holds), -EDOM
 * (negative), or -ENODATA (a percentage, and @ram is 0).
 */
int parse_bytes(const char *text, uint64_t ram, uint64_t *bytes);
