"""Signing in with a key: POST /session gives a cookie that stands for the key, DELETE /session ends it.

Sessions are in Redis where there is one, else in the live store of the data folder; two servers that share
either share them. What is tested with a Redis has two data folders, as two machines would.
"""

import contextlib
import hashlib
import hmac
import http.client
import re
import resource
import shutil
import socket
import struct
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

from redis_services import redis_flags
from served import Reply, Served
from support import Kol, wait_until

KOL = "/api/v1/kols/ly.sport"
USAGE = "/api/v1/usage"
EVENTS = "/api/v1/events/kol.profiles.raw"
DAY = 86400
NOTICED = 8.0  # seconds after which another server knows of a sign-out: 5, and what a slow machine takes


@pytest.fixture
def keys(kol_bin, demo_data, tmp_path):
    """Makes keys in tmp_path/data: keys("read") -> the text of a key; keys.kol runs the program there."""
    kol = Kol(kol_bin, tmp_path / "data")

    def make(scope, *options):
        made = kol("keys", "create", "--scope", scope, *options, "--format", "json").json()[0]
        make.ids[made["key"]] = made["id"]
        return made["key"]

    make.kol, make.ids = kol, {}
    return make


@pytest.fixture
def machines(serve, keys, kol_bin, tmp_path):
    """Starts servers on data folders of their own that have the same keys: machines(2, *options)."""
    runners = []

    def start(count, *options):
        servers = []
        for number in range(count):
            folder = tmp_path / f"machine{len(runners)}"
            shutil.copytree(tmp_path / "data", folder)
            runners.append(Kol(kol_bin, folder))
            with open(tmp_path / f"machine{number}.log", "wb") as log:
                servers.append(Served(runners[-1], *options, stderr=log))
            servers[-1].log = tmp_path / f"machine{number}.log"
        return servers

    yield start
    for runner in runners:
        runner.close()


@pytest.fixture
def patient(serve, kol_bin, tmp_path):
    """As `serve`: servers that outlive a write beyond the limit that let_write() sets."""
    script = tmp_path / "patient"
    script.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec '{kol_bin}' \"$@\"\n")
    script.chmod(0o755)
    kol = Kol(script, tmp_path / "data")
    yield lambda *options, **more: Served(kol, *options, **more)
    kol.close()


def let_write(server, may):
    """Whether the server can write to files; where not, each write fails, as on a full disk."""
    pid = server.running.process.pid
    most = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if may else 0, most))


def problem(reply, status, code):
    assert (reply.status, reply.json()["code"]) == (status, code), reply


def sign_in(server, key, **headers):
    """The cookie of a new session, as a Cookie header has it."""
    reply = server.ask("/session", "POST", {"key": key}, headers=headers)
    assert reply.status == 201, reply
    return cookie_of(reply)


def cookie_of(reply):
    name, _, token = reply.headers["set-cookie"].split(";")[0].partition("=")
    assert name == "kol_session" and re.fullmatch(r"[A-Za-z0-9_-]{43}", token), reply
    return {"Cookie": f"{name}={token}"}


def hash_of(cookie):
    return hashlib.sha256(cookie["Cookie"].partition("=")[2].encode()).hexdigest()


def ask(server, cookie, path=USAGE, method="GET", body=None, **headers):
    return server.ask(path, method, body, headers={**cookie, **headers})


# ---- beginning ----


def test_a_cookie_stands_for_its_key(serve, keys):
    key = keys("read,predict")
    server = serve()
    reply = server.ask("/session", "POST", {"key": key})
    assert reply.status == 201, reply
    told = reply.json()
    assert (told["key"], told["scopes"]) == (keys.ids[key], ["read", "predict"])
    left = datetime.fromisoformat(told["expires_at"]) - datetime.now(timezone.utc)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    assert reply.headers["cache-control"] == "no-store"
    attributes = [part.strip() for part in reply.headers["set-cookie"].split(";")[1:]]
    assert sorted(attributes) == ["HttpOnly", f"Max-Age={DAY}", "Path=/", "SameSite=Strict"]
    cookie = cookie_of(reply)
    # It has the scopes of the key, its name in usage and log, and no other.
    usage = ask(server, cookie)
    assert usage.status == 200 and usage.json()["key"] == keys.ids[key]
    assert usage.json()["scopes"] == ["read", "predict"]
    assert ask(server, cookie, KOL).status == 200
    problem(ask(server, cookie, EVENTS, "POST", {}), 403, "scope_missing")
    problem(server.ask(KOL), 401, "key_required")
    assert usage.json()["calls"] == 0 and ask(server, cookie).json()["calls"] == 3
    # Answers to it are the caller's own, and do not outlive the cookie in his browser.
    for _ in range(2):
        reply = ask(server, cookie, KOL)
        assert reply.headers["cache-control"].startswith("private"), reply
        assert "Cookie" in reply.headers["vary"], reply
    assert "hit" in reply.headers["cache-status"]
    assert "Cookie" not in server.ask(KOL, headers={"X-API-Key": key}).headers["vary"]
    # A browser sends what other pages of this host have set as well.
    for text in ("a=b; {}; c=d", "a; {};", " {} ", "x=kol_session=1;{}", "kol_session2=x; {}"):
        assert ask(server, {"Cookie": text.format(cookie["Cookie"])}).status == 200, text
    name, token = cookie["Cookie"].split("=")
    assert ask(server, {"Cookie": f'{name}="{token}"'}).status == 200


