"""The OWASP API Security Top 10 of 2023, a test or more for each row that applies.

API1  objects of others           what a user searched for belongs to the key that wrote it
API2  broken authentication       no key, a wrong, revoked or expired one, one in another place; sessions
                                  have tests of their own, test_sessions.py
API3  properties of objects       no member is taken or shown that the document does not name
API4  consumption of resources    limits on requests, rows, bodies, time
API5  functions of others         every route against a key of each single scope
API6  sensitive business flows    does not apply as such: nothing can be bought, booked or voted for.
                                  What comes near is posting events, which move scores: it needs a scope of
                                  its own and is counted by the rate limit (both below)
API7  server side request forgery addresses in events are data; nobody fetches them
API8  misconfiguration            headers, methods, origins, errors without internals, no key in a log
API9  inventory                   what answers is in the document, what is old says so
API10 consumption of other APIs   the program asks no other API for its answers; what comes in as events
                                  is not trusted: refused by its form, and data where it is shown
"""

import json
import re
import socket

import pytest

from served import Served
from support import Kol, wait_until

SCOPES = ("read", "predict", "write", "admin")
KOL = "/api/v1/kols/ly.sport"
RECENT = "/api/v1/search/recent/ana"


@pytest.fixture
def make_key(kol_bin, tmp_path, serve):
    """Makes keys in the folder that `serve` serves: make_key("read") -> headers of a request."""
    kol = Kol(kol_bin, tmp_path / "data")

    def make(scope, *options):
        made = kol("keys", "create", "--scope", scope, *options, "--format", "json").json()[0]
        return {"X-API-Key": made["key"]}

    make.kol = kol
    return make


def problem(reply, status, code):
    assert (reply.status, reply.json()["code"]) == (status, code), reply


# ---- API1: broken object level authorization ----


def test_a_key_reaches_only_the_searches_that_it_wrote(serve, make_key):
    ana, eve, boss = make_key("read"), make_key("read"), make_key("read,admin")
    server = serve()
    assert server.ask("/api/v1/search", headers=ana, q="linh", user_id="ana").status == 200
    assert [row["q"] for row in server.ask(RECENT, headers=ana).json()["data"]] == ["linh"]
    assert server.ask(RECENT, headers=eve).json()["data"] == []
    assert server.ask(RECENT, "DELETE", headers=eve).json()["removed"] == 0
    assert [row["q"] for row in server.ask(RECENT, headers=boss).json()["data"]] == ["linh"]
    # Nor can another key write into them, or be told by the cache what the first one was told.
    assert server.ask("/api/v1/search", headers=eve, q="dang", user_id="ana").status == 200
    assert [row["q"] for row in server.ask(RECENT, headers=ana).json()["data"]] == ["linh"]
    assert server.ask(RECENT, "DELETE", headers=ana).json()["removed"] == 1
    assert server.ask(RECENT, headers=ana).json()["data"] == []


# ---- API2: broken authentication ----


def test_only_a_whole_valid_key_in_its_header_opens(serve, make_key):
    good, gone = make_key("read"), make_key("read")
    key = good["X-API-Key"]
    make_key.kol("keys", "revoke", gone_id(make_key.kol, 1))
    short = make_key("read", "--expires", "1s")
    server = serve()
    assert server.ask(KOL, headers=good).status == 200
    problem(server.ask(KOL), 401, "key_required")
    changed = key[:-1] + ("A" if key[-1] != "A" else "B")
    for wrong in (key[:-1], changed, key.lower(), key.upper(), key + "A", "kol_", "x" * 4000, "'--"):
        problem(server.ask(KOL, headers={"X-API-Key": wrong}), 401, "key_invalid")
    problem(server.ask(KOL, headers=gone), 401, "key_invalid")
    wait_until(lambda: server.ask(KOL, headers=short).status == 401, "the key to expire")
    # Other places, where it would end in logs and histories, are none.
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"Cookie": f"X-API-Key={key}"},
        {"X-Api-Key-": key},
    ):
        problem(server.ask(KOL, headers=headers), 401, "key_required")
    for query in ({"api_key": key}, {"X-API-Key": key}):
        assert server.ask(KOL, **query).status in (401, 422)
    said = server.ask(KOL).headers["www-authenticate"]
    assert "ApiKey" in said


