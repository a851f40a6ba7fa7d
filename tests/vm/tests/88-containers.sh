#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
# machines: ^trixie-(7.2|6.12)(-arm64)?$
# The daemon as a container of crun, with the mounts, capabilities and namespaces of contrib/kubernetes/daemonset.yaml and nothing
# else, in the cgroup that the kubelet's cgroupfs driver makes. From in there it accounts, alerts, refuses and pauses other containers, of
# the systemd driver and of Podman; by their names, and it does not pause itself.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
manifest=/usr/lib/bpfbudget/vm/daemonset.yaml
work=/run/vm-containers
HIGH=c570d457cacf49c5a4e01e1985aa493e DENIED=60e2a96862874c56857233fff960dd75
uid_daemon=1cf1f4a8-0f4c-4b7e-9d6e-0a1b2c3d4e5f uid_agent=2cf1f4a8-0f4c-4b7e-9d6e-0a1b2c3d4e5f
id_daemon=$(printf '%064x' 10) id_agent=$(printf '%064x' 11) id_podman=$(printf '%064x' 12)
clean() {
    local status=$? id
    [ $status -eq 0 ] || head -n 50 $work/*/err
    for id in $id_daemon $id_agent $id_podman; do crun delete --force "$id" 2>/dev/null || true; done
    find /sys/fs/cgroup/kubepods -depth -type d -exec rmdir {} + 2>/dev/null || true
    bpfbudgetd --release || true
    rm -rf $work /var/log/pods /var/log/containers /var/lib/containers /sys/fs/bpf/ct-*
}
trap clean EXIT
systemctl stop bpfbudgetd.socket bpfbudgetd.service
mkdir -p $work/config /var/log/pods /var/log/containers /run/bpfbudget /var/lib/bpfbudget

# --- What the manifest grants
# capabilities: as a JSON array
capabilities() { sed -n 's/^ *- \([A-Z_]*\) # .*/CAP_\1/p' $manifest | jq -R . | jq -s -c .; }
# volume_mounts: NAME PATH OPTIONS of each
volume_mounts() {
    sed -n 's/^ *- {name: \([a-z]*\), mountPath: \([^,}]*\)\(.*\)}$/\1 \2 \3/p' $manifest |
        awk '{ o = "rbind"; if (/readOnly: true/) o = o ",ro"; o = o (/HostToContainer/ ? ",rslave" : ",rprivate"); print $1, $2, o }'
}
# host_path NAME: of a volume; the ConfigMap is a directory of this test
host_path() {
    case $1 in
    config) echo $work/config ;;
    *) grep -A1 "^ *- name: $1\$" $manifest | sed -n 's/^ *hostPath: {path: \([^,]*\),.*/\1/p' ;;
    esac
}
[ "$(capabilities | jq length)" -ge 5 ] || fail "capabilities of the manifest: $(capabilities)"
[ "$(volume_mounts | wc -l)" -ge 5 ] || fail "mounts of the manifest: $(volume_mounts)"
for line in 'hostPID: true' 'hostNetwork: false' 'privileged: false' 'allowPrivilegeEscalation: false' 'readOnlyRootFilesystem: true' \
    'drop: \[ALL\]' 'type: RuntimeDefault'; do
    grep -q "^ *.*$line" $manifest || fail "the manifest has no '$line'"
done
# The service has the same capabilities.
systemctl cat bpfbudgetd.service | sed -n 's/^CapabilityBoundingSet=//p' | tr ' ' '\n' | sort >$work/service
diff $work/service <(capabilities | jq -r '.[]' | sort) || fail "the service and the manifest differ"

# --- Bundles
# What the default profiles of the runtimes refuse to who has no capability for it. The daemon has one for bpf(2) and open_by_handle_at(2).
refused_calls='["acct","add_key","clock_adjtime","clock_settime","delete_module","finit_module","get_mempolicy","init_module",
    "kexec_file_load","kexec_load","keyctl","mbind","mount","move_pages","pivot_root","quotactl","reboot","request_key","set_mempolicy",
    "setns","settimeofday","swapoff","swapon","syslog","umount2","unshare","userfaultfd"]'

