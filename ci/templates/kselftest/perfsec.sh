#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Who may use perf on the kernel that this machine runs, and what is logged; as root.
#
#     PERFSEC    the program                                          [perfsec]
#     CELLS      the cells to run: globs, separated by spaces         [all]
#
# Exit code 4 is SKIP for kselftest, and for perfsec that this machine can run no cell.
perfsec=${PERFSEC:-perfsec}
if ! command -v "$perfsec" >/dev/null; then
    echo "# SKIP perfsec is not installed: set PERFSEC"
    exit 4
fi
# The shell must not expand the globs in CELLS.
set -f
# shellcheck disable=SC2086 # CELLS is a list
exec "$perfsec" run --machine here --format ktap ${CELLS-}
