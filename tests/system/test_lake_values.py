"""Every column of every silver and gold table against a computation of its own (lake_reference.py),
on hand-made corners, a demo world and all public data sets."""

import csv
import json
import re

import lightgbm
import numpy as np
import pytest

from engines import catalog_of
from lake_cases import corners, product, profile, score_corners, video
from lake_reference import FIELDS
from lake_rows import difference, rows_of
from lake_scores import Model, all_tables
from model_cases import feature_names, train
from support import ROOT

pytestmark = pytest.mark.release_only  # under sanitizers test_etl goes the same ways
PRESETS = {
    "twitter-bots": ("twitter_human_bots.csv",),
    "youtube-trending": ("youtube_trending_videos.csv", "youtube_trending_timeseries.csv"),
    "tiktok-vn": ("tiktok_vn_video_snapshots.csv", "tiktok_vn_profiles.csv"),
    "tides": ("tides_tiktok_influencers_5000.csv",),
    "tiktok-discover": ("tiktok_discover_daily_users_2022.csv",),
}
MIN_TABLES = 24
OF_THE_CLOCK = {"gold.kol_scores": "computed_at"}


def columns_in(path):
    """The names that a .def file declares, with those of the files that it includes."""
    names = []
    for name, other in re.findall(
        r'^COLUMN\((\w+),|^#include "([^"]+)"', (ROOT / "src" / path).read_text(), re.M
    ):
        score = re.fullmatch(r"lake/columns/(\w+)_features.def", other)
        names += [name] if name else feature_names(score.group(1))
    return names


def declared():
    """table -> (columns, keys), of the tables that a run makes, from their declarations."""
    text = (ROOT / "src/lake/tables.def").read_text()
    row = r'^TABLE\((\w+), (\w+), (?:SQL|SCORE),\s+\.keys = "([^"]*)".*?^#include "([^"]+)"'
    tables = {}
    for space, name, keys, path in re.findall(row, text, re.M | re.S):
        tables[f"{space}.{name}"] = columns_in(path), keys.split()
    assert len(tables) >= MIN_TABLES
    return tables


def events(kol):
    """topic -> (partition, offset, event) of all that is in the log."""
    out = {}
    topics = {row["topic"] for row in kol("log", "topics", "--format", "json").json()}
    for topic in FIELDS:
        if f"kol.{topic}.raw" in topics:
            tail = kol("log", "tail", f"kol.{topic}.raw", "--from", "start", "--format", "json")
            out[topic] = [
                (row["partition"], row["offset"], json.loads(row["value"])) for row in tail.json()
            ]
    return out


def make(kol):
    kol("ingest", timeout=1200)
    kol("etl", timeout=1200)


def tables_of(kol, names=None):
    """table -> (rows, columns) as PyIceberg reads them: the one place that knows the source."""
    out = {}
    with catalog_of(kol.data) as catalog:
        for table in names or declared():
            content = catalog.load_table(table).scan().to_arrow()
            out[table] = rows_of(content), content.column_names
    return out


def shipped(kol):
    """The model that serves where none was promoted, if the program has one in it."""
    rows = kol("models", "list", "trust", "--format", "json").json()
    if "shipped" not in [row["version"] for row in rows if row["serves"]]:
        return {}
    path = ROOT / "models/trust/model.txt"
    return {"trust": Model(lightgbm.Booster(model_file=path), path, "trust/shipped")}


def assert_as_computed(kol, models=None):
    """All tables equal what pandas makes of the events in the log. Gives the tables."""
    models = models or shipped(kol)
    wanted, got = all_tables(events(kol), models), tables_of(kol)
    assert set(wanted) == set(got)
    wrong = {}
    for table, (columns, keys) in declared().items():
        rows, names = got[table]
        assert names == columns, table
        if table in OF_THE_CLOCK:
            assert columns[-1] == OF_THE_CLOCK[table]
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        assert list(wanted[table].columns) == columns, table
        words = difference(columns, keys, rows_of(wanted[table]), rows)
        if words:
            wrong[table] = words
    assert not wrong, "\n".join(f"{table}: {words}" for table, words in wrong.items())
    return got


