"""lake.score_ledger: what each score was, when, and by which version: each change once, none lost."""

import json
import shutil
import signal

import pytest

from engines import catalog_of
from model_cases import feature_names, train, trust_rows

pytestmark = pytest.mark.release_only  # under sanitizers test_etl and test_models go the same ways
KOLS = 60


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files of two trust models that say different things of every account."""
    folder = tmp_path_factory.mktemp("models")
    rows, labels, _ = trust_rows(400)
    names = feature_names("trust")
    train(folder / "one.txt", rows, labels, names, trees=5)
    train(folder / "two.txt", rows, 1 - labels, names, trees=6)
    names = feature_names("success")
    train(folder / "success.txt", rows[:, : len(names)], labels, names, trees=5)
    return folder


def select(kol, sql):
    return kol("sql", sql, "--limit", "0", "--format", "json").json()


def promote(kol, path, score="trust"):
    version = kol("models", "import", score, path, "--format", "json").json()[0]["version"]
    kol("models", "promote", score, version, "--force")
    return f"{score}/{version}"


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


def assert_said_of(tables, rows):
    """Each row says what the scores say beside the value and the version."""
    for row in rows:
        told = tables[row["platform"], row["kol_id"]]
        assert row["label"] == told.get(row["score"] + "_label")
        assert [row[name] for name in ("event_time", "computed_at")] == [
            told[name] for name in ("event_time", "computed_at")
        ]


def changes(before, after):
    """How many scores another value or version came for."""
    old, new = words_of(before), words_of(after)
    return sum(old.get(key) != word for key, word in new.items())


def version_of_ledger(kol):
    """The file of its metadata, and the run that wrote its newest rows."""
    with catalog_of(kol.data) as catalog:
        table = catalog.load_table("lake.score_ledger")
        return table.metadata_location, table.current_snapshot().summary["kol.run-id"]


def test_only_what_changed_gets_a_row(lake, models):
    first, stored, version = ledger(lake), scores(lake), version_of_ledger(lake)
    assert_said_of(stored, first)
    assert select(lake, "SELECT run_id FROM lake.runs") == [{"run_id": version[1]}]
    lake("etl", "--no-online")
    assert version_of_ledger(lake) == version
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
    assert_said_of(rescored, new)
    kol_id = scored[0][1]
    shown = lake("models", "ledger", "--kol", ":".join(scored[0]), "--format", "json").json()
    assert [row["model_version"] for row in shown if row["score"] == "trust"] == [
        "trust/2", "trust/1"
    ]  # fmt: skip
    assert {row["kol_id"] for row in shown} == {kol_id}


def test_the_same_score_by_another_version_is_a_row(lake, models):
    first, stored = ledger(lake), scores(lake)
    assert promote(lake, models / "one.txt") == "trust/2"
    lake("etl", "--no-online")
    new = [row for row in ledger(lake) if row not in first]
    assert {(row["score"], row["model_version"]) for row in new} == {("trust", "trust/2")}
    told = {(row["platform"], row["kol_id"]): row["value"] for row in new}
    assert told == {
        key: row["trust_score"] for key, row in stored.items() if row["trust_score"] is not None
    }  # fmt: skip
    assert len(new) == len(told)


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
    twins = [
        {"event_type": "profile", "platform": platform, "username": "offset",
         "followers_count": followers, "event_time": "2020-01-01T00:00:00Z"}
        for platform, followers in (("twitter", 5), ("youtube", 5_000_000))
    ]  # fmt: skip
    lake("log", "produce", "kol.profiles.raw", stdin="".join(json.dumps(event) + "\n" for event in twins))
    lake("ingest")
    lake("etl", "--no-online")
    rows = ledger(lake)
    assert last_words(rows) == words_of(scores(lake))
    told = [row for row in rows if row["kol_id"] == "offset"]
    assert {row["platform"] for row in told} == {"twitter", "youtube"}
    said = {row["source_offsets"] for row in told}
    assert [json.loads(text) for text in said] == [places(lake)] and places(lake) != begun
    promote(lake, models / "two.txt")
    lake("etl", "--no-online")
    after = ledger(lake)
    assert None not in {row["source_offsets"] for row in after}
    assert last_words(after) == words_of(scores(lake))


def test_offsets_that_cannot_be_read_are_named(lake, models):
    first = ledger(lake)
    promote(lake, models / "two.txt")
    with catalog_of(lake.data) as catalog:
        with catalog.load_table("bronze.videos").transaction() as change:
            change.set_properties({"kol.next-offsets": "[1]"})
    failed = lake("etl", "--no-online", status=1)
    assert "bronze.videos: kol.next-offsets is no JSON object" in failed.errors
    assert ledger(lake) == first


LATER = {"KOL_TEST_NOW": "2100-01-01T00:00:00Z"}


def test_a_score_that_ceases_is_a_row_of_null_once(lake, models):
    """Success is the mean over 90 days before the newest event: one far behind ends it."""
    assert promote(lake, models / "success.txt", "success") == "success/1"
    lake("etl", "--no-online")
    before = scores(lake)
    seller = next(key for key, row in before.items() if row["success_score"] is not None)
    assert before[seller]["success_model_version"] == "success/1"
    event = {
        "event_type": "profile", "platform": seller[0], "username": seller[1],
        "event_time": "2099-01-01T00:00:00Z", "followers_count": 7,
    }  # fmt: skip
    lake("log", "produce", "kol.profiles.raw", stdin=json.dumps(event) + "\n", env=LATER)
    lake("ingest", env=LATER)
    lake("etl", "--no-online", env=LATER)
    assert scores(lake)[seller]["success_score"] is None
    for forget in (False, True):
        if forget:
            forget_version(lake)
            lake("etl", "--no-online", env=LATER)
        rows = [row for row in ledger(lake) if (row["platform"], row["kol_id"]) == seller]
        told = sorted(
            (row for row in rows if row["score"] == "success"), key=lambda row: row["computed_at"]
        )
        assert [row["model_version"] for row in told] == [None, "success/1", None]
        assert [row["value"] is None for row in told] == [False, False, True]
        assert told[-1]["label"] is None


KOL_WORDS = ("kol.inputs", "kol.run-id", "kol.source-offsets")


def split_in_two(table):
    """The rows as they are and in the same words, in two files."""
    rows, told = table.scan().to_arrow(), table.current_snapshot().summary
    said = {name: told[name] for name in KOL_WORDS}
    table.overwrite(rows.slice(0, 10), snapshot_properties=said)
    table.append(rows.slice(10), snapshot_properties=said)
    return said


def test_compacted_scores_say_from_which_offsets_still(lake):
    """The ledger is written from a version that `kol maintain` made, the only one that is left."""
    first, begun = ledger(lake), places(lake)
    with catalog_of(lake.data) as catalog:
        said = split_in_two(catalog.load_table("gold.kol_scores"))
        catalog.drop_table("lake.score_ledger")
    told = lake(
        "maintain", "gold.kol_scores", "--expire-after", "0s", "--keep", "1", "--format", "json"
    ).json()[0]
    assert (told["compacted"], told["into"]) == (2, 1)
    with catalog_of(lake.data) as catalog:
        summary = catalog.load_table("gold.kol_scores").current_snapshot().summary
        assert {name: summary[name] for name in KOL_WORDS} == said
    made = lake("etl", "--no-online", "--format", "json").json()
    assert {row["table"]: row["made"] for row in made}["gold.kol_scores"] == "unchanged"
    after = ledger(lake)
    assert last_words(after) == last_words(first)
    assert [row for row in after if json.loads(row["source_offsets"]) != begun] == []


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


@pytest.mark.parametrize("joined", [False, True])
def test_the_time_of_a_row_stays_until_it_says_something_else(lake, kol_fail, joined):
    """By the program's own table of the rows before, and by a join where they are too many for it."""
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
    fails = {"KOL_TEST_FAILURE": "since.join:1"} if joined else {}
    kol_fail("etl", "--no-online", env=fails)
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


def forget_version(kol):
    """As if the version of gold.kol_scores that the ledger stands for had expired."""
    with catalog_of(kol.data) as catalog:
        with catalog.load_table("lake.score_ledger").transaction() as change:
            assert int(change.table_metadata.properties["kol.scores-snapshot"]) > 0
            change.set_properties({"kol.scores-snapshot": "4711"})


def test_where_the_version_before_is_gone_the_ledger_knows_itself(lake, models):
    rows, stored = ledger(lake), scores(lake)
    forget_version(lake)
    lake("etl", "--no-online")
    assert ledger(lake) == rows
    for model in ("two.txt", "one.txt"):  # the second finds two rows of a score to choose from
        promote(lake, models / model)
        forget_version(lake)
        lake("etl", "--no-online")
        after, rescored = ledger(lake), scores(lake)
        assert len(after) == len(rows) + changes(stored, rescored)
        assert last_words(after) == words_of(rescored)
        rows, stored = after, rescored
    forget_version(lake)
    lake("etl", "--no-online")
    assert ledger(lake) == rows
