"""`kol serve`: what every answer says, who may ask, and how it starts, reloads and ends."""

import concurrent.futures
import json
import shutil
import signal
import socket
import threading
import time

import pytest

from served import Served
from support import Kol, wait_until

PROFILE_TYPES = {
    "kol_id": str,
    "platform": str,
    "username": str,
    "followers_count": int,
    "following_count": int,
    "post_count": int,
    "verified": bool,
    "unknown": list,
    "also_on": list,
    "as_of": str,
    "snapshot": int,
}
SCORE_TYPES = {
    "trust_label": str,
    "risk_level": str,
    "confidence": (int, float),
    "model_version": str,
    "scored_at": str,
    "success_method": str,
    "success_model_version": str,
    "composite_parts": list,
    "in_domain": bool,
    "out_of_domain": list,
    "percentile": dict,
    "sample_size": int,
    "state": str,
}


def rows_of(served, demo_data, table):
    """All rows of a table of the lake that the served copy was made of."""
    select = f"SELECT * FROM {table}"
    return served.kol(
        "sql", select, "--format", "json", "--limit", 100000, data=demo_data
    ).json()


@pytest.fixture(scope="module")
def profiles(served, demo_data):
    """silver.kol_profiles as `kol sql` tells it, by (platform, kol_id)."""
    rows = rows_of(served, demo_data, "silver.kol_profiles")
    return {(row["platform"], row["kol_id"]): row for row in rows}


@pytest.fixture(scope="module")
def scores(served, demo_data):
    """gold.kol_scores likewise."""
    rows = rows_of(served, demo_data, "gold.kol_scores")
    return {(row["platform"], row["kol_id"]): row for row in rows}


# ---- KOLs and scores ----


def test_every_kol_is_what_the_lake_says(served, profiles):
    counts = ["followers_count", "following_count", "post_count"]
    for (platform, kol_id), row in profiles.items():
        got = served.get(f"/api/v1/kols/{kol_id}", platform=platform)
        for name, kind in PROFILE_TYPES.items():
            assert type(got[name]) is kind, (kol_id, name, got[name])
        for name, value in row.items():
            if name in counts or name == "verified":
                assert got[name] == (value or 0), (kol_id, name)
                assert (name in got["unknown"]) == (value is None), (kol_id, name)
            elif name == "username":
                assert got[name] == (kol_id if value is None else value)
            else:
                assert got[name] == value, (kol_id, name)


def test_every_score_is_what_the_lake_says(served, profiles, scores):
    for platform, kol_id in profiles:
        got = served.get(f"/api/v1/kols/{kol_id}/scores", platform=platform)
        row = scores[platform, kol_id]
        for name, kind in SCORE_TYPES.items():
            assert isinstance(got[name], kind), (kol_id, name, got[name])
        for name in ("trust_score", "success_score", "trending_score", "composite_score"):
            expected = None if row[name] is None else round(row[name], 2)
            assert got[name] == (pytest.approx(expected) if expected is not None else None)
        assert got["trust_label"] == (row["trust_label"] or "unknown")
        assert got["model_version"] == (row["trust_model_version"] or "none")
        assert got["out_of_domain"] == (row["out_of_domain"] or [])
        assert got["composite_parts"] == row["composite_parts"]
        assert got["live"] is False


def test_an_id_may_carry_its_platform(served):
    one = served.get("/api/v1/kols/ly.sport")
    assert one["platform"] == "tiktok"
    assert served.get("/api/v1/kols/tiktok:ly.sport") == one
    assert served.get("/api/v1/kols/ly.sport", platform="tiktok") == one
    assert served.get("/api/v1/kols/ly.sport", status=404, platform="twitter")["code"] == "not_found"
    wrong = served.get("/api/v1/kols/tiktok:ly.sport", status=422, platform="twitter")
    assert wrong["code"] == "invalid_parameter"
    assert served.get("/api/v1/kols/x", status=422, platform="facebook")["status"] == 422


def test_an_id_is_data_wherever_it_stands(served):
    for text in ("' OR 1=1 --", '"; DROP TABLE kols', "../../keys.json", "%2e%2e", "\U0001f600", "a:b:c"):
        reply = served.ask(f"/api/v1/kols/{text.replace('/', '%2F')}")
        assert reply.status in (404, 422), (text, reply)


def test_scores_have_three_paths(served):
    one = served.get("/api/v1/kols/ly.sport/scores")
    assert served.get("/api/v1/scores/ly.sport") == one
    old = served.ask("/kol/ly.sport/trust")
    assert old.json()["trust_score"] == one["trust_score"]
    assert old.json()["timestamp"] == one["scored_at"]


