"""`kol eval` gives the bits of lib_lightgbm, in every way that this machine can evaluate trees."""

import gzip
import os
import re
from pathlib import Path

import lightgbm
import numpy
import pytest

from support import ROOT

ROWS = 10_000


@pytest.fixture(scope="module")
def shared_models():
    """Folder with the reference model and its expected scores: models/ beside the data sets; skips
    without."""
    data = Path(os.environ.get("KOL_SHARED_DATA") or ROOT.parent / "shared/data")
    folder = data.parent / "models"
    if not (folder / "trust_lgbm_494_trees.txt").is_file():
        pytest.skip(f"no reference model in {folder}: set KOL_SHARED_DATA to the folder beside it")
    return folder


@pytest.fixture(scope="module")
def golden(shared_models):
    """The cells of the file with the expected scores, header first, as text."""
    text = gzip.decompress((shared_models / "trust_lgbm_494_golden.csv.gz").read_bytes()).decode()
    return [line.split(",") for line in text.splitlines()]


@pytest.fixture
def paths(kol, tmp_path):
    """The ways to evaluate trees that this machine has, as the program itself names them."""
    model = tmp_path / "any.txt"
    model.write_text(train({"objective": "regression"}, trees=1, rows=200).model_to_string())
    said = kol("eval", model, "-", status=1, env={"GBDT_PATH": "no-such-way"}).errors
    names = re.search(r"this machine has (.*)", said).group(1).split(", ")
    assert names[0] == "portable"
    return names


def matrix(rows, seed=1):
    """Seven columns: a plain one, one with many zeros, one with many missing, two of categories
    (few, many), small integers, and a constant."""
    rng = numpy.random.default_rng(seed)
    plain, zeros, missing = rng.normal(size=(3, rows))
    zeros[rng.random(rows) < 0.4] = 0
    missing[rng.random(rows) < 0.3] = numpy.nan
    few = rng.integers(0, 5, rows).astype(float)
    many = rng.integers(0, 90, rows).astype(float)
    few[rng.random(rows) < 0.1] = numpy.nan
    steps = rng.integers(-3, 4, rows).astype(float)
    return numpy.column_stack([plain, zeros, missing, few, many, steps, numpy.ones(rows)])


def hard_rows(model, rows, seed=2):
    """Rows of that kind, a third of the cells replaced by what is easily taken wrongly: the model's
    own thresholds and their neighbours, zeros of all kinds, missing, infinite, foreign categories."""
    rng = numpy.random.default_rng(seed)
    thresholds = [
        float(number)
        for line in re.findall(r"^threshold=(.+)$", model.model_to_string(), re.M)
        for number in line.split()
    ] or [0.0]
    odd = [0.0, -0.0, 1e-35, -1e-35, 1.0000000180025095e-35, -1.0000000180025095e-35]
    odd += [1e-36, 5e-324, -5e-324, 2.2e-308, numpy.nan, numpy.inf, -numpy.inf, 1e300, -1e300]
    odd += [-0.5, -1, 0.999, 89, 90, 1000, 2**31 - 1, 2**31, 2**32 + 1, -(2**31)]
    pool = numpy.concatenate(
        [thresholds, numpy.nextafter(thresholds, numpy.inf), numpy.nextafter(thresholds, -numpy.inf)]
    )
    pool = numpy.concatenate([rng.choice(pool, 3000), numpy.repeat(odd, 100)])
    cells = matrix(rows, seed)
    where = rng.random(cells.shape) < 0.33
    cells[where] = rng.choice(pool, where.sum())
    return cells


def train(parameters, trees=30, rows=3000, categories=(), names="auto", **more):
    cells = matrix(rows)
    rng = numpy.random.default_rng(5)
    known = numpy.nan_to_num(cells)
    signal = known[:, 0] + known[:, 1] + (known[:, 3] % 2) + (known[:, 4] % 3) + known[:, 2]
    target = signal + rng.normal(size=rows) > 2
    if parameters["objective"] != "binary":
        target = signal
    settings = {"verbose": -1, "num_threads": 1, "seed": 1, "min_data_per_group": 10}
    data = lightgbm.Dataset(
        cells, target, feature_name=names, categorical_feature=list(categories) or "auto"
    )
    return lightgbm.train({**settings, **parameters}, data, trees, **more)