def test_ways_to_sign_in_and_to_fail(serve, keys):
    key = keys("read")
    server = serve()
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def post(body=None, **headers):
        return server.ask("/session", "POST", body, headers=headers)

    for reply in (
        post(**{"X-API-Key": key}),
        post(b"", **{"X-API-Key": key}),
        post({}, **{"X-API-Key": key}),
        post({"key": key}),
        server.ask("/session", "POST", f"key={key}".encode(), headers=form),
        server.ask("/session", "POST", f"key={key.replace('_', '%5F')}&".encode(), headers=form),
    ):
        assert reply.status == 201 and ask(server, cookie_of(reply)).status == 200, reply
    for reply, status, code in (
        (post(), 401, "key_required"),
        (post({}), 401, "key_required"),
        (post({"key": key[:-1]}), 401, "key_invalid"),
        (post({"key": "Đặng"}), 401, "key_invalid"),
        (post(**{"X-API-Key": "wrong"}), 401, "key_invalid"),
        (post({"key": ""}), 422, "invalid_body"),
        (post({"key": "x" * 513}), 422, "invalid_body"),
        (post({"key": [key]}), 422, "invalid_body"),
        (post({"key": key, "admin": True}), 422, "invalid_body"),
        (post(b"{", **{"Content-Type": "application/json"}), 400, "invalid_json"),
        (post(b"key=%zz", **form), 422, "invalid_body"),
        (post(b"key=" + b"x" * 9000, **form), 413, "body_too_large"),
        (post(b"key", **{"Content-Type": "text/plain"}), 415, "type_not_supported"),
    ):
        problem(reply, status, code)
        assert "set-cookie" not in reply.headers
        assert (status == 401) == ("www-authenticate" in reply.headers)
    assert server.metric('kol_sign_ins_total{result="done"}') == 6
    assert server.metric('kol_sign_ins_total{result="refused"}') == 4


def test_without_keys_there_is_nothing_to_sign_in_to(served):
    problem(served.ask("/session", "POST", {"key": "x" * 40}), 409, "no_key_needed")
    assert served.ask("/session", "DELETE").status == 204
    assert served.ask(KOL, headers={"Cookie": "kol_session=" + "x" * 43}).status == 200


def test_failed_sign_ins_are_counted_by_address(serve, keys):
    key = keys("read")
    server = serve("--serve-rate", "6", "--serve-burst", "5")
    for _ in range(5):
        problem(server.ask("/session", "POST", {"key": "x" * 40}), 401, "key_invalid")
    problem(server.ask("/session", "POST", {"key": key}), 429, "too_many_requests")


OFTEN = 30  # sign-ins with one key, at once and a minute


def refused_sign_in(server, key):
    reply = server.ask("/session", "POST", {"key": key})
    problem(reply, 429, "too_many_sign_ins")
    assert "set-cookie" not in reply.headers
    assert (reply.headers["ratelimit-limit"], reply.headers["ratelimit-remaining"]) == (str(OFTEN), "0")
    assert 1 <= int(reply.headers["retry-after"]) <= 60 and int(reply.headers["ratelimit-reset"]) >= 1
    return reply


def test_sign_ins_with_one_key_are_limited(serve, keys):
    key, other = keys("read"), keys("read")
    server = serve("--serve-rate", 0)  # whatever limit calls have
    began = time.monotonic()
    replies = [server.ask("/session", "POST", {"key": key}) for _ in range(OFTEN)]
    assert {reply.status for reply in replies} == {201}
    left = [int(reply.headers["ratelimit-remaining"]) for reply in replies]
    assert left[0] == OFTEN - 1 and left == sorted(left, reverse=True)
    assert {reply.headers["ratelimit-limit"] for reply in replies} == {str(OFTEN)}
    # One more comes every two seconds; before that none, by either way to give the key.
    more = [server.ask("/session", "POST", {"key": key}).status for _ in range(OFTEN)]
    assert more.count(201) <= (time.monotonic() - began) / 2
    refused_sign_in(server, key)
    problem(server.ask("/session", "POST", headers={"X-API-Key": key}), 429, "too_many_sign_ins")
    # The sessions that there are go on, the key does as well, and those who have another one.
    assert ask(server, cookie_of(replies[0])).status == 200
    assert server.ask(KOL, headers={"X-API-Key": key}).status == 200
    assert "ratelimit-limit" not in server.ask(KOL, headers={"X-API-Key": key}).headers
    sign_in(server, other)
    problem(server.ask("/session", "POST", {"key": key + "x"}), 401, "key_invalid")
    assert server.metric('kol_sign_ins_total{result="limited"}') >= 2
    wait_until(lambda: server.ask("/session", "POST", {"key": key}).status == 201, "the next to be taken")


