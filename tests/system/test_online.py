"""`kol online`: the copy that the API reads holds what the lake says, whole, whatever happens."""

import json
import os
import random
import signal
import subprocess
import sys

import duckdb
import pytest

from support import Kol, environment, wait_until

SMALL = ("--kols", "200", "--days", "2", "--seed", "11")

# column of a record -> how it is called in its table, where that differs
RENAMED = {
    "engagement_updated_at": "updated_at",
    "trending_rank": "rank",
    "trending_as_of": "as_of",
}


def make_lake(kol):
    kol("demo", *SMALL)
    kol("ingest")
    kol("etl", "--no-online")


@pytest.fixture(scope="module")
def lake(kol_bin, tmp_path_factory):
    """The program on a lake that is made once; each test builds a copy of its own."""
    runner = Kol(kol_bin, tmp_path_factory.mktemp("online") / "data")
    make_lake(runner)
    yield runner
    runner.close()


def build(kol, *args):
    return kol("online", "build", *args, "--format", "json").json()[0]


def info(kol):
    """(number, table -> snapshot) of the current copy"""
    rows = kol("online", "info", "--format", "json").json()
    return rows[0]["number"], {row["table"]: row["snapshot"] for row in rows}


def select(kol, sql):
    return kol("sql", sql, "--format", "json").json()


def by_key(rows, key):
    return {(row["platform"], row[key]): row for row in rows}


def records(kol, keys, *more):
    """The records of (platform, id) keys, all of them in a few runs."""
    out = []
    for at in range(0, len(keys), 500):
        ids = [f"{platform}:{name}" for platform, name in keys[at : at + 500]]
        out += kol("online", "get", *more, "--format", "json", *ids).json()
    return out


def assert_equal_to_lake(kol, got, key, tables):
    """Every column of every record is what the first of the tables that has it says."""
    rows = {name: by_key(select(kol, sql), key) for name, sql in tables.items()}
    assert got
    seen = set()
    for record in got:
        where = (record["platform"], record[key])
        sources = {name: table.get(where) for name, table in rows.items()}
        for column, value in record.items():
            names = [
                name
                for name, table in rows.items()
                if any(column_in_table(name, column) in row for row in list(table.values())[:1])
            ]
            values = [
                sources[name][column_in_table(name, column)] for name in names if sources[name]
            ]
            expected = next((found for found in values if found is not None), None)
            assert value == expected, (where, column, names)
            if expected is not None:
                seen.add(column)
    return seen


def column_in_table(table, column):
    """How a record's column is called in that table; one that is not there for what is not."""
    first = table in ("silver.kol_profiles", "silver.kol_content")
    if table == "gold.kol_scores":
        return column  # its trending_as_of is its own
    if column in RENAMED:
        return None if first else RENAMED[column]
    if column in RENAMED.values() and not first:
        return None
    return column


def test_every_record_equals_the_lake_column_by_column(lake):
    report = build(lake, "--force")
    keys = [
        (row["platform"], row["kol_id"])
        for row in select(lake, "SELECT platform, kol_id FROM gold.dim_kol WHERE is_current")
    ]
    assert report["built"] and report["kols"] == len(keys) >= 200
    got = records(lake, keys)
    assert len(got) == len(keys)
    seen = assert_equal_to_lake(
        lake,
        got,
        "kol_id",
        {
            "silver.kol_profiles": "SELECT * FROM silver.kol_profiles",
            "gold.dim_kol": "SELECT platform, kol_id, kol_key, username, display_name, tier, "
            "verified, category FROM gold.dim_kol WHERE is_current",
            "silver.kol_engagement_metrics": "SELECT * FROM silver.kol_engagement_metrics",
            "gold.kol_scores": "SELECT * FROM gold.kol_scores",
            "gold.kol_standing": "SELECT * FROM gold.kol_standing",
        },
    )
    assert {"tier", "followers_count", "avg_views", "bio", "engagement_updated_at"} <= seen
    assert {"trending_score", "sample_size", "state"} <= seen
    columns = set(got[0])
    declared = {row["column_name"] for row in describe(lake, "silver.kol_profiles")}
    assert declared <= columns, "every column of the table is in the record"


