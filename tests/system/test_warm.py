"""kol warm, kol cache and kol doctor beside real Redis servers, as a user who may do just that."""

import json
import re
import signal

import pytest
import redis

from redis_services import messages_of, redis_flags
from served import Served
from support import Kol, wait_until

PARTS = ["profiles", "top", "trending", "stats", "search"]


def warm(kol, server, *flags, status=0, **more):
    """The report: {part: row}, and what was said."""
    done = kol("warm", "--format", "json", "--redis-url", server.url, *flags, status=status, **more)
    return {row["part"]: row for row in done.json()}, done.errors


def total(report, column):
    return sum(row[column] for row in report.values())


def written_keys(*servers):
    """How many keys there are of those that a warm counts: a set and its sibling are one, also a set
    that is empty, of which there is the sibling alone."""
    keys = {key for server in servers for key in server.keys()} - {"cache:metadata"}
    sets = {key.removesuffix("}:meta")[1:] for key in keys if key.endswith("}:meta")}
    return len({key for key in keys if not key.endswith("}:meta")} | sets)


def status_of(kol, url, *flags):
    rows = kol("cache", "status", "--format", "json", "--redis-url", url, *flags).json()
    return {row["what"]: str(row["value"]) for row in rows}, {row["what"]: row["note"] for row in rows}


# ---- kol warm ----


def test_a_dry_run_says_what_a_warm_then_writes(demo_kol, redis_server):
    dry = {row["part"]: row for row in demo_kol("warm", "--dry-run", "--format", "json").json()}
    assert list(dry) == PARTS
    assert all(row["keys"] > 0 and row["bytes"] > 0 and row["written"] == 0 for row in dry.values())
    report, said = warm(demo_kol, redis_server)
    assert {part: (row["keys"], row["bytes"]) for part, row in report.items()} == {
        part: (row["keys"], row["bytes"]) for part, row in dry.items()
    }
    assert total(report, "written") == total(report, "keys")
    assert total(report, "refused") == total(report, "left_out") == 0
    assert redis_server.url.removeprefix("redis://") in said
    assert written_keys(redis_server) == total(report, "keys")
    told = redis_server.text.hgetall("cache:metadata")
    assert told["left_out"] == "0" and int(told["keys_profiles"]) == report["profiles"]["keys"]
    assert told["snapshot"] == redis_server.text.hget("stats:platform", "snapshot")


def test_a_second_warm_keeps_what_is_there_and_a_full_one_does_not(demo_kol, redis_server):
    first, _ = warm(demo_kol, redis_server)
    redis_server.redis.pexpire("stats:platform", 60000)
    second, _ = warm(demo_kol, redis_server)
    assert total(second, "written") == 0 and total(second, "kept") == total(first, "keys")
    assert redis_server.redis.pttl("stats:platform") > 60000, "it lives on"
    full, _ = warm(demo_kol, redis_server, "--full")
    assert total(full, "written") == total(first, "keys")


def test_parts_can_be_warmed_alone(demo_kol, redis_server):
    report, _ = warm(demo_kol, redis_server, "--top", "--stats")
    assert list(report) == ["top", "stats"]
    kinds = {key.split(":")[0].lstrip("{") for key in redis_server.keys()}
    assert kinds == {"kol", "ranking", "stats", "cache"}
    assert not redis_server.keys("kol:profile:*")


def test_scores_can_be_written_in_their_older_form(demo_kol, redis_server):
    warm(demo_kol, redis_server, "--profiles", "--redis-score-format", "json")
    key = redis_server.keys("kol:score:tiktok:*")[0]
    score = json.loads(redis_server.text.get(key))
    assert {"trust_score", "trust_label", "timestamp"} <= set(score)


def test_what_a_server_was_asked_for_comes_first(demo_kol, redis_server):
    served = Served(demo_kol, *redis_flags(redis_server.url, first=True))
    kols = served.get("/api/v1/kols", limit=50)["data"]
    wanted = kols[37]
    for _ in range(20):
        served.get(f"/api/v1/kols/{wanted['platform']}:{wanted['kol_id']}")
    served.stop()
    assert (demo_kol.data / "heat").read_text().startswith("kol-heat 1\n")
    redis_server.redis.flushall()
    report, said = warm(demo_kol, redis_server, "--limit", 3)
    assert total(report, "written") == 3 and total(report, "left_out") > 100
    assert "left out: no more than 3 keys" in said
    assert f"kol:profile:{wanted['platform']}:{wanted['kol_id']}" in redis_server.keys()


