"""The HTTP server's answers: forms, headers, conditions, keys, origins, limits, streams, stop."""

import gzip
import http.client
import itertools
import json
import random
import socket
import ssl
import subprocess
import threading
import time
import zlib
from email.utils import parsedate_to_datetime

import pytest
import zstandard
from http_served import Served, read_answer, starting

GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def serve():
    yield from starting()


@pytest.fixture(scope="module")
def plain():
    """One server with default options, for what changes nothing."""
    server = Served("shared=1")
    yield server
    server.close()


# ---- what an answer looks like ----


def test_every_answer_has_an_id_and_no_sniffing(plain):
    for path in ("/ping", "/worker", "/hit", "/nope", "/echo/x?count=0", "/admin"):
        headers = plain.ask(path).headers
        assert len(headers["x-request-id"]) == 24
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"]


def test_every_answer_says_once_what_time_it_is(plain):
    for path in ("/ping", "/worker", "/hit", "/nope"):
        before = time.time()
        connection = http.client.HTTPConnection("127.0.0.1", plain.port, timeout=30)
        connection.request("GET", path)
        (date,) = connection.getresponse().headers.get_all("Date")
        connection.close()
        assert before - 2 < parsedate_to_datetime(date).timestamp() <= time.time(), date


def test_a_safe_request_id_is_taken_over_and_others_are_not(plain):
    def given(value):
        return plain.ask("/echo/x", headers={"X-Request-Id": value}).headers["x-request-id"]

    assert given("abc-DEF_1.2:3") == "abc-DEF_1.2:3"
    assert given("a" * 64) == "a" * 64
    for bad in ("a" * 65, "a b", 'a"b', "é", "a;b", ""):
        assert given(bad) != bad
    assert plain.ask("/echo/x", headers={"X-Request-Id": "mine"}).json()["id"] == "mine"


def test_a_worker_sees_parameters_headers_and_key(plain):
    got = plain.ask("/echo/a%20b?count=7", headers={"User-Agent": "me"}).json()
    assert (got["name"], got["count"], got["agent"], got["caller"]) == ("a b", 7, "me", "")
    one, other = (plain.ask(path).json()["key"] for path in ("/echo/x?count=7", "/echo/%78?count=07"))
    assert one == other
    assert plain.ask("/echo/x?count=8").json()["key"] != one


def test_head_is_get_without_a_body(plain):
    for path in ("/ping", "/worker", "/hit"):
        get, head = plain.ask(path), plain.ask(path, "HEAD")
        assert head.status == 200 and head.body == b""
        for name in ("content-length", "etag", "content-type"):
            assert head.headers[name] == get.headers[name]
    assert plain.ask("/stream", "HEAD").status == 200
    plain.wait_stats(lambda stats: stats["streams"] == 0, "the end of the stream nobody reads")


def test_problems_by_what_went_wrong(plain):
    for path, status, code in (
        ("/nope", 404, "no_such_path"),
        ("/echo/x?count=0", 422, "invalid_parameter"),
        ("/echo/x?cuont=1", 422, "invalid_parameter"),
        ("/fail?how=missing", 404, "not_found"),
        ("/fail?how=teapot", 418, "teapot"),
        ("/fail?how=io", 500, "internal"),
        ("/fail?how=late", 504, "timeout"),
        ("/echo/%ff", 422, "invalid_parameter"),
    ):
        answer = plain.ask(path)
        assert (answer.status, answer.code) == (status, code), path
        assert "etag" not in answer.headers
        assert b"disk7" not in answer.body, "internals of a failure"


def test_methods(plain):
    answer = plain.ask("/things", "DELETE")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert plain.ask("/ping", "PATCH").status == 405
    assert plain.ask("/ping", "TRACE").status == 405
    assert plain.ask("/nope", "PATCH").status == 404
    answer = plain.ask("/things", "OPTIONS")
    assert answer.status == 204 and answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert plain.ask("/nope", "OPTIONS").status == 404


