#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 150
# machines: ^trixie-6.12-nolsm$
# systemd's varlinkctl, which is not ours, asks the daemon: every method, streams, errors, and the interface, which it parses.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

socket=/run/bpfbudget/io.bpfbudget
systemctl start bpfbudgetd
holder=vmtest-holder.service
trap 'systemctl stop bpfbudgetd; rm -rf /etc/bpfbudget /run/bpfbudget/*.budget' EXIT

# A unit that holds a map of 3 MB and a per-CPU one that nobody is charged for.
cat >/run/holder.sh <<'END'
#!/bin/bash
bpftool map create /sys/fs/bpf/vmtest-table type array key 4 value 1000000 entries 3 name table
bpftool map create /sys/fs/bpf/vmtest-percpu type percpu_array key 4 value 8192 entries 600 name percpu
bpftool map create /sys/fs/bpf/vmtest-events type perf_event_array key 4 value 4 entries 64 name events
exec bpftool map event_pipe pinned /sys/fs/bpf/vmtest-events
END
systemd-run --quiet --unit=$holder --slice="$SLICE" /bin/bash /run/holder.sh
trap 'systemctl stop bpfbudgetd $holder; rm -rf /etc/bpfbudget /run/bpfbudget/*.budget /sys/fs/bpf/vmtest-*' EXIT
wait_for 20 test -e /sys/fs/bpf/vmtest-events || fail "no maps"
cgroup=$(systemctl show -P ControlGroup $holder)

snapshot=/run/answer.json
# call METHOD [PARAMETERS]: the answer in $snapshot
call() { varlinkctl call -j "$socket" "io.bpfbudget.$1" "${2:-{\}}" >$snapshot || fail "$1: $(cat $snapshot)"; }
# refused METHOD PARAMETERS ERROR: it fails with this error
refused() {
    local text
    ! text=$(varlinkctl call -j "$socket" "$1" "$2" 2>&1) || fail "$1 $2 was answered: $text"
    [[ $text == *"$3"* ]] || fail "$1 $2: not $3 but: $text"
    echo "refused: $3"
}
get() { jq -r "$1" $snapshot; }
# stream METHOD PARAMETERS: its replies as they come, without the record separators of a JSON sequence
stream() { varlinkctl call -j --more "$socket" "io.bpfbudget.$1" "$2" | tr -d '\036'; }

# --- What it is
varlinkctl info -j "$socket" >$snapshot
equal product "$(get .product)" bpfbudgetd
equal interfaces "$(get '.interfaces | join(" ")')" "org.varlink.service io.bpfbudget"
equal list-interfaces "$(varlinkctl list-interfaces "$socket" | tr '\n' ' ')" "io.bpfbudget org.varlink.service "
# Complaints of its parser come on stderr.
varlinkctl introspect "$socket" io.bpfbudget >/run/interface 2>/run/complaints || fail "introspect: $(cat /run/complaints)"
equal "complaints about io.bpfbudget" "$(cat /run/complaints)" ""
varlinkctl introspect "$socket" org.varlink.service >/dev/null 2>/run/complaints || fail "introspect: $(cat /run/complaints)"
equal "complaints about org.varlink.service" "$(cat /run/complaints)" ""
equal methods "$(sed -n 's/^method \([A-Za-z]*\).*/\1/p' /run/interface | LC_ALL=C sort | tr '\n' ' ')" \
    "Explain Flush GetCapabilities GetCgroup GetHistory GetMetrics GetReadiness GetStatistics ListBudgets ListCgroups ListObjects ListOrphans Reload SetBudget Subscribe Suggest UnsetBudget "