def csv_of(cells, header=None):
    """With every digit; missing is now empty, now nan."""
    lines = [",".join(header)] if header else []
    for number, row in enumerate(cells.tolist()):
        empty = "" if number % 2 else "nan"
        lines.append(",".join(empty if value != value else repr(value) for value in row))
    return "\n".join(lines) + "\n"


def bits(text):
    return [float(line).hex() for line in text.split()]


def hexes(values):
    return [float(value).hex() for value in values]


def assert_same(kol, tmp_path, paths, model, cells):
    """Raw scores bit by bit in every way; contributions to 1e-9 of the row's largest."""
    file, rows = tmp_path / "model.txt", tmp_path / "rows.csv"
    model.save_model(file)
    rows.write_text(csv_of(cells))
    expected = hexes(model.predict(cells, raw_score=True))
    for path in paths:
        printed = kol("eval", file, rows, env={"GBDT_PATH": path}).text
        assert bits(printed) == expected, path
    some = cells[::20]
    assert_explained(kol, file, csv_of(some), model.predict(some, pred_contrib=True))


def assert_explained(kol, file, text, contributions):
    out = kol("eval", file, "-", "--explain", "--format", "csv", stdin=text).text.splitlines()
    got = numpy.array([[float(cell) for cell in line.split(",")] for line in out[1:]])
    largest = numpy.abs(contributions).max(axis=1, keepdims=True)
    assert got.shape[1] == contributions.shape[1] + 1
    assert (numpy.abs(got[:, 1:] - contributions) <= 1e-9 * largest).all()
    sums = got[:, 1:].sum(axis=1)
    assert (numpy.abs(sums - got[:, 0]) <= 1e-9 * numpy.maximum(1, largest[:, 0])).all()


# ---- the reference model ----


def test_reference_rows_come_out_bit_by_bit_in_every_way(kol, paths, shared_models, golden):
    expected = [line[-2] for line in golden[1:]]
    file = shared_models / "trust_lgbm_494_golden.csv.gz"
    for path in paths:
        env = {"GBDT_PATH": path}
        printed = kol("eval", shared_models / "trust_lgbm_494_trees.txt", file, env=env).text
        assert printed.split() == expected, path
    answers = kol("eval", shared_models / "trust_lgbm_494_trees.txt", file, "--output", "answer")
    assert bits(answers.text) == hexes(line[-1] for line in golden[1:])


def test_the_order_and_number_of_rows_change_nothing(kol, paths, shared_models, golden):
    model = shared_models / "trust_lgbm_494_trees.txt"
    shuffled = golden[1:]
    numpy.random.default_rng(3).shuffle(shuffled)
    for count in (1, 63, 257, 1000):
        some = shuffled[:count]
        text = "\n".join(",".join(line) for line in [golden[0], *some])
        for path in paths:
            printed = kol("eval", model, "-", stdin=text, env={"GBDT_PATH": path}).text
            assert printed.split() == [line[-2] for line in some], (path, count)


def test_the_reference_model_is_explained_as_lightgbm_does(kol, shared_models, golden):
    file = shared_models / "trust_lgbm_494_trees.txt"
    cells = numpy.array([[float(cell) for cell in line[:-2]] for line in golden[1::160]])
    model = lightgbm.Booster(model_file=file)
    assert_explained(kol, file, csv_of(cells), model.predict(cells, pred_contrib=True))


# ---- models trained here ----

