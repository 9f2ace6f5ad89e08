"""The keys in Redis as redis-py sees them: what `kol warm` writes, and what kol reads of others."""

import json
import re
import shutil
from datetime import datetime, timezone

import pytest

from redis_services import Redis, fields_of, need_redis, redis_flags
from served import Served
from support import Kol, wait_until

PLATFORM = "tiktok|twitter|youtube|instagram"
ANY = f"{PLATFORM}|all"
METRICS = "trending|trust|success|composite|followers|engagement"

# The table of keys as other programs know it: pattern, type, the longest TTL in seconds.
SHAPES = [
    (rf"kol:profile:(?:(?P<platform>{PLATFORM}):)?(?P<id>.+)", "hash", 3600),
    (rf"kol:profiles:list:(?P<platform>{ANY})", "string", 900),
    (rf"kol:top:(?P<by>followers|engagement):(?P<platform>{ANY}):(?P<limit>\d+)", "zset", 900),
    (rf"kol:score:(?:(?P<platform>{PLATFORM}):)?(?P<id>.+)", "hash", 3600),
    (rf"content:trending:(?P<platform>{ANY}):(?P<limit>\d+)", "zset", 900),
    (rf"content:detail:(?:(?P<platform>{PLATFORM}):)?(?P<id>.+)", "hash", 1800),
    (r"stats:platform", "hash", 300),
    (r"stats:daily:(?P<date>\d{4}-\d\d-\d\d)", "hash", 86400),
    (rf"trending:(?P<platform>{PLATFORM}):(?P<id>.+)", "hash", 3600),
    (rf"ranking:(?P<platform>{ANY}):(?P<metric>{METRICS})", "zset", 3600),
    (r"search:autocomplete", "zset", 1800),
    (r"cache:metadata", "hash", 604800),
    (r"\{(?P<set>.+)\}:meta", "hash", 3600),
]
SHAPES = [(re.compile(pattern), kind, ttl) for pattern, kind, ttl in SHAPES]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def shape_of(key):
    for pattern, kind, ttl in SHAPES:
        found = pattern.fullmatch(key)
        if found:
            return found, kind, ttl
    raise AssertionError(f"no documented key looks like {key!r}")


def fields_by_json(text):
    """The members of a JSON object as the fields of a hash, byte for byte: texts and times without
    quotes, all else as it stands there; null is no field."""
    fields, at = {}, text.index("{") + 1
    scan = json.JSONDecoder().raw_decode
    while text[at] != "}":
        name, at = scan(text, at + (text[at] == ","))
        value, end = scan(text, at + 1)
        if value is not None:
            fields[name] = value if isinstance(value, str) else text[at + 1 : end]
        at = end
    return fields


def as_text(value):
    """A member of an answer, whose numbers were read as text, as the field of a hash."""
    return str(value).lower() if isinstance(value, bool) else value


class Warmed:
    """A Redis that was warmed, and a server without one that says what is right."""

    def __init__(self, served, server):
        self.served, self.server, self.redis = served, server, server.text

    def truth(self, path, **query):
        """The answer, its numbers as text."""
        reply = self.served.ask(path, **query)
        assert reply.status == 200, reply
        return json.loads(reply.body, parse_float=str, parse_int=str)

    def check_hash(self, key, expected, apart=()):
        """Each member is a field of the same text; null is absent; all else is known by name."""
        fields = self.redis.hgetall(key)
        for name, value in expected.items():
            if name in apart:
                continue
            if value is None:
                assert name not in fields, (key, name, fields[name])
            elif isinstance(value, (list, dict)):
                got = json.loads(fields[name], parse_float=str, parse_int=str)
                assert got == value, (key, name)
            else:
                assert fields[name] == as_text(value), (key, name)
        more = set(fields) - set(expected) - {"cached_at", "snapshot", "version", "event_time", "also_on"}
        assert not more, (key, more)
        return fields


@pytest.fixture(scope="module")
def warmed(kol_bin, demo_data, tmp_path_factory):
    need_redis()
    folder = tmp_path_factory.mktemp("shapes")
    shutil.copytree(demo_data, folder / "data")
    kol, server = Kol(kol_bin, folder / "data"), Redis(folder / "redis")
    kol("warm", "--full", *redis_flags(server.url, warm=None))
    yield Warmed(Served(kol), server)
    kol.close()
    server.close()


