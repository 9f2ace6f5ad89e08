"""`kol log`: what goes in comes out byte for byte, and what cannot go in is told."""

import base64
import json
import signal
import struct
import time

import pytest

from support import wait_until

TIME = "2025-05-01T10:00:00Z"


def event(username, number=0, **more):
    """A profile event as one line, the id its number."""
    fields = {
        "event_id": str(number),
        "event_time": TIME,
        "event_type": "profile",
        "platform": "tiktok",
        "username": username,
        "post_count": number,
    }
    return json.dumps(fields | more, ensure_ascii=False)


def values(kol, topic="kol.profiles.raw", *flags):
    """The values of a topic in append order."""
    return kol("log", "tail", topic, "--from", "start", "--values", *flags).text.splitlines()


def records(kol, topic="kol.profiles.raw", *flags):
    return kol("log", "tail", topic, "--format", "json", *flags).json()


def dead(kol):
    """The dead letters, in the order in which they came."""
    return [json.loads(row["value"]) for row in records(kol, "kol.dead", "--from", "start")]


def murmur2(key):
    """Kafka's hash, written from its description: the peer that the program is compared with."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(key)
    for (k,) in struct.iter_unpack("<I", key[: len(key) // 4 * 4]):
        k = k * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    tail = key[len(key) // 4 * 4 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


# ---- produce ----


def test_lines_come_back_byte_for_byte(kol):
    lines = [
        event("hạnh.bếp", 1, bio="Chia sẻ mẹo nấu ăn 🍜\nliên hệ: \"a\\b\"\u0000 tab\t."),
        '{ "username" : "spaced",\t"event_time":"2025-05-01T17:00:00+07:00",   "event_type":"profile"'
        ',"platform":"twitter","event_id":"2","unknown":{"nested":[1,2,{"x":null}]},"bio":"\\u00e9" }',
        event("x" * 255, 3, bio="y" * 60000),
    ]
    text = "\n".join([lines[0], "", "  " + lines[1] + " \r", lines[2]])  # no newline at the end
    result = kol("log", "produce", "kol.profiles.raw", stdin=text)
    assert "accepted 3, dead 0" in result.errors and result.out == b""
    assert sorted(values(kol)) == sorted(lines)
    rows = {row["key"]: row for row in records(kol)}
    assert set(rows) == {"tiktok:hạnh.bếp", "twitter:spaced", "tiktok:" + "x" * 255}
    for key, row in rows.items():
        assert row["partition"] == (murmur2(key.encode()) & 0x7FFFFFFF) % 8
        assert row["timestamp"] == TIME
        assert row["value"] in lines
    assert rows["twitter:spaced"]["value"] == lines[1]


def test_event_without_id_gets_the_same_one_every_time_and_is_else_unchanged(kol):
    bare = '{"event_time":"2025-05-01T10:00:00Z","event_type":"profile","platform":"tiktok","username":"a", "x":1 }'
    null = bare.replace('"x":1', '"event_id":null')
    for _ in range(2):
        kol("log", "produce", "kol.profiles.raw", stdin=f"{bare}\n{null}\n")
    first, second, *again = values(kol)
    assert again == [first, second]
    made = json.loads(first)["event_id"]
    assert len(made) == 32 and json.loads(second)["event_id"] == made
    assert first == f'{{"event_id":"{made}",{bare[1:]}'
    assert second == f'{null[:-1]},"event_id":"{made}"}}'


def test_bad_lines_go_to_kol_dead_with_line_and_reason(kol):
    video = event("a", 7, video_id="v").replace("profile", "video")
    future = event("a", 8).replace("2025", "2099")
    lines = [
        event("good", 1).encode(),
        b"not json",
        b'{"event_type":"profile"}',
        video.encode(),
        future.encode(),
        b'{"username":"\xff"}',
        event("good", 2).encode(),
    ]
    result = kol("log", "produce", "kol.profiles.raw", stdin=b"\n".join(lines) + b"\n")
    assert "accepted 2, dead 5" in result.errors
    assert "first at line 2: " in result.errors
    letters = dead(kol)
    assert [letter["line"] for letter in letters] == [2, 3, 4, 5, 6]
    assert {letter["file"] for letter in letters} == {"<stdin>"}
    assert {letter["topic"] for letter in letters} == {"kol.profiles.raw"}
    assert letters[0]["bytes"] == "not json"
    assert letters[2]["bytes"] == video and "kol.videos.raw" in letters[2]["reason"]
    assert "event_time" in letters[3]["reason"]
    assert base64.b64decode(letters[4]["bytes_base64"]) == lines[5]
    assert [json.loads(line)["event_id"] for line in values(kol)] == ["1", "2"]


def test_line_beyond_the_limit_is_dead_with_its_beginning(kol):
    long = event("a", 1, bio="x" * (1 << 20))
    result = kol("log", "produce", "kol.profiles.raw", stdin=f"{long}\n{event('b', 2)}\n")
    assert "accepted 1, dead 1" in result.errors
    (letter,) = dead(kol)
    assert letter["bytes"] == long[:4096] and "more than 1048576 bytes" in letter["reason"]


def test_other_topics_and_raw_take_lines_as_they_are(kol):
    kol("log", "produce", "my.notes", stdin=b"one\n  two \xff \nthree")
    result = kol("log", "tail", "my.notes", "--from", "start", "--values")
    assert result.out == b"one\n  two \xff \nthree\n"
    kol("log", "produce", "kol.profiles.raw", "--raw", "--partition", "3", stdin="no event\n")
    (row,) = records(kol)
    assert (row["partition"], row["key"], row["value"]) == (3, "", "no event")


def test_slip_in_a_topic_name_is_not_a_new_topic(kol):
    result = kol("log", "produce", "kol.profile.raw", stdin="{}\n", status=1)
    assert "did you mean kol.profiles.raw?" in result.errors
    assert kol("log", "topics", "--format", "json").json() == []


def test_acks_count_lines_batch_by_batch(kol):
    lines = [event("a", i) for i in range(25)]
    lines[3] = "broken"
    text = "\n".join(lines) + "\n"
    result = kol("log", "produce", "kol.profiles.raw", "--acks", "--batch", "10", stdin=text)
    assert result.text.split() == ["10", "20", "25"]


def test_typed_line_is_durable_while_stdin_stays_open(kol):
    running = kol.start("log", "produce", "kol.profiles.raw", "--acks")
    for number in (1, 2):
        running.process.stdin.write(event("a", number).encode() + b"\n")
        running.process.stdin.flush()
        assert running.process.stdout.readline() == f"{number}\n".encode()
        assert len(values(kol)) == number
    assert running.wait().status == 0


def test_slow_stream_without_a_pause_is_durable_in_time(kol):
    running = kol.start("log", "produce", "kol.profiles.raw", "--acks")
    start = time.monotonic()
    while time.monotonic() - start < 1.0:  # lines come faster than the 200 ms of an idle pipe
        running.process.stdin.write(event("a").encode() + b"\n")
        running.process.stdin.flush()
        time.sleep(0.02)
    acks = running.wait().text.split()
    assert len(acks) >= 3


def test_interrupt_keeps_what_was_taken(kol):
    running = kol.start("log", "produce", "kol.profiles.raw", "--acks")
    running.process.stdin.write(b"".join(event("a", i).encode() + b"\n" for i in range(5)))
    running.process.stdin.write(b'{"half a line')
    running.process.stdin.flush()
    wait_until(lambda: running.process.stdout.readline() == b"5\n", "the acknowledgement")
    running.signal(signal.SIGINT)
    result = running.wait()
    assert result.status == 130 and "accepted 5, dead 0" in result.errors
    assert len(values(kol)) == 5


# ---- tail ----


def test_tail_shows_the_last_ten_in_the_order_of_their_append(kol):
    for number in range(15):
        kol("log", "produce", "kol.profiles.raw", stdin=event(f"user{number}", number))
    shown = [json.loads(line)["post_count"] for line in values(kol)]
    assert shown == list(range(15))
    last = kol("log", "tail", "kol.profiles.raw", "--values").text.splitlines()
    assert [json.loads(line)["post_count"] for line in last] == list(range(5, 15))
    two = kol("log", "tail", "kol.profiles.raw", "--values", "--limit", "2").text.splitlines()
    assert [json.loads(line)["post_count"] for line in two] == [13, 14]
    first = values(kol, "kol.profiles.raw", "--limit", "3")
    assert [json.loads(line)["post_count"] for line in first] == [0, 1, 2]


def test_tail_begins_where_it_is_told(kol):
    kol("log", "produce", "t", "--partition", "2", stdin="".join(f"{i}\n" for i in range(100)))
    assert values(kol, "t", "--partition", "2") == [str(i) for i in range(100)]
    assert values(kol, "t", "--partition", "1") == []
    rows = records(kol, "t", "--from", "97")
    assert [(row["partition"], row["offset"], row["value"]) for row in rows] == [
        (2, 97, "97"),
        (2, 98, "98"),
        (2, 99, "99"),
    ]
    assert records(kol, "t", "--from", "end") == []
    for bad in ("soon", "-4", "3x"):
        assert "--from: " in kol("log", "tail", "t", "--from", bad, status=2).errors
    assert "partitions 0 to 7" in kol("log", "tail", "t", "--partition", "8", status=2).errors


def test_tail_prints_tables_and_csv(kol):
    kol("log", "produce", "t", "--partition", "0", stdin='a,"b"\nc\x07d\n')
    table = kol("log", "tail", "t").text.splitlines()
    assert table[0].split() == ["partition", "offset", "timestamp", "key", "value"]
    assert table[2].endswith("c\\x07d")
    rows = kol("log", "tail", "t", "--format", "csv").text.splitlines()
    assert rows[0] == "partition,offset,timestamp,key,value"
    assert rows[1].startswith("0,0,") and rows[1].endswith(',,"a,""b"""')