def gone_id(kol, place):
    return kol("keys", "list", "--format", "json").json()[place]["id"]


# ---- API3: broken object property level authorization ----


BODIES = {
    "/api/v1/kols/lookup": {"ids": ["ly.sport"]},
    "/predict/trust": dict.fromkeys(
        ("followers_count", "following_count", "post_count", "account_age_days"), 10
    ),
    "/predict/trust/batch": {"kols": [dict.fromkeys(
        ("followers_count", "following_count", "post_count", "account_age_days"), 10
    )]},
    "/predict/trust/features": {"features": {"log_followers": 5}},
    "/predict/success": {"video_views": 10},
    "/predict/trending": {"velocity": 1, "baseline": 1, "market": 1, "momentum": 0},
    "/admin/cache/purge": {"tag": "kol:tiktok:ly.sport"},
    "/session": {"key": "x" * 43},
}  # fmt: skip


def test_no_member_is_taken_that_the_document_does_not_name(serve):
    server = serve()
    with_body = {
        path
        for path, operations in server.get("/openapi.json")["paths"].items()
        for operation in operations.values()
        if "{" not in path and "requestBody" in operation
    }
    assert with_body == set(BODIES)
    for path, body in BODIES.items():
        # Where no key is asked for there is nothing to sign in to.
        assert server.ask(path, "POST", body).status == (409 if path == "/session" else 200), path
        for name in ("trust_score", "is_admin", "__proto__", "scopes"):
            reply = server.ask(path, "POST", {**body, name: 100})
            problem(reply, 422, "invalid_body")
            assert name in reply.json()["detail"]


def test_no_member_is_shown_that_the_document_does_not_name(serve, make_key):
    """Columns that the copy has and answers leave out cannot be asked for either."""
    key = make_key("read,predict,write,admin")
    server = serve()
    for field in ("kol_key", "hash", "*", "computed_at", "event_time", "password"):
        problem(server.ask("/api/v1/kols", headers=key, fields=field), 422, "invalid_parameter")
    schemas = json.loads(server.ask("/openapi.json").body)["components"]["schemas"]
    named = schemas["KOLProfile"]["properties"].keys()
    assert set(server.ask(KOL, headers=key).json()) <= set(named)
    usage = server.ask("/api/v1/usage", headers=key).json()
    assert set(usage) <= set(schemas["Usage"]["properties"])
    shown = json.dumps([usage, server.ask("/readyz").json(), server.ask("/healthz").json()])
    assert key["X-API-Key"] not in shown and str(make_key.kol.data) not in shown
    assert not re.search(r"[0-9a-f]{64}", shown), "a hash"


# ---- API4: unrestricted resource consumption ----


def test_whoever_asks_too_often_waits(serve, make_key):
    """Each key has its own budget, and a refused request costs no more than that."""
    one, other = make_key("read"), make_key("read")
    server = serve("--serve-rate", 60, "--serve-burst", 5)
    replies = [server.ask(KOL, headers=one) for _ in range(12)]
    assert [reply.status for reply in replies[:5]] == [200] * 5
    refused = [reply for reply in replies if reply.status != 200]
    assert len(refused) >= 5
    for reply in refused:
        problem(reply, 429, "too_many_requests")
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.headers["ratelimit-remaining"] == "0"
    assert server.ask(KOL, headers=other).status == 200
    # Guessing keys is counted too, by address.
    guesses = [server.ask(KOL, headers={"X-API-Key": f"kol_{n:043}"}).status for n in range(20)]
    assert set(guesses) == {401, 429} and guesses[-1] == 429
    assert server.ask("/healthz").status == 200


