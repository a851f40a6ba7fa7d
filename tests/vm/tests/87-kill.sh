#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 3600
# machines: ^trixie-7.2$
# The daemon is killed at random moments under load (KILLS= times): tests/kernel/kill.c.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
in_unit vm-kill -p Delegate=yes -p RuntimeMaxSec=3500 -p Environment="CMOCKA_MESSAGE_OUTPUT=TAP KILLS=${KILLS:-10} BPFBUDGETD=$(command -v bpfbudgetd)" \
    /usr/lib/bpfbudget/tests/kill 2>&1 | sed -u -E 's/^((not )?ok [0-9]+ - )/\1kill: /' | tee /run/kill.out
grep -q '^ok' /run/kill.out || fail "the run failed"