# make_bundle NAME CGROUP CAPABILITIES NAMESPACES: of the files of this machine; the command and more mounts, as JSON, are on stdin
make_bundle() {
    local root=$work/$1/root link
    mkdir -p "$root"/{usr,etc,proc,sys,dev,run,tmp,var}
    for link in bin lib sbin lib64; do
        [ ! -e /$link ] || ln -s usr/$link "$root/$link"
    done
    jq --arg cgroup "$2" --argjson capabilities "$3" --argjson namespaces "$4" --argjson refused "$refused_calls" '{
        ociVersion: "1.0.2",
        root: {path: "root", readonly: true},
        process: {
            terminal: false, user: {uid: 0, gid: 0}, cwd: "/", args: .args, env: ["PATH=/usr/sbin:/usr/bin"], noNewPrivileges: true,
            capabilities: {bounding: $capabilities, effective: $capabilities, permitted: $capabilities}
        },
        mounts: ([
            {destination: "/usr", type: "bind", source: "/usr", options: ["rbind", "ro"]},
            {destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]},
            {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]}
        ] + .mounts),
        linux: {
            cgroupsPath: $cgroup, namespaces: $namespaces,
            resources: {memory: {limit: 268435456}},
            seccomp: {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: $refused, action: "SCMP_ACT_ERRNO", errnoRet: 1}]},
            maskedPaths: ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
            readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    }' >"$work/$1/config.json"
}
# run_container NAME ID [OPTION...]
run_container() {
    crun "${@:3}" run --detach --no-pivot --bundle "$work/$1" "$2" >"$work/$1/out" 2>"$work/$1/err" </dev/null ||
        fail "crun: $(cat "$work/$1/err")"
}
bind() { jq -n -c --arg to "$1" --arg from "$2" --arg options "$3" '{destination: $to, type: "bind", source: $from, options: ($options | split(","))}'; }
# start_daemon CGROUP-NAMESPACE [VOLUME-LEFT-OUT]: as the manifest has it
start_daemon() {
    local namespaces='["mount", "ipc", "uts", "network"]' name path options
    [ "$1" = host ] || namespaces='["mount", "ipc", "uts", "network", "cgroup"]'
    crun delete --force "$id_daemon" 2>/dev/null || true
    rm -rf $work/daemon
    while read -r name path options; do
        [ "$name" = "${2:-}" ] || bind "$path" "$(host_path "$name")" "$options"
    done < <(volume_mounts) >$work/mounts
    # Podman's state is on nodes without Kubernetes.
    bind /var/lib/containers /var/lib/containers rbind,ro >>$work/mounts
    jq -s '{args: ["bpfbudgetd"], mounts: .}' $work/mounts |
        make_bundle daemon "/kubepods/burstable/pod$uid_daemon/$id_daemon" "$(capabilities)" "$(jq -c 'map({type: .})' <<<"$namespaces")"
    run_container daemon "$id_daemon"
    wait_for 60 answers || fail "the daemon does not answer: $(cat $work/daemon/err)"
}
answers() { bpfbudgetctl status >/dev/null 2>&1; }
inside() { crun exec "$id_daemon" "$@"; }

