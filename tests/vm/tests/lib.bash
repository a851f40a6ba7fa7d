# SPDX-License-Identifier: LGPL-2.1-or-later
# What the tests share. Environment: MACHINE (its name), SERIES (6.1 ...), KERNEL_RELEASE, USERLAND (the Debian suite),
# CMDLINE (what the table adds to the command line), PRODUCT (yes if it is installed), OTHER_KERNEL (KERNEL= of run),
# TEST and SLICE of the running test.
set -euo pipefail

fail() { echo "FAIL: $*"; exit 1; }
skip() { echo "$*"; exit 77; }

# equal WHAT IS SHOULD
equal() { [ "$2" = "$3" ] || fail "$1 is '$2', should be '$3'"; echo "$1: $2"; }

# cgroup_of UNIT: its directory
cgroup_of() { echo "/sys/fs/cgroup$(systemctl show -P ControlGroup "$1")"; }

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

# in_unit NAME COMMAND...: runs it to its end in a service of its own in this test's slice
in_unit() {
    local unit=$1
    shift
    systemd-run --quiet --wait --collect --pipe --unit="$unit" --slice="$SLICE" "$@"
}

# start_asker UNIT [COMMAND;]: a service that runs COMMAND, and then makes a map of 4 MiB whenever refused() asks for one
start_asker() {
    mkfifo /run/vm-ask
    systemd-run --quiet --unit="$1" --slice="$SLICE" sh -c "${2:-}"'
        exec 3<>/run/vm-ask
        while read -r name <&3; do
            bpftool map create "/sys/fs/bpf/$name" type array key 4 value 4096 entries 1024 name "$name" >"/run/$name" 2>&1
            echo end >>"/run/$name"
        done'
}

# refused NAME: whether that service is refused the map NAME; what it was told is in /run/NAME
refused() {
    echo "$1" >/run/vm-ask
    wait_for 20 grep -qs '^end' "/run/$1" || fail "no answer: $1"
    grep -q 'Cannot allocate memory' "/run/$1"
}

# nobpf: BPF memory is charged to no cgroup on this machine
nobpf() { [[ " $CMDLINE " == *" cgroup.memory=nobpf "* ]]; }

need_product() { [ "$PRODUCT" = yes ] || skip "no product: run was called without --destdir"; }

# check WHAT JQ-EXPRESSION: it must hold for the JSON of $snapshot; what does not fit is printed
check() {
    local wrong
    wrong=$(jq -c "$2" "$snapshot") || fail "jq: $1"
    [ -z "$wrong" ] || fail "$1: $(printf '%s\n' "$wrong" | head -n 5)"
    echo "holds: $1"
}
