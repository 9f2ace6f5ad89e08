"""Reads of what is warm write nothing into Redis and take nothing out of the cache of a process."""

import random
import time

import pytest

from asking import Asker
from redis_services import WRITES, redis_flags
from support import wait_until

pytestmark = pytest.mark.release_only  # under sanitizers the shapes and broken values are read

LEFT = [f'kol_cache_left_total{{tier="l1",reason="{why}"}}' for why in ("dropped", "outdated", "fenced")]


def paths_of(server):
    kols = []
    for offset in range(0, 400, 100):
        rows = server.get("/api/v1/kols", limit=100, offset=offset)["data"]
        kols += [f"/api/v1/kols/{row['platform']}:{row['kol_id']}" for row in rows]
        kols += [f"/api/v1/kols/{row['kol_id']}" for row in rows[:20]]
    paths = [kol + rest for kol in kols for rest in ("", "/scores")]
    for platform in ("tiktok", "twitter", "youtube", "instagram", "all"):
        paths += [f"/api/v1/kols/top/{platform}?limit={limit}" for limit in (10, 100)]
        paths += [f"/api/v1/kols/top/{platform}?by=engagement&limit=10", f"/api/v1/trending/{platform}?limit=50"]
        paths += [f"/api/v1/trending/kols/{platform}?metric={metric}" for metric in ("trust", "composite")]
    content = [row["content_id"] for row in server.get("/api/v1/trending/tiktok", limit=50)["data"]]
    paths += [f"/api/v1/content/tiktok:{content_id}" for content_id in content]
    paths += [f"/api/v1/kols?platform={platform}" for platform in ("tiktok", "twitter")]
    return paths + ["/api/v1/stats/platform", "/api/v1/stats/daily/2025-06-28",
                    "/api/v1/search/suggest?prefix=ly"]  # fmt: skip


def writes(server):
    return {name: calls for name, calls in server.calls().items() if name in WRITES}


def left(servers):
    return [server.metric(name) for server in servers for name in LEFT]


def quiet(serve, redis_server, first, reads):
    servers = [serve(*redis_flags(redis_server.url, first=first)) for _ in range(2)]
    servers[0].kol("warm", "--full", *redis_flags(redis_server.url, warm=None))
    paths = paths_of(servers[0])
    askers = [Asker(server) for server in servers]

    def ask(path):
        for asker in askers:
            reply = asker.get(path)
            assert reply.status == 200, (path, reply)

    for path in paths:  # once through all: what a warm left out is written now
        ask(path)
    time.sleep(1.0)  # the writes of the warm, and of that round, have been told to all
    before, out = writes(redis_server), left(servers)
    source = random.Random(7)
    for _ in range(reads // 2):
        ask(source.choice(paths))
    time.sleep(0.3)
    after = writes(redis_server)
    more = {name: calls - before.get(name, 0) for name, calls in after.items() if calls != before.get(name, 0)}
    assert not more, more
    assert left(servers) == out
    for asker in askers:
        asker.close()


@pytest.mark.parametrize("first", [True, False])
def test_2000_reads_after_a_warm_are_quiet(serve, redis_server, first):
    quiet(serve, redis_server, first, 2_000)


@pytest.mark.long
@pytest.mark.parametrize("first", [True, False])
def test_10000_reads_after_a_warm_are_quiet(serve, redis_server, first):
    quiet(serve, redis_server, first, 10_000)


def test_a_warm_writes_all_that_is_asked_for(serve, redis_server):
    """With Redis first, nothing of the usual reads is left to be written back."""
    server = serve(*redis_flags(redis_server.url, first=True))
    server.kol("warm", "--full", *redis_flags(redis_server.url, warm=None))
    paths, before = paths_of(serve()), redis_server.keys()
    asker = Asker(server)
    for path in paths:
        asker.get(path)
    asker.close()
    time.sleep(0.5)
    assert redis_server.keys() == before


def test_a_warm_of_what_is_there_drops_no_answer(serve, redis_server):
    """Values that are equal stay in L1, though each of their keys was written or renewed."""
    servers = [serve(*redis_flags(redis_server.url, first=True)) for _ in range(2)]
    flags = redis_flags(redis_server.url, warm=None)
    servers[0].kol("warm", "--full", *flags)
    kols = [path for path in paths_of(servers[0]) if path.startswith("/api/v1/kols/") and "scores" not in path]
    for server in servers:
        for path in kols[:200]:
            server.ask(path)
    time.sleep(1.0)
    out = left(servers)
    servers[0].kol("warm", *flags)
    servers[0].kol("warm", "--full", *flags)
    wait_until(lambda: all(server.ask("/readyz").status == 200 for server in servers), "the servers")
    time.sleep(1.0)
    assert left(servers) == out
