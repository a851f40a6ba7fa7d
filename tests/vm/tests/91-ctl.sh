#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 180
# machines: ^trixie-6.12-nolsm$
# bpfbudgetctl as installed, with the service: explain on a unit with 40 MB of pre-allocated per-CPU maps names them as charged
# to nobody; budgets of units; who may ask and who may not.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

pins=/sys/fs/bpf/vmtest-ctl
unit=vmtest-ctl-percpu
trap 'systemctl stop bpfbudgetd $unit 2>/dev/null; rm -rf $pins' EXIT
has() { grep -qE -- "$2" <<<"$1" || fail "no line matches '$2' in: $1"; }

# What is not running is said, and the exit status is systemctl's.
systemctl stop bpfbudgetd.service bpfbudgetd.socket 2>/dev/null || true
status=0
said=$(bpfbudgetctl 2>&1) || status=$?
equal "exit status without a daemon" "$status" 3
has "$said" 'bpfbudgetd is not running'
systemctl start bpfbudgetd
answers() { bpfbudgetctl flush 2>/dev/null; }
wait_for 40 answers || fail "the daemon does not answer: $(bpfbudgetctl flush 2>&1)"
bpfbudgetctl
has "$(bpfbudgetctl version)" '^bpfbudgetd [0-9]'

# The service: its maps are pinned, and it goes on.
cpus=$(($(sed 's/.*-//' /sys/devices/system/cpu/possible) + 1))
maps=$((40000000 / (1024 * 1000 * cpus) + 1))
cat >/run/ctl-agent.sh <<END
#!/bin/bash
mkdir -p $pins
for i in \$(seq $maps); do
    bpftool map create $pins/counters_\$i type percpu_array key 4 value 1024 entries 1000 name counters_\$i || exit 1
done
exec sleep infinity
END
systemd-run --quiet --collect --unit=$unit --slice="$SLICE" -p MemoryMax=64M /bin/bash /run/ctl-agent.sh
made() { [ -e "$pins/counters_$maps" ] && pgrep -f 'sleep infinity' >/dev/null; }
wait_for 60 made || fail "the maps were not made: $(systemctl status $unit)"
cgroup=$(systemctl show -P ControlGroup $unit)

bpfbudgetctl explain $unit | tee /run/explain
has "$(cat /run/explain)" "^$cgroup$"
has "$(cat /run/explain)" ', at most 64.0M$'
has "$(cat /run/explain)" '^uncharged BPF +(3[89]|4[0-9])\.[0-9]M'
has "$(cat /run/explain)" "percpu_array +counters_[0-9]+ .* $pins/counters_"
has "$(tail -n 4 /run/explain | tr '\n' ' ')" 'is uncharged.*counters_[0-9]+ \(percpu_array\)'
snapshot=/run/explain.json
bpfbudgetctl --json=short explain "$cgroup" >$snapshot
check "40 MB are charged to nobody" 'select(.bpfUncharged < 40000000)'
# The kernel's own figure, which has nothing of them.
check "memory.current has nothing of them" 'select(.memoryCurrent >= 40000000)'
check "the shares that are no details make up memory.current" \
    '(.memoryCurrent) as $all | [.shares[] | select(.detail | not).bytes] | add | select((. - $all | fabs) > 0.1 * $all + 1048576)'

# Lists, and the same without the daemon.
has "$(bpfbudgetctl cgroups "$cgroup")" "^$cgroup +[0-9.]+M"
has "$(bpfbudgetctl tree)" "─$unit.service +[0-9.]+M"
equal "objects of the unit" "$(bpfbudgetctl -j objects "$cgroup" | jq '.objects | length')" "$maps"
equal "objects by the name of the unit" "$(bpfbudgetctl -j objects $unit | jq '.objects | length')" "$maps"
sizes() { jq '[.objects[] | {id, allocated, charged}] | sort_by(.id)'; }
equal "directly" "$(bpfbudgetctl --direct -j objects "$cgroup" | sizes)" "$(bpfbudgetctl -j objects "$cgroup" | sizes)" >/dev/null
equal "by directory of the pins" \
    "$(bpfbudgetctl -j objects --group-by=pin-dir "$cgroup" | jq -r '.groups[0] | "\(.group) \(.maps)"')" "$pins $maps"

# A budget by the name of the unit, and an event when it is passed.
bpfbudgetctl --json=short monitor "$cgroup" >/run/monitor.json &
monitor=$!
subscribed() { [ "$(bpfbudgetctl -j status | jq .statistics.clients)" -ge 2 ]; }
wait_for 20 subscribed || fail "monitor does not subscribe"
bpfbudgetctl set-budget $unit High=16M Max=1G
crossed() { [ "$(jq -r '"\(.from) \(.to)"' /run/monitor.json)" = "ok high" ]; }
wait_for 20 crossed || fail "monitor: $(cat /run/monitor.json)"
kill $monitor
has "$(bpfbudgetctl cgroups "$cgroup")" ' 16.0M +1.0G +high$'
bpfbudgetctl unset-budget $unit.service
has "$(bpfbudgetctl cgroups "$cgroup")" ' - +- +-$'

# top: printed, and drawn on a terminal.
has "$(bpfbudgetctl top "$cgroup")" "^$cgroup +[0-9.]+M"
TERM=linux script -qefc 'stty cols 80 rows 24; bpfbudgetctl top -n 2 -d 0.3' /run/top </dev/null >/dev/null || fail "top: $(cat /run/top)"
grep -q UNCHARGED /run/top || fail "top draws nothing: $(cat -v /run/top)"

# Colours come from libsmartcols by name; each suite has its own.
bpfbudgetctl set-budget $unit High=16M
has "$(SYSTEMD_COLORS=1 bpfbudgetctl cgroups "$cgroup" | cat -v)" '\^\[\[(1;)?33mhigh'

# Nobody may not ask, and is told who may.
said=$(setpriv --reuid=65534 --regid=65534 --clear-groups bpfbudgetctl cgroups 2>&1) && fail "nobody may ask"
has "$said" 'Only root and the group bpfbudget'

for file in bash-completion/completions/bpfbudgetctl zsh/site-functions/_bpfbudgetctl man/man1/bpfbudgetctl.1; do
    [ -s "/usr/share/$file" ] || fail "/usr/share/$file is not installed"
done
bash -n /usr/share/bash-completion/completions/bpfbudgetctl
