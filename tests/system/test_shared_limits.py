"""One rate limit for several processes, through Redis or, without it, the live store of the machine.

How much comes through is judged by how long it was asked for; a process is told of the others within
a moment (100 ms, more on a machine that is busy), and what it let through until then comes on top.
"""

import re
import threading
import time
from dataclasses import dataclass

import pytest

from redis_services import redis_flags
from support import wait_until

PATH = "/api/v1/stats/platform"
TOLD = 'kol_limits_told_total{result="%s"}'
UNTOLD = 0.6  # seconds of asking that another process may not know of


@dataclass
class Caller:
    """A key with a limit of its own; without a key: the address."""

    name: str
    rate: float  # a second
    burst: int
    key: str = ""

    @property
    def headers(self):
        return {"X-API-Key": self.key} if self.key else {}

    def most(self, seconds):
        return self.burst + self.rate * seconds


def make_caller(kol, name, rate, burst):
    flags = ("--scope", "read", "--rate", rate * 60, "--burst", burst, "--format", "json")
    return Caller(name, rate, burst, kol("keys", "create", name, *flags).json()[0]["key"])


class Asking:
    """Asks servers as each of the callers, so often a second each, until stop()."""

    def __init__(self, servers, callers, often=25):
        self.rows, self.ending, self.often = [], threading.Event(), often
        self.began = time.monotonic()
        self.threads = [
            threading.Thread(target=self.ask, args=(server, caller)) for server in servers for caller in callers
        ]
        for thread in self.threads:
            thread.start()

    def ask(self, server, caller):
        due = time.monotonic()
        while not self.ending.wait(max(0.0, due - time.monotonic())):
            reply = server.ask(PATH, headers=caller.headers)
            self.rows.append((time.monotonic(), caller.name, reply))
            due = max(due + 1 / self.often, time.monotonic())

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join()
        assert {reply.status for _, _, reply in self.rows} <= {200, 429}, "and no other answer ever"
        return self.rows

    def through(self, caller, since=0.0, until=float("inf")):
        return sum(
            name == caller.name and reply.status == 200 and since <= at < until for at, name, reply in list(self.rows)
        )


def ask_for(seconds, servers, callers, often=25):
    """How many came through, by caller, and how long it really took."""
    asking = Asking(servers, callers, often)
    time.sleep(seconds)
    asking.stop()
    took = time.monotonic() - asking.began
    return {caller.name: asking.through(caller) for caller in callers}, took, asking.rows


def check_together(servers, callers, seconds=4.0, often=25):
    """Two servers let through what one would, and what comes in a moment to the other."""
    through, took, rows = ask_for(seconds, servers, callers, often)
    for caller in callers:
        assert through[caller.name] <= caller.most(took) + UNTOLD * often, (caller, through, took)
        assert through[caller.name] >= 0.7 * caller.most(took), (caller, through, took)
        # Each by itself would have let through twice as much: the bounds tell the two apart.
        assert caller.most(took) + UNTOLD * often < 0.85 * len(servers) * caller.most(took)
    return rows


def check_headers(rows, callers):
    for caller in callers:
        refused = [reply for _, name, reply in rows if name == caller.name and reply.status == 429]
        assert refused
        for reply in refused:
            assert reply.headers["ratelimit-limit"] == str(caller.burst)
            assert reply.headers["ratelimit-remaining"] == "0"
            assert int(reply.headers["retry-after"]) >= 1
            assert int(reply.headers["ratelimit-reset"]) >= 1
        assert max(int(reply.headers["retry-after"]) for reply in refused) <= 2 + 30 / caller.rate


def limits_in(redis):
    found = {key.decode(): redis.get(key) for key in redis.scan_iter(match="ratelimit:*")}
    return {key: value for key, value in found.items() if value is not None}


def test_two_servers_keep_the_limits_of_three_keys(serve, kol, redis_server):
    callers = [make_caller(kol, "ana", 10, 40), make_caller(kol, "ben", 5, 60), make_caller(kol, "cy", 15, 30)]
    servers = [serve(*redis_flags(redis_server.url)) for _ in range(2)]
    rows = check_together(servers, callers)
    check_headers(rows, callers)
    held = limits_in(redis_server.redis)
    assert set(held) == {f"ratelimit:key:{caller.name}" for caller in callers}
    now = redis_server.redis.time()
    for key, value in held.items():
        ahead = int(value) / 1e6 - now[0] - now[1] / 1e6
        assert 0 < ahead <= 4 * 12 + 60
        assert abs(redis_server.redis.pttl(key) / 1000 - ahead) < 5, "it lives until it is empty"
    assert all(server.metric(TOLD % "told") > 0 for server in servers)
    assert all(server.metric(TOLD % "failed") == 0 for server in servers)


