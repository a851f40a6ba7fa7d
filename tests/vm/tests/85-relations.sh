#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 180
# machines: -[0-9.]+$
# An agent that pins its maps and is started again in another unit: its maps are still listed, with last path, pin and new
# holder. The sums of systemd's own cgroups are printed beside the kernel's and bpftool's.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

pins=/sys/fs/bpf/vmtest-agent
trap 'rm -rf $pins' EXIT

# The agent: its first start makes and pins two maps; each start opens the pin of one and holds it.
cat >/run/relations-agent.sh <<END
#!/bin/bash
mkdir -p $pins
[ -e $pins/table ] || bpftool map create $pins/table type array key 4 value 1000000 entries 1 name agent_table
[ -e $pins/events ] || bpftool map create $pins/events type perf_event_array key 4 value 4 entries 64 name agent_events
exec bpftool map event_pipe pinned $pins/events
END
start() { systemd-run --quiet --collect --unit="$1" --slice="$SLICE" /bin/bash /run/relations-agent.sh; }
snapshot=/run/relations.json
# object NAME FILTER: of the map of that name in the snapshot
object() { jq -r --arg name "$1" ".objects[] | select(.kind == \"map\" and .name == \$name) | $2" "$snapshot"; }
take() { bpfbudgetd --once --json=short --holders --pins --uses >$snapshot || fail "no snapshot"; }
held() { take; [ "$(object agent_events '.holders[].comm')" = bpftool ]; }

# The daemon that goes on running; what it knows comes as JSON on SIGUSR1.
: >/run/relations-live.json
bpfbudgetd --json=short >>/run/relations-live.json 2>/run/relations-live.log &
daemon=$!
# Not by systemd, which waits 5 s: with PREEMPT_RT it takes longer at times to detach the sensors.
trap 'kill $daemon; wait $daemon; rm -rf $pins' EXIT
ready() { grep -q Watching /run/relations-live.log; }
wait_for 40 ready || fail "the daemon does not start: $(cat /run/relations-live.log)"
# live FILTER: of the map agent_table
live() {
    : >/run/relations-live.json
    kill -USR1 $daemon
    wait_for 10 grep -q '}$' /run/relations-live.json || fail "the daemon does not answer"
    jq -r ".objects[] | select(.kind == \"map\" and .name == \"agent_table\") | $1" /run/relations-live.json
}

start vmtest-first
wait_for 40 held || fail "nobody holds the map: $(object agent_events .)"
first=$(systemctl show -P ControlGroup vmtest-first)
equal "holder" "$(object agent_events '.holders[0].cgroup')" "$first"
equal "program that holds it" "$(object agent_events '.holders[0].exe | split("/") | last')" bpftool
equal "charged" "$(object agent_table .cgroup)" "$first"
equal "holders of a map that is only pinned" "$(object agent_table '.holders | length')" 0
equal "creator" "$(live .creator.comm)" bpftool
id=$(object agent_table .id)

systemctl stop vmtest-first
start vmtest-second
second=$(systemctl show -P ControlGroup vmtest-second)
wait_for 40 held || fail "nobody holds the map after the restart: $(object agent_events .)"
equal "the map" "$(object agent_table .id)" "$id"
equal "new holder" "$(object agent_events '.holders[0].cgroup')" "$second"
equal "pin" "$(object agent_table '.pins[]')" "$pins/table"
equal "pin of the map that is held" "$(object agent_events '.pins[]')" "$pins/events"
equal "size" "$(object agent_table '.allocated >= 1000000')" true
moved() { [ "$(live .cgroup)" != "$first" ]; }
wait_for 20 moved || fail "not known to be reparented: $(live .)"
equal "cgroup is gone" "$(live .cgroupGone)" true
equal "last path" "$(live .lastCgroup)" "$first"
live '{id, cgroup, cgroupGone, lastCgroup, creator}'
systemctl stop vmtest-second

# Real users: what systemd has loaded.
bpftool -j map show >/run/bpftool-maps.json
bpftool -j prog show >/run/bpftool-programs.json
take
printf '%-56s %10s %10s %10s %12s\n' CGROUP ALLOCATED CHARGED BPFTOOL MEMORY.STAT
jq -r --slurpfile maps /run/bpftool-maps.json --slurpfile programs /run/bpftool-programs.json '
    ([($maps[0][] | {key: "map \(.id)", value: .bytes_memlock}),
      ($programs[0][] | {key: "program \(.id)", value: .bytes_memlock})] | from_entries) as $bpftool |
    [.objects[] | . + {bpftool: ($bpftool["\(.kind) \(.id)"] // 0)}] | group_by(.cgroup)[] |
    [.[0].cgroup, (map(.allocated) | add), (map(.charged) | add), (map(.bpftool) | add)] | @tsv' $snapshot >/run/sums
while IFS=$'\t' read -r cgroup allocated charged bpftool; do
    kernel=$(awk '$1 == "kernel" { print $2 }' "/sys/fs/cgroup$cgroup/memory.stat" 2>/dev/null || true)
    printf '%-56s %10s %10s %10s %12s\n' "$cgroup" "$allocated" "$charged" "$bpftool" "${kernel:--}"
    # The kernel batches 32 pages per CPU before it books (MEMCG_CHARGE_BATCH): so much may be missing.
    [ -z "$kernel" ] || [ "$charged" -le $((kernel + 64 * 4096 * $(nproc))) ] || fail "$cgroup: more than the kernel charges"
done </run/sums
check "maps and usedBy say the same" \
    '. as $all | .objects[] | select(.kind == "program") | . as $p | .maps[] as $id |
     $all.objects[] | select(.kind == "map" and .id == $id) | select(.usedBy | index($p.id) | not) | {id, usedBy}'
