"""`kol import`: files of every shape, what is broken in them, and what is said about it."""

import ctypes
import gzip
import io
import json
import os

import pytest

from support import wait_until

PROFILES, DEAD = "kol.profiles.raw", "kol.dead"

PRESET = {
    "name": "mine",
    "help": "accounts of a test",
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
TIME = "2025-05-01T10:00:00Z"
HEADER = "user,followers,about,time\n"


@pytest.fixture
def preset(tmp_path):
    """Path of a preset of one's own."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(PRESET))
    return path


def read(kol, topic):
    """The values of a topic in the order of their append."""
    if not any(row["topic"] == topic for row in kol("log", "topics", "--format", "json").json()):
        return []
    result = kol("log", "tail", topic, "--from", "start", "--values")
    return [json.loads(line) for line in result.out.splitlines()]


def by_name(kol):
    return {event["username"]: event for event in read(kol, PROFILES)}


def report(result):
    (row,) = result.json()
    return row


def import_text(kol, preset, tmp_path, text, *flags, name="file.csv", status=0):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return kol("import", preset, path, "--format", "json", *flags, status=status)


def event(name, **more):
    fields = {"event_type": "profile", "platform": "tiktok", "username": name, "event_time": TIME}
    return fields | more


def lines(*events):
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in events).encode()


def pack_zstd(data):
    """By the library that kol itself is linked with: Python 3.11 has no module for it."""
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compress.restype = library.ZSTD_compressBound.restype = ctypes.c_size_t
    room = ctypes.c_size_t(library.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    out = ctypes.create_string_buffer(room.value)
    size = library.ZSTD_compress(out, room, data, ctypes.c_size_t(len(data)), 3)
    return out.raw[:size]


# ---- what reads ----


def test_csv_of_every_kind_of_line_end_and_quote(kol, preset, tmp_path):
    text = (
        b"\xef\xbb\xbfuser,followers,about,time\r\n"
        b'a,1,"line one\r\nline ""two""\rthree, and four\nfive",' + TIME.encode() + b"\r\n"
        b"\r\n"
        b"b,2,," + TIME.encode() + b"\n"
        b'"c",,plain "quoted" text,"' + TIME.encode() + b'"'
    )
    row = report(import_text(kol, preset, tmp_path, text))
    assert (row["records"], row["events"], row["dead"], row["bytes"]) == (3, 3, 0, len(text))
    events = by_name(kol)
    assert events["a"]["bio"] == 'line one\r\nline "two"\rthree, and four\nfive'
    assert events["b"]["bio"] == "" and events["b"]["followers_count"] == 2
    assert events["c"]["bio"] == 'plain "quoted" text' and "followers_count" not in events["c"]


def test_text_survives_byte_for_byte(kol, tmp_path):
    bio = "Chào các bạn 👋🏽\n\t\"quoted\" \\ back\u0000slash \u2028 \U0001f1fb\U0001f1f3"
    path = tmp_path / "e.jsonl"
    path.write_bytes(lines(event("nguyễn_văn_a", bio=bio)))
    kol("import", "events", path)
    assert by_name(kol)["nguyễn_văn_a"]["bio"] == bio


def test_ndjson_with_mark_crlf_blank_lines_and_open_end(kol, tmp_path):
    one, two, three = (lines(event(name)).strip() for name in "abc")
    text = b"\xef\xbb\xbf" + one + b"\r\n\r\n  \n" + two + b"\n\n" + three
    row = report(import_text(kol, "events", tmp_path, text, name="e.jsonl"))
    assert (row["records"], row["events"], row["layout"]) == (3, 3, None)
    assert set(by_name(kol)) == {"a", "b", "c"}


@pytest.mark.parametrize("name", ["e.jsonl.gz", "named-like-nothing"])
def test_gzip_is_told_by_its_bytes(kol, tmp_path, name):
    text = lines(*(event(f"u{i}") for i in range(5000)))
    packed = gzip.compress(text[: len(text) // 2]) + gzip.compress(text[len(text) // 2 :])
    row = report(import_text(kol, "events", tmp_path, packed, name=name))
    assert (row["events"], row["bytes"]) == (5000, len(text))


def test_zstd_is_read(kol, tmp_path):
    text = lines(*(event(f"u{i}") for i in range(5000)))
    row = report(import_text(kol, "events", tmp_path, pack_zstd(text), name="e.zst"))
    assert (row["events"], row["bytes"]) == (5000, len(text))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, pack_zstd])
def test_stdin_is_read_packed_or_not(kol, pack):
    text = lines(*(event(f"u{i}") for i in range(100)))
    row = report(kol("import", "events", "-", "--format", "json", stdin=pack(text)))
    assert (row["events"], row["file"], row["bytes"]) == (100, "-", len(text))


def test_csv_comes_from_stdin_too(kol, preset):
    text = HEADER + f"a,1,x,{TIME}\n"
    assert report(kol("import", preset, "-", "--format", "json", stdin=text))["events"] == 1


def test_quiet_stdin_is_made_durable_without_waiting_for_more(kol, data):
    running = kol.start("import", "events", "-")
    running.process.stdin.write(lines(event("early")))
    running.process.stdin.flush()
    wait_until(lambda: data.is_dir() and "early" in by_name(kol), "the event in the log")
    assert running.process.poll() is None
    assert running.wait(stdin=lines(event("late"))).status == 0
    assert set(by_name(kol)) == {"early", "late"}


def test_named_pipe_is_read_like_stdin(kol, tmp_path):
    """What `kol import events <(crawler)` gives the program."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    running = kol.start("import", "events", pipe, "--format", "json")
    pipe.write_bytes(lines(event("a"), event("b")))
    assert report(running.wait())["events"] == 2


def test_several_files_in_one_command(kol, preset, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(HEADER + f"{name},1,x,{TIME}\n")
    rows = kol(
        "import", preset, tmp_path / "a.csv", tmp_path / "b.csv", "--format", "json"
    ).json()
    assert [(row["events"], row["complete"]) for row in rows] == [(1, True), (1, True)]


# ---- what is broken ----


def test_broken_records_name_file_line_and_reason_and_the_rest_goes_on(kol, preset, tmp_path):
    text = (
        HEADER + f'a,1,"two\nlines",{TIME}\n'
        f"b,1,too,many,{TIME}\n"
        f'c,1,"quote"d,{TIME}\n'
        f"d,many,x,{TIME}\n"
        f"e,1,x,2099-01-01T00:00:00Z\n"
        f"f,1,x,1970-01-01T00:00:00Z\n"
        f",1,x,{TIME}\n"
        f"g,1,x,{TIME}\n"
        f'h,1,"never closed,{TIME}\n'
        f"i,1,x,{TIME}\n"
    )
    result = import_text(kol, preset, tmp_path, text)
    row = report(result)
    assert (row["records"], row["events"], row["dead"]) == (10, 3, 7)
    assert set(by_name(kol)) == {"a", "g", "i"}
    path = tmp_path / "file.csv"
    reasons = {
        4: "5 cells, the header has 4",
        5: "text after a closing quote",
        6: "followers_count",
        7: "event_time",
        8: "event_time",
        9: "username",
        11: "a quote is never closed",
    }
    dead = read(kol, DEAD)
    for letter in dead:
        assert reasons[letter["line"]] in letter["reason"]
        assert letter["file"] == str(path)
        assert letter["bytes"] == text.splitlines()[letter["line"] - 1]
    assert sorted(letter["line"] for letter in dead) == sorted(reasons)
    assert {letter.get("topic") for letter in dead if letter["line"] in (6, 7, 8, 9)} == {PROFILES}
    for line, reason in reasons.items():
        assert f"{path}:{line}: " in result.errors or line == 8, reason


def test_an_event_of_2099_or_1970_is_dead_and_moves_nothing(kol, tmp_path):
    events = [event("a", event_time=f"{year}-01-01T00:00:00Z") for year in (2099, 1970, 2004)]
    row = report(import_text(kol, "events", tmp_path, lines(*events, event("b")), name="e.jsonl"))
    assert (row["events"], row["dead"]) == (1, 3)
    assert set(by_name(kol)) == {"b"}
    assert all("event_time" in letter["reason"] for letter in read(kol, DEAD))


def test_broken_lines_of_ndjson_go_to_dead(kol, tmp_path):
    text = (
        lines(event("a"))
        + b'{"event_type":"profile"\n'
        + b"not json\n"
        + b'{"x":"\xff"}\n'
        + lines(event("b"))
    )
    result = import_text(kol, "events", tmp_path, text, name="e.jsonl")
    assert (report(result)["events"], report(result)["dead"]) == (2, 3)
    dead = {letter["line"]: letter for letter in read(kol, DEAD)}
    assert set(dead) == {2, 3, 4}
    assert dead[3]["bytes"] == "not json"
    assert "bytes_base64" in dead[4]
    assert f"{tmp_path}/e.jsonl:4: not " in result.errors


def test_line_above_the_limit_is_dead_and_cut(kol, tmp_path):
    long = event("long", bio="x" * (1 << 20))
    text = lines(event("a"), long, event("b"))
    row = report(import_text(kol, "events", tmp_path, text, name="e.jsonl"))
    assert (row["events"], row["dead"]) == (2, 1)
    (letter,) = read(kol, DEAD)
    assert letter["line"] == 2 and "longer than the 1048576 bytes" in letter["reason"]
    assert "only its front is kept" in letter["reason"]
    assert letter["bytes"] == text.splitlines()[1].decode()[: 1 << 20]


def test_strict_fails_where_anything_was_dead(kol, preset, tmp_path):
    bad = HEADER + "a,1,x,yesterday\n" + f"b,1,x,{TIME}\n"
    assert "--strict" in import_text(kol, preset, tmp_path, bad, "--strict", status=1).errors
    assert set(by_name(kol)) == {"b"}
    import_text(kol, preset, tmp_path, bad, status=0)
    good = HEADER + f"c,1,x,{TIME}\n"
    import_text(kol, preset, tmp_path, good, "--strict", status=0)


def test_cut_gzip_is_an_error_and_what_came_before_is_kept(kol, tmp_path):
    text = lines(*(event(f"u{i}", bio=os.urandom(40).hex()) for i in range(20000)))
    packed = gzip.compress(text)
    path = tmp_path / "e.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    result = kol("import", "events", path, "--format", "json", status=1)
    assert str(path) in result.errors and "stops too early" in result.errors
    row = report(result)
    assert row["complete"] is False and 5000 < row["events"] < 15000
    names = [each["username"] for each in read(kol, PROFILES)]
    assert sorted(names) == sorted(f"u{i}" for i in range(row["events"]))


def test_damaged_zstd_is_an_error(kol, tmp_path):
    text = lines(*(event(f"u{i}") for i in range(5000)))
    packed = bytearray(pack_zstd(text))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "e.zst"
    path.write_bytes(packed)
    result = kol("import", "events", path, status=1)
    assert str(path) in result.errors and "zstd data" in result.errors


def test_header_that_does_not_fit_names_what_is_missing(kol, preset, tmp_path):
    result = import_text(kol, preset, tmp_path, "user,folowers,about\na,1,x\n", status=1)
    assert f"{tmp_path}/file.csv:1: " in result.errors
    assert 'followers (is "folowers" meant?)' in result.errors and "time" in result.errors
    assert read(kol, PROFILES) == []


def test_empty_file_and_broken_header(kol, preset, tmp_path):
    assert "not even a header" in import_text(kol, preset, tmp_path, "", status=1).errors
    broken = import_text(kol, preset, tmp_path, 'user,"x"y\na,b\n', status=1)
    assert "the header is broken" in broken.errors
    assert report(import_text(kol, "events", tmp_path, "", name="e.jsonl"))["records"] == 0


def test_header_alone_is_a_file_without_records(kol, preset, tmp_path):
    row = report(import_text(kol, preset, tmp_path, HEADER))
    assert (row["records"], row["complete"]) == (0, True)


def test_file_that_is_not_there_stops_before_anything_is_done(kol, preset, tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + f"a,1,x,{TIME}\n")
    result = kol("import", preset, tmp_path / "a.csv", tmp_path / "none.csv", status=None)
    assert result.status != 0 and "none.csv" in result.errors
    assert read(kol, PROFILES) == []


def test_file_named_twice_is_refused(kol, preset, tmp_path):
    (tmp_path / "a.csv").write_text(HEADER)
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    result = kol("import", preset, tmp_path / "a.csv", tmp_path / "b.csv", status=2)
    assert "named twice" in result.errors


# ---- presets and flags ----


def test_list_shows_every_preset(kol, tmp_path):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/mine.json").write_text(json.dumps(PRESET))
    rows = kol("import", "--list", "--format", "json").json()
    names = {row["preset"] for row in rows}
    built_in = {"events", "tides", "tiktok-discover", "tiktok-vn", "twitter-bots"}
    assert names == built_in | {"youtube-trending"}
    assert all(row["help"] and row["origin"] == "built in" for row in rows)
    rows = kol(
        "import", "--list", "--import-presets", tmp_path / "presets", "--format", "json"
    ).json()
    assert {row["preset"] for row in rows} - names == {"mine"}


def test_preset_of_ones_own_hides_a_built_in_one(kol, tmp_path):
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "tides.json").write_text(json.dumps(PRESET | {"name": "tides"}))
    flags = ("--import-presets", folder)
    row = report(import_text(kol, "tides", tmp_path, HEADER + f"a,1,x,{TIME}\n", *flags))
    assert row["layout"] == "accounts"


def test_wrong_preset_names_and_files(kol, tmp_path):
    (tmp_path / "x.csv").write_text("a\n")
    result = kol("import", "twiter-bots", tmp_path / "x.csv", status=2)
    assert 'is "twitter-bots" meant?' in result.errors
    (tmp_path / "bad.json").write_text(json.dumps(PRESET | {"formt": "csv"}))
    result = kol("import", tmp_path / "bad.json", tmp_path / "x.csv", status=1)
    assert f'{tmp_path}/bad.json: $: no key "formt"; is "format" meant?' in result.errors
    assert kol("import", "events", status=2)


def test_set_gives_fields_in_csv_and_in_ndjson(kol, preset, tmp_path):
    time = "2024-02-03T04:05:06Z"
    flags = ("--set", f"event_time={time},lang=vi\\,en")
    import_text(kol, preset, tmp_path, HEADER + "a,1,x,\n", *flags)
    line = b'{"event_type":"profile","platform":"tiktok","username":"b","extra":1}\n'
    import_text(kol, "events", tmp_path, line, *flags, name="e.jsonl")
    events = by_name(kol)
    assert [(events[name]["event_time"], events[name]["lang"]) for name in "ab"] == [
        (time, "vi,en")
    ] * 2
    broken = import_text(kol, "events", tmp_path, b"[1]\n", *flags, name="f.jsonl")
    assert report(broken)["dead"] == 1
    result = import_text(kol, preset, tmp_path, HEADER, "--set", "event_tim=x", status=2)
    assert 'no event of preset mine has a field "event_tim"' in result.errors


def test_record_with_one_bad_event_gives_the_good_one_and_one_dead_letter(kol, tmp_path):
    two = json.loads(json.dumps(PRESET))
    video = {
        "type": "video",
        "set": {
            "platform": {"constant": "tiktok"},
            "event_time": {"column": "time"},
            "video_id": {"column": "user"},
            "view_count": {"column": "followers"},
            "title": {"column": "about"},
        },
    }
    two["layouts"][0]["events"].append(video)
    two["layouts"][0]["events"][0]["set"].pop("followers_count")
    path = tmp_path / "two.json"
    path.write_text(json.dumps(two))
    text = HEADER + f"a,1,x,{TIME}\nb,bad,x,{TIME}\nc,1,x,never\n"
    row = report(import_text(kol, path, tmp_path, text))
    assert (row["records"], row["events"], row["dead"]) == (3, 3, 2)
    assert (row["profiles"], row["videos"]) == (2, 1)
    assert sorted(letter["line"] for letter in read(kol, DEAD)) == [3, 4]


def test_condition_that_never_holds_is_counted_as_skipped(kol, tmp_path):
    mine = json.loads(json.dumps(PRESET))
    mine["layouts"][0]["events"][0]["when"] = {"column": "followers", "not_empty": True}
    path = tmp_path / "when.json"
    path.write_text(json.dumps(mine))
    row = report(import_text(kol, path, tmp_path, HEADER + f"a,1,x,{TIME}\nb,,x,{TIME}\n"))
    assert (row["records"], row["events"], row["skipped"]) == (2, 1, 1)


def test_semicolons_and_tabs(kol, tmp_path):
    for delimiter in ";\t":
        path = tmp_path / "other.json"
        path.write_text(json.dumps(PRESET | {"delimiter": delimiter}))
        text = HEADER.replace(",", delimiter) + f'a;"1";x,y;{TIME}\n'.replace(";", delimiter)
        assert report(import_text(kol, path, tmp_path, text))["events"] == 1
    assert by_name(kol)["a"]["bio"] == "x,y"


def test_report_is_a_table_too(kol, preset, tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + f"a,1,x,{TIME}\n")
    result = kol("import", preset, tmp_path / "a.csv")
    assert result.text.split("\n")[0].split()[:4] == ["file", "layout", "records", "events"]
    assert "1 records, 1 events, 0 dead" in result.errors


def test_ten_thousand_cells_and_deep_files_stay_bounded(kol, preset, tmp_path):
    text = io.StringIO()
    text.write(HEADER)
    text.write("x," * 10000 + "\n")
    text.write(f"a,1,x,{TIME}\n")
    row = report(import_text(kol, preset, tmp_path, text.getvalue()))
    assert (row["events"], row["dead"]) == (1, 1)
    assert "more than 4096 cells" in read(kol, DEAD)[0]["reason"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("verified=yes", '"verified":true'),
        ("verified=0", '"verified":false'),
        ("followers_count=+5", '"followers_count":5'),
        ("followers_count=007", '"followers_count":7'),
        ("bio=a \"b\"\\, c", '"bio":"a \\"b\\", c"'),
    ],
)
def test_values_by_hand_are_read_as_a_preset_reads_cells(kol, tmp_path, given, expected):
    result = import_text(kol, "events", tmp_path, lines(event("a")), "--set", given, name="e.jsonl")
    assert report(result)["dead"] == 0
    assert expected in kol("log", "tail", "kol.profiles.raw", "--values").text


def test_a_layout_without_a_column_is_refused(kol, tmp_path):
    layout = {"name": "l", "events": [{"type": "profile", "set": {"platform": {"constant": "tiktok"}}}]}
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"name": "p", "help": "h", "format": "csv", "layouts": [layout]}))
    (tmp_path / "x.csv").write_text("a\n1\n")
    result = kol("import", bad, tmp_path / "x.csv", status=None)
    assert result.status != 0 and "names no column" in result.errors
