#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 400
# machines: ^trixie-6.12$
# Nobody stops it: journald that does not read, or is restarted, holds up nothing, and what it has missed is counted. Names
# that anybody makes are text in messages.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
daemon=bpfbudgetd.service
journald=systemd-journald.service
unit=vmtest-hostile.service
record=/run/bpfbudget/frozen
lost=/run/bpfbudget/lost-messages
HIGH=c570d457cacf49c5a4e01e1985aa493e CLEAR=4969eae01ee449faa597c5903b2cf77d
begin=$(date +%s)
journald_pid() { systemctl show -P MainPID $journald; }
clean() {
    local status=$?
    kill -CONT "$(journald_pid)" || true
    [ $status -eq 0 ] || journalctl --no-pager -o short-monotonic -u $daemon | grep -v Nonsense | tail -n 40
    rm -rf /etc/bpfbudget /run/systemd/journald.conf.d
    systemctl --quiet stop $daemon $unit || true
    systemctl --quiet reset-failed $daemon 2>/dev/null || true
    systemctl restart $journald
    rm -f /sys/fs/bpf/vmtest-* /usr/local/bin/a*b*
}
trap clean EXIT
mkdir -p /etc/bpfbudget /run/systemd/journald.conf.d
printf '%s\n' '[Daemon]' AlertBurst=100 >/etc/bpfbudget/bpfbudgetd.conf
cat >/etc/bpfbudget/50-vmtest.budget <<END
[Match]
Unit=$unit
[Budget]
High=2M
OnHigh=throttle
END
# The flood of this test is not journald's to cut.
printf '%s\n' '[Journal]' RateLimitBurst=0 >/run/systemd/journald.conf.d/vmtest.conf
systemctl restart $journald
systemctl restart $daemon

# A service whose process has a name that is not text: it makes maps as it is told on a FIFO.
tool=$'/usr/local/bin/a\nb\e[31m\xff'
cp "$(command -v bpftool)" "$tool"
cat >/run/hostile.sh <<'END'
#!/bin/bash
while read -r name size; do
    $'/usr/local/bin/a\nb\e[31m\xff' map create "/sys/fs/bpf/vmtest-$name" type array key 4 value "$size" entries 1 name "$name"
done <>/run/hostile.fifo
END
mkfifo /run/hostile.fifo
systemd-run --quiet --unit="$unit" --slice="$SLICE" /bin/bash /run/hostile.sh
directory=$(cgroup_of $unit)
path=$(systemctl show -P ControlGroup $unit)
maps=0
grow() {
    maps=$((maps + 1))
    echo "m$maps $1" >/run/hostile.fifo
}
grown() { [ -e /sys/fs/bpf/vmtest-m$maps ]; }
frozen() { [ "$(cat "$directory/cgroup.freeze")" = 1 ]; }
thawed() { [ "$(cat "$directory/cgroup.freeze")" = 0 ]; }
main_pid() { systemctl show -P MainPID $daemon; }
entries() { journalctl -q --sync; journalctl -q -o json --since "@$begin" "$@" CGROUP="$path"; }
has_entries() {
    local count=$1
    shift
    [ "$(entries "$@" | wc -l)" -ge "$count" ]
}

# --- A name is text in the message, and itself in its field
grow 3000000
wait_for 20 has_entries 1 MESSAGE_ID=$HIGH || fail "no entry"
entries MESSAGE_ID=$HIGH | tail -n 1 >/run/entry.json
jq -e '(.MESSAGE | type) == "string" and (.MESSAGE | test("[\u0000-\u001f\u007f-\u009f]") | not)' /run/entry.json >/dev/null ||
    fail "the message is no text: $(cat /run/entry.json)"
