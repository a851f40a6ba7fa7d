#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes ./configure of configure.ac.
set -e
cd "$(dirname "$0")"
for tool in autoconf automake pkg-config; do
        if ! command -v $tool >/dev/null; then
                echo "autogen.sh: $tool is missing: install the package $tool" >&2
                exit 1
        fi
done
exec autoreconf --force --install --warnings=all,no-portability