@pytest.fixture(scope="module")
def kols(warmed):
    """All KOLs, as (platform, kol_id), those with most followers first."""
    lines = warmed.served.ask("/api/v1/export/kols", format="ndjson").body.decode().splitlines()
    rows = [json.loads(line) for line in lines]
    rows.sort(key=lambda row: -row["followers_count"])
    return [(row["platform"], row["kol_id"]) for row in rows]


# ---- what is written ----


def test_every_key_has_the_type_the_ttl_and_the_snapshot_of_the_table(warmed):
    snapshot = warmed.truth("/api/v1/stats/platform")["snapshot"]
    kinds = set()
    for key in warmed.server.keys():
        found, kind, ttl = shape_of(key)
        kinds.add(found.re.pattern)
        assert warmed.redis.type(key) == kind, key
        left = warmed.redis.pttl(key)
        assert 0 < left <= ttl * 1000, (key, left)
        if kind == "hash" and not key.startswith("cache:"):
            fields = warmed.redis.hgetall(key)
            assert fields["snapshot"] == snapshot, (key, fields)
            assert TIME.fullmatch(fields["cached_at"]), (key, fields["cached_at"])
        if kind == "zset":
            assert warmed.redis.exists("{" + key + "}:meta"), key
    written = {pattern.pattern for pattern, *_ in SHAPES} - {SHAPES[8][0].pattern}  # the stream's
    assert kinds == written


def test_every_profile_is_there_by_both_keys(warmed, kols):
    by_id = {}
    for platform, kol_id in kols:
        by_id.setdefault(kol_id, platform)  # the one with most followers
        truth = warmed.truth(f"/api/v1/kols/{platform}:{kol_id}")
        fields = warmed.check_hash(f"kol:profile:{platform}:{kol_id}", truth, ("also_on",))
        assert fields["verified"] in ("true", "false")
        assert TIME.fullmatch(fields["as_of"])
    for kol_id, platform in by_id.items():
        fields = warmed.redis.hgetall(f"kol:profile:{kol_id}")
        other = warmed.redis.hgetall(f"kol:profile:{platform}:{kol_id}")
        for one in (fields, other):
            one.pop("cached_at")
            one.pop("also_on", None)
        assert fields == other, kol_id


def test_every_hash_is_the_answer_byte_for_byte(warmed, kols):
    """What is left of the answer once the JSON around its members is gone, for all values there are."""
    paths = {"stats:platform": "/api/v1/stats/platform"}
    for platform, kol_id in kols:
        paths[f"kol:profile:{platform}:{kol_id}"] = f"/api/v1/kols/{platform}:{kol_id}"
        paths[f"kol:score:{platform}:{kol_id}"] = f"/api/v1/kols/{platform}:{kol_id}/scores"
    for key in warmed.server.keys("stats:daily:*"):
        paths[key] = "/api/v1/stats/daily/" + key.rsplit(":", 1)[1]
    for key in warmed.server.keys("content:detail:*"):
        platform, _, content_id = key.removeprefix("content:detail:").partition(":")
        if platform in PLATFORM.split("|"):
            paths[key] = f"/api/v1/content/{content_id}", platform
    assert sum(key.startswith("content:") for key in paths) > 10
    for key, path in paths.items():
        path, query = (path[0], {"platform": path[1]}) if isinstance(path, tuple) else (path, {})
        reply = warmed.served.ask(path, **query)
        assert reply.status == 200, reply
        fields = warmed.redis.hgetall(key)
        for name in ("cached_at", "event_time", "version"):
            fields.pop(name, None)
        assert fields == fields_by_json(reply.body.decode()), key


def test_scores_are_there_by_both_keys(warmed, kols):
    for platform, kol_id in kols[::7]:
        truth = warmed.truth(f"/api/v1/kols/{platform}:{kol_id}/scores")
        warmed.check_hash(f"kol:score:{platform}:{kol_id}", truth)
    fields = warmed.redis.hgetall(f"kol:score:{kols[0][1]}")
    assert (fields["platform"], fields["kol_id"]) == kols[0]


@pytest.mark.parametrize("platform", ["all", "tiktok", "twitter", "youtube", "instagram"])
@pytest.mark.parametrize("by", ["followers", "engagement"])
def test_top_lists_are_sorted_sets(warmed, platform, by):
    rows = warmed.truth(f"/api/v1/kols/top/{platform}", by=by, limit=100)["data"]
    column = {"followers": "followers_count", "engagement": "avg_engagement_rate"}[by]
    prefix = "{platform}:" if platform == "all" else ""
    expected = {prefix.format(**row) + row["kol_id"]: float(row[column]) for row in rows}
    got = warmed.redis.zrevrange(f"kol:top:{by}:{platform}:100", 0, -1, withscores=True)
    assert {name: score for name, score in got} == expected
    assert [score for _, score in got] == sorted(expected.values(), reverse=True)


