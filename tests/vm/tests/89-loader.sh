#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
# machines: ^trixie-6.12-nolsm$
# A loader that knows nothing of budgets: bpftrace in a service with 1 MiB. It fails as it would with MemoryMax=, and the journal
# of its unit tells why, also by journalctl -x and as fields.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
mkdir -p /etc/bpfbudget
cat >/etc/bpfbudget/20-loader.budget <<END
[Match]
Unit=vmtest-loader.service
[Budget]
Max=1M
OnMax=deny
END
trap 'systemctl stop bpfbudgetd; rm -f /etc/bpfbudget/20-loader.budget; [ ! -e /sys/fs/bpf/bpfbudget ]' EXIT
journalctl --update-catalog
systemctl restart bpfbudgetd
unit=vmtest-loader.service

# With libbpf's messages, which have the errno. 200,000 keys, where 1 MiB is enough for some thousand.
status=0
systemd-run --quiet --wait --unit="$unit" --slice="$SLICE" -p Environment=BPFTRACE_MAX_MAP_KEYS=200000 \
    timeout 60 bpftrace -d libbpf -e 'tracepoint:syscalls:sys_enter_openat { @open[tid] = count(); }' || status=$?
journalctl -q --sync
journalctl -q -u "$unit" -o cat
[ $status -ne 0 ] || fail "bpftrace was let in"
journalctl -q -u "$unit" -o cat _COMM=bpftrace | grep -qE "Cannot allocate memory|-ENOMEM" || fail "bpftrace does not say why it failed"
told() { journalctl -q --sync; journalctl -q -u "$unit" -o cat MESSAGE_ID=60e2a96862874c56857233fff960dd75 | grep -q .; }
wait_for 20 told || fail "no entry: $(journalctl -u bpfbudgetd -n 5 -o cat)"
journalctl -q -u "$unit" -o json MESSAGE_ID=60e2a96862874c56857233fff960dd75 | head -n 1 >/run/refused.json
equal "comm" "$(jq -r .BPFBUDGET_COMM /run/refused.json)" bpftrace
equal "budget" "$(jq -r .BPFBUDGET_BUDGET /run/refused.json)" 20-loader
equal "max" "$(jq -r .BPFBUDGET_MAX /run/refused.json)" 1048576
jq -e '(.BPFBUDGET_USAGE | tonumber) + (.BPFBUDGET_WANTED | tonumber) > 1048576' /run/refused.json >/dev/null ||
    fail "it would have fitted: $(cat /run/refused.json)"
journalctl -q -x -u "$unit" MESSAGE_ID=60e2a96862874c56857233fff960dd75 | grep -q "Cannot" || fail "the catalog does not explain it"
