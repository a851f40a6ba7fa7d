#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 90
# matrix: .
# The service starts, stays, and stops cleanly.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
unit=bpfbudgetd.service

show() { systemctl --no-pager status $unit || true; journalctl --no-pager -o short-monotonic -u $unit | tail -n 40; }
trap '[ $? -eq 0 ] || show' EXIT

systemctl start $unit || fail "start"
wait_for 20 systemctl --quiet is-active $unit || fail "not active"
pid=$(systemctl show -P MainPID $unit)
sleep 3
equal "MainPID after 3 s" "$(systemctl show -P MainPID $unit)" "$pid"
equal "NRestarts" "$(systemctl show -P NRestarts $unit)" 0
grep -E '^(Name|VmRSS|Threads)' "/proc/$pid/status"

systemctl stop $unit || fail "stop"
equal "ActiveState after stop" "$(systemctl show -P ActiveState $unit)" inactive
equal "Result" "$(systemctl show -P Result $unit)" success
[ ! -e "/proc/$pid" ] || fail "process $pid is still there"
# A stop on purpose opens the gate: nothing stays pinned.
left=$(find /sys/fs/bpf/bpfbudget -type f 2>/dev/null || true)
[ -z "$left" ] || fail "still pinned: $left"
errors=$(journalctl --no-pager -o cat -p err -u $unit --since "-60s" | grep -v '^-- ' || true)
[ -z "$errors" ] || fail "the journal has errors: $errors"
