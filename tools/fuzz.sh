#!/bin/sh
# fuzz.sh: runs fuzz targets under libFuzzer with ASan and UBSan (`make fuzz`).
#
#   tools/fuzz.sh [NAME...]     all targets unless named; FUZZ_SECONDS each (60)
#
# It starts from tests/fuzz/corpus/NAME and leaves what it finds in build/fuzz-corpus/NAME; an input
# that breaks the program goes to build/fuzz-crashes with the command that plays it again.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

seconds=${FUZZ_SECONDS:-60}
cd "$root"
tools/build.sh fuzz
programs=build/fuzz/tests/fuzz
if [ $# = 0 ]; then
    # shellcheck disable=SC2046 # names without spaces
    set -- $(find $programs -maxdepth 1 -type f -name 'fuzz_*' -perm -u+x -printf '%f\n' |
        sed 's/^fuzz_//' | sort)
fi
[ $# -gt 0 ] || die "no fuzz target in $programs"

export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
crashes=build/fuzz-crashes
mkdir -p $crashes
failed=0
for name; do
    new=build/fuzz-corpus/$name
    mkdir -p "$new"
    say "fuzzing $name for $seconds s"
    if "$programs/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$crashes/$name-" "$new" "tests/fuzz/corpus/$name" \
        >"build/fuzz-$name.log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: */  inputs tried: /p' "build/fuzz-$name.log"
        echo "  inputs kept: $(find "$new" -type f | wc -l)"
    else
        failed=1
        tail -n 40 "build/fuzz-$name.log"
        input=$(sed -n 's/^.*Test unit written to //p' "build/fuzz-$name.log" | tail -n 1)
        say "fuzz_$name failed; the whole log is build/fuzz-$name.log. To play it again:"
        echo "  $programs/fuzz_$name $input"
    fi
done
exit $failed
