"""The statistics of the API, against figures that are computed here from rows of the lake."""

import csv
import io
import json
import math
import statistics

import pytest

from served import Served
from support import Kol, wait_until

PLATFORMS = ("tiktok", "twitter", "youtube", "instagram")


@pytest.fixture(scope="module")
def demo_lake(kol_bin, demo_data):
    """The data folder that the served one is a copy of: a lake is read where it was made."""
    return Kol(kol_bin, demo_data)


def rows_of(kol, sql):
    return kol("sql", sql, "--format", "json", "--limit", 1000000).json()


@pytest.fixture(scope="module")
def lake(demo_lake):
    """KOLs with their trust and followers, contents, and the figures of each day, as rows."""
    kols = {
        (row["platform"], row["kol_id"]): row
        for table, where in (("gold.dim_kol", "WHERE is_current"), ("silver.kol_profiles", ""))
        for row in rows_of(demo_lake, f"SELECT platform, kol_id FROM {table} {where}")
    }
    for row in rows_of(
        demo_lake, "SELECT platform, kol_id, followers_count FROM silver.kol_profiles"
    ):
        kols[row["platform"], row["kol_id"]]["followers"] = row["followers_count"]
    for row in rows_of(demo_lake, "SELECT platform, kol_id, trust_score FROM gold.kol_scores"):
        kols[row["platform"], row["kol_id"]]["trust"] = row["trust_score"]
    return {
        "kols": list(kols.values()),
        "content": rows_of(demo_lake, "SELECT platform, content_id FROM silver.kol_content"),
        "days": rows_of(demo_lake, "SELECT * FROM gold.agg_platform_kpi"),
    }


def trusts(rows):
    return [row["trust"] for row in rows if row.get("trust") is not None]


def of(rows, platform):
    return [row for row in rows if row["platform"] == platform]


def assert_mean(got, values):
    if values:
        assert got == pytest.approx(statistics.fmean(values), abs=0.0051)
    else:
        assert got is None


def test_platform_stats_are_what_the_lake_says(served, lake):
    got = served.get("/api/v1/stats/platform")
    assert got["total_kols"] == len(lake["kols"]) > 100
    assert got["total_content"] == len(lake["content"]) > 100
    for name, rows in (("kols", lake["kols"]), ("content", lake["content"])):
        assert set(got[f"{name}_by_platform"]) == set(PLATFORMS)
        for platform in PLATFORMS:
            assert got[f"{name}_{platform}"] == len(of(rows, platform))
            assert got[f"{name}_by_platform"][platform] == len(of(rows, platform))
    assert_mean(got["avg_trust_score"], trusts(lake["kols"]))
    assert got["last_updated"].endswith("Z") and got["as_of"].endswith("Z")


def test_the_summary_is_what_the_lake_says(served, lake):
    got = served.get("/api/v1/stats/summary")
    kols = lake["kols"]
    assert (got["total_kols"], got["total_content"]) == (len(kols), len(lake["content"]))
    assert_mean(got["avg_trust_score"], trusts(kols))

    expected = sorted(PLATFORMS, key=lambda p: (-len(of(kols, p)), PLATFORMS.index(p)))
    shown = [row["platform"] for row in got["top_platforms"]]
    assert shown == [p for p in expected if of(kols, p) or of(lake["content"], p)]
    for row in got["top_platforms"]:
        assert row["kols"] == len(of(kols, row["platform"]))
        assert row["content"] == len(of(lake["content"], row["platform"]))
        assert_mean(row["avg_trust_score"], trusts(of(kols, row["platform"])))

    best = sorted(
        (row for row in kols if row.get("followers") is not None),
        key=lambda row: (-row["followers"], row["platform"], row["kol_id"]),
    )
    top = [(row["platform"], row["kol_id"]) for row in got["top_kols"]]
    assert top == [(row["platform"], row["kol_id"]) for row in best[:10]]
    profile = served.get(f"/api/v1/kols/{top[0][1]}", platform=top[0][0])
    assert got["top_kols"][0] == profile

    bands = [0] * 10
    for trust in trusts(kols):
        bands[min(9, math.floor(trust / 10))] += 1
    assert [row["kols"] for row in got["score_distribution"]] == bands
    assert [(row["from"], row["to"]) for row in got["score_distribution"]] == [
        (10 * band, 10 * band + 10) for band in range(10)
    ]
    assert got["freshness"]["age_seconds"] >= 0
    assert got["freshness"]["as_of"] == got["as_of"]