def describe(kol, table):
    schema = json.loads((current(kol) / "meta.json").read_text())
    assert table in schema["snapshots"]
    row = select(kol, f"SELECT * FROM {table} LIMIT 1")[0]
    return [{"column_name": name} for name in row]


def test_every_content_equals_the_lake_column_by_column(lake):
    report = build(lake, "--force")
    keys = [
        (row["platform"], row["content_id"])
        for row in select(lake, "SELECT platform, content_id FROM silver.kol_content")
    ]
    assert report["contents"] == len(keys)
    got = records(lake, keys, "--content")
    seen = assert_equal_to_lake(
        lake,
        got,
        "content_id",
        {
            "silver.kol_content": "SELECT * FROM silver.kol_content",
            "gold.content_trending": "SELECT platform, content_id, rank, gained_views, "
            "gained_likes, gained_comments, gained_shares, trending_score, as_of "
            "FROM gold.content_trending",
        },
    )
    assert {"views", "tags", "trending_rank", "trending_score", "trending_as_of"} <= seen


def current(kol):
    number = (kol.data / "online/CURRENT").read_text().strip()
    return kol.data / "online" / number


def test_lists_hold_the_rows_of_the_lake_and_of_the_records(lake):
    build(lake, "--force")
    with duckdb.connect(str(current(lake) / "lists.duckdb"), read_only=True) as lists:
        for table, source in {
            "kols": "gold.dim_kol WHERE is_current",
            "content": "silver.kol_content",
            "kol_daily": "silver.kol_daily",
            "kol_hourly_engagement": "silver.kol_hourly_engagement",
            "content_totals": "silver.content_totals",
            "kol_rankings": "gold.kol_rankings",
            "content_trending": "gold.content_trending",
            "platform_metrics": "gold.platform_metrics",
            "agg_platform_kpi": "gold.agg_platform_kpi",
        }.items():
            rows = lists.sql(f"SELECT count(*) FROM {table}").fetchone()[0]
            assert select(lake, f"SELECT count(*) AS n FROM {source}") == [{"n": rows}], table
            assert rows > 0, table
        for table, metric in {
            "kols_by_followers": "followers_count",
            "kols_by_engagement": "avg_engagement_rate",
            "kols_by_trust": "trust_score",
        }.items():
            ranked = lists.sql(f"SELECT rowid, platform, kol_id, {metric} FROM {table}").fetchall()
            expected = lists.sql(
                f"SELECT platform, kol_id, {metric} FROM kols "
                f"ORDER BY {metric} DESC NULLS LAST, platform, kol_id"
            ).fetchall()
            assert ranked == [(at, *row) for at, row in enumerate(expected)], table
        days = lists.sql("SELECT platform, kol_id, day, followers_count FROM kol_daily").fetchall()
    expected = select(lake, "SELECT platform, kol_id, day, followers_count FROM silver.kol_daily")
    assert sorted((p, k, d.isoformat(), f) for p, k, d, f in days) == sorted(
        (row["platform"], row["kol_id"], row["day"], row["followers_count"]) for row in expected
    )


@pytest.mark.release_only
def test_etl_ends_with_a_copy_and_builds_none_where_nothing_changed(kol):
    kol("demo", *SMALL)
    kol("ingest")
    kol("etl")
    number, snapshots = info(kol)
    assert number == 1 and snapshots["silver.kol_profiles"]
    kol("etl")
    assert info(kol) == (number, snapshots)
    report = build(kol)
    assert not report["built"] and report["number"] == 1
    assert build(kol, "--force")["number"] == 2
    kol("import", "events", "-", stdin='{"event_id":"n","event_time":"2025-06-29T00:00:00Z",'
        '"event_type":"profile","platform":"tiktok","username":"newcomer",'
        '"nickname":"Đặng Nguyễn"}\n')  # fmt: skip
    kol("ingest")
    kol("etl")
    assert info(kol)[0] == 3
    assert kol("online", "get", "newcomer", "--format", "json").json()[0]["platform"] == "tiktok"
    with duckdb.connect(str(current(kol) / "lists.duckdb"), read_only=True) as lists:
        found = lists.sql("SELECT kol_id FROM kols WHERE name_folded = 'dang nguyen'").fetchall()
    assert found == [("newcomer",)]


