#!/bin/sh
# venv.sh: makes .venv, the Python that the system tests run in, from the pinned list of
# tests/requirements.txt. Debian's Python, so that it is the same on every machine of one release.
#
#   tools/venv.sh          .venv
#   tools/venv.sh bench    .deps/bench-venv, the peers of bench_gbdt.py, from bench/requirements.txt
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

python=/usr/bin/python3
[ -x "$python" ] || python=python3
case "${1:-tests}" in
tests) venv=$root/.venv pins=$root/tests/requirements.txt ;;
bench) venv=$deps/bench-venv pins=$root/bench/requirements.txt ;;
*) die "no such venv: $1" ;;
esac
stamp="$("$python" --version) $(sha256sum <"$pins")"

[ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
lock venv
[ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
say "making the venv of the ${1:-tests}"
rm -rf "$venv"
"$python" -m venv "$venv"
pip_install "$venv" --requirement "$pins"
echo "$stamp" >"$venv/stamp"