def test_compare_names_the_missing_and_keeps_the_order(served):
    got = served.get("/api/v1/scores/compare", kol_ids="andrea.gym,nobody,tiktok:ly.sport")
    assert [row["kol_id"] for row in got["data"]] == ["andrea.gym", "ly.sport"]
    assert got["missing"] == ["nobody"]
    assert served.get("/api/v1/scores/compare", status=422, kol_ids="one")["code"] == (
        "invalid_parameter"
    )


def test_lookup_gives_each_id_a_status_of_its_own(served, profiles):
    known = list(profiles)[:99]
    ids = [f"{platform}:{kol_id}" for platform, kol_id in known] + ["nobody"]
    reply = served.ask("/api/v1/kols/lookup", "POST", {"ids": ids})
    assert reply.status == 200, reply
    rows = reply.json()["data"]
    assert [row["id"] for row in rows] == ids
    assert [row["status"] for row in rows] == [200] * 99 + [404]
    assert rows[-1]["kol"] is None
    for (platform, kol_id), row in zip(known, rows):
        one = served.get(f"/api/v1/kols/{kol_id}", platform=platform)
        assert row["kol"] == one
    for body in ({"ids": []}, {"ids": ["x"] * 101}, {"ids": [1]}, {}, {"ids": ["x"], "more": 1}):
        assert served.ask("/api/v1/kols/lookup", "POST", body).status == 422, body
    json_type = {"Content-Type": "application/json"}
    assert served.ask("/api/v1/kols/lookup", "POST", b"{", json_type).status == 400
    assert served.ask("/api/v1/kols/lookup", "POST", b"{}", {"Content-Type": "text/css"}).status == 415


# ---- what every answer says ----


