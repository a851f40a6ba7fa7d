#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 240
# machines: -(6.1|6.12)$
# Cgroups that a payload named like units are none: not for the journal, not for explain, not for Unit=. Units of a user's
# service manager are found by journalctl --user-unit. What an administrator freezes or thaws during a pause stays so.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
daemon=bpfbudgetd.service unit=vmtest-paused.service record=/run/bpfbudget/frozen
dropin=/run/systemd/system/bpfbudgetd.service.d
HIGH=c570d457cacf49c5a4e01e1985aa493e
top=/sys/fs/cgroup/vmtest-x
mkdir -p /etc/bpfbudget
printf '%s\n' '[Daemon]' AlertBurst=100 >/etc/bpfbudget/bpfbudgetd.conf
printf '%s\n' '[Match]' 'Unit=sshd.service agent.service' '[Budget]' High=1M >/etc/bpfbudget/10-vmtest-units.budget
printf '%s\n' '[Match]' 'Cgroup=/vmtest-x/** /**/inner/*/agent.service /**/app.slice/vmtest-app.service' '[Budget]' High=64K \
    >/etc/bpfbudget/20-vmtest-names.budget
printf '%s\n' '[Match]' "Unit=$unit" '[Budget]' High=2M OnHigh=throttle >/etc/bpfbudget/50-vmtest.budget
cat >/run/systemd/system/user@4711.service <<'END'
[Service]
Slice=user.slice
Delegate=yes
ExecStart=sleep infinity
END
clean() {
    local status=$?
    [ $status -eq 0 ] || journalctl --no-pager -o short-monotonic -u $daemon | tail -n 40
    systemctl --quiet stop vmtest-docker.service user@4711.service $unit 2>/dev/null || true
    rm -rf /etc/bpfbudget $dropin /run/systemd/system/user@4711.service
    systemctl daemon-reload
    systemctl --quiet stop $daemon || true
    systemctl --quiet reset-failed $daemon 2>/dev/null || true
    rm -f /sys/fs/bpf/vmtest-*
    find $top -depth -type d -exec rmdir {} + 2>/dev/null || true
}
trap clean EXIT
# It is started again and again, on machines that are as slow as they are busy.
mkdir -p $dropin
printf '%s\n' '[Service]' TimeoutStartSec=120 >$dropin/vm-test.conf
systemctl daemon-reload
systemctl restart $daemon

# map_in DIRECTORY NAME: makes a map of 1 MiB in the cgroup DIRECTORY, which is made with all above it
map_in() {
    local at=/sys/fs/cgroup component
    for component in $(tr / ' ' <<<"${1#/sys/fs/cgroup/}"); do
        echo +memory >"$at/cgroup.subtree_control" 2>/dev/null || true
        at=$at/$component
        mkdir -p "$at"
    done
    bash -c 'echo $$ >"$1/cgroup.procs" && exec bpftool map create "/sys/fs/bpf/$2" type array key 4 value 1024 entries 1024 name h' \
        - "$1" "vmtest-$2" || fail "no map in $1"
}
# entry PATH: the alert about the cgroup PATH, in /run/entry.json
entry() {
    journalctl -q --sync
    journalctl -q -o json MESSAGE_ID=$HIGH CGROUP="$1" | tail -n 1 >/run/entry.json
    [ -s /run/entry.json ]
}
# field NAME: of that entry; "null" if it has none
field() { jq -r ".$1" /run/entry.json; }
# in_journal OPTION UNIT: how many alerts of ours journalctl shows of it
in_journal() { journalctl -q -o cat "$1" "$2" MESSAGE_ID=$HIGH | wc -l; }

# --- A cgroup that is named like a unit, where there are no slices
map_in $top/user.slice/sshd.service a
wait_for 20 entry /vmtest-x/user.slice/sshd.service || fail "no alert: $(journalctl -u $daemon -n 5 -o cat)"
equal "unit of a cgroup that is named like one" "$(field OBJECT_SYSTEMD_UNIT)" null
equal "alerts in journalctl -u sshd" "$(in_journal -u sshd)" 0
equal "its budget" "$(field BPFBUDGET_BUDGET)" 20-vmtest-names
! bpfbudgetctl explain sshd 2>/run/told || fail "explain sshd explains it"
grep -q 'sshd.service: there is no such unit' /run/told || fail "explain sshd: $(cat /run/told)"

