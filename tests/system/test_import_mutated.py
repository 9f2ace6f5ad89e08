"""CSV that was damaged at random: no crash, and every record is accounted for."""

import base64
import json
import random

import pytest

TIME = "2025-05-01T10:00:00Z"
HEADER = b"user,followers,about,time\r\n"
PRESET = {
    "name": "mutated",
    "help": "accounts",
    "format": "csv",
    "layouts": [
        {
            "name": "accounts",
            "events": [
                {
                    "type": "profile",
                    "set": {
                        "platform": {"constant": "tiktok"},
                        "event_time": {"column": "time"},
                        "username": {"column": "user"},
                        "bio": {"column": "about", "empty": "value"},
                        "followers_count": {"column": "followers"},
                    },
                }
            ],
        }
    ],
}
PIECES = [b'"', b",", b"\n", b"\r\n", b"\r", b'""', b'",', b'\n"', b"\xff", b"\xc3", b"\0", b" ", b"\xef\xbb\xbf"]


def record(rng, number):
    about = rng.choice(
        ["", "plain", '"quoted, with comma"', '"two\r\nlines"', '"say ""hi"""', "Tiếng Việt 🔥", '"\n"']
    )
    return f"kol{number},{rng.randrange(10**6)},{about},{TIME}\r\n".encode()


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            data[at:at] = rng.choice(PIECES)
        elif kind == 1:
            del data[at : at + rng.randrange(1, 9)]
        elif kind == 2 and at < len(data):
            data[at] = rng.randrange(256)
        else:
            begin = rng.randrange(len(data) + 1)
            data[at:at] = data[begin : begin + rng.randrange(1, 20)]
    return bytes(data)


def letter_bytes(letter):
    if "bytes" in letter:
        return letter["bytes"].encode()
    return base64.b64decode(letter["bytes_base64"])


@pytest.mark.parametrize("count", [2000, pytest.param(10000, marks=pytest.mark.long)])
def test_mutated_records_are_all_accounted_for(kol, tmp_path, count):
    rng = random.Random(count)
    (tmp_path / "preset.json").write_text(json.dumps(PRESET))
    text = HEADER + b"".join(mutate(rng, record(rng, i)) for i in range(count))
    path = tmp_path / "mutated.csv"
    path.write_bytes(text)
    (row,) = kol("import", tmp_path / "preset.json", path, "--format", "json").json()
    assert row["records"] == row["events"] + row["dead"]
    assert row["complete"] is True and row["bytes"] == len(text)
    assert row["events"] > count / 20 and row["dead"] > count / 4
    topics = kol("log", "topics", "--format", "json").json()
    held = {topic["topic"]: topic["records"] for topic in topics}
    assert (held["kol.profiles.raw"], held["kol.dead"]) == (row["events"], row["dead"])

    # Each dead letter stands in the file where it says.
    starts = [0]
    while (end := text.find(b"\n", starts[-1])) >= 0:
        starts.append(end + 1)
    dead = kol("log", "tail", "kol.dead", "--from", "start", "--values").out.splitlines()
    seen = set()
    for letter in map(json.loads, dead):
        begin = starts[letter["line"] - 1]
        assert text.startswith(letter_bytes(letter), begin), letter
        assert letter["reason"] and letter["line"] not in seen
        seen.add(letter["line"])


def test_good_records_among_broken_ones_all_come_in(kol, tmp_path):
    """Damage that cannot join lines costs its own record and no other."""
    rng = random.Random(5)
    (tmp_path / "preset.json").write_text(json.dumps(PRESET))
    broken = [b"a,b\n", b'x,1,"open,t\n', b'x,1,"a"b,t\n', b"x,1,\xff,t\n", b"x,one,y,%s\n" % TIME.encode()]
    text, good = HEADER, set()
    for i in range(3000):
        if rng.random() < 0.3:
            text += rng.choice(broken)
        text += f"kol{i},{i},bio {i},{TIME}\n".encode()
        good.add(f"kol{i}")
    (tmp_path / "mixed.csv").write_bytes(text)
    (row,) = kol("import", tmp_path / "preset.json", tmp_path / "mixed.csv", "--format", "json").json()
    events = kol("log", "tail", "kol.profiles.raw", "--from", "start", "--values").out.splitlines()
    assert {json.loads(line)["username"] for line in events} == good
    assert row["dead"] == text.count(b"\n") - 1 - len(good)