def test_a_limit_of_calls_that_is_nearer_is_the_one_told(serve, keys):
    key = keys("read")
    server = serve("--serve-rate", 6, "--serve-burst", 3)
    for left in (2, 1, 0):
        reply = server.ask("/session", "POST", {"key": key})
        assert reply.status == 201 and reply.headers["ratelimit-remaining"] == str(left), reply
        assert reply.headers["ratelimit-limit"] == "3", reply
    problem(server.ask("/session", "POST", {"key": key}), 429, "too_many_requests")


def test_machines_count_sign_ins_together(machines, keys, redis_start):
    key = keys("read")
    redis = redis_start()
    here, there = machines(2, *redis_flags(redis.url))
    for _ in range(OFTEN):
        sign_in(here, key)

    def is_told():
        held = redis.text.get(f"ratelimit:sign_in:{keys.ids[key]}")
        return held and int(held) / 1e6 - redis.redis.time()[0] > 50

    wait_until(is_told, "the other machine's bucket")

    def refused():
        return there.ask("/session", "POST", {"key": key}).status == 429

    wait_until(refused, "the other machine to know", 10)
    refused_sign_in(there, key)
    assert redis.keys("ratelimit:key:*") == [], "calls have no limit"


def test_look_ups_of_made_up_cookies_are_limited(serve, keys):
    key = keys("read")
    server = serve("--serve-rate", 6, "--serve-burst", 5)
    held = sign_in(server, key)  # one of the five
    for number in range(4):
        problem(ask(server, {"Cookie": f"kol_session={number:043}"}), 401, "session_over")
    for number in range(4, 9):
        problem(ask(server, {"Cookie": f"kol_session={number:043}"}), 429, "too_many_requests")
    # None was made for those; and who is known goes by his key.
    assert ask(server, held).status == 200
    text = server.ask("/metrics", headers={"X-API-Key": key}).body.decode()
    assert re.search(r'^kol_session_lookups_total{result="none"} (\d+)', text, re.M)[1] == "4"


def test_look_ups_of_who_hangs_up_are_counted(machines, keys, redis_start, redis_proxy):
    key = keys("read")
    proxy = redis_proxy(redis_start())
    (server,) = machines(1, *redis_flags(proxy.url), "--serve-rate", 6, "--serve-burst", 3)
    proxy.do("delay", 0.1)
    host, port = server.address.split(":")
    for number in range(3):
        with socket.create_connection((host, int(port)), timeout=30) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            sock.sendall(f"GET {USAGE} HTTP/1.1\r\nHost: x\r\nCookie: kol_session={number:043}\r\n\r\n".encode())
            time.sleep(0.03)
    made = r'^kol_session_lookups_total{result="none"} 3'
    headers = {"X-API-Key": key}
    wait_until(lambda: re.search(made, server.ask("/metrics", headers=headers).body.decode(), re.M), "the look-ups")
    problem(ask(server, {"Cookie": f"kol_session={'x' * 43}"}), 429, "too_many_requests")


def test_the_cookie_is_secure_where_the_page_came_by_tls(serve, keys):
    key = keys("read")
    server = serve()
    reply = server.ask(
        "/session", "POST", {"key": key},
        headers={"Origin": "https://dash.example", "Sec-Fetch-Site": "same-origin"},
    )  # fmt: skip
    assert reply.status == 201 and "; Secure" in reply.headers["set-cookie"], reply


# ---- ending ----


def test_signing_out_ends_it_and_may_be_done_twice(serve, keys):
    key = keys("read")
    server = serve()
    cookie, other = sign_in(server, key), sign_in(server, key)
    for _ in range(2):
        reply = ask(server, cookie, "/session", "DELETE")
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["set-cookie"].startswith("kol_session=; Max-Age=0;")
        problem(ask(server, cookie), 401, "session_over")
        problem(ask(server, cookie), 401, "session_over")
    assert server.ask("/session", "DELETE").status == 204
    # Of two values of the cookie none is believed, and both end.
    both = [sign_in(server, key) for _ in range(2)]
    reply = ask(server, {"Cookie": "; ".join(one["Cookie"] for one in both) + "; kol_session=x"}, "/session", "DELETE")
    assert reply.status == 204, reply
    for one in both:
        problem(ask(server, one), 401, "session_over")
    many = "; ".join(f"kol_session={number:043}" for number in range(9))
    problem(ask(server, {"Cookie": many}, "/session", "DELETE"), 503, "session_untold")
    assert ask(server, {"Cookie": "kol_session=" + "x" * 43}, "/session", "DELETE").status == 204
    assert ask(server, other).status == 200
    # Signing in anew ends what was there before.
    again = sign_in(server, key, **other)
    assert ask(server, again).status == 200
    problem(ask(server, other), 401, "session_over")


