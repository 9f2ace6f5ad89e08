#!/bin/sh
# run.sh: from a fresh machine to a running program (`make run`).
#
#   tools/run.sh [DATA]      KOL_SERVE_PORT: another port than 8000
#
# Ends in the running API, until Ctrl-C, or for RUN_SECONDS seconds (tests). Nothing that is there
# already is made again. A world of demo events is made only in a data folder that is empty; where that
# was interrupted, the next run goes on with it.
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

# Both go on where they stopped, and do nothing where there is nothing new.
say "the lake: events into bronze (kol ingest), silver and gold out of bronze (kol etl)"
"$kol" ingest --data "$data" >/dev/null
"$kol" etl --data "$data" >/dev/null

say "the KOLs with most followers, out of gold:"
"$kol" sql --data "$data" "
    SELECT r.platform, r.rank, d.display_name, r.kol_id, CAST(r.value AS BIGINT) AS followers, d.tier
    FROM gold.kol_rankings AS r
    JOIN gold.dim_kol AS d ON d.platform = r.platform AND d.kol_id = r.kol_id AND d.is_current
    WHERE r.metric = 'followers' AND r.rank <= 5
      AND r.day = (SELECT max(day) FROM gold.kol_rankings AS newest
                   WHERE newest.platform = r.platform AND newest.metric = 'followers')
    ORDER BY r.platform, r.rank"
[ "$data" = data ] && flag= || flag=" --data $data"
url=http://127.0.0.1:${KOL_SERVE_PORT:-8000}
cat <<END

Next, in another terminal:
  $kol tables$flag
      shows what is in the lake
  $kol sql "SELECT * FROM gold.content_trending ORDER BY rank LIMIT 5"$flag
      asks it in SQL
  $kol import --list
      lists the data sets that can be read; import PRESET FILE...$flag reads one
  $kol help
      explains every command
  make test
      runs the tests

The first lines to try:
  curl $url/api/v1/kols/ly.sport
  curl '$url/api/v1/scores/compare?kol_ids=ly.sport,andrea.gym'
  curl $url/readyz
END
say "the API (kol serve); Ctrl-C ends it"
if [ -n "${RUN_SECONDS:-}" ]; then
    timeout -s TERM "$RUN_SECONDS" "$kol" serve --data "$data" || [ $? = 124 ]
else
    exec "$kol" serve --data "$data"
fi
