#!/bin/sh
# docs.sh: writes the generated pages of docs/ from the tables of the program (`make docs`).
#
# A page that is generated says so in its first line; a test compares them with the program.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

"$root/tools/build.sh" release src/kol
cd "$root"
for page in api cache-keys commands config events lake metrics errors presets scores; do
    build/release/src/kol docs "$page" >"docs/$page.md.new"
    mv "docs/$page.md.new" "docs/$page.md"
done
