"""Predictions, reasons and forecasts of the API, against the commands of the same names."""

import csv
import io
import json
import math
import random
import re
import threading

import pytest

from support import ROOT, Kol, wait_until

COUNTS = ["followers_count", "following_count", "post_count", "account_age_days"]
MORE = ["favorites_count", "bio_length"]
FLAGS = [
    "has_bio",
    "has_url",
    "has_profile_image",
    "verified",
    "default_profile",
    "default_profile_image",
]
SUCCESS = [
    "video_views",
    "video_likes",
    "video_comments",
    "video_shares",
    "engagement_total",
    "engagement_rate",
    "est_clicks",
    "est_ctr",
    "price",
]
KNOWN = {name: 1000 for name in COUNTS}


@pytest.fixture(scope="module")
def lake(kol_bin, demo_data):
    """The data folder that the served one is a copy of: a lake is read where it was made."""
    return Kol(kol_bin, demo_data)


def post(served, path, body, status=200):
    reply = served.ask(path, "POST", body)
    assert reply.status == status, reply
    return reply.json()


def without(answer, *names):
    return {name: value for name, value in answer.items() if name not in names}


def random_account(rng):
    def count():
        return rng.choice((None, 0, rng.randrange(100), int(10 ** rng.uniform(0, 8))))

    account = {name: count() for name in COUNTS}
    account |= {name: count() for name in MORE if rng.random() < 0.7}
    account |= {name: rng.choice((True, False, None)) for name in FLAGS if rng.random() < 0.8}
    if rng.random() < 0.5:
        account["kol_id"] = rng.choice(("alice", "Đặng'; --", None, "a" * 255))
    return account


# ---- trust ----


def by_command(kol, score, rows):
    lines = "\n".join(json.dumps(row) for row in rows)
    return kol("predict", score, "--format", "json", stdin=lines).json()


def test_trust_is_what_the_command_says_alone_and_in_a_batch(served, lake):
    rng = random.Random(1)
    accounts = [random_account(rng) for _ in range(300)]
    expected = [
        without(row, "timestamp", "probability", "raw_score")
        for row in by_command(lake, "trust", accounts)
    ]
    got = post(served, "/predict/trust/batch", {"kols": accounts})
    assert [without(row, "timestamp") for row in got["predictions"]] == expected
    assert got["count"] == 300
    assert {row["model_version"] for row in got["predictions"]} == {got["model_version"]}
    for account, row in list(zip(accounts, expected))[:60]:
        alone = post(served, "/predict/trust", account)
        assert without(alone, "timestamp") == row
        assert alone["timestamp"].endswith("Z")


def test_a_thousand_accounts_are_taken_and_no_more(served):
    got = post(served, "/predict/trust/batch", {"kols": [KNOWN] * 1000})
    assert got["count"] == len(got["predictions"]) == 1000
    for kols in ([KNOWN] * 1001, []):
        assert post(served, "/predict/trust/batch", {"kols": kols}, 422)["code"] == "invalid_body"


def test_nothing_known_gives_no_score(served):
    got = post(served, "/predict/trust", {name: None for name in COUNTS})
    assert (got["trust_score"], got["is_trustworthy"], got["trust_label"]) == (
        None,
        None,
        "unknown",
    )
    assert (got["confidence"], got["risk_level"]) == (0, "unknown")


@pytest.mark.parametrize(
    "change, status",
    [
        ({"followers_count": ...}, 422),  # left out: null must be said
        ({"followers_count": -1}, 422),
        ({"followers_count": "10"}, 422),
        ({"followers_count": True}, 422),
        ({"followers_count": 1e16}, 422),
        ({"folowers": 1}, 422),
        ({"has_bio": 1}, 422),
        ({"kol_id": 5}, 422),
        ({"kol_id": "a" * 256}, 422),
        ({"verified": None, "kol_id": None}, 200),
    ],
)
def test_an_account_is_checked(served, change, status):
    body = {name: value for name, value in (KNOWN | change).items() if value is not ...}
    got = post(served, "/predict/trust", body, status)
    if status != 200:
        assert got["code"] == "invalid_body" and next(iter(change)) in got["detail"]
        post(served, "/predict/trust/batch", {"kols": [KNOWN, body]}, status)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b'{"a":1,"a":1}', b"[" * 100000])
