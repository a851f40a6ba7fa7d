/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings and budgets from configuration files (and budgets in unit files, unitbudgets.h). files.h is about
 * precedence, lines.h about lines, keys.h about the table of keys, values.h about values, and match.h about the choice
 * of a cgroup's budget.
 *
 * Directories, the first one wins for files of the same name: /etc/bpfbudget, /run/bpfbudget, /usr/lib/bpfbudget.
 * bpfbudgetd.conf, then bpfbudgetd.conf.d/NAME.conf hold the settings; NAME.budget, then the drop-ins
 * NAME.budget.d/NAME.conf, one budget each, ordered by file name. A file that is a link to /dev/null, or empty, masks
 * those of the same name below.
 */
#pragma once

#include <stdint.h>

#include "policy/budget.h"
#include "policy/glob.h"
#include "policy/match.h"
#include "policy/message.h"
#include "policy/values.h"

/* RAM of this machine in bytes. */
uint64_t config_read_ram(void);

/*
 * Reads everything below @root ("" for the system; a test directory otherwise) from the three directories, or only the
 * one directory @directory if that is not NULL (--check-config DIR). All files are read to their end, so that all that
 * is wrong is reported at once. Returns 0; -EINVAL if there was anything fatal, then *config is empty; -ENOMEM. Errors
 * in a unit file are reported as fatal, too, but disable only the budget of that unit. @config is to be given to
 * config_deinit() in any case.
 */
int config_load(struct config *config, const char *root, const char *directory, const struct config_machine *machine,
                config_message_t message, void *context);
void config_deinit(struct config *config);
