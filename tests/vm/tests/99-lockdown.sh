#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
# machines: ^trixie-7.2$
# Under lockdown=integrity everything works; under lockdown=confidentiality nothing does, and each program says why. It can only
# be raised until the next boot: this test is the last one, on a machine where those of packages do not remove the product before it.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
trap 'systemctl stop bpfbudgetd.socket bpfbudgetd || true; rm -f /sys/fs/bpf/vmlockdown' EXIT
lockdown=/sys/kernel/security/lockdown
systemctl stop bpfbudgetd.socket bpfbudgetd
bpftool map create /sys/fs/bpf/vmlockdown type array key 4 value 4096 entries 16 name vmlockdown

level() { jq -r --arg name "$1" '.facilities[] | select(.name == $name) | .level' <<<"$readiness"; }
echo integrity >$lockdown
grep -qF '[integrity]' $lockdown || fail "$(cat $lockdown)"
readiness=$(bpfbudgetctl --json=short --direct doctor || true)
for facility in accounting alerts throttle refusal; do
    equal "$facility, integrity" "$(level $facility)" full
done
bpfbudgetd --once --json=short | jq -e '.objects | map(select(.name == "vmlockdown" and .allocated >= 65536)) | length == 1' >/dev/null ||
    fail "the map is not accounted"
systemctl start bpfbudgetd || fail "the service does not start under integrity"

# What runs goes on as it can, and says nothing wrong; what starts is refused.
echo confidentiality >$lockdown
grep -qF '[confidentiality]' $lockdown || fail "$(cat $lockdown)"
systemctl stop bpfbudgetd.socket bpfbudgetd
readiness=$(bpfbudgetctl --json=short --direct doctor || true)
jq . <<<"$readiness"
for facility in accounting alerts throttle refusal; do
    equal "$facility, confidentiality" "$(level $facility)" none
done
jq -e 'first(.facilities[].findings[] | select(.name == "lockdown")) | .remedy == "lockdown=integrity"' <<<"$readiness" >/dev/null ||
    fail "no remedy"
offered=$(bpfbudgetd --capabilities --json=short | jq -r 'if type == "array" then . else .capabilities end | .[] | select(.available) | .name')
echo "offered: $offered"
! grep -E '^(iterator|gate|tracepoint|fentry|fexit|tp_btf):' <<<"$offered" || fail "hooks are offered"
status=0
bpfbudgetd 2>/run/vmlockdown || status=$?
cat /run/vmlockdown
equal "exit status" $status 69
grep -q 'lockdown=confidentiality' /run/vmlockdown || fail "it does not say why"
! grep -E 'Invalid argument|Unknown error|Operation not permitted' /run/vmlockdown || fail "it says an errno"
! systemctl start bpfbudgetd 2>/dev/null || fail "the service starts"
equal "exit status of the service" "$(systemctl show -P ExecMainStatus bpfbudgetd)" 69
equal "restarts" "$(systemctl show -P NRestarts bpfbudgetd)" 0
