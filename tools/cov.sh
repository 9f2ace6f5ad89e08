#!/bin/sh
# cov.sh: which lines of src/ the tests reach (`make cov`).
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

cd "$root"
tools/install.sh build test cov
tools/venv.sh
tools/build.sh cov
find build/cov -name '*.gcda' -delete
status=0
meson test -C build/cov --no-rebuild --quiet || status=1
KOL_BIN=$root/build/cov/src/kol .venv/bin/pytest -q -n "$(nproc)" -m "not long and not release_only" || status=1
mkdir -p build/cov/report
gcovr --root . --filter src/ --object-directory build/cov --html-details build/cov/report/index.html \
    --txt build/cov/report/lines.txt --print-summary build/cov
say "a line for each file: build/cov/report/lines.txt; pages: build/cov/report/index.html"
[ $status = 0 ] || die "tests failed (above), so the figures are too low"
