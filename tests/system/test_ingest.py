"""The event log into bronze: every event once, with its bytes, whoever ingests and whatever breaks."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest

from engines import catalog_of
from support import wait_until

PROFILES = "kol.profiles.raw"
VIDEOS = "kol.videos.raw"
TABLES = {
    "kol.discovery.raw": "bronze.discovery",
    PROFILES: "bronze.profiles",
    VIDEOS: "bronze.videos",
    "kol.comments.raw": "bronze.comments",
    "kol.products.raw": "bronze.products",
}
START = datetime(2025, 5, 1, tzinfo=UTC)


def profile(number, day=0, **more):
    time_of = START + timedelta(days=day, seconds=number)
    return {
        "event_id": f"e{number}",
        "event_time": time_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "event_type": "profile",
        "platform": "tiktok",
        "username": f"u{number % 97}",
        "post_count": number,
        **more,
    }


def lines(events):
    return "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events)


def produce(kol, events, topic=PROFILES):
    kol("log", "produce", topic, stdin=lines(events))


def ingest(kol, *args, **more):
    """table -> its row of the report."""
    rows = kol("ingest", *args, "--format", "json", **more).json()
    return {row["table"]: row for row in rows}


def events_of(report):
    return sum(row["events"] for row in report.values())


@pytest.fixture(autouse=True)
def open_catalogs(monkeypatch):
    """Catalogs that a test opens by table() are closed behind it."""
    with contextlib.ExitStack() as stack:
        monkeypatch.setattr(f"{__name__}.OPEN", stack)
        yield


OPEN = None


def table(kol, name="bronze.profiles"):
    """The table as PyIceberg loads it now."""
    return OPEN.enter_context(catalog_of(kol.data)).load_table(name)


def has_table(kol, name="bronze.profiles"):
    if not (kol.data / "lake/catalog.db").exists():
        return False
    with catalog_of(kol.data) as catalog:
        return catalog.table_exists(name)


def rows(kol, name="bronze.profiles", columns=("*",)):
    return table(kol, name).scan(selected_fields=columns).to_arrow().to_pylist()


def places(kol, name="bronze.profiles"):
    return json.loads(table(kol, name).properties["kol.next-offsets"])


def log_records(kol):
    """topic -> how many records it has got."""
    return {row["topic"]: row["records"] for row in kol("log", "topics", "--format", "json").json()}


def assert_each_once(kol, name="bronze.profiles", topic=PROFILES, dead=0):
    """Every offset of the log is one row, and the table's place is behind the last one."""
    got = sorted(
        (row["log_partition"], row["log_offset"])
        for row in rows(kol, name, ("log_partition", "log_offset"))
    )
    assert len(got) == len(set(got)), "a record of the log is in the table twice"
    extents = kol("log", "topics", "--partition", -1, "--format", "json").json()
    ends = {row["partition"]: row["end"] for row in extents if row["topic"] == topic}
    assert len(got) + dead == sum(ends.values())
    there = {int(p): next_ for p, next_ in places(kol, name)[topic].items()}
    assert there == {p: end for p, end in ends.items() if end}
    return len(got)


def assert_no_stray_files(kol, name="bronze.profiles"):
    """Every data file in the table's folder is one of its own, and nothing is left in the making."""
    lake = kol.data / "lake"
    namespace, short = name.split(".")
    on_disk = {str(path) for path in (lake / namespace / short).rglob("*.parquet")}
    own = {
        task.file.file_path.removeprefix("file://") for task in table(kol, name).scan().plan_files()
    }
    assert on_disk == own
    assert not list((lake / ".staging").glob("*.parquet"))


# ---- what comes out ----


