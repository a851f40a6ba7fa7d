#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
# machines: ^trixie-6.12-nolsm$
# What happened to a cgroup is counted on over a restart and a crash of the daemon, by its file and the cgroup's xattr. A
# damaged file is told once, and --dry-run writes neither.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
events=/run/bpfbudget/events.json pin=/sys/fs/bpf/vmtest-events
mkdir -p /etc/bpfbudget
printf '[Match]\nCgroup=/vmtest*.slice/**\n[Budget]\nHigh=1M\n' >/etc/bpfbudget/50-events.budget
printf '[Daemon]\nAlertBurst=100\n' >/etc/bpfbudget/bpfbudgetd.conf
trap 'systemctl stop bpfbudgetd; rm -rf /etc/bpfbudget $pin' EXIT

systemd-run --quiet --unit=vmtest-events --slice="$SLICE" sleep infinity
cgroup=$(cgroup_of vmtest-events.service)
id=$(stat -c %i "$cgroup")
counted() { getfattr --absolute-names --only-values -n user.bpfbudget.events "$cgroup" 2>/dev/null | awk '{ print $2 }'; }
is() { [ "$(counted)" = "$1" ]; }
filed() { [ "$(jq -r ".[\"$id\"].high" $events 2>/dev/null)" = "$1" ]; }
# hold: over High
hold() { (echo $BASHPID >"$cgroup/cgroup.procs" && exec bpftool map create $pin type array key 4 value 2000000 entries 1 name vm_events); }
# over: once over High and back again
over() {
    hold
    wait_for 20 is "$1" || fail "the xattr says '$(counted)', should say $1"
    rm $pin
    wait_for 20 clear || fail "it is not below High again: $(cat $events)"
}
# The file is written once a second.
clear() { [ "$(jq -r ".[\"$id\"].level" $events 2>/dev/null)" = 0 ]; }

systemctl start bpfbudgetd
over 1
over 2
wait_for 10 filed 2 || fail "the file: $(cat $events)"
systemctl restart bpfbudgetd
equal "xattr after a restart" "$(counted)" 2
over 3
wait_for 10 filed 3 || fail "the file: $(cat $events)"
# A crash
systemctl kill --signal=KILL bpfbudgetd
wait_for 20 systemctl --quiet is-failed bpfbudgetd || wait_for 20 systemctl --quiet is-active bpfbudgetd || fail "neither dead nor alive"
systemctl reset-failed bpfbudgetd
systemctl start bpfbudgetd
over 4
# A crash before the file was written: it has not yet heard of the last time, and it goes on.
hold
wait_for 20 filed 5 || fail "the file: $(cat $events)"
systemctl kill --signal=KILL bpfbudgetd
wait_for 20 systemctl --quiet is-failed bpfbudgetd || wait_for 20 systemctl --quiet is-active bpfbudgetd || fail "neither dead nor alive"
systemctl stop bpfbudgetd
jq -c ".[\"$id\"].high = 4 | .[\"$id\"].level = 0" $events >$events.test
mv $events.test $events
systemctl start bpfbudgetd
sleep 3
equal "xattr while it stays over High" "$(counted)" 5
rm $pin
wait_for 20 clear || fail "it is not below High again: $(cat $events)"
over 6
echo "counted on to $(counted) over a restart and two crashes"

# warnings: of the daemon's last start about the file
warnings() { journalctl -q --sync; journalctl -q -o cat -p warning -u bpfbudgetd _SYSTEMD_INVOCATION_ID="$(systemctl show -P InvocationID bpfbudgetd)" | grep -c "$events" || true; }
systemctl stop bpfbudgetd
echo '{"1": {"level' >$events
systemctl start bpfbudgetd
equal "warnings about half a file" "$(warnings)" 1
over 7
systemctl stop bpfbudgetd
echo '{"1": {}, "2": 7, "3": {"level": 9}}' >$events
systemctl start bpfbudgetd
equal "warnings about three damaged entries" "$(warnings)" 1
systemctl stop bpfbudgetd
echo '[]' >$events
systemctl start bpfbudgetd
equal "warnings about another kind of file" "$(warnings)" 1
over 8
# An xattr that others than root may have written tells nothing.
systemctl stop bpfbudgetd
echo '{}' >$events
chown nobody "$cgroup"
systemctl start bpfbudgetd
over 1
chown root "$cgroup"
systemctl stop bpfbudgetd
rm $events
systemctl start bpfbudgetd
equal "warnings about no file" "$(warnings)" 0
systemctl stop bpfbudgetd

rm -f $events
setfattr -x user.bpfbudget.events "$cgroup"
systemd-run --quiet --unit=vmtest-dry --slice="$SLICE" "$(command -v bpfbudgetd)" --dry-run
hold
said() { journalctl -q --sync; journalctl -q -o cat -u vmtest-events | grep -q '(dry run) .*: BPF memory is over High'; }
wait_for 30 said || fail "--dry-run does not say it: $(journalctl -q -o cat -u vmtest-dry | tail -n 5)"
systemctl stop vmtest-dry
[ ! -e $events ] || fail "--dry-run writes $events"
equal "xattr with --dry-run" "$(counted)" ""
