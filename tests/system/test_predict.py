"""kol predict and kol explain: the scorers by hand, on raw inputs."""

import csv
import json
import math
import os
import subprocess
from pathlib import Path

import pytest

import trust_rows
from support import environment, program

TRUST = {
    "followers_count": 1000,
    "following_count": 2000,
    "post_count": 5,
    "favorites_count": 100,
    "account_age_days": 30,
    "bio_length": 0,
    "has_bio": False,
    "has_url": False,
    "has_profile_image": True,
    "verified": False,
    "default_profile": False,
    "default_profile_image": False,
}


@pytest.fixture(scope="session")
def models(shared_data):
    folder = shared_data.parent / "models"
    if not (folder / "trust_lgbm_494_trees.txt").is_file():
        pytest.skip(f"no reference model in {folder}")
    return folder


def reference(models):
    return ("--model", models / "trust_lgbm_494_trees.txt")


def expected_rows(models):
    """The rows of the expected file as inputs by name, with the raw score of the reference model."""
    with (models / "trust_features_expected.csv").open() as file:
        head, *rows = csv.reader(file)
    for row in rows:
        inputs = {name: float(cell) if cell else None for name, cell in zip(head[:12], row)}
        yield inputs, float(row[-1])


def test_trust_of_the_reference_rows(kol, models):
    rows = list(expected_rows(models))
    lines = "\n".join(json.dumps(inputs) for inputs, _ in rows)
    answers = kol("predict", "trust", *reference(models), "--format", "json", stdin=lines).json()
    full = kol("predict", "trust", *reference(models), "--format", "csv", stdin=lines).text
    unrounded = [row["trust_score"] for row in csv.DictReader(full.splitlines())]
    assert len(answers) == len(unrounded) == len(rows)
    for (inputs, raw), answer, score in zip(rows, answers, unrounded):
        if all(value is None for value in inputs.values()):
            assert answer["trust_score"] is None and score == ""
            assert answer["trust_label"] == answer["risk_level"] == "unknown"
            assert answer["confidence"] == 0 and answer["is_trustworthy"] is None
            continue
        assert answer["raw_score"] == raw
        assert float(score) == 100 * (1 - answer["probability"])
        assert answer["trust_score"] == round(float(score), 2)


def test_one_row_says_what_the_api_says(kol, models):
    answer = kol(
        "predict", "trust", *reference(models), "--format", "json",
        "--json", json.dumps(TRUST | {"kol_id": "an.nhiên"}),
    ).json()[0]  # fmt: skip
    assert answer.pop("timestamp").endswith("Z")
    assert answer.pop("probability") == pytest.approx(0.70093205533970282, abs=1e-15)
    assert answer.pop("raw_score") == pytest.approx(0.85174, abs=1e-5)
    assert answer.pop("confidence") == pytest.approx(0.70093, abs=1e-5)
    assert answer == {
        "kol_id": "an.nhiên",
        "trust_score": 29.91,
        "trust_label": "low",
        "is_trustworthy": False,
        "risk_level": "high",
        "in_domain": False,
        "out_of_domain": ["log_account_age"],
        "prediction_source": "model",
        "model_version": "file/trust_lgbm_494_trees.txt",
    }


def test_many_rows_are_what_they_are_alone(kol, models):
    """More than a block of them, and each the same double as by itself."""
    rows = [TRUST | {"kol_id": str(i), "followers_count": 7 * i * i} for i in range(600)]
    lines = "\n".join(map(json.dumps, rows))
    answers = kol("predict", "trust", *reference(models), "--format", "json", stdin=lines).json()
    assert [row["kol_id"] for row in answers] == [row["kol_id"] for row in rows]
    for i in (0, 255, 256, 599):
        alone = kol(
            "predict", "trust", *reference(models), "--format", "json", "--json", json.dumps(rows[i])
        ).json()[0]
        assert alone["raw_score"] == answers[i]["raw_score"]


@pytest.mark.parametrize(
    "given, says",
    [
        ({"folowers_count": 1}, "did you mean 'followers_count'?"),
        ({"xyz": 1}, "trust asks for no 'xyz'"),
        ({"followers_count": "1000"}, "followers_count: expected a number or null, got text"),
        ({"followers_count": -1}, "followers_count: expected a number that is not below 0"),
        ({"verified": "yes"}, "verified: expected true, false or null, got text"),
        ({"verified": 2}, "verified: expected true, false or null, got a number"),
        ({"kol_id": 7}, "kol_id: expected text"),
        ({"kol_id": "x" * 300}, "kol_id: longer than"),
    ],
)
def test_a_bad_input_is_named(kol, models, given, says):
    # The reference model is there so that nothing but the input can be wrong.
    bad = kol(
        "predict", "trust", *reference(models), "--json", json.dumps(TRUST | given), status=1
    )
    assert says in bad.errors and bad.out == b""


