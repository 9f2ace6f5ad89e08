"""Values in Redis that are broken, of another type, or of another version of kol: nobody gets an
error, what is broken is counted and written anew, what is only unknown is left alone.

The servers here keep nothing themselves (--serve-cache 0), so that each request reads Redis.
"""

import json
import random
import re

import pytest

from asking import Asker
from redis_services import redis_flags
from support import wait_until

NUMBERS = ["", "abc", "1e999", "nan", "-", " 1", "1 ", "0x10", "1_000", "12,5", "١٢", "1" * 400]
BAD = {
    int: [*NUMBERS, "1.5", "true", "123456789012345678901234567890", "1e3x"],
    float: [*NUMBERS, "inf", "true"],
    bool: ["", "yes", "TRUE", "2", "tru", "null"],
    list: ["", "[", "{}", '["a",', "null", "[" * 200, "[1, 2]", '"a"', "[" + '"x",' * 50_000],
    dict: ["", "{", "[]", "null", '{"a":' * 100, '{"a" 1}'],
    "time": ["", "yesterday", "2025-13-45T00:00:00Z", "2025-06-01", "0", "2025-06-01T00:00:00Z trailing"],
    str: [b"\xff\xfe", b"a\xc3", b"\xed\xa0\x80", "x" * (3 << 19)],
}
GARBAGE = 'kol_cache_reads_total{tier="redis",result="garbage"}'


def kind_of(name, value):
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", value) and name != "bio":
        return "time"
    return float if type(value) is int and name.endswith(("_score", "_rate", "_index")) else type(value)


class Case:
    """A key, the path that reads it, and the answer that is right."""

    def __init__(self, key, path, truth, rows=False):
        self.key, self.path, self.truth, self.rows = key, path, truth, rows
        self.whole = None  # the value as it was written by kol


class World:
    """A server that asks Redis, one that does not, and what lies in Redis after a warm."""

    def __init__(self, serve, redis, first, count):
        self.redis = redis
        self.plain = serve()
        self.server = serve(*redis_flags(redis.url, first=first), "--serve-cache", "0")
        self.flags = redis_flags(redis.url, warm=None)
        self.server.kol("warm", "--full", *self.flags)
        self.asker, self.plain_asker = Asker(self.server), Asker(self.plain)
        rows = self.plain.get("/api/v1/kols", limit=100)["data"]
        kols = [(row["platform"], row["kol_id"]) for row in rows][:count]
        self.cases = []
        for platform, kol_id in kols:
            if first:
                self.add(f"kol:profile:{platform}:{kol_id}", f"/api/v1/kols/{platform}:{kol_id}")
            self.add(f"kol:score:{platform}:{kol_id}", f"/api/v1/kols/{platform}:{kol_id}/scores")
        if first:
            for row in self.plain.get("/api/v1/trending/tiktok", limit=20)["data"]:
                self.add(f"content:detail:tiktok:{row['content_id']}", f"/api/v1/content/tiktok:{row['content_id']}")
            self.add("stats:platform", "/api/v1/stats/platform")

    def add(self, key, path):
        case = Case(key, path, self.plain_asker.get(path).json())
        case.whole = self.value(key)
        assert case.whole, f"a warm left {key} out"
        self.cases.append(case)

    def value(self, key):
        fields = self.redis.redis.hgetall(key) if self.redis.redis.type(key) == b"hash" else {}
        fields.pop(b"cached_at", None)
        return fields

    def ask(self, case):
        reply = self.asker.get(case.path)
        assert reply.status == 200, (case.key, reply)
        return reply.json()

    def restore(self, case):
        self.redis.redis.delete(case.key)
        self.redis.redis.hset(case.key, mapping=case.whole)
        self.redis.redis.expire(case.key, 1800)

    def close(self):
        self.asker.close()
        self.plain_asker.close()


@pytest.fixture
def world(serve, redis_server):
    """world(first, how many KOLs)"""
    made = []

    def start(first, count):
        made.append(World(serve, redis_server, first, count))
        return made[-1]

    yield start
    for one in made:
        one.close()


# ---- broken ----


