/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Budgets in unit files of systemd: the section [X-BPFBudget] of a unit, of a template for its instances, and of their
 * drop-ins (unitparts.h), in the directories and with the precedence of systemd.unit(5). systemd ignores sections
 * whose names begin with X-.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "policy/budget.h"
#include "policy/source.h"

#define UNIT_SECTION "X-BPFBudget"

/* Directories of units, the first has precedence; NULL ends them. */
extern const char *const unit_directories[];

struct unit_budgets {
        struct budget *list; /* of units before those of templates, and so on */
        size_t count;
        uint64_t fingerprint; /* of all these sections; it differs if any of them changed */
};

/*
 * Reads those of the directories below @root. An invalid section is reported as an error and skipped: a mistake in the
 * unit of one package must not remove the limits of all others. Returns 0 or -ENOMEM. @budgets is to be given to
 * unit_budgets_deinit() in any case.
 */
int unit_budgets_load(struct unit_budgets *budgets, struct loader *loader, const char *root);
void unit_budgets_deinit(struct unit_budgets *budgets);

/* The fingerprint alone, of what is there now. Returns 0 or -ENOMEM. */
int unit_budgets_fingerprint(const char *root, uint64_t *fingerprint);
