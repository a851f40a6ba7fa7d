/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The message IDs of the journal. They never change. Generated from daemon/messages.txt by doc/make-messages. */
#pragma once

/* clang-format off */
#define BPFBUDGET_MESSAGE_HIGH_ID          "c570d457cacf49c5a4e01e1985aa493e" /* BPF memory of a cgroup is over High */
#define BPFBUDGET_MESSAGE_MAX_ID           "dda326b36cb048359238f145b8ae605e" /* BPF memory of a cgroup is over Max */
#define BPFBUDGET_MESSAGE_CLEAR_ID         "4969eae01ee449faa597c5903b2cf77d" /* BPF memory of a cgroup is within its budget again */
#define BPFBUDGET_MESSAGE_EASED_ID         "764750921aad4f78b76f82cdca417f52" /* BPF memory of a cgroup is below Max again */
#define BPFBUDGET_MESSAGE_THROTTLED_ID     "c6f7bec2685746d4987612749c1424c8" /* a cgroup is paused because its BPF memory grows */
#define BPFBUDGET_MESSAGE_DENIED_ID        "60e2a96862874c56857233fff960dd75" /* Growth of BPF memory was refused in a cgroup */
#define BPFBUDGET_MESSAGE_FILL_ID          "8aba853496b54299b912cce5e30a5923" /* A BPF map of a cgroup is nearly full */
#define BPFBUDGET_MESSAGE_ORPHANS_ID       "a7d694fdcb354c4996e120464a379382" /* Orphaned BPF memory exceeds OrphansHigh= */
#define BPFBUDGET_MESSAGE_CONFIGURATION_ID "413450060c9a42b88919f9e1ee2b286e" /* The configuration of bpfbudgetd has errors */
#define BPFBUDGET_MESSAGE_DENY_ID          "b2e5abdbded3472594171e475c2e9065" /* The limits of bpfbudgetd are not enforced */
#define BPFBUDGET_MESSAGE_FROZEN_ID        "87b808a6f41841b8983aee5349969cd7" /* A cgroup may remain frozen */
#define BPFBUDGET_MESSAGE_LOST_ID          "6b52e7d5de6147bb913f10a82de508e8" /* Messages of bpfbudgetd were lost */

/* X(ID, priority, text): each text of an ID, as a pattern for fnmatch(). */
#define BPFBUDGET_MESSAGES(X) \
        X(BPFBUDGET_MESSAGE_HIGH_ID, LOG_WARNING, "*: BPF memory is over * of budget *: * (High *, Max *)*") \
        X(BPFBUDGET_MESSAGE_MAX_ID, LOG_ERR, "*: BPF memory is over * of budget *: * (High *, Max *)*") \
        X(BPFBUDGET_MESSAGE_CLEAR_ID, LOG_NOTICE, "*: BPF memory is within the limits of budget *: * (High *, Max *)*") \
        X(BPFBUDGET_MESSAGE_CLEAR_ID, LOG_NOTICE, "*, of budget *, is gone*") \
        X(BPFBUDGET_MESSAGE_EASED_ID, LOG_NOTICE, "*: BPF memory is below Max but still over * of budget *: * (High *, Max *)*") \
        X(BPFBUDGET_MESSAGE_THROTTLED_ID, LOG_WARNING, "* grew by * of BPF memory over High of budget *: paused for * ms (* in use, High *)*") \
        X(BPFBUDGET_MESSAGE_DENIED_ID, LOG_ERR, "*: * was refused the * * (*): * of budget * is *, * in use*") \
        X(BPFBUDGET_MESSAGE_DENIED_ID, LOG_ERR, "*: * was killed for replacing a map's descriptor during the * * (*): * of budget * is *, * in use*") \
        X(BPFBUDGET_MESSAGE_DENIED_ID, LOG_ERR, "*: * was refused the * * (*, no ceiling): budget * counts ceilings, and has Unbounded=refuse*") \
        X(BPFBUDGET_MESSAGE_FILL_ID, LOG_WARNING, "*: map * (*, id *) is nearly full: * of * entries, MapFillHigh of budget * is *%*") \
        X(BPFBUDGET_MESSAGE_ORPHANS_ID, LOG_WARNING, "Orphans have * of BPF memory in * maps and programs, OrphansHigh is *; \"bpfbudgetctl orphans\" lists them") \
        X(BPFBUDGET_MESSAGE_CONFIGURATION_ID, LOG_ERR, "* errors in the configuration: the configuration in force is kept") \
        X(BPFBUDGET_MESSAGE_CONFIGURATION_ID, LOG_ERR, "* errors in the configuration; bpfbudgetd --check-config lists them, too") \
        X(BPFBUDGET_MESSAGE_DENY_ID, LOG_WARNING, "*: OnMax=deny is not available (*): growth past Max is reported, but not refused") \
        X(BPFBUDGET_MESSAGE_FROZEN_ID, LOG_ERR, "* cannot be thawed (*): it is tried again") \
        X(BPFBUDGET_MESSAGE_FROZEN_ID, LOG_ERR, "* cannot be thawed (*); write 0 to its cgroup.freeze") \
        X(BPFBUDGET_MESSAGE_FROZEN_ID, LOG_ERR, "* is damaged: \"*\" names no cgroup; one may be left frozen (cgroup.freeze is 1)") \
        X(BPFBUDGET_MESSAGE_FROZEN_ID, LOG_ERR, "* cannot be read: *") \
        X(BPFBUDGET_MESSAGE_LOST_ID, LOG_WARNING, "* messages were lost: the journal, or whoever reads stderr, did not take them")