# A container that makes maps as it is told.
# start_agent NAME ID CGROUP
start_agent() {
    mkfifo $work/ask-"$1"
    jq -n --argjson bpffs "$(bind /sys/fs/bpf /sys/fs/bpf rbind,rslave)" --argjson work "$(bind /run $work rbind,rprivate)" --arg name "$1" '{
        mounts: [$bpffs, $work],
        args: ["bash", "-c", "exec 3<>/run/ask-\($name); while read -r map entries <&3; do
            bpftool map create /sys/fs/bpf/ct-$map type array key 4 value 4096 entries $entries name $map >/run/$map 2>&1
            echo end >>/run/$map; done"]
    }' | make_bundle "$1" "$3" '["CAP_BPF", "CAP_PERFMON", "CAP_DAC_OVERRIDE"]' \
        '[{"type": "mount"}, {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}, {"type": "cgroup"}]'
    run_container "$1" "$2" --systemd-cgroup
}
# make_map CONTAINER NAME ENTRIES: until the container has an answer, which is in $work/NAME
make_map() {
    echo "$2 $3" >$work/ask-"$1"
    wait_for 30 grep -qs '^end' "$work/$2" || fail "no answer: $2"
}
made() { make_map "$@" && [ "$(cat "$work/$2")" = end ]; }
denied() { make_map "$@" && grep -q 'Cannot allocate memory' "$work/$2"; }

cat >$work/config/10-agent.budget <<END
[Match]
Pod=kube-system/agent-*
[Budget]
High=8M
Max=12M
OnMax=deny
END
cat >$work/config/20-podman.budget <<END
[Match]
Container=builder
[Budget]
High=2M
OnHigh=throttle
END
# The daemon's own pod is over High from the beginning.
cat >$work/config/30-own.budget <<END
[Match]
Pod=kube-system/bpfbudgetd-*
[Budget]
High=4K
OnHigh=throttle
END
log_pod() {
    mkdir -p "/var/log/pods/$1_$2_$3"
    ln -sf /nowhere "/var/log/containers/$2_$1_$4-$5.log"
}
log_pod kube-system bpfbudgetd-x7k $uid_daemon bpfbudgetd "$id_daemon"
log_pod kube-system agent-b2c $uid_agent agent "$id_agent"
mkdir -p /var/lib/containers/storage/overlay-containers
echo "[{\"id\": \"$id_podman\", \"names\": [\"builder\"]}]" >/var/lib/containers/storage/overlay-containers/containers.json

# --- Without the journal, and in the host's cgroup namespace: podman run --cgroupns=host
start_daemon host journal
equal "cgroup of the daemon" "$(cut -d: -f3 "/proc/$(crun state "$id_daemon" | jq .pid)/cgroup")" "/kubepods/burstable/pod$uid_daemon/$id_daemon"
level() { jq -r .level <<<"$1"; }
readiness=$(inside bpfbudgetctl --json=short doctor || true)
jq . <<<"$readiness"
equal "readiness" "$(level "$readiness")" full
inside grep -w bpf /sys/kernel/security/lsm || fail "the list of security modules is not visible"
[ "$(level "$(inside bpfbudgetctl --json=short --direct doctor || true)")" = full ] || fail "--direct: $(inside bpfbudgetctl --direct doctor)"

