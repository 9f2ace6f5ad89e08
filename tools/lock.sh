#!/bin/sh
# lock.sh: writes requirements*.txt of tests/ and bench/ anew from the .in file of each: the newest
# versions that Python 3.11 (Debian 12) can use, each with the sha256 of its files, so that every
# machine gets the same ones.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet uv
for list in tests/requirements tests/requirements-long bench/requirements; do
    cd "$root/${list%/*}"
    list=${list##*/}
    "$work/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --upgrade --no-emit-index-url --no-emit-find-links --custom-compile-command tools/lock.sh \
        --output-file "$list.txt" "$list.in"
done