def test_answers_say_where_they_come_from(served):
    path = "/api/v1/kols/andrea.gym"
    first, second = served.ask(path), served.ask(path)
    assert second.headers["cache-status"].startswith("kol-l1; hit; ttl=")
    assert first.body == second.body and first.headers["etag"] == second.headers["etag"]
    assert not first.headers["etag"].startswith("W/")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert "max-age=" in second.headers["cache-control"]
    same = served.ask(path, headers={"If-None-Match": first.headers["etag"]})
    assert same.status == 304 and same.body == b""
    small = served.ask("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert small.headers["content-encoding"] == "gzip"


def test_problems_tell_what_to_do(served):
    reply = served.ask("/api/v1/kols/nobody")
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["code"] == "not_found" and problem["what_to_do"] and problem["detail"]
    wrong = served.ask("/api/v1/kols/x", "DELETE")
    assert wrong.status == 405 and "GET" in wrong.headers["allow"]
    assert served.ask("/nowhere").json()["code"] == "no_such_path"
    assert served.ask("/api/v1/kols/x", unknown_one="1").status == 422


def test_the_service_describes_itself(served):
    assert served.get("/healthz")["status"] == "ok"
    ready = served.get("/readyz")
    assert ready["ready"] and {part["name"] for part in ready["parts"]} >= {"copy", "models", "keys"}
    assert served.get("/openapi.json")["openapi"].startswith("3.1")
    assert b"<html" in served.ask("/").body
    assert served.ask("/docs").status == 200
    served.get("/api/v1/kols/ly.sport")  # what needs no key is not counted
    usage = served.get("/api/v1/usage")
    assert usage["key"] == "" and usage["calls"] > 0


def test_metrics_count_requests_and_cache(served):
    name = 'kol_http_requests_total{route="get_kol",status="200"}'
    hits = 'kol_cache_reads_total{tier="l1",result="hit"}'
    before, hits_before = served.metric(name), served.metric(hits)
    for _ in range(5):
        served.get("/api/v1/kols/ly.sport")
    assert served.metric(name) == before + 5
    assert served.metric(hits) >= hits_before + 4
    assert served.metric("kol_ready") == 1
    assert served.metric("kol_copy_kols") == 400
    assert served.metric('kol_model_serves{model="trust",version="trust/shipped"}') == 1


def test_a_purge_takes_answers_out(served):
    served.get("/api/v1/kols/ly.sport")
    purged = served.ask("/admin/cache/purge", "POST", {"tag": "kol:tiktok:ly.sport"})
    assert purged.json()["removed"] >= 1
    assert "fwd=miss" in served.ask("/api/v1/kols/ly.sport").headers["cache-status"]
    assert served.ask("/admin/cache/purge", "POST", {}).status == 422
    assert served.ask("/admin/cache/purge", "POST", {"all": True, "tag": "x"}).status == 422


# ---- who may ask ----


def test_keys_are_asked_for_once_there_is_one(serve, tmp_path, kol_bin):
    kol = Kol(kol_bin, tmp_path / "data")
    made = kol("keys", "create", "app", "--scope", "read", "--format", "json").json()[0]
    server = serve()
    path = "/api/v1/kols/ly.sport"
    assert server.ask(path).json()["code"] == "key_required"
    assert server.ask(path, headers={"X-API-Key": "kol_" + "A" * 43}).json()["code"] == "key_invalid"
    with_key = {"X-API-Key": made["key"]}
    reply = server.ask(path, headers=with_key)
    assert reply.status == 200 and "private" in reply.headers["cache-control"]
    refused = server.ask("/admin/reload", "POST", headers=with_key)
    assert refused.status == 403 and refused.json()["code"] == "scope_missing"
    usage = server.ask("/api/v1/usage", headers=with_key).json()
    assert usage["key"] == "app" and usage["scopes"] == ["read"]
    assert server.ask("/healthz").status == 200
    # A hit of the cache is no way around: the answer is ready, the key is not there.
    assert server.ask(path).status == 401
    # Changes are picked up while it runs.
    other = kol("keys", "create", "--scope", "read,admin", "--format", "json").json()[0]
    wait_until(lambda: server.ask(path, headers={"X-API-Key": other["key"]}).status == 200, "the key")
    kol("keys", "revoke", "app")
    wait_until(lambda: server.ask(path, headers=with_key).status == 401, "the key to be refused")
    listed = {row["id"]: row["state"] for row in kol("keys", "list", "--format", "json").json()}
    assert listed == {"app": "revoked", other["id"]: "valid"}
    assert made["key"] not in (tmp_path / "data" / "keys.json").read_text()


def test_keys_of_the_environment_read_predict_and_write(serve):
    server = serve(env={"API_KEYS": "0123456789abcdef"})
    assert server.ask("/api/v1/kols/ly.sport").status == 401
    with_key = {"X-API-Key": "0123456789abcdef"}
    assert server.ask("/api/v1/kols/ly.sport", headers=with_key).status == 200
    scopes = server.ask("/api/v1/usage", headers=with_key).json()["scopes"]
    assert scopes == ["read", "predict", "write"]


def test_beyond_this_machine_a_key_is_needed(serve, tmp_path, kol_bin):
    kol = Kol(kol_bin, tmp_path / "data")
    refused = kol("serve", "--serve-host", "0.0.0.0", "--serve-port", 0, status=2)
    assert "kol keys create" in refused.errors
    server = serve("--serve-host", "0.0.0.0", "--serve-allow-open")
    assert server.ask("/api/v1/kols/ly.sport").status == 200


def test_the_operator_may_have_a_port_of_his_own(serve):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = serve("--serve-operations-port", port)
    assert server.ask("/metrics").status == 404
    assert server.ask("/admin/reload", "POST").status == 404
    assert server.urls["metrics"] == f"http://127.0.0.1:{port}/metrics"
    server.address = f"127.0.0.1:{port}"
    assert b"kol_http_requests_total" in server.ask("/metrics").body


# ---- starting, changing, ending ----


def test_without_a_copy_it_is_alive_but_not_ready(kol, data, demo_data):
    kol("log", "create", "kol.profiles.raw")
    server = Served(kol)
    assert server.get("/healthz")["status"] == "ok"
    assert "copy" in server.get("/readyz", status=503)["detail"]
    assert server.get("/api/v1/kols/x", status=503)["code"] == "not_ready"
    assert server.metric("kol_ready") == 0
    shutil.copytree(demo_data / "online", data / "online")
    server.wait_ready()
    assert server.get("/api/v1/kols/ly.sport")["snapshot"] == 1


def test_a_new_copy_is_taken_without_a_dropped_request(serve, tmp_path, kol_bin):
    kol = Kol(kol_bin, tmp_path / "data")
    server = serve()
    first = server.get("/api/v1/kols/ly.sport")["snapshot"]
    seen, stop = set(), threading.Event()

    def ask_all_the_time():
        while not stop.is_set():
            seen.add(server.get("/api/v1/kols/ly.sport")["snapshot"])

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask_all_the_time) for _ in range(2)]
        try:
            swap_copy(kol, server)
        finally:
            stop.set()
        for one in asking:
            one.result()
    assert first in seen and max(seen) > first
    assert server.get("/api/v1/kols/ly.sport")["snapshot"] == max(seen)


def swap_copy(kol, server):
    """Builds another online copy of the same lake, and waits until it answers."""
    before = server.metric("kol_copy_number")
    kol("maintain", "--relocate")
    kol("online", "build", "--force")
    wait_until(lambda: server.metric("kol_copy_number") > before, "the new copy")


