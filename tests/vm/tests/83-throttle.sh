#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 240
# machines: -(6.1|7.2|6.12-rt)$
# OnHigh=throttle: a service that grows over High is frozen for a while, counted and told; nobody else is, nor what somebody
# else froze. However the daemon ends, nothing stays frozen.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
begin=$(date +%s)
daemon=bpfbudgetd.service dropin=/run/systemd/system/bpfbudgetd.service.d/vm-test.conf
unit=vmtest-grow.service
record=/run/bpfbudget/frozen
THROTTLED=c6f7bec2685746d4987612749c1424c8 HIGH=c570d457cacf49c5a4e01e1985aa493e
mkdir -p /etc/bpfbudget
cat >/etc/bpfbudget/50-vmtest.budget <<END
[Match]
Unit=vmtest-grow.service
[Budget]
High=2M
OnHigh=throttle
END
settings() { printf '%s\n' '[Daemon]' AlertBurst=100 "$@" >/etc/bpfbudget/bpfbudgetd.conf; }
# What the daemon is told beside its unit file.
with() {
    mkdir -p "${dropin%/*}"
    printf '%s\n' '[Service]' "$@" >"$dropin"
    systemctl daemon-reload
}
clean() {
    local status=$?
    [ $status -eq 0 ] || journalctl --no-pager -o short-monotonic -u $daemon | tail -n 40
    rm -rf "${dropin%/*}" /etc/bpfbudget
    systemctl daemon-reload
    systemctl --quiet stop $daemon || true
    systemctl --quiet reset-failed $daemon 2>/dev/null || true
    rm -f /sys/fs/bpf/vmtest-*
}
trap clean EXIT
settings
# Not shown by journalctl -x otherwise.
journalctl --update-catalog
systemctl start $daemon

# A service that makes maps as it is told on a FIFO, and says all the time that it lives.
cat >/run/grow.sh <<'END'
#!/bin/bash
while :; do
    echo alive >>/run/grow.alive
    sleep 0.1
done &
bpftool map create /sys/fs/bpf/vmtest-hash type hash key 4 value 3000 entries 4096 flags 1 name hash
while read -r name size; do
    bpftool map create "/sys/fs/bpf/vmtest-$name" type array key 4 value "$size" entries 1 name "$name"
done <>/run/grow.fifo
END
: >/run/grow.alive
mkfifo /run/grow.fifo
systemd-run --quiet --unit="$unit" --slice="$SLICE" /bin/bash /run/grow.sh
lives() { local n; n=$(wc -l </run/grow.alive); sleep 0.5; [ "$(wc -l </run/grow.alive)" -gt "$n" ]; }
wait_for 20 lives || fail "the service does not live"
wait_for 20 test -e /sys/fs/bpf/vmtest-hash || fail "the service makes no maps"
directory=$(cgroup_of $unit)
path=$(systemctl show -P ControlGroup $unit)
id=$(stat -c %i "$directory")

# grow BYTES: the service makes a map of this size, as soon as it runs
maps=0
grow() {
    maps=$((maps + 1))
    echo "m$maps $1" >/run/grow.fifo
}
grown() { [ -e /sys/fs/bpf/vmtest-m$maps ]; }

# feed MAP COUNT: puts elements of 3000 bytes into it from outside: it grows whether the service runs or not
next=0
zeros=$(printf '0 %.0s' {1..3000})
feed() {
    local i
    for ((i = 0; i < $2; i++)); do
        next=$((next + 1))
        echo "map update pinned /sys/fs/bpf/$1 key $((next % 256)) $((next / 256)) 0 0 value $zeros"
    done >/run/feed
    bpftool batch file /run/feed >/dev/null || fail "bpftool cannot put elements into $1"
}
frozen() { [ "$(cat "$directory/cgroup.freeze")" = 1 ] && grep -q 'frozen 1' "$directory/cgroup.events"; }
thawed() { [ "$(cat "$directory/cgroup.freeze")" = 0 ]; }
# events NAME: of the budget, as they are kept for the next daemon
events() { jq -r --arg id "$id" --arg name "$1" '.[$id][$name] // 0' /run/bpfbudget/events.json 2>/dev/null || echo 0; }
entries() { journalctl -q --sync; journalctl -q -o cat MESSAGE_ID="$1" CGROUP="$2" | wc -l; }
has_entries() { [ "$(entries "$1" "$2")" -ge "$3" ]; }

