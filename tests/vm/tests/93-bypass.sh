#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 400
# machines: none, but where it is asked for (T=bypass)
# Each way past Max is tried: tests/kernel/bypass.c. It prints a table of them.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
output=$(mktemp)
in_unit vm-bypass -p Delegate=yes -p LimitNOFILE=20000 -p RuntimeMaxSec=$((380 * VM_TIME_FACTOR)) \
    -p InaccessiblePaths=/run/systemd/journal/socket \
    -p Environment="CMOCKA_MESSAGE_OUTPUT=TAP BPFBUDGETD=$(command -v bpfbudgetd)" \
    /usr/lib/bpfbudget/tests/bypass 2>&1 | tee "$output" | sed -u -E 's/^((not )?ok [0-9]+ - )/\1bypass: /'
! grep -q '^not ok' "$output" || fail "$(grep -c '^not ok' "$output") ways past Max"
rows=$(grep -c '^ok' "$output")
[ "$rows" -ge 23 ] || fail "$rows ways, should be 23 at least"
[ ! -e /sys/fs/bpf/bpfbudget ] || fail "pins are left"