def test_every_event_is_one_row_of_its_table(kol):
    kol("demo", "--kols", 100, "--progress", "off")
    report = ingest(kol)
    for topic, name in TABLES.items():
        records = log_records(kol)[topic]
        assert records > 0
        assert report[name]["events"] == records
        assert assert_each_once(kol, name, topic) == records
        assert_rows_are_the_events(kol, topic, name)
        assert_no_stray_files(kol, name)
    again = ingest(kol)
    assert events_of(again) == 0
    assert all(row["commits"] == 0 for row in again.values())


TIMES = {"event_time", "account_created_at", "posted_at"}


def assert_rows_are_the_events(kol, topic, name):
    """Each row of the table holds what the record at its place in the log says, field by field."""
    text = kol("log", "tail", topic, "--from", "start", "--format", "json").text
    records = {(row["partition"], row["offset"]): row for row in map(json.loads, text.splitlines())}
    got = rows(kol, name)
    assert len(got) == len(records)
    for row in got:
        event = json.loads(records.pop((row["log_partition"], row["log_offset"]))["value"])
        for key in TIMES & event.keys():
            event[key] = datetime.fromisoformat(event[key])
        assert event == {key: row[key] for key in event}
        derived = {key for key, value in row.items() if value is not None} - event.keys()
        for key in derived - {"ingest_time", "log_topic", "log_partition", "log_offset"}:
            assert any(raw.startswith(key.split("_")[0]) and "_raw" in raw for raw in event), key
    assert not records


@pytest.mark.long
def test_public_data_sets_come_out_field_by_field(kol, shared_data):
    presets = {
        "twitter-bots": ["twitter_human_bots.csv"],
        "tiktok-vn": ["tiktok_vn_profiles.csv", "tiktok_vn_video_snapshots.csv"],
        "youtube-trending": ["youtube_trending_videos.csv", "youtube_trending_timeseries.csv"],
        "tides": ["tides_tiktok_influencers_5000.csv"],
        "tiktok-discover": ["tiktok_discover_daily_users_2022.csv"],
    }
    accepted = dict.fromkeys(TABLES.values(), 0)
    for preset, names in presets.items():
        files = [shared_data / name for name in names]
        for row in kol("import", preset, *files, "--format", "json").json():
            assert row["dead"] == 0
            accepted["bronze.profiles"] += row["profiles"]
            accepted["bronze.videos"] += row["videos"]
            accepted["bronze.discovery"] += row["discoveries"]
    report = ingest(kol)
    assert {name: row["events"] for name, row in report.items()} == accepted
    for topic, name in TABLES.items():
        if accepted[name]:
            assert_rows_are_the_events(kol, topic, name)
            assert assert_each_once(kol, name, topic) == accepted[name]


def test_values_come_out_as_they_went_in(kol):
    strange = [
        "Đặng Thị Ánh Nguyệt",
        "🎤👩🏽‍🚀 \U0010ffff",
        "quote ' \" \\ back",
        "nul\0inside",
        "line\nbreak\ttab\r\n",
        "",
        " spaces ",
        "x" * 4000,
        "ﾊﾝｶｸ کاربر \u202e",
    ]
    events = [
        profile(
            number,
            bio=text,
            nickname=text[:60],
            followers_count=2**63 - 1,
            following_count=0,
            verified=number % 2 == 0,
            account_created_at="2019-02-28T23:59:59.123456Z",
            followers_raw="4.1M",
        )
        for number, text in enumerate(strange)
    ]
    produce(kol, events)
    video = {
        **profile(1),
        "event_type": "video",
        "video_id": "v",
        "tags": ["#Đẹp", "", "'a\"", "b,c"],
        "duration_seconds": 7,
    }
    untagged = {**video, "event_id": "n", "video_id": "w", "tags": []}
    unknown = {**video, "event_id": "o", "video_id": "x"}
    del unknown["tags"]
    produce(kol, [video, untagged, unknown], VIDEOS)
    before = datetime.now(UTC)
    ingest(kol)
    got = sorted(rows(kol), key=lambda row: row["post_count"])
    assert [row["bio"] for row in got] == strange
    assert [row["nickname"] for row in got] == [text[:60] for text in strange]
    for number, row in enumerate(got):
        assert row["event_id"] == f"e{number}"
        assert row["event_time"] == START + timedelta(seconds=number)
        assert (row["event_type"], row["platform"], row["log_topic"]) == (
            "profile",
            "tiktok",
            PROFILES,
        )
        assert (row["followers_count"], row["following_count"]) == (2**63 - 1, 0)
        assert row["verified"] is (number % 2 == 0)
        assert row["account_created_at"] == datetime(2019, 2, 28, 23, 59, 59, 123456, UTC)
        assert row["followers_raw"] == "4.1M"
        assert row["lang"] is None and row["likes_raw"] is None
        assert before <= row["ingest_time"] <= datetime.now(UTC)
    tags = {row["video_id"]: row["tags"] for row in rows(kol, "bronze.videos")}
    assert tags == {"v": ["Đẹp", "'a\"", "b,c"], "w": [], "x": None}