def test_types_by_accept_and_format(plain):
    def kind(path, accept=None):
        answer = plain.ask(path, headers={"Accept": accept} if accept else None)
        return answer.status if answer.status != 200 else answer.headers["content-type"]

    assert kind("/echo/x") == "application/json"
    assert kind("/echo/x", "text/csv") == "text/csv"
    assert kind("/echo/x", "text/csv;q=0.1, application/json") == "application/json"
    assert kind("/echo/x", "image/png") == 406
    assert kind("/echo/x?format=csv", "application/json") == "text/csv"
    assert kind("/page") == "text/html"
    assert "Accept" in plain.ask("/echo/x").headers["vary"]
    page = plain.ask("/page").headers
    assert "frame-ancestors" in page["content-security-policy"]
    assert page["referrer-policy"] == "same-origin"


# ---- codings and conditions ----


def decoded(answer):
    coding = answer.headers.get("content-encoding")
    if coding == "gzip":
        return gzip.decompress(answer.body)
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(answer.body)
    assert coding is None, coding
    return answer.body


def test_codings_by_weight(plain):
    plain_body = plain.ask("/big").body
    second = plain.ask("/big", headers={"Accept-Encoding": "br, zstd"}).headers["content-encoding"]
    assert second in ("br", "zstd")

    def coding(accept):
        answer = plain.ask("/big", headers={"Accept-Encoding": accept})
        assert answer.headers["vary"] == "Accept-Encoding"
        if answer.status == 200 and answer.headers.get("content-encoding") != "br":
            assert decoded(answer) == plain_body
        return answer.headers.get("content-encoding") if answer.status == 200 else answer.status

    assert coding("gzip") == "gzip"
    assert coding("x-gzip") == "gzip"
    assert coding("gzip;q=0") is None
    assert coding("gzip;q=0.5, identity;q=0.9") is None
    assert coding(f"gzip;q=0.2, {second};q=0.8") == second
    assert coding("*;q=0, gzip") == "gzip"
    assert coding("deflate") is None
    assert coding("") is None
    assert coding("gzip;q=banana") is None
    assert coding("identity;q=0, gzip;q=0.1") == "gzip"


