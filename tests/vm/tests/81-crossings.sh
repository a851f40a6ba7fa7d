#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
# machines: ^trixie-6.12$
# Each growth over High is told, and each fall below the clear mark, at whatever moment it comes: a wake-up that is lost is an
# alert that never comes. How long it took is printed and not judged.
. /usr/lib/bpfbudget/vm/tests/lib.bash
need_product
# Without journald's socket the daemon writes its alerts to stderr, where the program reads them.
in_unit vm-crossings -p Delegate=yes -p RuntimeMaxSec=$((110 * VM_TIME_FACTOR)) -p InaccessiblePaths=/run/systemd/journal/socket \
    /usr/lib/bpfbudget/tests/latency "$(command -v bpfbudgetd)" 200