def test_a_key_that_ends_ends_its_sessions(serve, keys):
    revoked, short, lasting = keys("read"), keys("read", "--expires", "20s"), keys("read")
    server = serve()
    cookies = [sign_in(server, key) for key in (revoked, lasting)]
    reply = server.ask("/session", "POST", {"key": short})
    expires = datetime.fromisoformat(reply.json()["expires_at"])
    assert expires - datetime.now(timezone.utc) < timedelta(seconds=20)
    seconds = int(re.search(r"Max-Age=(\d+)", reply.headers["set-cookie"])[1])
    assert seconds <= 20
    assert [ask(server, cookie).status for cookie in cookies] == [200, 200]
    keys.kol("keys", "revoke", keys.ids[revoked])
    wait_until(lambda: ask(server, cookies[0]).status == 401, "the key to be revoked")
    problem(ask(server, cookies[0]), 401, "session_over")
    assert ask(server, cookies[1]).status == 200


def test_a_session_outlives_the_server_and_ends_after_a_day(serve, keys):
    key = keys("read")
    server = serve()
    cookie = sign_in(server, key)
    server.stop()
    server = serve()
    assert ask(server, cookie).status == 200
    assert server.metric('kol_session_lookups_total{result="live"}') == 1
    server.stop()
    now = datetime.now(timezone.utc)
    for hours, status in ((23.9, 200), (24.1, 401)):
        later = (now + timedelta(hours=hours)).isoformat()
        server = serve(env={"KOL_TEST_NOW": later})
        assert ask(server, cookie).status == status, hours
        server.stop()


# ---- what is no session ----


def test_cookies_that_are_none(serve, keys):
    key = keys("read")
    server = serve()
    good = sign_in(server, key)["Cookie"]
    token = good.partition("=")[2]
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    lookups = server.metric('kol_session_lookups_total{result="none"}')
    for cookie in (
        "kol_session=", "kol_session", f"kol_session={token}x", f"kol_session={token[:-1]}", f"KOL_SESSION={token}",
        f"kol_session={token[:-1]}%41", f"kol_session={token[:-1]}\xff", "kol_session=" + "x" * 4096, ";" * 40,
        "=" * 4096, '"', f"kol_session=\"{token}", f"{good}; {changed}", f"kol_session {token}", f",{good}",
    ):  # fmt: skip
        assert ask(server, {"Cookie": cookie}).status == 401, cookie[:100]
        # Where all may ask, a cookie makes no difference, so that there is a page to sign in on.
        for path in ("/", "/healthz", "/openapi.json"):
            assert ask(server, {"Cookie": cookie}, path).status == 200, cookie[:100]
    assert server.metric('kol_session_lookups_total{result="none"}') == lookups
    problem(ask(server, {"Cookie": changed}), 401, "session_over")
    assert server.metric('kol_session_lookups_total{result="none"}') == lookups + 1
    # Many around the right one, and the same twice.
    padding = "; ".join(f"other{i}={'v' * 100}" for i in range(35))
    assert ask(server, {"Cookie": f"{padding}; {good}"}).status == 200
    # The library keeps what it makes of the header in the memory for a connection (12 KiB): one of 8 KB, or
    # of thousands of cookies, is too much for it, and it refuses it by itself or hangs up.
    for cookie in ("kol_session=" + "x" * 8192, f"{padding}; {padding}; {good}", ";" * 4096, "a=;" * 2000):
        lines = f"GET {USAGE} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n"
        assert raw(server, lines.encode())[:12] in (b"HTTP/1.1 431", b""), cookie[:100]
    assert ask(server, {"Cookie": f"{good}; {good}"}).status == 200
    # Two headers: what a proxy and the server made of them might differ.
    lines = f"GET {USAGE} HTTP/1.1\r\nHost: x\r\nCookie: {good}\r\nCookie: a=b\r\n\r\n"
    assert raw(server, lines.encode()).startswith(b"HTTP/1.1 400")
    # A key in its header says it better, and a bad one is not made up for.
    assert ask(server, {"Cookie": changed}, **{"X-API-Key": key}).status == 200
    problem(ask(server, {"Cookie": good}, **{"X-API-Key": "wrong"}), 401, "key_invalid")


def raw(server, data, stays=False):
    """The beginning of what is answered; `stays`: without closing this side, as who leaves would."""
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        sock.sendall(data)
        if not stays:
            sock.shutdown(socket.SHUT_WR)
        return sock.recv(65536)