def test_files_are_days_sorted_by_time(kol):
    events = [profile(number, day=number % 40) for number in range(4000)]
    random.Random(1).shuffle(events)
    produce(kol, events)
    assert ingest(kol)["bronze.profiles"]["files"] == 40
    import pyarrow.parquet as parquet

    days = set()
    for task in table(kol).scan().plan_files():
        data = parquet.read_table(task.file.file_path.removeprefix("file://"))
        times = data["event_time"].to_pylist()
        assert times == sorted(times)
        assert {time.date() for time in times} == {times[0].date()}
        assert task.file.partition[0] == (times[0].date() - datetime(1970, 1, 1).date()).days
        assert task.file.record_count == 100
        days.add(times[0].date())
    assert len(days) == 40


@pytest.mark.long
def test_one_large_day_is_written_by_several_threads_and_stays_whole(kol):
    events = [profile(number % 80000, event_id=f"n{number}") for number in range(300000)]
    produce(kol, events)
    assert ingest(kol)["bronze.profiles"]["events"] == 300000
    assert assert_each_once(kol) == 300000
    assert len({row["event_id"] for row in rows(kol, columns=("event_id",))}) == 300000


def test_log_that_is_not_there_is_named(kol):
    kol("ingest", status=None)
    assert events_of(ingest(kol)) == 0


# ---- again, and together with others ----


def test_next_run_begins_where_the_last_one_ended(kol):
    for turn in range(4):
        produce(kol, [profile(number) for number in range(turn * 50, turn * 50 + 50)])
        assert ingest(kol)["bronze.profiles"]["events"] == 50
    assert assert_each_once(kol) == 200


def test_small_commits_add_up(kol):
    produce(kol, [profile(number, day=number % 3) for number in range(5000)])
    report = ingest(kol, "--commit-bytes", "64KiB")["bronze.profiles"]
    assert report["commits"] > 5
    assert report["events"] == assert_each_once(kol) == 5000
    summary = table(kol).current_snapshot().summary
    assert json.loads(summary["kol.next-offsets"]) == places(kol)
    assert_no_stray_files(kol)


def test_files_that_fill_a_whole_one_become_it(kol):
    """A commit holds what fits into memory; what a day has too little of waits for the upkeep."""
    draw = random.Random(4)
    bios = [profile(number, bio=draw.randbytes(100).hex()) for number in range(16000)]
    few = [profile(number, day=3) for number in range(16000, 16050)]
    for first in range(0, 16000, 4000):
        produce(kol, bios[first : first + 4000])
    produce(kol, few)
    report = ingest(kol, "--commit-bytes", "256KiB", "--target-bytes", "1MiB")["bronze.profiles"]
    assert report["commits"] > 10
    assert assert_each_once(kol) == 16050
    sizes = table(kol).inspect.files().to_pydict()["file_size_in_bytes"]
    assert max(sizes) > 800 << 10, sizes  # what a file will take is estimated before it is written
    assert len(sizes) < report["commits"] / 2, sizes
    assert events_of(ingest(kol)) == 0