def test_nothing_can_be_asked_for_without_end(serve):
    server = serve()
    long_ids = ",".join(f"k{n}" for n in range(11))
    for path, query in (
        ("/api/v1/kols", {"limit": 101}),
        ("/api/v1/kols", {"limit": 10**30}),
        ("/api/v1/kols/top/all", {"limit": 101}),
        ("/api/v1/trending/all", {"limit": 101}),
        ("/api/v1/search", {"q": "a" * 101}),
        ("/api/v1/search/suggest", {"prefix": "a" * 51}),
        ("/api/v1/scores/compare", {"kol_ids": long_ids}),
        ("/forecast/ly.sport", {"horizon": 91}),
        (KOL + "/history", {"days": 10**9}),
        (KOL + "/similar", {"limit": 101}),
    ):
        problem(server.ask(path, **query), 422, "invalid_parameter")
    for path, body in (
        ("/api/v1/kols/lookup", {"ids": ["x"] * 101}),
        ("/predict/trust/batch", {"kols": [{}] * 1001}),
    ):
        problem(server.ask(path, "POST", body), 422, "invalid_body")
    problem(server.ask("/predict/trust", "POST", b" " * (2 << 20), JSON), 413, "body_too_large")
    deep = b'{"features":' * 2000 + b"1" + b"}" * 2000
    assert server.ask("/predict/trust/features", "POST", deep, JSON).status in (400, 422)
    problem(server.ask("/api/v1/kols", q="x" * 9000), 414, "uri_too_long")


JSON = {"Content-Type": "application/json"}


# ---- API5: broken function level authorization ----