@pytest.mark.parametrize("platform", ["all", "tiktok", "twitter"])
@pytest.mark.parametrize("limit", [50, 100])
def test_trending_content_is_a_sorted_set(warmed, platform, limit):
    rows = warmed.truth(f"/api/v1/trending/{platform}", limit=limit)["data"]
    prefix = "{platform}:" if platform == "all" else ""
    expected = {prefix.format(**row) + row["content_id"]: float(row["trending_score"]) for row in rows}
    got = warmed.redis.zrevrange(f"content:trending:{platform}:{limit}", 0, -1, withscores=True)
    assert len(got) == len(expected) > 0
    for name, score in got:
        assert score == pytest.approx(expected[name], abs=0.0051), name
    if platform != "all":
        for row in rows[:10]:
            truth = warmed.truth(f"/api/v1/content/{row['content_id']}", platform=platform)
            warmed.check_hash(f"content:detail:{platform}:{row['content_id']}", truth)
            warmed.redis.hgetall(f"content:detail:{row['content_id']}")


@pytest.mark.parametrize("metric", ["trust", "success", "composite", "trending"])
def test_rankings_are_sorted_sets(warmed, metric):
    rows = warmed.truth("/api/v1/trending/kols/twitter", metric=metric, limit=10)["data"]
    got = warmed.redis.zrevrange(f"ranking:twitter:{metric}", 0, 9, withscores=True)
    scores = [float(row["score"]) for row in rows]
    assert [score for _, score in got] == pytest.approx(scores, abs=0.0051)
    above = {row["kol_id"] for row in rows if float(row["score"]) > scores[-1] + 0.01}
    assert above <= {name for name, _ in got}


def test_counts_are_hashes(warmed, demo_data):
    warmed.check_hash("stats:platform", warmed.truth("/api/v1/stats/platform"))
    days = warmed.server.keys("stats:daily:*")
    assert len(days) >= 10
    for key in days:
        truth = warmed.truth("/api/v1/stats/daily/" + key.rsplit(":", 1)[1])
        warmed.check_hash(key, truth)


def test_the_first_page_is_the_answer_as_json(warmed):
    for platform in PLATFORM.split("|"):
        text = warmed.redis.get(f"kol:profiles:list:{platform}")
        assert json.loads(text) == json.loads(
            warmed.served.ask("/api/v1/kols", platform=platform).body
        )


def test_completion_is_a_range_of_names(warmed):
    members = warmed.redis.zrangebylex("search:autocomplete", "[ly", "[ly\xff")
    parts = [member.split("\0") for member in members]
    assert parts and all(len(part) == 4 and part[0].startswith("ly") for part in parts)
    assert warmed.redis.zrangebyscore("search:autocomplete", 1, "+inf") == []
    best = {}
    for _, _, who, followers in parts:
        best[who] = int(followers)
    rows = warmed.truth("/api/v1/search/suggest", prefix="ly", limit=10)["data"]
    top = sorted(best.values(), reverse=True)[:10]
    assert [best[f"{row['platform']}:{row['kol_id']}"] for row in rows] == top


def test_the_metadata_tell_of_the_last_warm(warmed):
    fields = warmed.redis.hgetall("cache:metadata")
    assert fields["snapshot"] == warmed.truth("/api/v1/stats/platform")["snapshot"]
    assert fields["version"] in warmed.served.kol("--version").text
    age = datetime.now(timezone.utc) - datetime.fromisoformat(fields["last_warm"].replace("Z", "+00:00"))
    assert 0 <= age.total_seconds() < 300


# ---- what others write ----


KOL = "tiktok", "ly.sport"
PATH = "/api/v1/kols/tiktok:ly.sport"


SCORE = "kol:score:tiktok:ly.sport"


def live_score(truth, trust, time):
    """The hash of a score that is of an event, not of a snapshot."""
    at = datetime.fromisoformat(time.replace("Z", "+00:00"))
    live = {"trust_score": trust, "event_time": time, "version": int(at.timestamp()) * 10**6}
    return fields_of(truth, ("snapshot", "as_of", "live")) | live