# --- One that a container made in its own cgroup
# Scripts, as the service manager has a "$" of its own.
cat >/run/docker.sh <<'END'
at=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)
mkdir "$at/main" && echo $$ >"$at/main/cgroup.procs" && exec sleep infinity
END
systemd-run --quiet --unit=vmtest-docker --slice="$SLICE" -p Delegate=yes /bin/bash /run/docker.sh
docker=$(cgroup_of vmtest-docker.service)
wait_for 20 test -e "$docker/main" || fail "no cgroup in the service"
alone() { ! grep -q . "$docker/cgroup.procs"; }
wait_for 20 alone || fail "the service is not in its own cgroup"
map_in "$docker/inner/system.slice/agent.service" b
wait_for 20 entry "${docker#/sys/fs/cgroup}/inner/system.slice/agent.service" || fail "no alert of the container"
equal "unit of a container's cgroup" "$(field OBJECT_SYSTEMD_UNIT)" vmtest-docker.service
equal "alerts in journalctl -u agent" "$(in_journal -u agent)" 0
equal "alerts in journalctl -u vmtest-docker" "$(in_journal -u vmtest-docker)" 1
! bpfbudgetctl explain agent 2>/dev/null || fail "explain agent explains it"
bpfbudgetctl explain vmtest-docker >/dev/null || fail "explain does not know the container"

# --- A unit of a user's service manager
systemctl start user@4711.service
manager=$(cgroup_of user@4711.service)
mkdir "$manager/main"
systemctl show -P MainPID user@4711.service >"$manager/main/cgroup.procs"
map_in "$manager/app.slice/vmtest-app.service" c
wait_for 20 entry "${manager#/sys/fs/cgroup}/app.slice/vmtest-app.service" || fail "no alert of the user's unit"
equal "unit of a user's unit" "$(field OBJECT_SYSTEMD_UNIT)" user@4711.service
equal "user's unit" "$(field OBJECT_SYSTEMD_USER_UNIT)" vmtest-app.service
equal "alerts in journalctl --user-unit" "$(in_journal --user-unit vmtest-app)" 1
equal "alerts in journalctl -u vmtest-app" "$(in_journal -u vmtest-app)" 0

# --- A freeze during a pause
mkfifo /run/paused.fifo
: >/run/paused.alive
cat >/run/paused.sh <<'END'
while :; do echo alive >>/run/paused.alive; sleep 0.1; done &
while read -r name size; do
    bpftool map create "/sys/fs/bpf/vmtest-$name" type array key 4 value "$size" entries 1 name m
done <>/run/paused.fifo
END
systemd-run --quiet --unit=$unit --slice="$SLICE" /bin/bash /run/paused.sh
directory=$(cgroup_of $unit)
lives() { local n; n=$(wc -l </run/paused.alive); sleep 0.5; [ "$(wc -l </run/paused.alive)" -gt "$n" ]; }
frozen() { [ "$(cat "$directory/cgroup.freeze")" = 1 ] && grep -q 'frozen 1' "$directory/cgroup.events"; }
maps=0
# pause: has it paused, by a daemon that is stopped then, so that the pause is not over before the test has done its part
pause() {
    local attempt
    for attempt in 1 2 3 4 5; do
        systemctl restart $daemon
        maps=$((maps + 1))
        echo "m$maps 3000000" >/run/paused.fifo
        wait_for 10 frozen || continue
        # Stopped within its own write it could not tell the next one from that: it answers when that is over.
        bpfbudgetctl status >/dev/null
        kill -STOP "$(systemctl show -P MainPID $daemon)"
        ! frozen || return 0
        kill -CONT "$(systemctl show -P MainPID $daemon)"
        echo "attempt $attempt: the pause was over at once"
    done
    fail "not paused: $(journalctl -u $daemon -n 5 -o cat)"
}
go_on() { kill -CONT "$(systemctl show -P MainPID $daemon)"; }
over() { [ ! -e $record ]; }
wait_for 20 lives || fail "the service does not live"

pause
systemctl freeze $unit
equal "FreezerState" "$(systemctl show -P FreezerState $unit)" frozen
sleep 3
go_on
wait_for 10 over || fail "the pause does not end"
sleep 1
frozen || fail "what systemctl freeze froze during a pause was thawed"
equal "FreezerState after the pause" "$(systemctl show -P FreezerState $unit)" frozen
echo "held: systemctl freeze during a pause"
systemctl thaw $unit
wait_for 10 lives || fail "not thawed by systemctl thaw"

pause
echo 1 >"$directory/cgroup.freeze"
go_on
wait_for 10 over || fail "the pause does not end"
sleep 3
frozen || fail "what was frozen by hand during a pause was thawed"
echo "held: 1 written to cgroup.freeze during a pause"
echo 0 >"$directory/cgroup.freeze"

pause
systemctl thaw $unit
wait_for 10 lives || fail "not thawed by systemctl thaw during the pause"
go_on
wait_for 10 over || fail "the pause does not end"
wait_for 10 lives || fail "what was thawed during a pause was frozen"
echo "held: systemctl thaw during a pause"

pause
systemctl freeze $unit
kill -KILL "$(systemctl show -P MainPID $daemon)"
wait_for 60 over || fail "the record stays"
wait_for 60 systemctl --quiet is-active $daemon || fail "the daemon is not back"
frozen || fail "what systemctl freeze froze was thawed after a crash"
echo "held: systemctl freeze during a pause of a daemon that died"
systemctl thaw $unit
wait_for 10 lives || fail "not thawed by systemctl thaw"