def test_a_body_is_read_once_it_is_known_who_sends_it(serve, keys):
    """The look-up puts the connection to sleep between head and body; what came meanwhile is not lost."""
    key = keys("write")
    server = serve()
    cookie = sign_in(server, key)
    server.stop()
    server = serve()  # it has to look the session up
    event = (
        b'{"event_id":"s1","event_time":"2025-01-01T00:00:00Z","event_type":"profile","platform":"tiktok",'
        b'"username":"ana"}'
    )
    # Head and body in one packet, before it is known who sends them.
    head = f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nCookie: {cookie['Cookie']}\r\nContent-Length: {len(event)}\r\n"
    head += "Content-Type: application/json\r\n\r\n"
    assert raw(server, head.encode() + event, stays=True).startswith(b"HTTP/1.1 202")
    big = b"\n".join(event.replace(b'"s1"', b'"s%d"' % i) for i in range(3000))
    connection = http.client.HTTPConnection(server.address, timeout=30)
    for body in (event, big):
        headers = {"Content-Type": "application/x-ndjson", **cookie}
        connection.request("POST", EVENTS, body, headers)
        reply = connection.getresponse()
        reply = Reply(reply.status, reply.getheaders(), reply.read())
        assert reply.status == 202, reply
        connection.request("GET", USAGE, headers=cookie)  # the connection goes on
        assert connection.getresponse().read()
    connection.close()
    # Who is nobody is told so before his body is read.
    unknown = f"kol_session={'x' * 43}"
    head = f"POST {EVENTS} HTTP/1.1\r\nHost: x\r\nCookie: {unknown}\r\nContent-Length: 5000000\r\n"
    head += "Content-Type: application/x-ndjson\r\nExpect: 100-continue\r\n\r\n"
    assert raw(server, head.encode()).startswith(b"HTTP/1.1 401")
    # Pipelined, and each asked of a worker.
    lines = f"GET {USAGE} HTTP/1.1\r\nHost: x\r\nCookie: kol_session={{}}\r\n\r\n"
    told = raw_all(server, "".join(lines.format(c * 43) for c in "abcdefgh").encode())
    assert told.count(b"HTTP/1.1 401") == 8


def raw_all(server, data):
    host, port = server.address.split(":")
    got = b""
    with socket.create_connection((host, int(port)), timeout=30) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65536):
            got += piece
    return got


# ---- pages of others ----


SAME, NONE = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}
CROSS, SITE = {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}
EVIL, PARTNER = {"Origin": "https://evil.example"}, {"Origin": "https://partner.example"}


def test_no_other_page_acts_for_who_is_signed_in(serve, keys):
    key = keys("read,write")
    server = serve("--serve-cors-origins", "https://partner.example")
    cookie = sign_in(server, key)
    own = {"Origin": f"http://{server.address}"}
    recent = "/api/v1/search/recent/ana"

    def delete(*headers):
        return ask(server, cookie, recent, "DELETE", **{k: v for h in headers for k, v in h.items()})

    for headers in ((), (own,), (own, SAME), (NONE,), (PARTNER,), (PARTNER, SITE), (EVIL, SAME)):
        assert delete(*headers).status == 200, headers
    for headers in ((CROSS,), (CROSS, own), (SITE,), (PARTNER, CROSS), ({"Sec-Fetch-Site": "?"},)):
        problem(delete(*headers), 403, "cross_site")
    problem(delete(EVIL), 403, "origin_refused")
    # Reading too, where the browser says so; what another site may see is CORS.
    for headers, status in ((CROSS, 403), (SITE, 200), (NONE, 200), (EVIL, 200), ({}, 200)):
        assert ask(server, cookie, KOL, **headers).status == status, headers
    # With a key it is no browser's doing.
    for headers in (CROSS, PARTNER, SITE):
        assert server.ask(recent, "DELETE", headers={"X-API-Key": key, **headers}).status == 200
    # Nobody is signed in, or out, by another site.
    for method in ("POST", "DELETE"):
        for headers in (CROSS, SITE, EVIL):
            reply = server.ask("/session", method, {"key": key}, headers={**cookie, **headers})
            assert reply.status == 403 and "set-cookie" not in reply.headers, reply
    assert ask(server, cookie).status == 200


def test_open_cors_opens_no_session(serve, keys):
    key = keys("read,write")
    server = serve("--serve-cors-origins", "*")
    cookie = sign_in(server, key)
    problem(ask(server, cookie, "/api/v1/search/recent/ana", "DELETE", **EVIL), 403, "cross_site")
    problem(server.ask("/session", "POST", {"key": key}, headers=EVIL), 403, "cross_site")
    reply = ask(server, cookie, KOL, **EVIL)
    assert "access-control-allow-credentials" not in reply.headers


# ---- no secret is left anywhere ----


def test_neither_token_nor_key_is_kept_or_logged(serve, keys, tmp_path):
    key = keys("read")
    with open(tmp_path / "log", "wb") as log:
        server = serve("--serve-access-log", stderr=log)
    cookie = sign_in(server, key)
    assert ask(server, cookie).status == 200
    server.ask("/session", "POST", {"key": key + "x"})
    ask(server, cookie, "/session", "DELETE")
    server.stop()
    token = cookie["Cookie"].partition("=")[2]
    text = (tmp_path / "log").read_text()
    assert f"caller={keys.ids[key]}" in text
    for path in [tmp_path / "log", *(tmp_path / "data").rglob("*")]:
        if path.is_file():
            found = path.read_bytes()
            assert token.encode() not in found and key.encode() not in found, path


# ---- with Redis ----


