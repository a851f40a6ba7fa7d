#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 60
# matrix: .
# The machine is what its name says, and whole.
. /usr/lib/bpfbudget/vm/tests/lib.bash

state=$(systemctl is-system-running --wait || true)
[ "$state" = running ] || { systemctl --no-pager --failed; fail "systemd says $state"; }
equal "kernel" "$(uname -r)" "$KERNEL_RELEASE"
equal "Debian" "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$USERLAND"
equal "CPUs" "$(nproc)" 2
equal "/sys/fs/cgroup" "$(stat -f -c %T /sys/fs/cgroup)" cgroup2fs
equal "/sys/fs/bpf" "$(stat -f -c %T /sys/fs/bpf)" bpf_fs
grep -qw memory /sys/fs/cgroup/cgroup.controllers || fail "no memory controller on cgroup v2"
grep -q "/$SLICE/test-$TEST.service" /proc/self/cgroup || fail "this test is not in its own slice: $(cat /proc/self/cgroup)"
[ -e "/sys/fs/cgroup/$(cut -d: -f3 /proc/self/cgroup)/memory.stat" ] || fail "no memory.stat for this service"
[ -s /sys/kernel/btf/vmlinux ] || fail "no BTF"

# The list of security modules is the one this machine is for.
lsm=$(cat /sys/kernel/security/lsm)
case $CMDLINE in
*lsm=*bpf*) [[ ,$lsm, == *,bpf,* ]] || fail "bpf is not in the LSM list $lsm" ;;
*) [[ ,$lsm, != *,bpf,* ]] || fail "bpf is in the LSM list $lsm" ;;
esac
echo "LSM: $lsm"

# BPF works at all: a map, and where the kernel puts it.
bpftool map create /sys/fs/bpf/vm-boot type hash key 4 value 64 entries 128 name vm_boot
bpftool map show pinned /sys/fs/bpf/vm-boot
rm /sys/fs/bpf/vm-boot

# Sandboxed services start although / is the initramfs, where pivot_root() does not work.
in_unit vm-sandbox -p ProtectSystem=strict -p PrivateTmp=yes -p ProtectHome=yes /bin/true || fail "a sandboxed service does not start"
# Pages of files count as file pages, as on a disk: / is a ramfs, on a tmpfs they would be shmem.
grep -E '^Rss(File|Shmem)' /proc/$$/status
[ "$(awk '/^RssFile/ { print $2 }' /proc/$$/status)" -gt 500 ] || fail "no file pages"
