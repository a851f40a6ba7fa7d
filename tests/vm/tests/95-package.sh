# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
# machines: ^(bookworm-6.1|trixie-6.12-nolsm)$
# The Debian package: installed it is enabled and runs, upgraded it keeps its state, purged it leaves nothing. The last test,
# as the product is gone then.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
unit=bpfbudgetd.service
packages=/usr/lib/bpfbudget/packages
work=$(mktemp -d)

show() { journalctl --no-pager -o short-monotonic -u 'bpfbudgetd.*' | tail -n 60; }
trap '[ $? -eq 0 ] || show' EXIT

package=$(echo "$packages"/bpfbudgetd_*.deb)
[ -e "$package" ] || fail "no package was built"
version=$(dpkg-deb -f "$package" Version)
systemctl --quiet stop bpfbudgetd.socket $unit 2>/dev/null || true

# The files of "make install" are those of the package: away with them.
dpkg-deb -c "$package" | awk '{ print $6 }' | grep -v '/$' | sed 's/^\.//' | xargs rm -f
systemctl daemon-reload

# mmdebstrap left it here: it keeps packages from starting their services.
rm -f /usr/sbin/policy-rc.d

# --- Install
dpkg -i "$package" || fail "dpkg -i"
equal "package" "$(dpkg-query -W -f '${Status}' bpfbudgetd)" "install ok installed"
equal "service" "$(systemctl is-enabled $unit) $(systemctl is-active $unit)" "enabled active"
equal "socket" "$(systemctl is-enabled bpfbudgetd.socket) $(systemctl is-active bpfbudgetd.socket)" "enabled active"
getent group bpfbudget || fail "no group"
equal "/run/bpfbudget/io.bpfbudget" "$(stat -c '%F %a %U %G' /run/bpfbudget/io.bpfbudget)" "socket 660 root bpfbudget"
systemctl show -P StatusText $unit | grep -E '^[0-9]+ cgroups, [0-9]+ objects, [0-9.]+[KMGT]? of BPF memory, [0-9]+ over High' ||
    fail "status: $(systemctl show -P StatusText $unit)"
problems=$(systemd-analyze verify --man=no $unit bpfbudgetd.socket 2>&1 | grep bpfbudget || true)
[ -z "$problems" ] || fail "$problems"
dpkg --verify bpfbudgetd | grep -v ' /usr/share/\(doc\|man\)/' && fail "dpkg --verify"

# --- A budget that is passed: state that has to survive
printf '[Match]\nUnit=vm-package-load.service\n[Budget]\nHigh=64K\n' >/etc/bpfbudget/50-vm.budget
pid=$(systemctl show -P MainPID $unit)
systemctl reload $unit || fail "reload"
wait_for 10 sh -c "journalctl --no-pager -o cat -u $unit | grep -q 'Configuration reloaded: 2 budgets'" || fail "not reloaded"
equal "MainPID after reload" "$(systemctl show -P MainPID $unit)" "$pid"
equal "ActiveState after reload" "$(systemctl is-active $unit)" active
systemd-run --quiet --unit=vm-package-load --slice="$SLICE" sh -c \
    'bpftool map create /sys/fs/bpf/vm-package type array key 4 value 1024 entries 1000 name vm_package && exec sleep infinity'
passed() { journalctl --no-pager -o cat -u vm-package-load.service | grep -q 'is over High of budget 50-vm'; }
wait_for 20 passed || fail "the budget was passed and nothing said so"
equal "state over High" "$(systemctl show -P StatusText $unit | grep -oE '[0-9]+ over High')" "1 over High"

# --- The gate: it refuses, and is there while the daemon is not
printf '[Match]\nUnit=vm-package-gate.service\n[Budget]\nMax=1M\nOnMax=deny\n' >/etc/bpfbudget/60-vm.budget
systemctl reload $unit
wait_for 20 sh -c 'ls /sys/fs/bpf/bpfbudget | grep -q .' || fail "no pins of the gate: $(bpfbudgetd --capabilities | grep gate)"
# All of it is in force, and the cgroup of a new service is known a moment after it was made.
reloaded() { [ "$(journalctl -q -u $unit -o cat | grep -c 'Configuration reloaded')" -ge 2 ]; }
wait_for 30 reloaded || fail "the reload does not end"
pins=$(find /sys/fs/bpf/bpfbudget | sort)
# In a unit with a budget of 1 MiB that is there all the time.
start_asker vm-package-gate
sleep 2
refused vm_running || fail "the daemon runs, and 4 MiB are not refused: $(cat /run/vm_running)"
pid=$(systemctl show -P MainPID $unit)
systemctl restart $unit
equal "pins after a restart" "$(find /sys/fs/bpf/bpfbudget | sort)" "$pins"
refused vm_restarted || fail "restarted, and 4 MiB are not refused"
mkdir -p /run/systemd/system/$unit.d
printf '[Service]\nRestart=no\n' >/run/systemd/system/$unit.d/vm.conf
systemctl daemon-reload
kill -KILL "$(systemctl show -P MainPID $unit)"
wait_for 10 sh -c "[ \"\$(systemctl is-active $unit)\" = failed ]" || fail "not failed after SIGKILL"
refused vm_killed || fail "killed, and 4 MiB are not refused"
rm -r /run/systemd/system/$unit.d
systemctl daemon-reload
systemctl reset-failed $unit
systemctl start $unit
refused vm_again || fail "started again, and 4 MiB are not refused"

