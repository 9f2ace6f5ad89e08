#!/usr/bin/env python3
"""bench_import: NDJSON into the log, durable, beside `cat` + fsync of the same bytes into a file.

    bench_import.py [--megabytes N] [--rounds N] [--memory]

Makes one file of made-up events (about 500 bytes each), then takes turns: `cat FILE > COPY` with an
fsync of the copy, and `kol import events FILE` into an empty log. Prints bytes and events a second,
the ratio, and the peak of RssAnon + RssShmem of the import, sampled from /proc. Fails where the import
is below the floor: half of cat's speed or 250,000 events/s, whichever is less; or above 200 MiB.
--memory imports files from 100 MB to 4 GB, once each, and compares their peaks.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KOL = os.environ.get("KOL_BIN", str(ROOT / "build/release/src/kol"))
FLOOR_EVENTS = 250_000
FLOOR_RATIO = 0.5
MAX_MEMORY = 200 << 20


def event(rng, number):
    """One event as a crawler writes it: mostly videos, some profiles; about 500 bytes."""
    kol = f"kol_{rng.randrange(40_000):05d}"
    day = f"2025-05-{rng.randrange(1, 29):02d}T{rng.randrange(24):02d}:17:24Z"
    common = {"event_id": f"bench-{number:010d}", "event_time": day, "platform": "tiktok"}
    words = " ".join(rng.choices(("mùa", "hè", "review", "ăn", "đẹp", "xin chào", "🔥", "sale"), k=9))
    if number % 4 == 0:
        return common | {
            "event_type": "profile",
            "username": kol,
            "nickname": "Nguyễn Thị " + kol,
            "bio": "Liên hệ công việc: " + kol + "@example.com\n" + words,
            "avatar_url": f"https://p16-sign-va.example.com/tos-maliva/{kol}~c5_100x100.jpeg",
            "verified": False,
            "followers_count": rng.randrange(10**6),
            "following_count": rng.randrange(2000),
            "post_count": rng.randrange(900),
            "likes_raw": f"{rng.randrange(10, 99)}.{rng.randrange(9)}K",
            "lang": "vi",
        }
    views = rng.randrange(10**6)
    return common | {
        "event_type": "video",
        "username": kol,
        "video_id": str(7_490_000_000_000_000_000 + rng.randrange(10**8)),
        "video_url": f"https://www.tiktok.com/@{kol}/video/{7_490_000_000_000_000_000 + number}",
        "caption": words + " #fyp #xuhuong",
        "tags": ["fyp", "xuhuong", "vietnam"],
        "posted_at": "2025-05-01T08:00:00Z",
        "view_count": views,
        "like_count": views // 11,
        "comment_count": views // 300,
        "share_count": views // 900,
        "duration_seconds": rng.randrange(5, 300),
    }


def make_file(path, size):
    """Writes about `size` bytes of events and returns how many. A block of 20,000 lines is made once;
    the file repeats it with new ids, because a file of 4 GB should not take an hour to make."""
    rng = random.Random(7)
    block = [json.dumps(event(rng, i), ensure_ascii=False, separators=(",", ":")) for i in range(20_000)]
    count = 0
    with open(path, "wb") as out:
        while out.tell() < size:
            text = "\n".join(block).replace("bench-0", f"bench-{count // len(block):04d}") + "\n"
            out.write(text.encode())
            count += len(block)
    return count


class Memory(threading.Thread):
    """Samples what the process holds that is no cache: RssAnon + RssShmem."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status, self.peak, self.over = Path(f"/proc/{pid}/status"), 0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.02):
            try:
                lines = self.status.read_text().splitlines()
            except OSError:
                return
            held = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))]
            self.peak = max(self.peak, sum(held) * 1024)

    def stop(self):
        self.over.set()
        self.join()
        return self.peak


def run_cat(source, folder):
    copy = folder / "copy"
    begun = time.monotonic()
    with open(copy, "wb") as out:
        subprocess.run(["cat", source], stdout=out, check=True)
        os.fsync(out.fileno())
    taken = time.monotonic() - begun
    copy.unlink()
    return taken


def run_import(source, folder, count):
    data = folder / "data"
    command = [KOL, "import", "events", source, "--data", data, "--format", "json", "--progress", "off"]
    begun = time.monotonic()
    env = {name: value for name, value in os.environ.items() if not name.startswith("KOL_")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    memory = Memory(process.pid)
    out, errors = process.communicate()
    taken = time.monotonic() - begun
    peak = memory.stop()
    if process.returncode != 0:
        sys.exit(f"kol import failed: {errors}")
    row = json.loads(out)
    row = row[0] if isinstance(row, list) else row
    if (row["events"], row["dead"]) != (count, 0):
        sys.exit(f"{count} events went in, the report says {row}")
    shutil.rmtree(data)
    return taken, peak


def compare(folder, megabytes, rounds):
    source = folder / "events.jsonl"
    count = make_file(source, megabytes * 1_000_000)
    size = source.stat().st_size
    cats, imports, peaks = [], [], []
    run_cat(source, folder)  # the file is in the page cache for both
    for _ in range(rounds):
        cats.append(run_cat(source, folder))
        taken, peak = run_import(source, folder, count)
        imports.append(taken)
        peaks.append(peak)
    cat, own = statistics.median(cats), statistics.median(imports)
    ratio, rate = cat / own, count / own
    print(f"{count} events, {size / 1e6:.0f} MB, {size / count:.0f} bytes each; median of {rounds}")
    print(f"{'':22}{'seconds':>9}{'MB/s':>9}{'events/s':>12}")
    print(f"{'cat + fsync':22}{cat:9.2f}{size / 1e6 / cat:9.0f}{count / cat:12.0f}")
    print(f"{'kol import, durable':22}{own:9.2f}{size / 1e6 / own:9.0f}{rate:12.0f}")
    print(f"ratio {ratio:.2f} (floor {FLOOR_RATIO} or {FLOOR_EVENTS} events/s); ", end="")
    print(f"peak RssAnon + RssShmem {max(peaks) / 2**20:.1f} MiB (limit {MAX_MEMORY >> 20})")
    return (ratio >= FLOOR_RATIO or rate >= FLOOR_EVENTS) and max(peaks) <= MAX_MEMORY


def memory(folder):
    good = True
    for megabytes in (100, 1000, 4000):
        source = folder / "events.jsonl"
        count = make_file(source, megabytes * 1_000_000)
        taken, peak = run_import(source, folder, count)
        print(f"{megabytes:5} MB: {taken:6.1f} s, {count / taken:8.0f} events/s, peak {peak / 2**20:.1f} MiB")
        good = good and peak <= MAX_MEMORY
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--folder", help="where to work (default: a temporary folder in build/)")
    options = parser.parse_args()
    parent = options.folder or ROOT / "build"
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="bench-import-") as folder:
        good = memory(Path(folder)) if options.memory else compare(
            Path(folder), options.megabytes, options.rounds
        )
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
