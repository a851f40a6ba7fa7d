#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 700
# machines: ^((bookworm-6.1|trixie-6.12)(-arm64)?|trixie-7.2)$
# The table of doc/ACCOUNTING.md against the kernel: each type, size, fill and way of allocation. Its rows are tests.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
output=$(mktemp)
in_unit vm-accounting -p Delegate=yes -p LimitNOFILE=20000 -p RuntimeMaxSec=$((680 * VM_TIME_FACTOR)) \
    -p Environment="CMOCKA_MESSAGE_OUTPUT=TAP BPFBUDGETD=$(command -v bpfbudgetd) CYCLES=$CYCLES" \
    /usr/lib/bpfbudget/tests/accounting 2>&1 | tee "$output" | sed -u -E 's/^((not )?ok [0-9]+ - )/\1accounting: /'
! grep -q '^not ok' "$output" || fail "$(grep -c '^not ok' "$output") rows are out of bounds"
# Rows that a kernel does not have are none, which its BTF tells; those that it has may not get lost.
types=$(bpftool btf dump file /sys/kernel/btf/vmlinux format raw | grep -o "'BPF_MAP_TYPE_[A-Z_]*'")
least=80
for more in ARENA:5 INSN_ARRAY:1 RHASH:3; do
    ! grep -q "_${more%:*}'" <<<"$types" || least=$((least + ${more#*:}))
done
rows=$(grep -c '^ok' "$output")
[ "$rows" -ge $least ] || fail "$rows rows, should be $least at least"
