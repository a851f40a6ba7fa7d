#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 180
# machines: ^trixie-7.2$
# Programs that people really use, each in a service of its own, and what systemd loads for units: each object is its service's,
# none is missing, and the sums stand beside the kernel's and bpftool's.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
snapshot=/run/real.json

# user NAME COMMAND...: a service that runs it
user() {
    local unit=real-$1
    shift
    systemd-run --quiet --collect --unit="$unit" --slice="$SLICE" -p StandardInput=null -p StandardOutput=null "$@"
}
user execsnoop execsnoop-libbpf
user opensnoop opensnoop-libbpf
user runqlat runqlat-libbpf 60
user biolatency biolatency-libbpf 60
user bpftrace bpftrace -e 'tracepoint:syscalls:sys_enter_openat { @open[comm] = count(); } kprobe:vfs_read { @size = hist(arg2); }'
users='execsnoop opensnoop runqlat biolatency bpftrace'
# systemd loads programs for these itself, in its own cgroup.
systemd-run --quiet --collect --unit=real-filtered --slice="$SLICE" -p IPAccounting=yes -p IPAddressDeny=any \
    -p DevicePolicy=closed -p RestrictFileSystems=ext4 -p SocketBindDeny=tcp -p RestrictNetworkInterfaces=lo sleep infinity

# held UNIT: "kind id" of what the unit's process has open, as the kernel says; a program may be held by its link only
held() {
    local pid
    pid=$(systemctl show -P MainPID "$1")
    sed -n -E 's/^map_id:\t([0-9]+)$/map \1/p; s/^prog_id:\t([0-9]+)$/program \1/p' "/proc/$pid/fdinfo/"* 2>/dev/null | sort -u
}
# A program that is attached is the last thing that each of them makes.
attached() { held "real-$1" | grep -q program && held "real-$1" | grep -q map; }
for name in $users; do
    wait_for 90 attached "$name" || fail "$name holds nothing: $(journalctl -q -o cat -u "real-$name" | tail -n 5)"
done
# They have all they will make, and the kernel's statistics are flushed, every 2 s at the latest.
before=
settled() { local now; now=$(for u in $users; do held "real-$u"; done); [ "$now" = "$before" ] || { before=$now; sleep 2; false; }; }
wait_for 60 settled || fail "they go on making objects"
sleep 3

bpftool -j map show >/run/real-maps.json
bpftool -j prog show >/run/real-programs.json
bpfbudgetd --once --json=short --holders >$snapshot
jq '[(.[] | {key: "map \(.id)", value: .bytes_memlock})]' /run/real-maps.json >/run/real-1.json
jq '[(.[] | {key: "program \(.id)", value: .bytes_memlock})]' /run/real-programs.json >/run/real-2.json
jq -s 'add | from_entries' /run/real-1.json /run/real-2.json >/run/real-bpftool.json

# The kernel batches 32 pages per CPU before it books (MEMCG_CHARGE_BATCH): so much may be missing.
slack=$((32 * 4096 * $(nproc)))
printf '%-48s %7s %10s %10s %10s %12s\n' CGROUP OBJECTS ALLOCATED CHARGED BPFTOOL MEMORY.STAT
# row CGROUP: prints its sums, and checks them
row() {
    local n allocated charged bpftool kernel
    read -r n allocated charged bpftool < <(jq -r --arg cgroup "$1" --slurpfile bpftool /run/real-bpftool.json '
        [.objects[] | select(.cgroup == $cgroup)] | [length, (map(.allocated) | add // 0), (map(.charged) | add // 0),
        (map($bpftool[0]["\(.kind) \(.id)"] // 0) | add // 0)] | map(tostring) | join(" ")' $snapshot)
    kernel=$(awk '$1 == "kernel" { print $2 }' "/sys/fs/cgroup$1/memory.stat")
    printf '%-48s %7s %10s %10s %10s %12s\n' "$1" "$n" "$allocated" "$charged" "$bpftool" "$kernel"
    [ "$n" -gt 0 ] || fail "$1 has nothing"
    [ "$charged" -gt 0 ] && [ "$charged" -le $((kernel + slack)) ] || fail "$1: more is charged than the kernel says"
    # bpftool's figure knows neither JIT images nor what the allocator rounds up: it is the lesser one.
    [ "$allocated" -ge "$bpftool" ] || fail "$1: less than bpftool says"
}
for name in $users; do
    cgroup=$(systemctl show -P ControlGroup "real-$name")
    row "$cgroup"
    while read -r kind id; do
        is=$(jq -r --arg kind "$kind" --argjson id "$id" '.objects[] | select(.kind == $kind and .id == $id) | .cgroup' $snapshot)
        [ "$is" = "$cgroup" ] || fail "$kind $id of $name is in '$is', not in $cgroup"
    done < <(held "real-$name")
    echo "$name: $(held "real-$name" | grep -c map) maps and $(held "real-$name" | grep -c program) programs are all in its cgroup"
done
row /init.scope

# What pid 1 holds is systemd's. What it has made for a unit is in its own cgroup: it is its allocation. What it made before
# it moved there is the root's.
sed -n -E 's/^prog_id:\t([0-9]+)$/\1/p' /proc/1/fdinfo/* 2>/dev/null | sort -u >/run/real-systemd
count=$(wc -l </run/real-systemd) own=0
[ "$count" -gt 0 ] || fail "systemd holds no program"
while read -r id; do
    is=$(jq -r --argjson id "$id" '.objects[] | select(.kind == "program" and .id == $id) | .cgroup' $snapshot)
    case $is in
    /init.scope) own=$((own + 1)) ;;
    /) ;;
    *) fail "program $id of systemd is in '$is'" ;;
    esac
done </run/real-systemd
[ $own -gt 0 ] || fail "no program of systemd is in its cgroup"
echo "systemd: $own of $count programs are in /init.scope, the others in /"

# Nothing that bpftool lists is missing; what bpfbudgetd itself loaded for the snapshot is not there any more.
jq -r 'keys[]' /run/real-bpftool.json >/run/real-listed
jq -r '.objects[] | "\(.kind) \(.id)"' $snapshot >/run/real-ours
missing=$(sort /run/real-listed | comm -23 - <(sort /run/real-ours))
[ -z "$missing" ] || fail "missing: $missing"
