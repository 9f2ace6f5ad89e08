"""The public data sets as a data folder with its online copy, made once for all tests of a run."""

import fcntl
import shutil
from pathlib import Path

from support import Kol

# preset: the files of it that make up the whole, and how many KOLs there are then.
WHOLE = {
    "twitter-bots": ("twitter_human_bots.csv",),
    "youtube-trending": ("youtube_trending_videos.csv", "youtube_trending_timeseries.csv"),
    "tiktok-vn": ("tiktok_vn_video_snapshots.csv", "tiktok_vn_profiles.csv"),
    "tides": ("tides_tiktok_influencers_5000.csv",),
    "tiktok-discover": ("tiktok_discover_daily_users_2022.csv",),
}
# What `make test` has the time for: accounts with all fields and with followers alone (TikTok tells
# the others of few), and channels of which nothing but videos is known.
PART = {
    "tides": ("tides_tiktok_influencers_5000.csv",),
    "tiktok-vn": ("tiktok_vn_profiles.csv",),
    "youtube-trending": ("youtube_trending_videos.csv",),
}


def make_real(kol, shared, presets):
    """Fills a data folder up to the online copy."""
    for preset, names in presets.items():
        kol("import", preset, *(shared / name for name in names), timeout=600)
    kol("ingest", timeout=600)
    kol("etl", timeout=1800)


def shared_real(binary, base, shared, presets, name):
    """The folder of them that all workers of a run share; whoever comes first makes it."""
    folder, done = Path(base) / f"{name}-data", Path(base) / f"{name}-done"
    with open(Path(base) / f"{name}-lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make_real(Kol(binary, folder), shared, presets)
            done.touch()
    return folder