def operations_of(document):
    """(method, a path that can be asked, operation) of every route."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), re.sub(r"\{[^}]*\}", "x", path), operation


def test_each_route_opens_to_its_scopes_alone(serve, make_key):
    keys = {scope: make_key(scope) for scope in SCOPES}
    server = serve()
    document = json.loads(server.ask("/openapi.json").body)
    closed = 0
    for method, path, operation in operations_of(document):
        name = operation["operationId"]
        needed = scopes_of(operation)
        assert needed <= set(SCOPES)
        if {} in operation["security"]:
            assert server.ask(path, method).status != 401 or name == "sign_in", name
            continue
        closed += 1
        problem(server.ask(path, method), 401, "key_required")
        for scope in SCOPES:
            reply = server.ask(path, method, headers=keys[scope])
            if scope in needed:
                assert reply.status not in (401, 403), (name, scope, reply)
            else:
                problem(reply, 403, "scope_missing")
    assert closed >= 35
    for path in ("/admin/cache/purge", "/admin/reload"):
        for scope in ("read", "predict", "write"):
            problem(server.ask(path, "POST", headers=keys[scope]), 403, "scope_missing")
        assert server.ask(path, "GET", headers=keys["read"]).status == 405


def scopes_of(operation):
    """The scopes of which one is enough, as the document says it."""
    return {scope for way in operation["security"] for names in way.values() for scope in names}


# ---- API7: server side request forgery ----


EVENT = {
    "event_type": "profile",
    "event_time": "2025-06-29T23:59:00Z",
    "platform": "tiktok",
    "followers_count": 5,
}
HOSTILE = EVENT | {
    "username": "<img src=x onerror=alert(1)>",
    "nickname": '"><script>alert(1)</script>\u2028',
    "bio": "'); DROP TABLE kols; --",
    "trust_score": 100,
}


class Sourced:
    """A server that a hostile source has sent events to, which went all the way to a new copy."""

    def __init__(self, kol, trap):
        kol("demo", "--kols", 10, "--days", 8)
        kol("ingest")
        kol("etl")
        self.server, self.trap = Served(kol), trap
        self.url = f"http://127.0.0.1:{trap.getsockname()[1]}/x.png"
        forger = EVENT | {"username": "forger", "avatar_url": self.url, "profile_url": self.url}
        bad = [
            {**HOSTILE, "followers_count": "many"},
            {**HOSTILE, "event_time": "2999-01-01T00:00:00Z"},
            {**HOSTILE, "platform": "myspace"},
            {**HOSTILE, "username": "x" * 256},
        ]
        lines = "\n".join(map(json.dumps, [HOSTILE, forger, *bad])).encode()
        ndjson = {"Content-Type": "application/x-ndjson"}
        self.reply = self.server.ask("/api/v1/events/kol.profiles.raw", "POST", lines, ndjson)
        kol("ingest")
        kol("etl")
        wait_until(lambda: self.server.ask("/api/v1/kols/forger").status == 200, "the new KOL")


@pytest.fixture(scope="module")
def sourced(kol_bin, tmp_path_factory):
    kol = Kol(kol_bin, tmp_path_factory.mktemp("sourced") / "data")
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen()
        trap.settimeout(0.2)
        yield Sourced(kol, trap)
        kol.close()


def test_an_address_in_an_event_is_fetched_by_nobody(sourced):
    assert sourced.server.get("/api/v1/kols/forger")["profile_url"] == sourced.url
    with pytest.raises(TimeoutError):
        sourced.trap.accept()


# ---- API8: security misconfiguration ----


def test_answers_tell_browsers_and_strangers_nothing_more(serve):
    server = serve()
    for path in (KOL, "/", "/docs", "/nowhere", "/api/v1/kols?limit=0", "/openapi.json"):
        for origin in ("https://evil.example", "null", f"http://{server.address}"):
            reply = server.ask(path.replace("?", "%3F"), headers={"Origin": origin})
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert not {"server", "x-powered-by", "access-control-allow-origin"} & set(reply.headers)
            if reply.headers["content-type"].startswith("text/html"):
                policy = reply.headers["content-security-policy"]
                assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    preflight = server.ask(KOL, "OPTIONS", headers={
        "Origin": "https://evil.example", "Access-Control-Request-Method": "GET"})  # fmt: skip
    assert "access-control-allow-origin" not in preflight.headers
    for method in ("TRACE", "PUT", "PATCH", "DELETE", "CONNECT", "DEBUG"):
        assert server.ask(KOL, method).status in (400, 405, 501), method


def test_errors_have_no_internals(serve, make_key):
    server = serve()
    data = str(make_key.kol.data)
    hostile = ("../../../etc/passwd", "' UNION SELECT 1 --", "%00", "${7*7}", "<script>", "\\\\x\\y")
    for text in hostile:
        for path, query in (
            (f"/api/v1/kols/{text}", {}),
            (f"/api/v1/content/{text}", {}),
            ("/api/v1/kols", {"sort_by": text}),
            ("/api/v1/kols", {"cursor": text}),
            ("/api/v1/stats/daily/" + text, {}),
            ("/docs/" + text, {}),
            ("/api/v1/events/" + text, {}),
        ):
            reply = server.ask(path, **query)
            assert reply.status in (400, 404, 405, 422), (path, reply)
            shown = reply.body.decode()
            for word in (data, ".duckdb", ".c:", "SELECT *", "Catalog Error", "Binder", "root:"):
                assert word not in shown, (path, shown)
            assert "<script>" not in shown or reply.headers["content-type"].endswith("json")


# ---- API9: improper inventory management ----


def test_what_answers_is_in_the_document_and_nothing_else_does(serve):
    server = serve()
    document = server.get("/openapi.json")
    for path in ("/api", "/api/v1", "/api/v2/kols", "/api/v0/kols", "/v1/kols", "/kols", "/debug",
                 "/admin", "/admin/keys", "/.git/config", "/.env", "/swagger.json", "/graphql",
                 "/api/v1/kols/", "/API/V1/KOLS", "/metrics/", "/server-status", "/keys.json"):  # fmt: skip
        problem(server.ask(path), 404, "no_such_path")
    for method, path, operation in operations_of(document):
        assert server.ask(path, method).status not in (405, 501), operation["operationId"]
    old = document["paths"]["/kol/{kol_id}/trust"]["get"]
    assert old["deprecated"] and "/api/v1/kols" in old["description"]
    assert document["info"]["version"]


# ---- API10: unsafe consumption of APIs ----


def test_what_sources_send_is_checked_and_shown_as_data(sourced):
    server, name = sourced.server, HOSTILE["username"]
    assert sourced.reply.status == 202, sourced.reply
    counted = sourced.reply.json()
    assert (counted["accepted"], counted["rejected"]) == (2, 4)
    shown = server.ask(f"/api/v1/kols/{name}")
    assert shown.headers["content-type"] == "application/json"
    row = shown.json()
    for column, member in (("username", "kol_id"), ("nickname", "display_name"), ("bio", "bio")):
        assert row[member] == HOSTILE[column]
    assert server.get(f"/api/v1/kols/{name}/scores")["trust_score"] != 100
    assert server.get("/api/v1/kols", q=name)["total"] == 1
    assert server.get("/api/v1/kols")["total"] == 12
