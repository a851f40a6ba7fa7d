#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 500
# machines: ^trixie-6.12$
# Clients that want the daemon dead, or busy with nothing but them; and a configuration with which it does not start, which
# makes nobody start it again and again. T=hostile-varlink
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
trap 'rm -rf /etc/bpfbudget; chmod 0700 /sys/fs/bpf; systemctl stop bpfbudgetd' EXIT

# --- A bad key, and then a question
getent group bpfbudget >/dev/null || groupadd --system bpfbudget
member() { setpriv --reuid=4242 --regid=4242 --groups="$(getent group bpfbudget | cut -d: -f3)" "$@"; }
starts() { journalctl -q -o cat -u bpfbudgetd --since "@$begin" | grep -c 'errors in the configuration' || true; }
begin=$(date +%s)
mkdir -p /etc/bpfbudget
printf '[Match]\nCgroup=/none\n[Budget]\nHihg=1M\n' >/etc/bpfbudget/50-bad.budget
systemctl start bpfbudgetd.socket
# It is let go, and told why.
! answer=$(timeout 60 bpfbudgetctl status 2>&1) || fail "it is answered: $answer"
echo "$answer"
[[ $answer == *"did not start: /etc/bpfbudget/50-bad.budget:4: "*Hihg* ]] || fail "it is not told why"
sleep 5
equal "starts after one status" "$(starts)" 1
equal "restarts" "$(systemctl show -P NRestarts bpfbudgetd)" 0
equal "exit status" "$(systemctl show -P ExecMainStatus bpfbudgetd)" 78
equal "the socket" "$(systemctl is-active bpfbudgetd.socket)" active
# So is one who may not read the journal; each question is one start.
! answer=$(member timeout 60 bpfbudgetctl status 2>&1) || fail "a member is answered: $answer"
[[ $answer == *"did not start: /etc/bpfbudget/50-bad.budget:4: "*Hihg* ]] || fail "a member is told: $answer"
sleep 5
equal "starts after two" "$(starts)" 2
equal "the socket after two" "$(systemctl is-active bpfbudgetd.socket)" active
# The file is mended: the next question starts the daemon, and is answered.
rm /etc/bpfbudget/50-bad.budget
member timeout 60 bpfbudgetctl status || fail "no answer though the file is mended"
[ ! -e /run/bpfbudget/io.bpfbudget.failure ] || fail "the reason is still there"

# --- The gate's lock
printf '[Match]\nCgroup=/none\n[Budget]\nMax=1M\nOnMax=deny\n' >/etc/bpfbudget/50-gate.budget
systemctl stop bpfbudgetd
chmod 0755 /sys/fs/bpf
member flock /sys/fs/bpf sleep 300 &
locker=$!
wait_for 20 bash -c '! flock -n /sys/fs/bpf true' || fail "nobody has the lock on bpffs"
systemctl start bpfbudgetd
[ -e /sys/fs/bpf/bpfbudget ] || fail "a member keeps the daemon from the gate"
! member flock -n /run/bpfbudget/gate.lock true 2>/dev/null || fail "a member takes the lock of the gate"
pid=$(systemctl show -P MainPID bpfbudgetd)
! answer=$(bpfbudgetd --release 2>&1) || fail "the gate is taken from a daemon that runs"
[[ $answer == *"PID $pid"* ]] || fail "the process is not named: $answer"
echo "$answer"
kill $locker
rm /etc/bpfbudget/50-gate.budget
systemctl stop bpfbudgetd

# --- 256 connections of four users, with 5,000 maps: its memory is bounded, root is always answered; how soon is printed
in_unit vm-hostile -p RuntimeMaxSec=$((280 * VM_TIME_FACTOR)) -p Environment="CMOCKA_MESSAGE_OUTPUT=TAP BPFBUDGETD=$(command -v bpfbudgetd)" \
    /usr/lib/bpfbudget/tests/test-hostile 2>&1 | sed -u -E 's/^((not )?ok [0-9]+ - )/\1hostile: /' | tee /run/hostile.out
grep -q '^ok' /run/hostile.out || fail "the run failed"
