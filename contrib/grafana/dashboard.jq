# SPDX-License-Identifier: LGPL-2.1-or-later
# The source of bpfbudget.json, a dashboard for Grafana: ./make. Each metric is named once, here.
def metrics: {
    bytes: "bpfbudget_cgroup_bytes",
    committed: "bpfbudget_cgroup_committed_bytes",
    objects: "bpfbudget_cgroup_objects",
    rss: "bpfbudget_cgroup_rss_bytes",
    usage: "bpfbudget_budget_usage_bytes",
    limit: "bpfbudget_budget_limit_bytes",
    state: "bpfbudget_budget_state",
    events: "bpfbudget_events_total",
    throttled: "bpfbudget_throttled_seconds_total",
    entries: "bpfbudget_map_entries",
    max_entries: "bpfbudget_map_max_entries",
    orphans: "bpfbudget_orphan_bytes",
    flushes: "bpfbudget_flushes_total",
    passes: "bpfbudget_full_passes_total",
    overflows: "bpfbudget_overflows_total",
    drift: "bpfbudget_drift_total",
    dropped: "bpfbudget_dropped_alerts_total",
    ready: "bpfbudget_ready",
    deny: "bpfbudget_deny_unavailable",
    cgroups: "bpfbudget_cgroups",
    rest: "bpfbudget_rest_cgroups",
    build: "bpfbudget_build_info"
};

# The samples of a metric on the hosts that are chosen, with further matchers.
def of($metric; $matchers): "\(metrics[$metric]){instance=~\"$instance\"\(if $matchers == "" then "" else "," + $matchers end)}";
def of($metric): of($metric; "");
# The same of the cgroups that are chosen.
def in_cgroup($metric; $matchers): of($metric; "cgroup=~\"$cgroup\"\(if $matchers == "" then "" else "," + $matchers end)");
def in_cgroup($metric): in_cgroup($metric; "");

# Who it is, to people.
def owner: "instance, cgroup, unit, namespace, pod, container";
def owner_name: "{{pod}} {{container}} {{cgroup}} ({{instance}})";

def datasource: {type: "prometheus", uid: "${datasource}"};
def query($expr; $legend): {datasource: datasource, expr: $expr, legendFormat: $legend, editorMode: "code", range: true};
def instant($expr; $legend): query($expr; $legend) + {instant: true, range: false};

def panel($type; $title; $help; $unit; $width; $height; $targets): {
    type: $type, title: $title, description: $help, datasource: datasource, width: $width, height: $height,
    fieldConfig: {defaults: {unit: $unit, min: 0}, overrides: []},
    targets: $targets
};
def series($title; $help; $unit; $targets): panel("timeseries"; $title; $help; $unit; 12; 9; $targets)
    | .options = {legend: {displayMode: "table", placement: "bottom", calcs: ["lastNotNull", "max"]}, tooltip: {mode: "multi", sort: "desc"}};
def stacked: .fieldConfig.defaults.custom = {fillOpacity: 30, stacking: {mode: "normal"}};
def stat($title; $help; $unit; $expr): panel("stat"; $title; $help; $unit; 4; 4; [instant($expr; "")]);
def bars($title; $help; $targets): panel("bargauge"; $title; $help; "percentunit"; 12; 9; $targets)
    | .options = {orientation: "horizontal", displayMode: "gradient", reduceOptions: {calcs: ["lastNotNull"]}}
    | .fieldConfig.defaults += {max: 1, thresholds: {mode: "absolute", steps: [
        {color: "green", value: null}, {color: "orange", value: 0.8}, {color: "red", value: 1}]}};

