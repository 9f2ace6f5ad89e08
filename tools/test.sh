#!/bin/sh
# test.sh: sets up what the tests need and runs them (`make test`, `make test-long`).
#
#   tools/test.sh quick|long
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

"$root/tools/install.sh" build test
"$root/tools/duckdb.sh"
"$root/tools/explorer.sh"
"$root/tools/venv.sh"
cd "$root"
exec .venv/bin/python tools/run_tests.py "${1:-quick}"