# --- Below High nothing happens
grow 1000000
wait_for 10 grown || fail "the service does not grow"
sleep 1
thawed || fail "paused below High"
equal "pauses below High" "$(events throttled)" 0

# --- Over High: paused for 2 s, written down first, then it goes on
grow 3000000
wait_for 10 frozen || fail "not paused: $(cat "$directory/cgroup.events"; journalctl -u $daemon -n 5 -o cat)"
if ! lives; then echo "it stands"; else frozen && fail "frozen, and it lives"; fi
grep -qx "[0-9]* $directory" $record || thawed || fail "the record: $(cat $record)"
wait_for 10 thawed || fail "it is not thawed"
[ ! -e $record ] || frozen || fail "the record is left: $(cat $record)"
wait_for 10 lives || fail "it does not live on"
pauses=$(events throttled)
usec=$(events throttledUSec)
[ "$pauses" -ge 1 ] || fail "no pause is counted"
[ "$usec" -ge 1900000 ] || fail "paused for $usec us"
# Seen on the cgroup, too: getxattr(2), as there is no getfattr here.
xattr=$(perl -e 'my ($b, $name) = ("\0" x 200, "user.bpfbudget.events");
    my $n = syscall(191, $ARGV[0], $name, $b, 200); print substr($b, 0, $n) if $n > 0' "$directory")
echo "xattr: $xattr"
grep -q " throttled $pauses throttledUSec $usec$" <<<"$xattr" || fail "the xattr differs: $pauses pauses, $usec us"
echo "pauses: $pauses, $usec us"
# Told in its unit's journal, once.
wait_for 10 has_entries $THROTTLED "$path" 1 || fail "no entry"
equal "entries" "$(entries $THROTTLED "$path")" 1
journalctl -q -u "$unit" -o json MESSAGE_ID=$THROTTLED | tail -n 1 >/run/entry.json
equal "unit" "$(jq -r .OBJECT_SYSTEMD_UNIT /run/entry.json)" "$unit"
equal "budget" "$(jq -r .BPFBUDGET_BUDGET /run/entry.json)" 50-vmtest
equal "cgroup of the budget" "$(jq -r .BPFBUDGET_CGROUP /run/entry.json)" "$path"
jq -e '(.BPFBUDGET_PAUSE_USEC | tonumber) >= 10000 and (.BPFBUDGET_PAUSE_USEC | tonumber) <= 2000000 and
    (.BPFBUDGET_USAGE | tonumber) > 2097152 and (.BPFBUDGET_DELTA | tonumber) > 0' /run/entry.json >/dev/null ||
    fail "entry: $(cat /run/entry.json)"
journalctl -q -x -u "$unit" MESSAGE_ID=$THROTTLED | grep -q "is paused because its BPF memory grows" ||
    fail "the catalog does not explain it"

# --- Over High without growth there is no pause
pauses=$(events throttled)
sleep 3
equal "pauses without growth" "$(events throttled)" "$pauses"

# --- What somebody else froze stays
systemctl restart $daemon # with the duty of the last ten seconds forgotten
echo 1 >"$directory/cgroup.freeze"
wait_for 10 frozen || fail "it cannot be frozen by hand"
feed vmtest-hash 200
sleep 4
frozen || fail "what somebody else froze was thawed"
[ ! -e $record ] || fail "what somebody else froze is in the record"
equal "pauses of what somebody else froze" "$(events throttled)" "$pauses"
echo 0 >"$directory/cgroup.freeze"
grow 1000000
more() { [ "$(events throttled)" -gt "$pauses" ]; }
wait_for 10 more || fail "not paused any more after somebody's freeze"
wait_for 10 thawed || fail "not thawed"

# --- Killed while it is frozen: whatever comes next thaws it
# pause: has it paused, with no pause before that would count. One of 2 s may be over before it is seen on a busy machine.
pause() {
    local attempt
    for attempt in 1 2 3; do
        systemctl restart $daemon
        grow 1000000
        ! wait_for 10 frozen || return 0
        echo "attempt $attempt: no pause was seen"
    done
    fail "not paused: $(journalctl -u $daemon -n 5 -o cat)"
}
# pause_for_good: has it paused by a daemon that does not end it: stopped, in time unless the machine is too busy
pause_for_good() {
    local try
    for try in 1 2 3 4; do
        pause
        kill -STOP "$(systemctl show -P MainPID $daemon)"
        ! frozen || return 0
        echo "pause $try was over at once"
    done
    fail "every pause is over at once"
}
# killed: kill -9, then until it is thawed; the pause itself would never end
killed() {
    local start=$EPOCHREALTIME
    systemctl kill --signal=KILL --kill-whom=main $daemon
    wait_for 20 thawed || fail "left frozen: $(cat $record; systemctl status --no-pager $daemon)"
    echo "thawed $(((${EPOCHREALTIME/./} - ${start/./}) / 1000)) ms after the kill ($1)"
    wait_for 10 lives || fail "it does not live on"
}
said() { journalctl -q -u $daemon -o cat | grep -c "$directory was left frozen: thawed"; }
with ExecStopPost= Restart=on-failure
pause_for_good
before=$(said || true)
killed "by its successor"
again() { systemctl --quiet is-active $daemon; }
wait_for 60 again || fail "it is not started again"
[ "$(said)" -gt "$before" ] || fail "the successor does not say it"
with Restart=no
pause_for_good
killed "by ExecStopPost="
with Restart=on-failure
systemctl reset-failed $daemon || true

# --- Stopped while it is frozen
pause
systemctl stop $daemon
thawed || fail "a stop leaves it frozen"
[ ! -e $record ] || fail "a stop leaves the record"

# --- By hand
echo 1 >"$directory/cgroup.freeze"
echo "$(stat -c %i "$directory") $directory" >$record
bpfbudgetd --release || fail "--release"
thawed || fail "--release does not thaw"
[ ! -e $record ] || fail "--release leaves the record"

# --- A configuration that does not throttle ends the pause; one with NeverThrottle= has none
# A pause is 5 s at most. On a busy machine it may be over before the reload is: then that says nothing.
settings ThrottleMaxSec=5s
ended_by_reload() {
    local usec took
    sed -i 's/^OnHigh=.*/OnHigh=throttle/' /etc/bpfbudget/50-vmtest.budget
    pause
    usec=$(events throttledUSec)
    sed -i 's/^OnHigh=.*/OnHigh=alert/' /etc/bpfbudget/50-vmtest.budget
    kill -HUP "$(systemctl show -P MainPID $daemon)"
    wait_for 10 thawed || fail "not thawed by the reload"
    took=$(($(events throttledUSec) - usec))
    echo "a pause of 5 s that a reload is to end took $took us"
    [ $took -gt 0 ] && [ $took -lt 4900000 ]
}
ended_by_reload || ended_by_reload || ended_by_reload || fail "a reload does not end a pause"
sed -i 's/^OnHigh=.*/OnHigh=throttle/' /etc/bpfbudget/50-vmtest.budget
settings "NeverThrottle=$path"
systemctl restart $daemon
pauses=$(events throttled)
grow 1000000
wait_for 10 grown || fail "the service does not grow"
sleep 3
thawed || fail "paused in spite of NeverThrottle="
equal "pauses with NeverThrottle=" "$(events throttled)" "$pauses"

# --- What a service left behind grows in its slice: nobody there is to blame for it
cat >/etc/bpfbudget/40-slice.budget <<END
[Match]
Unit=$SLICE
[Budget]
High=1M
OnHigh=throttle
END
systemctl restart $daemon
in_unit vmtest-leaves.service bpftool map create /sys/fs/bpf/vmtest-left type hash key 4 value 3000 entries 4096 flags 1 \
    name left
slice=$(systemctl show -P ControlGroup "$SLICE")
grep -qw memory "/sys/fs/cgroup$slice/cgroup.subtree_control" || fail "the slice is no inner cgroup"
feed vmtest-left 500
wait_for 20 has_entries $HIGH "$slice" 1 || fail "the slice is not over High"
sleep 1
equal "cgroup.freeze of the slice" "$(cat "/sys/fs/cgroup$slice/cgroup.freeze")" 0
equal "entries about pauses of the slice" "$(entries $THROTTLED "$slice")" 0
# Other tests have had errors of their own.
errors=$(journalctl --no-pager -q -o cat -p err --since "@$begin" -u $daemon | grep -v '^-- ' || true)
[ -z "$errors" ] || fail "the journal has errors: $errors"