def test_follow_shows_new_records_until_it_is_interrupted(kol):
    kol("log", "produce", "t", stdin="old\n")
    running = kol.start("log", "tail", "t", "--follow", "--values")
    assert running.process.stdout.readline() == b"old\n"
    for word in ("new", "newer"):
        kol("log", "produce", "t", stdin=f"{word}\n")
        assert running.process.stdout.readline() == f"{word}\n".encode()
    running.signal(signal.SIGINT)
    assert running.wait().status == 130
    limited = kol.start("log", "tail", "t", "--follow", "--values", "--from", "end", "--limit", "1")
    wait_until(lambda: kol("log", "produce", "t", stdin="x\n") and limited.process.poll() == 0, "end")
    assert limited.process.stdout.read() == b"x\n"


def test_reader_that_goes_away_ends_the_tail(kol):
    kol("log", "produce", "t", "--partition", "0", stdin="line\n" * 200000)
    running = kol.start("log", "tail", "t", "--from", "start", "--values")
    running.process.stdout.read(10)
    running.process.stdout.close()
    running.process.stdout = None
    assert running.wait().status == 1


# ---- topics, groups, create ----


def test_topics_shows_sizes_and_create_makes_what_it_is_told(kol):
    kol("log", "create", "small", "--partitions", "2", "--retention", "1h")
    assert "exists" in kol("log", "create", "small", status=1).errors
    kol("log", "produce", "small", "--partition", "1", stdin="12345\n678\n")
    (row,) = kol("log", "topics", "--format", "json").json()
    assert (row["topic"], row["partitions"], row["records"], row["bytes"]) == ("small", 2, 2, 8)
    assert row["first_append"] <= row["last_append"]
    parts = kol("log", "topics", "--partition", "-1", "--format", "json").json()
    assert [(part["partition"], part["start"], part["end"]) for part in parts] == [
        (0, 0, 0),
        (1, 0, 2),
    ]
    assert parts[0]["first_append"] is None
    assert kol("log", "groups", "--format", "json").json() == []


