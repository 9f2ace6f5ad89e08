"""`kol demo`: the report, repeatability, refusals, and going on after an interrupt or kill -9."""

import json
import random
import signal
import time

import pytest

from support import wait_until

TOPICS = (
    "kol.discovery.raw",
    "kol.profiles.raw",
    "kol.videos.raw",
    "kol.comments.raw",
    "kol.products.raw",
)

# Two partitions are enough to see an order, and few to read. A tiny batch is committed often, so that
# an interrupt finds many places to fall on.
FEW = ("--log-partitions", "2")
TINY = ("--import-batch", "4KiB")


def contents(kol, data=None):
    """The values of every partition, byte for byte."""
    found = {}
    for row in kol("log", "topics", "--format", "json", data=data).json():
        for partition in range(row["partitions"]):
            args = ("log", "tail", row["topic"], "--from", "start", "--values")
            found[row["topic"], partition] = kol(*args, "--partition", partition, data=data).out
    return found


def events(kol, topic, data=None):
    out = kol("log", "tail", topic, "--from", "start", "--values", data=data).out
    return [json.loads(line) for line in out.splitlines()]


def records(kol, data=None):
    rows = kol("log", "topics", "--format", "json", data=data, status=None)
    return sum(row["records"] for row in rows.json()) if rows.status == 0 else 0


def test_demo_reports_what_is_in_the_log_and_the_next_command(kol):
    result = kol("demo", "--kols", 300, "--format", "json")
    told = {row["topic"]: row["events"] for row in result.json()}
    assert tuple(told) == TOPICS and all(told.values())
    for topic, count in told.items():
        assert len(events(kol, topic)) == count
    assert "300 KOLs" in result.errors and "2025-06-30T00:00:00Z" in result.errors
    hint = next(line for line in result.errors.splitlines() if "kol log tail" in line)
    command = hint.split("kol ", 1)[1].split(" --data ")[0].split()
    assert len(kol(*command).out.splitlines()) > 5


def test_every_event_lies_under_its_own_key_and_time(kol):
    kol("demo", "--kols", 100)
    args = ("log", "tail", "kol.videos.raw", "--from", "start", "--format", "json")
    for row in kol(*args).json():
        event = json.loads(row["value"])
        assert row["key"] == f"{event['platform']}:{event['username']}"


def test_the_same_command_gives_the_same_log_and_another_seed_another(kol, tmp_path):
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        kol("demo", "--kols", 200, "--seed", seed, *FEW, data=tmp_path / name)
    one, two, three = (contents(kol, tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert set(one) == set(three) and one != three


def test_the_reference_world_has_its_sizes(kol):
    result = kol("demo", "--world", "reference")
    assert b"kol.profiles.raw" in result.out
    profiles = {(e["platform"], e["username"]) for e in events(kol, "kol.profiles.raw")}
    contents_seen = {(e["platform"], e["video_id"]) for e in events(kol, "kol.videos.raw")}

    def count(pairs, platform):
        return sum(1 for found, _ in pairs if found == platform)

    assert len(profiles) == 37486
    assert (count(profiles, "tiktok"), count(profiles, "twitter")) == (48, 37438)
    assert len(contents_seen) == 20028
    assert (count(contents_seen, "tiktok"), count(contents_seen, "youtube")) == (490, 19538)


def test_a_log_that_holds_events_is_refused_and_left_alone(kol):
    kol("demo", "--kols", 50, *FEW)
    before = contents(kol)
    for args in (("--kols", 50), ("--kols", 60), ("--world", "reference")):
        result = kol("demo", *args, *FEW, status=1)
        assert "already holds events" in result.errors and "--data" in result.errors
        assert result.out == b""
    assert contents(kol) == before


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("--end", "2999-01-01T00:00:00Z"), "in the future"),
        (("--end", "yesterday"), "expected now or a time"),
        (("--world", "mars"), "the only named world is reference"),
        (("--world", "reference", "--kols", "5"), "leave --kols out"),
        (("--end", "2005-02-01T00:00:00Z", "--days", "40"), "before 2005"),
    ],
)
def test_a_world_that_cannot_be_is_wrong_usage_and_makes_nothing(kol, args, hint):
    result = kol("demo", *args, status=2)
    assert hint in result.errors
    assert not kol.data.exists()


def test_a_clock_before_the_default_end_is_told_what_to_do(kol):
    env = {"KOL_TEST_NOW": "2025-01-01T00:00:00Z"}
    assert "--end now" in kol("demo", "--kols", 5, env=env, status=2).errors
    kol("demo", "--kols", 5, "--end", "now", env=env)
    times = [event["event_time"] for event in events(kol, "kol.profiles.raw")]
    assert times and "2024-12-02" <= min(times) and max(times) < "2025-01-01"


