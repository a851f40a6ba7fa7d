/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Globs for paths of cgroups and names of units, and the patterns of one key that are made of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of the patterns of a key; @exclude: it began with "!". */
struct pattern {
        char *glob;
        bool exclude;

        /* The literal parts of @glob, in bytes: at its start, at its end, and the longest in between. */
        uint32_t prefix, suffix, needle, needle_length;
};

/* The patterns of one key. */
struct patterns {
        struct pattern *list;
        size_t count;
};

/*
 * Whether @path matches @glob, both UTF-8: "?" and "[…]" one character, "*" any within a path component, "**" any
 * across components; "**" as a whole component may also match no component, so that one glob can match "/a" and all
 * that is below it. "[!…]" and "[^…]" match the characters that are not listed. A backslash stands for itself, as names
 * of systemd units have it. The root has no component: "*" as first component does not match it, "**" does. Time is
 * linear in the length of the path. A glob of more than 255 bytes from its first wildcard on matches nothing, because
 * clients can send any glob.
 */
bool glob_match(const char *glob, const char *path);

/*
 * A glob that matches @path, of a cgroup, and nothing else, for a line of a budget file. Returns 0 and *glob, to be
 * freed; -EINVAL: the path has blanks or control characters, or is not UTF-8; -ENAMETOOLONG: it is too long for a line;
 * -ENOMEM.
 */
int glob_escape(const char *path, char **glob);

/*
 * A glob that matches @path, of a cgroup, and as little else as the syntax of a budget file allows, for a path that
 * glob_escape() rejects. "?" replaces each character that a line cannot have. "?*" replaces each run of "?", because
 * "?" in JSON stands for bytes of a path that is not UTF-8. Returns as glob_escape(), but not -EINVAL.
 */
int glob_approximate(const char *path, char **glob);

/*
 * Finds the literal text with which all matches of @pattern's glob begin and end, and the longest literal text in
 * between.
 */
void pattern_compile(struct pattern *pattern);

/* Whether @length bytes of @text match @pattern, which was compiled; the caller handles pattern->exclude. */
bool pattern_match(const struct pattern *pattern, const char *text, size_t length);

/* The length in bytes of the brackets at @glob, 0 if they are not closed; *found: whether @character is in them. */
size_t glob_brackets(const char *glob, uint32_t character, bool *found);

/* Whether all brackets in @glob are closed. */
bool glob_is_closed(const char *glob);

/*
 * What is wrong with @path of a cgroup, to be appended to the path in a message; NULL: nothing, there may be such a
 * cgroup.
 */
const char *check_path(const char *path);

/*
 * The same for a glob for such paths; and for a glob or a path that a client asks for, which may begin with an
 * asterisk.
 */
const char *check_path_glob(const char *glob);
const char *check_asked_glob(const char *glob);

/* Adds a copy of @glob. Returns 0 or -ENOMEM. */
int patterns_add(struct patterns *patterns, const char *glob, bool exclude);
void patterns_deinit(struct patterns *patterns);

/*
 * Whether no excluding pattern matches @text (@length bytes), and an including one does or there are only excluding
 * ones. False if there are no patterns.
 */
bool patterns_match_text(const struct patterns *patterns, const char *text, size_t length);

/* The same for @path, which ends in NUL. */
bool patterns_match(const struct patterns *patterns, const char *path);
