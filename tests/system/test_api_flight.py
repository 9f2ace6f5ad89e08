"""A crowd that asks for one key at once: one load for all, and what they get while loads fail."""

import asyncio
import re
import shutil
import time
from collections import Counter

import pytest

from served import Reply, Served
from support import wait_until

CROWD = 1000
DONE, FAILED = (f'kol_cache_loads_total{{tier="l1",result="{how}"}}' for how in ("done", "failed"))
# A list is kept for a minute, scores for a second: both are served stale for a while behind that.
SLOW = "/api/v1/kols?sort_by=trust_score&q=a&include=scores&limit=100"
SHORT = "/api/v1/kols/ly.sport/scores"


async def read_reply(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = [line.split(": ", 1) for line in head[1:] if line]
    reply = Reply(int(head[0].split()[1]), headers, b"")
    reply.body = await reader.readexactly(int(reply.headers["content-length"]))
    return reply


async def ask_at_once(address, path, count):
    """Opens all connections, and only then asks on each of them."""
    host, port = address.split(":")
    pairs = []
    for first in range(0, count, 100):  # no more at once than a listener holds back
        opening = (asyncio.open_connection(host, port) for _ in range(min(100, count - first)))
        pairs += await asyncio.gather(*opening)
    for number, (_, writer) in enumerate(pairs):
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: crowd-{number}\r\n\r\n"
        writer.write(head.encode())
    replies = await asyncio.gather(*(read_reply(reader) for reader, _ in pairs))
    for _, writer in pairs:
        writer.close()
    return replies


def crowd(server, path, count=CROWD):
    """The replies to `count` requests for one path; nobody waits for ever."""
    replies = asyncio.run(asyncio.wait_for(ask_at_once(server.address, path, count), 60))
    assert [reply.headers["x-request-id"] for reply in replies] == [
        f"crowd-{number}" for number in range(count)
    ]
    return replies


def kinds(replies):
    """How many there are of each kind: status and what Cache-Status says without its numbers."""
    said = (re.sub(r"=-?\d+", "", reply.headers["cache-status"]) for reply in replies)
    return Counter((reply.status, kind) for reply, kind in zip(replies, said))


def ttl(reply):
    """Seconds until the answer expires, negative behind that; None where it is no hit."""
    found = re.search(r"ttl=(-?\d+)", reply.headers["cache-status"])
    return found and int(found[1])


def let_expire(seconds):
    """Waits as long as an answer is kept: asking whether it has expired would have it made anew."""
    time.sleep(seconds)


# ---- one load ----


def test_a_crowd_at_a_key_that_is_not_there_makes_one_load(served):
    before = served.metric(DONE)
    replies = crowd(served, SLOW)
    assert {(reply.status, reply.body) for reply in replies} == {(200, replies[0].body)}
    assert served.metric(DONE) == before + 1
    found = kinds(replies)
    assert found[200, "kol-l1; fwd=miss; stored"] == 1
    assert found[200, "kol-l1; fwd=miss; collapsed"] > 0, found
    served.ask("/admin/cache/purge", "POST", {"all": True})
    crowd(served, SLOW)
    assert served.metric(DONE) == before + 2


def test_a_crowd_at_a_key_that_expired_makes_one_load(served):
    """All get the answer from before at once, and it says that it is stale."""
    before = served.metric(DONE)
    first = served.ask(SHORT)
    assert "max-age=1," in first.headers["cache-control"]
    let_expire(1.1)
    began = time.monotonic()
    replies = crowd(served, SHORT)
    wait_until(lambda: served.metric(DONE) > before + 1, "the load behind the answers")
    # A machine that is slow enough lets what was loaded expire again while the crowd still asks.
    periods = 1 + int((time.monotonic() - began) / 0.9)
    assert before + 2 <= served.metric(DONE) <= before + 1 + periods
    assert set(kinds(replies)) == {(200, "kol-l1; hit; ttl")}
    stale = [reply for reply in replies if ttl(reply) < 0]
    assert stale and all(reply.headers["cache-control"] == "no-cache" for reply in stale)
    assert {reply.body for reply in stale} == {first.body}


def test_a_problem_that_is_kept_carries_the_id_of_each_request(served):
    replies = crowd(served, "/api/v1/kols/nobody-has-this-name", 50)
    for reply in replies:
        assert reply.status == 404
        assert reply.json()["instance"] == reply.headers["x-request-id"]
        assert int(reply.headers["content-length"]) == len(reply.body)
    assert len({reply.headers["cache-status"] for reply in replies}) > 1


# ---- what answers are made from cannot be read ----


@pytest.fixture
def failing(kol_fail, demo_data):
    """Starts a server over demo data, whose loads fail from the n-th on: failing(2)."""
    shutil.copytree(demo_data, kol_fail.data)
    return lambda first: Served(
        kol_fail, env={"KOL_TEST_FAILURE": f"api.load:{first}-1000000000"}
    )


def check_unavailable(replies):
    for reply in replies:
        problem = reply.json()
        assert (reply.status, problem["code"]) == (503, "unavailable"), reply
        assert problem["instance"] == reply.headers["x-request-id"]
        assert reply.headers["retry-after"] == "1"
        assert reply.headers["cache-control"] == "no-store"
        assert "test makes" not in problem["detail"]  # the reason is for the log


def test_a_crowd_without_an_answer_from_before_gets_one_clear_503(failing):
    server = failing(1)
    check_unavailable(crowd(server, SLOW))
    assert server.metric(DONE) == 0 < server.metric(FAILED)
    check_unavailable(crowd(server, SLOW, 1))  # nothing of it was kept


def test_a_crowd_gets_the_stale_answer_while_loads_fail(failing):
    server = failing(2)
    first = server.ask(SHORT)
    let_expire(2.1)
    began = time.monotonic()
    replies = crowd(server, SHORT)
    assert {(reply.status, reply.body) for reply in replies} == {(200, first.body)}
    for reply in replies:
        assert ttl(reply) < 0 and reply.headers["cache-control"] == "no-cache"
        assert int(reply.headers["age"]) >= 2
    wait_until(lambda: server.metric(FAILED) > 0, "a load to fail")
    # Who serves stale does not ask at every hit what fails: once a second.
    assert server.metric(FAILED) <= 2 + time.monotonic() - began
    assert server.metric(DONE) == 1
    check_unavailable([server.ask("/api/v1/kols/andrea.gym")])  # never loaded before


@pytest.mark.long
def test_a_crowd_gets_the_answer_from_before_long_behind_its_time(failing):
    """Behind stale-while-revalidate each request waits for the load, and is told that it failed."""
    server = failing(2)
    first = server.ask(SHORT)
    let_expire(12)
    replies = crowd(server, SHORT)
    assert {(reply.status, reply.body) for reply in replies} == {(200, first.body)}
    assert set(kinds(replies)) == {(200, "kol-l1; hit; ttl; detail=load-failed")}
    assert all(ttl(reply) <= -11 for reply in replies)
    assert server.metric(DONE) == 1
