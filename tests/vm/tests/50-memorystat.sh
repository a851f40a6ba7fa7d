#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
# matrix: .
# A map made in a cgroup shows in its memory.stat, and what bpfbudgetd says of it goes the same way.
. /usr/lib/bpfbudget/vm/tests/lib.bash

# The cgroup's own kernel memory in bytes. "kernel" is there since 5.18.
kernel_memory() { awk '$1 == "kernel" { print $2 }' "/sys/fs/cgroup$1/memory.stat"; }

# A cgroup that stays; maps are made by processes that are moved into it.
systemd-run --quiet --unit=vm-stat --slice="$SLICE" -p Delegate=yes /bin/sleep infinity
wait_for 20 systemctl --quiet is-active vm-stat
cgroup=$(systemctl show -P ControlGroup vm-stat)
trap 'rm -f /sys/fs/bpf/vm-stat-*' EXIT

# bpftool once before: what a process leaves behind in the caches of this cgroup is not the map's.
inside() { (echo $BASHPID >"/sys/fs/cgroup$cgroup/cgroup.procs" && exec "$@"); }
inside bpftool map create /sys/fs/bpf/vm-stat-warm type array key 4 value 8 entries 8 name vm_warm
rm /sys/fs/bpf/vm-stat-warm

# one NAME BYTES ARGUMENTS...: bytes is what its elements take at least
one() {
    local name=$1 bytes=$2 before after moved said id
    shift 2
    before=$(kernel_memory "$cgroup")
    inside bpftool map create "/sys/fs/bpf/vm-stat-$name" "$@" name "vm_$name"
    # The cgroup's statistics are flushed every 2 s at the latest.
    sleep 2.5
    after=$(kernel_memory "$cgroup")
    moved=$((after - before))
    said=-
    if [ "$PRODUCT" = yes ]; then
        id=$(bpftool -j map show pinned "/sys/fs/bpf/vm-stat-$name" | jq .id)
        said=$(bpfbudgetd --once --json=short | jq ".objects[] | select(.kind == \"map\" and .id == $id) | .charged")
    fi
    echo "$name: elements $bytes, memory.stat moved by $moved, bpfbudgetd says charged $said"
    if nobpf; then
        [ "$moved" -lt $((bytes / 4)) ] || fail "charged although cgroup.memory=nobpf"
        [ "$said" = - ] || [ "$said" = 0 ] || fail "bpfbudgetd says $said is charged"
    else
        [ "$moved" -ge $((bytes * 9 / 10)) ] || fail "not charged"
        if [ "$said" != - ]; then
            if [ "$said" -lt $((moved * 8 / 10)) ] || [ "$said" -gt $((moved * 12 / 10)) ]; then fail "$said is not near $moved"; fi
        fi
    fi
    rm "/sys/fs/bpf/vm-stat-$name"
    # Freed after an RCU grace period, and reported after a flush.
    shrunk() { [ "$(kernel_memory "$cgroup")" -le $((after - moved / 2)) ]; }
    nobpf || wait_for 15 shrunk || fail "$name: memory.stat does not go back"
}

one array $((4096 * 1024)) type array key 4 value 1024 entries 4096
one hash $((4096 * 512)) type hash key 4 value 512 entries 4096
# The pages of a ring buffer are charged even with cgroup.memory=nobpf: kernel/bpf/ringbuf.c, bpf_ringbuf_area_alloc()
# asks for GFP_KERNEL_ACCOUNT itself (seen on 7.2).
nobpf || one ringbuf $((1 << 22)) type ringbuf key 0 value 0 entries $((1 << 22))