def test_follow_commits_what_comes_until_it_is_stopped(kol):
    running = kol.start("ingest", "--follow", "--commit-interval", "100ms")
    for turn in range(3):
        produce(kol, [profile(number) for number in range(turn * 10, turn * 10 + 10)])
        wait_until(
            lambda turn=turn: has_table(kol) and len(rows(kol)) == turn * 10 + 10,
            "the rows to be in the table",
            pause=0.1,
        )
    running.signal(signal.SIGTERM)
    result = running.wait()
    assert result.status == 130
    assert "30 events" in result.errors
    assert assert_each_once(kol) == 30


def together(kol, count, *args):
    """Ingests in `count` processes at once; how many events each has committed."""
    started = [kol.start("ingest", "--format", "json", *args) for _ in range(count)]
    done = [running.wait(120) for running in started]
    assert [result.status for result in done] == [0] * count, done
    return [sum(row["events"] for row in result.json()) for result in done]


def test_two_at_once_share_the_work(kol):
    produce(kol, [profile(number, day=number % 5) for number in range(6000)])
    counts = together(kol, 2, "--commit-bytes", "128KiB")
    assert sum(counts) == 6000
    assert assert_each_once(kol) == 6000
    assert_no_stray_files(kol)


def test_foreign_appends_and_expiry_change_nothing(kol):
    produce(kol, [profile(number) for number in range(100)])
    ingest(kol)
    for turn in range(1, 4):
        theirs = table(kol)
        foreign = theirs.scan().to_arrow().slice(0, 1)
        column = foreign.schema.get_field_index("log_topic")
        import pyarrow as pa

        foreign = foreign.set_column(column, foreign.schema.field(column), pa.array(["theirs"]))
        theirs.append(foreign)
        # All snapshots but the current one go.
        expired = theirs.maintenance.expire_snapshots()
        for snapshot in theirs.snapshots():
            if snapshot.snapshot_id != theirs.current_snapshot().snapshot_id:
                expired = expired.by_id(snapshot.snapshot_id)
        expired.commit()
        assert len(table(kol).snapshots()) == 1
        produce(kol, [profile(number) for number in range(turn * 100, turn * 100 + 100)])
        assert ingest(kol)["bronze.profiles"]["events"] == 100
        own = [row for row in rows(kol) if row["log_topic"] == PROFILES]
        assert len(own) == len({row["event_id"] for row in own}) == turn * 100 + 100
        assert len(rows(kol)) - len(own) == turn


def test_lake_of_another_log_is_refused(kol, tmp_path):
    produce(kol, [profile(number) for number in range(100)])
    ingest(kol)
    (kol.data / "log").rename(tmp_path / "old")
    produce(kol, [profile(1)])
    result = kol("ingest", status=1)
    assert "not the log that this lake was filled from" in result.errors
    assert len(rows(kol)) == 100


def test_records_that_retention_dropped_are_counted(kol):
    kol("log", "create", PROFILES, "--partitions", 1, "--retention-bytes", "64KiB")
    produce(kol, [profile(number, bio="x" * 200) for number in range(100)])
    ingest(kol)
    for turn in range(1, 20):
        produce(kol, [profile(turn * 100 + n, bio="x" * 200) for n in range(100)])
    result = kol("ingest", "--format", "json")
    report = {row["table"]: row for row in result.json()}["bronze.profiles"]
    assert report["lost"] > 0
    assert report["events"] + report["lost"] == 1900
    assert "dropped by the log's retention" in result.errors
    assert places(kol) == {PROFILES: {"0": 2000}}
    assert ingest(kol)["bronze.profiles"]["lost"] == 0


# ---- --from ----