def test_every_day_is_what_the_lake_says(served, lake):
    days = sorted({row["day"] for row in lake["days"]})
    assert len(days) > 5
    for day in days:
        got = served.get(f"/api/v1/stats/daily/{day}")
        expected = [
            {name: value for name, value in row.items() if name != "day"}
            for row in sorted(lake["days"], key=lambda row: row["platform"])
            if row["day"] == day
        ]
        assert got["date"] == day
        assert got["data"] == expected
        table = served.ask(f"/api/v1/stats/daily/{day}", format="csv").body.decode()
        read = list(csv.DictReader(io.StringIO(table)))
        assert [int(row["views"]) for row in read] == [row["views"] for row in expected]


@pytest.mark.parametrize("day", ["1999-12-31", "0001-01-01", "9999-12-31"])
def test_a_day_without_anything_is_404(served, day):
    assert served.get(f"/api/v1/stats/daily/{day}", status=404)["code"] == "not_found"


@pytest.mark.parametrize(
    "day", ["2025-13-01", "2025-06-31", "today", "1' OR '1'='1", "..", "2025-06-29;DROP TABLE kols"]
)
def test_what_is_no_day_is_refused(served, day):
    reply = served.ask(f"/api/v1/stats/daily/{day}")
    assert reply.status in (404, 422), reply  # dots alone end in another path
    assert reply.status == 422 or reply.json()["code"] == "no_such_path"


def test_the_cache_is_counted(served):
    def tier():
        (row,) = served.get("/api/v1/stats/cache")["tiers"]
        return row

    served.get("/api/v1/stats/platform")
    before = tier()
    for _ in range(5):
        served.get("/api/v1/stats/platform")
    after = tier()
    assert after["tier"] == "l1"
    assert after["hits"] >= before["hits"] + 5
    assert 0 < after["keys"] and 0 < after["memory_bytes"] <= after["max_bytes"]
    served_rate = (after["hits"] + after["stale"]) / (
        after["hits"] + after["stale"] + after["misses"]
    )
    assert after["hit_rate"] == pytest.approx(served_rate)


def test_without_a_cache_there_is_no_tier(serve):
    server = serve("--serve-cache", "0")
    assert server.get("/api/v1/stats/cache") == {"tiers": []}
    assert server.get("/api/v1/stats/platform")["total_kols"] > 0


def test_all_keys_are_there_before_and_behind_the_first_kol(kol_bin, tmp_path):
    """Without a copy it is not ready; with one KOL and no content all figures are there."""
    kol = Kol(kol_bin, tmp_path / "data")
    try:
        kol("log", "create", "kol.profiles.raw")
        server = Served(kol)
        for path in ("/api/v1/stats/platform", "/api/v1/stats/summary"):
            assert server.get(path, status=503)["code"] == "not_ready"
        event = {
            "event_id": "only-1",
            "event_time": "2025-06-01T00:00:00Z",
            "event_type": "profile",
            "platform": "instagram",
            "username": "only",
        }
        kol("log", "produce", "kol.profiles.raw", stdin=json.dumps(event))
        kol("ingest")
        kol("etl")
        wait_until(lambda: server.ask("/api/v1/stats/platform").status == 200, "the first copy")
        got = server.get("/api/v1/stats/platform")
        for platform in PLATFORMS:
            assert got[f"kols_{platform}"] == (platform == "instagram")
            assert got[f"content_{platform}"] == 0
        assert (got["total_kols"], got["total_content"]) == (1, 0)
        assert got["avg_trust_score"] is None
        summary = server.get("/api/v1/stats/summary")
        assert [row["kol_id"] for row in summary["top_kols"]] == ["only"]
        assert sum(row["kols"] for row in summary["score_distribution"]) == 0
        assert server.get("/api/v1/kols/only/explain")["score"] is None
        assert server.get("/forecast/only", status=422)["code"] == "too_short_history"
    finally:
        kol.close()
