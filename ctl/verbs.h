/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands of bpfbudgetctl. A command gets its arguments without its own name. It returns 0, a negative errno,
 * logged, or a positive exit status.
 */
#pragma once

#include <stddef.h>

#include "options.h"

/* Exit status of "status" if the daemon does not run, as for systemctl (LSB: "program is not running"). */
#define EXIT_NOT_RUNNING 3

/* Exit status of "reclaim" if some of the objects that it began to free still exist. */
#define EXIT_NOT_RECLAIMED 2

/* Exit status of "doctor" if the state could not be determined; 0 to 2 are levels. */
#define EXIT_NOT_EXAMINED 3

int verb_status(const struct options *options, int argc, char *argv[]);
int verb_cgroups(const struct options *options, int argc, char *argv[]);
int verb_tree(const struct options *options, int argc, char *argv[]);
int verb_objects(const struct options *options, int argc, char *argv[]);
int verb_budgets(const struct options *options, int argc, char *argv[]);
int verb_capabilities(const struct options *options, int argc, char *argv[]);
int verb_doctor(const struct options *options, int argc, char *argv[]);
int verb_explain(const struct options *options, int argc, char *argv[]);
int verb_orphans(const struct options *options, int argc, char *argv[]);
int verb_reclaim(const struct options *options, int argc, char *argv[]);
int verb_why(const struct options *options, int argc, char *argv[]);
int verb_top(const struct options *options, int argc, char *argv[]);
int verb_monitor(const struct options *options, int argc, char *argv[]);
int verb_set_budget(const struct options *options, int argc, char *argv[]);
int verb_unset_budget(const struct options *options, int argc, char *argv[]);
int verb_history(const struct options *options, int argc, char *argv[]);
int verb_what_grew(const struct options *options, int argc, char *argv[]);
int verb_report(const struct options *options, int argc, char *argv[]);
int verb_suggest(const struct options *options, int argc, char *argv[]);
int verb_metrics(const struct options *options, int argc, char *argv[]);
int verb_flush(const struct options *options, int argc, char *argv[]);
int verb_reload(const struct options *options, int argc, char *argv[]);
int verb_verify(const struct options *options, int argc, char *argv[]);
int verb_version(const struct options *options, int argc, char *argv[]);