def other_type(redis, key, source):
    redis.delete(key)
    which = source.randrange(6)
    if which == 0:
        redis.set(key, source.choice([b"", b"{}", b"[]", b"{\"kol_id\":", source.randbytes(100), b"x" * (2 << 20)]))
    elif which == 1:
        redis.rpush(key, "a", "b")
    elif which == 2:
        redis.sadd(key, "a")
    elif which == 3:
        redis.zadd(key, {"a": 1})
    elif which == 4:
        redis.xadd(key, {"a": 1})
    else:
        redis.hset(key, mapping={f"field{number}": "x" for number in range(600)})
    return "another type"


def bad_field(redis, key, truth, source):
    apart = ("snapshot", "also_on", "trust_label", "risk_level")  # the last two are made of the score
    names = [name for name, value in truth.items() if value is not None and name not in apart]
    name = source.choice(names)
    value = source.choice(BAD[kind_of(name, truth[name])])
    redis.hset(key, name, value)
    return name, value[:60]


def break_one(redis, case, source):
    if source.random() < 0.35:
        return other_type(redis, case.key, source)
    return bad_field(redis, case.key, case.truth, source)


def break_all(world, source, total, first):
    done, counted = 0, world.server.metric(GARBAGE)
    while done < total:
        cases = world.cases if total - done >= len(world.cases) else source.sample(world.cases, total - done)
        how = {case.key: break_one(world.redis.redis, case, source) for case in cases}
        for case in cases:
            assert world.ask(case) == case.truth, (case.key, how[case.key])
        if first:
            wait_until(
                lambda cases=cases: all(world.value(case.key) == case.whole for case in cases),
                f"values to be healed, such as {[how[c.key] for c in cases if world.value(c.key) != c.whole][:3]}",
                pause=0.05,
            )
        for case in cases:
            world.restore(case)
        done += len(cases)
    if first:  # else what is no live score is not looked at more closely
        assert world.server.metric(GARBAGE) - counted >= total
    assert world.server.stop()[0] == 0


@pytest.mark.parametrize("first, total", [(True, 300), (False, 100)])
def test_broken_values_are_never_served(world, first, total):
    break_all(world(first, 30), random.Random(11), total, first)


@pytest.mark.long
@pytest.mark.parametrize("first", [True, False])
def test_10000_broken_values_are_never_served(world, first):
    break_all(world(first, 100), random.Random(12), 10_000, first)


def flip(redis, case, source):
    """Bytes of one field are changed: what comes of it may be a value too."""
    name = source.choice(list(case.whole))
    value = bytearray(case.whole[name])
    for _ in range(source.randrange(1, 4)):
        at = source.randrange(len(value) + 1)
        what = source.randrange(3)
        if what == 0:
            value[at:at] = source.randbytes(1)
        elif at < len(value):
            value[at : at + 1] = b"" if what == 1 else source.randbytes(1)
    redis.hset(case.key, name, bytes(value))


def shapes_agree(got, truth):
    """The same members of the same types, whatever their values are; null stays possible."""
    for name, value in truth.items():
        assert name in got or name == "also_on", name
        if value is not None and got.get(name) is not None and not isinstance(value, (int, float)):
            assert type(got[name]) is type(value), (name, got[name])
    json.dumps(got, allow_nan=False)


def flip_all(world, source, total):
    for _ in range(total):
        case = source.choice(world.cases)
        flip(world.redis.redis, case, source)
        reply = world.asker.get(case.path)
        assert reply.status == 200, (case.key, reply)
        reply.body.decode()
        shapes_agree(reply.json(), case.truth)
        world.restore(case)
    assert world.server.stop()[0] == 0


def test_flipped_bytes_end_no_answer(world):
    flip_all(world(True, 20), random.Random(13), 400)


@pytest.mark.long
def test_10000_flipped_bytes_end_no_answer(world):
    flip_all(world(True, 100), random.Random(14), 10_000)


# ---- sets and texts ----


TOP = "kol:top:followers:tiktok:100"
META = "{" + TOP + "}:meta"


def clear_set(redis):
    redis.delete(TOP, META)


def whole_set(redis, members, snapshot):
    redis.zadd(TOP, members)
    redis.hset(META, mapping={"snapshot": snapshot})


