/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The message ids of the journal. They never change; each has its entry in systemd/bpfbudget.catalog. */
#pragma once

#define BPFBUDGET_MESSAGE_HIGH_ID      "c570d457cacf49c5a4e01e1985aa493e" /* a cgroup went over High */
#define BPFBUDGET_MESSAGE_MAX_ID       "dda326b36cb048359238f145b8ae605e" /* a cgroup went over Max */
#define BPFBUDGET_MESSAGE_CLEAR_ID     "4969eae01ee449faa597c5903b2cf77d" /* a cgroup is within its limits again */
#define BPFBUDGET_MESSAGE_EASED_ID     "764750921aad4f78b76f82cdca417f52" /* from Max back to High only */
#define BPFBUDGET_MESSAGE_THROTTLED_ID "c6f7bec2685746d4987612749c1424c8" /* a cgroup was paused */
#define BPFBUDGET_MESSAGE_DENIED_ID    "60e2a96862874c56857233fff960dd75" /* growth was refused */
#define BPFBUDGET_MESSAGE_FILL_ID      "8aba853496b54299b912cce5e30a5923" /* a map is nearly full */
#define BPFBUDGET_MESSAGE_ORPHANS_ID   "a7d694fdcb354c4996e120464a379382" /* nobody holds too much */