def test_what_is_no_object_is_refused(served, body):
    reply = served.ask("/predict/trust", "POST", body, {"Content-Type": "application/json"})
    assert reply.status in (400, 422), reply


def features_of(served, account):
    """The features that the model knows, computed here for those that are plain."""
    names = served.get("/predict/trust/model-info")["features"]
    plain = {
        "log_followers": math.log1p(account["followers_count"]),
        "log_following": math.log1p(account["following_count"]),
        "has_bio": 1,
        "verified": 0,
    }
    return {name: plain.get(name) for name in names}


def test_features_by_name_give_a_score(served):
    features = features_of(served, KNOWN)
    some = {name: value for name, value in features.items() if value is not None}
    whole = post(served, "/predict/trust/features", {"kol_id": "x", "features": features})
    part = post(served, "/predict/trust/features", {"kol_id": "x", "features": some})
    assert without(whole, "timestamp") == without(part, "timestamp")  # null is not known
    assert whole["kol_id"] == "x" and 0 < whole["trust_score"] < 100
    other = post(served, "/predict/trust/features", {"features": some | {"log_followers": 0}})
    assert other["trust_score"] != whole["trust_score"]


@pytest.mark.parametrize(
    "features, named",
    [
        ({"log_folowers": 1}, "log_followers"),
        ({"'; DROP TABLE x": 1}, "DROP"),
        ({"has_bio": True}, "/features/has_bio"),
        ({"has_bio": "1"}, "/features/has_bio"),
        ({"has_bio": [1]}, "/features/has_bio"),
    ],
)
def test_a_feature_that_the_model_has_not_is_refused(served, features, named):
    got = post(served, "/predict/trust/features", {"features": features}, 422)
    assert got["code"] == "invalid_body" and named in got["detail"]


# ---- success, trending ----


def test_success_is_what_the_command_says(served, lake):
    rng = random.Random(2)
    rows = []
    for _ in range(100):
        row = {
            name: rng.choice((None, 0, int(10 ** rng.uniform(0, 6)), rng.random()))
            for name in SUCCESS
        }
        rows.append({name: row[name] for name in SUCCESS if rng.random() < 0.8})
    expected = by_command(lake, "success", rows)
    for row, wanted in zip(rows, expected):
        assert without(post(served, "/predict/success", row), "timestamp") == without(
            wanted, "timestamp"
        )
    assert expected[0]["method"] == "rule"
    post(served, "/predict/success", {"views": 1}, 422)


@pytest.mark.parametrize(
    "inputs, score, label",
    [
        ((100, 20, 30, 0.8), 81.58, "Viral"),
        ((2, 1, 10, 0), 35.62, "Normal"),
        ((10, 10, 10, 0), 31.00, "Normal"),
        ((30, 10, 10, 0), 61.77, "Hot"),
        ((100, 10, 10, 0), 99.30, "Viral"),
        ((5, 20, 10, 0), 22.79, "Cold"),
    ],
)
def test_trending_gives_the_checked_values(served, inputs, score, label):
    body = dict(zip(("velocity", "baseline", "market", "momentum"), inputs))
    got = post(served, "/predict/trending", body | {"kol_id": "k"})
    assert (got["score"], got["label"], got["kol_id"]) == (score, label, "k")
    for name in body:
        assert post(served, "/predict/trending", without(body, name), 422)["code"] == "invalid_body"
        assert post(served, "/predict/trending", body | {name: None}, 422)["code"] == "invalid_body"


def test_trending_is_what_the_command_says(served, lake):
    """Baselines below 1 too, which what was measured never has."""
    rng = random.Random(4)
    rows = [
        {
            "velocity": rng.choice((0, 10 ** rng.uniform(-2, 4))),
            "baseline": 10 ** rng.uniform(-3, 3),
            "market": 10 ** rng.uniform(-3, 3),
            "momentum": rng.uniform(-1, 5),
        }
        for _ in range(60)
    ]
    for row, wanted in zip(rows, by_command(lake, "trending", rows)):
        got = post(served, "/predict/trending", row)
        assert without(got, "timestamp", "model_version") == without(wanted, "timestamp")