message=$(jq -r .MESSAGE /run/entry.json)
echo "$message"
[[ $message == *"(High 2.0M, Max infinity)"* ]] || fail "the figures are not in the message"
if [ "$(jq -r .BPFBUDGET_COMM /run/entry.json)" != unknown ]; then
    [[ $message == *"growth by a?b?[31m?"* ]] || fail "the name is not in the message"
    equal "bytes of the field" "$(jq -c '.BPFBUDGET_COMM | if type == "array" then . else explode end' /run/entry.json)" \
        "[97,10,98,27,91,51,49,109,255]"
fi
wait_for 10 thawed || fail "not thawed"

# --- journald is stopped, with its sockets, and started: what happened meanwhile has its fields
shrink() { rm -f /sys/fs/bpf/vmtest-m*; }
systemctl --quiet stop systemd-journald-dev-log.socket systemd-journald.socket $journald || true
echo "journald while it is stopped: $(systemctl is-active $journald || true)"
shrink
sleep 3
timeout 10 bpfbudgetctl status >/dev/null || fail "no status while journald is stopped"
systemctl start systemd-journald.socket systemd-journald-dev-log.socket $journald
wait_for 30 has_entries 1 MESSAGE_ID=$CLEAR || fail "no entry of what happened while journald was stopped"
grow 3000000
wait_for 30 has_entries 2 MESSAGE_ID=$HIGH || fail "no entry after journald was started"
plain=$(journalctl -q -o cat --since "@$begin" -u $daemon | grep -c '^bpfbudgetd: ' || true)
equal "messages with a prefix of their own" "$plain" 0
wait_for 10 thawed || fail "not thawed"

# --- journald reads nothing
# Until its socket is full. There are no modules of perl here: AF_UNIX is 1, SOCK_DGRAM 2, MSG_DONTWAIT 0x40.
fill() {
    perl -e 'socket(my $s, 1, 2, 0) or die; my $n = 0;
        $n++ while send($s, "MESSAGE=vmtest fills the journal\n", 0x40, pack("S a108", 1, "/run/systemd/journal/socket"));
        print "$n entries filled the socket of journald\n"'
}
# Asks the daemon $1 times for its version; prints the 99th percentile and the longest in microseconds. SOCK_STREAM is 1,
# clock_gettime() 228.
ask() {
    perl -e 'sub now { my $t = "\0" x 16; syscall(228, 1, $t); my ($s, $n) = unpack("qq", $t); $s * 1e6 + $n / 1e3 }
        my @t; for (1 .. $ARGV[0]) { my $begin = now();
            socket(my $s, 1, 1, 0) or die; connect($s, pack("S a108", 1, "/run/bpfbudget/io.bpfbudget")) or die;
            syswrite($s, "{\"method\":\"org.varlink.service.GetInfo\"}\0"); sysread($s, my $r, 65536) or die;
            push @t, now() - $begin } @t = sort { $a <=> $b } @t; printf "%d %d\n", $t[int(@t * 0.99)], $t[-1]' "$1"
}
stop_journald() {
    kill -STOP "$(journald_pid)"
    fill
}
# 100 errors a file are reported.
long=$(printf 'x%.0s' {1..150})
for ((i = 0; i < 100; i++)); do echo "Nonsense$long$i=1"; done >/run/nonsense
flood() {
    local i
    for ((i = 10; i < 25; i++)); do
        { printf '%s\n' '[Match]' Cgroup=/nobody '[Budget]' High=1M; cat /run/nonsense; } >/etc/bpfbudget/60-nonsense-$i.budget
    done
    for ((i = 0; i < 8; i++)); do timeout 20 bpfbudgetctl reload >/dev/null 2>&1 || true; done
    rm /etc/bpfbudget/60-nonsense-*.budget
}
stopped=$SECONDS
stop_journald
read -r p99 longest < <(ask 500)
echo "varlink with journald stopped: p99 $p99 us, longest $longest us"
# Numbers of an emulated machine; what waited for the journal would wait for good.
[ "$longest" -lt 2000000 ] || fail "the daemon waits for the journal"
flood
pid=$(main_pid)
timeout 10 bpfbudgetctl status || fail "no status"
equal "MainPID" "$(main_pid)" "$pid"
for i in 1 2 3; do
    grow 500000
    ! wait_for 5 frozen || echo "pause $i"
    wait_for 10 thawed || fail "not thawed while journald reads nothing"
    wait_for 10 grown || fail "it does not go on"
