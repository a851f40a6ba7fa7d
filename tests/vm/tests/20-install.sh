#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 60
# matrix: .
# What "make install" put here is complete: it runs, and the units find what they name.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

bpfbudgetd --version
bpfbudgetd --help >/dev/null || fail "--help"
missing=$(ldd "$(command -v bpfbudgetd)" | grep 'not found' || true)
[ -z "$missing" ] || fail "$missing"

units=$(systemctl list-unit-files --no-legend 'bpfbudgetd.*' | awk '{ print $1 }')
[ -n "$units" ] || fail "no units"
for unit in $units; do
    equal "$unit" "$(systemctl show -P LoadState "$unit")" loaded
    problems=$(systemd-analyze verify --man=no "$unit" 2>&1 || true)
    [ -z "$(grep "$unit\|bpfbudget" <<<"$problems" || true)" ] || fail "$problems"
done
