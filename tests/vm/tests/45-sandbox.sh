# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 240
# machines: ^trixie-6.12$
# The sandbox of the service: its score, what it may write, that nothing is missing in it; and each capability(7) taken away
# in turn is told by the feature that is off.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
unit=bpfbudgetd.service
dropin=/run/systemd/system/$unit.d/vm-test.conf

clean() {
    local status=$?
    [ $status -eq 0 ] || journalctl --no-pager -o short-monotonic -u $unit | tail -n 40
    rm -rf "${dropin%/*}"
    systemctl daemon-reload
    systemctl --quiet stop $unit 2>/dev/null || true
    systemctl --quiet reset-failed $unit 2>/dev/null || true
    rm -rf /sys/fs/bpf/vm-sandbox
}
trap clean EXIT

# with LINE...: the service, restarted with these lines added; said holds what it has logged since
with() {
    mkdir -p "${dropin%/*}"
    printf '%s\n' '[Service]' 'Restart=no' "$@" >"$dropin"
    systemctl daemon-reload
    systemctl reset-failed $unit 2>/dev/null || true
    systemctl restart $unit && started=yes || started=no
    said=$(journalctl --no-pager -o cat "_SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID $unit)")
}
# inside COMMAND...: in the service's mount namespace, with nothing of its other limits
inside() { nsenter --target "$(systemctl show -P MainPID $unit)" --mount -- "$@"; }

# --- The score: lower is better, 3.0 is what was asked for
systemctl start $unit || fail "start"
score=$(systemd-analyze security --no-pager $unit | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\) .*/\1/p')
echo "systemd-analyze security (systemd $(systemctl --version | sed -n '1s/.*(\(.*\))/\1/p')): $score"
awk -v score="$score" 'BEGIN { exit !(score != "" && score <= 3.0) }' || fail "$(systemd-analyze security --no-pager $unit)"

# --- Where it may write, and where not
for path in /etc /usr /var /root /home /proc/sys/kernel /sys/kernel /sys/kernel/tracing; do
    ! inside test -w "$path" 2>/dev/null || fail "$path is writable"
done
for path in /run/bpfbudget /var/lib/bpfbudget /sys/fs/bpf /sys/fs/cgroup /sys/fs/cgroup/system.slice; do
    inside test -w "$path" || fail "$path is not writable"
done
# What is pinned in there is there for all, and what is pinned outside can be seen in there.
inside mkdir /sys/fs/bpf/vm-sandbox
[ -d /sys/fs/bpf/vm-sandbox ] || fail "a directory made in the service's bpffs is not in the machine's"
bpftool map create /sys/fs/bpf/vm-sandbox/map type hash key 4 value 64 entries 128 name vm_sandbox
inside test -e /sys/fs/bpf/vm-sandbox/map || fail "a pin of the machine is not in the service's bpffs"
rm -r /sys/fs/bpf/vm-sandbox

# --- All that works outside the sandbox works inside: capabilities are missing only by name
systemctl stop $unit
with
[ $started = yes ] || fail "it does not start: $said"
errors=$(journalctl --no-pager -o cat -p err "_SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID $unit)")
[ -z "$errors" ] || fail "errors: $errors"
lost=$(grep 'is not available' <<<"$said" || true)
equal "capabilities that are missing by default" "$lost" \
    "map:memlock is not available: CAP_SYS_ADMIN is missing (bytes of map types that this version does not know)"
systemctl show -P StatusText $unit | grep -E '^[0-9]+ cgroups, [0-9]+ objects, [0-9.]+[KMGT]? of BPF memory, [0-9]+ over High' ||
    fail "status: $(systemctl show -P StatusText $unit)"
# The hooks are those that a shell of root gets.
run_in_sandbox() {
    with 'Type=oneshot' 'WatchdogSec=0' 'ExecStopPost=' 'ExecStart=' "ExecStart=$(command -v bpfbudgetd) --capabilities --json=short" \
        'StandardOutput=truncate:/run/vm-sandbox.json'
}
run_in_sandbox
diff <(bpfbudgetd --capabilities --json=short | jq -r '.capabilities[] | "\(.name) \(.available)"' | grep -v '^map:memlock ') \
    <(jq -r '.capabilities[] | "\(.name) \(.available)"' /run/vm-sandbox.json | grep -v '^map:memlock ') ||
    fail "the sandbox takes hooks away: $(jq -c '.capabilities[] | select(.available | not)' /run/vm-sandbox.json)"

# --- Each capability taken away
while read -r cap feature; do
    with "CapabilityBoundingSet=~$cap"
    [ $started = yes ] || fail "without $cap it does not start: $said"
    grep -q "^$feature is not available: .*$cap is missing" <<<"$said" || fail "without $cap: $said"
    echo "without $cap: $(grep "^$feature" <<<"$said")"
done <<END
CAP_DAC_READ_SEARCH cgroup:handles
CAP_DAC_OVERRIDE cgroup:delegated
CAP_SYS_PTRACE process:exe
END
# Nothing can be measured without these two; it says so and systemd does not try again.
for cap in CAP_BPF CAP_PERFMON; do
    with "CapabilityBoundingSet=~$cap" Restart=on-failure
    [ $started = no ] || fail "without $cap it starts"
    grep -q "no permission: $cap is missing" <<<"$said" || fail "without $cap: $said"
    equal "exit status without $cap" "$(systemctl show -P ExecMainStatus $unit)" 69
    equal "restarts without $cap" "$(systemctl show -P NRestarts $unit)" 0
    echo "without $cap: $(grep "$cap" <<<"$said")"
done

# --- Without bpffs, and without a cgroup hierarchy, it starts all the same
with 'InaccessiblePaths=/sys/fs/cgroup'
[ $started = yes ] || fail "without cgroups it does not start: $said"
grep -q 'cgroup' <<<"$said" || fail "without cgroups: $said"
with 'ReadWritePaths=' 'InaccessiblePaths=/sys/fs/bpf'
[ $started = yes ] || fail "without bpffs it does not start: $said"

# --- The watchdog: a daemon that hangs is ended and started again
with 'Restart=on-failure' 'WatchdogSec=2s'
pid=$(systemctl show -P MainPID $unit)
sleep 5
equal "MainPID while the loop turns" "$(systemctl show -P MainPID $unit)" "$pid"
kill -STOP "$pid"
other() { [ "$(systemctl show -P MainPID $unit)" != "$pid" ] && systemctl --quiet is-active $unit; }
wait_for 40 other || fail "it hangs and is not started again"
equal "NRestarts" "$(systemctl show -P NRestarts $unit)" 1
