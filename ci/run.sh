#!/bin/sh
# Runs perfsec in a job of GitHub or GitLab (the argument), writes every report, and annotates the
# lines of the cases that differ. Exit codes are those of `perfsec run`.
#
#     KERNEL      the kernel, as for `perfsec run --kernel`
#     POLICY BASELINE KNOWN SHARD    options of `perfsec run`; empty ones are left out
#     CELLS       the cells to run: globs, separated by blanks
#     RESULTS     the directory for the results
set -eu

case ${1-} in
    github) annotations=github file=annotations.txt ;;
    gitlab) annotations=code-quality file=code-quality.json ;;
    *)
        echo "usage: $0 github|gitlab" >&2
        exit 2
        ;;
esac
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
program=$(command -v perfsec)
mkdir -p "$RESULTS"
$sudo apt-get update --quiet=2
$sudo "$program" doctor --install --for run --for debian

# The shell must not expand the globs in CELLS.
set -f
set -- --kernel "$KERNEL" \
    --format jsonl --out "$RESULTS/run.jsonl" \
    --format junit --out "$RESULTS/junit.xml" \
    --format html --out "$RESULTS/report.html" \
    --format text --out "$RESULTS/report.txt" \
    --format "$annotations" --out "$RESULTS/$file"
[ -z "${POLICY-}" ] || set -- "$@" --policy "$POLICY"
[ -z "${BASELINE-}" ] || set -- "$@" --baseline "$BASELINE"
[ -z "${KNOWN-}" ] || set -- "$@" --known "$KNOWN"
[ -z "${SHARD-}" ] || set -- "$@" --shard "$SHARD"
code=0
# shellcheck disable=SC2086 # CELLS is a list
perfsec run "$@" ${CELLS-} || code=$?

if [ "$annotations" = github ] && [ -e "$RESULTS/$file" ]; then
    cat "$RESULTS/$file"
    if [ -n "${GITHUB_STEP_SUMMARY-}" ]; then
        { echo '```'; cat "$RESULTS/report.txt"; echo '```'; } >>"$GITHUB_STEP_SUMMARY"
    fi
fi
exit "$code"
