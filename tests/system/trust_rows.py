"""Training rows of the trust model made from the Twitter accounts in Python, by the formulas of the
specification: a second opinion on what the program computes, and rows for tests that have no lake."""

import csv
from datetime import datetime, timezone

import numpy as np

CRAWLED = datetime(2020, 8, 19, 10, 55, tzinfo=timezone.utc)  # event_time of the preset

NAMES = (
    "log_followers log_following log_posts log_favorites log_account_age "
    "followers_following_ratio_capped posts_per_day_capped engagement_rate activity_score "
    "profile_completeness followers_per_day posts_per_follower following_per_day bio_length_norm "
    "high_activity_flag low_engagement_high_posts default_profile_score suspicious_growth "
    "fake_follower_indicator followers_tier account_age_tier activity_tier "
    "verified_followers_interaction profile_engagement_interaction age_activity_interaction "
    "has_bio has_url has_profile_image verified"
).split()


def accounts(path):
    """The columns of twitter_human_bots.csv that matter, as arrays; NaN is unknown."""
    columns = {name: [] for name in "F G N V A L bio url img ver dp dpi label".split()}
    names = []
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            known = row["text_columns"] == "original"
            age = float(row["account_age_days"])
            if row["created_at"]:
                created = datetime.fromisoformat(row["created_at"]).replace(tzinfo=timezone.utc)
                age = (CRAWLED - created).days
            bio = row["description"]
            values = {
                "F": float(row["followers_count"]),
                "G": float(row["friends_count"]),
                "N": float(row["statuses_count"]),
                "V": float(row["favourites_count"]),
                "A": age,
                "L": len(bio) if known else np.nan,
                "bio": float(bool(bio)) if known else np.nan,
                "url": np.nan,
                "img": float(bool(row["profile_image_url"])) if known else np.nan,
                "ver": float(row["verified"] == "True"),
                "dp": float(row["default_profile"] == "True"),
                "dpi": float(row["default_profile_image"] == "True"),
                "label": float(row["account_type"] == "bot"),
            }
            for name, value in values.items():
                columns[name].append(value)
            names.append(row["screen_name"] or row["id"])
    return names, {name: np.array(values, dtype=float) for name, values in columns.items()}


def flag(truth, *operands):
    """1 or 0, unknown where an operand is."""
    out = np.where(truth, 1.0, 0.0)
    for operand in operands:
        out = np.where(np.isnan(operand), np.nan, out)
    return out


def tier(value, *bounds):
    return np.where(np.isnan(value), np.nan, sum((value >= bound) * 1.0 for bound in bounds))


def features(c):
    """The 29 features (rows x 29) of columns as accounts() gives them."""
    f, g, n, v, a = c["F"], c["G"], c["N"], c["V"], c["A"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(g == 0, np.where(np.isnan(f), np.nan, 0.0), f / g)
        pace = np.where(a <= 0, np.where(np.isnan(n), np.nan, 0.0), np.rint(100 * n / a) / 100)
    engagement = v / (n + 1)
    growth = f / (a + 1)
    capped = np.minimum(pace, 50)
    complete = (c["bio"] + c["url"] + c["img"]) / 3
    out = [
        *(np.log1p(x) for x in (f, g, n, v, a)),
        np.minimum(ratio, 10000),
        capped,
        engagement,
        capped * np.sqrt(engagement + 1),
        complete,
        growth,
        n / (f + 1),
        g / (a + 1),
        np.minimum(c["L"] / 200, 1),
        flag(pace > 20, pace),
        flag((engagement < 0.01) & (n > 1000), engagement, n),
        c["dp"] + c["dpi"],
        flag((growth > 100) & (a < 365), growth, a),
        flag((f > 10000) & (engagement < 0.1), f, engagement),
        tier(f, 1e3, 1e4, 1e5, 1e6),
        tier(a, 365, 730, 1825),
        tier(pace, 0.5, 2, 10),
        c["ver"] * np.log1p(f),
        complete * engagement,
        np.log1p(a) / (capped + 1),
        c["bio"],
        c["url"],
        c["img"],
        c["ver"],
    ]
    return np.column_stack(out)


def masked(c):
    """The same accounts as a platform shows them that tells neither age nor default flags."""
    unknown = np.full(len(c["F"]), np.nan)
    return {**c, "A": unknown, "dp": unknown, "dpi": unknown}


def write_training(path, source, keep=slice(None)):
    """Writes gold.ml_trust_training's columns for the accounts of `source` as CSV."""
    names, columns = accounts(source)
    names = names[keep]
    columns = {name: values[keep] for name, values in columns.items()}
    blocks = {"false": features(columns), "true": features(masked(columns))}
    with open(path, "w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        write.writerow(["platform", "kol_id", "masked", *NAMES, "untrustworthy"])
        for i, name in enumerate(names):
            for mask, block in blocks.items():
                cells = ["" if np.isnan(x) else repr(float(x)) for x in block[i]]
                write.writerow(["twitter", name, mask, *cells, int(columns["label"][i])])
