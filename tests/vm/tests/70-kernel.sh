#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
# machines: -[0-9.]+(-nobpf)?$
# matrix: -[0-9.]+(-nobpf)?$
# The programs of tests/kernel, each in a cgroup of its own. Their TAP lines are counted one by one.
# Not without the bpf LSM: nothing that they test depends on it.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
directory=/usr/lib/bpfbudget/tests
daemon=$(command -v bpfbudgetd) || fail "no bpfbudgetd"

status=0
found=0
for program in "$directory"/*; do
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
    case $(basename "$program") in
    accounting | bypass | demo | fast-bpfbudgetd | gate | gate-cost | gate-growth | gate-life | kill | latency | test-hostile | test-varlink) continue ;; # have tests of their own, or depend on the daemon only
    test-attribution | test-freezer) ! nobpf || continue ;; # they are about what is charged
    esac
    found=$((found + 1))
    name=$(basename "$program")
    output=$(mktemp)
    s=0
    # A limit below this test's own, so that one that hangs is named. What it wrote until then is kept: nothing is
    # buffered on the way. The name goes into its lines.
    # Without journald's socket the daemon writes its alerts to stderr, where the tests read them.
    in_unit "vm-kernel-$name" -p Delegate=yes -p InaccessiblePaths=/run/systemd/journal/socket -p RuntimeMaxSec=$((280 * VM_TIME_FACTOR)) \
        -p Environment="CMOCKA_MESSAGE_OUTPUT=TAP BPFBUDGETD=$daemon" "$program" 2>&1 |
        tee "$output" | sed -u -E "s/^((not )?ok [0-9]+ (- |# SKIP ))/\1$name: /" || s=$?
    if [ $s -ne 0 ] && [ $s -ne 77 ]; then echo "FAIL: $name ended with status $s"; status=1; fi
    # A program that dies half way has written fewer lines than its plan says.
    planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$output" | tail -n1)
    written=$(grep -cE '^(not )?ok [0-9]+' "$output" || true)
    [ "$planned" = "$written" ] || { echo "FAIL: $name planned '$planned' tests and reported $written"; status=1; }
done
[ $found -gt 0 ] || fail "no tests in $directory"
exit $status
