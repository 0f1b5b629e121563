#!/bin/sh
# A task for restraint, as CKI and Beaker run it: perfsec on the kernel that the host runs.
#
#     KERNEL     another kernel, as for `perfsec run --kernel`
#     ARCHIVE    the URL of a release; without it, perfsec must be installed
#
# Each result is reported with restraint's own program; without that program it is printed.
set -eu
cd "$(dirname "$0")"

release=$(uname -r)
if [ -z "${KERNEL-}" ]; then
    for image in "/lib/modules/$release/vmlinuz" "/boot/vmlinuz-$release"; do
        [ ! -e "$image" ] || KERNEL=$image
    done
    for config in "/lib/modules/$release/config" "/boot/config-$release"; do
        [ ! -e "$config" ] || CONFIG=$config
    done
    [ -z "${CONFIG-}" ] || export CONFIG
fi
if [ -n "${ARCHIVE-}" ]; then
    mkdir -p perfsec
    curl --fail --location --silent --show-error "$ARCHIVE" |
        tar --extract --gzip --directory perfsec --strip-components 1
    PERFSEC=$PWD/perfsec/perfsec
    export PERFSEC
fi
RESULTS=${RESULTS:-$PWD/perfsec-results}
export RESULTS

report() {
    if command -v rstrnt-report-result >/dev/null; then
        rstrnt-report-result --outputfile "$RESULTS/report.txt" "$1" "$2" "$3"
    else
        echo "$1: $2"
    fi
}

code=0
../gate.sh "${KERNEL:?no image of the running kernel: set KERNEL}" || code=$?
if command -v rstrnt-report-log >/dev/null; then
    for file in run.jsonl report.html junit.xml; do
        [ ! -e "$RESULTS/$file" ] || rstrnt-report-log --filename "$RESULTS/$file"
    done
fi
# Of the exit codes of `perfsec run`, only these two say something about the kernel.
case $code in
    0) report perfsec PASS 0 ;;
    1) report perfsec FAIL 1 ;;
    *) report perfsec WARN "$code" ;;
esac
exit "$code"