def test_an_interrupted_warm_keeps_what_it_wrote_and_goes_on(demo_kol, redis_start, redis_proxy):
    server = redis_start()
    proxy = redis_proxy(server)
    proxy.do("delay", 0.05)
    running = demo_kol.start("warm", "--redis-url", server.url_of(proxy.port), "--redis-answer-time", "5s")
    wait_until(lambda: server.redis.dbsize() > 100, "the first keys")
    running.signal(signal.SIGINT)
    done = running.wait()
    assert done.status == 130, done
    there = server.redis.dbsize()
    assert there > 100 and not server.redis.exists("cache:metadata")
    proxy.do("pass")
    again = demo_kol("warm", "--redis-url", server.url_of(proxy.port), "--format", "json")
    written = sum(row["written"] for row in again.json())
    assert "from a warm that was interrupted" in again.errors, again
    assert not (demo_kol.data / "warm.place").exists()
    dry = sum(row["keys"] for row in demo_kol("warm", "--dry-run", "--format", "json").json())
    assert 0 < written < dry
    assert server.redis.exists("cache:metadata")
    assert written_keys(server) == dry


def test_a_warm_stops_before_redis_is_full_and_says_so(demo_kol, redis_start):
    used = redis_start().redis.info("memory")["used_memory"]
    server = redis_start("--maxmemory", used + 1_500_000, "--maxmemory-policy", "noeviction")
    report, said = warm(demo_kol, server, "--warm-fill", 80)
    assert total(report, "left_out") > 0 and total(report, "refused") == 0
    assert re.search(r"keys were left out: Redis has .* \(maxmemory\)", said)
    memory = server.redis.info("memory")
    assert memory["used_memory"] < memory["maxmemory"]
    assert int(server.text.hget("cache:metadata", "left_out")) == total(report, "left_out")


def test_failures_say_what_to_do(demo_kol, redis_start, tmp_path):
    none = demo_kol("warm", status=2)
    assert "--redis-url" in none.errors
    server = redis_start("--requirepass", "secret", password="secret")
    refused = demo_kol("warm", "--redis-port", server.port, "--redis-host", "127.0.0.1", status=2)
    assert "password" in refused.errors and "secret" not in refused.errors
    server.kill()
    gone = demo_kol("warm", "--redis-url", server.url, status=1)
    assert "secret" not in gone.errors and str(server.port) in gone.errors
    empty = Kol(demo_kol.binary, tmp_path / "empty")("warm", "--dry-run", status=1)
    assert "kol etl" in empty.errors
    tls = demo_kol("warm", "--redis-url", "rediss://127.0.0.1:1", status=2)
    assert "TLS" in tls.errors
    assert "cluster" in demo_kol("warm", "--redis-hosts", "a:1 b:2", status=2).errors


# ---- kol cache ----


def test_status_counts_keys_of_each_kind(demo_kol, redis_server):
    report, _ = warm(demo_kol, redis_server)
    redis_server.redis.set("somebody:else", "1")
    redis_server.redis.hset("kol:profile:no.ttl", "kol_id", "no.ttl")
    values, notes = status_of(demo_kol, redis_server.url)
    count = {name: int(value) for name, value in values.items() if value.isdigit()}
    profiles = sum(n for kind, n in count.items() if kind.startswith(("kol:profile", "kol:score")))
    assert profiles == report["profiles"]["keys"] + 1
    assert count["search:autocomplete"] == count["stats:platform"] == count["cache:metadata"] == 1
    assert count["other keys"] == 1
    assert count["keys"] == redis_server.redis.dbsize()
    assert "for ever" in notes["kol:profile:{kol_id}"]
    assert values["version"] == redis_server.redis.info()["redis_version"]
    assert values["cache:metadata keys_profiles"] == str(report["profiles"]["keys"])
    assert "keys" not in redis_server.calls(), "never KEYS"
    # A sample is told as one.
    _, notes = status_of(demo_kol, redis_server.url, "--scan", 100)
    assert "estimated" in notes["keys"]