def test_two_machines_share_what_is_in_redis(machines, keys, redis_start):
    key = keys("read,predict")
    redis = redis_start()
    here, there = machines(2, *redis_flags(redis.url))
    cookie = sign_in(here, key)
    name = f"session:{hash_of(cookie)}"
    held = redis.text.hgetall(name)
    assert (held["scope"], held["key_id"]) == ("read,predict", keys.ids[key])
    assert datetime.fromisoformat(held["expires_at"]) and 86300 < redis.text.ttl(name) <= DAY
    token = cookie["Cookie"].partition("=")[2]
    assert not any(token in text for text in [*redis.keys(), *held.values()])
    assert ask(there, cookie, KOL).status == 200
    assert there.metric('kol_session_lookups_total{result="redis"}') == 1
    # Each keeps what it was told for a moment: no question for each request.
    asked = redis.calls()["hgetall"]
    for _ in range(20):
        assert ask(there, cookie).status == 200
    assert redis.calls()["hgetall"] - asked <= 2
    assert ask(there, cookie, "/session", "DELETE").status == 204
    assert not redis.text.exists(name)
    problem(ask(there, cookie), 401, "session_over")
    wait_until(lambda: ask(here, cookie).status == 401, "the other to notice", NOTICED)


def test_what_redis_says_is_not_believed_blindly(machines, keys, redis_start):
    key, other = keys("read"), keys("admin")
    redis = redis_start()
    (server,) = machines(1, *redis_flags(redis.url))
    later = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
    whole = {"scope": "read,admin", "key_id": keys.ids[key], "expires_at": later}
    past = (datetime.now(timezone.utc) - timedelta(seconds=1)).isoformat()
    tokens = (letter * 43 for letter in "abcdefghijklmnopqrstuvwxyz")

    def seal(cookie, text, by=key):
        sealed = "|".join((hash_of(cookie), text["scope"], text["key_id"], text["expires_at"]))
        return hmac.new(hashlib.sha256(by.encode()).digest(), sealed.encode(), "sha256").hexdigest()

    for change, status in (
        ({}, 200), ({"more": "x"}, 200), ({"scope": "admin"}, 401), ({"scope": ""}, 401), ({"scope": "x,,"}, 401),
        ({"key_id": "nobody"}, 401), ({"key_id": ""}, 401), ({"key_id": "x" * 5000}, 401),
        ({"expires_at": past}, 401), ({"expires_at": "soon"}, 401), ({"expires_at": ""}, 401),
    ):  # fmt: skip
        cookie = {"Cookie": f"kol_session={next(tokens)}"}
        fields = {**whole, **change}
        redis.text.hset(f"session:{hash_of(cookie)}", mapping={**fields, "seal": seal(cookie, fields)})
        reply = ask(server, cookie)
        assert reply.status == status, (change, reply)
        if status == 200:  # never more than the key is good for
            assert reply.json()["scopes"] == ["read"]
    # Who may write to Redis makes no session: of a text of his own, of another's seal, of more than was sealed.
    mine = sign_in(server, key)
    true = redis.text.hgetall(f"session:{hash_of(mine)}")
    assert true["seal"] == seal(mine, true)
    for change in (
        {}, {"seal": ""}, {"seal": true["seal"]}, {"seal": "0" * 64}, {"seal": "x" * 64}, {"seal": "0" * 5000},
        {"seal": seal(mine, whole)}, {"by": keys.ids[key]}, {"by": key + "x"}, {"by": other},
    ):  # fmt: skip
        cookie = {"Cookie": f"kol_session={next(tokens)}"}
        if "by" in change:
            change = {"seal": seal(cookie, whole, change["by"])}
        redis.text.hset(f"session:{hash_of(cookie)}", mapping={**whole, **change})
        problem(ask(server, cookie), 401, "session_over")
    for command in (("SET", "x"), ("LPUSH", "x"), ("HSET", "only", "this")):
        cookie = {"Cookie": f"kol_session={next(tokens)}"}
        redis.text.execute_command(command[0], f"session:{hash_of(cookie)}", *command[1:])
        problem(ask(server, cookie), 401, "session_over")


@pytest.mark.parametrize("how", ["frozen", "cut off"])  # what was sent arrives late, or never
def test_sessions_live_through_an_outage(machines, keys, redis_start, redis_proxy, how):
    key = keys("read")
    redis = redis_start()
    proxy = redis_proxy(redis)
    here, there = machines(2, *redis_flags(proxy.url))
    before, unused, ending = (sign_in(here, key) for _ in range(3))
    if how == "frozen":
        redis.freeze()
    else:
        proxy.do("cut")
    # Begun before: whoever has seen it goes on with it; who has not says that he cannot tell.
    wait_until(lambda: ask(here, before).status == 200, "the server to go on")
    reply = ask(there, unused)
    problem(reply, 503, "session_untold")
    assert reply.headers["retry-after"]
    assert there.ask(KOL, headers={"X-API-Key": key}).status == 200
    # Ended meanwhile: it is over here. Begun meanwhile: it is good here, also after a restart.
    assert ask(here, ending, "/session", "DELETE").status == 204
    problem(ask(here, ending), 401, "session_over")
    meanwhile = sign_in(here, key)
    assert ask(here, meanwhile).status == 200
    redis.thaw()
    proxy.do("pass")
    # Redis is told of both, and then the other machine knows.
    wait_until(lambda: redis.text.exists(f"session:{hash_of(meanwhile)}"), "redis to be told of a sign-in")
    wait_until(lambda: not redis.text.exists(f"session:{hash_of(ending)}"), "redis to be told of a sign-out")
    for cookie in (before, unused, meanwhile):
        wait_until(lambda cookie=cookie: ask(there, cookie).status == 200, "the other machine to know")
        assert ask(here, cookie).status == 200
    problem(ask(there, ending), 401, "session_over")
    problem(ask(here, ending), 401, "session_over")
    ttl = redis.text.ttl(f"session:{hash_of(meanwhile)}")
    assert DAY - 120 < ttl <= DAY
    # What was moved is in one place: signing out elsewhere ends it here.
    assert ask(there, meanwhile, "/session", "DELETE").status == 204
    wait_until(lambda: ask(here, meanwhile).status == 401, "this one to notice", NOTICED)
    for server in (here, there):
        assert server.log.read_bytes().count(b"\n") < 60


