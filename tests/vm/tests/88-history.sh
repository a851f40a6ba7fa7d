#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
# machines: ^trixie-6.12$
# The service as installed, but for a daemon whose hours take two seconds: a service that leaks a megabyte an hour is first in
# what-grew; suggest gives budgets for it, and for one that makes a large map at once, under which neither is refused anything
# when it does all that again; its history outlives the service and the daemon.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

pins=/sys/fs/bpf/vmtest-history
units="vmtest-leak vmtest-step"
drop_in=/run/systemd/system/bpfbudgetd.service.d/fast.conf
trap 'systemctl stop $units bpfbudgetd 2>/dev/null || true; umount -q /var/lib || true; rm -rf $pins /run/bpfbudget/50-vmtest-* $drop_in; systemctl daemon-reload' EXIT
has() { grep -qE -- "$2" <<<"$1" || fail "no line matches '$2' in: $1"; }

systemctl stop bpfbudgetd.service
# Tests before this one have taken the directory away from the service.
begin=$(date +%s)
rm -rf /var/lib/bpfbudget
mkdir -p ${drop_in%/*} $pins
cat >$drop_in <<END
[Service]
ExecStart=
ExecStart=/usr/lib/bpfbudget/tests/fast-bpfbudgetd
Environment=BPFBUDGET_TEST_HOUR_MSEC=2000 BPFBUDGET_TEST_BEGIN=$(date +%s)
END
systemctl daemon-reload
systemctl start bpfbudgetd
answers() { bpfbudgetctl flush 2>/dev/null; }
logged() { journalctl --no-pager -o cat _COMM=bpfbudgetd "_SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID bpfbudgetd)"; }
not_kept() { logged | grep -q 'history is not kept (Read-only file system)'; }
wait_for 40 answers || fail "the daemon does not answer: $(bpfbudgetctl flush 2>&1)"

# leak.sh SLEEP: 27 maps of a megabyte, one after the other; step.sh SLEEP: a small map, and then a large one.
cat >/run/leak.sh <<END
#!/bin/bash
for i in \$(seq 27); do
    bpftool map create $pins/leak_\$i type array key 4 value 1024 entries 1000 name leak_\$i || exit 1
    sleep \$1
done
touch /run/leak.done
exec sleep infinity
END
cat >/run/step.sh <<END
#!/bin/bash
bpftool map create $pins/small type array key 4 value 1024 entries 1000 name small || exit 1
sleep \$1
bpftool map create $pins/large type array key 4 value 1024 entries 20000 name large || exit 1
touch /run/step.done
exec sleep infinity
END
start() {
    rm -f $pins/* /run/leak.done /run/step.done
    systemd-run --quiet --collect --unit=vmtest-leak --slice="$SLICE" /bin/bash /run/leak.sh "$1"
    systemd-run --quiet --collect --unit=vmtest-step --slice="$SLICE" /bin/bash /run/step.sh "$2"
}
done_all() { [ -e /run/leak.done ] && [ -e /run/step.done ]; }
start 2 4
seen() { bpfbudgetctl history vmtest-leak >/dev/null 2>&1; }
wait_for 20 seen || fail "no history of vmtest-leak: $(bpfbudgetctl history)"
status=0
said=$(bpfbudgetctl suggest vmtest-leak 2>&1) || status=$?
equal "exit status of suggest after some hours" "$status" 1
has "$said" 'there is less than a day of history .*--force'
has "$(bpfbudgetctl suggest --force vmtest-leak)" 'That is less than a day of history'
wait_for 150 done_all || fail "the services did not come to their end: $(journalctl -u vmtest-leak -u vmtest-step -n 20)"

bpfbudgetctl what-grew --since=@1 | tee /run/grew
has "$(sed -n 2p /run/grew)" '2[67]\.[0-9]M +0B +2[67]\.[0-9]M +vmtest-leak.service'
has "$(cat /run/grew)" '19\.[0-9]M .*vmtest-step.service +large +array'
bpfbudgetctl history vmtest-leak

mkdir -p /run/suggested
for unit in leak step; do
    bpfbudgetctl suggest --force vmtest-$unit | tee /run/suggested/50-vmtest-$unit.budget
    has "$(cat /run/suggested/50-vmtest-$unit.budget)" "^Unit=vmtest-$unit.service"
    bpfbudgetctl --json=short suggest --force vmtest-$unit >/run/suggestion.json
    snapshot=/run/suggestion.json
    check "nothing would have been refused or paused" '.suggestions[0] | select(.pausedHours > 0 or .refusedHours > 0)'
    check "there is room for one more step" '.suggestions[0] | select(.max < .high + .largestStep or .high < .peak)'
    printf 'OnHigh=throttle\nOnMax=deny\n' >>/run/suggested/50-vmtest-$unit.budget
done
has "$(bpfbudgetctl --json=short suggest --force vmtest-step)" '"largestStep":20[0-9]{6},'
bpfbudgetd --check-config=/run/suggested

# All once more, as fast as it goes, under these budgets.
# shellcheck disable=SC2086 # a list
systemctl stop $units
cp /run/suggested/50-vmtest-*.budget /run/bpfbudget/
bpfbudgetctl reload
before=$(bpfbudgetctl --json=short history vmtest-leak | jq '.workloads[0].peak')
start 0 0
wait_for 60 done_all || fail "under its budget: $(journalctl -u vmtest-leak -u vmtest-step -n 20)"
bpfbudgetctl --json=short status >/run/status.json
# shellcheck disable=SC2034 # for check
snapshot=/run/status.json
check "nothing is refused or paused" '.statistics | select(.refusals > 0 or .throttles > 0)'
# shellcheck disable=SC2086 # a list
systemctl stop $units

systemctl restart bpfbudgetd
wait_for 40 answers || fail "the daemon does not answer"
equal "peak after a restart" "$(bpfbudgetctl --json=short history vmtest-leak | jq ".workloads[0].peak >= $before")" true
equal "mode of the directory" "$(stat -c %a /var/lib/bpfbudget)" 700
equal "mode of the database" "$(stat -c %a /var/lib/bpfbudget/history.db)" 600
[ ! -e /var/lib/bpfbudget/history.db.damaged ] || fail "the database was damaged"

# Killed in the middle, it is sound; the service manager starts the next one.
systemctl kill -s KILL bpfbudgetd
sleep 1
wait_for 40 answers || fail "the daemon does not answer"
equal "peak after a crash" "$(bpfbudgetctl --json=short history vmtest-leak | jq ".workloads[0].peak >= $before")" true
[ ! -e /var/lib/bpfbudget/history.db.damaged ] || fail "the database was damaged"
journalctl -u bpfbudgetd --no-pager --since="@$begin" | grep -E 'history is not kept|there is no history' && fail "the history was not kept"

# Without a /var that can be written it works but for the history, and says so once.
rm $drop_in
systemctl daemon-reload
for directory in no yes; do
    systemctl stop bpfbudgetd
    mount -t tmpfs none /var/lib
    [ $directory = no ] || mkdir -m 0700 /var/lib/bpfbudget
    mount -o remount,ro /var/lib
    systemctl start bpfbudgetd || fail "it does not start without a /var that can be written: $(systemctl status bpfbudgetd)"
    wait_for 40 answers || fail "the daemon does not answer"
    wait_for 40 not_kept || fail "it does not say that there is no history: $(logged)"
    equal "warnings, with a directory: $directory" "$(logged | grep -c 'history is not kept')" 1
    bpfbudgetctl cgroups >/dev/null || fail "it does not answer"
    systemctl stop bpfbudgetd
    umount /var/lib
done
systemctl start bpfbudgetd
wait_for 40 answers || fail "the daemon does not answer"
wait_for 40 bpfbudgetctl history >/dev/null || fail "the history is not there again"
