#!/usr/bin/env python3
"""bench_ingest: the event log into bronze, beside DuckDB alone on the same events.

    bench_ingest.py [--kols N] [--days D] [--rounds N] [--no-peer]

Makes a world of events in a log, then takes turns: `kol ingest` of all of it, with its checks, statistics,
manifests and commits, and DuckDB that reads the same events from NDJSON files and writes them as Parquet
(zstd) by day, unchecked, uncommitted. Prints events a second of both and the peak of RssAnon + RssShmem
of the ingest, sampled from /proc. Fails below 200,000 events/s or above 1 GiB.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_import import KOL, ROOT, Memory

FLOOR_EVENTS = 200_000
MAX_MEMORY = 1 << 30


def kol(*args, **more):
    env = {name: value for name, value in os.environ.items() if not name.startswith("KOL_")}
    return subprocess.Popen([KOL, *map(str, args)], env=env, stderr=subprocess.PIPE, **more)


def run(*args, **more):
    process = kol(*args, **more)
    out, errors = process.communicate()
    if process.returncode != 0:
        sys.exit(f"kol {args[0]} failed: {errors.decode()}")
    return out


def make_world(folder, kols, days):
    """The log, and the events of each topic as a file. Gives topic -> how many."""
    data = folder / "data"
    rows = run(
        *("demo", "--kols", kols, "--days", days, "--data", data),
        *("--format", "json", "--progress", "off"),
        stdout=subprocess.PIPE,
    )
    counts = {}
    for row in map(json.loads, rows.splitlines()):
        counts[row["topic"]] = row["events"]
        with open(folder / f"{row['topic']}.jsonl", "wb") as out:
            run("log", "tail", row["topic"], "--from", "start", "--values", "--data", data, stdout=out)
    return counts


def run_ingest(folder, count):
    shutil.rmtree(folder / "data/lake", ignore_errors=True)
    begun = time.monotonic()
    process = kol(
        *("ingest", "--data", folder / "data", "--format", "json", "--progress", "off"),
        stdout=subprocess.PIPE,
    )
    memory = Memory(process.pid)
    out, errors = process.communicate()
    taken = time.monotonic() - begun
    peak = memory.stop()
    rows = [json.loads(line) for line in out.splitlines()]
    if process.returncode != 0 or sum(row["events"] for row in rows) != count:
        sys.exit(f"{count} events should have come in: {rows} {errors.decode()}")
    return taken, peak, sum(row["files"] for row in rows), sum(row["bytes"] for row in rows)


def run_peer(folder, topics):
    import duckdb

    begun = time.monotonic()
    connection = duckdb.connect(config={"threads": os.cpu_count()})
    connection.execute("SET TimeZone = 'UTC'; SET memory_limit = '4GB'")
    for topic in topics:
        connection.execute(
            f"COPY (SELECT *, CAST(event_time AS DATE) AS day FROM read_ndjson('{folder}/{topic}.jsonl'))"
            f" TO '{folder}/peer/{topic}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (day))"
        )
    connection.close()
    taken = time.monotonic() - begun
    shutil.rmtree(folder / "peer")
    return taken


def compare(folder, options):
    counts = make_world(folder, options.kols, options.days)
    count = sum(counts.values())
    own, peaks, peer = [], [], []
    for _ in range(options.rounds):
        taken, peak, files, size = run_ingest(folder, count)
        own.append(taken)
        peaks.append(peak)
        if options.peer:
            (folder / "peer").mkdir()
            peer.append(run_peer(folder, [topic for topic in counts if counts[topic]]))
    rate = count / statistics.median(own)
    print(f"{count} events of {options.days} days in {files} files, {size / 1e6:.0f} MB;", end=" ")
    print(f"median of {options.rounds}")
    print(f"{'':22}{'seconds':>9}{'events/s':>12}")
    print(f"{'kol ingest':22}{statistics.median(own):9.2f}{rate:12.0f}")
    if peer:
        print(f"{'DuckDB, NDJSON':22}{statistics.median(peer):9.2f}{count / statistics.median(peer):12.0f}")
        print(f"ratio {statistics.median(peer) / statistics.median(own):.2f}; ", end="")
    print(f"floor {FLOOR_EVENTS} events/s; ", end="")
    print(f"peak RssAnon + RssShmem {max(peaks) / 2**20:.0f} MiB (limit {MAX_MEMORY >> 20})")
    return rate >= FLOOR_EVENTS and max(peaks) <= MAX_MEMORY


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kols", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peer", dest="peer", action="store_false")
    options = parser.parse_args()
    os.makedirs(ROOT / "build", exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="bench-ingest-") as folder:
        good = compare(Path(folder), options)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
