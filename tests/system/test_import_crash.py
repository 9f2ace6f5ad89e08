"""Imports that are killed, interrupted or run out of disk: nothing is lost, nothing comes twice."""

import gzip
import json
import random
import shutil
import signal
import subprocess
from collections import defaultdict

import pytest

from support import environment, wait_until

TOPIC = "kol.profiles.raw"
KOLS = 97


def write_events(path, count):
    """Events of 97 KOLs in turn; post_count numbers each KOL's events."""
    with open(path, "w") as out:
        for i in range(count):
            event = {
                "event_id": f"e{i:07d}",
                "event_time": "2025-05-01T10:00:00Z",
                "event_type": "profile",
                "platform": "tiktok",
                "username": f"kol{i % KOLS}",
                "post_count": i // KOLS,
                "bio": "x" * (i % 211),
            }
            out.write(json.dumps(event) + "\n")


def read(kol):
    out = kol("log", "tail", TOPIC, "--from", "start", "--values").out
    return [json.loads(line) for line in out.splitlines()]


def check_whole(events, count):
    """Every event once, and those of each KOL in the order of the file."""
    assert len(events) == count
    assert len({event["event_id"] for event in events}) == count
    seen = defaultdict(int)
    for event in events:
        assert event["post_count"] == seen[event["username"]]
        seen[event["username"]] += 1


def records(kol):
    """How many records the topic holds."""
    rows = kol("log", "topics", "--format", "json", status=None).json()
    return sum(row["records"] for row in rows if row["topic"] == TOPIC)


def finished(result_out):
    """Whether the import had said that it is complete before it was killed."""
    rows = [json.loads(line) for line in result_out.splitlines() if line.endswith(b"}")]
    return any(row["complete"] for row in rows)


def kill_until_done(kol, path, rng, kills):
    """Kills the import at random moments, `kills` times at most, then lets it end; how often it died."""
    died = 0
    flags = ("--import-batch", "16KiB", "--format", "json")
    while died < kills:
        running = kol.start("import", "events", path, *flags)
        try:
            running.process.wait(timeout=rng.uniform(0.005, 0.25))
        except subprocess.TimeoutExpired:
            running.kill()
        out = running.process.stdout.read()
        if finished(out):
            return died
        died += 1
    kol("import", "events", path, *flags)
    return died


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.long)])
def test_killed_import_goes_on_exactly_where_it_stopped(kol, tmp_path, kills):
    rng = random.Random(kills)
    path = tmp_path / "events.jsonl"
    count, died = 30000, 0
    write_events(path, count)
    while died < kills:
        died += kill_until_done(kol, path, rng, kills - died)
        check_whole(read(kol), count)
        shutil.rmtree(kol.data)


def test_killed_import_of_several_packed_files_goes_on(kol, tmp_path):
    rng = random.Random(3)
    whole = tmp_path / "whole.jsonl"
    count = 24000
    write_events(whole, count)
    lines = whole.read_bytes().splitlines(keepends=True)
    files = []
    for i in range(3):
        files.append(tmp_path / f"part{i}.jsonl.gz")
        files[-1].write_bytes(gzip.compress(b"".join(lines[i * 8000 : (i + 1) * 8000]), 1))
    flags = ("--import-batch", "16KiB", "--format", "json")
    for _ in range(6):
        running = kol.start("import", "events", *files, *flags)
        try:
            running.process.wait(timeout=rng.uniform(0.02, 0.3))
        except subprocess.TimeoutExpired:
            running.kill()
        rows = running.process.stdout.read().splitlines()
        if len(rows) == 3 and all(json.loads(row)["complete"] for row in rows):
            break
    else:
        rows = kol("import", "events", *files, *flags).json()
        assert [(row["events"], row["complete"]) for row in rows] == [(8000, True)] * 3
    check_whole(read(kol), count)


def test_interrupted_import_says_how_to_go_on_and_goes_on(kol, tmp_path):
    path = tmp_path / "events.jsonl"
    write_events(path, 60000)
    flags = ("--import-batch", "4096", "--format", "json")
    kol("log", "create", TOPIC)
    running = kol.start("import", "events", path, *flags)
    wait_until(lambda: records(kol) > 0, "the first events")
    running.signal(signal.SIGINT)
    result = running.wait()
    assert result.status == 130, result
    assert "the same command goes on" in result.errors
    (row,) = result.json()
    assert row["complete"] is False and row["events"] == records(kol)
    result = kol("import", "events", path, "--format", "json")
    assert f"went on at byte {row['bytes']}" in result.errors
    (row,) = result.json()
    assert (row["events"], row["records"], row["complete"]) == (60000, 60000, True)
    check_whole(read(kol), 60000)


def interrupted(kol, path, *more):
    """An import that was stopped somewhere in the file; how many events it left in the log."""
    kol("log", "create", TOPIC, status=None)
    before = records(kol)
    running = kol.start("import", "events", path, "--import-batch", "4096", *more)
    wait_until(lambda: records(kol) > before, "the first events")
    running.signal(signal.SIGINT)
    assert running.wait().status == 130
    return records(kol)


def test_restart_begins_at_the_front(kol, tmp_path):
    path = tmp_path / "events.jsonl"
    write_events(path, 60000)
    left = interrupted(kol, path)
    (row,) = kol("import", "events", path, "--restart", "--format", "json").json()
    assert row["events"] == 60000
    assert records(kol) == left + 60000


