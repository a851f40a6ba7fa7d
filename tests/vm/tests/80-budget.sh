#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 150
# machines: (-[0-9.]+|-6.12-arm64)$
# A unit over High gets one entry in its journal, explained by the catalog, and one when it is below the clear mark; none in
# between though usage oscillates around High. A broken file is told and changes nothing.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
mkdir -p /etc/bpfbudget
cat >/etc/bpfbudget/50-vmtest.budget <<END
[Match]
Cgroup=/vmtest*.slice/**
[Budget]
High=4M
END
printf '[Daemon]\nAlertBurst=100\n' >/etc/bpfbudget/bpfbudgetd.conf
# Not shown by journalctl -x otherwise.
journalctl --update-catalog
systemctl start bpfbudgetd
trap 'systemctl stop bpfbudgetd; rm -rf /etc/bpfbudget' EXIT

# A process that makes and drops maps as it is told on a FIFO, in a unit of its own.
unit=vmtest-agent.service
cat >/run/agent.sh <<'END'
#!/bin/bash
while read -r what name size; do
    case $what in
    make) bpftool map create "/sys/fs/bpf/vmtest-$name" type array key 4 value "$size" entries 1 name "$name" ;;
    drop) rm "/sys/fs/bpf/vmtest-$name" ;;
    end) break ;;
    esac
    echo "$what $name" >>/run/agent.done
done <>/run/agent.fifo
END
mkfifo /run/agent.fifo
: >/run/agent.done
systemd-run --quiet --unit="$unit" --slice="$SLICE" /bin/bash /run/agent.sh
done_count=0
answered() { [ "$(wc -l </run/agent.done)" -ge $done_count ]; }
tell() {
    echo "$*" >/run/agent.fifo
    done_count=$((done_count + 1))
    wait_for 20 answered || fail "the agent does not answer: $*"
}
entries() { journalctl -q --sync; journalctl -q -u "$unit" -o cat MESSAGE_ID="$1" | wc -l; }
HIGH=c570d457cacf49c5a4e01e1985aa493e CLEAR=4969eae01ee449faa597c5903b2cf77d
has() { [ "$(entries "$1")" = "$2" ]; }

tell make base 3000000
tell make swing 2000000
wait_for 20 has $HIGH 1 || fail "no entry over High: $(journalctl -u bpfbudgetd -n 5 -o cat)"
for _ in 1 2 3 4 5; do
    tell drop swing
    tell make swing 2000000
done
sleep 2
# 3.0 MB are 71 % of High: below the clear mark of 90 %, so each drop clears. Oscillate above it.
before=$(entries $HIGH)
tell make more 900000
for _ in 1 2 3 4 5; do
    tell make small 50000
    tell drop small
done
sleep 2
equal "entries while usage oscillates above the clear mark" "$(entries $HIGH)" "$before"
journalctl -q -u "$unit" -o json MESSAGE_ID=$HIGH | tail -n 1 >/run/entry.json
equal "state" "$(jq -r .BPFBUDGET_STATE /run/entry.json)" high
equal "budget" "$(jq -r .BPFBUDGET_BUDGET /run/entry.json)" 50-vmtest
equal "unit" "$(jq -r .OBJECT_SYSTEMD_UNIT /run/entry.json)" "$unit"
equal "cgroup" "$(jq -r .CGROUP /run/entry.json)" "$(systemctl show -P ControlGroup $unit)"
equal "who" "$(jq -r .BPFBUDGET_COMM /run/entry.json)" bpftool
jq -e '(.BPFBUDGET_USAGE | tonumber) > 4194304' /run/entry.json >/dev/null || fail "usage: $(cat /run/entry.json)"
jq -r .BPFBUDGET_TOP /run/entry.json | grep -q base || fail "top: $(cat /run/entry.json)"
journalctl -q -x -u "$unit" MESSAGE_ID=$HIGH | grep -q "is over High" || fail "the catalog does not explain it"

cleared=$(entries $CLEAR)
tell drop swing
tell drop more
tell drop base
wait_for 20 has $CLEAR $((cleared + 1)) || fail "no entry below the clear mark"
getfattr --only-values -n user.bpfbudget.events "$(cgroup_of $unit)" 2>/dev/null || true

# A broken file: told with file and line, and the budget in force stays.
printf '[Match]\nCgroup=/x\n[Budget]\nHihg=1M\n' >/etc/bpfbudget/60-broken.budget
bpfbudgetd --check-config >/run/check 2>&1 && fail "a broken file passes --check-config"
grep -q '60-broken.budget:4:.*High=' /run/check || fail "check-config: $(cat /run/check)"
systemctl reload bpfbudgetd
stays() { journalctl -q -u bpfbudgetd -o cat | grep -q "the configuration in force is kept"; }
wait_for 10 stays || fail "reload: $(journalctl -u bpfbudgetd -n 5)"
before=$(entries $HIGH)
tell make again 5000000
wait_for 20 has $HIGH $((before + 1)) || fail "the budget is not in force after a failed reload"
tell drop again
echo end >/run/agent.fifo
