#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 240
# machines: ^trixie-6.12$
# The RPM: installed it runs, upgraded it keeps what it refuses and what it counted, erased it leaves nothing. Of rpm itself
# only dependencies and free space are not asked for: what is installed here is in the database of dpkg, and a root file system
# that is an initramfs tells no size. The last test, as the product is gone then.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
unit=bpfbudgetd.service
package=$(echo /usr/lib/bpfbudget/packages/bpfbudgetd-*.rpm)
[ -e "$package" ] || fail "no package was built"
trap '[ $? -eq 0 ] || journalctl --no-pager -o short-monotonic -u "bpfbudgetd.*" | tail -n 60' EXIT
systemctl --quiet stop bpfbudgetd.socket $unit 2>/dev/null || true

# The files of "make install" are those of the package: away with them.
files=$(rpm -qp --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$package" | grep -v '^d' | sed 's/^[^ ]* //')
[ -n "$files" ] || fail "no files in $package"
echo "$files" | xargs rm -f
systemctl daemon-reload

# --- Install
rpm -i --nodeps --ignoresize "$package" || fail "rpm -i"
equal "verified" "$(rpm -V --nodeps bpfbudgetd | grep -v ' /usr/share/\(doc\|man\)/' || true)" ""
getent group bpfbudget || fail "no group"
# Whether it is enabled is for the preset of the distribution to say.
systemctl --quiet enable --now $unit bpfbudgetd.socket || fail "enable"
equal "service" "$(systemctl is-enabled $unit) $(systemctl is-active $unit)" "enabled active"
equal "/run/bpfbudget/io.bpfbudget" "$(stat -c '%F %a %U %G' /run/bpfbudget/io.bpfbudget)" "socket 660 root bpfbudget"
systemctl show -P StatusText $unit | grep -E '^[0-9]+ cgroups, [0-9]+ objects, ' || fail "status: $(systemctl show -P StatusText $unit)"

# --- A service that is over High and refused past Max
printf '[Match]\nUnit=vm-rpm.service\n[Budget]\nHigh=64K\nMax=1M\nOnMax=deny\n' >/etc/bpfbudget/50-vm.budget
systemctl restart $unit
start_asker vm-rpm 'bpftool map create /sys/fs/bpf/vm_rpm type array key 4 value 1024 entries 200 name vm_rpm;'
over() { systemctl show -P StatusText $unit | grep -q '1 over High'; }
wait_for 20 over || fail "not over High: $(systemctl show -P StatusText $unit)"
refused vm_running || fail "4 MiB are not refused: $(cat /run/vm_running)"
pins=$(find /sys/fs/bpf/bpfbudget | sort)
id=$(stat -c %i "$(cgroup_of vm-rpm.service)")
# How often it was high: what it was refused may still be on its way to the file.
highs() { jq ".\"$id\".high" /run/bpfbudget/events.json; }
high=$(highs)
[ "$high" -ge 1 ] || fail "no events of cgroup $id: $(cat /run/bpfbudget/events.json)"

# --- Upgrade, while it runs
pid=$(systemctl show -P MainPID $unit)
rpm -U --nodeps --ignoresize --replacepkgs "$package" || fail "upgrade"
equal "packages" "$(rpm -q bpfbudgetd | wc -l)" 1
equal "service after an upgrade" "$(systemctl is-enabled $unit) $(systemctl is-active $unit)" "enabled active"
[ "$(systemctl show -P MainPID $unit)" != "$pid" ] || fail "the old daemon still runs"
wait_for 20 over || fail "the state is not kept"
equal "pins after an upgrade" "$(find /sys/fs/bpf/bpfbudget | sort)" "$pins"
equal "times over High, after an upgrade" "$(highs)" "$high"
refused vm_upgraded || fail "upgraded, and 4 MiB are not refused: $(cat /run/vm_upgraded)"
[ -e /etc/bpfbudget/50-vm.budget ] || fail "the upgrade took a budget away"

# --- Erase: nothing is left but what the administrator wrote
systemctl --quiet stop vm-rpm.service
rm /sys/fs/bpf/vm_rpm
rpm -e bpfbudgetd || fail "rpm -e"
left=$(echo "$files" | while read -r file; do [ ! -e "$file" ] || echo "$file"; done)
[ -z "$left" ] || fail "files are left: $left"
for path in /run/bpfbudget /sys/fs/bpf/bpfbudget; do
    [ ! -e $path ] || fail "$path is left: $(ls -lA $path)"
done
equal "/etc/bpfbudget" "$(ls -A /etc/bpfbudget)" 50-vm.budget
left=$(find /etc/systemd -name '*bpfbudgetd*')
[ -z "$left" ] || fail "left of the units: $left"
frozen=$(grep -lx 1 -r --include=cgroup.freeze /sys/fs/cgroup 2>/dev/null || true)
[ -z "$frozen" ] || fail "frozen: $frozen"
! pgrep -x bpfbudgetd || fail "a daemon still runs"