def test_a_server_tells_what_was_asked_of_another(serve, redis_server):
    """The headers count all of them, and what is not counted costs nothing."""
    flags = redis_flags(redis_server.url) + ["--serve-rate", 1, "--serve-burst", 40]
    first, second = serve(*flags), serve(*flags)
    for asked in range(1, 21):
        assert first.ask(PATH).headers["ratelimit-remaining"] == str(40 - asked)
    asked = 0

    def remaining():
        nonlocal asked
        asked += 1
        assert asked <= 15, "it is not told"
        return int(second.ask(PATH).headers["ratelimit-remaining"])

    wait_until(lambda: remaining() == 20 - asked, "the second to know of the first", pause=0.2)

    def is_told():
        (value,) = limits_in(redis_server.redis).values()
        return int(value) / 1e6 - redis_server.redis.time()[0] > (20 + asked) * 60 - 50

    wait_until(is_told, "all of it to be told")
    before = redis_server.calls()["evalsha"]
    time.sleep(0.5)
    assert redis_server.calls()["evalsha"] == before, "what nobody uses is not told"


def acl_line(kol):
    return re.search(r"^ACL SETUSER .*$", kol("docs", "cache-keys").text, re.M)[0].split(" ")


def test_addresses_share_a_limit_and_are_not_in_redis(serve, redis_start, kol):
    server = redis_start()
    server.redis.execute_command(*acl_line(kol))
    url = f"redis://kol:PASSWORD@127.0.0.1:{server.port}"
    flags = redis_flags(url) + ["--serve-rate", 600, "--serve-burst", 40]
    servers = [serve(*flags) for _ in range(2)]
    check_together(servers, [Caller("address", 10, 40)])
    (key,) = limits_in(server.redis)
    assert re.fullmatch(r"ratelimit:address:[0-9a-f]{32}", key)
    assert server.redis.acl_log() == [], "the user of the documents may do what it takes"


def test_without_redis_servers_of_one_data_folder_share_a_limit(serve):
    flags = ["--serve-rate", 600, "--serve-burst", 40]
    servers = [serve(*flags) for _ in range(2)]
    check_together(servers, [Caller("address", 10, 40)])
    assert all(server.metric(TOLD % "told") > 0 for server in servers)


def test_redis_goes_and_comes_back(serve, redis_start):
    """Meanwhile each keeps the limit by itself; then they keep it together, and nobody waits long."""
    server = redis_start()
    caller = Caller("address", 20, 20)
    flags = redis_flags(server.url) + ["--serve-rate", 1200, "--serve-burst", 20]
    servers = [serve(*flags) for _ in range(2)]
    asking = Asking(servers, [caller], often=40)
    try:
        time.sleep(2)
        server.kill()
        time.sleep(1)  # until the breaker is open
        began = time.monotonic()
        time.sleep(3)
        alone = asking.through(caller, began) / (time.monotonic() - began)
        server.start()
        wait_until(lambda: limits_in(server.redis), "the limits to be told again")
        wait_until(lambda: all(s.metric('kol_cache_breaker{tier="redis"}') == 0 for s in servers), "both ask again")
        back = time.monotonic()
        time.sleep(4)
        all_of_it, took = asking.through(caller, back), time.monotonic() - back
    finally:
        asking.stop()
    assert alone >= 1.4 * caller.rate, "each lets through by itself"
    through = [*sorted(at for at, _, reply in asking.rows if reply.status == 200), asking.rows[-1][0]]
    longest = max(later - at for at, later in zip(through, through[1:]))
    assert longest < 2, "nobody pays for the 4 s in which each let through by itself"
    assert 0.6 * caller.rate * took <= all_of_it <= caller.most(took) + UNTOLD * 40, (all_of_it, took)


@pytest.mark.parametrize("kind", ["text", "list", "future"])
def test_garbage_under_the_key_is_an_empty_bucket(serve, redis_server, kind):
    flags = redis_flags(redis_server.url) + ["--serve-rate", 60, "--serve-burst", 40]
    server = serve(*flags)
    for _ in range(10):
        assert server.ask(PATH).status == 200
    (key,) = wait_until(lambda: limits_in(redis_server.redis), "the limit to be told")
    redis_server.redis.delete(key)
    if kind == "list":
        redis_server.redis.rpush(key, "garbage")
    else:
        redis_server.redis.set(key, b"\xff garbage" if kind == "text" else b"9999999999999999")
    for _ in range(5):
        assert server.ask(PATH).status == 200, "it judges by what it knows itself"

    def is_mended():
        return redis_server.redis.type(key) == b"string" and re.fullmatch(rb"1\d{15}", redis_server.redis.get(key))

    wait_until(is_mended, "what was there to be replaced")
    wait_until(lambda: server.metric(TOLD % "anew") == 1, "it to be counted")
    assert 0 < redis_server.redis.pttl(key) <= 15000
    assert 24 <= int(server.ask(PATH).headers["ratelimit-remaining"]) <= 26, "its own was not emptied"