def test_partitions_of_new_topics_are_an_option(kol):
    kol("log", "produce", "t", "--log-partitions", "3", stdin="x\n")
    assert kol("log", "topics", "--format", "json").json()[0]["partitions"] == 3


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["topcis"], "did you mean 'topics'?"),
        (["topics", "t"], "usage: kol log topics"),
        (["tail"], "usage: kol log tail TOPIC"),
        (["produce"], "usage: kol log produce TOPIC"),
    ],
)
def test_wrong_use_is_status_2(kol, args, hint):
    assert hint in kol("log", *args, status=2).errors
    assert not kol.data.exists()


@pytest.mark.parametrize("args", [["topics"], ["groups"], ["tail", "t"]])
def test_looking_into_a_log_that_is_not_there_makes_none(kol, args):
    assert "no event log in" in kol("log", *args, status=1).errors
    assert not kol.data.exists()


def test_a_topic_of_the_program_that_is_empty_still_is_no_error(kol):
    kol("demo", "--kols", 3)
    result = kol("log", "tail", "kol.dead", "--values")
    assert result.out == b"" and "nothing has come to kol.dead yet" in result.errors
    assert "does not exist" in kol("log", "tail", "kol.daed", status=1).errors


def test_following_a_topic_that_is_not_there_yet_shows_its_first_record(kol):
    kol("demo", "--kols", 3)
    tail = kol.start("log", "tail", "kol.dead", "--values", "--follow", "--from", "start")
    kol("import", "events", "-", stdin="broken\n")
    seen = wait_until(lambda: tail.process.stdout.read1(), "the dead letter")
    assert b'"bytes":"broken"' in seen
    tail.signal(signal.SIGINT)
    assert tail.wait().status == 130


