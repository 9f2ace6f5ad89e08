#!/bin/sh
# run.sh: from a fresh machine to a running program (`make run`).
#
#   tools/run.sh [DATA]
#
# Nothing that is there already is made again. A world of demo events is made only in a data folder
# that is empty; until it is whole it stays in DATA/.demo, so that an interrupt leaves no half world.
set -eu
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

data=${1:-data}
kol=build/release/src/kol
"$root/tools/build.sh" release src/kol
cd "$root"

mkdir -p "$data"
if [ -z "$(find "$data" -mindepth 1 -maxdepth 1 ! -name .demo -print -quit)" ]; then
    say "$data is empty: making a demo world (kol demo)"
    rm -rf "$data/.demo"
    "$kol" demo --data "$data/.demo"
    find "$data/.demo" -mindepth 1 -maxdepth 1 -exec mv -t "$data" {} +
    rmdir "$data/.demo"
fi

say "the event log in $data:"
"$kol" log topics --data "$data"
flag=
[ "$data" = data ] || flag=" --data $data"
cat <<END

Next:
  $kol log tail kol.profiles.raw$flag     the last events of a topic
  $kol import --list                      data sets that can be read
  $kol import PRESET FILE...$flag         your own files
  $kol help                               every command
  make test                               all tests
END
