#!/usr/bin/env python3
"""bench_etl: bronze to gold, beside PySpark and beside DuckDB alone on the same SELECTs and files.

    bench_etl.py [--rounds N] [--spark-rounds N] [--world KOLS DAYS]

Imports all public data sets ($KOL_SHARED_DATA) or, with --world, a demo world; ingests them; then takes
turns, best of several:

  kol      `kol etl --full --no-online`, the whole command
  DuckDB   the same SELECTs with the same prelude in one process of 2 threads, each by COPY to Parquet
           (zstd), over the same bronze files: no checks, no types of ours, no statistics, no commits
  PySpark  local[2], each SELECT written as Parquet, over the same bronze files. Its SQL differs: see
           SPARK_WORDS. A SELECT that it cannot run is left out on all sides, and said.

Of a table whose features or scores C adds, the SELECT gives the inputs: the other sides write those, with
typed nulls for what kol computes on top of them. bench_score.py measures that part.

Fails where kol takes more than 1.2 times DuckDB, or less than 20 times faster than PySpark with its
start (skipped where PySpark cannot be had).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_import import KOL, ROOT

sys.path.insert(0, str(ROOT / "tests/system"))

MOST_OF_DUCKDB = 1.2
LEAST_OF_SPARK = 20

DATA_SETS = {
    "twitter-bots": ("twitter_human_bots.csv",),
    "youtube-trending": ("youtube_trending_videos.csv", "youtube_trending_timeseries.csv"),
    "tiktok-vn": ("tiktok_vn_video_snapshots.csv", "tiktok_vn_profiles.csv"),
    "tides": ("tides_tiktok_influencers_5000.csv",),
    "tiktok-discover": ("tiktok_discover_daily_users_2022.csv",),
}

# Trino's words as Spark says them. Its greatest() and least() pass over nulls, which costs the same;
# the rest means the same.
SPARK_WORDS = [
    (r"--[^\n]*", ""),
    (r"\bROW\(", "struct("),
    (r"\bVARCHAR\b", "STRING"),
    (r"\bdate_diff\('(\w+)',", r"timestampdiff(\1,"),
    (r"\bdate_add\('(\w+)',", r"timestampadd(\1,"),
    (r"CROSS JOIN UNNEST\((sequence\([^)]*\))\) AS (\w+) \((\w+)\)", r"CROSS JOIN (SELECT explode(\1) AS \3) AS \2"),
    (r"\bday_of_week\((\w+)\)", r"(weekday(\1) + 1)"),
    (r"\bday_of_month\(", "dayofmonth("),
    (r"\bday_of_year\(", "dayofyear("),
    (r"\byear_of_week\((\w+)\)", r"extract(YEAROFWEEK FROM \1)"),
    (r"\bweek\(", "weekofyear("),
    (r"\b(bronze|silver|gold)\.(\w+)", r"\1_\2"),
]

DUCKDB = """
import json, os, sys, time
job = json.load(open(sys.argv[1]))
import duckdb
begun, cpu = time.monotonic(), time.process_time()
db = duckdb.connect(config={"threads": 2})
db.execute("SET TimeZone = 'UTC'")
db.execute(job["prelude"])
for schema in ("bronze", "silver", "gold"):
    db.execute(f"CREATE SCHEMA {schema}")
for name, files in job["inputs"].items():
    db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files!r})")