def test_replay_adds_only_what_the_table_lacks(kol):
    kol("log", "create", PROFILES, "--partitions", 2)
    produce(kol, [profile(number, day=number % 3) for number in range(300)])
    ingest(kol)
    report = ingest(kol, "--from", f"{PROFILES}:0:0")["bronze.profiles"]
    first = places(kol)[PROFILES]["0"]
    assert (report["events"], report["duplicates"], report["commits"]) == (0, first, 0)
    theirs = table(kol)
    gone = "log_partition = 0 and log_offset >= 10 and log_offset < 30"
    theirs.delete(gone)
    assert len(rows(kol)) == 280
    report = ingest(kol, "--from", f"{PROFILES}:0:20")["bronze.profiles"]
    assert (report["events"], report["duplicates"]) == (10, first - 30)
    assert len(rows(kol)) == 290
    report = ingest(kol, "--from", f"{PROFILES}:0:0")["bronze.profiles"]
    assert (report["events"], report["duplicates"]) == (10, first - 10)
    assert assert_each_once(kol) == 300


def test_replay_in_small_pieces_and_twice_at_once(kol):
    kol("log", "create", PROFILES, "--partitions", 1)
    produce(kol, [profile(number, day=number % 3) for number in range(6000)])
    ingest(kol)
    table(kol).delete("log_offset >= 1000 and log_offset < 5000")
    place = ("--from", f"{PROFILES}:0:500", "--commit-bytes", "256KiB")
    assert sum(together(kol, 2, *place)) == 4000
    assert assert_each_once(kol) == 6000


@pytest.mark.parametrize(
    "place", ["x", "kol.dead:0:0", f"{PROFILES}:0", f"{PROFILES}:a:0", f"{PROFILES}:0:-1"]
)
def test_from_that_names_no_place_is_wrong_usage(kol, place):
    produce(kol, [profile(1)])
    assert "--from" in kol("ingest", "--from", place, status=2).errors


# ---- dead events ----


def dead_letters(kol):
    text = kol("log", "tail", "kol.dead", "--from", "start", "--values").text
    return [json.loads(row) for row in text.splitlines()]


def test_records_that_are_no_events_go_to_dead_once(kol):
    kol("log", "create", PROFILES, "--partitions", 1)
    bad = ["no json", lines([{**profile(2), "event_type": "comment"}]).strip(), '{"a":1}']
    good = lines([profile(n) for n in range(3)]).splitlines()
    raw = "\n".join(line for pair in zip(bad, good, strict=True) for line in pair)
    kol("log", "produce", PROFILES, "--raw", stdin=raw.encode() + b"\n\xff\x00\xfe")
    report = ingest(kol)["bronze.profiles"]
    assert (report["events"], report["dead"]) == (3, 4)
    assert [row["post_count"] for row in rows(kol)] == [0, 1, 2]
    letters = dead_letters(kol)
    assert [(row["topic"], row["partition"], row["offset"]) for row in letters] == [
        (PROFILES, 0, offset) for offset in (0, 2, 4, 6)
    ]
    assert [row["bytes"] for row in letters[:3]] == bad
    assert letters[3]["bytes_base64"] == "/wD+"
    assert all(row["reason"] for row in letters)
    ingest(kol)
    assert ingest(kol, "--from", f"{PROFILES}:0:0")["bronze.profiles"]["duplicates"] == 3
    assert len(dead_letters(kol)) == 4


def test_redrive_brings_dead_records_into_the_table(kol):
    kol("log", "produce", PROFILES, "--raw", stdin="broken {")
    ingest(kol)
    letter = json.loads(kol("log", "redrive", "--list").text)
    letter["bytes"] = lines([profile(1)]).strip()
    kol("log", "redrive", "-", stdin=json.dumps(letter))
    assert ingest(kol)["bronze.profiles"]["events"] == 1
    assert [row["event_id"] for row in rows(kol)] == ["e1"]


# ---- what breaks ----

POINTS = [
    "ingest.read",
    "ingest.dead",
    "ingest.staged",
    "write.made",
    "write.placed",
    "ingest.files",
    "ingest.committed",
]