def test_imports_keep_a_partition_within_its_limit(kol, tmp_path):
    kol("log", "create", "kol.profiles.raw", "--partitions", 1, "--retention-bytes", "1M")
    lines = "".join(event(f"k{n % 50}", n) + "\n" for n in range(30000))
    for _ in range(3):
        kol("import", "events", "-", stdin=lines, timeout=300)
        held = kol("log", "topics", "--format", "json").json()[0]
        assert 500_000 < held["bytes"] < 1_200_000
    late = kol("log", "tail", "kol.profiles.raw", "--from", "5", "--limit", "1", "--format", "json")
    assert "offsets 5 to " in late.errors and "were dropped by retention" in late.errors
    assert late.json()[0]["offset"] > 60000


@pytest.mark.parametrize("topic", ["kol.dead", "scores.stream"])
def test_topics_of_the_program_itself_take_no_events_by_hand(kol, topic):
    result = kol("log", "produce", topic, stdin=event("a") + "\n", status=2)
    assert "--raw" in result.errors
    kol("log", "produce", topic, "--raw", stdin="{}\n")
    assert kol("log", "tail", topic, "--values").out == b"{}\n"


def test_a_log_that_was_cut_is_told_from_one_that_is_not_there(kol):
    kol("demo", "--kols", 50)
    file = kol.data / "log" / "data.mdb"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "was cut" in kol("log", "topics", status=1).errors
    file.write_bytes(b"")
    assert "no event log in" in kol("log", "topics", status=1).errors
    file.write_bytes(whole)
    kol("log", "topics")


def test_an_id_goes_behind_a_null_one_that_is_spelled_with_escapes(kol):
    line = event("a").replace('"event_id": "0", ', "").replace('"event_id":"0",', "")
    assert "event_id" not in line
    kol("log", "produce", "kol.profiles.raw", stdin=line[:-1] + ',"event\\u005fid":null}\n')
    stored = json.loads(kol("log", "tail", "kol.profiles.raw", "--values").out)
    assert len(stored["event_id"]) == 32
