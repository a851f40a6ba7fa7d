# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # $work is the test's
# For tests in bash: TAP, and what is compared. $work is a directory; what stands in $work/why is why something failed.
count=0 failed=0

# result WHAT STATUS: 0 is passed; what stands in $work/why is told otherwise
result() {
        count=$((count + 1))
        if [ "$2" = 0 ]; then
                echo "ok $count - $1"
        else
                failed=$((failed + 1))
                echo "not ok $count - $1"
                head -n 60 "$work/why" | sed 's/^/# /'
        fi
        : >"$work/why"
}

# The plan, and the exit status.
end_tests() { echo "1..$count" && [ $failed = 0 ]; }
bail() { echo "Bail out! $*"; exit 1; }
why() { printf '%s\n' "$*" >>"$work/why"; false; }
has() { grep -qE -- "$2" <<<"$1" || why "no line matches '$2' in:" "$1"; }
equal() { [ "$2" = "$3" ] || why "$1 is '$2', should be '$3'"; }
# fails PATTERN COMMAND...: and says so on stderr
fails() {
        local pattern=$1
        shift
        ! "$@" >"$work/out" 2>"$work/err" || why "it succeeds: $*" "$(cat "$work/out")" || return
        has "$(cat "$work/err")" "$pattern"
}
# wait_for SECONDS COMMAND...: until it succeeds; the reasons of the last failure are kept
wait_for() {
        local end=$((SECONDS + $1))
        shift
        until : >"$work/why"; "$@"; do
                [ $SECONDS -lt $end ] || return 1
                sleep 0.1
        done
}

# Where the memory controller is mounted; nothing: nowhere.
memory_mount() {
        awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; found = 1; exit }
             $3 == "cgroup2" { v2 = $2 }
             END { if (!found && v2 && (getline line < (v2 "/cgroup.controllers")) > 0 && line ~ /memory/) print v2 }' /proc/mounts
}

# remove_cgroup DIRECTORY: and all below it, as soon as nothing is in them any more
remove_cgroup() {
        for _ in $(seq 100); do
                find "$1" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null
                rmdir "$1" 2>/dev/null && break
                sleep 0.1
        done
}