for name, sql in job["selects"]:
    file = f"{job['out']}/{name}.parquet"
    if name in job["scored"]:
        given = [column[0] for column in db.execute(f"SELECT * FROM ({sql}) LIMIT 0").description]
        columns = [
            f"CAST({column if column in given else 'NULL'} AS {kind}) AS {column}"
            for column, kind, _ in job["scored"][name]
        ]
        sql = f"SELECT {', '.join(columns)} FROM ({sql})"
    db.execute(f"COPY ({sql}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
    db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{file}')")
print(json.dumps({"seconds": time.monotonic() - begun, "cpu": time.process_time() - cpu}))
"""

SPARK = """
import json, sys, time
job = json.load(open(sys.argv[1]))
from pyspark.sql import SparkSession
spark = (
    SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    .config("spark.driver.memory", "4g").config("spark.sql.shuffle.partitions", "2")
    .config("spark.sql.session.timeZone", "UTC").config("spark.sql.parquet.compression.codec", "zstd")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
begun, broken, rows = time.monotonic(), [], {}
for name, files in job["inputs"].items():
    spark.read.parquet(*files).createOrReplaceTempView(name.replace(".", "_"))
for name, sql in job["selects"]:
    folder = f"{job['out']}/{name}"
    try:
        if name in job["scored"]:
            given = spark.sql(sql).columns
            columns = [
                f"CAST({column if column in given else 'NULL'} AS {kind}) AS {column}"
                for column, _, kind in job["scored"][name]
            ]
            sql = f"SELECT {', '.join(columns)} FROM ({sql})"
        spark.sql(sql).write.mode("overwrite").parquet(folder)
        spark.read.parquet(folder).createOrReplaceTempView(name.replace(".", "_"))
    except Exception as error:
        broken.append([name, str(error)[:300]])
seconds = time.monotonic() - begun
for name, _ in job["selects"]:
    if name not in dict(broken):
        rows[name] = spark.table(name.replace(".", "_")).count()
print("ANSWER", json.dumps({"seconds": seconds, "broken": broken, "rows": rows}))
"""


def run(*args, **more):
    """A kol command to its end: (seconds, CPU seconds, stdout)."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("KOL_")}
    command = [KOL, *map(str, args), "--progress", "off"]
    with tempfile.TemporaryFile() as out:
        begun = time.monotonic()
        process = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.PIPE, **more)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        taken = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"kol {args[0]} failed: {errors.decode()}")
        out.seek(0)
        return taken, usage.ru_utime + usage.ru_stime, out.read()


def prepare(data, world):
    """Fills bronze and makes every table once. Gives the events that went in."""
    if world:
        run("demo", "--kols", world[0], "--days", world[1], "--data", data)
    else:
        shared = Path(os.environ.get("KOL_SHARED_DATA", ROOT.parent / "shared/data"))
        if not shared.is_dir():
            sys.exit(f"no data sets in {shared}: set KOL_SHARED_DATA, or use --world")
        for preset, files in DATA_SETS.items():
            run("import", preset, *(shared / name for name in files), "--data", data)
    run("ingest", "--data", data)
    run("etl", "--no-online", "--data", data)


def input_files(data, folder, made):
    """table -> its Parquet files, for all but those in `made`: bronze.
    A file without rows stands for a table that has none."""
    import pyarrow.parquet as pq

    from engines import catalog_of, table_names

    files = {}
    with catalog_of(data) as catalog:
        for identifier in table_names(catalog):
            table, name = catalog.load_table(identifier), ".".join(identifier)
            if name in made or identifier[0] == "lake":
                continue
            files[name] = [
                task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()
            ]
            if not files[name]:
                files[name] = [str(folder / f"{name}.parquet")]
                pq.write_table(table.schema().as_arrow().empty_table(), files[name][0])
    return files


def in_order():
    """(table, SELECT) so that each comes behind those that it reads."""
    texts = {f"{p.parent.name}.{p.stem}": p.read_text() for p in (ROOT / "sql").glob("*/*.sql")}
    bare = {name: re.sub(r"--[^\n]*", "", text) for name, text in texts.items()}
    needs = {
        name: {other for other in texts if re.search(rf"\b{re.escape(other)}\b", text)} - {name}
        for name, text in bare.items()
    }
    done = []
    while len(done) < len(texts):
        ready = sorted(name for name in texts if name not in done and needs[name] <= set(done))
        done += ready
    return [(name, bare[name]) for name in done], needs


def to_spark(sql):
    for pattern, words in SPARK_WORDS:
        sql = re.sub(pattern, words, sql)
    return sql


def without(selects, needs, broken):
    """The SELECTs that can run where those in `broken` cannot."""
    gone = set(broken)
    while more := {name for name, _ in selects if needs[name] & gone} - gone:
        gone |= more
    return [select for select in selects if select[0] not in gone], gone


class Spark:
    def __init__(self, folder):
        self.script = ROOT / "tests/services/spark.sh"
        self.file = folder / "spark.py"
        self.file.write_text(SPARK)
        installed = subprocess.run([self.script, "install"], capture_output=True, text=True, check=False)
        self.missing = installed.stderr.strip() if installed.returncode else ""

    def run(self, job):
        """(seconds with its start, its answer)"""
        begun = time.monotonic()
        out = subprocess.run(
            [self.script, "run", self.file, job], capture_output=True, text=True, check=False
        )
        taken = time.monotonic() - begun
        lines = [line for line in out.stdout.splitlines() if line.startswith("ANSWER ")]
        if not lines:
            sys.exit(f"PySpark failed: {out.stderr[-3000:]}")
        return taken, json.loads(lines[0][7:])


