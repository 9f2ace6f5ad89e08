"""kol features: the training rows as they are and as they were, and drift away from them."""

import csv
import importlib.util
import io
import json
import math
import re
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from lake_cases import corners, product, score_corners

TRUST = "gold.ml_trust_training"
SUCCESS = "gold.ml_success_training"
TABLES = {"trust": TRUST, "success": SUCCESS}
ORDER = {"trust": "platform, kol_id, masked", "success": "platform, coalesce(product_id, event_id), observed_at, event_id"}
THEN = "2025-06-23T00:00:00Z"


def give(kol, events):
    kol("import", "events", "-", stdin="\n".join(map(json.dumps, events)))
    kol("ingest")


def table(kol, model):
    select = f"SELECT * FROM {TABLES[model]} ORDER BY {ORDER[model]}"
    return kol("sql", select, "--format", "csv").text


def export(kol, model, *flags, **more):
    return kol("features", "export", model, *flags, **more).text


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def world(kol):
    """Accounts, contents and products at every corner, some of whose rows break rules."""
    broken = [
        {"event_type": "profile", "platform": "tiktok", "event_time": "2025-06-22T10:00:00Z",
         "username": "broken", "label": "bot", "followers_count": 2 * 10**15},
    ]  # fmt: skip
    give(kol, [*corners(), *score_corners(), *broken])
    kol("etl", TRUST, SUCCESS, "--no-online")
    return kol


def test_the_export_of_now_is_the_table(world):
    for model in TABLES:
        wanted = table(world, model)
        assert len(rows_of(wanted)) >= 4
        assert export(world, model) == wanted
        # Also where it is made again from bronze, and again with a time that nothing is behind.
        assert export(world, model, "--as-of", "2099-01-01") == wanted
    assert world("sql", "SELECT count(*) AS n FROM lake.quarantine", "--format", "json").json()[0]["n"]
    assert not any(row["kol_id"] == "broken" for row in rows_of(export(world, "trust")))
    assert not list((world.data / "lake/.staging").iterdir()), "files of an export were left"


LATER = [
    # A label that is taken back, one that is new, inputs that change, an account that is new.
    {"event_type": "profile", "platform": "tiktok", "username": "aged", "label": "bot",
     "event_time": "2025-06-23T00:00:01Z", "followers_count": 77, "bio": "now there is one"},
    {"event_type": "profile", "platform": "tiktok", "username": "born", "label": "human",
     "event_time": "2025-07-01T00:00:00Z"},
    {"event_type": "profile", "platform": "twitter", "username": "later", "label": "bot",
     "event_time": "2025-06-23T00:00:00.000001Z"},
    # Events of products move the bound between high and not.
    *(product(f"later-{number}", "06-24T00:00:00", username="shop-1", product_id=f"p{number}",
              sold_count=5000 + number) for number in range(15)),
]  # fmt: skip


@pytest.mark.release_only
def test_what_comes_later_changes_nothing_as_of_a_time(kol):
    known = [event for event in [*corners(), *score_corners()] if event["event_time"] <= THEN]
    give(kol, known)
    kol("etl", TRUST, SUCCESS, "--no-online")
    then = {model: table(kol, model) for model in TABLES}
    give(kol, LATER)
    kol("etl", TRUST, SUCCESS, "--no-online")
    for model in TABLES:
        assert export(kol, model) == table(kol, model) != then[model]
        assert export(kol, model, "--as-of", THEN) == then[model]
    # A zone is a way to write the same time; a day is its first moment.
    assert export(kol, "trust", "--as-of", "2025-06-23T07:00:00+07:00") == then["trust"]
    assert export(kol, "success", "--as-of", "2025-06-23") == then["success"]
    # And each of them did come in between.
    now = {row["kol_id"]: row for row in rows_of(export(kol, "trust")) if row["masked"] == "false"}
    before = {row["kol_id"]: row for row in rows_of(then["trust"]) if row["masked"] == "false"}
    assert (before["aged"]["untrustworthy"], now["aged"]["untrustworthy"]) == ("0", "1")
    assert set(now) - set(before) == {"born", "later"}
    sold = [{row["event_id"]: row for row in rows_of(text)} for text in (then["success"], export(kol, "success"))]
    assert set(sold[1]) - set(sold[0]) == {f"later-{n}" for n in range(15)}
    assert any(sold[0][name]["high"] == "1" and sold[1][name]["high"] == "0" for name in sold[0])


def test_a_row_is_that_of_a_lake_that_ends_at_its_label(world):
    """Made again without anything that came later, it is the same to the last digit."""
    rows = rows_of(export(world, "trust"))
    moments = {row["updated_at"] for row in rows}
    assert {row["updated_at"] for row in rows if row["kol_id"] == "outed"} == {"2025-06-21T09:00:00Z"}
    for moment in moments:
        then = rows_of(export(world, "trust", "--as-of", moment))
        own = [row for row in rows if row["updated_at"] == moment]
        assert own and all(row in then for row in own)
        assert all(row["updated_at"] <= moment for row in then)


