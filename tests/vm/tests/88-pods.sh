#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 240
# machines: -6.12$
# A tree of pods as the kubelet makes it, with both drivers and a static pod: they have their names, and budgets by Pod= and
# Container= hold. A service whose unit has a section [X-BPFBudget] is held to it from its first map on.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
id1=$(printf '%064x' 1) id2=$(printf '%064x' 2) id3=$(printf '%064x' 3)
uid1=7cf1f4a8-0f4c-4b7e-9d6e-0a1b2c3d4e5f uid2=8cf1f4a8-0f4c-4b7e-9d6e-0a1b2c3d4e5f hash=1d9ab0a5f8a9c5a3d7c7a1f2b3c4d5e6
mkdir -p /etc/bpfbudget
cat >/etc/bpfbudget/10-agent.budget <<END
[Match]
Pod=kube-system/agent-*
[Budget]
Max=1M
OnMax=deny
END
cat >/etc/bpfbudget/20-main.budget <<END
[Match]
Pod=default/*
Container=main
[Budget]
Max=1M
OnMax=deny
END
clean() {
    systemctl stop bpfbudgetd 'vmtest-*.service' 'cri-containerd-*.scope' || true
    rm -rf /etc/bpfbudget /var/log/pods /var/log/containers /sys/fs/bpf/pods-* /run/systemd/system/vmtest-*
    [ ! -d /sys/fs/cgroup/kubepods ] || echo 1 >/sys/fs/cgroup/kubepods/cgroup.kill
    wait_for 10 grep -qs 'populated 0' /sys/fs/cgroup/kubepods/cgroup.events || true
    find /sys/fs/cgroup/kubepods -depth -type d -exec rmdir {} + || true
    systemctl daemon-reload
}
trap clean EXIT
systemctl start bpfbudgetd

# log_pod NAMESPACE POD UID [CONTAINER ID]
log_pod() {
    mkdir -p "/var/log/pods/$1_$2_$3" /var/log/containers
    [ -z "${4:-}" ] || ln -s /nowhere "/var/log/containers/$2_$1_$4-$5.log"
}
# name_of CGROUP: that of its workload
name_of() { bpfbudgetctl cgroups --json=short --all "$1" | jq -r '.cgroups[0].workload.name // "none"'; }
has_name() { [ "$(name_of "$1")" = "$2" ]; }
make_map() { echo "bpftool map create /sys/fs/bpf/pods-$1 type array key 4 value 4096 entries $2 name $1"; }

# --- Systemd driver: containerd asks systemd for a scope
slice=kubepods-burstable-pod${uid1//-/_}.slice
log_pod kube-system agent-x7k "$uid1" agent "$id1"
systemd-run --quiet --scope --slice="$slice" --unit="cri-containerd-$id1.scope" \
    sh -c "$(make_map a1 16) && sleep 1 && $(make_map a2 1024); echo \$? >/run/pods-a; sleep 100" >/run/pods-a.log 2>&1 &
wait_for 20 test -s /run/pods-a || fail "no answer of the container: $(cat /run/pods-a.log)"
[ "$(cat /run/pods-a)" != 0 ] || fail "the pod passes Max of its budget"
grep -q 'Cannot allocate memory' /run/pods-a.log || fail "it was refused otherwise: $(cat /run/pods-a.log)"
pod=/kubepods.slice/kubepods-burstable.slice/$slice
wait_for 10 has_name "$pod/cri-containerd-$id1.scope" kube-system/agent-x7k/agent || fail "$(name_of "$pod/cri-containerd-$id1.scope")"
equal "name of the pod" "$(name_of "$pod")" kube-system/agent-x7k
bpfbudgetctl cgroups | grep -q '^kube-system/agent-x7k/agent ' || fail "no name in the table: $(bpfbudgetctl cgroups)"
refusals() { journalctl -q --sync; journalctl -q -o json BPFBUDGET_POD=agent-x7k BPFBUDGET_NAMESPACE=kube-system | wc -l; }
has_refusals() { [ "$(refusals)" -ge 1 ]; }
wait_for 10 has_refusals || fail "no entry with BPFBUDGET_POD="

# --- Cgroupfs driver, and a static pod; the name comes after the cgroup
enter() { mkdir -p "/sys/fs/cgroup$1" && echo $BASHPID >"/sys/fs/cgroup$1/cgroup.procs"; }
for level in /kubepods /kubepods/burstable /kubepods/besteffort "/kubepods/burstable/pod$uid2" "/kubepods/besteffort/pod$hash"; do
    mkdir "/sys/fs/cgroup$level"
    echo +memory >"/sys/fs/cgroup$level/cgroup.subtree_control"
done
container=/kubepods/burstable/pod$uid2/$id2
(enter "$container" && eval "$(make_map b1 16)" && sleep 100) &
wait_for 10 test -e /sys/fs/bpf/pods-b1 || fail "no map in the pod"
equal "name without logs" "$(name_of "$container")" none
log_pod default web-1 "$uid2" main "$id2"
wait_for 10 has_name "$container" default/web-1/main || fail "the name that came late: $(name_of "$container")"
(enter "$container" && ! eval "$(make_map b2 1024)") || fail "the container passes Max of its budget"
static=/kubepods/besteffort/pod$hash/$id3
log_pod kube-system kube-apiserver-node1 "$hash" kube-apiserver "$id3"
(enter "$static" && eval "$(make_map c1 1024)" && sleep 100) &
wait_for 10 has_name "$static" kube-system/kube-apiserver-node1/kube-apiserver || fail "$(name_of "$static")"

# --- The section [X-BPFBudget]
mkdir -p /run/systemd/system/vmtest-dropin.service.d
service() { printf '[Service]\nType=oneshot\nExecStart=/bin/sh -c "%s"\n' "$(make_map "$1" 1024)"; }
section=$'[X-BPFBudget]\nMax=1M\nOnMax=deny'
{ service d1; echo "$section"; } >/run/systemd/system/vmtest-unit.service
service d2 >/run/systemd/system/vmtest-dropin.service
echo "$section" >/run/systemd/system/vmtest-dropin.service.d/50-budget.conf
{ service 'd3-%%i'; echo "$section"; } >/run/systemd/system/vmtest-template@.service
service d4 >/run/systemd/system/vmtest-free.service
systemctl daemon-reload
file_of() { bpfbudgetctl budgets --json=short | jq -r --arg n "$1" '.budgets[] | select(.name == $n) | .file'; }
is_read() { [ "$(file_of vmtest-template@.service)" = /run/systemd/system/vmtest-template@.service ]; }
wait_for 20 is_read || fail "the sections are not read: $(bpfbudgetctl budgets)"
equal "file of a drop-in" "$(file_of vmtest-dropin.service)" /run/systemd/system/vmtest-dropin.service.d/50-budget.conf
for unit in vmtest-unit vmtest-dropin vmtest-template@x; do
    ! systemctl start $unit.service || fail "$unit passes Max of its unit file"
    journalctl -q --sync
    journalctl -q -u $unit.service | grep -q 'Cannot allocate memory' || fail "$unit: $(journalctl -q -u $unit.service)"
done
systemctl start vmtest-free.service || fail "a unit without the section is refused"
! journalctl -q -b _PID=1 | grep -F 'X-BPFBudget' || fail "systemd complains"
rm /run/systemd/system/vmtest-unit.service
is_gone() { [ -z "$(file_of vmtest-unit.service)" ]; }
wait_for 20 is_gone || fail "the section of a removed unit stays"
