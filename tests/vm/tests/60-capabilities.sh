#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 90
# matrix: .
# What the daemon can do on this kernel is what the table in expected/ says, also where the command line takes something away
# (-nolsm, -nobpf), or adds CPUs (-64cpus). The actual one comes back with the results.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
actual=/run/bpfbudget-vm/$MACHINE.capabilities
expected=${MACHINE%-no*} expected=/usr/lib/bpfbudget/vm/expected/${expected%-64cpus}.capabilities

bpfbudgetd --capabilities --json=short >/run/bpfbudget-vm/capabilities.json
jq -r 'if type == "array" then . else .capabilities end | .[] | "\(.name) \(if .available then "yes" else "no" end)"' \
    /run/bpfbudget-vm/capabilities.json | sort >"$actual"
[ -s "$actual" ] || fail "no capabilities: $(cat /run/bpfbudget-vm/capabilities.json)"
[ -z "$OTHER_KERNEL" ] || { cat "$actual"; exit 0; }
[ -e "$expected" ] || fail "no $(basename "$expected") in tests/vm/expected; it would be: $(cat "$actual")"
diff -u <(grep -v '^#' "$expected") "$actual" ||
    fail "reasons: $(jq -c 'if type == "array" then . else .capabilities end | .[] | select(.available | not)' /run/bpfbudget-vm/capabilities.json)"
