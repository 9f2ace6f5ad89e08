"""The public data sets as a data folder with its online copy, made once for all tests of a run."""

import csv
import fcntl
import itertools
import shutil
from pathlib import Path

from support import Kol

csv.field_size_limit(1 << 24)

# preset: the files of it that make up the whole.
WHOLE = {
    "twitter-bots": ("twitter_human_bots.csv",),
    "youtube-trending": ("youtube_trending_videos.csv", "youtube_trending_timeseries.csv"),
    "tiktok-vn": ("tiktok_vn_video_snapshots.csv", "tiktok_vn_profiles.csv"),
    "tides": ("tides_tiktok_influencers_5000.csv",),
    "tiktok-discover": ("tiktok_discover_daily_users_2022.csv",),
}
# What `make test` has the time for: accounts with all fields and with followers alone (TikTok tells
# the others of few), and channels of which nothing but videos is known: the first of them.
PART = {
    "tides": ("tides_tiktok_influencers_5000.csv",),
    "tiktok-vn": ("tiktok_vn_profiles.csv",),
    "youtube-trending": ("youtube_trending_videos.csv",),
}
PART_RECORDS = 5000  # of each file at most


def first_records(path, count, folder):
    """A file with the first records of a CSV file, which may have line breaks in them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        open(path, newline="", encoding="utf-8-sig") as source,
        open(folder / path.name, "w", newline="", encoding="utf-8") as target,
    ):
        csv.writer(target).writerows(itertools.islice(csv.reader(source), count + 1))
    return folder / path.name


def make_real(kol, shared, presets, records=None):
    """Fills a data folder up to the online copy."""
    for preset, names in presets.items():
        files = [shared / name for name in names]
        if records:
            cut = Path(f"{kol.data}-files")
            files = [first_records(file, records, cut) for file in files]
        kol("import", preset, *files, timeout=600)
    kol("ingest", timeout=600)
    kol("etl", timeout=1800)


def shared_real(binary, base, shared, presets, name, records=None):
    """The folder of them that all workers of a run share; whoever comes first makes it."""
    folder, done = Path(base) / f"{name}-data", Path(base) / f"{name}-done"
    with open(Path(base) / f"{name}-lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make_real(Kol(binary, folder), shared, presets, records)
            done.touch()
    return folder