# --- Upgrade, while it runs: state is kept
id=$(stat -c %i "$(cgroup_of vm-package-load.service)")
events=$(jq -c ".\"$id\"" /run/bpfbudget/events.json)
[ "$events" != null ] || fail "no events of cgroup $id: $(cat /run/bpfbudget/events.json)"
dpkg-deb -R "$package" "$work/next"
sed -i "s/^Version: .*/Version: $version+next/" "$work/next/DEBIAN/control"
dpkg-deb -b "$work/next" "$work/next.deb" >/dev/null
dpkg -i "$work/next.deb" || fail "upgrade"
equal "version" "$(dpkg-query -W -f '${Version}' bpfbudgetd)" "$version+next"
equal "service after upgrade" "$(systemctl is-enabled $unit) $(systemctl is-active $unit)" "enabled active"
[ "$(systemctl show -P MainPID $unit)" != "$pid" ] || fail "the old daemon still runs"
wait_for 10 sh -c "systemctl show -P StatusText $unit | grep -q '1 over High'" || fail "the state is not kept"
equal "pins after an upgrade" "$(find /sys/fs/bpf/bpfbudget | sort)" "$pins"
refused vm_upgraded || fail "upgraded, and 4 MiB are not refused"
equal "events over an upgrade" "$(jq -c ".\"$id\"" /run/bpfbudget/events.json)" "$events"
[ -e /etc/bpfbudget/50-vm.budget ] || fail "the upgrade took a budget away"

# --- Stopped on purpose it opens the gate
systemctl stop $unit bpfbudgetd.socket
[ ! -e /sys/fs/bpf/bpfbudget ] || fail "stopped, and pins are left: $(ls /sys/fs/bpf/bpfbudget)"
! refused vm_stopped || fail "stopped, and 4 MiB are refused: $(cat /run/vm_stopped)"
rm /sys/fs/bpf/vm_stopped
systemctl start $unit

# --- An administrator's choice survives an upgrade, too
systemctl --quiet disable --now $unit
dpkg -i "$work/next.deb" || fail "upgrade of a disabled service"
equal "disabled service after upgrade" "$(systemctl is-enabled $unit || true)" disabled
systemctl --quiet enable $unit
systemctl start $unit

# --- Purge: nothing is left but what the administrator wrote
# Also where the service had failed and the gate is closed.
mkdir -p /run/systemd/system/$unit.d
printf '[Service]\nRestart=no\n' >/run/systemd/system/$unit.d/vm.conf
systemctl daemon-reload
kill -KILL "$(systemctl show -P MainPID $unit)"
wait_for 10 sh -c "[ \"\$(systemctl is-active $unit)\" = failed ]" || fail "not failed after SIGKILL"
[ -e /sys/fs/bpf/bpfbudget ] || fail "a daemon that was killed leaves no gate"
rm -r /run/systemd/system/$unit.d /sys/fs/bpf/vm-package
systemctl --quiet stop vm-package-load.service vm-package-gate.service || true
rm /etc/bpfbudget/50-vm.budget /etc/bpfbudget/60-vm.budget
dpkg --purge bpfbudgetd || fail "purge"
left=$(dpkg-deb -c "$package" | awk '{ print $6 }' | grep -v '/$' | sed 's/^\.//' | while read -r file; do [ ! -e "$file" ] || echo "$file"; done)
[ -z "$left" ] || fail "files are left: $left"
for path in /run/bpfbudget /etc/bpfbudget /sys/fs/bpf/bpfbudget; do
    [ ! -e $path ] || fail "$path is left: $(ls -lA $path)"
done
left=$(find /etc/systemd /run/systemd/system /var/lib/systemd -name '*bpfbudgetd*' 2>/dev/null || true)
[ -z "$left" ] || fail "left of the units: $left"
frozen=$(grep -lx 1 -r --include=cgroup.freeze /sys/fs/cgroup 2>/dev/null || true)
[ -z "$frozen" ] || fail "frozen: $frozen"
# A program behind a trampoline goes only when all tasks have left it.
own_programs() {
    bpftool -j prog show | jq -r '.[] | select(.name // "" | test("^(snapshot_|measure_obj|clean_cgr|gate)")) | .name'
}
none_left() {
    [ -z "$(own_programs)" ]
}
wait_for 60 none_left || fail "programs are left: $(own_programs)"
! pgrep -x bpfbudgetd || fail "a daemon still runs"