def test_an_event_on_the_moment_is_known(kol):
    at = {"event_type": "profile", "platform": "tiktok", "username": "a", "label": "bot",
          "event_time": THEN}  # fmt: skip
    give(kol, [at])
    assert len(rows_of(export(kol, "trust", "--as-of", THEN))) == 2  # also without a run
    nothing = kol("features", "export", "trust", "--as-of", "2025-06-22T23:59:59.999999Z")
    assert rows_of(nothing.text) == [] and nothing.text.startswith("platform,kol_id,masked,")
    assert "0 rows of gold.ml_trust_training as of 2025-06-22T23:59:59.999999Z" in nothing.errors


def test_files(world, tmp_path):
    for model in TABLES:
        wanted = export(world, model)
        world("features", "export", model, "--output", tmp_path / "rows.csv")
        assert (tmp_path / "rows.csv").read_bytes().decode() == wanted
        world("features", "export", model, "--output", "rows.parquet", cwd=tmp_path)
        read = parquet.read_table(tmp_path / "rows.parquet")
        rows = rows_of(wanted)
        assert read.column_names == list(rows[0]) and read.num_rows == len(rows)
        for name in read.column_names:
            kind = str(read.schema.field(name).type)
            for cell, row in zip(read.column(name).to_pylist(), rows):
                if cell is None:
                    assert row[name] == ""
                elif kind in ("double", "int32", "int64"):
                    assert float(row[name]) == cell
                elif kind in ("string", "large_string"):
                    assert row[name] == cell
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["rows.csv", "rows.parquet"]
        as_json = world("features", "export", model, "--format", "json").json()
        assert [row["kol_id"] for row in as_json] == [row["kol_id"] for row in rows]


def test_no_rows_are_a_file_of_columns(world, tmp_path):
    """In both kinds of file, so that what reads the one may read the other."""
    for model in TABLES:
        for name in ("none.csv", "none.parquet"):
            done = world("features", "export", model, "--as-of", "2001-01-01", "--output", name, cwd=tmp_path)
            assert "0 rows of gold.ml_" in done.errors
        header = (tmp_path / "none.csv").read_text().strip().split(",")
        empty = parquet.read_table(tmp_path / "none.parquet")
        assert empty.column_names == header and empty.num_rows == 0
        world("features", "export", model, "--output", tmp_path / "some.parquet")
        some = parquet.read_schema(tmp_path / "some.parquet")
        assert [field.type for field in empty.schema] == [field.type for field in some]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "none.csv", "none.parquet", "some.parquet",
    ]  # fmt: skip


def test_what_is_no_export(world, tmp_path):
    def refused(*args, status):
        result = world("features", *args, status=status)
        assert result.out == b""
        return result.errors

    assert "ends in .parquet or .csv" in refused("export", "trust", "--output", "rows.txt", status=2)
    assert "expected a time" in refused("export", "trust", "--as-of", "yesterday", status=2)
    assert "none of 'trending'" in refused("export", "trending", status=2)
    assert "export or drift" in refused("import", "trust", status=2)
    assert "belong to kol features export" in refused("drift", "trust", "--as-of", THEN, status=2)
    assert "belongs to kol features drift" in refused("export", "trust", "--version", "1", status=2)
    gone = tmp_path / "none" / "rows.csv"
    assert "rows.csv: cannot be written" in refused("export", "trust", "--output", gone, status=1)
    refused("export", "trust", "--output", gone.with_suffix(".parquet"), status=1)
    world("features", "export", "trust", data=tmp_path / "nowhere", status=1)


# ---- from there to a model and back ----


@pytest.fixture(scope="session")
def library():
    spec = importlib.util.find_spec("lightgbm")
    path = spec and Path(spec.origin).parent / "lib/lib_lightgbm.so"
    if not path or not path.is_file():
        pytest.skip("no LightGBM here: tools/venv.sh installs it")
    return path


def drift_rows(kol, model, *flags):
    rows = kol("features", "drift", model, *flags, "--format", "json").json()
    return {row["feature"]: row for row in rows}


def test_a_model_of_an_export_and_drift_from_it(kol, library, tmp_path):
    kol("demo", "--kols", 1500, "--days", 2)
    kol("ingest")
    kol("etl", "--no-online")
    assert len(drift_rows(kol, "trust")) == 29  # beside the model that ships
    for model in TABLES:
        rows = tmp_path / f"{model}.csv"
        kol("features", "export", model, "--output", rows)
        kol("train", model, "--from", rows, "--trees", 3, "--no-comparison", "--promote",
            "--lightgbm-library", library, "--progress", "off")  # fmt: skip
    check_success_drift(kol, tmp_path)
    check_trust_drift(kol)


