#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
# machines: none, but where it is asked for (T=gate-cost)
# What the gate costs (tests/bench/gate.c). Printed, and no verdict: the times of an emulated machine are not a real one's.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
in_unit vm-gate-cost -p Delegate=yes -p InaccessiblePaths=/run/systemd/journal/socket \
    -p Environment="CMOCKA_MESSAGE_OUTPUT=TAP BPFBUDGETD=$(command -v bpfbudgetd)" \
    /usr/lib/bpfbudget/tests/gate-cost 2>&1 | tee /run/cost.out
[ "$(grep -c 'ratio' /run/cost.out)" = 4 ] || fail "no figures"