# ---- models ----


def test_the_models_are_named(served):
    trust = served.get("/predict/trust/model-info")
    shipped = json.loads((ROOT / "models/trust/metadata.json").read_text())
    assert trust["version"] == "trust/shipped" and trust["source"] == "shipped"
    assert len(trust["features"]) == 29 and trust["features"][0] == "log_followers"
    assert trust["metrics"] == shipped["metrics"]
    success = served.get("/predict/success/model-info")
    assert (success["version"], success["source"], success["alias"]) == ("none", "rule", None)
    assert len(success["features"]) == 21
    assert served.get("/predict/health") == {
        "status": "ok",
        "models": {"trust": "trust/shipped", "success": "none"},
    }


def test_a_promoted_model_answers_without_a_restart(serve, kol_bin, tmp_path):
    kol = Kol(kol_bin, tmp_path / "data")
    server = serve()
    assert post(server, "/predict/trust", KNOWN)["model_version"] == "trust/shipped"
    before = server.get("/api/v1/kols/ly.sport/explain")
    kol("models", "import", "trust", ROOT / "models/trust/model.txt")
    kol("models", "promote", "trust", "1", "--force")
    wait_until(
        lambda: post(server, "/predict/trust", KNOWN)["model_version"] == "trust/1", "the new model"
    )
    info = server.get("/predict/trust/model-info")
    assert (info["version"], info["alias"], info["source"]) == ("trust/1", "production", "imported")
    assert info["created_at"].endswith("Z")
    # What was kept goes with its model, a moment behind the swap.
    assert before["model_version"] == "trust/shipped"
    explain = "/api/v1/kols/ly.sport/explain"
    wait_until(lambda: server.get(explain)["model_version"] == "trust/1", "its reasons")
    after = server.get(explain)
    assert after["contributions"] == before["contributions"]


def other_model(path):
    """The shipped model with other leaves in its first tree, so that every answer is another one."""
    text = (ROOT / "models/trust/model.txt").read_text()
    leaves = re.search(r"^leaf_value=.*$", text, re.M)
    other = leaves.group().translate(str.maketrans("12345678", "23456781"))
    path.write_text(text[: leaves.start()] + other + text[leaves.end() :])
    return path


def ask_until(server, account, stop, seen):
    while not stop.is_set():
        answer = post(server, "/predict/trust", account)
        seen.append((answer["model_version"], answer["trust_score"]))


def test_promotions_between_predictions_mix_no_versions(serve, kol_bin, tmp_path):
    kol = Kol(kol_bin, tmp_path / "data")
    server = serve()
    scores = {"trust/shipped": post(server, "/predict/trust", KNOWN)["trust_score"]}
    for version, model in (("1", ROOT / "models/trust/model.txt"), ("2", other_model(tmp_path / "2.txt"))):
        kol("models", "import", "trust", model)
        kol("models", "promote", "trust", version, "--force")
        wait_until(
            lambda: post(server, "/predict/trust", KNOWN)["model_version"] == f"trust/{version}",
            "the new model",
        )
        scores[f"trust/{version}"] = post(server, "/predict/trust", KNOWN)["trust_score"]
    assert scores["trust/1"] == scores["trust/shipped"] != scores["trust/2"]
    stop, seen = threading.Event(), [[] for _ in range(4)]
    threads = [
        threading.Thread(target=ask_until, args=(server, KNOWN, stop, mine)) for mine in seen
    ]
    for thread in threads:
        thread.start()
    for version in ("1", "2", "1", "2", "1"):
        before = [len(mine) for mine in seen]
        kol("models", "promote", "trust", version, "--force")
        wait_until(
            lambda: all(mine[-1][0] == f"trust/{version}" for mine in seen)
            and all(len(mine) > count for mine, count in zip(seen, before)),
            "all clients to get the new model",
        )
    stop.set()
    for thread in threads:
        thread.join()
    for mine in seen:
        assert {version for version, _ in mine} >= {"trust/1", "trust/2"}
        assert all(score == scores[version] for version, score in mine)


