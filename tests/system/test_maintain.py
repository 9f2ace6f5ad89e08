"""`kol maintain`: fewer files, fewer snapshots, no orphans, and the same rows for everybody."""

import contextlib
import json
import os
import sqlite3
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engines import catalog_of, event, table_names
from support import wait_until

DAY = 24 * 3600


def produce(kol, first, number):
    lines = "".join(
        event(8 * n, "profile", username=f"user_{n}", followers_count=n) for n in range(first, first + number)
    )
    kol("log", "produce", "kol.profiles.raw", stdin=lines)


def small_files(kol, rounds=6, each=5):
    """A bronze table of one day in as many files and snapshots as rounds; the number of rows."""
    for turn in range(rounds):
        produce(kol, turn * each, each)
        kol("ingest")
    return rounds * each


def maintained(kol, *args, **more):
    """table -> its row of the report"""
    rows = kol("maintain", *args, "--format", "json", **more).json()
    return {row["table"]: row for row in rows}


def files_below(kol, table="bronze.profiles"):
    """All files of a table's folder, with their sizes and contents' first bytes."""
    folder = kol.data / "lake" / table.replace(".", "/")
    return {path.relative_to(folder): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def state(kol, table="bronze.profiles"):
    """(rows as sorted text, data files, snapshots) as PyIceberg sees them."""
    with catalog_of(kol.data) as catalog:
        loaded = catalog.load_table(table)
        rows = sorted(json.dumps(row, default=str) for row in loaded.scan().to_arrow().to_pylist())
        return rows, len(list(loaded.scan().plan_files())), len(loaded.snapshots())


def readable(kol):
    """Every table can be read whole by PyIceberg, every snapshot of it too."""
    with catalog_of(kol.data) as catalog:
        for name in table_names(catalog):
            table = catalog.load_table(name)
            for snapshot in table.snapshots():
                rows = table.scan(snapshot_id=snapshot.snapshot_id).to_arrow().num_rows
                assert rows == int(snapshot.summary["total-records"]), name


def test_small_files_become_one_with_the_same_rows(kol):
    small_files(kol)
    rows, files, snapshots = state(kol)
    assert files == snapshots == 6
    report = maintained(kol)
    assert report["bronze.profiles"]["compacted"] == 6 and report["bronze.profiles"]["into"] == 1
    assert state(kol) == (rows, 1, 7)
    readable(kol)
    again = maintained(kol)["bronze.profiles"]
    assert (again["compacted"], again["into"]) == (0, 0)
    assert state(kol) == (rows, 1, 7)
    produce(kol, 1000, 5)
    kol("ingest")
    assert len(state(kol)[0]) == len(rows) + 5


@pytest.mark.long
def test_a_target_beyond_what_others_write_is_reached_and_then_kept(kol):
    """Files of 150 MB are small where files of 400 MB are asked for, whoever wrote them. Those that
    come of it are not, so that the next call has nothing to do."""
    small_files(kol, rounds=1, each=1)
    with catalog_of(kol.data) as catalog:
        table = catalog.load_table("bronze.profiles")
        row = table.scan().to_arrow()
        noise = pa.array([os.urandom(1500).hex() for _ in range(100_000)])
        at = row.schema.get_field_index("bio")
        for _ in range(2):
            rows = pa.concat_tables([row] * len(noise)).combine_chunks()
            table.append(rows.set_column(at, row.schema.field(at), noise.cast(row.schema.field(at).type)))
        sizes = [task.file.file_size_in_bytes for task in table.scan().plan_files()]
    assert sum(size > 100 << 20 for size in sizes) == 2
    told = maintained(kol, "--target-bytes", "400MiB")["bronze.profiles"]
    assert (told["compacted"], told["into"]) == (3, 1)
    told = maintained(kol, "--target-bytes", "400MiB")["bronze.profiles"]
    assert (told["compacted"], told["into"]) == (0, 0)


def test_files_of_different_days_stay_apart(kol):
    for turn in range(3):
        lines = "".join(event(8 * n + n % 3, "profile", username=f"u{turn}_{n}") for n in range(9))
        kol("log", "produce", "kol.profiles.raw", stdin=lines)
        kol("ingest")
    rows, files, _ = state(kol)
    assert files == 9
    maintained(kol)
    after, files, _ = state(kol)
    assert after == rows and files == 3
    with catalog_of(kol.data) as catalog:
        for task in catalog.load_table("bronze.profiles").scan().plan_files():
            assert task.file.record_count == 9


def test_a_dry_run_says_what_would_be_done_and_does_nothing(kol):
    small_files(kol)
    orphan = kol.data / "lake/bronze/profiles/data/orphan.parquet"
    orphan.write_bytes(b"left by a dead process")
    os.utime(orphan, (0, 0))
    before = files_below(kol), state(kol), kol("tables", "--format", "json").out
    told = maintained(kol, "--dry-run", "--expire-after", "0s", "--keep", "1")["bronze.profiles"]
    assert told["compacted"] == 6
    assert told["snapshots"] == 5
    assert told["orphans"] == 1
    assert (files_below(kol), state(kol), kol("tables", "--format", "json").out) == before


def test_what_was_made_from_the_table_is_still_up_to_date(kol):
    """The rows are the same ones, so nothing is made anew behind a compaction, or behind manifests
    that were regrouped: those of videos, whose files are of different days."""
    small_files(kol)
    for turn in range(3):
        lines = event(8 * turn + turn, "video", video_id=f"v{turn}", view_count=turn)
        kol("log", "produce", "kol.videos.raw", stdin=lines)
        kol("ingest")
    kol("etl")
    told = maintained(kol)
    assert told["bronze.profiles"]["compacted"] == 6
    assert told["bronze.videos"]["manifests"] == 3
    made = {row["made"] for row in kol("etl", "--format", "json").json()}
    assert made == {"unchanged"}
    again = maintained(kol)
    assert [name for name, row in again.items() if row["manifests"] or row["compacted"]] == []


def pointer(db, to=None):
    """The version that bronze.profiles has in the catalog, which `to` replaces."""
    which = "WHERE table_namespace = 'bronze' AND table_name = 'profiles'"
    if to:
        db.execute(f"UPDATE iceberg_tables SET metadata_location = ? {which}", (to,))
    return db.execute(f"SELECT metadata_location FROM iceberg_tables {which}").fetchone()[0]


@pytest.mark.release_only
def test_rows_that_came_meanwhile_are_seen_behind_a_compaction(kol):
    """Between the look at the table and the commit of the compaction somebody appends: what was
    made before is not up to date, although the compaction changes no row. The append is there
    before; the catalog shows it once the compaction has written its file."""
    small_files(kol, rounds=3)
    kol("etl")
    folder = kol.data / "lake/bronze/profiles/data"
    with contextlib.closing(sqlite3.connect(kol.data / "lake/catalog.db", isolation_level=None)) as db:
        without = pointer(db)
        produce(kol, 300, 5)
        kol("ingest")
        with_it = pointer(db)
        pointer(db, to=without)
        files = len(list(folder.rglob("*.parquet")))
        db.execute("BEGIN IMMEDIATE")
        pointer(db, to=with_it)
        started = kol.start("maintain", "bronze.profiles")
        wait_until(lambda: len(list(folder.rglob("*.parquet"))) > files, "the compacted file")
        db.execute("COMMIT")
    assert started.wait().status == 0
    assert state(kol)[1] == 2  # the one of three, and the one that came
    made = {row["table"]: row["made"] for row in kol("etl", "--format", "json").json()}
    assert made["silver.kol_profiles"] != "unchanged"
    count = "SELECT count(*) AS n FROM silver.kol_profiles"
    assert kol("sql", count, "--format", "json").json() == [{"n": 20}]


def test_one_broken_table_does_not_keep_the_others_waiting(kol):
    small_files(kol)
    rows = pa.table({"n": [1, 2, 3]})
    with catalog_of(kol.data) as catalog:
        for name in ("bronze.aaa", "bronze.zzz"):
            catalog.create_table(name, rows.schema).append(rows)
        lost = catalog.load_table("bronze.aaa").current_snapshot().manifest_list
    os.unlink(lost.removeprefix("file://"))
    result = kol("maintain", "--expire-after", "0s", "--keep", "1", "--format", "json", status=None)
    report = {row["table"]: row for row in result.json()}
    assert result.status == 1 and "bronze.aaa" in result.errors
    assert "snap-" in report["bronze.aaa"]["problem"]
    assert report["bronze.profiles"]["compacted"] == 6 and report["bronze.profiles"]["problem"] is None
    assert "bronze.zzz" in report
    assert state(kol)[1] == 1


def test_files_with_other_rows_than_listed_are_not_compacted(kol):
    """A file that somebody exchanged: what was read from it must not take the place of the rest."""
    small_files(kol, rounds=3)
    folder = kol.data / "lake/bronze/profiles/data"
    first = sorted(folder.rglob("*.parquet"))[0]
    rows = pq.read_table(first)
    pq.write_table(pa.concat_tables([rows, rows]), first)
    before = {path for path in folder.rglob("*.parquet")}
    result = kol("maintain", "--format", "json", status=None)
    report = {row["table"]: row for row in result.json()}
    assert result.status == 1
    assert "15 rows" in report["bronze.profiles"]["problem"] and "20" in report["bronze.profiles"]["problem"]
    assert {path for path in folder.rglob("*.parquet")} == before


def test_files_in_the_making_are_not_taken_unless_nobody_writes(kol):
    small_files(kol, rounds=1)
    young = kol.data / "lake/bronze/profiles/data/in-the-making.parquet"
    staged = kol.data / "lake/.staging/in-the-making"
    for path in (young, staged):
        path.write_bytes(b"soon")
        os.utime(path, (time.time() - 600, time.time() - 600))
    refused = kol("maintain", "--orphan-age", "0s", status=None)
    assert refused.status == 2 and "--no-writers" in refused.errors
    maintained(kol, "--orphan-age", "0s", "--dry-run")
    maintained(kol, "--orphan-age", "1h")
    assert young.exists() and staged.exists()
    maintained(kol, "--orphan-age", "0s", "--no-writers")
    assert not young.exists() and not staged.exists()


def test_snapshots_expire_but_for_the_newest_and_those_of_the_last_run(kol):
    small_files(kol, rounds=3)
    kol("etl")
    with catalog_of(kol.data) as catalog:
        of_run = {
            name: catalog.load_table(name).current_snapshot().snapshot_id
            for name in ("bronze.profiles", "silver.kol_profiles")
        }
    small_files(kol, rounds=4, each=7)
    rows, _, snapshots = state(kol)
    assert snapshots == 7
    assert maintained(kol)["bronze.profiles"]["snapshots"] == 0  # younger than a week
    told = maintained(kol, "--expire-after", "0s", "--keep", "2")["bronze.profiles"]
    assert told["snapshots"] == 2  # the two before the run's
    with catalog_of(kol.data) as catalog:
        table = catalog.load_table("bronze.profiles")
        ids = [snapshot.snapshot_id for snapshot in table.snapshots()]
        assert ids[0] == of_run["bronze.profiles"]
        assert table.scan(snapshot_id=ids[0]).to_arrow().num_rows == 15
    assert state(kol)[0] == rows
    readable(kol)
    kol("sql", "SELECT count(*) FROM silver.kol_profiles", "--as-of", str(of_run["silver.kol_profiles"]))
    kol("etl")
    told = maintained(kol, "--expire-after", "0s", "--keep", "1")["bronze.profiles"]
    assert told["snapshots"] >= 1 and state(kol)[0] == rows
    readable(kol)


def test_a_reader_of_an_older_snapshot_goes_on(kol):
    """Files that a kept snapshot names stay, whatever became of them since."""
    expected = small_files(kol)
    with catalog_of(kol.data) as catalog:
        pinned = catalog.load_table("bronze.profiles")
        maintained(kol, "--orphan-age", "0s", "--no-writers")
        assert pinned.scan().to_arrow().num_rows == expected
        first = pinned.history()[0].snapshot_id
        assert pinned.scan(snapshot_id=first).to_arrow().num_rows == 5
    assert len(kol("sql", "SELECT event_id FROM bronze.profiles", "--as-of", str(first), "--format", "json").json()) == 5


def test_orphans_go_when_they_are_older_than_the_limit(kol):
    expected = small_files(kol, rounds=2)
    folder = kol.data / "lake/bronze/profiles"
    now = time.time()
    old = [folder / "data/old.parquet", folder / "metadata/old-m0.avro", folder / "metadata/old.json"]
    young = [folder / "data/young.parquet", folder / "metadata/young-m0.avro"]
    for path, age in [(path, 5 * DAY) for path in old] + [(path, DAY) for path in young]:
        path.write_bytes(b"nobody's")
        os.utime(path, (now - age, now - age))
    for path in folder.rglob("*.parquet"):
        if path not in old + young:
            os.utime(path, (now - 90 * DAY, now - 90 * DAY))  # old, but of the table
    told = maintained(kol)["bronze.profiles"]
    assert told["orphans"] == len(old)
    assert [path.exists() for path in old] == [False] * 3
    assert [path.exists() for path in young] == [True] * 2
    assert len(state(kol)[0]) == expected
    readable(kol)
    assert maintained(kol, "--orphan-age", "1h")["bronze.profiles"]["orphans"] == len(young)
    readable(kol)


def test_tables_of_others_are_not_rewritten_but_expire(kol):
    expected = small_files(kol, rounds=1)
    rows = pa.table({"n": [1, 2, 3]})
    with catalog_of(kol.data) as catalog:
        table = catalog.create_table("bronze.foreign", rows.schema)
        for _ in range(5):
            table.append(rows)
        files = {task.file.file_path for task in table.scan().plan_files()}
        told = maintained(kol, "--expire-after", "0s", "--keep", "1")["bronze.foreign"]
        assert told["compacted"] == 0 and told["snapshots"] >= 4
        table = catalog.load_table("bronze.foreign")
        assert {task.file.file_path for task in table.scan().plan_files()} == files
        assert table.scan().to_arrow().num_rows == 15
        assert len(table.snapshots()) == 1
        # Columns that kol did not declare would be lost by writing a table anew.
        with catalog.load_table("bronze.profiles").update_schema() as update:
            update.add_column("note", pa_string())
    produce(kol, 500, 5)
    kol("ingest")
    told = maintained(kol)["bronze.profiles"]
    assert told["compacted"] == 0 and "not declared" in told["problem"]
    assert len(state(kol)[0]) == expected + 5


def pa_string():
    from pyiceberg.types import StringType

    return StringType()


def test_only_the_named_table_is_touched(kol):
    small_files(kol)
    produce_videos(kol)
    report = maintained(kol, "bronze.videos")
    assert list(report) == ["bronze.videos"]
    assert state(kol)[1] == 6
    refused = kol("maintain", "bronze.profile", status=None)
    assert refused.status != 0 and "bronze.profiles" in refused.errors


def produce_videos(kol):
    kol("log", "produce", "kol.videos.raw", stdin=event(8, "video", video_id="v", view_count=1))
    kol("ingest")


def test_a_writer_beside_it_loses_nothing(kol):
    """Ingest follows the log while maintain runs again and again with the sharpest limits that are
    safe beside a writer; every event is there once."""
    small_files(kol, rounds=2)
    writer = kol.start("ingest", "--follow", "--commit-interval", "100ms")
    done = 10
    for turn in range(8):
        produce(kol, 100 + 10 * turn, 10)
        done += 10
        maintained(kol, "--expire-after", "0s", "--keep", "2")
    count = "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM bronze.profiles"
    expected = [{"n": done, "ids": done}]
    wait_until(
        lambda: kol("sql", count, "--format", "json").json() == expected or writer.process.poll() is not None,
        "every event in bronze",
        pause=0.2,
    )
    writer.signal(2)
    assert writer.wait().status in (0, 130)
    assert kol("sql", count, "--format", "json").json() == expected
    maintained(kol)
    assert kol("sql", count, "--format", "json").json() == expected
    readable(kol)


def next_offsets(kol):
    with catalog_of(kol.data) as catalog:
        return json.loads(catalog.load_table("bronze.profiles").properties["kol.next-offsets"])


def test_the_place_in_the_log_outlives_upkeep(kol):
    """No version that a writer of rows made is left, and the next run goes on where the last ended."""
    count = small_files(kol)
    places, rows = next_offsets(kol), state(kol)[0]
    for _ in range(2):  # the second has what the first compacted to expire
        told = maintained(kol, "--expire-after", "0s", "--keep", "1", "--orphan-age", "0s", "--no-writers")
        assert next_offsets(kol) == places
    assert state(kol) == (rows, 1, 1) and len(rows) == count
    assert told["bronze.profiles"]["orphans"] == 0
    kol("ingest")
    assert state(kol) == (rows, 1, 1) and next_offsets(kol) == places
    produce(kol, 500, 7)
    kol("ingest")
    counted = kol(
        "sql", "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM bronze.profiles", "--format", "json"
    )
    assert counted.json() == [{"n": count + 7, "ids": count + 7}]
    read = [sum(offsets.values()) for offsets in (*next_offsets(kol).values(), *places.values())]
    assert read == [count + 7, count]


@pytest.mark.parametrize("point", ["maintain.written", "maintain.compacted"])
def test_killed_on_the_way_nothing_is_lost(kol, kol_fail, point):
    small_files(kol)
    rows, _, _ = state(kol)
    killed = kol_fail("maintain", status=None, env={"KOL_TEST_FAILPOINT": point})
    assert killed.status == -9, killed
    assert state(kol)[0] == rows
    readable(kol)
    maintained(kol, "--orphan-age", "0s", "--no-writers")
    assert state(kol)[:2] == (rows, 1)
    readable(kol)