def test_two_models_do_not_share_a_series_of_metrics(kol, library, tmp_path):
    """engagement_rate is a feature of both, and means something else in each."""
    kol("demo", "--kols", 600, "--days", 2)
    kol("ingest")
    kol("etl", "--no-online")
    kol("train", "success", "--trees", 3, "--promote", "--lightgbm-library", library, "--progress", "off")
    series = {}
    for model in TABLES:
        file = tmp_path / f"{model}.prom"
        kol("features", "drift", model, "--metrics-file", file)
        series[model] = set(re.findall(r"^(kol_feature_\w+\{.*\}) ", file.read_text(), re.M))
    for model, found in series.items():
        assert f'kol_feature_drift{{feature="{model}/engagement_rate"}}' in found
    assert not series["trust"] & series["success"]


def psi(metadata, values):
    """By its definition, value by value."""

    def term(now, then):
        now, then = max(now, 1e-4), max(then, 1e-4)
        return (now - then) * math.log(now / then)

    known = [value for value in values if value is not None]
    found = [0] * len(metadata["bin_shares"])
    for value in known:
        found[sum(value > bound for bound in metadata["bins_up_to"])] += 1
    if not found:  # never known in training
        return term(1 - len(known) / len(values), 1) + term(len(known) / len(values), 0)
    return term(1 - len(known) / len(values), metadata["null_rate"]) + sum(
        term(count / len(values), share * (1 - metadata["null_rate"]))
        for count, share in zip(found, metadata["bin_shares"])
    )


def metadata_of(kol, model):
    metadata = json.loads((kol.data / f"models/{model}/1/metadata.json").read_text())
    for feature in metadata["features"]:
        assert feature["bins_up_to"] == sorted(set(feature["bins_up_to"]))
        if feature["bin_shares"]:
            assert len(feature["bin_shares"]) == len(feature["bins_up_to"]) + 1
            assert sum(feature["bin_shares"]) == pytest.approx(1, abs=1e-9)
            assert min(feature["bin_shares"]) > 0
        else:
            assert feature["null_rate"] == 1
    return metadata


def check_success_drift(kol, tmp_path):
    """The same in the file of metrics, and hardly any: the products are those that it learnt from."""
    metadata = metadata_of(kol, "success")
    said = tmp_path / "metrics.prom"
    rows = drift_rows(kol, "success", "--metrics-file", said)
    assert list(rows) == [feature["name"] for feature in metadata["features"]]
    found = re.findall(r'^kol_feature_(\w+)\{feature="success/(\w+)"\} (\S+)$', said.read_text(), re.M)
    values = {(metric, name): float(value) for metric, name, value in found}
    for name, row in rows.items():
        assert row["psi"] >= 0 and row["null_rate"] == pytest.approx(row["null_rate_training"], abs=0.1)
        assert values["drift", name] == pytest.approx(row["psi"], rel=1e-6)
        assert values["null_rate", name] == pytest.approx(row["null_rate"], rel=1e-6)
        assert values["outside", name] == pytest.approx(row["outside"] or 0, rel=1e-6)


def check_trust_drift(kol):
    rows = drift_rows(kol, "trust", "--version", "1")
    assert len(rows) == 29
    now = kol("sql", "SELECT * FROM silver.kol_trust_features", "--format", "json").json()
    for feature in metadata_of(kol, "trust")["features"]:
        name = feature["name"]
        row = rows[name]
        values = [None if of[name] is None else float(of[name]) for of in now]
        assert row["psi"] == pytest.approx(psi(feature, values), abs=1e-9)
        assert row["null_rate"] == pytest.approx(values.count(None) / len(values), abs=1e-12)
        assert row["verdict"] == ("stable" if row["psi"] < 0.1 else "moderate" if row["psi"] < 0.25 else "shifted")
        known = [value for value in values if value is not None]
        if known:
            outside = sum(not feature["min"] <= value <= feature["max"] for value in known)
            assert row["outside"] == pytest.approx(outside / len(known), abs=1e-12)
    # Accounts that are like nothing before: enormous, and without a post.
    strange = [
        {"event_type": "profile", "platform": "twitter", "username": f"big{i}", "followers_count": 10**13,
         "following_count": 10**13, "event_time": "2025-06-30T00:00:00Z"}
        for i in range(2000)
    ]  # fmt: skip
    give(kol, strange)
    kol("etl", "silver.kol_trust_features", "--no-online")
    after = drift_rows(kol, "trust")
    assert after["log_followers"]["verdict"] == "shifted" and after["log_followers"]["outside"] > 0.5
    assert after["log_posts"]["null_rate"] > 0.5 and after["log_posts"]["verdict"] == "shifted"
    assert after["log_followers"]["null_rate"] < 0.1


def test_drift_needs_what_it_compares_with(kol, shared_data, tmp_path):
    reference = shared_data.parent / "models/trust_lgbm_494_trees.txt"
    assert "no success model" in kol("features", "drift", "success", status=1).errors
    if not reference.is_file():
        pytest.skip(f"no {reference}")
    kol("models", "import", "trust", reference)
    other = kol("features", "drift", "trust", "--version", 1, status=1)
    assert "trust version 1: its metadata does not say how" in other.errors
