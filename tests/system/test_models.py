"""`kol models`: versions, aliases, comparisons and promotions with models that LightGBM trained."""

import json
import shutil
import signal
import threading
from pathlib import Path

import lightgbm
import numpy
import pytest
import xxhash

from model_cases import auc, feature_names, split_parts, train, trust_rows, write_csv
from support import ROOT, Kol

LIBRARY = Path(lightgbm.__file__).parent / "lib"
SHIPS = (ROOT / "models/trust/model.txt").is_file()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Models of three qualities, the rows that none of them has seen, and a model for success."""
    folder = tmp_path_factory.mktemp("models")
    rows, labels, _ = trust_rows(1500)
    names = feature_names("trust")
    shuffled = numpy.random.default_rng(5).permutation(labels)
    boosters = {
        "good": train(folder / "good.txt", rows, labels, names, trees=40, learning_rate=0.1),
        "weak": train(folder / "weak.txt", rows[:200], labels[:200], names, trees=4),
        "bold": train(folder / "bold.txt", rows, labels, names, trees=60, learning_rate=0.9, num_leaves=60),
        "wrong": train(folder / "wrong.txt", rows, shuffled, names, trees=5),
    }
    more = numpy.random.default_rng(6).normal(size=(300, 21))
    train(folder / "success.txt", more, (more[:, 0] > 0).astype(int), feature_names("success"), trees=3)
    held = trust_rows(1200, seed=77)
    write_csv(folder / "held.csv", *held)
    return folder, boosters, held


def add(kol, made, name, model="trust"):
    """Imports a model and gives its number."""
    rows = kol("models", "import", model, made[0] / f"{name}.txt", "--format", "json").json()
    return rows[0]["version"]


def promote(kol, version, *more, model="trust", **how):
    return kol("models", "promote", model, version, *more, **how)


def listed(kol, *more):
    return kol("models", "list", *more, "--format", "json").json()


def serving(kol, model="trust"):
    return [row["version"] for row in listed(kol, model) if row["serves"]]


# ---- versions ----


def test_an_empty_registry_says_what_serves(kol):
    result = kol("models", "list", "--format", "json")
    if SHIPS:
        assert [(row["model"], row["version"]) for row in result.json()] == [("trust", "shipped")]
        assert serving(kol) == ["shipped"]
    else:
        assert result.json() == []
        assert "no trust model" in result.errors and "kol train trust" in result.errors
        assert "no trust model" in kol("models", "show", "trust", "production", status=1).errors
    assert "success: no model is in production, the rule answers" in result.errors


def test_an_imported_model_is_a_version_that_says_what_it_is(kol, made):
    assert [add(kol, made, "good"), add(kol, made, "weak")] == ["1", "2"]
    rows = [row for row in listed(kol, "trust") if row["version"] != "shipped"]
    assert [(row["version"], row["source"], row["serves"]) for row in rows] == [
        ("2", "imported", False),
        ("1", "imported", False),
    ]
    shown = {row["name"]: row["value"] for row in kol("models", "show", "trust", "1", "--format", "json").json()}
    assert shown["trees"] == 40 and shown["imported.file"] == "good.txt"
    rows_seen = trust_rows(1500)[0][:, 0]
    low, high = json.loads(shown["range.log_followers"])
    assert (low, high) == pytest.approx((rows_seen.min(), rows_seen.max()))
    assert kol("models", "show", "trust", "1").text.startswith("name")


def test_a_model_with_other_features_is_refused_with_the_first_difference(kol, made, tmp_path):
    wrong = kol("models", "import", "trust", made[0] / "success.txt", status=1)
    assert "success.txt" in wrong.errors and "trust" in wrong.errors
    text = (made[0] / "good.txt").read_text()
    (tmp_path / "swapped.txt").write_text(
        text.replace("log_followers log_following", "log_following log_followers", 1)
    )
    errors = kol("models", "import", "trust", tmp_path / "swapped.txt", status=1).errors
    assert "log_followers" in errors and "log_following" in errors
    (tmp_path / "cut.txt").write_text(text[: len(text) // 2])
    kol("models", "import", "trust", tmp_path / "cut.txt", status=1)
    kol("models", "import", "trust", tmp_path / "absent.txt", status=1)
    assert [row for row in listed(kol) if row["version"] != "shipped"] == []


def test_wrong_words_are_answered_with_the_right_ones(kol, made):
    assert "you may mean list" in kol("models", "lst", status=2).errors
    assert "you may mean trust" in kol("models", "list", "trst", status=2).errors
    assert "promote MODEL VERSION" in kol("models", "promote", "trust", status=2).errors
    add(kol, made, "good")
    assert "there is: 1" in kol("models", "show", "trust", "9", status=1).errors
    assert "no move" in kol("models", "rollback", "trust", status=1).errors


def test_a_broken_version_is_named_and_the_others_are_listed(kol, made, data):
    for name in ("good", "weak"):
        add(kol, made, name)
    note = data / "models/trust/1/version.json"
    note.write_text("{")
    model = data / "models/trust/2/model.txt"
    model.write_text(model.read_text().replace("leaf_value=", "leaf_value=1", 1))
    rows = {row["version"]: row for row in listed(kol, "trust")}
    assert str(note) in rows["1"]["problem"] and rows["2"]["problem"] is None
    assert str(note) in kol("models", "show", "trust", "1", status=1).errors
    assert str(model) in promote(kol, "2", "--force", status=1).errors


# ---- compare ----


def labels_of(probability):
    score = 100 * (1 - probability)
    return numpy.where(score >= 80, "high", numpy.where(score >= 40, "medium", "low"))


def test_a_comparison_gives_metrics_differences_and_flips(kol, made):
    folder, boosters, (rows, labels, accounts) = made
    add(kol, made, "weak")
    add(kol, made, "good")
    compare = ("models", "compare", "trust", "1", "2", "--on", folder / "held.csv")
    result = kol(*compare, "--format", "json")
    lines = {(row["rows"], row["metric"]): row for row in result.json()}
    weak, good = (boosters[name].predict(rows) for name in ("weak", "good"))
    for part, chosen in (("all", slice(None)), ("full", slice(0, None, 2)), ("masked", slice(1, None, 2))):
        line = lines[part, "auc"]
        assert line["accounts"] == 1200
        assert line["a"] == pytest.approx(auc(weak[chosen], labels[chosen]), abs=1e-12)
        assert line["b"] == pytest.approx(auc(good[chosen], labels[chosen]), abs=1e-12)
        assert line["difference"] == pytest.approx(line["b"] - line["a"], abs=1e-12)
        assert 0 < line["low95"] < line["difference"] < line["high95"]
    brier = lines["all", "brier"]
    assert brier["b"] == pytest.approx(((good - labels) ** 2).mean(), abs=1e-12)
    assert "trust/2 is surely better than trust/1" in result.errors
    flips = kol(*compare, "--flips", "--format", "json").json()
    changed = labels_of(weak) != labels_of(good)
    assert [(row["account"], row["masked"]) for row in flips] == [
        (f"twitter/{accounts[n]}", bool(n % 2)) for n in numpy.flatnonzero(changed)
    ]
    first = numpy.flatnonzero(changed)[0]
    assert (flips[0]["label_a"], flips[0]["label_b"]) == (labels_of(weak)[first], labels_of(good)[first])
    assert flips[0]["class"] == labels[first]
    back = kol("models", "compare", "trust", "2", "1", "--on", folder / "held.csv")
    assert "trust/1 is not surely better than trust/2" in back.errors


def test_rows_that_say_nothing_are_refused(kol, made, tmp_path):
    add(kol, made, "weak")
    add(kol, made, "good")
    errors = kol("models", "compare", "trust", "1", "2", status=1).errors
    assert "--on TABLE or CSV" in errors
    rows, labels, accounts = trust_rows(50)
    compare = ("models", "compare", "trust", "1", "2", "--on")
    path = write_csv(tmp_path / "one.csv", rows, labels * 0, accounts)
    assert "class 0" in kol(*compare, path, status=1).errors
    path = write_csv(tmp_path / "two.csv", rows, labels + 2, accounts)
    assert "untrustworthy is 3 and must be 0 or 1" in kol(*compare, path, status=1).errors
    path.write_text("a,b\n1,2\n")
    assert str(path) in kol(*compare, path, status=1).errors
    kol(*compare, tmp_path / "absent.csv", status=1)
    kol(*compare, "gold.ml_trust_training", status=1)


# ---- promote, rollback ----


def test_only_a_better_version_is_promoted_unless_forced(kol, made):
    on = ("--on", made[0] / "held.csv")
    for name in ("weak", "good", "wrong", "bold"):
        add(kol, made, name)
    promote(kol, "1", "--force")
    worse = promote(kol, "3", *on, status=1).errors
    assert "trust/3 is not promoted" in worse and "AUC" in worse and "--force" in worse
    assert serving(kol) == ["1"]
    bold = promote(kol, "4", *on, status=1).errors
    assert "calibration error" in bold
    promote(kol, "2", *on)
    assert serving(kol) == ["2"]
    promote(kol, "2")  # it serves already: no move, and nothing to compare
    twin = add(kol, made, "good")
    assert "not surely above 0" in promote(kol, twin, *on, status=1).errors
    promote(kol, "3", "--force")
    assert serving(kol) == ["3"]
    assert kol("models", "rollback", "trust", "--format", "json").json()[0]["version"] == "2"
    assert kol("models", "rollback", "trust", "--format", "json").json()[0]["version"] == "1"
    assert serving(kol) == ["1"]
    kol("models", "rollback", "trust")
    assert serving(kol) == (["shipped"] if SHIPS else [])
    history = json.loads((kol.data / "models/trust/aliases.json").read_text())["history"]
    assert [move["how"] for move in history] == ["move"] * 3 + ["rollback"] * 3


def test_the_first_version_is_promoted_where_nothing_serves(kol, made):
    add(kol, made, "success", "success")
    promote(kol, "1", model="success")
    assert serving(kol, "success") == ["1"]


def test_a_success_model_that_is_gone_is_an_error_and_not_the_rule(kol, made):
    add(kol, made, "success", "success")
    promote(kol, "1", model="success")
    shutil.rmtree(kol.data / "models/success/1")
    given = ("--json", json.dumps({"video_views": 10000, "est_ctr": 0.02, "price": 50000}))
    assert "success/1: no such version" in kol("predict", "success", *given, status=1).errors


@pytest.mark.parametrize("model, name", [("trust", "good"), ("success", "success")])
def test_a_version_in_production_that_is_gone_is_named(kol, made, model, name):
    for _ in range(2):
        add(kol, made, name, model)
    promote(kol, "1", "--force", model=model)
    shutil.rmtree(kol.data / f"models/{model}/1")
    refused = promote(kol, "2", model=model, status=1).errors
    assert f"{model}/1: no such version" in refused
    assert "--force" in refused and f"kol models rollback {model}" in refused
    said = kol("models", "list").errors
    assert f"{model}: production names {model}/1, which is not there" in said
    assert "none ships" not in said and f"{model}: no model is in production" not in said
    promote(kol, "2", "--force", model=model)
    assert serving(kol, model) == ["2"]
    assert f"{model}: production names" not in kol("models", "list").errors
    back = kol("models", "rollback", model, "--format", "json")
    assert f"{model}/1 is passed over" in back.errors
    assert back.json()[0]["version"] == ("shipped" if model == "trust" and SHIPS else None)
    kol("models", "rollback", model, status=1)


def test_moves_of_several_processes_are_all_kept(kol, made):
    for name in ("weak", "good"):
        add(kol, made, name)
    running = [
        kol.start("models", "promote", "trust", str(n % 2 + 1), "--force", stdin=None) for n in range(12)
    ]
    assert [one.wait().status for one in running] == [0] * 12
    aliases = json.loads((kol.data / "models/trust/aliases.json").read_text())
    moves = aliases["history"]
    assert [move["from"] for move in moves[1:]] == [move["to"] for move in moves[:-1]]
    assert aliases["aliases"]["production"]["version"] == moves[-1]["to"]
    assert len(aliases["aliases"]["production"]["before"]) == len(moves)


# ---- crashes, backups ----


@pytest.mark.parametrize("point", ["file:1", "file:2", "written", "renamed"])
def test_a_version_that_a_crash_interrupted_is_whole_or_not_there(kol_fail, made, point):
    add(kol_fail, made, "weak")
    died = kol_fail(
        "models", "import", "trust", made[0] / "good.txt",
        status=None, env={"KOL_TEST_FAILPOINT": f"registry.{point}"},
    )
    assert died.status == -signal.SIGKILL, died
    rows = [row for row in listed(kol_fail, "trust") if row["version"] != "shipped"]
    assert all(row["problem"] is None for row in rows)
    assert [row["version"] for row in rows] == (["2", "1"] if point == "renamed" else ["1"])
    number = add(kol_fail, made, "good")
    assert number == ("3" if point == "renamed" else "2")
    promote(kol_fail, number, "--force")
    assert serving(kol_fail) == [number]
    assert not list(kol_fail.data.rglob("*.tmp"))


@pytest.mark.parametrize("point, moved", [("alias", False), ("moved", True)])
def test_a_promotion_that_a_crash_interrupted_is_done_or_not(kol_fail, made, point, moved):
    for name in ("weak", "good"):
        add(kol_fail, made, name)
    promote(kol_fail, "1", "--force")
    died = promote(
        kol_fail, "2", "--force", status=None, env={"KOL_TEST_FAILPOINT": f"registry.{point}"}
    )
    assert died.status == -signal.SIGKILL, died
    assert serving(kol_fail) == ["2" if moved else "1"]
    promote(kol_fail, "2", "--force")
    assert kol_fail("models", "rollback", "trust", "--format", "json").json()[0]["version"] == "1"


def test_a_backup_carries_the_models(kol, made, tmp_path):
    for name in ("weak", "good"):
        add(kol, made, name)
    promote(kol, "2", "--force")
    leftover = kol.data / "models/trust/adding.tmp"
    leftover.mkdir()
    (leftover / "model.txt").write_text("half of one")
    kol("backup", tmp_path / "b")
    kol("restore", tmp_path / "b", data=tmp_path / "r")
    shutil.rmtree(kol.data)
    copy = Kol(kol.binary, tmp_path / "r")
    assert serving(copy) == ["2"]
    assert all(row["problem"] is None for row in listed(copy))
    assert copy("models", "rollback", "trust").status == 0
    assert not (tmp_path / "r/models/trust/adding.tmp").exists()


def test_a_backup_beside_promotions_has_what_its_aliases_point_at(kol, made, tmp_path):
    add(kol, made, "weak")
    promote(kol, "1", "--force")
    stop = threading.Event()

    def add_and_promote():
        while not stop.is_set():
            promote(kol, add(kol, made, "wrong"), "--force")

    writer = threading.Thread(target=add_and_promote)
    writer.start()
    try:
        for n in range(6):
            kol("backup", tmp_path / f"b{n}")
    finally:
        stop.set()
        writer.join()
    for n in range(6):
        kol("restore", tmp_path / f"b{n}", data=tmp_path / f"r{n}")
        rows = listed(Kol(kol.binary, tmp_path / f"r{n}"), "trust")
        assert sum(row["serves"] for row in rows) == 1, rows
        assert all(row["problem"] is None for row in rows)


# ---- the ledger ----


def test_the_ledger_says_which_version_scored_a_kol(kol, made):
    assert "no lake yet" in kol("models", "ledger", "--kol", "x", status=1).errors
    for name in ("weak", "good"):
        add(kol, made, name)
    kol("demo", "--kols", 30, "--days", 2)
    kol("ingest")
    for version in ("1", "2"):
        promote(kol, version, "--force")
        kol("etl", "--no-online")
    first = kol("models", "ledger", "--limit", 1, "--format", "json").json()[0]
    ledger = ("models", "ledger", "--format", "json", "--kol")
    rows = kol(*ledger, f"{first['platform']}:{first['kol_id']}").json()
    trust = [row for row in rows if row["score"] == "trust"]
    assert [row["model_version"] for row in trust] == ["trust/2", "trust/1"]
    assert trust[0]["computed_at"] > trust[1]["computed_at"]
    assert {(row["platform"], row["kol_id"]) for row in rows} == {(first["platform"], first["kol_id"])}
    assert all(row in kol(*ledger, first["kol_id"]).json() for row in rows)
    assert "nobody" in kol(*ledger, "nobody", status=1).errors


# ---- with kol train ----


def test_a_trained_candidate_is_compared_on_its_own_test_part(kol, made, tmp_path):
    """The rows are read again from the file that the metadata names, and split again by its seed."""
    rows, labels, accounts = trust_rows(2500, seed=3)
    path = write_csv(tmp_path / "rows.csv", rows, labels, accounts)
    add(kol, made, "weak")
    promote(kol, "1", "--force")
    kol("train", "trust", "--from", path, "--trees", 60, "--threads", 1, "--no-comparison",
        "--lightgbm-library", LIBRARY)
    shown = {row["name"]: row["value"] for row in kol("models", "show", "trust", "candidate", "--format", "json").json()}
    assert (shown["version"], shown["aliases"]) == ("2", "candidate")
    result = kol("models", "compare", "trust", "production", "candidate", "--format", "json")
    line = {(row["rows"], row["metric"]): row for row in result.json()}
    assert "the test part of trust/2" in result.errors and "rows.csv" in result.errors
    for part in ("full", "masked"):
        assert line[part, "auc"]["accounts"] == shown[f"metrics.{part}.accounts"]
        assert line[part, "auc"]["b"] == pytest.approx(shown[f"metrics.{part}.auc.value"], abs=1e-12)
    promoted = promote(kol, "candidate", status=None)
    better = line["all", "auc"]["low95"] > 0 and line["all", "calibration_error"]["b"] <= 0.025
    assert (promoted.status == 0) == better, promoted
    assert serving(kol) == ["2" if better else "1"]
    with path.open("a") as out:
        out.write(path.read_text().splitlines()[-1].replace("a02499", "other") + "\n")
    gone = kol("models", "compare", "trust", "1", "2", status=1).errors
    assert "rows.csv" in gone and "other rows" in gone and "--on" in gone


def test_versions_of_two_seeds_are_compared_on_rows_that_neither_learnt_from(kol, tmp_path):
    rows, labels, accounts = trust_rows(1600, seed=4)
    path = write_csv(tmp_path / "rows.csv", rows, labels, accounts)
    other = write_csv(tmp_path / "other.csv", *trust_rows(300, seed=5))
    for source, seed in ((path, 0), (path, 1), (other, 0)):
        kol("train", "trust", "--from", source, "--seed", seed, "--trees", 30, "--threads", 1,
            "--no-comparison", "--lightgbm-library", LIBRARY)
    compare = ("models", "compare", "trust")
    result = kol(*compare, "1", "2", "--format", "json")
    accounts = [f"twitter/{account}" for account in accounts]
    chosen = (split_parts(accounts, labels, 0) == "test") & (split_parts(accounts, labels, 1) == "test")
    line = next(row for row in result.json() if (row["rows"], row["metric"]) == ("all", "auc"))
    assert line["accounts"] == chosen.sum() / 2 < 0.1 * 1600
    for side, version in (("a", "1"), ("b", "2")):
        booster = lightgbm.Booster(model_file=kol.data / f"models/trust/{version}/model.txt")
        assert line[side] == pytest.approx(auc(booster.predict(rows[chosen]), labels[chosen]), abs=1e-12)
    assert "held-out rows: in the test part of trust/2 and of trust/1" in result.errors
    # What nobody knows to be held out is not called so.
    apart = kol(*compare, "2", "3").errors
    assert "rows: the test part of trust/3" in apart and "held-out rows" not in apart
    assert "not known to be held out: trust/2" in apart and "other rows" in apart and "rows.csv" in apart
    given = kol(*compare, "2", "3", "--on", path).errors
    assert "held-out rows" not in given and "not held out: trust/2 has learnt" in given
    assert "not known to be held out: trust/3" in given
    promote(kol, "1", "--force")
    assert "held-out rows: in the test part of trust/2 and of trust/1" in promote(kol, "2", status=None).errors
    # A split that is not known says nothing of what was held out.
    note = kol.data / "models/trust/1/version.json"
    metadata = kol.data / "models/trust/1/metadata.json"
    old = metadata.read_bytes()
    new = old.replace(b'"seed": 0', b'"sead": 0', 1)
    note.write_text(note.read_text().replace(xxhash.xxh3_128_hexdigest(old), xxhash.xxh3_128_hexdigest(new)))
    metadata.write_bytes(new)
    unknown = kol(*compare, "1", "2").errors
    assert "no seed of the split" in unknown and "held-out rows" not in unknown
