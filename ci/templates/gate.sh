#!/bin/sh
# A gate for any CI: may the right users still use perf on this kernel, and does it log the right
# records?
#
#     gate.sh KERNEL [BASELINE]
#
# KERNEL is as for `perfsec run --kernel`: a bzImage, a vmlinux, a .deb, `debian:6.12`; or `here`,
# the kernel that this machine runs, as root. With BASELINE, the run record of the last kernel that
# shipped, only regressions fail.
#
#     PERFSEC    the program                              [perfsec]
#     RESULTS    the directory for the results            [perfsec-results]
#     CONFIG     the kernel's .config, if KERNEL is an image that does not contain it
#     KNOWN      a file of known differences
#     SHARD      the part of the suite to run, such as 1/4
#     CELLS      the cells to run: globs, separated by spaces [all]
#
# Exit codes are those of `perfsec run`: 0 passed, 1 failed, others mean no decision.
set -eu

if [ "$#" -lt 1 ] || [ "$#" -gt 2 ]; then
    echo "usage: $0 KERNEL [BASELINE]" >&2
    exit 2
fi
perfsec=${PERFSEC:-perfsec}
results=${RESULTS:-perfsec-results}
kernel=$1
baseline=${2-}

# Some runners start tests with an empty environment, but perfsec's cache is below HOME.
if [ -z "${HOME-}" ]; then
    HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
    export HOME
fi

mkdir -p "$results"
if [ "$(id -u)" = 0 ]; then
    case $kernel in
        here) ;;
        debian:*) "$perfsec" doctor --install --for run --for debian ;;
        *) "$perfsec" doctor --install --for run ;;
    esac
fi

# The shell must not expand the globs in CELLS.
set -f
case $kernel in
    here) set -- --machine here ;;
    *) set -- --kernel "$kernel" ;;
esac
set -- "$@" \
    --format jsonl --out "$results/run.jsonl" \
    --format junit --out "$results/junit.xml" \
    --format html --out "$results/report.html" \
    --format text --out "$results/report.txt"
[ -z "$baseline" ] || set -- "$@" --baseline "$baseline"
[ -z "${CONFIG-}" ] || set -- "$@" --kernel-config "$CONFIG"
[ -z "${KNOWN-}" ] || set -- "$@" --known "$KNOWN"
[ -z "${SHARD-}" ] || set -- "$@" --shard "$SHARD"
# shellcheck disable=SC2086 # CELLS is a list
exec "$perfsec" run "$@" ${CELLS-}
