#!/bin/sh
# duckdb.sh: puts the DuckDB library and its C header into .deps, which Debian has no package for.
#
# The library comes from the npm package of its Node.js bindings, which holds libduckdb.so as it is;
# the header from the last npm package with DuckDB's sources, an older minor version of the same
# stable C API. Both are pinned by version and sha256. The folder appears whole or not at all.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

header_package=duckdb@1.4.4
header_sum=5bb967dcbcd517670ba5f169f238fb9d6787e53752c60ebe24386169d76941ed
case $(uname -m) in
x86_64)
    library_package=@duckdb/node-bindings-linux-x64@$duckdb_version-r.5
    library_sum=86d2bda909785550e8a14a57a8a4584827aff0e268d8f1a58c3fd48559f7020e
    ;;
aarch64)
    library_package=@duckdb/node-bindings-linux-arm64@$duckdb_version-r.5
    library_sum=3b85f3ea438f7dc3691d7b5e6e4222ffe9127fd17885f96ca72e0c99925c348e
    ;;
*) die "DuckDB has no library for $(uname -m): x86_64 and aarch64 only" ;;
esac

# The stamp names what the folder was made from, so that a new pin replaces it.
stamp=$library_sum-$header_sum
[ "$(cat "$duckdb_dir/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
lock duckdb
[ "$(cat "$duckdb_dir/stamp" 2>/dev/null)" != "$stamp" ] || exit 0

work=$(mktemp -d "$deps/duckdb.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

made=$work/made
mkdir -p "$made/lib" "$made/include"
npm_package "$library_package" "$library_sum"
tar -xzf "$tarball" -C "$made/lib" --no-same-owner --strip-components=1 \
    package/libduckdb.so package/LICENSE
npm_package "$header_package" "$header_sum"
tar -xzf "$tarball" -C "$made/include" --no-same-owner --strip-components=5 \
    package/src/duckdb/src/include/duckdb.h
echo "$stamp" >"$made/stamp"
rm -rf "$duckdb_dir"
mv "$made" "$duckdb_dir"
say "DuckDB $duckdb_version is in ${duckdb_dir#"$root"/}"
