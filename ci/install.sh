#!/bin/sh
# Installs perfsec from the archive of a release to ~/.local/bin, for the steps that follow.
#
#     ARCHIVE     the archive, as a path or a URL; if it is empty, that of VERSION in RELEASES
#     RELEASES    the URL of the releases
#     VERSION     the version, perhaps with a leading v
#
# Beside an archive from a URL, SHA256SUMS must have its hash.
set -eu

if [ -z "${ARCHIVE-}" ]; then
    number=${VERSION#v}
    case $number in
        [0-9]*) ;;
        *)
            echo "install.sh: no release is named $VERSION: use a version, or set \`archive\`" >&2
            exit 2
            ;;
    esac
    ARCHIVE=$RELEASES/v$number/perfsec-$number-x86_64-linux.tar.gz
fi
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
case $ARCHIVE in
    *://*)
        for url in "$ARCHIVE" "${ARCHIVE%/*}/SHA256SUMS"; do
            curl --fail --location --silent --show-error --output "$room/${url##*/}" "$url"
        done
        (cd "$room" && sha256sum --check --ignore-missing --quiet SHA256SUMS)
        archive=$room/${ARCHIVE##*/}
        ;;
    *) archive=$ARCHIVE ;;
esac
mkdir -p "$HOME/.local/bin"
tar --extract --gzip --file "$archive" --directory "$room"
cp "$room"/perfsec-*/perfsec "$HOME/.local/bin/"
[ -z "${GITHUB_PATH-}" ] || echo "$HOME/.local/bin" >>"$GITHUB_PATH"
"$HOME/.local/bin/perfsec" --version
