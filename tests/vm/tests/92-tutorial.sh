#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 200
# machines: ^trixie-6.12$
# doc/tutorial.md, as installed: each ```sh block is run, and prints what the ```text block behind it shows. Numbers and spaces
# may differ; a line "..." stands for any number of lines. Blocks that show something only read, and are run until it is there.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product

work=/run/vmtest-tutorial
trap 'systemctl stop agent || true; rm -rf $work /sys/fs/bpf/demo-agent /etc/bpfbudget /usr/local/bin/demo-agent' EXIT
mkdir -p $work
journalctl --quiet --update-catalog

# One file a block: 01.sh, and 01.text if it shows something.
zcat -f /usr/share/doc/bpfbudgetd/tutorial.md* | awk -v work=$work '
    /^```$/ && file { file = ""; next }
    /^```sh$/ { file = sprintf("%s/%02d.sh", work, ++n); next }
    /^```text$/ { file = sprintf("%s/%02d.text", work, n); next }
    file { print >file }'
blocks=$(find $work -name '*.sh' | wc -l) shown=$(find $work -name '*.text' | wc -l)
[ "$blocks" -ge 10 ] && [ "$shown" -ge 9 ] || fail "$blocks blocks, $shown of them with output, were found"

# Sizes, times, ids and counts become N; how wide a column is does not matter.
normal() { sed -E 's/[0-9]+([.:][0-9]+)*[KMGTB]?/N/g; s/(N|-)( N)*/N/g; s/[[:space:]]+/ /g; s/^ //; s/ $//' | grep -v '^$' || true; }
# shows BLOCK: whether it prints what it should, in order
shows() {
    local line rest
    timeout 30 bash -o pipefail $work/"$1".sh >$work/"$1".out 2>&1 </dev/null || return
    rest=$(normal <$work/"$1".out)
    exact=yes
    while read -r line; do
        if [ "$line" = ... ]; then
            exact=no
            continue
        fi
        while [ -n "$rest" ] && [ "${rest%%$'\n'*}" != "$line" ]; do
            [ $exact = no ] || return 1
            [[ $rest == *$'\n'* ]] && rest=${rest#*$'\n'} || rest=
        done
        [ -n "$rest" ] || return 1
        [[ $rest == *$'\n'* ]] && rest=${rest#*$'\n'} || rest=
        exact=yes
    done < <(normal <$work/"$1".text)
    [ $exact = no ] || [ -z "$rest" ]
}
for file in "$work"/*.sh; do
    block=$(basename "$file" .sh)
    echo "--- block $block: $(head -n 1 "$file")"
    if [ -e $work/"$block".text ]; then
        wait_for 40 shows "$block" || fail "block $block, $(cat "$file"): it prints
$(cat $work/"$block".out)
and should print
$(cat $work/"$block".text)"
    else
        timeout 60 bash -e -o pipefail "$file" >$work/"$block".out 2>&1 </dev/null || fail "block $block: $(cat $work/"$block".out)"
    fi
    cat $work/"$block".out
done
[ ! -e /sys/fs/bpf/demo-agent ] || fail "pins are left"
