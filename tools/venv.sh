#!/bin/sh
# venv.sh: makes .venv, the Python that the system tests run in, from the pinned list of
# tests/requirements.txt. Debian's Python, so that it is the same on every machine of one release.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

python=/usr/bin/python3
[ -x "$python" ] || python=python3
venv=$root/.venv
pins=$root/tests/requirements.txt
stamp="$("$python" --version) $(sha256sum <"$pins")"

[ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
lock venv
[ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
say "making .venv for the tests"
rm -rf "$venv"
"$python" -m venv "$venv"
pip_install "$venv" --requirement "$pins"
echo "$stamp" >"$venv/stamp"
