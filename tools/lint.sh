#!/bin/sh
# lint.sh: what a compiler does not say about the sources.
#
#   tools/lint.sh quick   format and shell scripts; part of `make test`
#   tools/lint.sh full    the same and clang-tidy; a minute or two
#   tools/lint.sh fmt     formats instead of complaining
#
# clang-format comes from the pinned packages of the tests: each of its releases formats differently.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

what=${1:-full}
cd "$root"
tools/install.sh build shell
tools/venv.sh
sources() {
    find src tests bench -name '*.[ch]'
}
if [ "$what" = fmt ]; then
    sources | xargs .venv/bin/clang-format -i
    exit 0
fi

failed=0
sources | xargs -r .venv/bin/clang-format --dry-run -Werror || failed=1
shellcheck -x tools/*.sh tests/services/*.sh bench/run .ci/run || failed=1
if [ "$what" = full ]; then
    tools/install.sh lint
    tools/duckdb.sh
    tools/explorer.sh
    # Clang reads the flags of a build that was configured for it.
    [ -f build/lint/build.ninja ] || CC=clang meson setup build/lint -Db_lto=false >&2
    ninja -C build/lint src/version.h >&2
    say "clang-tidy"
    if ! run-clang-tidy -quiet -p build/lint "$root/(src|tests|bench)/.*" >build/lint/log 2>&1; then
        failed=1
        # It colours whatever it writes to, and repeats a header for every file that includes it.
        sed 's/\x1b\[[0-9;]*m//g' build/lint/log | grep -E ': (error|warning): ' | sort -u
    fi
fi
[ $failed = 0 ] || die "lint found something (above); make fmt mends the format"
say "lint found nothing"
