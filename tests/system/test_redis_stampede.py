"""Crowds at keys that Redis lacks: one process loads, once, and all others get what it loaded."""

import asyncio
import time

import pytest

from redis_services import messages_of, redis_flags
from support import wait_until
from test_api_flight import ask_at_once

pytestmark = pytest.mark.release_only  # under sanitizers the shapes and broken values are read

COPY = 'kol_cache_loads_total{tier="copy",result="done"}'
PROFILE, TOP = "/api/v1/kols/tiktok:ly.sport", "/api/v1/kols/top/tiktok?limit=100"
KEYS = {PROFILE: ["kol:profile:tiktok:ly.sport"],
        TOP: ["kol:top:followers:tiktok:100", "{kol:top:followers:tiktok:100}:meta"],
        "/api/v1/stats/platform": ["stats:platform"]}  # fmt: skip


def loads(servers):
    return sum(server.metric(COPY) for server in servers)


async def ask_all(servers, path, count):
    return await asyncio.gather(*(ask_at_once(server.address, path, count) for server in servers))


def crowd(servers, path, count):
    """All clients of all servers at once; their answers are the same."""
    replies = sum(asyncio.run(asyncio.wait_for(ask_all(servers, path, count), 60)), [])
    assert {reply.status for reply in replies} == {200}, [r for r in replies if r.status != 200][:3]
    assert len(replies) == count * len(servers)
    bodies = {reply.body for reply in replies}
    assert len(bodies) == 1, list(bodies)[:2]
    return replies


def start_servers(serve, server, count, deadline="10s"):
    """They are patient: what Redis does not tell in time each of them would load by itself."""
    flags = [*redis_flags(server.url, first=True), "--redis-answer-time", "5s", "--serve-deadline", deadline]
    return [serve(*flags, "--serve-threads", 1) for _ in range(count)]


def expire(server, path):
    """The keys go as they would at the end of their time; the servers are told."""
    for key in KEYS[path]:
        server.redis.pexpire(key, 1)
    wait_until(lambda: not server.redis.exists(*KEYS[path]), "the keys to expire")
    time.sleep(0.3)  # all processes have heard of it, or it is none of theirs


def stampede(serve, redis_server, path, processes, clients, rounds):
    servers = start_servers(serve, redis_server, processes)
    servers[0].kol("warm", *redis_flags(redis_server.url, warm=None))
    for _ in range(rounds):
        expire(redis_server, path)
        before = loads(servers)
        crowd(servers, path, clients)
        assert loads(servers) - before == 1
        wait_until(lambda: redis_server.redis.exists(KEYS[path][0]), "the key to be written back")
        assert not redis_server.keys("cache:lock:*"), "a lock was left"


@pytest.mark.parametrize("path", list(KEYS))
def test_a_crowd_at_two_processes_makes_one_load(serve, redis_server, path):
    stampede(serve, redis_server, path, 2, 100, 3)


@pytest.mark.long
@pytest.mark.parametrize("path", list(KEYS))
def test_four_processes_with_250_clients_each_make_one_load(serve, redis_server, path):
    stampede(serve, redis_server, path, 4, 250, 10)


@pytest.mark.parametrize("path", [PROFILE, "/api/v1/stats/platform"])
def test_a_key_that_was_never_there_is_loaded_once(serve, redis_server, path):
    servers = start_servers(serve, redis_server, 2)
    crowd(servers, path, 50)
    assert loads(servers) == 1


def test_who_holds_a_lock_and_is_gone_delays_nobody_for_long(serve, redis_server):
    """A lock of a process that died with it: the others load when half of the deadline is over."""
    servers = start_servers(serve, redis_server, 2, deadline="2s")
    crowd(servers, PROFILE, 5)
    names = redis_server.text.config_get("notify-keyspace-events")["notify-keyspace-events"]
    redis_server.text.config_set("notify-keyspace-events", "KA")
    heard = redis_server.text.pubsub(ignore_subscribe_messages=True)
    heard.psubscribe("__keyspace@0__:cache:lock:*")
    expire(redis_server, PROFILE)
    crowd(servers, PROFILE, 5)
    locks = {row["channel"].split(":", 1)[1] for row in messages_of(heard)}
    heard.close()
    redis_server.text.config_set("notify-keyspace-events", names)
    assert len(locks) == 1, locks
    (lock,) = locks
    redis_server.text.set(lock, "somebody else", px=30_000)
    expire(redis_server, PROFILE)
    began = time.monotonic()
    crowd(servers, PROFILE, 20)
    assert time.monotonic() - began < 2.0
    assert redis_server.text.get(lock) == "somebody else", "a lock of another was taken away"
