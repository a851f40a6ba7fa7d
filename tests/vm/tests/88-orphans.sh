#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
# machines: ^trixie-6.12(-nolsm)?$
# 1,000 pinned maps of services that have ended are orphans with their last owner, and reclaim frees them; what is in use is never
# listed, while 10,000 maps come and go.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

pins=/sys/fs/bpf/vmtest-orphans
trap 'systemctl stop bpfbudgetd vmtest-holder vmtest-churn vmtest-meanwhile 2>/dev/null || true; rm -rf $pins /run/orphans.*' EXIT
mkdir -p $pins/a $pins/b $pins/held $pins/churn
systemctl start bpfbudgetd
answers() { bpfbudgetctl flush 2>/dev/null; }
wait_for 40 answers || fail "the daemon does not answer: $(bpfbudgetctl flush 2>&1)"

# Two services, which end; one that holds what it has pinned.
for service in a b; do
    for i in $(seq 500); do
        echo "map create $pins/$service/$i type array key 4 value 64 entries 1 name dead_$service"
    done >/run/orphans.$service
    in_unit vmtest-dead-$service bpftool batch file /run/orphans.$service >/dev/null
done
gone() { bpfbudgetctl flush && [ "$(bpfbudgetctl -j orphans | jq '[.orphans[] | select(.name | startswith("dead_")) | select(.ownerGone)] | length')" = 1000 ]; }
wait_for 60 gone || fail "$(bpfbudgetctl orphans | head -n 5)"
for service in a b; do
    equal "orphans of $service" "$(bpfbudgetctl -j orphans | jq "[.orphans[] | select(.lastUnit == \"vmtest-dead-$service.service\" and .certain)
        | select(.keepers[0].path | startswith(\"$pins/$service/\")) | select(.sinceExact)] | length")" 500
done
bpfbudgetctl orphans vmtest-dead-a | sed -n 1,3p

# Another daemon knows that still, whether the last one was stopped or killed.
for signal in TERM KILL; do
    [ $signal = TERM ] || sleep 6 # the file is written every five seconds
    systemctl kill -s $signal bpfbudgetd
    systemctl restart bpfbudgetd
    wait_for 40 answers || fail "the daemon does not answer"
    equal "orphans of a, after SIG$signal" "$(bpfbudgetctl -j orphans vmtest-dead-a | jq '[.orphans[] | select(.ownerGone and .sinceExact)] | length')" 500
done

# One whose service ends while no daemon runs.
systemd-run --quiet --collect --unit=vmtest-meanwhile --slice="$SLICE" sh -c "
    bpftool map create $pins/meanwhile type array key 4 value 64 entries 1 name meanwhile; exec sleep infinity"
seen() { bpfbudgetctl -j objects | jq -e '.objects[] | select(.name == "meanwhile")' >/dev/null; }
wait_for 40 seen || fail "the map of vmtest-meanwhile is not there"
systemctl stop bpfbudgetd vmtest-meanwhile
systemctl start bpfbudgetd
wait_for 40 answers || fail "the daemon does not answer"
equal "last owner" "$(bpfbudgetctl -j orphans | jq -r '.orphans[] | select(.name == "meanwhile") | "\(.lastUnit) \(.ownerGone)"')" \
    "vmtest-meanwhile.service true"

# While maps come and go, all of them in use as long as they are there, none of those is listed.
systemd-run --quiet --collect --unit=vmtest-churn --slice="$SLICE" /usr/lib/bpfbudget/tests/demo $pins/churn 10000
looks=0
while systemctl is-active -q vmtest-churn && [ $SECONDS -lt 90 ]; do
    listed=$(bpfbudgetctl -j orphans | jq '[.orphans[] | select(.name == "churned")] | length')
    [ "$listed" = 0 ] || fail "$listed objects in use are listed"
    looks=$((looks + 1))
done
[ $looks -gt 0 ] || fail "nobody looked"
echo "in use: none was listed in $looks looks"

# Those of one service; the other's stay.
bpfbudgetctl -j orphans vmtest-dead-a | jq -r '.orphans[] | "map:\(.id)"' >/run/orphans.list
equal "to be freed" "$(wc -l </run/orphans.list)" 500
status=0
xargs bpfbudgetctl reclaim </run/orphans.list >/dev/null 2>/run/orphans.err || status=$?
[ $status != 0 ] && grep -q 'nothing was removed' /run/orphans.err || fail "it did not ask: $(cat /run/orphans.err)"
equal "pins" "$(find "$pins/a" -mindepth 1 | wc -l)" 500
xargs bpfbudgetctl reclaim --yes </run/orphans.list | tail -n 1
equal "pins of a" "$(find "$pins/a" -mindepth 1 | wc -l)" 0
equal "pins of b" "$(find "$pins/b" -mindepth 1 | wc -l)" 500
equal "orphans of a" "$(bpfbudgetctl -j orphans | jq '[.orphans[] | select(.name == "dead_a")] | length')" 0
equal "orphans of b" "$(bpfbudgetctl -j orphans | jq '[.orphans[] | select(.name == "dead_b")] | length')" 500