def fill_mixed(kol, first=0):
    """1,200 good events in 4 days and 3 bad ones."""
    events = lines([profile(first + n, day=n % 4) for n in range(1200)]).splitlines()
    for at in (0, 600, 1202):
        events.insert(at, "bad")
    kol("log", "produce", PROFILES, "--raw", stdin="\n".join(events))


@pytest.mark.release_only
@pytest.mark.parametrize("point", [*POINTS, "write.placed:3", "ingest.files:2"])
def test_kill_at_each_step_loses_and_doubles_nothing(kol_fail, point):
    kol = kol_fail
    fill_mixed(kol)
    small = ("--commit-bytes", "128KiB")
    kol("ingest", *small, env={"KOL_TEST_FAILPOINT": point}, status=-signal.SIGKILL)
    if has_table(kol):
        rows(kol)  # whatever was killed, other engines read the table
    ingest(kol, *small)
    assert assert_each_once(kol, dead=3) == 1200
    assert len(dead_letters(kol)) == 3
    assert events_of(ingest(kol)) == 0


@pytest.mark.release_only
def test_the_points_that_are_tested_are_all_there_are(kol_fail, tmp_path):
    fill_mixed(kol_fail)
    seen = tmp_path / "points"
    kol_fail("ingest", env={"KOL_TEST_FAILPOINT_LIST": str(seen)})
    own = {name for name in seen.read_text().split() if name.startswith(("ingest.", "write."))}
    assert own == set(POINTS)


def kill_rounds(kol, rounds, per_round):
    chooser = random.Random(rounds)
    for turn in range(rounds):
        first = turn * per_round
        produce(kol, [profile(first + n, day=n % 6) for n in range(per_round)])
        running = kol.start("ingest", "--commit-bytes", "64KiB")
        time.sleep(chooser.uniform(0, 0.25))  # the moment is what this test is about
        running.kill()
        if has_table(kol):
            rows(kol, columns=("log_offset",))
    ingest(kol)
    assert assert_each_once(kol) == rounds * per_round


def test_killed_at_random_loses_and_doubles_nothing(kol):
    kill_rounds(kol, 6, 400)


@pytest.mark.long
def test_killed_a_hundred_times_loses_and_doubles_nothing(kol):
    kill_rounds(kol, 100, 400)


def test_stop_keeps_what_is_committed_and_drops_the_rest(kol):
    produce(kol, [profile(number, day=number % 9) for number in range(20000)])
    running = kol.start("ingest", "--commit-bytes", "256KiB")
    wait_until(
        lambda: list((kol.data / "lake/bronze").glob("profiles/data/*.parquet")), "a data file"
    )
    running.signal(signal.SIGINT)
    result = running.wait()
    assert result.status in (0, 130), result
    assert_no_stray_files(kol)
    done = len(rows(kol, columns=("log_offset",)))
    assert f"{done} events" in result.errors
    assert ingest(kol)["bronze.profiles"]["events"] == 20000 - done
    assert assert_each_once(kol) == 20000


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 12 MB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    yield folder
    OPEN.close()  # an open catalog keeps the disk busy
    subprocess.run(["umount", folder], check=True)


def test_full_disk_is_a_clear_error_and_the_next_run_goes_on(kol, small_disk):
    kol.data = small_disk / "data"
    chooser = random.Random(5)
    events = [
        profile(number, day=number % 3, bio=chooser.randbytes(60).hex()) for number in range(16000)
    ]
    produce(kol, events)
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(b"b" * (free - 1_000_000))
    result = kol("ingest", "--commit-bytes", "1MiB", status=1)
    assert "space" in result.errors or "full" in result.errors
    done = len(rows(kol, columns=("log_offset",)))
    assert done < 16000
    assert_no_stray_files(kol)
    ballast.unlink()
    assert ingest(kol)["bronze.profiles"]["events"] == 16000 - done
    assert assert_each_once(kol) == 16000