def put_hash(server, key, fields):
    with server.text.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        pipe.hset(key, mapping=fields)
        pipe.expire(key, 3600)
        pipe.execute()


@pytest.fixture
def first(serve, redis_server):
    """A server that asks Redis first."""
    return serve(*redis_flags(redis_server.url, first=True))


def changed(server, path, name, value):
    """Waits until the answer shows it: a change is told of, not polled for."""
    wait_until(lambda: server.get(path)[name] == value, f"{name} of {path}", timeout=10)


def test_a_profile_that_redis_py_wrote_is_served(first, redis_server):
    truth = first.get(PATH)
    fields = fields_of(truth, ("also_on",)) | {"display_name": "Đặng “Lý” 🏀", "followers_count": 7654321, "verified": "true"}
    put_hash(redis_server, "kol:profile:tiktok:ly.sport", fields)
    changed(first, PATH, "display_name", "Đặng “Lý” 🏀")
    got = first.get(PATH)
    assert (got["followers_count"], got["verified"]) == (7654321, True)


def test_a_kol_that_the_copy_does_not_know_is_served(first, redis_server):
    truth = first.get(PATH)
    fields = fields_of(truth, ("also_on",)) | {"kol_id": "new.one", "username": "new.one", "unknown": "[]"}
    assert first.ask("/api/v1/kols/tiktok:new.one").status == 404
    put_hash(redis_server, "kol:profile:tiktok:new.one", fields)
    wait_until(lambda: first.ask("/api/v1/kols/tiktok:new.one").status == 200, "the new KOL", timeout=10)
    assert first.get("/api/v1/kols/tiktok:new.one")["username"] == "new.one"


@pytest.mark.parametrize("redis_first", [True, False])
def test_a_score_in_its_older_form_is_served(serve, redis_server, redis_first):
    """Its label is computed again from the score; one that is older than the copy's stays unseen."""
    server = serve(*redis_flags(redis_server.url, first=redis_first))
    before = server.get(PATH + "/scores")
    old = {"trust_score": 12.25, "trust_label": "high", "timestamp": "2020-01-01T00:00:00Z"}
    redis_server.text.set(SCORE, json.dumps(old), ex=3600)
    new = {"trust_score": 91.5, "trust_label": "low", "timestamp": "2025-07-01T00:00:00.25Z"}
    if not redis_first:
        served = server.ask(PATH + "/scores").json()
        assert served["trust_score"] == before["trust_score"]
    redis_server.text.set(SCORE, json.dumps(new), ex=3600)
    changed(server, PATH + "/scores", "trust_score", 91.5)
    got = server.get(PATH + "/scores")
    assert (got["trust_label"], got["risk_level"]) == ("high", "low")


@pytest.mark.parametrize("redis_first", [True, False])
def test_a_newer_score_in_a_hash_is_served(serve, redis_server, redis_first):
    server = serve(*redis_flags(redis_server.url, first=redis_first))
    truth = server.get(PATH + "/scores")
    put_hash(redis_server, SCORE, live_score(truth, 33.25, "2025-07-01T00:00:00Z"))
    changed(server, PATH + "/scores", "trust_score", 33.25)
    got = server.get(PATH + "/scores")
    assert (got["trust_label"], got["risk_level"]) == ("low", "high")


@pytest.mark.parametrize("redis_first", [True, False])
def test_a_warm_keeps_a_newer_score_and_replaces_an_older_one(serve, redis_server, redis_first):
    flags = redis_flags(redis_server.url, warm=None)
    server = serve(*redis_flags(redis_server.url, first=redis_first))
    truth = server.get(PATH + "/scores")
    put_hash(redis_server, SCORE, live_score(truth, 33.25, "2025-07-01T00:00:00Z"))
    server.kol("warm", "--full", *flags)
    changed(server, PATH + "/scores", "trust_score", 33.25)
    assert redis_server.text.hget(SCORE, "trust_score") == "33.25"
    put_hash(redis_server, SCORE, live_score(truth, 44.5, "2020-01-01T00:00:00Z"))
    server.kol("warm", *flags)
    assert redis_server.text.hget(SCORE, "trust_score") != "44.5"
    changed(server, PATH + "/scores", "trust_score", truth["trust_score"])