# --- Cgroups and objects
call Flush
call GetCgroup "{\"cgroup\":\"$cgroup\"}"
equal path "$(get .cgroup.path)" "$cgroup"
equal "3 MB at least" "$(get '.cgroup.bpf.charged >= 3000000')" true
equal "per-CPU is charged to nobody" "$(get '.cgroup.bpf.uncharged >= 600 * 8192')" true
allocated=$(get .cgroup.bpf.allocated)
call ListCgroups "{\"cgroup\":\"$cgroup\",\"minimum\":3000000}"
equal "the same in the list" "$(get '.cgroups[].bpf.allocated')" "$allocated"
call ListObjects "{\"cgroup\":\"$cgroup\",\"kind\":\"map\",\"holders\":true,\"pins\":true,\"uses\":true}"
equal names "$(get '[.objects[].name] | sort | join(" ")')" "events percpu table"
equal pin "$(get '.objects[] | select(.name == "table") | .pins[]')" /sys/fs/bpf/vmtest-table
equal holder "$(get '.objects[] | select(.name == "events") | .holders[0] | .comm + " " + .cgroup')" "bpftool $cgroup"
stream ListObjects '{}' >/run/stream || fail "a stream"
equal "all objects in a stream" "$(jq -s '[.[].objects[]] | length' /run/stream)" \
    "$(varlinkctl call -j "$socket" io.bpfbudget.GetStatistics '{}' | jq .statistics.objects)"
stream ListCgroups '{}' | jq -s '[.[].cgroups[]] | length'

# --- Explain
for who in "{\"unit\":\"$holder\"}" "{\"unit\":\"${holder%.service}\"}" "{\"cgroup\":\"$cgroup\"}"; do
    call Explain "$who"
    equal "cgroup of $who" "$(get .cgroup.path)" "$cgroup"
done
get .verdict
get '.shares[] | "\(.name) \(.bytes)"'
equal "verdict names the map" "$(get '.verdict | test("uncharged.*map percpu .percpu_array.")')" true
equal memoryMax "$(get .memoryMax)" null
# The kernel's counters are flushed every two seconds, and ours are its own for all but BPF.
check "shares add up to what is charged, within a tenth" \
    'select(([.shares[] | select(.detail | not) | .bytes] | add) as $sum | ($sum - .memoryCurrent | fabs) > .memoryCurrent / 10)'
check "the largest objects have holders and pins" '.objects[] | select((.holders | type) != "array" or (.pins | type) != "array")'

# --- Budgets, and what comes of them
varlinkctl call -j --more "$socket" io.bpfbudget.Subscribe "{\"cgroup\":\"$cgroup\"}" >/run/events 2>&1 &
subscriber=$!
told() { [ "$(tr -d '\036' </run/events | jq -s '[.[] | select(.event.to == "'"$1"'")] | length')" = 1 ]; }
wait_for 10 grep -q lost /run/events || fail "no first reply: $(cat /run/events)"
call SetBudget "{\"cgroup\":\"$cgroup\",\"high\":2000000,\"onHigh\":\"alert\"}"
wait_for 10 told high || fail "no event: $(cat /run/events)"
ls /run/bpfbudget
call GetCgroup "{\"cgroup\":\"$cgroup\"}"
equal state "$(get .cgroup.budget.state)" high
equal "times over High" "$(get .cgroup.budget.events.high)" 1
call ListBudgets
equal "runtime budget" "$(get '.budgets[] | select(.runtime and (.name | endswith("holder.service"))) | .high')" 2000000
call ListCgroups '{"state":"high"}'
equal "over High" "$(get '.cgroups[].path')" "$cgroup"
# It outlives the daemon.
systemctl restart bpfbudgetd
wait_for 20 varlinkctl info "$socket" >/dev/null || fail "no daemon after the restart"
call GetCgroup "{\"cgroup\":\"$cgroup\"}"
equal "high after a restart" "$(get .cgroup.budget.high)" 2000000
call UnsetBudget "{\"cgroup\":\"$cgroup\"}"
call GetCgroup "{\"cgroup\":\"$cgroup\"}"
[ "$(get .cgroup.budget.name)" != runtime ] || fail "the budget is still there"
wait $subscriber || true

