"""The log under kill -9, on a full disk, and with several processes at once."""

import json
import random
import subprocess
import threading
import time

import pytest

from support import wait_until

BATCH = 50
USERS = 7
TOPIC = "kol.profiles.raw"


def line(number, user=None):
    """Event `number`; its user says which partition it goes to."""
    name = user if user is not None else f"u{number % USERS}"
    return (
        f'{{"event_id":"{number}","event_time":"2025-05-01T10:00:00Z","event_type":"profile",'
        f'"platform":"tiktok","username":"{name}","post_count":{number}}}\n'
    )


def numbers(kol, topic=TOPIC):
    """(key, number) of every record, partition by partition in offset order."""
    text = kol("log", "tail", topic, "--from", "start", "--values").text
    return [(e["username"], e["post_count"]) for e in map(json.loads, text.splitlines())]


def count(kol):
    """How many records the log holds; 0 before there is one."""
    rows = kol("log", "topics", "--format", "json", status=None)
    assert rows.status == 0 or "no event log in" in rows.errors, rows
    return sum(row["records"] for row in rows.json()) if rows.status == 0 else 0


def assert_once_and_in_order(kol, total):
    """Events 1 to total are there, each once, and in order for each user."""
    seen = numbers(kol)
    assert sorted(number for _, number in seen) == list(range(1, total + 1))
    for user in {user for user, _ in seen}:
        own = [number for name, number in seen if name == user]
        assert own == sorted(own)


def kill_rounds(kol, tmp_path, rounds):
    chooser = random.Random(rounds)
    have = 0
    for _ in range(rounds):
        source = tmp_path / "lines"
        source.write_text("".join(line(n) for n in range(have + 1, have + 20001)))
        with source.open("rb") as stdin:
            running = kol.start(
                "log", "produce", TOPIC, "--acks", "--batch", BATCH, stdin=stdin
            )
            time.sleep(chooser.uniform(0, 0.3))  # the moment is what this test is about
            running.kill()
        acks = running.process.stdout.read().split(b"\n")[:-1]  # a last line may be cut off
        settled = int(acks[-1]) if acks else 0
        started = time.monotonic()
        now = count(kol)
        assert time.monotonic() - started < 10, "the log must open at once"
        # What was acknowledged is there; beyond it at most the commit whose answer was cut off.
        assert have + settled <= now <= have + settled + BATCH
        have = now
    assert have > 0
    assert_once_and_in_order(kol, have)
    kol("log", "produce", TOPIC, stdin=line(have + 1))
    assert_once_and_in_order(kol, have + 1)


def test_killed_producer_loses_and_doubles_nothing(kol, tmp_path):
    kill_rounds(kol, tmp_path, 12)


@pytest.mark.long
def test_producer_killed_a_hundred_times_loses_and_doubles_nothing(kol, tmp_path):
    kill_rounds(kol, tmp_path, 100)


# ---- a full disk ----


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 6 MB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk_is_a_clear_error_and_the_same_input_goes_on_after_it(kol, small_disk):
    data = small_disk / "data"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"b" * 4_500_000)
    lines = [line(n) for n in range(1, 15001)]
    result = kol(
        "log", "produce", TOPIC, "--acks", "--batch", 500, stdin="".join(lines), data=data, status=1
    )
    settled = int(result.text.split()[-1])
    assert "full; make space and try again" in result.errors
    assert f"lines 1 to {settled} are in the log" in result.errors
    assert 500 <= settled < 15000
    kol.data = data
    assert_once_and_in_order(kol, settled)  # readers work on the full disk
    ballast.unlink()
    kol("log", "produce", TOPIC, stdin="".join(lines[settled:]))
    assert_once_and_in_order(kol, 15000)


def test_map_that_is_too_small_says_which_option_to_raise(kol):
    lines = [line(n) for n in range(1, 10001)]
    args = ("log", "produce", TOPIC, "--acks", "--batch", 500)
    result = kol(*args, "--log-map-size", "1MiB", stdin="".join(lines), status=1)
    assert "log.map_size" in result.errors
    settled = int(result.text.split()[-1])
    kol(*args, "--log-map-size", "64MiB", stdin="".join(lines[settled:]))
    assert_once_and_in_order(kol, 10000)


# ---- several processes ----


def test_two_producers_and_three_readers_share_a_topic(kol):
    total = 6000
    kol("log", "create", TOPIC)
    readers = [
        kol.start(
            "log", "tail", TOPIC, "--from", "start", "--follow", "--values", "--limit", 2 * total
        )
        for _ in range(3)
    ]
    texts = {}
    threads = [
        threading.Thread(target=lambda r=r: texts.update({r.pid: r.process.stdout.read()}))
        for r in readers
    ]
    for thread in threads:
        thread.start()
    producers = [kol.start("log", "produce", TOPIC, "--batch", 40) for _ in range(2)]
    feeders = [
        threading.Thread(
            target=lambda p=p, w=w: (
                p.process.stdin.writelines(
                    line(n, f"w{w}k{n % USERS}").encode() for n in range(1, total + 1)
                ),
                p.process.stdin.close(),
            )
        )
        for w, p in enumerate(producers)
    ]
    for feeder in feeders:
        feeder.start()
    for thread in feeders + threads:
        thread.join(120)
    for running in producers + readers:
        wait_until(lambda r=running: r.process.poll() is not None, "the end")
        assert running.process.returncode == 0
    for text in texts.values():
        events = [json.loads(value) for value in text.splitlines()]
        keys = {}
        for each in events:
            keys.setdefault(each["username"], []).append(each["post_count"])
        assert len(events) == 2 * total
        assert len(keys) == 2 * USERS
        for name, got in keys.items():
            residue = int(name.split("k")[1])
            assert got == [n for n in range(1, total + 1) if n % USERS == residue]
    assert len(texts) == 3
