"""Readers while tables change a thousand times, and a lake whose programs are killed at any moment."""

import random
import signal
import subprocess
import threading
import time
from collections import Counter

import pytest

from engines import catalog_of, table_names
from support import ROOT, environment


def commits_tool(kol_bin):
    tool = kol_bin.parents[1] / "tests/tools/lake_commits"
    if not tool.is_file():
        pytest.skip(f"{tool} is not built")
    return tool


def parts_of(catalog):
    """commit number -> its parts, as one load of the table shows them."""
    rows = catalog.load_table("test.commits").scan().to_arrow()
    parts = Counter(rows["number"].to_pylist())
    assert set(parts.values()) <= {2}, f"half a commit: {parts}"
    return parts


def look_at_replaced(catalog):
    if ("test", "commits") not in table_names(catalog):
        return 0
    parts = parts_of(catalog)
    assert len(parts) <= 1, f"two commits at once: {parts}"
    return 1


def look_at_appended(catalog):
    if ("test", "commits") not in table_names(catalog):
        return 0
    parts = parts_of(catalog)
    assert sorted(parts) == list(range(1, len(parts) + 1)), "a commit is missing"
    return 1


@pytest.mark.parametrize(
    "commits, how",
    [
        (60, "append"),
        (150, "replace"),
        pytest.param(1000, "append", marks=pytest.mark.long),
        pytest.param(1000, "replace", marks=pytest.mark.long),
    ],
)
def test_readers_never_see_a_mix(kol, kol_bin, commits, how):
    tool = commits_tool(kol_bin)
    kol("etl", "gold.dim_platform")  # makes the lake
    look = look_at_appended if how == "append" else look_at_replaced
    looks = 0
    with catalog_of(kol.data) as catalog, subprocess.Popen(
        [tool, kol.data, str(commits), how],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as writer:
        while writer.poll() is None:
            looks += look(catalog)
        assert writer.returncode == 0, writer.stderr.read().decode()
        assert looks >= 3, "the reader saw too little of it"
        assert parts_of(catalog)[commits] == 2
    shown = kol("sql", "SELECT count(*) AS n FROM test.commits", "--format", "json").json()
    assert shown == [{"n": 2 * commits if how == "append" else 2}]


# ---- killed at any moment ----

TOPICS = {
    "profiles": "kol.profiles.raw",
    "videos": "kol.videos.raw",
    "products": "kol.products.raw",
}
STEPS = [
    ("ingest",),
    ("etl",),
    ("maintain", "--expire-after", "0s", "--keep", "3"),
    ("etl", "--full"),
]


class Reader(threading.Thread):
    """Reads every table of the catalog, over and over; keeps what went wrong."""

    def __init__(self, data):
        super().__init__()
        self.data, self.stop, self.looks, self.failure = data, False, 0, None

    def run(self):
        try:
            with catalog_of(self.data) as catalog:
                while not self.stop:
                    self.look(catalog)
        except Exception as error:  # told by the test, in its own thread
            self.failure = error

    def look(self, catalog):
        for name in table_names(catalog):
            table = catalog.load_table(name)
            snapshot = table.current_snapshot()
            rows = table.scan().to_arrow().num_rows
            if snapshot:
                assert rows == int(snapshot.summary["total-records"]), name
        self.looks += 1


def make_round(kol, turn):
    """Some more events, so that every step has something to do."""
    for topic in TOPICS.values():
        lines = kol("log", "tail", topic, "--from", turn, "--limit", 40, "--values").out
        kol("log", "produce", topic, stdin=lines)


def events_in(kol, topic):
    rows = kol("log", "topics", "--format", "json").json()
    return next(row for row in rows if row["topic"] == topic)["records"]


def check_whole(kol):
    for table, topic in TOPICS.items():
        shown = kol(
            "sql",
            "SELECT count(*) AS n, count(DISTINCT CAST(log_partition AS VARCHAR) || '/' || "
            f"CAST(log_offset AS VARCHAR)) AS places FROM bronze.{table}",
            "--format",
            "json",
        ).json()[0]
        assert shown["n"] == shown["places"] == events_in(kol, topic), table
    kols = "SELECT count(*) AS n FROM silver.kol_profiles"
    known = "SELECT count(DISTINCT platform || coalesce(username, user_id)) AS n FROM bronze.profiles"
    assert kol("sql", kols).out == kol("sql", known).out


def live_through(kol, kills, longest):
    chooser = random.Random(kills)
    kol("demo", "--kols", 80, "--days", 4, "--seed", 3)
    kol("ingest")
    reader = Reader(kol.data)
    reader.start()
    try:
        for turn in range(kills):
            if turn % 4 == 0:
                make_round(kol, turn)
            running = kol.start(*STEPS[turn % len(STEPS)])
            time.sleep(chooser.uniform(0.02, longest))  # the moment is what this test is about
            running.kill()
    finally:
        reader.stop = True
        reader.join()
    assert reader.failure is None, f"a reader failed: {reader.failure!r}"
    assert reader.looks >= 1
    kol("ingest")
    kol("etl")
    kol("maintain")
    check_whole(kol)


@pytest.mark.release_only
def test_killed_again_and_again_the_lake_stays_whole(kol):
    live_through(kol, 8, 0.8)


@pytest.mark.long
@pytest.mark.release_only
def test_killed_a_hundred_times_the_lake_stays_whole(kol):
    live_through(kol, 100, 1.5)


COMMIT_POINTS = [
    "commit.manifest",
    "commit.list",
    "commit.metadata",
    "commit.swapped",
    "commit.hint",
    "commit.expire",
]


@pytest.mark.release_only
@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_maintain_killed_in_a_commit_leaves_whole_tables(kol, kol_fail, point):
    kol("demo", "--kols", 200, "--days", 3)
    kol("ingest", "--commit-bytes", "64KiB")
    count = "SELECT count(*) AS n FROM bronze.videos"
    before = kol("sql", count).out
    killed = kol_fail("maintain", env={"KOL_TEST_FAILPOINT": point}, status=None)
    assert killed.status == -signal.SIGKILL, killed
    assert kol("sql", count).out == before
    with catalog_of(kol.data) as catalog:
        for name in table_names(catalog):
            catalog.load_table(name).scan().to_arrow()
    kol("maintain")
    assert kol("sql", count).out == before
