#!/bin/sh
# build.sh: configures and builds one kind of build in build/KIND.
#
#   tools/build.sh KIND [NINJA TARGET...]    release, asan, tsan, cov, fuzz
#
# A build folder is configured once; after that ninja does only what has changed, and Meson
# configures again by itself. With CI=true warnings are errors.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

kind=${1:?usage: tools/build.sh KIND [NINJA TARGET...]}
shift
case $kind in
release) options="-Dbuildtype=release -Db_lto=true" ;;
asan) options="-Dbuildtype=debugoptimized -Db_lto=false -Db_sanitize=address,undefined" ;;
tsan) options="-Dbuildtype=debugoptimized -Db_lto=false -Db_sanitize=thread" ;;
cov) options="-Dbuildtype=debug -Db_lto=false -Db_coverage=true" ;;
fuzz)
    options="-Dbuildtype=debugoptimized -Db_lto=false -Db_lundef=false -Dfuzz=true"
    options="$options -Db_sanitize=address,undefined"
    CC=clang
    ;;
*) die "$kind is no kind of build: release, asan, tsan, cov, fuzz" ;;
esac
[ "${CI:-}" != true ] || options="$options -Dwerror=true"

"$root/tools/install.sh" build
"$root/tools/duckdb.sh"
folder=$root/build/$kind
# build.ninja is the last file that a configuration writes: without it there is nothing to keep.
if [ ! -f "$folder/build.ninja" ]; then
    rm -rf "$folder"
    # shellcheck disable=SC2086 # a list of words
    CC=${CC:-gcc} meson setup "$folder" "$root" $options >&2
fi
ninja -C "$folder" "$@" >&2