def by_key(table, tables):
    columns, keys = declared()[table]
    places = [columns.index(key) for key in keys]
    return {
        tuple(row[place] for place in places): dict(zip(columns, row)) for row in tables[table][0]
    }


def import_events(kol, lines):
    kol("import", "events", "-", stdin="".join(json.dumps(line) + "\n" for line in lines))


def test_corners_come_out_as_computed_and_as_meant(kol):
    import_events(kol, corners())
    make(kol)
    tables = assert_as_computed(kol)

    hours = by_key("silver.content_hourly", tables)
    falls = [row for key, row in sorted(hours.items()) if key[1] == "falls"]
    # 100, 50 in one hour: a fall is no gain; 50 to 80 is one; of one moment the greatest counts.
    assert [row["gained_views"] for row in falls] == [0, 30, 0, 125, 0]
    assert [row["gained_shares"] for row in falls] == [0, 5, 0, None, 4]
    assert [row["first_views"] for row in falls] == [100, None, None, None, None]
    assert [row["first_sight"] for row in falls] == [True, False, False, False, False]

    content = by_key("silver.kol_content", tables)
    owner = {key[1]: row["kol_id"] for key, row in content.items()}
    assert owner["by-comment"] == "cy" and owner["by-product"] == "bob"
    assert owner["nobody"] is None and owner["by-id"] == "4711" and owner["name-first"] == "ann"
    assert content["tiktok", "late"]["title"] == "L" * 100
    assert content["tiktok", "falls"]["shares"] == 9
    moment = content["tiktok", "moment"]
    assert (moment["views"], moment["title"]) == (4, "Second")
    assert content["tiktok", "no-views"]["engagement_rate"] is None

    states = by_key("gold.dim_kol", tables)
    history = [states[f"tiktok:ann:{n}",] for n in range(1, 6)]
    assert [row["tier"] for row in history] == [None, "Nano", "Rising", "Mega", "Mega"]
    assert [row["verified"] for row in history] == [True, True, False, False, True]
    assert [row["is_current"] for row in history] == [False] * 4 + [True]
    assert ("tiktok:ann:6",) not in states
    channel = states["youtube:Kênh: một:1",]
    assert (channel["tier"], channel["username"], channel["is_current"]) == (None, None, True)

    account = by_key("silver.kol_profiles", tables)["tiktok", "ann"]
    assert (account["bio_length"], account["has_bio"], account["has_profile_image"]) == (
        10,
        True,
        True,
    )
    assert (account["followers_count"], account["post_count"]) == (1500001, 5)


# ---- scores ----


def rows_as_dicts(tables, table):
    rows, columns = tables[table]
    return [dict(zip(columns, row)) for row in rows]


def train_on(kol, path, score, target):
    """A small model from the training set of the lake, in production. Gives it as a Model."""
    names = feature_names(score)
    with catalog_of(kol.data) as catalog:
        rows = catalog.load_table(f"gold.ml_{score}_training").scan().to_arrow().to_pandas()
    rows = rows.sort_values([name for name in rows if name not in names], kind="stable")
    features = rows[names].to_numpy(dtype="float64", na_value=np.nan)
    booster = train(path, features, rows[target].to_numpy(dtype="int64"), names, trees=20,
                    min_data_in_leaf=3)  # fmt: skip
    imported = kol("models", "import", score, path, "--format", "json").json()[0]["version"]
    kol("models", "promote", score, imported, "--force")
    return Model(booster, path, f"{score}/{imported}")


