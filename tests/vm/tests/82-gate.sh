#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
# machines: -(6.1|6.12|7.2)(-nolsm)?$
# What OnMax=deny refuses, by the LSM and without: tests/kernel/gate.c.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
output=$(mktemp)
in_unit vm-gate -p Delegate=yes -p LimitNOFILE=20000 -p RuntimeMaxSec=$((280 * VM_TIME_FACTOR)) \
    -p InaccessiblePaths=/run/systemd/journal/socket \
    -p Environment="CMOCKA_MESSAGE_OUTPUT=TAP BPFBUDGETD=$(command -v bpfbudgetd)" \
    /usr/lib/bpfbudget/tests/gate 2>&1 | tee "$output" | sed -u -E 's/^((not )?ok [0-9]+ - )/\1gate: /'
! grep -q '^not ok' "$output" || fail "$(grep -c '^not ok' "$output") tests failed"
rows=$(grep -c '^ok' "$output")
[ "$rows" -ge 21 ] || fail "$rows tests, should be 21 at least"
[ ! -e /sys/fs/bpf/bpfbudget ] || fail "pins are left"