# --- Pauses and refusals
slice=${cgroup%/*}
varlinkctl call -j --more "$socket" io.bpfbudget.Subscribe \
    "{\"cgroup\":\"$slice/**\",\"kinds\":[\"throttle\",\"refusal\"]}" >/run/events 2>&1 &
subscriber=$!
wait_for 10 grep -q lost /run/events || fail "no first reply"
# event KIND FILTER: of the first event of this kind; bpftool's probes of the kernel are programs
event() { tr -d '\036' </run/events | jq -rs "[.[] | select(.event.kind == \"$1\" and .event.objectKind != \"program\")][0] | .event | $2"; }
happened() { [ "$(event "$1" .kind)" = "$1" ]; }
call SetBudget "{\"cgroup\":\"$slice\",\"high\":1000000,\"onHigh\":\"throttle\"}"
in_unit vmtest-grow bash -c 'bpftool map create /sys/fs/bpf/vmtest-more type array key 4 value 1000000 entries 1 name more; sleep 3'
wait_for 10 happened throttle || fail "no pause was told: $(cat /run/events)"
equal "who was paused" "$(event throttle .cgroup)" "$slice/vmtest-grow.service"
equal "high of the pause" "$(event throttle .high)" 1000000
equal "there was a pause" "$(event throttle '.pauseUSec > 0')" true
call SetBudget "{\"cgroup\":\"$slice\",\"max\":1000000,\"onMax\":\"deny\"}"
! in_unit vmtest-refused bpftool map create /sys/fs/bpf/vmtest-no type array key 4 value 1000000 entries 1 name refused_map ||
    fail "a map past Max was made"
wait_for 10 happened refusal || fail "no refusal was told: $(cat /run/events)"
# Without a name: the probe whether maps can have one was refused before.
equal "what was refused" "$(event refusal '.objectKind + " " + .objectType')" "map array"
equal "size" "$(event refusal '.size > 0')" true
equal "limit" "$(event refusal '"\(.limit) \(.max) \(.comm)"')" "Max 1000000 bpftool"
call GetStatistics
equal "counted" "$(get '.statistics | .refusals > 0 and .throttles > 0')" true
call UnsetBudget "{\"cgroup\":\"$slice\"}"
systemctl stop bpfbudgetd
wait $subscriber || true
systemctl start bpfbudgetd
wait_for 20 varlinkctl info "$socket" >/dev/null || fail "no daemon"

# --- The daemon
call Reload
call GetCapabilities
equal "iterators" "$(get '.capabilities[] | select(.name == "iterator:bpf_map") | .available')" true
call GetStatistics
equal "one client" "$(get .statistics.clients)" 1

# --- Errors
refused io.bpfbudget.GetCgroup '{"cgroup":"/no-such"}' io.bpfbudget.NoSuchCgroup
refused io.bpfbudget.GetCgroup '{}' org.varlink.service.InvalidParameter
refused io.bpfbudget.GetCgroup '{"cgroup":5}' org.varlink.service.InvalidParameter
refused io.bpfbudget.GetCgroup '{"cgroup":"/","x":1}' org.varlink.service.InvalidParameter
refused io.bpfbudget.Nothing '{}' org.varlink.service.MethodNotFound
refused io.nothing.Nothing '{}' org.varlink.service.InterfaceNotFound
refused io.bpfbudget.Subscribe '{}' org.varlink.service.ExpectedMore
refused io.bpfbudget.Explain '{"unit":"no-such"}' io.bpfbudget.NoSuchUnit
refused io.bpfbudget.SetBudget "{\"cgroup\":\"$cgroup\",\"high\":2,\"max\":1}" io.bpfbudget.InvalidBudget
refused io.bpfbudget.UnsetBudget "{\"cgroup\":\"$cgroup\"}" io.bpfbudget.NoSuchBudget
mkdir -p /etc/bpfbudget
echo nonsense >/etc/bpfbudget/50-bad.budget
refused io.bpfbudget.Reload '{}' io.bpfbudget.InvalidConfiguration
rm /etc/bpfbudget/50-bad.budget
setpriv --reuid=65534 --regid=65534 --clear-groups varlinkctl info "$socket" 2>/dev/null && fail "anybody gets in"

# --- Socket activation
systemctl stop bpfbudgetd
[ ! -e $socket ] || fail "$socket is left"
mkdir -p /run/vmtest-config
systemd-run --quiet --unit=vmtest-activated --socket-property=ListenStream=/run/vmtest.socket \
    --socket-property=SocketMode=0660 bpfbudgetd --config /run/vmtest-config
equal "by the service manager's socket" "$(varlinkctl info -j /run/vmtest.socket | jq -r .product)" bpfbudgetd
systemctl stop vmtest-activated.socket vmtest-activated.service
