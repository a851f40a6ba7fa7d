/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Entries in the journal of the unit that an event concerns: what happened, who caused it and, by the catalog, what to
 * do.
 */
#pragma once

#include "account/ledger.h"
#include "policy/event.h"

/* The largest objects of the subtree of a cgroup for an alert: how many are named. */
#define ALERT_TOP 3

/*
 * Sends @event to the journal, with OBJECT_SYSTEMD_UNIT= so that journalctl -u shows it; to stderr if there is no
 * journal. The unit is the one whose level changed, that is paused, or that tried to grow. @ledger has the objects that
 * an alert about a level names. Never blocks (base/log.h). Returns 0, or -ENOMEM: it was sent without its fields.
 */
int alert_send(const struct budget_event *event, const struct ledger *ledger);