def test_a_redis_that_takes_no_writes_costs_nobody_his_session(machines, keys, redis_start):
    key = keys("read")
    redis = redis_start("--maxmemory-policy", "noeviction")
    (server,) = machines(1, *redis_flags(redis.url))
    redis.text.config_set("maxmemory", 1)
    cookie = sign_in(server, key)
    assert ask(server, cookie).status == 200 and not redis.text.exists(f"session:{hash_of(cookie)}")
    redis.text.config_set("maxmemory", 0)
    wait_until(lambda: redis.text.exists(f"session:{hash_of(cookie)}"), "redis to be told")
    assert ask(server, cookie).status == 200


def test_a_stop_amid_look_ups_ends_in_order(machines, keys, redis_start, redis_proxy):
    """What comes behind the stop's wait for sleeping connections is put to sleep no more."""
    keys("read")
    proxy = redis_proxy(redis_start())
    (server,) = machines(1, *redis_flags(proxy.url), "--serve-grace", "200ms")
    host, port = server.address.split(":")
    line = f"GET {USAGE} HTTP/1.1\r\nHost: x\r\nCookie: kol_session={{:043}}\r\n\r\n"
    ends = []
    with contextlib.ExitStack() as stack:
        open_ones = [stack.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(300)]
        open_ones[0].sendall(line.format(1000).encode())
        assert open_ones[0].recv(65536).startswith(b"HTTP/1.1 401")
        proxy.do("delay", 0.1)
        ended = threading.Thread(target=lambda: ends.append(server.stop()))
        ended.start()
        for number, sock in enumerate(open_ones):  # for eight seconds, or until it has ended
            if not ended.is_alive():
                break
            with contextlib.suppress(OSError):
                sock.sendall(line.format(number).encode())
            time.sleep(0.025)
        ended.join()
    assert ends[0][0] == 0 and ends[0][1] < 6, ends


def test_nothing_is_kept_for_a_made_up_token_nor_settled_for_long(machines, keys, redis_start, redis_proxy):
    several = [keys("read") for _ in range(8)]
    redis = redis_start()
    proxy = redis_proxy(redis)
    (server,) = machines(1, *redis_flags(proxy.url), "--serve-rate", 0)
    proxy.do("cut")
    wait_until(lambda: ask(server, {"Cookie": f"kol_session={'x' * 43}"}).status == 503, "redis to be missed")
    reply = ask(server, {"Cookie": f"kol_session={'y' * 43}"}, "/session", "DELETE")
    problem(reply, 503, "session_untold")
    assert "set-cookie" not in reply.headers and reply.headers["retry-after"], reply
    cookies = [sign_in(server, several[number % 8]) for number in range(200)]
    for cookie in cookies[:20]:
        assert ask(server, cookie, "/session", "DELETE").status == 204
    # Redis is back and slow: a moment settles some of them, and nobody waits for the others.
    proxy.do("delay", 0.1)
    wait_until(lambda: redis.keys("session:*"), "redis to be told of the first")
    status, took = server.stop()
    assert status == 0 and took < 5, took
    assert len(redis.keys("session:*")) < 180


EXCHANGES = 'kol_cache_trip_seconds_count{tier="redis"}'


def test_many_are_settled_in_few_exchanges(machines, keys, redis_start, redis_proxy):
    several = [keys("read") for _ in range(8)]
    redis = redis_start()
    proxy = redis_proxy(redis)
    (server,) = machines(1, *redis_flags(proxy.url), "--serve-rate", 0)
    proxy.do("cut")
    cookies = [sign_in(server, several[number % 8]) for number in range(200)]
    ended = cookies[:20]
    for cookie in ended:
        assert ask(server, cookie, "/session", "DELETE").status == 204
    before = server.metric(EXCHANGES)
    proxy.do("delay", 0.1)
    began = time.monotonic()
    wait_until(lambda: len(redis.keys("session:*")) == 180, "redis to be told of all")
    assert time.monotonic() - began < 15, "one by one they take 20 seconds"
    assert server.metric(EXCHANGES) - before <= 40
    assert redis.keys("session:*") == sorted(f"session:{hash_of(cookie)}" for cookie in cookies[20:])
    proxy.do("pass")
    assert {ask(server, cookie).status for cookie in cookies[20::20]} == {200}
    assert {ask(server, cookie).status for cookie in ended} == {401}


