#!/bin/sh
# build.sh: configures and builds one kind of build in build/KIND.
#
#   tools/build.sh KIND [NINJA TARGET...]    release, asan, tsan, cov, fail, fuzz
#
# A build folder is configured once, and again where its options changed; after that ninja does only
# what has changed. With CI=true warnings are errors.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

kind=${1:?usage: tools/build.sh KIND [NINJA TARGET...]}
shift
compiler=${CC:-gcc}
case $kind in
release) options="-Dbuildtype=release -Db_lto=true" ;;
asan) options="-Dbuildtype=debugoptimized -Db_lto=false -Db_sanitize=address,undefined" ;;
tsan) options="-Dbuildtype=debugoptimized -Db_lto=false -Db_sanitize=thread" ;;
cov) options="-Dbuildtype=debug -Db_lto=false -Db_coverage=true" ;;
# The points at which a test can kill the program (src/base/failpoint.h) are in no other build.
fail) options="-Dbuildtype=release -Db_lto=false -Dfailpoints=true" ;;
fuzz)
    options="-Dbuildtype=debugoptimized -Db_lto=false -Db_lundef=false -Dfuzz=true"
    options="$options -Db_sanitize=address,undefined"
    compiler=clang
    "$root/tools/install.sh" fuzz
    ;;
*) die "$kind is no kind of build: release, asan, tsan, cov, fail, fuzz" ;;
esac
if [ "${CI:-}" = true ]; then
    options="$options -Dwerror=true"
else
    options="$options -Dwerror=false"
fi

"$root/tools/install.sh" build
"$root/tools/duckdb.sh"
"$root/tools/explorer.sh"
folder=$root/build/$kind
# build.ninja is the last file that a configuration writes: without it there is nothing to keep.
if [ ! -f "$folder/build.ninja" ]; then
    rm -rf "$folder"
    # shellcheck disable=SC2086 # a list of words
    CC=$compiler meson setup "$folder" "$root" $options >&2
    echo "$options" >"$folder/kol-options"
elif [ "$(cat "$folder/kol-options" 2>/dev/null)" != "$options" ]; then
    # shellcheck disable=SC2086 # a list of words
    meson configure "$folder" $options >&2
    echo "$options" >"$folder/kol-options"
fi
ninja -C "$folder" "$@" >&2
