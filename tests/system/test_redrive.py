"""`kol log redrive`: dead events come back once, repaired or judged anew."""

import json

import pytest

DEAD = "kol.dead"
TOPIC = "kol.profiles.raw"
GOOD = '{"event_time":"2025-05-01T10:00:00Z","event_type":"profile","platform":"tiktok"'
AHEAD = {"KOL_TEST_NOW": "2025-01-01T00:00:00Z"}  # by this clock GOOD lies in the future


def good(name):
    return f'{GOOD},"event_id":"{name}","username":"{name}"}}'


def names(kol):
    rows = kol("log", "tail", TOPIC, "--from", "start", "--values").text.splitlines()
    return sorted(json.loads(row)["username"] for row in rows)


def redrive(kol, *args, **more):
    row = kol("log", "redrive", *args, "--format", "json", **more).json()[0]
    return row["letters"], row["sent"], row["dead"], row["sent_before"]


def letters(kol, *args):
    return [
        json.loads(row) for row in kol("log", "redrive", "--list", *args).text.splitlines()
    ]


def dead_count(kol):
    return len(kol("log", "tail", DEAD, "--from", "start", "--values").text.splitlines())


def test_what_passes_now_is_sent_once_and_the_rest_stays_dead(kol):
    lines = [good("a"), "no json", good("b"), '{"event_type":"profile"}']
    kol("log", "produce", TOPIC, stdin="\n".join(lines), env=AHEAD)
    assert dead_count(kol) == 4
    assert redrive(kol, "--dry-run") == (4, 2, 2, 0)
    assert kol("log", "tail", TOPIC, "--from", "start").text == ""
    assert redrive(kol) == (4, 2, 2, 0)
    assert names(kol) == ["a", "b"]
    assert redrive(kol) == (2, 0, 2, 2)
    assert names(kol) == ["a", "b"]
    assert dead_count(kol) == 4, "nothing is put into kol.dead a second time"


def test_reason_limit_and_from_choose_letters(kol):
    lines = [good("a"), "no json", good("b"), good("c")]
    kol("log", "produce", TOPIC, stdin="\n".join(lines), env=AHEAD)
    assert [row["reason"] for row in letters(kol, "--reason", "event_time")] == [
        row["reason"] for row in letters(kol) if "event_time" in row["reason"]
    ]
    assert redrive(kol, "--reason", "event_time", "--limit", 1) == (1, 1, 0, 0)
    assert names(kol) == ["a"]
    assert redrive(kol, "--from", 3) == (1, 1, 0, 0)
    assert names(kol) == ["a", "c"]
    assert redrive(kol, "--reason", "event_time") == (1, 1, 0, 2)
    assert names(kol) == ["a", "b", "c"]


def test_repaired_letters_come_back_from_a_file(kol, tmp_path):
    bad = good("Đặng 🎤").replace('"tiktok"', '"tik"')
    kol("log", "produce", TOPIC, stdin=f"{bad}\n{good('x')[:-1]}\n".encode() + b"\xff\x00\n")
    rows = letters(kol)
    assert [("bytes" in row, "bytes_base64" in row) for row in rows] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    rows[0]["bytes"] = rows[0]["bytes"].replace('"tik"', '"tiktok"')
    rows[1]["bytes"] += "}"
    repaired = tmp_path / "repaired.jsonl"
    repaired.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert redrive(kol, repaired, "--limit", 1, "--dry-run") == (1, 1, 0, 0)
    assert redrive(kol, repaired) == (3, 2, 1, 0)
    assert names(kol) == ["x", "Đặng 🎤"]
    assert redrive(kol, repaired) == (1, 0, 1, 2)
    assert redrive(kol, "-", stdin=repaired.read_bytes() * 2) == (2, 0, 2, 4)
    assert names(kol) == ["x", "Đặng 🎤"]
    assert redrive(kol) == (1, 0, 1, 2)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"reason":"r","time":"2025-01-01T00:00:00Z","bytes":"x"}', "place: expected"),
        ('{"place":"0:0"}', "missing"),
        ("[1]", "not a JSON object"),
        ('{"place":"99:0","reason":"r","time":"2025-01-01T00:00:00Z","bytes":"x"}', "place"),
        ('{"place":"0:9999","reason":"r","time":"2025-01-01T00:00:00Z","bytes":"x"}', "no such"),
        ('{"place":"0:-1","reason":"r","time":"2025-01-01T00:00:00Z","bytes":"x"}', "place"),
    ],
)
def test_line_that_is_no_letter_is_named_and_passed_over(kol, line, why):
    kol("log", "produce", TOPIC, stdin="bad")
    result = kol("log", "redrive", "-", stdin=line, status=0)
    assert "line 1: " in result.errors
    assert why in result.errors


def test_nothing_dead_is_no_error(kol):
    kol("log", "produce", TOPIC, stdin=good("a"))
    assert "nothing has come to kol.dead" in kol("log", "redrive").errors
    kol("log", "redrive", "--list", "somewhere", status=2)
    kol("log", "redrive", "a", "b", status=2)


def test_many_letters_are_settled_over_many_commits(kol):
    count = 9000
    text = "\n".join(good(f"u{n}") for n in range(count))
    kol("log", "produce", TOPIC, stdin=text, env=AHEAD)
    assert redrive(kol, "--limit", 5000) == (5000, 5000, 0, 0)
    assert redrive(kol) == (count - 5000, count - 5000, 0, 5000)
    assert len(names(kol)) == len(set(names(kol))) == count


@pytest.mark.release_only
@pytest.mark.parametrize("point", ["redrive.send", "redrive.sent", "redrive.send:3"])
def test_killed_redrive_goes_on_and_sends_nothing_twice(kol_fail, point):
    count = 3500
    text = "\n".join(good(f"u{n}") for n in range(count))
    kol_fail("log", "produce", TOPIC, stdin=text, env=AHEAD)
    kol_fail("log", "redrive", env={"KOL_TEST_FAILPOINT": point}, status=-9)
    kol_fail("log", "redrive")
    assert len(names(kol_fail)) == len(set(names(kol_fail))) == count