def test_what_redis_refuses_stays_to_be_settled(machines, keys, redis_start, redis_proxy):
    key = keys("read")
    redis = redis_start()
    proxy = redis_proxy(redis)
    (server,) = machines(1, *redis_flags(proxy.url))
    proxy.do("cut")
    cookies = [sign_in(server, key) for _ in range(24)]
    taken = {f"session:{hash_of(cookie)}" for cookie in cookies if hash_of(cookie) < "8"}
    assert 0 < len(taken) < 24
    # It takes keys of every other session; among those of one exchange.
    redis.text.execute_command("ACL", "SETUSER", "default", "resetkeys", "~session:[0-7]*", "~ratelimit:*")
    proxy.do("pass")
    wait_until(lambda: set(redis.keys("session:*")) == taken, "redis to be told of some")
    server.stop()
    redis.text.execute_command("ACL", "SETUSER", "default", "allkeys")
    server = Served(server.kol, *redis_flags(redis.url))
    wait_until(lambda: len(redis.keys("session:*")) == 24, "redis to be told of all")
    assert {ask(server, cookie).status for cookie in cookies} == {200}


def test_who_signs_out_elsewhere_amid_settling_is_out(serve, machines, keys, redis_start, redis_proxy):
    """Two processes of one machine, and another machine: nobody finds what was ended."""
    key = keys("read")
    redis = redis_start()
    slow, fast = redis_proxy(redis), redis_proxy(redis)
    (there,) = machines(1, *redis_flags(redis.url))
    here, beside = serve(*redis_flags(slow.url)), serve(*redis_flags(fast.url))
    slow.do("cut")
    fast.do("cut")
    cookies = [sign_in(here, key) for _ in range(25)]
    slow.do("delay", 0.2)
    fast.do("pass")
    for cookie in cookies:
        wait_until(lambda cookie=cookie: ask(beside, cookie, "/session", "DELETE").status == 204, "a sign-out")
    for cookie in cookies:
        wait_until(lambda cookie=cookie: not redis.text.exists(f"session:{hash_of(cookie)}"), "redis to be told")
    slow.do("pass")
    last = sign_in(here, key)  # both have told Redis what they had to: the last is told behind all others
    wait_until(lambda: redis.text.exists(f"session:{hash_of(last)}"), "redis to be told of the last")
    time.sleep(1.5)  # and no later settling tells it anything else
    assert redis.keys("session:*") == [f"session:{hash_of(last)}"]
    for cookie in cookies:
        problem(ask(there, cookie), 401, "session_over")
        wait_until(lambda cookie=cookie: ask(here, cookie).status == 401, "this one to notice", NOTICED)


# ---- a disk that takes nothing ----


def refused_sign_out(server, cookie):
    reply = ask(server, cookie, "/session", "DELETE")
    problem(reply, 503, "session_untold")
    assert "set-cookie" not in reply.headers and reply.headers["retry-after"], reply
    assert ask(server, cookie).status == 200, "it goes on, as was said"


def test_a_sign_out_that_is_kept_nowhere_is_none(patient, keys):
    key = keys("read")
    server = patient()
    cookie = sign_in(server, key)
    let_write(server, False)
    refused_sign_out(server, cookie)
    reply = server.ask("/session", "POST", {"key": key})
    problem(reply, 503, "unavailable")
    assert "set-cookie" not in reply.headers
    let_write(server, True)
    assert ask(server, cookie).status == 200
    assert ask(server, cookie, "/session", "DELETE").status == 204
    problem(ask(server, cookie), 401, "session_over")
    assert server.stop()[0] == 0
    server = patient()
    problem(ask(server, cookie), 401, "session_over")


def test_a_sign_out_counts_where_the_session_is_kept(patient, keys, redis_start, redis_proxy):
    key = keys("read")
    redis = redis_start()
    proxy = redis_proxy(redis)
    server = patient(*redis_flags(proxy.url))
    told, seen = sign_in(server, key), sign_in(server, key)
    # Redis has it, and the store of this machine does not: it is enough that Redis is told.
    let_write(server, False)
    assert ask(server, told, "/session", "DELETE").status == 204
    assert not redis.text.exists(f"session:{hash_of(told)}")
    problem(ask(server, told), 401, "session_over")
    # Neither can be told.
    proxy.do("cut")
    refused_sign_out(server, seen)
    let_write(server, True)
    meanwhile = sign_in(server, key)
    let_write(server, False)
    refused_sign_out(server, meanwhile)
    # Redis can be told, and the store goes on to have it.
    proxy.do("pass")
    wait_until(lambda: redis.text.exists(f"session:{hash_of(meanwhile)}"), "redis to be told of it")
    refused_sign_out(server, meanwhile)
    let_write(server, True)
    for cookie in (seen, meanwhile):
        assert ask(server, cookie).status == 200
        assert ask(server, cookie, "/session", "DELETE").status == 204
        wait_until(lambda cookie=cookie: not redis.text.exists(f"session:{hash_of(cookie)}"), "redis to be told")
        problem(ask(server, cookie), 401, "session_over")
