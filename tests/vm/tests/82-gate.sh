#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 500
# machines: (-(6.1|6.12|7.2)(-nolsm)?|-6.12-arm64)$
# What OnMax=deny refuses, by the LSM and without: tests/kernel/gate.c, gate-growth.c and gate-life.c.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
output=$(mktemp)
status=0
for program in gate gate-growth gate-life; do
    in_unit "vm-$program" -p Delegate=yes -p LimitNOFILE=20000 -p RuntimeMaxSec=$((300 * VM_TIME_FACTOR)) \
        -p InaccessiblePaths=/run/systemd/journal/socket \
        -p Environment="CMOCKA_MESSAGE_OUTPUT=TAP BPFBUDGETD=$(command -v bpfbudgetd)" \
        "/usr/lib/bpfbudget/tests/$program" 2>&1 | tee -a "$output" | sed -u -E "s/^((not )?ok [0-9]+ - )/\1$program: /" ||
        { echo "FAIL: $program ended with status $?"; status=1; }
done
! grep -q '^not ok' "$output" || fail "$(grep -c '^not ok' "$output") tests failed"
rows=$(grep -c '^ok' "$output")
[ "$rows" -ge 27 ] || fail "$rows tests, should be 27 at least"
[ ! -e /sys/fs/bpf/bpfbudget ] || fail "pins are left"
exit $status
