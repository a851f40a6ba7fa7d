#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
# bpfbudgetctl doctor on each machine beside what is found there: a budget that refuses does so exactly where there is some
# refusal, and the machine's command line decides what is missing. The daemon in its sandbox says the same as root without, but for preemption.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
unit=vm-doctor.service
trap 'systemctl stop bpfbudgetd $unit 2>/dev/null; rm -f /sys/fs/bpf/vmdoctor /run/vm-ask /run/vmdoctor' EXIT

# level FACILITY and remedy NAME in $snapshot
level() { jq -r --arg name "$1" '.facilities[] | select(.name == $name) | .level' "$snapshot"; }
remedy() { jq -r --arg name "$1" 'first(.facilities[].findings[] | select(.name == $name)) | .remedy' "$snapshot"; }
# doctor OPTION...: its JSON in $snapshot; its exit status is its level
snapshot=/run/bpfbudget-vm/doctor.json
doctor() {
    local status=0
    bpfbudgetctl --json=short "$@" doctor >$snapshot || status=$?
    case $(jq -r .level $snapshot):$status in full:0 | partial:1 | none:2) ;; *) fail "exit status $status: $(cat $snapshot)" ;; esac
}

doctor --direct
jq . $snapshot
cp $snapshot /run/bpfbudget-vm/doctor-direct.json
bpfbudgetctl --direct doctor || true
if [ -z "$OTHER_KERNEL" ]; then
    # Whether programs can be attached to functions: on arm64 since 6.4. Without, growth is polled.
    trampolines=full
    [ "$ARCH:$SERIES" != arm64:6.1 ] || trampolines=none
    # Whether the kernel is preemptible, as its command line and version have it.
    preemptible=no
    [[ " $CMDLINE " != *" preempt=full "* && $SERIES != 7.* ]] || preemptible=yes
    if [ $trampolines = none ]; then
        equal "refusal" "$(level refusal)" none
        equal "what to boot" "$(remedy no-trampolines-arm64)" "Linux 6.4 or newer"
    elif [[ ,$(cat /sys/kernel/security/lsm), != *,bpf,* && $preemptible = yes ]]; then
        equal "refusal" "$(level refusal)" partial
        equal "what to boot with" "$(remedy no-lsm)" "lsm=$(cat /sys/kernel/security/lsm),bpf"
    else
        equal "refusal" "$(level refusal)" full
    fi
    if nobpf; then
        equal "accounting" "$(level accounting)" partial
        equal "what to remove" "$(remedy nobpf)" cgroup.memory=nobpf
    else
        equal "accounting" "$(level accounting)" full
    fi
    equal "alerts" "$(level alerts)" ${trampolines/none/partial}
    equal "throttle" "$(level throttle)" ${trampolines/none/partial}
fi

# The daemon, by what its service may do.
systemctl start bpfbudgetd
doctor
# It may not read addresses of the kernel (CAP_SYSLOG), and so takes a kernel for preemptible that is not.
same() { jq -S '.facilities | map(select(.name != "refusal"))' "$1"; }
diff <(same /run/bpfbudget-vm/doctor-direct.json) <(same $snapshot) || fail "the service is not as root without it"

# What the gate does.
start_asker ${unit%.service}
bpfbudgetctl set-budget $unit Max=1M OnMax=deny
if refused vmdoctor; then
    [ "$(level refusal)" != none ] || fail "a map was refused, but doctor says that none is"
else
    equal "refusal, as the map was made" "$(level refusal)" none
fi
bpfbudgetctl unset-budget $unit
