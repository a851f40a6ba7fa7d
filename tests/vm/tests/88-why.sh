#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 200
# machines: ^trixie-6.12$
# Who refused: a Max of bpfbudgetd, memory.max, or the kernel's allocators. A map of 4 MiB in a service of 2 MiB, by one and by the other; and one that no
# machine has the memory for.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

trap 'systemctl stop bpfbudgetd vmtest-max vmtest-memory vmtest-kernel 2>/dev/null || true; rm -f /etc/bpfbudget/10-vmtest.budget /sys/fs/bpf/vmtest-why-* /run/why.*' EXIT
mkdir -p /etc/bpfbudget
printf '[Match]\nUnit=vmtest-max.service\n[Budget]\nMax=2M\nOnMax=deny\n' >/etc/bpfbudget/10-vmtest.budget
systemctl restart bpfbudgetd
answers() { bpfbudgetctl flush 2>/dev/null; }
wait_for 40 answers || fail "the daemon does not answer: $(bpfbudgetctl flush 2>&1)"
has() { grep -qE -- "$2" <<<"$1" || fail "no line matches '$2' in: $1"; }

# asks UNIT TYPE ENTRIES [PROPERTY...]: a service that wants a map, and stays
asks() {
    local unit=$1 type=$2 entries=$3
    shift 3
    systemd-run --quiet --unit="vmtest-$unit" --slice="$SLICE" "$@" sh -c "
        bpftool map create /sys/fs/bpf/vmtest-why-$unit type $type key 4 value 4096 entries $entries name $unit >/run/why.$unit 2>&1
        echo end >>/run/why.$unit; exec sleep infinity"
    wait_for 40 grep -qs '^end' "/run/why.$unit" || fail "$unit: no answer: $(systemctl status "vmtest-$unit")"
    cat "/run/why.$unit"
    bpfbudgetctl flush
}
asks max array 1024
grep -q 'Cannot allocate memory' /run/why.max || fail "Max refused nothing"
refusal_is_told() { bpfbudgetctl why vmtest-max | grep -q 'Max of budget 10-vmtest refused (ENOMEM)'; }
wait_for 20 refusal_is_told || fail "$(bpfbudgetctl why vmtest-max)"
said=$(bpfbudgetctl why vmtest-max)
echo "$said"
has "$said" 'bpftool\[[0-9]+\] wanted map array max of 4\.[0-9]M: Max of budget 10-vmtest at /.*/vmtest-max.service, .* of 2.0M in use'
has "$(bpfbudgetctl explain vmtest-max)" 'Max of budget 10-vmtest refused'

asks memory array 1024 -p MemoryMax=2M
if grep -q 'Cannot allocate memory' /run/why.memory; then
    said=$(bpfbudgetctl why vmtest-memory)
    echo "$said"
    has "$said" 'Refusals: none by bpfbudgetd'
    has "$said" 'memory.max: /.*/vmtest-memory.service: reached [0-9]+ times'
    has "$said" 'Conclusion: No budget refused anything since .* An ENOMEM after that is most likely from memory.max of /.*/vmtest-memory.service'
else
    echo "memory.max killed it, which is no ENOMEM: $(systemctl show -P Result vmtest-memory)"
fi

# More pages than the machine has, which vmalloc() refuses at once; no limit is near.
asks kernel array 4000000
grep -q 'Cannot allocate memory' /run/why.kernel || fail "the kernel had the memory: $(cat /run/why.kernel)"
said=$(bpfbudgetctl why "$(systemctl show -P MainPID vmtest-kernel)")
echo "$said"
has "$said" 'Refusals: none by bpfbudgetd'
has "$said" "Conclusion: Neither a budget nor memory.max refused anything since .*: an ENOMEM after that was from the kernel's allocators"
has "$said" 'never causes EPERM, EACCES, E2BIG or EINVAL'
