#!/usr/bin/env python3
"""bench_score: `kol score` of a million KOLs beside DuckDB copying the same columns without a score.

    bench_score.py [--kols N] [--rounds N] [--folder DIR]

Puts a profile event for each made-up KOL, spread over 30 days, into bronze.profiles (with DuckDB and
PyIceberg, which is quicker than a log), promotes the reference model of 494 trees ($KOL_SHARED_DATA/../models) or, without
it, one of 500 trees trained on the spot, makes the tables once, and takes turns, best of several:

  kol      `kol score`, the whole command: reads silver, computes features and scores, compares each row
           with the one before, writes gold.kol_scores with its statistics, commits it and the ledger
  DuckDB   COPY of the columns of gold.kol_scores to one Parquet file (zstd), 2 threads

Fails where kol takes more than twice the time of the copy, or holds 1 GiB.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from bench_import import ROOT
from bench_scale import kol
from made_profiles import fill

sys.path.insert(0, str(ROOT / "tests/system"))

MOST_OF_DUCKDB = 2.0
MAX_MEMORY = 1 << 30

EVENTS = """
SELECT 'bench-' || i AS event_id, TIMESTAMPTZ '2025-05-21 00:00:00Z' + to_seconds(hash(i * 3) % 2592000) AS event_time,
    TIMESTAMPTZ '2025-06-21 00:00:00Z' AS ingest_time, 'kol.profiles.raw' AS log_topic,
    0 AS log_partition, i AS log_offset, 'profile' AS event_type,
    CASE WHEN i % 3 = 0 THEN 'tiktok' ELSE 'twitter' END AS platform, 'kol_' || hash(i) AS username,
    CAST(exp(hash(i * 7) % 1400 / 100.0) AS BIGINT) AS followers_count,
    CAST(exp(hash(i * 11) % 900 / 100.0) AS BIGINT) AS following_count,
    hash(i * 13) % 20000 AS post_count, hash(i * 17) % 50000 AS favorites_count,
    CASE WHEN i % 3 > 0 THEN hash(i * 19) % 4000 END AS account_age_days,
    hash(i * 23) % 160 AS bio_length, hash(i * 29) % 5 > 0 AS has_bio, hash(i * 31) % 3 = 0 AS has_url,
    hash(i * 37) % 9 > 0 AS has_profile_image, hash(i * 41) % 30 = 0 AS verified,
    hash(i * 43) % 2 = 0 AS default_profile, hash(i * 47) % 20 = 0 AS default_profile_image
FROM range({begin}, {end}) AS t (i)
"""


def promote(data, folder):
    """The model that scores."""
    model = Path(os.environ.get("KOL_SHARED_DATA", ROOT.parent / "shared/data")).parent / "models"
    path = model / "trust_lgbm_494_trees.txt"
    if not path.is_file():
        from model_cases import feature_names, train, trust_rows

        path = folder / "model.txt"
        rows, labels, _ = trust_rows(20_000)
        train(path, rows, labels, feature_names("trust"), trees=500, num_leaves=124)
    kol("models", "import", "trust", path, "--data", data)
    kol("models", "promote", "trust", "1", "--force", "--data", data)
    return path.name


def cpu(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def copy(files, out):
    """(seconds, CPU seconds) of the peer."""
    begun, before = time.monotonic(), cpu(resource.RUSAGE_SELF)
    with duckdb.connect(config={"threads": 2}) as db:
        db.execute(f"COPY (SELECT * FROM read_parquet({files!r})) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")
    return time.monotonic() - begun, cpu(resource.RUSAGE_SELF) - before


def score_files(data):
    from engines import catalog_of

    with catalog_of(data) as catalog:
        scan = catalog.load_table("gold.kol_scores").scan()
        return [task.file.file_path.removeprefix("file://") for task in scan.plan_files()]


def compare(folder, options):
    data = folder / "data"
    fill(data, options.kols, EVENTS)
    model = promote(data, folder)
    first, peak = kol("etl", "gold.kol_scores", "--data", data)
    print(f"{options.kols} KOLs, {model}; bronze to gold.kol_scores at first {first:.1f} s, {peak >> 20} MiB")
    return measure(data, folder / "copy.parquet", options)


def measure(data, out, options):
    own, peer, peaks = [], [], []
    for _ in range(options.rounds):
        peer.append(copy(score_files(data), out))
        before = cpu(resource.RUSAGE_CHILDREN)
        taken, peak = kol("score", "--data", data)
        own.append((taken, cpu(resource.RUSAGE_CHILDREN) - before))
        peaks.append(peak)
    print(f"{'':28}{'seconds':>9}{'CPU s':>9}{'peak MiB':>10}")
    for name, times in (("kol score", own), ("DuckDB, copy", peer)):
        memory = f"{max(peaks) >> 20:10}" if times is own else ""
        print(f"{name:28}{min(times)[0]:9.2f}{min(spent for _, spent in times):9.2f}{memory}")
    ratio = min(own)[0] / min(peer)[0]
    print(f"ratio {ratio:.2f} (limit {MOST_OF_DUCKDB}); ", end="")
    print(f"{min(own)[0] / options.kols * 1e6:.2f} us a KOL, memory limit {MAX_MEMORY >> 20} MiB")
    return ratio <= MOST_OF_DUCKDB and max(peaks) <= MAX_MEMORY


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kols", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", help="where to work (default: build/)")
    options = parser.parse_args()
    parent = Path(options.folder or ROOT / "build")
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="bench-score-") as folder:
        good = compare(Path(folder), options)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