def test_get_prints_every_type(demo_kol, redis_server):
    warm(demo_kol, redis_server)

    def get(key, status=0):
        done = demo_kol("cache", "get", key, "--format", "json", "--redis-url", redis_server.url, status=status)
        return [(row["what"], row["name"], row["value"]) for row in done.json()], done.errors

    rows, _ = get("stats:platform")
    assert rows[0] == ("key", "type", "hash") and 0 < int(rows[1][2]) <= 300_000
    assert dict(row[1:] for row in rows[2:]) == redis_server.text.hgetall("stats:platform")
    rows, _ = get("kol:top:followers:all:100")
    ranked = redis_server.text.zrevrange("kol:top:followers:all:100", 0, -1, withscores=True)
    assert [(name, float(score)) for what, name, score in rows[2:]] == [tuple(row) for row in ranked]
    rows, _ = get("kol:profiles:list:all")
    assert rows[2][0] == "text" and json.loads(rows[2][2])["page"] == 1
    redis_server.redis.lpush("kol:profile:odd", "x")
    rows, said = get("kol:profile:odd")
    assert rows[2:] == [("item", "0", "x")] and "hash is expected" in said and "no TTL" in said
    redis_server.redis.set("somebody:else", "1")
    assert "no key of kol's" in get("somebody:else")[1]
    assert "there is no key" in get("kol:profile:nobody.at.all", status=1)[1]


def purge(kol, server, *flags):
    (row,) = kol("cache", "purge", *flags, "--format", "json", "--redis-url", server.url).json()
    return row["keys"], row["processes"]


def test_a_purge_takes_keys_out_and_tells_all(demo_kol, redis_server):
    warm(demo_kol, redis_server)
    redis_server.redis.set("kol:something:else:of:others", "1")
    redis_server.redis.lpush("search:recent:user", "x")
    pubsub = redis_server.redis.pubsub()
    pubsub.subscribe("kol:invalidate")
    assert pubsub.get_message(timeout=5)
    assert purge(demo_kol, redis_server, "--key", "kol:top:followers:all:100") == (2, 1)
    assert not redis_server.redis.exists("{kol:top:followers:all:100}:meta")
    profiles = len(redis_server.keys("kol:profile:tiktok:*"))
    assert purge(demo_kol, redis_server, "--prefix", "kol:profile:tiktok:") == (profiles, 1)
    assert not redis_server.keys("kol:profile:tiktok:*") and redis_server.keys("kol:profile:twitter:*")
    assert purge(demo_kol, redis_server, "--prefix", "kol:profile:*") == (0, 1), "a star is no wildcard"
    assert purge(demo_kol, redis_server, "--tag", "kol:tiktok:ly.sport") == (0, 1)
    purge(demo_kol, redis_server, "--all")
    assert redis_server.keys() == ["kol:something:else:of:others", "search:recent:user"]
    heard = [row["data"].decode() for row in messages_of(pubsub)]
    assert heard == [
        "key kol:top:followers:all:100", "prefix kol:profile:tiktok:", "prefix kol:profile:*",
        "tag kol:tiktok:ly.sport", "all",
    ]  # fmt: skip
    pubsub.close()
    assert demo_kol("cache", "purge", "--redis-url", redis_server.url, status=2)
    assert demo_kol("cache", "purge", "--all", "--key", "x", "--redis-url", redis_server.url, status=2)
    assert demo_kol("cache", "purge", "--prefix", "", "--redis-url", redis_server.url, status=2)


# ---- kol doctor ----


def doctor(kol, *flags, status=0):
    empty = kol.data.parent / "empty"  # its lake is a copy, which the doctor would speak of
    rows = kol("doctor", "--format", "json", "--serve-port", 0, *flags, status=status, data=empty).json()
    (row,) = [row for row in rows if row["check"] == "redis"]
    return row["state"], row["says"]


def test_the_doctor_says_what_to_change_in_redis(demo_kol, redis_start):
    assert doctor(demo_kol)[0] == "note"
    server = redis_start()
    state, says = doctor(demo_kol, "--redis-url", server.url)
    assert state == "note" and "no maxmemory" in says and "version 7" in says
    server.redis.config_set("maxmemory", "100mb")
    state, says = doctor(demo_kol, "--redis-url", server.url, status=1)
    assert state == "wrong" and "maxmemory-policy allkeys-lru" in says
    server.redis.config_set("maxmemory-policy", "allkeys-lru")
    assert doctor(demo_kol, "--redis-url", server.url)[0] == "ok"
    server.redis.replicaof("127.0.0.1", 1)
    assert "name its primary" in doctor(demo_kol, "--redis-url", server.url, status=1)[1]
    server.kill()
    state, says = doctor(demo_kol, "--redis-url", server.url, status=1)
    assert state == "wrong" and "cannot connect" in says