def start_and_wait_for_some(kol, *args, least=200):
    running = kol.start("demo", *args)
    wait_until(
        lambda: running.process.poll() is not None or records(kol) >= least,
        "the first commits of the demo",
    )
    return running


def test_an_interrupted_demo_goes_on_and_leaves_the_same_log(kol, tmp_path):
    world = ("--kols", 2500, "--seed", 3, *FEW)
    running = start_and_wait_for_some(kol, *world, *TINY)
    running.signal(signal.SIGINT)
    stopped = running.wait()
    assert stopped.status == 130, stopped
    assert "the same command goes on there" in stopped.errors
    some = records(kol)
    assert some >= 200

    other = kol("demo", "--kols", 2500, "--seed", 4, *FEW, status=1)
    assert "unfinished" in other.errors and "--seed 3" in other.errors
    assert records(kol) == some

    done = kol("demo", *world, "--format", "json")
    assert "Went on behind" in done.errors
    kol("demo", *world, data=tmp_path / "whole")
    assert contents(kol) == contents(kol, tmp_path / "whole")
    assert sum(row["events"] for row in done.json()) == records(kol)
    assert "already holds events" in kol("demo", *world, status=1).errors


def test_an_interrupted_demo_that_ends_now_keeps_its_end(kol, tmp_path):
    first = {"KOL_TEST_NOW": "2026-05-05T12:00:00Z"}
    later = {"KOL_TEST_NOW": "2026-05-06T15:00:00Z"}
    world = ("--kols", 2500, "--end", "now", *FEW)
    running = kol.start("demo", *world, *TINY, env=first)
    wait_until(lambda: records(kol) >= 200, "the first commits of the demo")
    running.signal(signal.SIGINT)
    assert running.wait().status == 130
    assert "2026-05-05T12:00:00Z" in kol("demo", *world, env=later).errors
    kol("demo", *world, data=tmp_path / "whole", env=first)
    assert contents(kol) == contents(kol, tmp_path / "whole")


def kill_and_repeat(kol, tmp_path, kols, kills, seed):
    chance = random.Random(seed)
    world = ("--kols", kols, "--seed", seed, *FEW)
    killed = 0
    for _ in range(kills):
        running = start_and_wait_for_some(kol, *world, *TINY, least=records(kol) + 1)
        time.sleep(chance.uniform(0, 0.05))  # a random moment, not a wait for anything
        alive = running.process.poll() is None
        running.kill()
        killed += alive
        if not alive:
            break
    assert killed > 0
    kol("demo", *world, status=None)  # status 1 where the last run had finished
    kol("demo", *world, data=tmp_path / "whole")
    assert contents(kol) == contents(kol, tmp_path / "whole")


def test_kill_9_and_the_same_command_again_leave_the_same_log(kol, tmp_path):
    kill_and_repeat(kol, tmp_path, kols=2500, kills=12, seed=11)


@pytest.mark.long
def test_kill_9_a_hundred_times_leaves_the_same_log(kol, tmp_path):
    kill_and_repeat(kol, tmp_path, kols=20000, kills=100, seed=12)


def test_of_two_demos_at_once_one_writes_the_world(kol, tmp_path):
    world = ("--kols", 1500, "--seed", 8, *FEW)
    older = start_and_wait_for_some(kol, *world, *TINY)
    newer = kol("demo", *world, status=None)
    old = older.wait()
    assert sorted((old.status, newer.status)) == [0, 1], (old, newer)
    kol("demo", *world, data=tmp_path / "whole")
    assert contents(kol) == contents(kol, tmp_path / "whole")


@pytest.mark.release_only
def test_forty_thousand_kols_take_seconds(kol, capsys):
    started = time.monotonic()
    result = kol("demo", "--format", "json")
    seconds = time.monotonic() - started
    total = sum(row["events"] for row in result.json())
    assert 420_000 < total < 500_000
    with capsys.disabled():
        print(f"\n40,000 KOLs, {total} events, durable: {seconds:.2f} s")


@pytest.mark.long
def test_memory_does_not_grow_with_the_world(kol):
    """RssAnon at a tenth of the way and near the end of 400,000 KOLs."""
    running = kol.start("demo", "--kols", 400000, "--days", 10)
    seen = []

    def look():
        if running.process.poll() is None:
            with open(f"/proc/{running.pid}/status") as status:
                for line in status:
                    if line.startswith("RssAnon:"):
                        seen.append(int(line.split()[1]))
        return running.process.poll() is not None

    wait_until(look, "the end of the demo", timeout=600, pause=0.1)
    assert running.wait().status == 0
    early, late = max(seen[: len(seen) // 10 + 1]), max(seen)
    assert late < 100 * 1024, f"{late} kB"
    assert late < early * 1.5 + 8192, f"{early} kB grew to {late} kB"