def test_identity_refused_and_nothing_else_there(plain):
    small = plain.ask("/ping", headers={"Accept-Encoding": "identity;q=0, gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(small.body)) == {"pong": True}
    refused = plain.ask("/ping", headers={"Accept-Encoding": "identity;q=0"})
    assert (refused.status, refused.code) == (406, "not_acceptable")


def test_each_coding_has_its_own_strong_etag(plain):
    tags = {plain.ask("/big", headers={"Accept-Encoding": coding}).headers["etag"]
            for coding in ("identity", "gzip", "br, zstd")}
    assert len(tags) == 3
    assert all(tag.startswith('"') for tag in tags)


@pytest.mark.parametrize("path", ["/hit", "/big", "/ping", "/worker"])
def test_conditional_requests(plain, path):
    etag = plain.ask(path).headers["etag"]
    for value in (etag, "*", f'"other", {etag}', f"W/{etag}", f'"a,b",W/"c" , {etag}'):
        answer = plain.ask(path, headers={"If-None-Match": value})
        assert answer.status == 304 and answer.headers["etag"] == etag, value
        assert answer.headers["cache-control"]
    for value in ('"other"', etag[1:-1], f'"x{etag[1:]}', '"unclosed', ""):
        assert plain.ask(path, headers={"If-None-Match": value}).status == 200, value


def test_304_is_by_the_coding_that_would_be_sent(plain):
    zipped = plain.ask("/big", headers={"Accept-Encoding": "gzip"}).headers["etag"]
    assert plain.ask("/big", headers={"If-None-Match": zipped}).status == 200
    both = {"If-None-Match": zipped, "Accept-Encoding": "gzip"}
    assert plain.ask("/big", headers=both).status == 304


def test_a_hit_says_where_it_came_from(plain):
    answer = plain.ask("/hit")
    assert answer.headers["cache-status"] == "made-up; hit; ttl=55"
    assert answer.headers["age"] == "5"
    assert answer.headers["cache-control"] == (
        "public, max-age=60, stale-while-revalidate=30, stale-if-error=600"
    )
    assert plain.ask("/worker").headers["cache-control"] == "no-store"


def test_an_answer_that_is_sent_again_and_again_says_nothing_of_others(serve):
    """One event thread, several connections, requests of all kinds under way at once, also several of one
    connection: each gets what is its own, though much of what it gets is kept from one to the next."""
    server = serve("shared=1", "threads=1", "rate_per_minute=1", "burst=3000", "cors_origins=https://a.example")
    etags = {
        coding: server.ask("/hit", headers={"Accept-Encoding": coding, "X-API-Key": "admin-key"}).headers["etag"]
        for coding in ("identity", "gzip")
    }
    remaining, begun = {"": [], "reader-key": []}, time.monotonic()
    dice = random.Random(5)
    sockets = [server.connect() for _ in range(4)]
    streams = [sock.makefile("rb") for sock in sockets]
    bodies = set()

    def request(number):
        coding = dice.choice(("identity", "gzip"))
        asked = {"Host": "x", "X-Age": str(dice.choice((-1, 0, 5, 50))), "Accept-Encoding": coding}
        some = {
            "X-Request-Id": f"mine-{number}",
            "If-None-Match": etags[dice.choice(tuple(etags))],
            "X-API-Key": "reader-key",
            "Origin": "https://a.example",
        }
        asked |= {name: value for name, value in some.items() if dice.random() < 0.2}
        return dice.choice(("GET", "GET", "HEAD")), asked

    def text_of(method, asked):
        return f"{method} /hit HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in asked.items()) + "\r\n"

    def check(method, asked, answer):
        headers, coding = answer.headers, asked["Accept-Encoding"]
        unchanged = asked.get("If-None-Match") == etags[coding]
        assert answer.status == (304 if unchanged else 200)
        assert headers["etag"] == etags[coding]
        assert headers.get("content-encoding", "identity") == coding
        assert headers["x-request-id"] == asked.get("X-Request-Id", headers["x-request-id"])
        ids.add(headers["x-request-id"])
        age = int(asked["X-Age"])
        assert headers.get("age") == (str(age) if age >= 0 else None)
        assert headers["cache-status"] == f"made-up; hit; ttl={60 - age}"
        assert headers["cache-control"].split(",")[0] == ("private" if "X-API-Key" in asked else "public")
        assert headers.get("access-control-allow-origin") == asked.get("Origin")
        assert headers["vary"] == "Accept-Encoding, Origin"
        assert headers["ratelimit-limit"] == "3000"
        remaining[asked.get("X-API-Key", "")].append(int(headers["ratelimit-remaining"]))
        assert "connection" not in headers
        if method == "GET" and not unchanged:
            bodies.add(decoded(answer))

    ids, sent, number = set(), 0, itertools.count()
    while sent < 2000:
        batches = [[request(next(number)) for _ in range(dice.choice((1, 1, 3)))] for _ in sockets]
        for sock, batch in zip(sockets, batches):
            sock.sendall("".join(text_of(*one) for one in batch).encode())
        for at in dice.sample(range(len(sockets)), len(sockets)):
            for method, asked in batches[at]:
                check(method, asked, read_answer(streams[at], head=method == "HEAD"))
            sent += len(batches[at])
    assert len(ids) == sent and len(bodies) == 1
    came_back = int((time.monotonic() - begun) / 60) + 1  # one a minute
    for told in remaining.values():  # by whom first is the server's choice, but each number is told once
        assert len(told) - len(set(told)) <= came_back
        assert 3000 - len(told) <= min(told) <= 3000 - len(told) + came_back
    (body,) = bodies
    assert len(body) > 1000
    for sock, stream in zip(sockets, streams):
        stream.close()
        sock.close()


# ---- keys, rates, origins ----


def test_keys_and_scopes(plain):
    refused = plain.ask("/secret/x")
    assert (refused.status, refused.code) == (401, "key_required")
    assert refused.headers["www-authenticate"]
    wrong = plain.ask("/ping", headers={"X-API-Key": "wrong"})
    assert (wrong.status, wrong.code) == (401, "key_invalid"), "also where no key is needed"
    fine = plain.ask("/secret/x", headers={"X-API-Key": "reader-key"})
    assert fine.json()["caller"] == "reader"
    assert fine.headers["cache-control"] == "private, max-age=60"
    scope = plain.ask("/admin", headers={"X-API-Key": "reader-key"})
    assert (scope.status, scope.code) == (403, "scope_missing")
    assert plain.ask("/admin", headers={"X-API-Key": "admin-key"}).status == 200
    assert plain.ask("/nope", headers={"X-API-Key": "wrong"}).status == 401
    shared = plain.ask("/hit", headers={"X-API-Key": "reader-key"}).headers["cache-control"]
    assert shared.startswith("private")


def test_no_keys_all_open(serve):
    server = serve("open=1")
    assert server.ask("/admin").status == 200
    assert server.ask("/admin", headers={"X-API-Key": "whatever"}).status == 200


def test_rates_by_key_and_by_address(serve):
    server = serve("rate_per_minute=60", "burst=5")
    seen = [server.ask("/ping") for _ in range(7)]
    assert [answer.status for answer in seen].count(429) >= 1
    assert [int(answer.headers["ratelimit-remaining"]) for answer in seen[:5]] == [4, 3, 2, 1, 0]
    assert seen[0].headers["ratelimit-limit"] == "5"
    last = next(answer for answer in seen if answer.status == 429)
    assert last.code == "too_many_requests"
    assert 1 <= int(last.headers["retry-after"]) <= 2
    assert int(last.headers["ratelimit-reset"]) >= 1
    for path in ("/nope", "/ping"):
        assert server.ask(path).status == 429, "an unknown path counts too"
    assert server.ask("/stats").status == 200, "what is not limited is not limited"
    # A key has a bucket of its own, and its own rate.
    greedy = [server.ask("/ping", headers={"X-API-Key": "greedy-key"}).status for _ in range(4)]
    assert greedy == [200, 200, 200, 429]
    assert server.ask("/ping", headers={"X-API-Key": "admin-key"}).status == 200
    # A bad key counts against its address: keys cannot be tried out at will.
    assert server.ask("/ping", headers={"X-API-Key": "guess"}).status == 429


def test_a_bucket_fills_again(serve):
    server = serve("rate_per_minute=1200", "burst=1")
    statuses = set()
    end = time.monotonic() + 20
    while statuses != {200, 429} and time.monotonic() < end:
        statuses.add(server.ask("/ping").status)
    assert statuses == {200, 429}


def test_origins_are_closed_by_default(plain):
    foreign = {"Origin": "https://evil.example"}
    answer = plain.ask("/ping", headers=foreign)
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers
    asked = foreign | {"Access-Control-Request-Method": "GET"}
    assert plain.ask("/ping", "OPTIONS", headers=asked).code == "origin_refused"
    answer = plain.ask("/nothing", "POST", b"", foreign)
    assert (answer.status, answer.code) == (403, "origin_refused")
    own = {"Origin": f"http://127.0.0.1:{plain.port}", "Host": f"127.0.0.1:{plain.port}"}
    assert plain.ask("/nothing", "POST", b"", own).status == 200


def test_origins_that_are_named(serve):
    server = serve("cors_origins=https://a.example, https://b.example")
    asked = {"Origin": "https://b.example", "Access-Control-Request-Method": "POST"}
    answer = server.ask("/things", "OPTIONS", headers=asked)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "https://b.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "X-API-Key" in answer.headers["access-control-allow-headers"]
    assert "Origin" in answer.headers["vary"]
    answer = server.ask("/worker", headers={"Origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert "ETag" in exposed and "*" in exposed
    assert "Origin" in server.ask("/worker").headers["vary"]
    assert server.ask("/things", "OPTIONS", headers=asked | {"Origin": "https://c.example"}).status == 403


# ---- bodies ----


def checksum(data):
    total = 0
    for byte in data:
        total = (total * 31 + byte) & 0xFFFFFFFF
    return {"bytes": len(data), "sum": total}


def test_bodies_plain_and_coded(plain):
    data = bytes(i % 251 for i in range(50_000))
    kind = {"Content-Type": "application/octet-stream"}
    codings = {
        "identity": data,
        "gzip": gzip.compress(data[:20_000]) + gzip.compress(data[20_000:]),
        "zstd": zstandard.ZstdCompressor().compress(data),
    }
    for coding, body in codings.items():
        answer = plain.ask("/body", "POST", body, kind | {"Content-Encoding": coding})
        assert answer.status == 200 and answer.json() == checksum(data), (coding, answer)
    for coding in ("gzip", "zstd"):
        whole = codings[coding]
        answer = plain.ask("/body", "POST", whole[:-9], kind | {"Content-Encoding": coding})
        assert (answer.status, answer.code) == (400, "malformed_request"), coding
        answer = plain.ask("/body", "POST", b"no such thing", kind | {"Content-Encoding": coding})
        assert answer.status == 400, coding
    answer = plain.ask("/body", "POST", zlib.compress(data), kind | {"Content-Encoding": "deflate"})
    assert (answer.status, answer.code) == (415, "type_not_supported")
    assert plain.ask("/body", "POST", data, {"Content-Type": "image/png"}).status == 415


def test_a_bomb_is_stopped_at_the_limit(plain):
    kind = {"Content-Type": "text/plain"}
    zeros = bytes(150_000_000)
    for coding, body in (("gzip", gzip.compress(zeros)),
                         ("zstd", zstandard.ZstdCompressor().compress(zeros))):
        answer = plain.ask("/body", "POST", body, kind | {"Content-Encoding": coding})
        assert (answer.status, answer.code) == (413, "body_too_large"), coding


def test_json_bodies(plain):
    kind = {"Content-Type": "application/json; charset=utf-8"}
    assert plain.ask("/things", "POST", b'{"word":"a"}', kind).json() == {"json": True}
    assert plain.ask("/things", "POST", b'{"word":', kind).code == "invalid_json"
    assert plain.ask("/things", "POST", b'{"wrod":"a"}', kind).code == "invalid_body"
    assert plain.ask("/things", "POST", b'{"word":"a"}', {"Content-Type": "text/plain"}).status == 415
    assert plain.ask("/things", "POST").code == "length_required"
    assert plain.ask("/nothing", "POST", b"ignored").status == 200


def test_a_refused_small_body_keeps_the_connection(plain):
    with plain.connect() as sock, sock.makefile("rb") as stream:
        sock.sendall(b"POST /things HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
                     b"Content-Length: 5\r\n\r\nhello")
        assert read_answer(stream).status == 415
        sock.sendall(GET % b"/ping")
        assert read_answer(stream).status == 200


# ---- deadlines, clients that leave, the queue ----


def test_a_deadline_is_kept_though_the_worker_hears_nothing(serve):
    server = serve("deadline_us=200000", "workers=2")
    began = time.monotonic()
    answer = server.ask("/slow?ms=2000&deaf=true")
    took = time.monotonic() - began
    assert (answer.status, answer.code) == (504, "timeout")
    assert 0.19 <= took < 1.5, took
    server.wait_stats(lambda stats: stats["cancels"] == 1, "the worker to be told", 5)
    assert server.ask("/worker").status == 200, "another worker is free"
    server.wait_stats(lambda stats: stats["calls"] == 0, "the end of the deaf worker")


def test_a_call_that_is_told_to_stop_ends_at_once(serve):
    server = serve("deadline_us=200000")
    assert server.ask("/slow?ms=30000").status == 504
    server.wait_stats(lambda stats: stats["calls"] == 0, "the cancelled worker", timeout=5)


def test_a_client_that_leaves_cancels_its_work(serve):
    server = serve("deadline_us=60000000")
    for leave in (lambda sock: sock.close(), lambda sock: sock.shutdown(socket.SHUT_WR)):
        before = server.stats()["abandoned"]
        sock = server.connect()
        handled = server.stats()["handled"]
        sock.sendall(GET % b"/slow?ms=60000")
        server.wait_stats(lambda stats: stats["handled"] > handled, "a worker to take the call")
        leave(sock)
        server.wait_stats(lambda stats: stats["abandoned"] > before, "the worker to be told", 10)
        sock.close()
    assert server.stats()["gone"] == 2


def test_a_full_queue_is_503_at_once(serve):
    server = serve("workers=1", "queue=2", "deadline_us=20000000")
    waiting = [server.connect() for _ in range(3)]
    for index, sock in enumerate(waiting):
        sock.sendall(GET % b"/slow?ms=1500")
        server.wait_stats(lambda stats: stats["calls"] == index + 1, "the call")
        if index == 0:
            server.wait_stats(lambda stats: stats["queued"] == 0, "the worker to take it")
    began = time.monotonic()
    answer = server.ask("/worker")
    assert (answer.status, answer.code) == (503, "busy")
    assert answer.headers["retry-after"] == "1"
    assert time.monotonic() - began < 1
    assert server.ask("/ping").status == 200, "in place still works"
    for sock in waiting:
        with sock, sock.makefile("rb") as stream:
            assert read_answer(stream).status == 200
    assert server.stats()["refused_busy"] == 1


def test_a_queued_call_past_its_deadline_is_not_run(serve):
    server = serve("workers=1", "deadline_us=300000")
    handled = server.stats()["handled"]
    with server.connect() as first, server.connect() as second:
        first.sendall(GET % b"/slow?ms=1000&deaf=true")
        server.wait_stats(lambda stats: stats["handled"] == handled + 1, "the worker to be busy")
        second.sendall(GET % b"/worker")
        with second.makefile("rb") as stream:
            assert read_answer(stream).status == 504
    server.wait_stats(lambda stats: stats["calls"] == 0, "the end of all calls")
    assert server.stats()["handled"] == handled + 1


def test_pipelined_requests_are_answered_in_order(plain):
    paths = [b"/ping", b"/worker", b"/slow?ms=50", b"/hit", b"/nope", b"/worker"]
    with plain.connect() as sock, sock.makefile("rb") as stream:
        sock.sendall(b"".join(GET % path for path in paths))
        got = [read_answer(stream) for _ in paths]
    assert [answer.status for answer in got] == [200, 200, 200, 200, 404, 200]
    assert got[2].json() == {"slept": True}


# ---- an app with workers of its own ----


def test_a_call_may_be_finished_later_by_another_thread(serve):
    server = serve("work=1", "deadline_us=300000")
    assert server.ask("/later?ms=30").json() == {"later": True}
    assert server.ask("/later?ms=0").status == 200
    late = server.ask("/later?ms=800")
    assert (late.status, late.code) == (504, "timeout")
    server.wait_stats(lambda stats: stats["calls"] == 0, "the late finish to let go")
    with server.connect() as sock:
        sock.sendall(GET % b"/later?ms=200")
        server.wait_stats(lambda stats: stats["calls"] == 1, "the call")
    server.wait_stats(lambda stats: stats["calls"] == 0, "the finish for nobody")
    assert server.ask("/worker").status == 200


def test_a_cancel_may_finish_its_call(serve):
    server = serve("work=1", "deadline_us=200000")
    assert server.ask("/never").status == 504
    server.wait_stats(lambda stats: stats["calls"] == 0, "the finish by the cancel")
    with server.connect() as sock:
        sock.sendall(GET % b"/never")
        server.wait_stats(lambda stats: stats["handled"] == 2, "a worker to take the call")
    server.wait_stats(lambda stats: stats["calls"] == 0, "the finish by the cancel")
    assert server.stop()["cancels"] == 2


def test_a_copy_of_a_call_works_on_behind_the_answer(serve):
    server = serve("work=1")
    for _ in range(20):
        assert server.ask("/copied/a%20b?count=3").json()["name"] == "a b"
    server.wait_stats(lambda stats: stats["refreshed"] == 20, "the copies to be worked off")
    server.wait_stats(lambda stats: stats["calls"] == 0, "the last copy to be let go")


# ---- streams ----


def test_a_stream_comes_whole(plain):
    answer = plain.ask("/stream?lines=3000")
    lines = answer.body.splitlines()
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [int(line[:14]) for line in lines] == list(range(3000))
    assert plain.ask("/stream?lines=0").body == b""
    slow = plain.ask("/stream?lines=20&pause_us=5000").body
    assert len(slow) == 20_000


def test_a_stream_that_fails_is_seen_to_be_cut(plain):
    with plain.connect() as sock:
        sock.sendall(GET % b"/stream?lines=5&cut=true&pause_us=20000")
        got = b""
        while piece := sock.recv(65536):
            got += piece
    assert b"HTTP/1.1 200" in got
    assert not got.endswith(b"0\r\n\r\n"), "no last chunk"


def test_a_stream_waits_for_its_reader_in_bounded_memory(serve):
    server = serve("workers=2")
    sock = server.connect()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.sendall(GET % b"/stream?lines=1000000")

    def resident():
        with open(f"/proc/{server.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096

    server.wait_stats(lambda stats: stats["streams"] == 1, "the stream")
    before = resident()
    # Nobody reads: the writer gives up after its second, and the client sees the cut.
    server.wait_stats(lambda stats: stats["streams"] == 0, "the writer to give up", 30)
    assert server.stats()["abandoned"] == 1
    assert resident() - before < 30_000_000
    sock.close()


def test_a_stream_whose_client_leaves_is_ended(serve):
    server = serve()
    for path in (b"/stream?lines=1000000", b"/stream?lines=100000&pause_us=10000"):
        before = server.stats()["abandoned"]
        with server.connect() as sock:
            sock.sendall(GET % path)
            assert sock.recv(1000)
        server.wait_stats(lambda stats: stats["abandoned"] > before, "the writer to be told", 10)


# ---- two ports, log, TLS, stop ----


def test_the_operator_has_a_port_of_its_own(serve):
    server = serve("operations_port=-1")
    assert server.port != server.operations_port
    assert server.ask("/stats").status == 404
    assert server.ask("/stats", port=server.operations_port).status == 200
    assert server.ask("/ping", port=server.operations_port).status == 404


@pytest.mark.parametrize("form", ["1", "2"])
def test_the_access_log_has_a_line_a_request_and_no_secret(serve, form):
    server = serve(f"access_log={form}", "shared=1")
    server.ask("/echo/x?count=9", headers={"X-API-Key": "reader-key", "X-Request-Id": "r-1"})
    server.ask("/hit")
    server.ask("/nope%0aevil")
    server.ask("/ping", headers={"X-API-Key": "guess-of-a-key"})
    server.stop()
    # Two event threads write: the order of two requests may be the other one.
    lines = sorted(server.log.splitlines(), key=lambda line: "/echo" not in line)
    assert len(lines) == 4, server.log
    assert "reader-key" not in server.log and "count=9" not in server.log
    assert "guess-of-a-key" not in server.log
    if form == "2":
        first = json.loads(lines[0])
        assert (first["route"], first["status"], first["id"]) == ("echo", 200, "r-1")
        assert (first["caller"], first["address"]) == ("reader", "127.0.0.1")
        assert first["bytes"] > 0 and first["us"] >= 0
        assert any(json.loads(line)["cache"].startswith("made-up; hit") for line in lines)
    else:
        assert "GET /echo/x route=echo status=200" in lines[0] and "caller=reader" in lines[0]


def make_certificate(folder, name):
    """A self-signed pair of PEM files."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return certificate, key


def tls_connect(server, certificate, name):
    context = ssl.create_default_context(cafile=str(certificate))
    return context.wrap_socket(server.connect(), server_hostname=name)


def test_tls_and_another_certificate_without_a_dropped_connection(serve, tmp_path):
    one, other = make_certificate(tmp_path, "one.test"), make_certificate(tmp_path, "two.test")
    pair = tmp_path / "now.crt", tmp_path / "now.key"
    for source, target in zip(one, pair):
        target.write_bytes(source.read_bytes())
    server = serve(f"tls_certificate={pair[0]}", f"tls_key={pair[1]}", "operations_port=-1")
    with tls_connect(server, one[0], "one.test") as old, old.makefile("rb") as stream:
        for path in (b"/ping", b"/worker", b"/big?bytes=300000"):
            old.sendall(GET % path)
            assert read_answer(stream).status == 200
        pair[0].write_bytes(other[0].read_bytes())
        assert not server.hang_up(), "a certificate with another's key is not taken"
        tls_connect(server, one[0], "one.test").close()
        pair[1].write_bytes(other[1].read_bytes())
        assert server.hang_up()
        with tls_connect(server, other[0], "two.test") as fresh, fresh.makefile("rb") as answers:
            fresh.sendall(GET % b"/ping")
            assert read_answer(answers).status == 200
        old.sendall(GET % b"/worker")
        assert read_answer(stream).status == 200, "the connection of before goes on"
    with tls_connect(server, other[0], "two.test") as sock, sock.makefile("rb") as stream:
        sock.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        sock.sendall((b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 6)
        assert read_answer(stream).status == 413, "also where it goes past the library"


def test_stop_lets_calls_finish_and_refuses_new_ones(serve):
    server = serve("grace_us=20000000", "deadline_us=20000000")
    with server.connect() as sock, sock.makefile("rb") as stream:
        sock.sendall(GET % b"/slow?ms=1000")
        server.wait_stats(lambda stats: stats["calls"] == 1, "the call")
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        answer = read_answer(stream)
        assert answer.status == 200 and answer.headers["connection"].lower() == "close"
        stopper.join()
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_stop_gives_up_what_takes_longer_than_its_grace(serve):
    server = serve("grace_us=100000", "deadline_us=60000000")
    with server.connect() as sock, sock.makefile("rb") as stream, server.connect() as other:
        sock.sendall(GET % b"/slow?ms=60000")
        other.sendall(GET % b"/stream?lines=100000&pause_us=10000")
        assert other.recv(100)
        server.wait_stats(lambda stats: stats["calls"] == 2, "both calls")
        began = time.monotonic()
        counts = {}
        stopper = threading.Thread(target=lambda: counts.update(server.stop()))
        stopper.start()
        answer = read_answer(stream)
        assert (answer.status, answer.code) == (503, "busy")
        stopper.join()
    assert time.monotonic() - began < 10
    assert counts["cancels"] == 1 and counts["abandoned"] == 2


def test_every_request_is_observed_once(serve):
    server = serve()
    for path in ("/ping", "/worker", "/nope", "/fail"):
        server.ask(path)
    assert server.stop()["observed"] == 4
