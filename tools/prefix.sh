#!/bin/sh
# prefix.sh: installs the program under a prefix (`make install`).
#
#   tools/prefix.sh [PREFIX [DESTDIR]]
#
# The installed tree finds its library and presets from where the program lies, so that it can be
# moved as a whole.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

prefix=${1:-/usr/local}
case $prefix in
/*) ;;
*) die "PREFIX must be an absolute path, not $prefix" ;;
esac
folder=$root/build/release
"$root/tools/build.sh" release package
if [ "$(cat "$folder/kol-prefix" 2>/dev/null)" != "$prefix" ]; then
    meson configure "$folder" -Dprefix="$prefix"
    ninja -C "$folder" package >&2
    echo "$prefix" >"$folder/kol-prefix"
fi
DESTDIR=${2:-} meson install -C "$folder" --no-rebuild --quiet
say "installed ${2:-}$prefix/bin/kol"