pod_slice=kubepods-burstable-pod${uid_agent//-/_}.slice
start_agent agent "$id_agent" "$pod_slice:cri-containerd:$id_agent"
agent=/kubepods.slice/kubepods-burstable.slice/$pod_slice/cri-containerd-$id_agent.scope
[ -d "/sys/fs/cgroup$agent" ] || fail "crun made another cgroup: $(systemd-cgls --no-pager)"

# Accounting: elements by vmalloc(), which memory.stat counts by page.
pages() { awk '$1 == "vmalloc" { print $2 }' "/sys/fs/cgroup$agent/memory.stat"; }
bytes_of() { bpfbudgetctl cgroups --all --json=short "$1" | jq '.cgroups[0].bpf.charged // 0'; }
before=$(pages)
made agent first 1000 || fail "the agent makes no map: $(cat $work/first)"
agrees() { [ "$(bytes_of "$agent")" -gt 4000000 ] && [ "$(bytes_of "$agent")" = $(($(pages) - before)) ]; }
wait_for 20 agrees || fail "of $agent: $(bytes_of "$agent"), memory.stat: $(($(pages) - before)): $(bpfbudgetctl cgroups --json=short "$agent")"
echo "accounted: $(bytes_of "$agent")"
bpfbudgetctl cgroups | grep -q '^kube-system/agent-b2c/agent ' || fail "no name: $(bpfbudgetctl cgroups)"

# An alert, as a line of JSON
made agent second 1200 || fail "refused below Max: $(cat $work/second)"
entry() { grep '^{' $work/daemon/err | jq -c "select(.MESSAGE_ID == \"$1\" and .BPFBUDGET_POD == \"agent-b2c\")" | tail -n 1; }
alerted() { [ -n "$(entry $HIGH)" ]; }
wait_for 20 alerted || fail "no alert on stderr: $(cat $work/daemon/err)"
entry $HIGH
equal "priority" "$(entry $HIGH | jq -r .PRIORITY)" 4
equal "cgroup" "$(entry $HIGH | jq -r .CGROUP)" "/kubepods.slice/kubepods-burstable.slice/$pod_slice"
equal "budget" "$(entry $HIGH | jq -r .BPFBUDGET_BUDGET)" 10-agent
[ "$(entry $HIGH | jq '.BPFBUDGET_USAGE | tonumber')" = "$(($(pages) - before))" ] || fail "usage: $(entry $HIGH), $(pages)"

# Refusal
denied agent third 1024 || fail "the agent passes Max: $(cat $work/third)"
[ ! -e /sys/fs/bpf/ct-third ] || fail "there is a map"
reported() { [ -n "$(entry $DENIED)" ]; }
wait_for 20 reported || fail "no line of the refusal: $(cat $work/daemon/err)"

# A pause, of a container of Podman
start_agent podman "$id_podman" "machine.slice:libpod:$id_podman"
podman=/machine.slice/libpod-$id_podman.scope
made podman small 100 || fail "the container makes no map: $(cat $work/small)"
named() { [ "$(bpfbudgetctl cgroups --json=short --all "$podman" | jq -r '.cgroups[0].workload.name')" = builder ]; }
wait_for 20 named || fail "no name: $(bpfbudgetctl cgroups --json=short --all "$podman")"
# pauses CGROUP
pauses() { bpfbudgetctl cgroups --all --json=short "$1" | jq ".cgroups[0].budget.events.throttled // 0"; }
paused() { [ "$(pauses "$podman")" -gt 0 ]; }
echo "large 2048" >$work/ask-podman
wait_for 20 paused || fail "not paused: $(bpfbudgetctl explain --json=short "$podman") $(cat $work/daemon/err)"
wait_for 30 grep -qs '^end' $work/large || fail "it is not thawed"

# check_self: the daemon never pauses what it is in
check_self() {
    local own=/kubepods/burstable/pod$uid_daemon
    [ "$(bpfbudgetctl cgroups --json=short --all "$own" | jq '.cgroups[0].bpf.allocated')" -gt 4096 ] ||
        fail "not over High: $(bpfbudgetctl cgroups --json=short --all "$own")"
    equal "pauses of the daemon's pod ($1)" "$(pauses "$own")" 0
    answers || fail "the daemon does not answer"
}
check_self "cgroup namespace of the host"

# --- As the kubelet starts it: with the journal of the node, and a cgroup namespace of its own
start_daemon private
readiness=$(inside bpfbudgetctl --json=short doctor || true)
jq . <<<"$readiness"
equal "readiness in a cgroup namespace" "$(level "$readiness")" full
denied agent fourth 1024 || fail "the agent passes Max: $(cat $work/fourth)"
has_entries() { journalctl -q --sync; [ "$(journalctl -q -o cat BPFBUDGET_POD=agent-b2c | wc -l)" -ge 1 ]; }
wait_for 20 has_entries || fail "nothing in the journal: $(cat $work/daemon/err)"
check_self "cgroup namespace of its own"
inside bpfbudgetctl cgroups
[ -n "$(ls /var/lib/bpfbudget)" ] || fail "there is no history"
errors=$(grep -E 'Read-only|Permission denied|Operation not permitted' $work/daemon/err || true)
[ -z "$errors" ] || fail "$errors"