done
echo "journald stood still for $((SECONDS - stopped)) s; the daemon has $(grep VmRSS "/proc/$pid/status")"
kill -CONT "$(journald_pid)"
lost_entries() { journalctl -q --sync; journalctl -q -o json --since "@$begin" _PID="$1" | jq -r '.BPFBUDGET_LOST // empty'; }
told() { [ -n "$(lost_entries "$1")" ]; }
wait_for 30 told "$pid" || fail "what was lost is not told"
count=$(lost_entries "$pid" | head -n 1)
echo "$count messages were lost, and told"
[ "$count" -ge 1000 ] || fail "a flood of 12,000 lines loses more than $count"
# Nothing is lost without being counted.
all_counted() {
    taken=$(journalctl -q -o cat --since "@$begin" _PID="$pid" | grep -c Nonsense || true)
    [ $((taken + count)) -ge 12000 ]
}
wait_for 60 all_counted || fail "$((12000 - taken - count)) are not counted"
echo "$taken of 12000 errors arrived"
grow 500000
wait_for 10 thawed || fail "not thawed"

# --- It ends a second later, at most, while journald reads nothing; the next one tells what was lost
# end: sends SIGTERM after some messages; how many milliseconds it takes is in $took
end() {
    local pid start
    systemctl restart $daemon
    [ "$1" = reads ] || stop_journald
    for _ in 1 2 3; do kill -HUP "$(main_pid)"; sleep 0.1; done
    pid=$(main_pid)
    start=$EPOCHREALTIME
    kill -TERM "$pid"
    while [ -e "/proc/$pid" ] && [ $((${EPOCHREALTIME/./} - ${start/./})) -lt 20000000 ]; do sleep 0.02; done
    took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
    echo "ended $took ms after SIGTERM while journald $1"
}
# What the kernel takes to detach the programs depends on the machine; the second is what the daemon waits for journald.
end reads
detaching=$took
end "reads nothing"
[ $took -le $((detaching + 2000)) ] || fail "SIGTERM takes $((took - detaching)) ms more while journald reads nothing"
inactive() { ! systemctl --quiet is-active $daemon; }
wait_for 30 inactive || fail "it does not become inactive"
ended() { [[ $(systemctl show -P SubState $daemon) =~ ^(dead|failed)$ ]]; }
wait_for 30 ended || fail "ExecStopPost= does not end"
# What journald's socket had no room for is left for the next one; how much that is, is the kernel's affair.
left() { cat $lost 2>/dev/null || echo 0; }
count=$(left)
# By hand, too.
echo 1 >"$directory/cgroup.freeze"
echo "$(stat -c %i "$directory") $directory" >$record
start=$EPOCHREALTIME
JOURNAL_STREAM=$(stat -Lc %d:%i /dev/null) timeout 10 bpfbudgetd --release 2>/dev/null || fail "--release"
echo "--release: $(((${EPOCHREALTIME/./} - ${start/./}) / 1000)) ms"
thawed || fail "--release does not thaw"
[ "$(left)" -ge "$count" ] || fail "of $count that were lost --release leaves $(left)"
count=$(left)
echo "left to be told: $count"
kill -CONT "$(journald_pid)"
systemctl start $daemon
if [ "$count" -gt 0 ]; then
    wait_for 30 told "$(main_pid)" || fail "the next daemon does not tell what was lost"
    equal "lost" "$(lost_entries "$(main_pid)" | head -n 1)" "$count"
fi
[ ! -e $lost ] || fail "the number of lost messages is left"
