"""Training rows and LightGBM models for the tests of the registry: small, seeded, quickly made."""

import csv
import re

import lightgbm
import numpy
import xxhash

from support import ROOT


def feature_names(score):
    """The features of "trust" or "success" in the order of a model."""
    text = (ROOT / "src/score/features.def").read_text()
    return re.findall(rf'FEATURE\({score.upper()}, \w+,\s+"(\w+)"', text)


def trust_rows(accounts, seed=0):
    """features (2 rows an account: as it is, and masked), labels, names of accounts."""
    random = numpy.random.default_rng(seed)
    names = feature_names("trust")
    full = random.normal(size=(accounts, len(names)))
    chance = 1 / (1 + numpy.exp(-(2.0 * full[:, 0] - 1.5 * full[:, 4] + full[:, 7])))
    label = (random.random(accounts) < chance).astype(int)
    masked = full.copy()
    masked[:, [names.index("log_account_age"), names.index("default_profile_score")]] = numpy.nan
    rows = numpy.empty((2 * accounts, len(names)))
    rows[0::2], rows[1::2] = full, masked
    return rows, numpy.repeat(label, 2), [f"a{n:05}" for n in numpy.repeat(range(accounts), 2)]


def write_csv(path, rows, labels, accounts):
    """The rows as `kol features export trust` writes them."""
    with path.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["platform", "kol_id", "masked", *feature_names("trust"), "untrustworthy"])
        for number, (row, label, account) in enumerate(zip(rows, labels, accounts)):
            cells = ["" if numpy.isnan(value) else repr(float(value)) for value in row]
            writer.writerow(["twitter", account, "true" if number % 2 else "false", *cells, label])
    return path


def train(path, rows, labels, names, trees=30, **parameters):
    """Trains and saves a model; gives it as LightGBM knows it."""
    options = {
        "objective": "binary",
        "num_leaves": 15,
        "learning_rate": 0.2,
        "verbosity": -1,
        "num_threads": 1,
        "seed": 1,
        "deterministic": True,
        "force_row_wise": True,
        **parameters,
    }
    data = lightgbm.Dataset(rows, labels, feature_name=list(names))
    booster = lightgbm.train(options, data, num_boost_round=trees)
    booster.save_model(path)
    return booster


def auc(scores, labels):
    """Area under the ROC curve by ranks, ties counted by half."""
    values, places, counts = numpy.unique(scores, return_inverse=True, return_counts=True)
    ranks = (numpy.cumsum(counts) - (counts - 1) / 2)[places]
    ones = labels == 1
    pairs = ones.sum() * (~ones).sum()
    return (ranks[ones].sum() - ones.sum() * (ones.sum() + 1) / 2) / pairs


def split_parts(accounts, labels, seed):
    """The documented split, again: the part of each row. accounts: "platform/kol_id"."""
    part = {}
    for label in (0, 1):
        mine = sorted(
            {name for name, its in zip(accounts, labels) if its == label},
            key=lambda name: xxhash.xxh3_64_intdigest(f"{seed}/{name}".encode()),
        )
        count = (len(mine) * 15 + 50) // 100
        for n, name in enumerate(mine):
            part[name] = "test" if n < count else "validation" if n < 2 * count else "train"
    return numpy.array([part[name] for name in accounts])