def test_sighup_reads_keys_again_and_goes_on(serve, tmp_path, kol_bin):
    server = serve()
    server.running.signal(signal.SIGHUP)
    time.sleep(0.1)
    assert server.ask("/api/v1/kols/ly.sport").status == 200
    assert server.ask("/admin/reload", "POST").json()["snapshot"] == 1
    (tmp_path / "data" / "keys.json").write_text("broken")
    reply = server.ask("/admin/reload", "POST")
    assert reply.status == 409 and reply.json()["code"] == "reload_failed"
    assert server.ask("/api/v1/kols/ly.sport").status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_a_bounded_time_with_status_0(serve, number):
    server = serve()
    idle = socket.create_connection(tuple(server.address.split(":")), timeout=10)
    server.get("/api/v1/kols/ly.sport")
    status, seconds = server.stop(number)
    assert status == 0 and seconds < 5
    assert idle.recv(1) == b""
    idle.close()


def test_while_it_drains_it_answers_but_is_not_ready(serve):
    server = serve("--serve-drain", "1500ms")
    server.running.signal(signal.SIGTERM)
    wait_until(lambda: server.ask("/readyz").status == 503, "not ready")
    assert server.ask("/api/v1/kols/ly.sport").status == 200
    assert server.running.process.wait(timeout=20) == 0


def test_a_port_that_is_taken_says_so(serve, tmp_path, kol_bin):
    server = serve()
    port = server.address.split(":")[1]
    failed = Kol(kol_bin, tmp_path / "data")("serve", "--serve-port", port, status=1)
    assert port in failed.errors


def test_the_access_log_has_no_key(serve, tmp_path, kol_bin):
    kol = Kol(kol_bin, tmp_path / "data")
    key = kol("keys", "create", "--scope", "read", "--format", "json").json()[0]["key"]
    running = kol.start("serve", "--serve-port", 0, "--serve-access-log", "--format", "json",
                        "--logger-format", "json")
    url = json.loads(running.process.stdout.readline())["url"]
    server = Served.__new__(Served)
    server.address = url.split("/")[2]
    server.ask("/api/v1/kols/ly.sport", headers={"X-API-Key": key})
    running.signal(signal.SIGTERM)
    said = running.wait().errors
    lines = [json.loads(line) for line in said.splitlines()]
    assert any("get_kol" in json.dumps(line) for line in lines), said
    assert key not in said
    kol.close()


# ---- kol run ----


def test_run_takes_events_from_the_log_to_the_api(kol, data):
    """From an empty folder on, what another process appends is served."""
    server = Served(kol, "--run-interval", "1s", command="run")
    assert server.ask("/healthz").status == 200
    event = {
        "event_type": "profile",
        "event_time": "2025-06-29T23:59:00Z",
        "platform": "tiktok",
        "username": "late.comer",
        "followers_count": 7,
    }
    kol("log", "produce", "kol.profiles.raw", stdin=json.dumps(event) + "\n")
    wait_until(lambda: server.ask("/api/v1/kols/late.comer").status == 200, "the new KOL", timeout=120)
    assert server.get("/api/v1/kols/late.comer")["followers_count"] == 7
    status, seconds = server.stop()
    assert status == 0 and seconds < 10
    assert (data / "online" / "CURRENT").exists()


def test_run_ends_in_the_middle_of_a_round(kol):
    kol("demo", "--kols", 300, "--days", 8)
    server = Served(kol, command="run")
    status, seconds = server.stop()
    assert status == 0 and seconds < 10
    kol("ingest")


# ---- kol doctor ----


def found_by_doctor(kol, *options, status=0):
    rows = kol("doctor", "--format", "json", *options, status=status).json()
    return {row["check"]: row for row in rows}


def test_doctor_finds_what_is_wrong(serve, tmp_path, kol_bin):
    empty = found_by_doctor(Kol(kol_bin, tmp_path / "none"), "--serve-port", 0)
    assert {row["state"] for row in empty.values()} == {"ok", "note"}
    folder = tmp_path / "data"
    serving = Kol(kol_bin, folder)
    server = serve()
    assert "--relocate" in found_by_doctor(serving, status=1)["lake"]["says"]
    port = server.address.split(":")[1]
    serving("maintain", "--relocate")
    well = found_by_doctor(serving, "--serve-port", port)
    assert well["online copy"]["state"] == "ok" and "400 KOLs" in well["online copy"]["says"]
    assert well["lake"]["state"] == well["event log"]["state"] == well["models"]["state"] == "ok"
    assert well["address"]["state"] == "note" and port in well["address"]["says"]
    (folder / "keys.json").write_text("broken")
    (folder / "online" / "CURRENT").write_text("no such copy")
    ill = found_by_doctor(serving, "--serve-tls-key", "key.pem", status=1)
    for check in ("keys", "certificate", "online copy"):
        assert ill[check]["state"] == "wrong", ill[check]