def scored_tables(data):
    """table -> [(column, type in DuckDB, type in Spark)] of the tables that the score step adds to."""
    from engines import catalog_of

    words = {
        "long": ("BIGINT", "BIGINT"), "int": ("INTEGER", "INT"), "double": ("DOUBLE", "DOUBLE"),
        "boolean": ("BOOLEAN", "BOOLEAN"), "string": ("VARCHAR", "STRING"),
        "timestamptz": ("TIMESTAMPTZ", "TIMESTAMP"), "list<string>": ("VARCHAR[]", "ARRAY<STRING>"),
    }  # fmt: skip
    names = re.findall(
        r"^TABLE\((\w+), (\w+), SCORE\b", (ROOT / "src/lake/tables.def").read_text(), re.M
    )
    with catalog_of(data) as catalog:
        return {
            f"{space}.{name}": [
                (field.name, *words[str(field.field_type)])
                for field in catalog.load_table((space, name)).schema().fields
            ]
            for space, name in names
        }


def write_job(path, folder, inputs, selects, scored):
    folder.mkdir(exist_ok=True)
    job = {"inputs": inputs, "selects": selects, "scored": scored, "out": str(folder)}
    job["prelude"] = (ROOT / "sql/prelude.sql").read_text()
    path.write_text(json.dumps(job))
    return path


def compare(folder, options):
    data = folder / "data"
    prepare(data, options.world)
    selects, needs = in_order()
    inputs, scored = input_files(data, folder, needs), scored_tables(data)
    spark, left_out = Spark(folder), set()
    spark_times = []
    if spark.missing:
        print(f"without PySpark: {spark.missing}")
        options.spark_rounds = 0
    for turn in range(options.spark_rounds):
        job = [(name, to_spark(sql)) for name, sql in selects if name not in left_out]
        job = write_job(folder / "spark.json", folder / "spark", inputs, job, scored)
        taken, answer = spark.run(job)
        broken = {name: why for name, why in answer["broken"]}
        if turn == 0 and broken:
            _, left_out = without(selects, needs, broken)
            for name in sorted(left_out):
                print(f"left out on all sides: {name}: {broken.get(name, 'reads one that is left out')}")
        spark_times.append((taken, taken - answer["seconds"], answer["seconds"]))
    kept = [select for select in selects if select[0] not in left_out]
    (folder / "bare.py").write_text(DUCKDB)
    job = write_job(folder / "duckdb.json", folder / "duckdb", inputs, kept, scored)
    own, peer = [], []
    names = [name for name, _ in kept] if left_out else []
    for _ in range(options.rounds):
        out = subprocess.run(
            [sys.executable, folder / "bare.py", job], capture_output=True, text=True, check=False
        )
        if out.returncode:
            sys.exit(f"DuckDB failed: {out.stderr}")
        answer = json.loads(out.stdout)
        peer.append((answer["seconds"], answer["cpu"]))
        own.append(run("etl", "--full", "--no-online", *names, "--data", data)[:2])
    return report(options, inputs, kept, own, peer, spark_times)


def report(options, inputs, kept, own, peer, spark_times):
    (mine, my_cpu), (theirs, their_cpu) = min(own), min(peer)
    what = f"demo world {options.world}" if options.world else "all public data"
    print(f"{what}: {len(kept)} SELECTs, {sum(map(len, inputs.values()))} files read; best of {len(own)}")
    print(f"{'':28}{'seconds':>9}{'CPU s':>9}")
    print(f"{'kol etl --full':28}{mine:9.2f}{my_cpu:9.2f}")
    print(f"{'DuckDB, bare SELECTs':28}{theirs:9.2f}{their_cpu:9.2f}")
    print(f"ratio {mine / theirs:.2f} of DuckDB's time (limit {MOST_OF_DUCKDB}), CPU {my_cpu / their_cpu:.2f}")
    good = mine <= MOST_OF_DUCKDB * theirs
    if spark_times:
        whole, start, bare = min(spark_times)
        print(f"{'PySpark local[2]':28}{whole:9.2f}  of which start and end {start:.2f}")
        print(
            f"{whole / mine:.1f} times faster than PySpark (floor {LEAST_OF_SPARK}), "
            f"{bare / mine:.1f} without its start"
        )
        good = good and whole >= LEAST_OF_SPARK * mine
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spark-rounds", type=int, default=2)
    parser.add_argument("--world", nargs=2, metavar=("KOLS", "DAYS"))
    options = parser.parse_args()
    os.makedirs(ROOT / "build", exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="bench-etl-") as folder:
        good = compare(Path(folder), options)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