@pytest.mark.parametrize("redis_first", [True, False])
def test_a_live_score_over_what_a_warm_left_is_served(serve, redis_server, redis_first):
    """A program that sets some fields of the hash leaves the others as the warm wrote them."""
    server = serve(*redis_flags(redis_server.url, first=redis_first))
    server.kol("warm", *redis_flags(redis_server.url, warm=None))
    server.get(PATH + "/scores")
    live = {"trust_score": "55.5", "event_time": "2025-07-01T00:00:00Z", "version": 1751328000000000}
    redis_server.text.hset(SCORE, mapping=live)
    changed(server, PATH + "/scores", "trust_score", 55.5)


def test_a_top_list_that_redis_py_wrote_is_served(first, redis_server):
    rows = first.get("/api/v1/kols/top/tiktok", limit=3)
    names = [row["kol_id"] for row in rows["data"]]
    key = "kol:top:followers:tiktok:100"
    with redis_server.text.pipeline() as pipe:
        pipe.delete(key)
        pipe.zadd(key, {name: 10**9 + place for place, name in enumerate(names)})
        pipe.expire(key, 900)
        pipe.hset("{" + key + "}:meta", mapping={"snapshot": rows["snapshot"], "as_of": rows["as_of"]})
        pipe.expire("{" + key + "}:meta", 900)
        pipe.execute()
    wait_until(
        lambda: [row["kol_id"] for row in first.get("/api/v1/kols/top/tiktok", limit=3)["data"]] == names[::-1],
        "the other order",
        timeout=10,
    )


@pytest.mark.parametrize("redis_first", [True, False])
def test_searches_of_a_user_are_a_list(serve, redis_server, redis_first):
    server = serve(*redis_flags(redis_server.url, first=redis_first))
    for word in ("ly", "sport"):
        assert server.ask("/api/v1/search", q=word, user_id="ana").status == 200
    rows = wait_until(lambda: redis_server.text.lrange("search:recent:ana", 0, -1), "the list")
    assert len(rows) == 2 and "sport" in rows[0] and "ly" in rows[1]
    assert 0 < redis_server.text.ttl("search:recent:ana") <= 604800
    seen = server.get("/api/v1/search/recent/ana")["data"]
    assert [row["q"] for row in seen] == ["sport", "ly"]
    redis_server.text.lpush("search:recent:ana", rows[1])
    assert [row["q"] for row in server.get("/api/v1/search/recent/ana")["data"]][0] == "ly"


# ---- what cannot be ----


@pytest.mark.parametrize("score", ["1e300", "-5", "100.01"])
def test_a_trend_of_a_content_that_cannot_be_is_not_served(first, redis_server, score):
    row = first.get("/api/v1/trending/tiktok", limit=5)["data"][0]
    path, key = f"/api/v1/content/tiktok:{row['content_id']}", f"content:detail:tiktok:{row['content_id']}"
    truth = first.get(path)
    # The other field tells which value was seen.
    fields = fields_of(truth) | {"trending_score": "50", "trending_rank": "77"}
    put_hash(redis_server, key, fields)
    changed(first, path, "trending_rank", 77)
    put_hash(redis_server, key, fields | {"trending_score": score})
    changed(first, path, "trending_rank", truth["trending_rank"])
    assert first.get(path)["trending_score"] == truth["trending_score"]
    wait_until(lambda: redis_server.text.hget(key, "trending_score") != score, "the value to be healed")


@pytest.mark.parametrize("score", [1e300, -5, 100.01])
@pytest.mark.parametrize("path, key, name, id_name", [
    ("/api/v1/trending/tiktok", "content:trending:tiktok:50", "trending_score", "content_id"),
    ("/api/v1/trending/kols/tiktok", "ranking:tiktok:trust", "score", "kol_id"),
])  # fmt: skip
def test_a_score_of_a_list_that_cannot_be_is_not_served(first, redis_server, path, key, name, id_name, score):
    def rows():
        return first.get(path, limit=5, metric="trust" if "ranking" in key else None)["data"]

    truth = rows()
    member = truth[1][id_name]
    wait_until(lambda: redis_server.redis.exists(key), "the list to be written")
    redis_server.text.zadd(key, {member: 50.5})
    wait_until(lambda: rows() != truth, "the change to be seen", timeout=10)
    redis_server.text.zadd(key, {member: score})
    wait_until(lambda: rows() == truth, "the list of the copy", timeout=10)
    wait_until(lambda: redis_server.text.zscore(key, member) == pytest.approx(truth[1][name], abs=0.01), "healing")
