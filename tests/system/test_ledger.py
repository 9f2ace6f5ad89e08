"""lake.score_ledger: what each score was, when, and by which version: each change once, none lost."""

import json
import shutil
import signal

import pytest

from engines import catalog_of
from model_cases import feature_names, train, trust_rows

KOLS = 60


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files of two trust models that say different things of every account."""
    folder = tmp_path_factory.mktemp("models")
    rows, labels, _ = trust_rows(400)
    names = feature_names("trust")
    train(folder / "one.txt", rows, labels, names, trees=5)
    train(folder / "two.txt", rows, 1 - labels, names, trees=6)
    return folder


def select(kol, sql):
    return kol("sql", sql, "--limit", "0", "--format", "json").json()


def promote(kol, path):
    version = kol("models", "import", "trust", path, "--format", "json").json()[0]["version"]
    kol("models", "promote", "trust", version, "--force")
    return f"trust/{version}"


@pytest.fixture
def lake(kol, models):
    """A lake whose scores are of the first version."""
    kol("demo", "--kols", KOLS, "--days", 4, "--seed", 7)
    kol("ingest")
    assert promote(kol, models / "one.txt") == "trust/1"
    kol("etl", "--no-online")
    return kol


def ledger(kol):
    return select(kol, "SELECT * FROM lake.score_ledger ORDER BY platform, kol_id, score, computed_at")


def scores(kol):
    rows = select(kol, "SELECT * FROM gold.kol_scores")
    return {(row["platform"], row["kol_id"]): row for row in rows}


def last_words(rows):
    """(platform, kol_id, score) -> (value, version) of the newest row; no two are of one moment."""
    rows = sorted(rows, key=lambda row: row["computed_at"])
    keys = [(row["platform"], row["kol_id"], row["score"], row["computed_at"]) for row in rows]
    assert len(set(keys)) == len(keys)
    return {
        (row["platform"], row["kol_id"], row["score"]): (row["value"], row["model_version"])
        for row in rows
    }


def words_of(tables):
    """What the ledger must say last: each score that a KOL has now."""
    return {
        (*key, score): (row[score + "_score"], row.get(score + "_model_version"))
        for key, row in tables.items()
        for score in ("trust", "success", "trending", "composite")
        if row[score + "_score"] is not None
    }


def changes(before, after):
    """How many scores another value or version came for."""
    old, new = words_of(before), words_of(after)
    return sum(old.get(key) != word for key, word in new.items())


def test_only_what_changed_gets_a_row(lake, models):
    first, stored = ledger(lake), scores(lake)
    assert last_words(first) == words_of(stored) and len(first) == len(words_of(stored))
    assert {row["model_version"] for row in first if row["score"] == "trust"} == {"trust/1"}
    for again in (("etl", "--no-online"), ("etl", "--full", "--no-online"), ("score",)):
        lake(*again)
        assert ledger(lake) == first and scores(lake) == stored, again

    promote(lake, models / "two.txt")
    lake("etl", "--no-online")
    after, rescored = ledger(lake), scores(lake)
    new = [row for row in after if row not in first]
    scored = [key for key, row in rescored.items() if row["trust_score"] is not None]
    assert len(scored) >= KOLS // 2
    assert sorted(
        (row["platform"], row["kol_id"]) for row in new if row["model_version"] == "trust/2"
    ) == sorted(scored)
    assert {row["score"] for row in new} == {"trust", "composite"}
    assert len(after) == len(first) + changes(stored, rescored)
    assert last_words(after) == words_of(rescored)
    kol_id = scored[0][1]
    shown = lake("models", "ledger", "--kol", ":".join(scored[0]), "--format", "json").json()
    assert [row["model_version"] for row in shown if row["score"] == "trust"] == [
        "trust/2", "trust/1"
    ]  # fmt: skip
    assert {row["kol_id"] for row in shown} == {kol_id}


def places(kol):
    """What the tables of bronze say of themselves: topic -> partition -> next offset."""
    out = {}
    with catalog_of(kol.data) as catalog:
        for topic in ("profiles", "videos", "comments", "products", "discovery"):
            told = catalog.load_table(f"bronze.{topic}").properties.get("kol.next-offsets", "{}")
            out |= json.loads(told)
    return out


def test_a_row_says_from_which_offsets(lake, models):
    first, begun = ledger(lake), places(lake)
    assert {"kol.profiles.raw", "kol.videos.raw", "kol.products.raw"} <= set(begun)
    assert [row for row in first if json.loads(row["source_offsets"]) != begun] == []
    event = {"event_type": "profile", "platform": "twitter", "username": "offset",
             "followers_count": 5, "event_time": "2020-01-01T00:00:00Z"}  # fmt: skip
    lake("log", "produce", "kol.profiles.raw", stdin=json.dumps(event) + "\n")
    lake("ingest")
    lake("etl", "--no-online")
    said = {row["source_offsets"] for row in ledger(lake) if row["kol_id"] == "offset"}
    assert [json.loads(text) for text in said] == [places(lake)] and places(lake) != begun
    promote(lake, models / "two.txt")
    lake("etl", "--no-online")
    assert None not in {row["source_offsets"] for row in ledger(lake)}


def test_another_model_of_the_same_name_scores_again(lake, models):
    """As trust/shipped of one program is another model than that of the next."""
    first, stored = ledger(lake), scores(lake)
    shutil.rmtree(lake.data / "models")
    assert promote(lake, models / "two.txt") == "trust/1"
    lake("etl", "--no-online")
    after, rescored = ledger(lake), scores(lake)
    moved = [key for key in stored if rescored[key]["trust_score"] != stored[key]["trust_score"]]
    assert len(moved) >= KOLS // 2
    assert len(after) == len(first) + changes(stored, rescored)
    assert last_words(after) == words_of(rescored)


def snapshots(kol):
    return {row["table"]: row["snapshot"] for row in kol("tables", "--format", "json").json()}


def test_scoring_again_makes_scores_and_no_features(lake):
    before = snapshots(lake)
    lake("score")
    after = snapshots(lake)
    assert {table for table in after if after[table] != before[table]} == {
        "gold.kol_scores", "gold.product_success"
    }  # fmt: skip


def test_the_time_of_a_row_stays_until_it_says_something_else(lake):
    before = scores(lake)
    moved = next(
        row for row in before.values()
        if row["platform"] == "twitter" and row["trust_score"] is not None
    )  # fmt: skip
    seen = select(lake, "SELECT max(updated_at) AS at FROM silver.kol_profiles")[0]["at"]
    event = {
        "event_type": "profile", "platform": "twitter", "username": moved["kol_id"],
        "event_time": seen, "followers_count": 10**9, "following_count": 1, "post_count": 1,
        "favorites_count": 10**9, "verified": True,
    }  # fmt: skip
    lake("log", "produce", "kol.profiles.raw", stdin=json.dumps(event) + "\n")
    lake("ingest")
    lake("etl", "--no-online")
    after = scores(lake)
    other = {key for key, row in after.items() if row["computed_at"] != before[key]["computed_at"]}
    said = {
        key: {name: value for name, value in row.items() if name not in ("computed_at", "event_time")}
        for key, row in after.items()
    }
    assert other == {
        key for key in after
        if any(said[key][name] != before[key][name] for name in said[key])
    }  # fmt: skip
    assert ("twitter", moved["kol_id"]) in other and len(other) < len(after) / 2
    assert last_words(ledger(lake)) == words_of(after)


# The changed tables of a run are kol_scores and the three that read it; the ledger comes behind.
KILLS = [("etl.written", 1), ("etl.committed", 1), ("etl.committed", 4), ("etl.ledger", 1),
         ("commit.swapped", 5), ("etl.run", 1)]  # fmt: skip


@pytest.mark.parametrize("point, hit", KILLS)
def test_killed_anywhere_each_change_is_there_once(lake, kol_fail, models, point, hit):
    first, stored = ledger(lake), scores(lake)
    promote(lake, models / "two.txt")
    killed = kol_fail(
        "etl", "--no-online", env={"KOL_TEST_FAILPOINT": f"{point}:{hit}"}, status=None
    )
    assert killed.status == -signal.SIGKILL, killed
    lake("etl", "--no-online")
    after, rescored = ledger(lake), scores(lake)
    assert [row for row in after if row in first] == first
    assert len(after) == len(first) + changes(stored, rescored)
    assert last_words(after) == words_of(rescored)


@pytest.mark.parametrize("point, hit", [("etl.committed", 1), ("etl.ledger", 1)])
def test_a_version_without_its_ledger_is_made_up_for(lake, kol_fail, models, point, hit):
    """A run ends behind the scores of trust/2, and the next one serves trust/3."""
    first, stored = ledger(lake), scores(lake)
    promote(lake, models / "two.txt")
    killed = kol_fail(
        "etl", "--no-online", env={"KOL_TEST_FAILPOINT": f"{point}:{hit}"}, status=None
    )
    assert killed.status == -signal.SIGKILL, killed
    between = scores(lake)
    said = {row["trust_model_version"] for row in between.values()} - {None}
    assert said == {"trust/2"} and ledger(lake) == first
    promote(lake, models / "one.txt")
    lake("etl", "--no-online")
    after, rescored = ledger(lake), scores(lake)
    assert {row["model_version"] for row in after if row["score"] == "trust"} == {
        "trust/1", "trust/2", "trust/3"
    }  # fmt: skip
    assert len(after) == len(first) + changes(stored, between) + changes(between, rescored)
    assert last_words(after) == words_of(rescored)


def test_where_the_version_before_is_gone_the_ledger_knows_itself(lake, models):
    first, stored = ledger(lake), scores(lake)
    with catalog_of(lake.data) as catalog:
        with catalog.load_table("lake.score_ledger").transaction() as change:
            assert int(change.table_metadata.properties["kol.scores-snapshot"]) > 0
            change.set_properties({"kol.scores-snapshot": "4711"})  # as if it had expired
    lake("etl", "--no-online")
    assert ledger(lake) == first
    promote(lake, models / "two.txt")
    with catalog_of(lake.data) as catalog:
        with catalog.load_table("lake.score_ledger").transaction() as change:
            change.set_properties({"kol.scores-snapshot": "4711"})
    lake("etl", "--no-online")
    after, rescored = ledger(lake), scores(lake)
    assert len(after) == len(first) + changes(stored, rescored)
    assert last_words(after) == words_of(rescored)