def assert_scores_agree(kol, tables, model):
    """The very double of gold.kol_scores out of lightgbm, `kol predict` and `kol score --kol`."""
    names = feature_names("trust")
    features = rows_as_dicts(tables, "silver.kol_trust_features")
    matrix = [[np.nan if row[name] is None else row[name] for name in names] for row in features]
    chances = model.chance(np.array(matrix, dtype="float64"))
    scores = {(row["platform"], row["kol_id"]): row for row in rows_as_dicts(tables, "gold.kol_scores")}
    lines, wanted = [], []
    for row, chance in zip(features, chances):
        score = scores[row["platform"], row["kol_id"]]["trust_score"]
        assert score == (None if np.isnan(chance) else 100 * (1 - chance)), row
        given = {name.replace("account_age", "account_age_days"): row[name] for name in (
            "followers_count", "following_count", "post_count", "favorites_count", "account_age",
            "bio_length", "default_profile", "default_profile_image")}  # fmt: skip
        given |= {
            name: None if row[name] is None else row[name] == 1
            for name in ("has_bio", "has_url", "has_profile_image", "verified")
        }
        lines.append(json.dumps(given))
        wanted.append(score)
    answers = kol("predict", "trust", "--format", "csv", stdin="\n".join(lines), timeout=600).text
    said = [row["trust_score"] for row in csv.DictReader(answers.splitlines())]
    assert [float(text) if text else None for text in said] == wanted
    for platform, name in list(scores)[:: max(1, len(scores) // 5)]:
        alone = kol("score", "--kol", f"{platform}:{name}", "--format", "json").json()
        stored = scores[platform, name]
        assert len(alone) == 1
        for column in ("trust_score", "success_score", "trending_score", "composite_score",
                       "trust_label", "out_of_domain", "composite_parts"):  # fmt: skip
            assert alone[0][column] == stored[column], column


def test_scores_of_models_come_out_as_computed(kol, tmp_path):
    kol("demo", "--kols", "400", "--days", "8", "--seed", "21")
    import_events(kol, [*corners(), *score_corners()])
    make(kol)
    models = {
        "trust": train_on(kol, tmp_path / "trust.txt", "trust", "untrustworthy"),
        "success": train_on(kol, tmp_path / "success.txt", "success", "high"),
    }
    kol("etl")
    tables = assert_as_computed(kol, models)
    assert_scores_agree(kol, tables, models["trust"])
    scores = rows_as_dicts(tables, "gold.kol_scores")
    for column in ("trust_score", "success_score", "trending_score", "composite_score"):
        assert {row[column] is None for row in scores} == {True, False} or column == "composite_score"
    assert any(row["out_of_domain"] for row in scores)
    assert {row["success_method"] for row in scores} == {"model", None}
    assert {row["state"] for row in rows_as_dicts(tables, "gold.kol_standing")} == {
        "ready", "low_confidence", "not_ready"
    }  # fmt: skip


def test_corners_of_scores_come_out_as_meant(kol):
    import_events(kol, score_corners())
    make(kol)
    tables = assert_as_computed(kol)
    velocity = by_key("silver.kol_velocity", tables)
    # 5 minutes before 12:10:00: new content counts whole, old content by its increase alone.
    fast = velocity["tiktok", "fast"]
    assert (fast["velocity"], fast["velocity_before"]) == (1000 / 5, 300 / 5)
    assert velocity["tiktok", "old"]["velocity"] == 70 / 5
    assert velocity["tiktok", "fall"]["velocity"] == 0
    assert velocity["tiktok", "late"]["velocity"] == 30 / 5  # the 70 told before it were not new
    assert ("tiktok", "gone") not in velocity and ("tiktok", "profile-only") in velocity
    assert {row["as_of"] for row in velocity.values()} == {fast["as_of"]}

    ages = {row["kol_id"]: row["account_age"] for row in
            rows_as_dicts(tables, "silver.kol_trust_features")}  # fmt: skip
    assert ages["born"] == 9 and ages["unborn"] is None and ages["aged"] == 102
    assert ages["profile-only"] is None

    products = {row["event_id"]: row for row in rows_as_dicts(tables, "gold.product_success")}
    assert products["sold-new"]["success_score"] == 30 + 30 + 20 + 20
    assert products["sold-dollar"]["price"] is None
    assert products["sold-nothing"]["success_score"] is None
    assert products["sold-nothing"]["method"] == "rule"
    assert products["sold-content"]["product_id"] is None
    for event in ("sold-old", "sold-content-old"):  # a newer one of the same product is there
        assert event not in products
    scores = by_key("gold.kol_scores", tables)
    seller = scores["tiktok", "seller"]  # 100 and 60; what is 90 days old counts no more
    assert seller["success_score"] == 80 and seller["success_label"] == "High"
    assert seller["composite_parts"] == ["success"] and seller["composite_score"] == 80
    assert scores["tiktok", "gone"]["composite_parts"] == []
    assert scores["tiktok", "gone"]["composite_score"] is None
    rows = rows_as_dicts(tables, "gold.ml_success_training")
    assert len({row["event_id"] for row in rows}) == len(rows)
    parts = {}
    for row in rows:
        parts.setdefault(row["product_id"], set()).add(row["split"])
    assert {len(names) for names in parts.values()} == {1}


DAY = 86_400_000_000


def logs(*counts):
    """The features of these counts, or of one."""
    values = tuple(np.log1p(counts).tolist())
    return pytest.approx(values if len(values) > 1 else values[0], rel=1e-12)


def test_a_training_row_is_of_the_moment_of_the_label(kol):
    """What came later is in the features of today, not in the row that a model learns from."""

    def rows_after(*more):
        """The row that is learnt from and that of today, after more events."""
        import_events(kol, more)
        kol("ingest")
        names = ("gold.ml_trust_training", "silver.kol_trust_features")
        kol("etl", *names, "--no-online")
        tables = tables_of(kol, names)
        learnt = by_key(names[0], tables)["tiktok", "outed", False]
        return learnt, by_key(names[1], tables)["tiktok", "outed"]

    first, now = rows_after(*score_corners())
    assert (first["log_followers"], now["log_followers"]) == logs(50000, 3)
    assert (first["bio_length_norm"], first["has_bio"], first["verified"]) == (2 / 200, 1, None)
    assert (now["bio_length_norm"], now["has_bio"], now["verified"]) == (0, 0, 0)
    assert first["log_following"] == logs(7)  # told at that moment, later in the log
    assert (first["log_account_age"], now["log_account_age"]) == logs(171, 172)
    assert first["updated_at"] == now["updated_at"] - DAY and first["untrustworthy"] == 1
    # Heard of today, of before the label and of after it.
    second, now = rows_after(
        profile("21T08:59:59.999999", username="outed", favorites_count=40),
        profile("24T09:00:00", username="outed", favorites_count=50, verified=True),
    )
    assert (second["log_favorites"], now["log_favorites"]) == logs(40, 50)
    changed = {name for name in first if first[name] != second[name]}
    assert "log_favorites" in changed and not changed & {"verified", "log_followers", "updated_at"}
    # The same label once more, later: the row is now of then. An older label changes nothing.
    third, now = rows_after(
        profile("23T09:00:00", username="outed", label="bot"),
        profile("19T09:00:00", username="outed", label="human", has_url=True),
    )
    assert (third["log_followers"], third["log_favorites"]) == logs(3, 40)
    assert third["log_account_age"] == logs(173)
    assert (third["verified"], third["has_url"]) == (0, 1)
    assert third["updated_at"] == now["updated_at"] - DAY and third["untrustworthy"] == 1
    # And another label.
    fourth, now = rows_after(profile("24T09:00:00", username="outed", label="human"))
    assert fourth["untrustworthy"] == 0 and fourth["updated_at"] == now["updated_at"]
    assert fourth["log_favorites"] == now["log_favorites"] and fourth["verified"] == 1
    make(kol)
    assert_as_computed(kol)


def test_a_training_row_falls_by_what_was_known_at_its_label(kol):
    """Not by what came later: counts that no account has are quarantined where they are read."""
    import_events(kol, [
        profile("20T10:00:00", username="then", followers_count=2 * 10**15),
        profile("21T10:00:00", username="then", label="bot"),
        profile("22T10:00:00", username="then", followers_count=5),
        profile("21T10:00:00", username="later", label="human", followers_count=5),
        profile("22T10:00:00", username="later", followers_count=2 * 10**15),
    ])  # fmt: skip
    make(kol)
    tables = tables_of(kol)
    learnt = by_key("gold.ml_trust_training", tables)
    assert set(learnt) == {("tiktok", "later", False), ("tiktok", "later", True)}
    assert set(by_key("silver.kol_trust_features", tables)) == {("tiktok", "then")}
    sql = "SELECT count(*) AS n FROM lake.quarantine WHERE table_name = 'silver.kol_labels'"
    assert kol("sql", sql, "--format", "json").json() == [{"n": 1}]


def test_an_event_of_any_kind_keeps_a_kol_in_trend(kol):
    names = ("talked", "seller", "found", "silent")
    comment = {"event_type": "comment", "platform": "tiktok", "comment_text": "ok"}
    found = {"event_type": "discovery", "platform": "tiktok", "username": "found"}
    import_events(
        kol,
        [profile("20T10:00:00", username=name, followers_count=10) for name in names]
        + [video("quiet", "20T10:00:00", username="silent", view_count=5)]
        + [comment | {"event_time": "2025-06-25T10:00:00Z", "video_id": "x", "username": "talked"}]
        + [found | {"event_time": "2025-06-25T09:00:00Z", "video_id": "y"}]
        + [product("sold", "06-24T12:00:01", username="seller", product_id="p")]
        + [product("at-bound", "06-24T12:00:00", username="silent", product_id="q")]
        + [product("newest", "06-25T12:00:00", username="no-kol", product_id="p")],
    )
    make(kol)
    tables = assert_as_computed(kol)
    velocity = by_key("silver.kol_velocity", tables)
    active = {"talked", "seller", "found"}
    assert {kol_id for _, kol_id in velocity} == active | {"no-kol"}
    assert {row["as_of"] for row in velocity.values()} == {1750852860000000}  # 12:01 on the 25th
    scores = rows_as_dicts(tables, "gold.kol_scores")
    assert {row["kol_id"] for row in scores if row["trending_score"] is not None} == active


def test_a_total_that_no_platform_has_moves_no_window(kol):
    """The hour of such a total is quarantined; the velocity goes on from the total before it."""
    looks = zip(("06", "07", "08"), (100, 10**18, 105))
    import_events(
        kol,
        [video("wild", f"25T12:{minute}:00", username="wild", view_count=n) for minute, n in looks]
        + [video("calm", "25T12:09:00", username="calm", view_count=7)],
    )
    make(kol)
    sql = "SELECT velocity, market FROM silver.kol_velocity WHERE kol_id = 'calm'"
    assert kol("sql", sql, "--format", "json").json() == [{"velocity": 0, "market": 1}]


def test_events_that_come_twice_change_no_row(kol):
    other = kol.data / "other"
    kol("demo", "--kols", "40", "--days", "5", data=other)
    tail = ("--from", "start", "--values")
    worlds = [kol("log", "tail", f"kol.{topic}.raw", *tail, data=other).out for topic in FIELDS]
    lines = [*corners(), *score_corners()]
    seen = []
    for _ in range(2):
        import_events(kol, lines)
        for values in worlds:
            kol("import", "events", "-", stdin=values)
        make(kol)
        seen.append(tables_of(kol))
    for table, (columns, keys) in declared().items():
        words = difference(columns, keys, seen[0][table][0], seen[1][table][0])
        assert words is None, f"{table}: {words}"


def test_a_demo_world_comes_out_as_computed(kol):
    kol("demo", "--kols", "250", "--days", "9", "--seed", "5")
    make(kol)
    assert_as_computed(kol)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_all_public_data_comes_out_as_computed(kol, shared_data, tmp_path):
    for preset, names in PRESETS.items():
        kol("import", preset, *(shared_data / name for name in names))
    make(kol)
    models = {"trust": train_on(kol, tmp_path / "trust.txt", "trust", "untrustworthy")}
    kol("etl", timeout=1200)
    tables = assert_as_computed(kol, models)
    assert_scores_agree(kol, tables, models["trust"])
    lines = kol("log", "tail", "kol.profiles.raw", "--from", "start", "--values").out.splitlines()
    names = {
        (event["platform"], event.get("username") or event["user_id"])
        for event in map(json.loads, lines)
    }
    assert len(tables["silver.kol_profiles"][0]) == len(names) == 45712


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_reference_world_comes_out_as_computed(kol, tmp_path):
    kol("demo", "--world", "reference")
    make(kol)
    models = {
        "trust": train_on(kol, tmp_path / "trust.txt", "trust", "untrustworthy"),
        "success": train_on(kol, tmp_path / "success.txt", "success", "high"),
    }
    kol("etl", timeout=1200)
    tables = assert_as_computed(kol, models)
    assert_scores_agree(kol, tables, models["trust"])