@pytest.mark.parametrize(
    "how",
    ["string", "list", "hash", "no sibling", "sibling of another type", "another snapshot", "snapshot is no number",
     "infinite", "no member is an id", "unknown members", "empty member", "ten thousand members"],
)  # fmt: skip
def test_a_broken_set_is_a_miss(world, how):
    one = world(True, 1)
    redis, path = one.redis.redis, "/api/v1/kols/top/tiktok?limit=20"
    truth = one.plain_asker.get(path).json()
    members = {row["kol_id"]: row["followers_count"] for row in truth["data"]}
    clear_set(redis)
    whole_set(redis, members, truth["snapshot"])
    if how == "string":
        redis.set(TOP, "x")
    elif how == "list":
        redis.delete(TOP)
        redis.rpush(TOP, "a")
    elif how == "hash":
        redis.delete(TOP)
        redis.hset(TOP, "a", 1)
    elif how == "no sibling":
        redis.delete(META)
    elif how == "sibling of another type":
        redis.set(META, "x")
    elif how == "another snapshot":
        redis.hset(META, "snapshot", truth["snapshot"] + 1000)
    elif how == "snapshot is no number":
        redis.hset(META, "snapshot", "newest")
    elif how == "infinite":
        redis.zadd(TOP, {next(iter(members)): float("inf")})
    elif how == "no member is an id":
        redis.zadd(TOP, {b"\xff\xfe\x00": 10**12})
    elif how == "unknown members":
        redis.zadd(TOP, {"nobody.has.this": 10**12})
    elif how == "empty member":
        redis.zadd(TOP, {"": 10**12})
    else:
        redis.zadd(TOP, {f"nobody.{number}": 10**12 + number for number in range(10_000)})
    for _ in range(3):
        reply = one.asker.get(path)
        assert reply.status == 200, reply
        got = reply.json()
        assert {row["snapshot"] for row in got["data"]} == {got["snapshot"]}
        assert got["data"] == truth["data"]


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"null", b"{}", b'{"data": 5}', b"\xff" * 100, b"[" * 10_000])
def test_a_broken_first_page_is_a_miss(world, value):
    one = world(True, 1)
    one.redis.redis.set("kol:profiles:list:tiktok", value, ex=900)
    path = "/api/v1/kols?platform=tiktok"
    for _ in range(2):
        reply = one.asker.get(path)
        assert reply.status == 200
        assert reply.json() == one.plain_asker.get(path).json()


# ---- another version ----


def test_fields_of_a_newer_version_are_no_error(world):
    one = world(True, 20)
    more = {"future_score": "17.5", "future_list": '["a"]', "future_text": "x", "zz": ""}
    bad = one.server.metric(GARBAGE)
    for case in one.cases:
        one.redis.redis.hset(case.key, mapping=more)
    for _ in range(2):
        for case in one.cases:
            got = one.ask(case)
            assert {name: got[name] for name in case.truth} == case.truth, case.key
    assert one.server.metric(GARBAGE) == bad
    for case in one.cases:
        assert one.redis.redis.hget(case.key, "future_text") == b"x", "a read took them away"


def test_a_warm_by_either_version_suits_the_other(world):
    """The newer one's fields are there or gone behind a warm of this one; nobody fails."""
    one = world(True, 20)
    for case in one.cases:
        one.redis.redis.hset(case.key, "future_score", "17.5")
    for flags in ((), ("--full",)):
        one.server.kol("warm", *flags, *one.flags)
        for case in one.cases:
            got = one.ask(case)
            assert {name: got[name] for name in case.truth} == case.truth, case.key


def test_fields_that_an_older_version_does_not_write_are_no_error(world):
    """What may be null is null then; what is always there is loaded from the copy."""
    one = world(True, 20)
    for case in one.cases:
        names = [name.encode() for name, value in case.truth.items() if value is not None]
        for name in ("display_name", "category", "percentile", "title", "avg_trust_score"):
            if name.encode() in names:
                one.redis.redis.hdel(case.key, name)
    for _ in range(3):
        for case in one.cases:
            got = one.ask(case)
            assert set(got) == set(case.truth)
            for name, value in case.truth.items():
                assert got[name] in (value, None) or name == "percentile", (case.key, name)


def test_a_value_of_an_older_snapshot_is_replaced(world):
    """What another process wrote from an older copy does not come back behind a newer one."""
    one = world(True, 5)
    for case in one.cases:
        one.redis.redis.hset(case.key, mapping={"snapshot": 0, "display_name": "of old"})
    one.server.kol("warm", *one.flags)
    for case in one.cases:
        assert one.ask(case) == case.truth
