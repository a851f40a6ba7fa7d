#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 150
# machines: ^trixie-6.12$
# The examples of the manuals, taken from the installed pages, all of them: commands are run, with a service that is as they
# assume it, and files are put in their places and have the effect that the manual describes.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

pins=/sys/fs/bpf/vmtest-manuals
pages='bpfbudgetctl.1 bpfbudgetd.8 io.bpfbudget.7 bpfbudgetd.conf.5 bpfbudget.budget.5 bpfbudget.messages.7'
files=()
cleanup() {
    bpfbudgetctl unset-budget agent.service || true
    systemctl stop agent.service || true
    rm -rf $pins /run/examples "${files[@]}" /etc/bpfbudget/90-default.budget
    for file in "${files[@]}"; do rmdir --ignore-fail-on-non-empty -p "$(dirname "$file")" 2>/dev/null || true; done
    systemctl daemon-reload
    systemctl restart bpfbudgetd || true
}
trap cleanup EXIT
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

# examples PAGE: its commands, a line each; one that ends in | goes on. A block whose first line is "# /PATH" goes to
# /run/examples/root/PATH instead.
examples() {
    zcat -f /usr/share/man/man*/"$1"* | awk -v root=/run/examples/root '
        /^\.EE/ { inside = 0; file = "" }
        inside {
            gsub(/\\-/, "-")
            if (inside++ == 1 && /^# \//) {
                file = root substr($0, 3); directory = file; sub(/\/[^\/]*$/, "", directory)
                system("mkdir -p \"" directory "\"")
            }
            if (file != "") print >file; else printf "%s%s", $0, /\|$/ ? " " : "\n"
        }
        /^\.EX/ { inside = 1 }'
}

# What must be in the output of an example, by a part of it: one without an entry here is a failure.
declare -A shows=(
    [explain agent.service]='agent_table'
    [what-grew --since=tuesday]=''
    [report --since=-3d]=''
    [suggest agent.service]='less than a day of history'
    [--group-by=name-prefix]='^ *agent_? +'
    [.cgroupGone]='"ended_table"'
    [set-budget agent.service]=''
    [--direct tree | head]='^ *CGROUP'
    [16777216]='"agent_table"'
    [io.bpfbudget.GetCgroup]='"path" *: *"/system.slice"'
    [io.bpfbudget.Subscribe]=''
    [ln -s /dev/null]=''
    [systemctl reload bpfbudgetd]=''
)
for page in $pages; do
    examples "$page" >"/run/examples/$page"
done
blocks=0
for page in $pages; do
    blocks=$((blocks + $(zcat -f /usr/share/man/man*/"$page"* | grep -c '^\.EX' || true)))
done
equal "blocks of commands" $((blocks - $(find /run/examples/root -type f | wc -l))) 10

# --- Commands
run=0
run_examples() {
    local page=$1 example part pattern status said

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
    done </run/examples/"$page"
}
for page in bpfbudgetctl.1 bpfbudgetd.8 io.bpfbudget.7; do
    run_examples $page
done
bpfbudgetctl -j budgets | jq -e '.budgets[] | select(.high == 50331648 and .max == 67108864)' >/dev/null ||
    fail "the budget of the example is not there: $(bpfbudgetctl -j budgets)"

# --- Files
while read -r file; do
    [ ! -e "$file" ] || fail "there is a $file already"
    files+=("$file")
    mkdir -p "$(dirname "$file")"
    cp "/run/examples/root$file" "$file"
done < <(find /run/examples/root -type f -printf '/%P\n' | sort)
echo "files: ${files[*]}"
bpfbudgetctl unset-budget agent.service
bpfbudgetctl verify || fail "the configuration of the examples has errors"
systemctl daemon-reload
said=$(systemd-analyze --man=no verify bpfbudgetd.service 2>&1 | grep bpfbudgetd.service || true)
[ -z "$said" ] || fail "systemd-analyze verify: $said"
systemctl restart bpfbudgetd
wait_for 40 answers || fail "the daemon does not run with the files of the examples: $(journalctl -u bpfbudgetd -o cat -n 5)"

budgets() { bpfbudgetctl -j budgets | jq -r '.budgets[].name' | sort | tr '\n' ' '; }
for name in 40-cilium 50-agents 60-pods 70-users 90-default; do
    [[ " $(budgets)" = *" $name "* ]] || fail "no budget $name: $(budgets)"
done
bpfbudgetctl -j cgroups agent.service | jq -e '.cgroups[] | .budget | select(.high == 67108864 and .max == 134217728 and .onMax == "deny")' \
    >/dev/null || fail "agent.service does not have the budget of its drop-in: $(bpfbudgetctl -j cgroups agent.service)"
# Without CAP_SYS_PTRACE, number 19.
bounding=$(sed -n 's/^CapBnd:[[:space:]]*//p' "/proc/$(systemctl show -P MainPID bpfbudgetd)/status")
[ $((0x$bounding >> 19 & 1)) = 0 ] || fail "the drop-in did not remove CAP_SYS_PTRACE: $bounding"
metrics() {
    exec 3<>/dev/tcp/127.0.0.1/9843
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
    timeout 10 cat <&3
}
grep -q '^bpfbudget_cgroup_bytes' <<<"$(metrics)" || fail "no metrics at the address of the example"

run_examples bpfbudget.budget.5
equal "examples that are commands" $run ${#shows[@]}
[[ " $(budgets)" != *" 90-default "* ]] || fail "the budget of the package is still there: $(budgets)"
