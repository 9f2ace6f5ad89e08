#!/usr/bin/env python3
"""bench_scale: 1 million and 10 million profile events through the whole way, seconds and memory.

    bench_scale.py [--events N...] [--folder DIR]

For each size a demo world whose profile events are made into NDJSON first, then one run of each step on
an empty data folder: import, ingest, etl, online copy. Prints seconds, CPU seconds and the peak of
RssAnon + RssShmem (sampled from /proc) of each. Fails where a step holds more than 3 GiB, or where the
larger run takes more than 1.3 times the CPU seconds an event of the smaller one, over all steps together:
the seconds of runs of many minutes say most of what else the machine did.
Needs about 15 GB of disk for the default sizes.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_import import KOL, ROOT, Memory

MAX_MEMORY = 3 << 30
MAX_SLOPE = 1.3
# What the SQL engine may take of it: as much as its limit leaves. With less, two million accounts are
# made in more parts, each of which reads all of bronze.
LAKE_MEMORY = "2300MiB"
DISK_PER_EVENT = 1200  # bytes, at the peak: NDJSON, log, bronze, the rest
DAYS = 30
EVENTS_PER_KOL = 5  # profile events of the demo in so many days; a little more in truth


def kol(*args, stdout=subprocess.DEVNULL):
    """A command to its end: (seconds, peak bytes)."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("KOL_")}
    begun = time.monotonic()
    process = subprocess.Popen(
        [KOL, *map(str, args), "--progress", "off"], env=env, stdout=stdout, stderr=subprocess.PIPE
    )
    memory = Memory(process.pid)
    _, errors = process.communicate()
    taken = time.monotonic() - begun
    peak = memory.stop()
    if process.returncode != 0:
        sys.exit(f"kol {args[0]} failed: {errors.decode()}")
    return taken, peak


def timed(*args):
    """A command to its end: (seconds, CPU seconds, peak bytes)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken, peak = kol(*args)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def profile_events(folder, wanted):
    """A file of about so many profile events of a demo world; gives its path and their number."""
    world = folder / "world"
    kols = -(-wanted // EVENTS_PER_KOL)
    with open(folder / "demo.json", "wb") as out:
        kol("demo", "--kols", kols, "--days", DAYS, "--data", world, "--format", "json", stdout=out)
    made = (folder / "demo.json").read_text().splitlines()
    counts = {row["topic"]: row["events"] for row in map(json.loads, made)}
    path = folder / "profiles.jsonl"
    limit = min(wanted, counts["kol.profiles.raw"])
    with open(path, "wb") as out:
        kol(
            *("log", "tail", "kol.profiles.raw", "--from", "start", "--values"),
            *("--limit", limit, "--data", world),
            stdout=out,
        )
    shutil.rmtree(world)
    return path, limit


def run(folder, wanted):
    """[(step, seconds, CPU seconds, peak)] and how many events there were."""
    source, count = profile_events(folder, wanted)
    data = folder / "data"
    steps = [
        ("import", ("import", "events", source)),
        ("ingest", ("ingest",)),
        ("etl", ("etl", "--no-online", "--lake-memory", LAKE_MEMORY)),
        ("online copy", ("online", "build")),
    ]
    rows = [(step, *timed(*args, "--data", data)) for step, args in steps]
    size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    shutil.rmtree(data)
    source.unlink()
    return rows, count, size


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--folder", help="where to work (default: build/)")
    options = parser.parse_args()
    parent = Path(options.folder or ROOT / "build")
    os.makedirs(parent, exist_ok=True)
    needed = max(options.events) * DISK_PER_EVENT
    if shutil.disk_usage(parent).free < needed * 1.2:
        sys.exit(f"{parent}: {needed / 1e9:.0f} GB of free space are needed; name another --folder")
    good, costs = True, []
    print(f"{'events':>12} {'step':14}{'seconds':>9}{'CPU s':>9}{'events/s':>12}{'peak MiB':>10}", flush=True)
    for wanted in options.events:
        with tempfile.TemporaryDirectory(dir=parent, prefix="bench-scale-") as folder:
            rows, count, size = run(Path(folder), wanted)
        for step, taken, spent, peak in rows:
            print(f"{count:12} {step:14}{taken:9.1f}{spent:9.1f}{count / taken:12.0f}{peak / 2**20:10.0f}", flush=True)
            good = good and peak <= MAX_MEMORY
        whole, spent = (sum(row[column] for row in rows) for column in (1, 2))
        costs.append((whole / count, spent / count))
        print(f"{count:12} {'all steps':14}{whole:9.1f}{spent:9.1f}{count / whole:12.0f}   {size / 1e6:.0f} MB of data")
    wall, slope = (last / first for first, last in zip(costs[0], costs[-1]))
    print(f"CPU seconds an event, largest to smallest run: {slope:.2f} (limit {MAX_SLOPE}); ", end="")
    print(f"seconds {wall:.2f}; ", end="")
    print(f"memory limit {MAX_MEMORY >> 20} MiB")
    sys.exit(0 if good and slope <= MAX_SLOPE else 1)


if __name__ == "__main__":
    main()