def panels: [
    stat("BPF memory"; "Kernel memory of all maps and programs."; "bytes"; "sum(\(of("bytes")))"),
    stat("Uncharged"; "What no memory cgroup is charged for: MemoryMax= does not bound it."; "bytes"; "sum(\(of("bytes"; "charged=\"false\"")))"),
    stat("Orphans"; "Of objects that have outlived the cgroup that was charged for them."; "bytes"; "sum(\(of("orphans")))"),
    stat("Over a limit"; "Cgroups over High or Max of their budget."; "none"; "sum(\(of("state"; "state=~\"high|max\"")))"),
    stat("Refused"; "Growths that were refused, of the time shown."; "none"; "sum(increase(\(of("events"; "event=\"denied\""))[$__range]))"),
    stat("Hosts ready"; "Daemons that have measured all BPF objects."; "none"; "sum(\(of("ready")))"),
    (series("BPF memory by workload"; "A cgroup's own maps and programs: the sum is right."; "bytes";
        [query("topk(15, sum by (\(owner)) (\(in_cgroup("bytes"))))"; owner_name)]) | stacked),
    (series("Footprint by workload"; "BPF memory, resident memory and swap."; "bytes";
        [query("topk(15, sum by (\(owner)) (\(in_cgroup("bytes"))) + sum by (\(owner)) (\(in_cgroup("rss"))))"; owner_name)])),
    (series("Uncharged by workload"; "Per-CPU elements that are allocated beforehand, JIT images, and the like."; "bytes";
        [query("topk(15, sum by (\(owner)) (\(in_cgroup("bytes"; "charged=\"false\""))))"; owner_name)]) | stacked),
    (series("BPF memory by kind"; "Maps, programs, JIT images."; "bytes";
        [query("sum by (kind, charged) (\(in_cgroup("bytes")))"; "{{kind}} charged={{charged}}"),
         query("sum(\(in_cgroup("committed")))"; "what it can grow to")])),
    bars("Budgets"; "Usage in parts of a limit, with the cgroups below.";
        [instant("topk(20, \(in_cgroup("usage")) / ignoring (limit) group_right () \(in_cgroup("limit")))"; "{{cgroup}} {{limit}} ({{instance}})")]),
    bars("Fill level of the largest maps"; "Entries in parts of what a map has room for, when it was measured last.";
        [instant("topk(20, \(in_cgroup("entries")) / (\(in_cgroup("max_entries")) > 0))"; "{{map}} {{cgroup}} ({{instance}})")]),
    series("Limits passed, refusals, throttles"; "Events of budgets a second."; "cps";
        [query("sum by (event) (rate(\(in_cgroup("events"))[$__rate_interval]))"; "{{event}}")]),
    series("Paused"; "The part of the time that a cgroup was paused."; "percentunit";
        [query("topk(15, rate(\(in_cgroup("throttled"))[$__rate_interval]))"; owner_name)]),
    series("Objects by workload"; "How many maps and programs."; "none";
        [query("topk(15, sum by (\(owner)) (\(in_cgroup("objects"))))"; owner_name)]),
    series("The daemon"; "Flushes cost what changed; passes read all objects; overflows are reports that were lost, drift what passes found to differ."; "cps";
        [query("sum(rate(\(of("flushes"))[$__rate_interval]))"; "flushes"),
         query("sum(rate(\(of("passes"))[$__rate_interval]))"; "full passes"),
         query("sum(rate(\(of("overflows"))[$__rate_interval]))"; "overflows"),
         query("sum(rate(\(of("drift"))[$__rate_interval]))"; "drift"),
         query("sum by (reason) (rate(\(of("dropped"))[$__rate_interval]))"; "alerts dropped: {{reason}}")]),
    (panel("table"; "Hosts"; "Version, cgroups, those without series of their own, and where OnMax=deny is not in force."; "none"; 24; 8;
        [instant(of("build"); "") + {format: "table", refId: "A"}, instant(of("cgroups"); "") + {format: "table", refId: "B"},
         instant(of("rest"); "") + {format: "table", refId: "C"}, instant(of("deny"); "") + {format: "table", refId: "D"}])
        | .transformations = [{id: "merge", options: {}}])
];

# Puts panels beside each other, 24 columns a row, and numbers them and their queries.
def laid_out:
    reduce .[] as $panel ({x: 0, y: 0, row: 0, list: []};
        (if .x + $panel.width > 24 then .x = 0 | .y += .row | .row = 0 else . end)
        | .list += [$panel + {
            id: ((.list | length) + 1),
            gridPos: {x: .x, y: .y, w: $panel.width, h: $panel.height},
            targets: [$panel.targets | to_entries[] | {refId: ("ABCDEFGH"[.key:.key + 1])} + .value]} | del(.width, .height)]
        | .x += $panel.width | .row = ([.row, $panel.height] | max))
    | .list;

def variable($name; $shown; $query): {
    name: $name, "label": $shown, type: "query", datasource: datasource, query: {query: $query, refId: $name},
    definition: $query, refresh: 2, multi: true, includeAll: true, allValue: ".*", current: {text: "All", value: "$__all"}, sort: 1
};

{
    title: "BPF memory", uid: "bpfbudget", tags: ["bpf", "memory"], schemaVersion: 38, version: 1, editable: true,
    refresh: "30s", time: {from: "now-1h", to: "now"}, timezone: "browser", graphTooltip: 1,
    templating: {list: [
        {name: "datasource", "label": "Data source", type: "datasource", query: "prometheus"},
        variable("instance"; "Host"; "label_values(\(metrics.ready), instance)"),
        variable("cgroup"; "Cgroup"; "label_values(\(metrics.bytes){instance=~\"$instance\"}, cgroup)")]},
    panels: (panels | laid_out)
}
