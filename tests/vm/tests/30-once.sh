#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 90
# matrix: .
# bpfbudgetd --once: every byte is counted once, at its cgroup and at each of its ancestors.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
snapshot=/run/bpfbudget-vm/once.json

# A cgroup with one 1 MiB array in it, and a process that does nothing more.
systemd-run --quiet --unit=vm-holder --slice="$SLICE" /bin/sh -c \
    'bpftool map create /sys/fs/bpf/vm-once type array key 4 value 1024 entries 1024 name vm_once && exec sleep infinity'
wait_for 20 test -e /sys/fs/bpf/vm-once || fail "no map: $(journalctl -u vm-holder -o cat)"
wait_for 20 sh -c 'systemctl show -P MainPID vm-holder | xargs -I{} cat /proc/{}/comm | grep -q sleep' || fail "no sleeper"
trap 'rm -f /sys/fs/bpf/vm-once' EXIT
holder=$(systemctl show -P ControlGroup vm-holder)
id=$(bpftool -j map show pinned /sys/fs/bpf/vm-once | jq .id)

bpfbudgetd --once --json=short >"$snapshot"
pid=$(systemctl show -P MainPID vm-holder)
rss=$(awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$pid/status")
jq -c '{cgroups: (.cgroups | length), objects: (.objects | length), root: (.cgroups[] | select(.path == "/"))}' "$snapshot"

defs='def under($p): .path == $p or ($p == "/") or (.path | startswith($p + "/"));
      def total(f): map(f) | add // 0;'
check "there is one root" '.cgroups | map(select(.path == "/")) | length | select(. != 1)'
for f in allocated charged uncharged; do
    check "the root's $f is the sum over objects" "$defs
        (.cgroups[] | select(.path == \"/\").bpf.$f) as \$root | (.objects | total(.$f)) as \$sum | select(\$root != \$sum) | [\$root, \$sum]"
    check "the root's $f is the sum of every cgroup's own" "$defs
        (.cgroups[] | select(.path == \"/\").bpf.$f) as \$root | (.cgroups | total(.self.$f)) as \$sum | select(\$root != \$sum) | [\$root, \$sum]"
    check "every cgroup's own $f is the sum over its objects" "$defs
        .objects as \$o | .cgroups[] | . as \$c | (\$o | map(select(.cgroupId == \$c.id)) | total(.$f)) as \$sum
        | select(.self.$f != \$sum) | [.path, .self.$f, \$sum]"
done
for f in allocated charged uncharged maps programs jit objects; do
    check "every cgroup's $f is the sum over its subtree" "$defs
        .cgroups as \$all | .cgroups[] | . as \$c | (\$all | map(select(under(\$c.path))) | total(.self.$f)) as \$sum
        | select(.bpf.$f != \$sum) | [.path, .bpf.$f, \$sum]"
done
check "uncharged = allocated - charged" '.objects[] | select(.uncharged != .allocated - .charged) | [.id, .name, .allocated, .charged, .uncharged]'
check "footprint = allocated + rss + swap" '.cgroups[] | select(.footprint != .bpf.allocated + .rss.anon + .rss.file + .rss.shmem + .rss.swap) | [.path, .footprint]'
check "no object is there twice" '.objects | group_by([.kind, .id])[] | select(length > 1)'
check "the array is there" ".objects | map(select(.kind == \"map\" and .id == $id and .allocated >= 1048576 and .allocated < 1048576 + 65536)) | select(length != 1)"
if ! nobpf; then
    check "the array is in its cgroup" ".objects[] | select(.kind == \"map\" and .id == $id and .cgroup != \"$holder\") | .cgroup"
    check "and nothing else is" ".cgroups[] | select(.path == \"$holder\" and .bpf.objects != 1) | .bpf"
fi
# Within 1 %: of a sleeping process both figures are of the same moment.
check "rss of the sleeper is VmRSS, $rss" ".cgroups[] | select(.path == \"$holder\") | (.rss.anon + .rss.file + .rss.shmem) as \$is
    | select((\$is - $rss | fabs) > $rss / 100) | \$is"

# What bpftool sees is what we see, except for what came and went meanwhile.
check "as many maps as bpftool shows" "(.objects | map(select(.kind == \"map\")) | length) as \$n | select((\$n - $(bpftool -j map show | jq length) | fabs) > 20) | \$n"