KINDS = {
    "missing_nan": {"objective": "binary"},
    "missing_zero": {"objective": "binary", "zero_as_missing": True},
    "missing_none": {"objective": "binary", "use_missing": False},
    "regression": {"objective": "regression", "num_leaves": 63},
    "deep": {"objective": "huber", "num_leaves": 400, "min_data_in_leaf": 1, "max_bin": 1000},
    "stumps": {"objective": "regression_l1", "num_leaves": 2},
    "byte_ranks": {"objective": "binary", "max_depth": 6, "max_bin": 63},
    "constant": {"objective": "regression", "min_data_in_leaf": 5000},
    "dart": {"objective": "fair", "boosting": "dart"},
    "linear_zeros": {"objective": "quantile", "zero_as_missing": True, "max_depth": 4},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_gives_what_lightgbm_gives(kol, tmp_path, paths, kind):
    model = train(KINDS[kind], trees=8 if kind == "deep" else 30)
    assert_same(kol, tmp_path, paths, model, hard_rows(model, ROWS))


@pytest.mark.parametrize("kind", ["missing_nan", "missing_zero", "missing_none", "dart"])
def test_splits_by_category_give_what_lightgbm_gives(kol, tmp_path, paths, kind):
    model = train(KINDS[kind], trees=20, categories=(3, 4))
    assert re.search(r"^num_cat=[1-9]", model.model_to_string(), re.M), "no split by category"
    assert_same(kol, tmp_path, paths, model, hard_rows(model, ROWS))


def test_a_split_of_the_missing_from_all_numbers_has_an_infinite_threshold(kol, tmp_path, paths):
    cells = matrix(2000)
    data = lightgbm.Dataset(cells, numpy.isnan(cells[:, 2]) + 0.1 * cells[:, 0])
    settings = {"objective": "regression", "verbose": -1, "num_threads": 1, "max_depth": 4}
    model = lightgbm.train(settings, data, 20)
    assert re.search(r"^threshold=.*\binf", model.model_to_string(), re.M)
    assert_same(kol, tmp_path, paths, model, hard_rows(model, 2000))


def test_each_missing_type_is_among_them():
    seen = set()
    for kind in ("missing_nan", "missing_zero", "missing_none"):
        for line in re.findall(r"^decision_type=(.+)$", train(KINDS[kind]).model_to_string(), re.M):
            seen |= {int(number) >> 2 & 3 for number in line.split()}
    assert seen == {0, 1, 2}


def test_a_random_forest_gives_the_mean_of_its_trees(kol, tmp_path, paths):
    settings = {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
    model = train(settings, trees=25)
    cells, file = hard_rows(model, ROWS), tmp_path / "forest.txt"
    model.save_model(file)
    text = csv_of(cells)
    mean = hexes(model.predict(cells, raw_score=True) / 25)  # its raw_score is their sum
    answers = hexes(model.predict(cells))
    for path in paths:
        assert bits(kol("eval", file, "-", stdin=text, env={"GBDT_PATH": path}).text) == mean
    assert bits(kol("eval", file, "-", "--output", "answer", stdin=text).text) == answers
    some = cells[::20]
    assert_explained(kol, file, csv_of(some), model.predict(some, pred_contrib=True) / 25)


def test_an_early_stopped_model_is_read_as_it_was_saved(kol, tmp_path, paths):
    cells = matrix(500, seed=9)
    check = lightgbm.Dataset(cells, numpy.random.default_rng(1).random(500) > 0.5)
    model = train(
        {"objective": "binary", "metric": "auc", "feature_pre_filter": False},
        trees=60,
        valid_sets=[check],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )
    assert 0 < model.best_iteration < 60
    assert_same(kol, tmp_path, paths, model, hard_rows(model, 2000))


def test_a_v3_file_gives_the_same(kol, tmp_path):
    model = train(KINDS["missing_nan"], categories=(3, 4))
    cells = hard_rows(model, 1000)
    file = tmp_path / "v3.txt"
    file.write_text(model.model_to_string().replace("version=v4", "version=v3"))
    old = lightgbm.Booster(model_file=file)
    printed = kol("eval", file, "-", stdin=csv_of(cells)).text
    assert bits(printed) == hexes(old.predict(cells, raw_score=True))


# ---- columns and cells ----


def test_columns_are_found_by_name_by_number_or_by_place(kol, tmp_path):
    names = ["plain", "zeros", "missing", "few", "many", "steps", "same"]
    model = train({"objective": "regression"}, names=names)
    file = tmp_path / "named.txt"
    model.save_model(file)
    cells = matrix(300, seed=4)
    expected = hexes(model.predict(cells, raw_score=True))
    wide = numpy.column_stack([numpy.full(300, 7.0), cells[:, ::-1]])
    for text in (
        csv_of(cells),
        csv_of(cells, names),
        csv_of(cells, [f"f{i}" for i in range(7)]),
        csv_of(wide, ["extra", *reversed(names)]),
    ):
        assert bits(kol("eval", file, "-", stdin=text).text) == expected


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "holds no row"),
        ("1,2\n", "2 columns, but the model has 7 features"),
        ("a,b\n1,2\n", "no column is called Column_0"),
        ("f0,f1,f2,f3,f4,f5,f6,f6\n", "two columns are called f6"),
        ("1,2,3,4,5,6,7\n1,2,3,4,5,6,x\n", 'line 2, column 7: "x" is no number'),
        ("1,2,3,4,5,6,7\n1,2,3\n", "line 2:"),
        ("1,2,3,4,5,6,0x10\n", "no column is called Column_0"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(kol, tmp_path, text, said):
    file = tmp_path / "model.txt"
    train({"objective": "regression"}, trees=2).save_model(file)
    assert said in kol("eval", file, "-", stdin=text, status=1).errors


def test_a_wrong_flag_is_a_usage_error(kol, tmp_path):
    file = tmp_path / "model.txt"
    train({"objective": "regression"}, trees=1, rows=200).save_model(file)
    assert "raw or answer" in kol("eval", file, "-", "--output", "log", status=2).errors
    assert "no-such" in kol("eval", tmp_path / "no-such", "-", status=1).errors


# ---- broken models ----


def test_what_lightgbm_does_and_kol_does_not_is_refused_by_name(kol, tmp_path):
    three = {"objective": "multiclass", "num_class": 3}
    cells, target = matrix(600), numpy.arange(600) % 3
    settings = {"verbose": -1, "num_threads": 1}
    data = lightgbm.Dataset(cells, target)
    file = tmp_path / "model.txt"
    lightgbm.train({**settings, **three}, data, 2).save_model(file)
    assert "num_class=3" in kol("eval", file, "-", status=1).errors
    train({"objective": "regression", "linear_tree": True}, trees=2).save_model(file)
    assert "linear_tree" in kol("eval", file, "-", status=1).errors
    data = lightgbm.Dataset(cells, target)
    lightgbm.train({**settings, "objective": "poisson"}, data, 2).save_model(file)
    assert '"poisson"' in kol("eval", file, "-", status=1).errors


def test_a_mutated_or_cut_model_ends_in_one_clear_line(kol, tmp_path):
    whole = train(KINDS["missing_nan"], trees=4, categories=(3, 4)).model_to_string().encode()
    whole = whole[: whole.index(b"end of trees") + len(b"end of trees")]
    rng = numpy.random.default_rng(8)
    file = tmp_path / "model.txt"
    row = csv_of(matrix(3))
    refused = 0
    for turn in range(60):
        if turn % 3 == 0:
            text = whole[: rng.integers(0, len(whole))]
        else:
            text = bytearray(whole)
            for _ in range(rng.integers(1, 4)):
                text[rng.integers(0, len(text))] = rng.integers(0, 256)
        file.write_bytes(text)
        done = kol("eval", file, "-", "--explain", stdin=row, status=None)
        assert done.status in (0, 1), done
        if done.status == 1:
            refused += 1
            assert done.out == b"" and done.errors.count("\n") == 1, done
            assert done.errors.startswith("kol eval: "), done
        else:
            assert turn % 3, "a cut file was taken"
    assert refused > 30
