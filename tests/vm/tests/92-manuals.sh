#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 150
# machines: ^trixie-6.12$
# The examples of the manuals that are commands, taken from the installed pages, with a service that is as they assume it.
# Those that are files are checked by tests/doc/test-manuals.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

pins=/sys/fs/bpf/vmtest-manuals
trap 'bpfbudgetctl unset-budget agent.service || true; systemctl stop agent.service || true; rm -rf $pins /run/examples' EXIT
mkdir -p $pins /run/examples /etc/bpfbudget
systemctl start bpfbudgetd

# 20 MB that agent.service holds, and a pinned map of a service that has ended.
systemd-run --quiet --collect --unit=agent --slice="$SLICE" /bin/sh -c "
    bpftool map create $pins/agent_table type array key 4 value 4096 entries 5000 name agent_table &&
    exec sleep infinity"
in_unit vmtest-ended bpftool map create $pins/ended_table type array key 4 value 4096 entries 10 name ended_table
made() { [ -e $pins/agent_table ] && pgrep -f 'sleep infinity' >/dev/null; }
wait_for 30 made || fail "the map was not made: $(systemctl status agent)"
answers() { bpfbudgetctl flush 2>/dev/null; }
wait_for 40 answers || fail "the daemon does not answer: $(bpfbudgetctl flush 2>&1)"

# examples PAGE: its commands, a line each; one that ends in | goes on
examples() {
    zcat -f /usr/share/man/man*/"$1"* | awk '/^\.SH EXAMPLES/ { found = 1 } /^\.EE/ { inside = 0 }
        found && inside { gsub(/\\-/, "-"); printf "%s%s", $0, /\|$/ ? " " : "\n" } /^\.EX/ { inside = 1 }'
}

# What must be in the output of an example, by a part of it: one without an entry here is a failure.
declare -A shows=(
    [explain agent.service]='agent_table'
    [what-grew --since=tuesday]=''
    [suggest agent.service]='less than a day of history'
    [--group-by=name-prefix]='^ *agent_? +'
    [.cgroupGone]='"ended_table"'
    [set-budget agent.service]=''
    [--direct tree | head]='^ *CGROUP'
    [16777216]='"agent_table"'
    [io.bpfbudget.GetCgroup]='"path" *: *"/system.slice"'
    [io.bpfbudget.Subscribe]=''
)
run=0
for page in bpfbudgetctl.1 bpfbudgetd.8 io.bpfbudget.7; do
    examples $page >/run/examples/$page
    while read -r example; do
        run=$((run + 1)) status=0 pattern=none
        echo "$page: $example"
        for part in "${!shows[@]}"; do
            [[ "$example" != *"$part"* ]] || pattern=${shows[$part]}
        done
        [ "$pattern" != none ] || fail "what this example shows is not in the test's table"
        said=$(timeout 15 bash -o pipefail -c "$example" 2>&1 </dev/null) || status=$?
        # This one goes on until it is stopped.
        [[ "$example" != *Subscribe* ]] || [ $status != 124 ] || status=0
        # This machine has not run for a day.
        [[ "$example" != *suggest* ]] || { [ $status != 1 ] || status=0; rm -f /etc/bpfbudget/50-agent.budget; }
        [ $status = 0 ] || fail "exit status $status: $said"
        grep -qE "$pattern" <<<"$said" || fail "no '$pattern' in: $said"
    done </run/examples/$page
done
equal "examples" $run ${#shows[@]}
bpfbudgetctl -j budgets | jq -e '.budgets[] | select(.high == 50331648 and .max == 67108864)' >/dev/null ||
    fail "the budget of the example is not there: $(bpfbudgetctl -j budgets)"