def test_removing_the_folder_loses_nothing(lake):
    build(lake, "--force")
    before = {name: hash_of_rows(lake, name) for name in ("kols", "content")}
    subprocess.run(["rm", "-rf", str(lake.data / "online")], check=True)
    failed = lake("online", "get", "x", status=1)
    assert "kol online build" in failed.errors
    assert build(lake)["number"] == 1
    assert {name: hash_of_rows(lake, name) for name in ("kols", "content")} == before


def hash_of_rows(kol, table):
    with duckdb.connect(str(current(kol) / "lists.duckdb"), read_only=True) as lists:
        return lists.sql(f"SELECT bit_xor(hash(t)), count(*) FROM {table} t").fetchone()


def test_without_a_run_the_message_says_what_to_do(kol):
    failed = kol("online", "build", status=1)
    assert "kol " in failed.errors
    failed = kol("online", "info", status=1)
    assert "kol etl" in failed.errors
    assert kol("online", "nonsense", status=2).errors
    assert kol("online", "get", status=2).errors


def test_a_copy_that_is_read_stays_until_its_reader_leaves(lake):
    number = build(lake, "--force", "--keep", "0s")["number"]
    read = current(lake)
    reader = hold_lease(read)
    try:
        assert build(lake, "--force", "--keep", "0s")["removed"] == 0
        assert (read / "records.mdb").exists()
        assert lake("online", "info", "--number", number).text
    finally:
        reader.kill()
        reader.communicate()
    lake("online", "clean", "--keep", "15m")
    assert read.exists()
    lake("online", "clean", "--keep", "0s")
    assert not read.exists()
    failed = lake("online", "info", "--number", number, status=1)
    assert "not there any more" in failed.errors


def hold_lease(folder):
    """A process that reads a copy, as far as its lease goes."""
    code = (
        "import fcntl, sys, time\n"
        "lease = open(sys.argv[1]); fcntl.flock(lease, fcntl.LOCK_SH)\n"
        "print('held', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "lease")], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.mark.parametrize("turns", [2, pytest.param(8, marks=pytest.mark.long)])
def test_readers_never_see_two_snapshots_while_copies_are_swapped(kol, turns):
    """The tables grow by KOLs whose every count is the number of the round."""
    if turns > 2:
        kol("demo", *SMALL)
        kol("ingest")
    seen = set()
    keys = [f"round{i}" for i in range(40)]
    for turn in range(1, turns + 1):
        events = "".join(
            json.dumps(
                {
                    "event_id": f"{turn}-{name}",
                    "event_time": f"2025-06-29T00:00:0{turn}Z",
                    "event_type": "profile",
                    "platform": "tiktok",
                    "username": name,
                    "followers_count": turn,
                    "following_count": turn,
                }
            )
            + "\n"
            for name in keys
        )
        kol("import", "events", "-", stdin=events)
        kol("ingest")
        builder = kol.start("etl")
        while builder.process.poll() is None:
            seen |= look(kol, keys)
        assert builder.wait().status == 0
        seen |= look(kol, keys)
    assert {1, turns} <= seen


def look(kol, keys):
    got = kol("online", "get", *keys, "--format", "json", status=None)
    if got.status:
        assert "online copy" in got.errors, got  # before the first copy
        return set()
    values = {value for row in got.json() for value in (row["followers_count"], row["following_count"])}
    assert len(values) == 1, values
    return values


POINTS = (
    "online.lists.ranked",
    "online.lists.table",
    "online.lists",
    "online.records.commit",
    "online.records",
    "online.meta",
    "online.rename",
    "online.swap",
    "online.swapped",
)
QUICK_POINTS = ("online.records.commit", "online.swap", "online.swapped")


@pytest.mark.parametrize("points", [QUICK_POINTS, pytest.param(POINTS, marks=pytest.mark.long)])
def test_a_build_that_is_killed_leaves_a_whole_copy_and_the_next_one_cleans_up(lake, kol_fail, points):
    kol = Kol(kol_fail.binary, lake.data)
    build(kol, "--force")
    first = hash_of_rows(kol, "kols")
    for point in points:
        number = info(kol)[0]
        kol("online", "build", "--force", status=-signal.SIGKILL, env={"KOL_TEST_FAILPOINT": point})
        after = info(kol)[0]
        assert after == (number + 1 if point == "online.swapped" else number), point
        assert hash_of_rows(kol, "kols") == first
        report = build(kol, "--force", "--keep", "0s")
        assert report["number"] > after
        left = sorted(path.name for path in (kol.data / "online").iterdir())
        assert left == [f"{report['number']:06d}", "CURRENT", "build.lock"], point
    seen = kol.data / "points"
    kol("online", "build", "--force", env={"KOL_TEST_FAILPOINT_LIST": str(seen)})
    assert {name for name in seen.read_text().split() if name.startswith("online.")} == set(POINTS)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.long)])
