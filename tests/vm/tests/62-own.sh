#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 60
# The daemon's own BPF objects, with those of the gate: each is "self", and status shows their bytes and the CPUs that per-CPU memory is
# for. They do not grow with CPUs that are not there: bookworm-6.1-64cpus has 2 of 64.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
trap 'bpfbudgetctl unset-budget vmtest-own.service; systemctl stop bpfbudgetd vmtest-own.service' EXIT
# As the kernel has them: 0-1, 0-63
possible=$(sed 's/.*-//' /sys/devices/system/cpu/possible)
possible=$((possible + 1))
[[ $MACHINE != *-64cpus ]] || equal "possible CPUs" $possible 64

systemctl restart bpfbudgetd
systemd-run --quiet --unit=vmtest-own --slice="$SLICE" sleep infinity
# held OWNER: the number of objects that only the daemon holds
held() {
    bpfbudgetctl --json=short objects --holders |
        jq --arg owner "$1" '[.objects[] | select(.owner == $owner and (.holders | length) > 0 and all(.holders[]; .comm == "bpfbudgetd"))] | length'
}
before=$(held self)
bpfbudgetctl set-budget vmtest-own.service Max=1M OnMax=deny
grows() { [ "$(held self)" -gt $((before + 10)) ]; }
if jq -e '.facilities[] | select(.name == "refusal" and .level != "none")' < <(bpfbudgetctl --json=short doctor) >/dev/null; then
    wait_for 20 grows || fail "the gate is not listed: $before objects, and $(held self)"
fi
echo "own objects: $before, with the gate $(held self)"
equal "objects of the daemon's that are another's" "$(held other)" 0

line=$(bpfbudgetctl status | grep 'Own:')
echo "$line"
[[ $line == *"per-CPU memory for $possible possible CPUs, 2 are online" ]] || fail "CPUs of status: $line"
own=$(bpfbudgetctl --bytes status | sed -n 's/.*Own: \([0-9]*\)B* of BPF.*/\1/p')
[ "$own" -gt 500000 ] || fail "own bytes: $own"
# Most of it is programs: without the BPF LSM there are those in place of it, 5.0 MiB on 7.2.
[ "$own" -lt $((6 << 20)) ] || fail "own bytes: $own"