# ---- a user who may do just that ----


def acl_line(kol):
    page = kol("docs", "cache-keys").text
    return re.search(r"^ACL SETUSER .*$", page, re.M)[0].split(" ")


def denied(client):
    return [(row["reason"], row["object"], row["client-info"]) for row in client.acl_log()]


def test_the_user_of_the_documents_is_enough_and_has_nothing_to_spare(demo_kol, redis_start):
    server = redis_start()
    line = acl_line(demo_kol)
    server.redis.execute_command(*line)
    url = f"redis://kol:PASSWORD@127.0.0.1:{server.port}/1"
    demo_kol("warm", "--redis-url", url, "--redis-score-format", "json")
    for flags in (["warm", "--full"], ["warm"], ["cache", "status"], ["cache", "get", "stats:platform"]):
        demo_kol(*flags, "--redis-url", url)
    other = redis.Redis(port=server.port, db=1)
    odd = "kol:profile:tiktok:ly.sport"
    other.delete(odd)
    other.lpush(odd, "x")
    for first in (True, False):
        limit = ("--serve-rate", 60, "--serve-burst", 1000)
        served = Served(demo_kol, *redis_flags(url, first=first), *limit)
        wait_until(lambda s=served: s.ask("/readyz").status == 200, "ready")
        for path, query in [
            ("/api/v1/kols/tiktok:ly.sport", {}), ("/api/v1/kols/top/tiktok", {"limit": 10}),
            ("/api/v1/scores/tiktok:ly.sport", {}), ("/api/v1/stats/platform", {}),
            ("/api/v1/search", {"q": "ly", "user_id": "u"}), ("/api/v1/search", {"q": "an", "user_id": "u"}),
            ("/api/v1/search/recent/u", {}), ("/api/v1/trending/tiktok", {}),
        ]:  # fmt: skip
            assert served.ask(path, **query).status in (200, 404), path
        if first:
            wait_until(lambda: other.type(odd) == b"hash", "what was odd is mended")
            wait_until(lambda: list(other.scan_iter("ratelimit:*")), "the limit is told")
        served.stop()
    for what in (["--prefix", "kol:top:"], ["--tag", "x"], ["--all"]):
        demo_kol("cache", "purge", *what, "--redis-url", url)
    assert doctor(demo_kol, "--redis-url", url)[0] in ("note", "ok")
    assert denied(server.redis) == []
    allowed = {word[1:] for word in line if word.startswith("+")}
    used = {name.removeprefix("cmdstat_").lower() for name in server.redis.info("commandstats")}
    of_clusters = {"asking", "cluster|slots", "cluster|keyslot"}
    of_large_values = {"rename", "zcard", "hlen"}
    of_goings_on = {"exists"}  # a warm that was interrupted
    assert allowed - used <= of_clusters | of_large_values | of_goings_on, "it is allowed what it does not use"


def test_a_cluster_is_warmed_and_purged_by_the_same_user(demo_kol, redis_cluster):
    for node in redis_cluster.nodes:
        node.redis.execute_command(*acl_line(demo_kol))
    flags = ["--redis-cluster", "--redis-user", "kol", "--redis-password", "PASSWORD",
             "--redis-hosts", " ".join(f"127.0.0.1:{node.port}" for node in redis_cluster.nodes[:2])]  # fmt: skip
    report = demo_kol("warm", "--format", "json", *flags).json()
    written = sum(row["written"] for row in report)
    assert written == sum(row["keys"] for row in report) > 100
    rows = demo_kol("cache", "status", "--format", "json", *flags).json()
    values = {row["what"]: row["value"] for row in rows}
    assert int(values["servers"]) == 3
    primaries = [node for node in redis_cluster.nodes if node.redis.role()[0] == b"master"]
    assert written_keys(*primaries) == written
    assert int(values["keys"]) == sum(node.redis.dbsize() for node in primaries)
    keys = demo_kol("cache", "purge", "--all", "--format", "json", *flags).json()[0]["keys"]
    assert keys == int(values["keys"])
    for node in redis_cluster.nodes:
        assert denied(node.redis) == []
        assert node.redis.dbsize() == 0