def test_a_build_that_is_killed_at_any_time_leaves_a_whole_copy(lake, times):
    build(lake)
    first = hash_of_rows(lake, "kols"), hash_of_rows(lake, "content")
    source = random.Random(5)
    for _ in range(times):
        builder = lake.start("online", "build", "--force")
        wait_until(lambda: list((lake.data / "online").glob("*.tmp")) or builder.process.poll() is not None,
                   "the build to begin")  # fmt: skip
        try:
            builder.process.wait(timeout=source.random() * 0.3)
        except subprocess.TimeoutExpired:
            builder.kill()
        info(lake)
        assert (hash_of_rows(lake, "kols"), hash_of_rows(lake, "content")) == first
    build(lake, "--force", "--keep", "0s")
    assert not list((lake.data / "online").glob("*.tmp"))


def test_two_builders_at_once(lake):
    before = build(lake, "--force")["number"]
    builders = [lake.start("online", "build", "--force") for _ in range(2)]
    done = [builder.wait() for builder in builders]
    assert any(result.status == 0 for result in done)
    for result in done:
        assert result.status == 0 or "another process is building" in result.errors, result
    assert info(lake)[0] == before + sum(result.status == 0 for result in done)


def test_files_that_cannot_grow_leave_the_copy_in_use(lake):
    """A limit of the size of files: the write fails in the middle, as on a full disk."""
    number = build(lake, "--force")["number"]
    for limit in (16 << 10, 512 << 10):
        failed = subprocess.run(
            [
                *("sh", "-c", f"trap '' XFSZ; exec prlimit --fsize={limit} \"$@\"", "sh"),
                *lake.command(("online", "build", "--force")),
            ],
            env=environment(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert failed.returncode == 1, failed
        assert failed.stderr.startswith(b"kol online: "), failed
        assert info(lake)[0] == number
        assert not list((lake.data / "online").glob("*.tmp"))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, which needs root")
def test_a_full_disk_is_said_to_be_full(lake, tmp_path):
    build(lake, "--force")
    folder, kept = lake.data / "online", tmp_path / "kept"
    number = info(lake)[0]
    folder.rename(kept)
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder))
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        if not mounted:
            pytest.skip("a disk cannot be mounted here")
        subprocess.run(["cp", "-a", kept / "CURRENT", kept / f"{number:06d}", folder], check=True)
        (folder / "filler").write_bytes(bytes(3 << 20))
        failed = lake("online", "build", "--force", status=1)
        assert "full" in failed.errors or "space" in failed.errors, failed
        assert info(lake)[0] == number
        assert not list(folder.glob("*.tmp"))
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
        kept.rename(folder)