def test_changed_file_begins_at_the_front(kol, tmp_path):
    path = tmp_path / "events.jsonl"
    write_events(path, 60000)
    left = interrupted(kol, path)
    with open(path, "a") as out:
        out.write("\n")
    kol("import", "events", path)
    assert records(kol) == left + 60000


@pytest.fixture
def two_files(kol, tmp_path):
    """Two files, of 500 and 60,000 events, whose import was stopped in the second one."""
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    write_events(one, 500)
    write_events(two, 60000)
    kol("log", "create", TOPIC)
    running = kol.start("import", "events", one, two, "--import-batch", "4096")
    wait_until(lambda: records(kol) > 500, "events of the second file")
    running.signal(signal.SIGINT)
    assert running.wait().status == 130
    return one, two


def test_file_that_an_interrupted_command_had_finished_is_not_read_again(kol, two_files):
    one, two = two_files
    result = kol("import", "events", one, two, "--format", "json")
    assert f"{one}: was read to its end before" in result.errors
    assert [row["events"] for row in result.json()] == [500, 60000]
    assert records(kol) == 60500
    assert "before" not in kol("import", "events", one).errors
    assert records(kol) == 61000


def test_finished_file_of_an_interrupted_command_is_new_to_another_one(kol, two_files):
    one, _ = two_files
    left = records(kol)
    (row,) = kol("import", "events", one, "--format", "json").json()
    assert row["events"] == 500
    assert records(kol) == left + 500


def test_finished_import_leaves_no_position_behind(kol, tmp_path):
    path = tmp_path / "events.jsonl"
    write_events(path, 1000)
    for turn in (1, 2):
        result = kol("import", "events", path)
        assert "went on" not in result.errors
        assert records(kol) == turn * 1000


def test_interrupted_csv_goes_on_behind_a_record_of_several_lines(kol, tmp_path):
    preset = {
        "name": "p",
        "help": "h",
        "format": "csv",
        "layouts": [
            {
                "name": "l",
                "events": [
                    {
                        "type": "profile",
                        "set": {
                            "platform": {"constant": "tiktok"},
                            "event_time": {"constant": "2025-05-01T10:00:00Z"},
                            "username": {"column": "user"},
                            "post_count": {"column": "n"},
                            "bio": {"column": "about"},
                        },
                    }
                ],
            }
        ],
    }
    (tmp_path / "p.json").write_text(json.dumps(preset))
    path = tmp_path / "a.csv"
    count = 40000
    with open(path, "w", newline="") as out:
        out.write("\ufeffuser,n,about\r\n")
        for i in range(count):
            out.write(f'kol{i % KOLS},{i // KOLS},"line {i}\n\nand ""more"""\r\n')
        out.write("kol0,bad,x\n")
    flags = ("--import-batch", "4096", "--format", "json")
    kol("log", "create", TOPIC)
    running = kol.start("import", tmp_path / "p.json", path, *flags)
    wait_until(lambda: records(kol) > 0, "the first events")
    running.signal(signal.SIGINT)
    assert running.wait().status == 130
    (row,) = kol("import", tmp_path / "p.json", path, "--format", "json").json()
    assert (row["records"], row["events"], row["dead"]) == (count + 1, count, 1)
    check_whole(read(kol), count)
    (dead,) = kol("log", "tail", "kol.dead", "--from", "start", "--values").out.splitlines()
    assert json.loads(dead)["line"] == 2 + 3 * count


DISK_FULL = """
set -eu
mount -t tmpfs -o size=12m none "$1"
"$2" import events "$3" --data "$1/data" --import-batch 64KiB --format json >"$4/first" 2>"$4/errors" &&
    echo 0 >"$4/status" || echo $? >"$4/status"
"$2" log topics --data "$1/data" --format json >"$4/topics"
mount -o remount,size=400m "$1"
"$2" import events "$3" --data "$1/data" --format json >"$4/second" 2>"$4/errors2"
"$2" log tail TOPIC --from start --values --data "$1/data" >"$4/values"
"""


def test_full_disk_is_a_clear_error_and_the_import_goes_on_after_space_was_made(
    kol, kol_bin, tmp_path
):
    """On a tmpfs of its own, which only this test's processes see."""
    unshare = ["unshare", "--mount", "--map-root-user", "--user"]
    disk, out, path = tmp_path / "disk", tmp_path / "out", tmp_path / "events.jsonl"
    disk.mkdir()
    out.mkdir()
    write_events(path, 100_000)
    if subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", disk], check=False).returncode:
        pytest.skip("no right to mount a tmpfs in a namespace of one's own")
    script = DISK_FULL.replace("TOPIC", TOPIC)
    subprocess.run(
        [*unshare, "sh", "-c", script, "sh", disk, kol_bin, path, out],
        env=environment(),
        check=True,
        timeout=120,
    )
    assert (out / "status").read_text() == "1\n"
    errors = (out / "errors").read_text()
    assert "make space and give the same command again" in errors
    first, second = (json.loads((out / name).read_text()) for name in ("first", "second"))
    assert first["complete"] is False and 0 < first["events"] < 100_000
    topics = [json.loads(line) for line in (out / "topics").read_text().splitlines()]
    assert sum(row["records"] for row in topics if row["topic"] == TOPIC) == first["events"]
    assert (second["events"], second["complete"]) == (100_000, True)
    assert f"went on at byte {first['bytes']}" in (out / "errors2").read_text()
    check_whole([json.loads(line) for line in (out / "values").read_text().splitlines()], 100_000)
