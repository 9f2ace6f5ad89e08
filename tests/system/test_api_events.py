"""Events over HTTP: what is accepted is in the log, what is not is named and in kol.dead."""

import json
import threading

import pytest
import requests

from served import Served
from support import Kol, wait_until

PROFILES = "/api/v1/events/kol.profiles.raw"
NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def event(number, **fields):
    common = {
        "event_id": f"e-{number}",
        "event_time": f"2025-06-01T00:00:00.{number % 1000000:06d}Z",
        "event_type": "profile",
        "platform": "tiktok",
        "username": f"user{number}",
        "followers_count": number,
    }
    return common | fields


def lines_of(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.fixture
def empty(kol_bin, tmp_path):
    """A server on a data folder with nothing in it, and the program on the same folder."""
    kol = Kol(kol_bin, tmp_path / "data")
    (tmp_path / "data").mkdir()
    yield Served(kol), kol
    kol.close()


@pytest.fixture(scope="module")
def shared(kol_bin, tmp_path_factory):
    """The same for tests that only look at what is answered."""
    folder = tmp_path_factory.mktemp("events") / "data"
    folder.mkdir()
    kol = Kol(kol_bin, folder)
    yield Served(kol), kol
    kol.close()


def values(kol, topic):
    text = kol("log", "tail", topic, "--from", "start", "--values").text
    return [json.loads(line) for line in text.splitlines()]


def send(server, body, headers=NDJSON, status=202, path=PROFILES):
    reply = requests.post(
        server.urls["api"].rstrip("/") + path, data=body, headers=headers, timeout=60
    )
    assert reply.status_code == status, reply.text
    return reply.json()


def test_one_event_is_in_the_log_byte_for_byte(empty):
    server, kol = empty
    sent = event(1, nickname='Đặng "x"', unknown_field={"a": [1]})
    body = json.dumps(sent, ensure_ascii=False).encode()
    got = send(server, body, JSON)
    assert got == {"topic": "kol.profiles.raw", "accepted": 1, "rejected": 0, "reasons": []}
    (record,) = kol("log", "tail", "kol.profiles.raw", "--format", "json", "--from", "start").json()
    assert record["key"] == "tiktok:user1"
    stored = kol("log", "tail", "kol.profiles.raw", "--from", "start", "--values").out
    assert stored.rstrip(b"\n") == body


def test_good_lines_go_in_beside_bad_ones(empty):
    server, kol = empty
    body = (
        b"\xef\xbb\xbf"
        + lines_of([event(1)])
        + b"no json\r\n"
        + b"\n   \n"
        + lines_of([event(2, platform="orkut"), event(3)])
        + lines_of([event(4, event_type="video", video_id="v")])
        + b'{"event_time":"2025-06-01T00:00:00Z","event_type":"profile","platform":"tiktok"}\n'
        + b"\xff\xfe\n"
        + lines_of([event(5)]).rstrip()
    )
    got = send(server, body)
    assert (got["accepted"], got["rejected"]) == (3, 5)
    assert [row["line"] for row in got["reasons"]] == [2, 5, 7, 8, 9]
    assert "platform" in got["reasons"][1]["reason"]
    assert "belongs to kol.videos.raw" in got["reasons"][2]["reason"]
    assert {row["event_id"] for row in values(kol, "kol.profiles.raw")} == {"e-1", "e-3", "e-5"}
    dead = values(kol, "kol.dead")
    assert sorted(row["reason"] for row in dead) == sorted(row["reason"] for row in got["reasons"])
    assert {row["topic"] for row in dead} == {"kol.profiles.raw"}


def test_an_event_on_several_lines_is_one_event(empty):
    server, kol = empty
    sent = event(7, bio="two\nlines")
    got = send(server, json.dumps(sent, indent=2).encode(), JSON)
    assert (got["accepted"], got["rejected"]) == (1, 0)
    assert values(kol, "kol.profiles.raw") == [sent]


def without_place(row):
    return {name: value for name, value in row.items() if name not in ("time", "file", "line")}


def test_events_are_those_that_the_command_takes(empty, tmp_path, kol_bin):
    """The same lines through `kol log produce`: the same records and the same dead letters."""
    server, kol = empty
    lines = [json.dumps(event(n)) for n in range(40)]
    lines += [
        "[]",
        "1",
        '"x"',
        "{}",
        json.dumps(event(1, event_id=None)),
        json.dumps(event(2, username="@ a ")),
    ]
    lines += [
        json.dumps(event(50, followers_count="many")),
        json.dumps(event(51, event_time="2001-01-01T00:00:00Z")),
    ]
    lines += [
        json.dumps(event(52, username="x" * 300)),
        json.dumps({"a": event(1)}),
        "{" * 40,
        "nul\\u0000l",
    ]
    got = send(server, "\n".join(lines).encode())
    other = Kol(kol_bin, tmp_path / "other")
    other("log", "produce", "kol.profiles.raw", stdin="\n".join(lines), status=None)
    for topic in ("kol.profiles.raw", "kol.dead"):
        mine, theirs = (
            sorted(json.dumps(without_place(row), sort_keys=True) for row in values(one, topic))
            for one in (kol, other)
        )
        assert mine == theirs
    assert got["accepted"] == len(values(kol, "kol.profiles.raw"))
    assert got["rejected"] == len(values(kol, "kol.dead")) > 5


def test_more_rejected_than_are_named_are_counted(empty):
    server, kol = empty
    got = send(server, b"bad\n" * 250 + lines_of([event(1)]))
    assert (got["accepted"], got["rejected"], len(got["reasons"])) == (1, 250, 100)
    assert len(values(kol, "kol.dead")) == 250


def test_a_body_of_nothing_but_bad_lines_is_refused_whole(empty):
    """It would become many times its size in kol.dead."""
    server, kol = empty
    got = send(server, lines_of([event(1)]) + b"x\n" * 2000000, status=422)
    assert got["code"] == "invalid_body" and "line 2" in got["detail"]
    assert sum(row["records"] for row in kol("log", "topics", "--format", "json").json()) == 0
    assert send(server, lines_of([event(1)]) + b"x\n" * 10000)["rejected"] == 10000


@pytest.mark.parametrize("body", [b"", b"\n \n\t\n"])
def test_a_body_without_an_event_is_refused(shared, body):
    server, _ = shared
    assert send(server, body, status=422)["code"] == "invalid_body"


def test_types_topics_and_sizes_are_bounded(shared):
    server, kol = shared
    line = lines_of([event(1)])
    assert send(server, line, {"Content-Type": "text/csv"}, 415)["code"] == "type_not_supported"
    for topic in ("kol.dead", "scores.stream", "x", "..", "kol.profiles.raw'; --"):
        quoted = requests.utils.quote(topic, safe="")
        send(server, line, status=422 if topic != ".." else 404, path=f"/api/v1/events/{quoted}")
    full = line * (5 * 1024 * 1024 // len(line))
    assert send(server, full)["accepted"] == len(full) // len(line)
    assert send(server, full + line, status=413)["code"] == "body_too_large"
    before = len(values(kol, "kol.profiles.raw"))
    assert before == len(full) // len(line)


def test_an_event_that_is_too_long_is_named_and_cut(empty):
    server, kol = empty
    got = send(server, lines_of([event(1, bio="x" * (1 << 20)), event(2)]))
    assert (got["accepted"], got["rejected"]) == (1, 1)
    assert "more than 1048576 bytes" in got["reasons"][0]["reason"]
    (dead,) = values(kol, "kol.dead")
    assert len(dead["bytes"]) == 4096


def test_events_reach_the_api(empty):
    """Posted, ingested, and answered: no other way in."""
    server, kol = empty
    send(server, lines_of([event(n, nickname=f"Nguyễn {n}") for n in range(20)]))
    kol("ingest")
    kol("etl")
    wait_until(lambda: server.ask("/api/v1/kols/user3").status == 200, "the first copy")
    assert server.get("/api/v1/kols/user3")["followers_count"] == 3
    found = server.get("/api/v1/search", q="nguyen 1", limit=100)["data"]
    assert {row["kol_id"] for row in found} == {f"user{n}" for n in (1, *range(10, 20))}


def test_what_was_acknowledged_survives_kill_9(empty):
    server, kol = empty
    acknowledged, stop = [], threading.Event()

    def keep_sending(start):
        number = start
        while not stop.is_set():
            rows = [event(number + i) for i in range(50)]
            number += 50
            try:
                got = send(server, lines_of(rows))
            except requests.RequestException:
                return
            assert got["accepted"] == 50
            acknowledged.extend(row["event_id"] for row in rows)

    threads = [threading.Thread(target=keep_sending, args=(10**6 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) > 2000, "some thousand events")
    server.running.kill()
    stop.set()
    for thread in threads:
        thread.join()
    there = [row["event_id"] for row in values(kol, "kol.profiles.raw")]
    assert set(acknowledged) <= set(there)
    assert len(there) == len(set(there))  # what was not acknowledged came whole or not at all
    assert len(there) % 50 == 0


def test_a_full_log_says_so_and_takes_nothing_of_it(kol_bin, tmp_path):
    kol = Kol(kol_bin, tmp_path / "data")
    (tmp_path / "data").mkdir()
    try:
        server = Served(kol, "--log-map-size", "8MiB")
        accepted, status = 0, 202
        while status == 202:
            rows = [event(accepted + n, bio="x" * 2000) for n in range(200)]
            reply = server.ask(PROFILES, "POST", lines_of(rows), NDJSON)
            status = reply.status
            accepted += reply.json()["accepted"] if status == 202 else 0
            assert accepted < 10000
        assert status == 507 and reply.json()["code"] == "no_space", reply
        assert accepted > 0
        assert server.ask("/healthz").status == 200
    finally:
        kol.close()


def test_only_a_key_that_may_write_may_post(kol_bin, tmp_path):
    kol = Kol(kol_bin, tmp_path / "data")
    (tmp_path / "data").mkdir()
    try:
        keys = {
            scope: kol("keys", "create", scope, "--scope", scope, "--format", "json").json()[0][
                "key"
            ]
            for scope in ("read", "write")
        }
        server = Served(kol)
        line = lines_of([event(1)])
        assert send(server, line, NDJSON, 401)["code"] == "key_required"
        assert (
            send(server, line, NDJSON | {"X-API-Key": keys["read"]}, 403)["code"] == "scope_missing"
        )
        assert send(server, line, NDJSON | {"X-API-Key": keys["write"]})["accepted"] == 1
    finally:
        kol.close()
