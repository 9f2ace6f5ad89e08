#!/bin/sh
# explorer.sh: puts the explorer page of the API (Swagger UI) into .deps, to be built into the program.
#
# Two files of the npm package swagger-ui-dist and its licenses, pinned by version and sha256. The
# folder appears whole or not at all.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

package=swagger-ui-dist@$explorer_version
sum=1b8e891893404ea4c3558b6a87e2a3e494e7eedba41168c2ece5800a391a6ea6

# The stamp names what the folder was made from, so that a new pin replaces it.
[ "$(cat "$explorer_dir/stamp" 2>/dev/null)" != "$sum" ] || exit 0
lock explorer
[ "$(cat "$explorer_dir/stamp" 2>/dev/null)" != "$sum" ] || exit 0

work=$(mktemp -d "$deps/explorer.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

made=$work/made
mkdir -p "$made/files"
npm_package "$package" "$sum"
tar -xzf "$tarball" -C "$made" --no-same-owner --strip-components=1 \
    package/LICENSE package/NOTICE package/swagger-ui-bundle.js.LICENSE.txt
tar -xzf "$tarball" -C "$made/files" --no-same-owner --strip-components=1 \
    package/swagger-ui-bundle.js package/swagger-ui.css
echo "$sum" >"$made/stamp"
rm -rf "$explorer_dir"
mv "$made" "$explorer_dir"
say "Swagger UI $explorer_version is in ${explorer_dir#"$root"/}"
