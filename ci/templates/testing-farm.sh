#!/bin/sh
# Asks Testing Farm to run perfsec's plan `/perfsec/plan/farm` on one of its guests.
#
#     testing-farm.sh KERNEL ARCHIVE [OPTION]...
#
# KERNEL is as for `perfsec run --kernel`, a file on the guest or a kernel from Debian; ARCHIVE is
# the URL of a release. Options are for `testing-farm request`, which takes the token from
# TESTING_FARM_API_TOKEN.
#
#     REPOSITORY    the URL of the git repository with these files
#     REF           its branch or commit           [main]
#     COMPOSE       the distribution of the guest  [Fedora-latest]
set -eu

if [ "$#" -lt 2 ]; then
    echo "usage: $0 KERNEL ARCHIVE [OPTION]..." >&2
    exit 2
fi
kernel=$1
archive=$2
shift 2
exec testing-farm request \
    --git-url "${REPOSITORY:?the URL of the git repository with these files}" \
    --git-ref "${REF:-main}" --path ci/templates --plan '^/perfsec/plan/farm$' \
    --compose "${COMPOSE:-Fedora-latest}" --arch x86_64 --timeout 90 \
    --environment "KERNEL=$kernel" --environment "ARCHIVE=$archive" "$@"