# ---- reasons ----


def some_kols(lake, count):
    rows = lake(
        "sql",
        "SELECT platform, kol_id FROM silver.kol_profiles ORDER BY platform, kol_id",
        "--format",
        "json",
        "--limit",
        1000000,
    ).json()
    return random.Random(3).sample(rows, count)


def test_reasons_are_what_the_command_says(served, lake):
    for row in some_kols(lake, 10):
        got = served.get(f"/api/v1/kols/{row['kol_id']}/explain", platform=row["platform"])
        base, *parts, score = lake(
            "explain", f"{row['platform']}:{row['kol_id']}", "--format", "json"
        ).json()
        assert (got["kol_id"], got["platform"]) == (row["kol_id"], row["platform"])
        assert (got["base"], got["raw_base"]) == (base["points"], base["phi"])
        assert (got["score"], got["raw"]) == (score["points"], score["phi"])
        assert got["contributions"] == parts
        total = got["base"] + sum(part["points"] for part in got["contributions"])
        assert total == pytest.approx(got["score"], abs=1e-9)
        scores = served.get(f"/api/v1/kols/{row['kol_id']}/scores", platform=row["platform"])
        assert scores["trust_score"] == pytest.approx(got["score"], abs=0.0051)


# ---- forecasts ----


def forecast_by_command(lake, row, metric, horizon):
    result = lake(
        "forecast",
        f"{row['platform']}:{row['kol_id']}",
        "--metric",
        metric,
        "--horizon",
        horizon,
        "--format",
        "json",
        status=None,
    )
    return result.json() if result.status == 0 else None


def test_forecasts_are_what_the_command_says(served, lake):
    rows = lake(
        "sql",
        "SELECT platform, kol_id, count(followers_count) AS days FROM silver.kol_daily "
        "GROUP BY platform, kol_id ORDER BY days DESC, platform, kol_id",
        "--format",
        "json",
        "--limit",
        100000,
    ).json()
    known = 0
    for number, row in enumerate(rows[:6] + rows[-2:]):
        metric, horizon = ("followers", "views")[number == 1], (1, 30, 90)[number % 3]
        expected = forecast_by_command(lake, row, metric, horizon)
        query = {"platform": row["platform"], "metric": metric, "horizon": horizon}
        reply = served.ask(f"/forecast/{row['kol_id']}", **query)
        if expected is None:
            assert reply.status == 422 and reply.json()["code"] == "too_short_history", reply
            continue
        known += 1
        got = reply.json()
        assert got["points"] == expected
        assert (got["horizon"], got["metric"]) == (horizon, metric)
        assert got["observed_days"] >= 7 and got["last_day"] < got["points"][0]["day"]
        table = served.ask(f"/forecast/{row['kol_id']}", format="csv", **query).body.decode()
        read = list(csv.DictReader(io.StringIO(table)))
        assert [float(line["value"]) for line in read] == [point["value"] for point in expected]
    assert known >= 4


@pytest.mark.parametrize("path", ["/forecast/{}", "/api/v1/kols/{}/explain"])
@pytest.mark.parametrize(
    "kol_id",
    ["nobody at all", "' OR '1'='1", "x'; DROP TABLE kol_daily; --", "tiktok:%25", "..%2F..", "\\"],
)
def test_whom_nobody_knows_is_404(served, path, kol_id):
    got = served.get(path.format(kol_id), status=404)
    assert got["code"] == "not_found"


@pytest.mark.parametrize(
    "given", [{"horizon": 0}, {"horizon": 91}, {"metric": "likes"}, {"platform": "x"}]
)
def test_a_forecast_has_bounds(served, given):
    got = served.get("/forecast/ly.sport", status=422, **given)
    assert got["code"] == "invalid_parameter"