def test_required_names_and_bad_json(kol, models):
    missing = {name: value for name, value in TRUST.items() if name != "account_age_days"}
    bad = kol("predict", "trust", *reference(models), "--json", json.dumps(missing), status=1)
    assert "account_age_days is missing: give null where it is unknown" in bad.errors
    for text in ("", "[1]", "3", "{", '{"verified":1,"verified":0}', '{"post_count":1e999}'):
        kol("predict", "trust", *reference(models), f"--json={text}", status=1)


def test_rows_before_a_bad_line_are_answered(kol):
    good = '{"velocity":100,"baseline":20,"market":30,"momentum":0.8}\n'
    result = kol("predict", "trending", "--format", "json", stdin=good * 3 + "{}\n", status=1)
    assert len(result.json()) == 3
    assert "line 4: velocity is missing" in result.errors
    long = good.replace("}", " " * (1 << 16) + "}")
    result = kol("predict", "trending", "--format", "json", stdin=good + long + good, status=1)
    assert len(result.json()) == 1
    assert "line 2: longer than 65536 bytes" in result.errors


def test_trending_of_the_checked_values(kol):
    rows = [
        (100, 20, 30, 0.8, 81.58, "Viral"),
        (2, 1, 10, 0, 35.62, "Normal"),
        (10, 10, 10, 0, 31.00, "Normal"),
        (30, 10, 10, 0, 61.77, "Hot"),
        (100, 10, 10, 0, 99.30, "Viral"),
        (5, 20, 10, 0, 22.79, "Cold"),
    ]
    names = ("velocity", "baseline", "market", "momentum")
    lines = "\n".join(json.dumps(dict(zip(names, row))) for row in rows)
    answers = kol("predict", "trending", "--format", "json", stdin=lines).json()
    assert [(row["score"], row["label"]) for row in answers] == [row[4:] for row in rows]
    assert all(row["method"] == "formula" for row in answers)


def test_success_without_a_model_is_by_the_rule(kol):
    given = {"video_views": 10000, "est_ctr": 0.02, "price": 50000}
    answer = kol(
        "predict", "success", "--format", "json", "--json", json.dumps(given)
    ).json()[0]
    assert (answer["score"], answer["label"], answer["method"]) == (10, "Not-High", "rule")
    assert answer["missing"] == ["engagement_rate", "engagement_total"]
    nothing = kol("predict", "success", "--format", "json", "--json", "{}").json()[0]
    assert nothing["score"] is None and nothing["label"] == "unknown"


def test_a_score_or_a_model_that_is_not_there(kol, tmp_path):
    assert "did you mean 'trending'" in kol("predict", "trendin", "--json", "{}", status=2).errors
    bad = kol("predict", "trust", "--model", tmp_path / "none.txt", "--json", "{}", status=1)
    assert bad.errors.count("none.txt") == 1
    other = tmp_path / "other.txt"
    other.write_text("tree\nversion=v9\n")
    bad = kol("predict", "trust", "--model", other, "--json", json.dumps(TRUST), status=1)
    assert bad.errors.count("other.txt") == 1


def test_explanations_sum_to_the_score(kol, models):
    for inputs, raw in list(expected_rows(models))[1::3]:
        given = json.dumps(inputs)
        if all(value is None for value in inputs.values()):
            refused = kol("explain", *reference(models), "--json", given, status=1)
            assert "nothing is known" in refused.errors
            continue
        base, *parts, score = kol(
            "explain", *reference(models), "--json", given, "--format", "json"
        ).json()
        assert base["feature"] == "base" and score["feature"] == "score" and len(parts) == 29
        assert score["phi"] == raw
        assert math.fsum(row["points"] for row in [base, *parts]) == pytest.approx(
            score["points"], abs=1e-6
        )
        weights = [abs(row["points"]) for row in parts]
        assert weights == sorted(weights, reverse=True)
        assert all(len(row["reason"]) > 10 and "nan" not in row["reason"] for row in parts)


