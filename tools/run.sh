#!/bin/sh
# run.sh: from a fresh machine to a running program (`make run`).
#
#   tools/run.sh [DATA]
#
# Nothing that is there already is made again. A world of demo events is made only in a data folder
# that is empty; where that was interrupted, the next run goes on with it.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

data=${1:-data}
kol=build/release/src/kol
"$root/tools/build.sh" release package
cd "$root"

mkdir -p "$data"
unfinished=$data/.demo-unfinished
if [ -z "$(ls -A "$data")" ] || [ -e "$unfinished" ]; then
    say "making a demo world in $data (kol demo)"
    touch "$unfinished"
    "$kol" demo --data "$data"
    rm "$unfinished"
fi

say "the event log in $data:"
"$kol" log topics --data "$data"
[ "$data" = data ] && flag= || flag=" --data $data"
cat <<END

Next:
  $kol log tail kol.profiles.raw$flag
      shows the last events of a topic
  $kol import --list
      lists the data sets that can be read; import PRESET FILE...$flag reads one
  $kol help
      explains every command
  make test
      runs the tests
END
