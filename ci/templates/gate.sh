#!/bin/sh
# A gate for any CI: does this kernel still let the right people use perf, and log the right records?
#
#     gate.sh KERNEL [BASELINE]
#
# KERNEL is what `perfsec run --kernel` takes: a bzImage, a vmlinux, a .deb, `debian:6.12`. With
# BASELINE, the run record of the kernel that shipped before, only what got worse closes the gate.
#
#     PERFSEC    the program                              [perfsec]
#     RESULTS    the directory for the results            [perfsec-results]
#     KNOWN      a file of known differences
#     SHARD      which part to run, such as 1/4
#     CELLS      which cells, as globs separated by blanks [all]
#
# Exits as `perfsec run` does: 0 is open, 1 is closed, anything else could not be decided.
set -eu

if [ "$#" -lt 1 ] || [ "$#" -gt 2 ]; then
    echo "usage: $0 KERNEL [BASELINE]" >&2
    exit 2
fi
perfsec=${PERFSEC:-perfsec}
results=${RESULTS:-perfsec-results}
kernel=$1
baseline=${2-}

# Some runners start tests with an empty environment, and perfsec keeps its cache below HOME.
if [ -z "${HOME-}" ]; then
    HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
    export HOME
fi

mkdir -p "$results"
if [ "$(id -u)" = 0 ]; then
    "$perfsec" doctor --install --for run --for debian
fi

# No glob of CELLS is the shell's business.
set -f
set -- --kernel "$kernel" \
    --format jsonl --out "$results/run.jsonl" \
    --format junit --out "$results/junit.xml" \
    --format html --out "$results/report.html" \
    --format text --out "$results/report.txt"
[ -z "$baseline" ] || set -- "$@" --baseline "$baseline"
[ -z "${KNOWN-}" ] || set -- "$@" --known "$KNOWN"
[ -z "${SHARD-}" ] || set -- "$@" --shard "$SHARD"
# shellcheck disable=SC2086 # a list
exec "$perfsec" run "$@" ${CELLS-}