@pytest.fixture(scope="session")
def explain_lines():
    """explain_lines ($KOL_EXPLAIN_LINES, else that of the program's build folder)."""
    given = os.environ.get("KOL_EXPLAIN_LINES")
    path = Path(given or program().parents[1] / "tests/tools/explain_lines")
    if not path.is_file():
        pytest.skip(f"no {path}: it is built with the tests")
    return path


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_points_of_every_account_sum_to_its_score(kol, models, shared_data, explain_lines):
    """Of all Twitter accounts, and the score is the double that the scorer gives."""
    _, known = trust_rows.accounts(shared_data / "twitter_human_bots.csv")
    columns = [known[name].tolist() for name in "F G N V A L bio url img ver dp dpi".split()]
    rows = [[None if math.isnan(cell) else cell for cell in row] for row in zip(*columns)]
    text = "".join(" ".join("-" if cell is None else repr(cell) for cell in row) + "\n" for row in rows)
    done = subprocess.run(
        [explain_lines, reference(models)[1]], input=text, capture_output=True, text=True,
        env=environment(), check=True, timeout=1500,
    )  # fmt: skip
    lines = "".join(json.dumps(dict(zip(TRUST, row))) + "\n" for row in rows)
    answers = kol("predict", "trust", *reference(models), "--format", "csv", stdin=lines, timeout=600).text
    scores = [float(row["trust_score"]) for row in csv.DictReader(answers.splitlines())]
    explained = done.stdout.splitlines()
    assert len(explained) == len(scores) == len(rows) == 33694
    for line, wanted in zip(explained, scores):
        score, base, *points = map(float, line.split())
        assert score == wanted and len(points) == 29
        assert abs(math.fsum([base, *points]) - score) < 1e-6, line


def test_explanation_in_words(kol, models):
    given = json.dumps(TRUST | {"followers_count": 200, "account_age_days": None})
    reasons = {
        row["feature"]: row["reason"]
        for row in kol(
            "explain", *reference(models), "--json", given, "--format", "json"
        ).json()
    }
    ratio = reasons["followers_following_ratio_capped"]
    assert ratio.startswith("follows 10 times more accounts than follow it: -")
    assert reasons["log_account_age"].startswith("age unknown: ")
    assert reasons["has_url"].startswith("has no link in the profile: ")
    assert reasons["score"].endswith(": medium")


def test_what_cannot_be_explained(kol):
    assert "--json" in kol("explain", status=2).errors
    assert "trust or success" in kol("explain", "--score", "x", "--json", "{}", status=2).errors
    rule = kol("explain", "--score", "success", "--json", '{"video_views":1}', status=1)
    assert "the rule explains itself" in rule.errors


# ---- accounts of the lake ----

INPUTS = (
    "kol_id, followers_count, following_count, post_count, favorites_count, "
    "account_age AS account_age_days, bio_length, has_bio, has_url, has_profile_image, verified, "
    "default_profile, default_profile_image"
)


def test_accounts_of_the_lake(kol, models):
    """A small made-up world, scored by the reference model; made once for both looks at it."""
    kol("demo", "--kols", 150, "--days", 2)
    kol("ingest")
    kol("models", "import", "trust", models / "trust_lgbm_494_trees.txt")
    kol("models", "promote", "trust", "1", "--force")
    kol("etl", "--no-online")
    check_that_batch_and_command_agree(kol)
    check_explanations(kol)


def rows_of(kol, select):
    return kol("sql", select, "--format", "json").json()


def check_that_batch_and_command_agree(scored):
    """Batch and serving agree for every account: also where there is no score."""
    inputs = rows_of(scored, f"SELECT {INPUTS} FROM silver.kol_trust_features ORDER BY platform, kol_id")
    tables = rows_of(
        scored, "SELECT kol_id, trust_score FROM gold.kol_scores ORDER BY platform, kol_id"
    )
    lines = "\n".join(map(json.dumps, inputs))
    answers = csv.DictReader(scored("predict", "trust", "--format", "csv", stdin=lines).text.splitlines())
    predicted = [
        (row["kol_id"], float(row["trust_score"]) if row["trust_score"] else None)
        for row in answers
    ]
    assert len(tables) == 150
    assert predicted == [(row["kol_id"], row["trust_score"]) for row in tables]


def check_explanations(scored):
    chosen = rows_of(
        scored,
        "SELECT platform, kol_id, trust_score FROM gold.kol_scores "
        "WHERE trust_score IS NOT NULL ORDER BY kol_id LIMIT 3",
    )
    for row in chosen:
        name = f"{row['platform']}:{row['kol_id']}"
        base, *parts, score = scored("explain", name, "--format", "json").json()
        assert score["points"] == row["trust_score"]
        assert "by trust/1:" in score["reason"]
        assert math.fsum(part["points"] for part in [base, *parts]) == pytest.approx(
            score["points"], abs=1e-6
        )
    assert "there is no KOL nobody" in scored("explain", "nobody", status=1).errors
    both = scored("explain", chosen[0]["kol_id"], "--json", "{}", status=2)
    assert "give a KOL, or the inputs" in both.errors


def test_an_account_without_a_lake(kol):
    assert kol("explain", "anybody", status=1).errors.startswith("kol explain: ")
