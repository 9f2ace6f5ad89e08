"""The features, training sets and scores of the lake, computed a second time with numpy.

Goes on from lake_reference.py: from the events and the tables made of them there. The formulas are
those of docs/scores.md, over whole columns; models answer through lightgbm's own predict(). Unknown
is None, NA or NaN. Nothing here is SQL, and nothing comes from the program but the order of features.
"""

import math
import re
from datetime import timedelta

import numpy as np
import pandas as pd
import xxhash

from lake_reference import (
    COUNTS,
    FIELDS,
    PLATFORMS,
    WEIGHTS,
    agg_platform_kpi,
    content_hourly,
    content_totals,
    content_trending,
    dim_content_type,
    dim_kol,
    dim_platform,
    dim_time,
    fact_kol_performance,
    frame,
    hour_of,
    kol_content,
    kol_daily,
    kol_engagement_metrics,
    kol_hourly_engagement,
    kol_labels,
    kol_profiles,
    kol_rankings,
    looks_of,
    platform_metrics,
    product_sold_timeseries,
    tier_of,
)
from model_cases import feature_names

KEYS = ["platform", "kol_id"]
MINUTE = timedelta(minutes=1)
TRUST_INPUTS = ("followers_count", "following_count", "post_count", "favorites_count", "account_age",
                "bio_length", "has_bio", "has_url", "has_profile_image", "verified",
                "default_profile", "default_profile_image")  # fmt: skip
SUCCESS_INPUTS = ("video_views", "video_likes", "video_comments", "video_shares",
                  "engagement_total", "engagement_rate", "est_clicks", "est_ctr", "price")  # fmt: skip
# In hundredths: rankings compare composites to the last bit.
WEIGHT = {"trending": 40, "success": 35, "trust": 25}


def real(series):
    """Numbers and flags as doubles, unknown as NaN."""
    return series.astype("object").map(
        lambda value: np.nan if pd.isna(value) else float(value)
    ).to_numpy(dtype="float64")  # fmt: skip


def known(value, *operands):
    """`value` where all operands are known."""
    return np.where(np.isnan(np.column_stack(operands)).any(axis=1), np.nan, value)


def tier(value, *bounds):
    return known(sum((value >= bound).astype(float) for bound in bounds), value)


# ---- models ----


class Model:
    """A LightGBM model with the name that the registry gave it."""

    def __init__(self, booster, path, version):
        text = path.read_text()
        infos = re.search(r"^feature_infos=(.*)$", text, re.M).group(1).split(" ")
        used = set(re.findall(r"\d+", " ".join(re.findall(r"^split_feature=(.*)$", text, re.M))))
        self.booster, self.version = booster, version
        self.ranges = [
            tuple(map(float, info[1:-1].split(":")))
            if info != "none" and str(number) in used
            else (-np.inf, np.inf)
            for number, info in enumerate(infos)
        ]

    def chance(self, features):
        """Of class 1; NaN where nothing is known."""
        if not len(features):
            return np.empty(0)
        chance = self.booster.predict(features)
        return np.where(np.isnan(features).all(axis=1), np.nan, chance)

    def outside(self, features):
        """For each row the numbers of the features beyond what training saw."""
        low, high = np.array(self.ranges).T
        return [list(np.nonzero((row < low) | (row > high))[0]) for row in features]


# ---- trust ----


def age_of(row):
    """Whole days at the account's newest profile event."""
    if not pd.isna(row.account_created_at):
        age = row.updated_at - row.account_created_at
        return age.days if age >= timedelta(0) else None
    if pd.isna(row.account_age_days):
        return None
    return int(row.account_age_days) + (row.updated_at - row.account_age_at).days


def trust_features(inputs):
    """A row of 29 features for each row of inputs."""
    followers, following, posts, favorites, age, length, bio, url, image, verified, plain, blank = (
        real(inputs[name]) for name in TRUST_INPUTS
    )
    with np.errstate(all="ignore"):
        ratio = np.where(following == 0, known(0, followers), followers / following)
        ppd = np.where(age <= 0, known(0, posts), np.rint(100 * posts / age) / 100)
        log_followers, log_age = np.log1p(followers), np.log1p(age)
        pace, rate = np.minimum(ppd, 50), favorites / (posts + 1)
        growth, complete = followers / (age + 1), (bio + url + image) / 3
        columns = {
            "log_followers": log_followers,
            "log_following": np.log1p(following),
            "log_posts": np.log1p(posts),
            "log_favorites": np.log1p(favorites),
            "log_account_age": log_age,
            "followers_following_ratio_capped": np.minimum(ratio, 10000),
            "posts_per_day_capped": pace,
            "engagement_rate": rate,
            "activity_score": pace * np.sqrt(rate + 1),
            "profile_completeness": complete,
            "followers_per_day": growth,
            "posts_per_follower": posts / (followers + 1),
            "following_per_day": following / (age + 1),
            "bio_length_norm": np.minimum(length / 200, 1),
            "high_activity_flag": known(ppd > 20, ppd),
            "low_engagement_high_posts": known((rate < 0.01) & (posts > 1000), rate, posts),
            "default_profile_score": plain + blank,
            "suspicious_growth": known((growth > 100) & (age < 365), growth, age),
            "fake_follower_indicator": known((followers > 10000) & (rate < 0.1), followers, rate),
            "followers_tier": tier(followers, 1e3, 1e4, 1e5, 1e6),
            "account_age_tier": tier(age, 365, 730, 1825),
            "activity_tier": tier(ppd, 0.5, 2, 10),
            "verified_followers_interaction": verified * log_followers,
            "profile_engagement_interaction": complete * rate,
            "age_activity_interaction": log_age / (pace + 1),
            "has_bio": bio,
            "has_url": url,
            "has_profile_image": image,
            "verified": verified,
        }
    assert list(columns) == feature_names("trust")
    return pd.DataFrame(columns)


def with_age(accounts):
    ages = pd.Series([age_of(row) for row in accounts.itertuples()], dtype="Int64")
    return accounts.assign(account_age=ages)


def kol_trust_features(accounts):
    inputs = with_age(accounts)
    raw = inputs[[*KEYS, *TRUST_INPUTS[:6], *TRUST_INPUTS[10:]]]
    return pd.concat([raw, trust_features(inputs), inputs[["label", "updated_at"]]], axis=1)


def ml_trust_training(labels):
    rows = with_age(labels.rename(columns={"labelled_at": "updated_at"}))
    parts = []
    for masked in (False, True):
        hidden = ["account_age", "default_profile", "default_profile_image"] if masked else []
        inputs = rows.assign(**dict.fromkeys(hidden, np.nan))
        part = pd.concat([rows[KEYS], trust_features(inputs)], axis=1)
        part.insert(2, "masked", masked)
        part["untrustworthy"] = (rows["label"] == "bot").astype(int)
        part["updated_at"] = rows["updated_at"]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


# ---- success ----


def success_features(inputs):
    """A row of 21 features for each row of inputs."""
    views, likes, comments, shares, total, rate, clicks, ctr, price = (
        real(inputs[name]) for name in SUCCESS_INPUTS
    )
    with np.errstate(all="ignore"):
        seen = np.where(views < 1, 1.0, views)
        total = np.where(np.isnan(total), likes + comments + shares, total)
        rate = np.where(np.isnan(rate), total / seen, rate)
        columns = {
            "video_views": views,
            "video_likes": likes,
            "video_comments": comments,
            "video_shares": shares,
            "engagement_total": total,
            "engagement_rate": rate,
            "est_clicks": clicks,
            "est_ctr": ctr,
            "likes_per_view": likes / seen,
            "comments_per_view": comments / seen,
            "shares_per_view": shares / seen,
            "log_views": np.log1p(views),
            "log_engagement": np.log1p(total),
            "log_clicks": np.log1p(clicks),
            "log_price": np.log1p(price),
            "price": price,
            "price_tier": tier(price, 5e4, 2e5, 5e5, 1e6),
            "engagement_x_ctr": total * ctr,
            "views_x_ctr": views * ctr,
            "is_viral_views": known(views > 500000, views),
            "is_high_engagement": known(rate > 0.05, rate),
        }
    assert list(columns) == feature_names("success")
    return pd.DataFrame(columns)


def owned_products(products, content):
    """Product events with the KOL that they belong to; prices of other currencies are unknown."""
    owner = dict(zip(zip(content["platform"], content["content_id"]), content["kol_id"]))
    rows = products.reset_index(drop=True)
    of_content = [owner.get(key) for key in zip(rows["platform"], rows["video_id"])]
    rows["kol_id"] = rows["kol_id"].where(
        rows["kol_id"].notna(), pd.Series(of_content, dtype="object")
    )
    rows["price"] = rows["price"].where(rows["currency"].isna() | (rows["currency"] == "VND"))
    rows["observed_at"] = rows["event_time"]
    return rows


def split_of(platform, product):
    place = xxhash.xxh3_64_intdigest(f"{platform}:{product}".encode()) % 100
    return "train" if place < 70 else "validation" if place < 85 else "test"


def ml_success_training(products):
    rows = products[products["product_id"].notna() & products["sold_count"].notna()]
    rows = rows.sort_values(["log_partition", "log_offset"]).groupby("event_id").tail(1)
    rows = rows[rows["kol_id"].notna()].reset_index(drop=True)
    out = pd.concat(
        [rows[[*KEYS, "product_id", "event_id", "observed_at"]], success_features(rows),
         rows[["sold_count"]]], axis=1
    )  # fmt: skip
    out["split"] = [split_of(*key) for key in zip(rows["platform"], rows["product_id"])]
    learnt = np.sort(out.loc[out["split"] == "train", "sold_count"].to_numpy(dtype="int64"))
    bound = learnt[int(np.ceil(0.75 * len(learnt))) - 1] if len(learnt) else np.inf
    out["high"] = [int(sold > bound) for sold in out["sold_count"]]
    return out


def success_rule(features):
    capped = [
        np.minimum(cap, features[name] / divisor * factor)
        for name, cap, divisor, factor in (
            ("video_views", 30, 50000, 30),
            ("engagement_rate", 30, 1, 300),
            ("est_ctr", 20, 1, 200),
            ("engagement_total", 20, 5000, 20),
        )
    ]
    return np.where(np.isnan(capped).all(axis=0), np.nan, np.nansum(capped, axis=0))


def label_of(score, *bounds):
    """The word of the first bound that the score reaches; the last word has none."""
    if pd.isna(score):
        return None
    return next((word for bound, word in bounds if score >= bound), None)


def success_label(score):
    return label_of(score, (50, "High"), (-np.inf, "Not-High"))


def product_success(products, model):
    rows = products[products["product_id"].notna() | products["video_id"].notna()]
    rows = rows[rows["kol_id"].notna()]
    by_content = rows["video_id"].where(rows["product_id"].isna())
    rows = rows.groupby(
        [rows["platform"], rows["kol_id"], rows["product_id"], by_content], dropna=False
    ).tail(1).reset_index(drop=True)  # fmt: skip
    features = success_features(rows)
    outside = [[]] * len(rows)
    if model:
        score = 100 * model.chance(features.to_numpy())
        outside = model.outside(features.to_numpy())
    else:
        score = success_rule(features)
    out = rows.rename(columns={"video_id": "content_id"})[
        [*KEYS, "product_id", "content_id", "event_id", "observed_at", *SUCCESS_INPUTS]
    ].copy()
    out["success_score"] = score
    out["success_label"] = [success_label(value) for value in score]
    out["method"] = "model" if model else "rule"
    out["model_version"] = model.version if model else None
    out["in_domain"] = [
        None if np.isnan(value) else not beyond for value, beyond in zip(score, outside)
    ]
    return out


# ---- trending ----


def engagement_of(videos, content):
    """Looks at contents of known KOLs, with the engagement that each of them gained."""
    looks = looks_of(videos).rename(columns={"video_id": "content_id"})
    looks = looks.merge(
        content[["platform", "content_id", "kol_id", "posted_at"]], on=["platform", "content_id"]
    )
    looks = looks[looks["kol_id"].notna()].copy()
    is_new = (looks["posted_at"] >= looks["event_time"].dt.floor("min") - 4 * MINUTE).fillna(False)
    looks["gained"] = sum(
        WEIGHTS[name]
        * (looks["gained_" + name].fillna(0) + looks["first_" + name].fillna(0).where(is_new, 0))
        for name in COUNTS
    ).astype("object")
    return looks


def kol_velocity(events, content, hourly_engagement):
    profiles, videos = events["profiles"], events["videos"]
    looks = engagement_of(videos, content)
    seen = [part if topic != "videos" else looks for topic, part in events.items()]
    seen = pd.concat([part[[*KEYS, "event_time"]] for part in seen if len(part)])
    moments = [part[["platform", "event_time"]] for part in events.values() if len(part)]
    newest_of = pd.concat(moments).groupby("platform")["event_time"].max()
    out = []
    for platform, newest in newest_of.items():
        as_of = newest.floor("min") + MINUTE
        last = seen[seen["platform"] == platform].groupby("kol_id")["event_time"].max()
        last = last[last > newest - timedelta(hours=24)]
        own = looks[looks["platform"] == platform]

        def gains(begin, end, own=own, as_of=as_of):
            """kol -> what it gained between so many minutes before as_of."""
            within = (own["event_time"] >= as_of - begin * MINUTE) & (
                own["event_time"] < as_of - end * MINUTE
            )
            part = own[within]
            return {kol: int(sum(rows)) for kol, rows in part.groupby("kol_id")["gained"]}

        now, before, closed = gains(5, 0), gains(10, 5), gains(6, 1)
        market = sum(closed.values()) / (5 * len(closed)) if closed else 0.0
        end = (as_of - 5 * MINUTE).floor("h")
        hours = hourly_engagement[
            (hourly_engagement["platform"] == platform)
            & (hourly_engagement["hour"] < end)
            & (hourly_engagement["hour"] >= end - timedelta(hours=168))
        ]
        base = hours.groupby("kol_id")["engagement"].sum().to_dict()
        out += [
            (platform, kol, as_of, now.get(kol, 0) / 5, before.get(kol, 0) / 5,
             float(base.get(kol, 0)) / 10080, market, at)
            for kol, at in last.items()
        ]  # fmt: skip
    return pd.DataFrame(
        out, columns=[*KEYS, "as_of", "velocity", "velocity_before", "baseline", "market", "seen_at"]
    )


def trending_of(row):
    momentum = (row.velocity - row.velocity_before) / max(row.velocity_before, 1)
    raw = (
        0.5 * row.velocity / max(row.baseline, 1)
        + 0.3 * row.velocity / max(row.market, 1)
        + 0.2 * (1 + momentum)
    )
    return 100 / (1 + math.exp(-0.8 * (raw - 2)))


# ---- together ----


def success_of(products, newest):
    """KOL -> (mean over its products of 90 days, its newest event of all kinds)."""
    out = {}
    for key, rows in products.groupby(KEYS):
        at = max(rows["observed_at"].max(), newest.get(key, rows["observed_at"].max()))
        scores = rows.loc[rows["observed_at"] > at - timedelta(days=90), "success_score"].dropna()
        if len(scores):
            whole = sum(int(np.floor(score * 1e9 + 0.5)) for score in scores)
            out[key] = whole / (1e9 * len(scores)), at
    return out


def trust_of(row, score, chance, beyond, model):
    if not model or np.isnan(score):
        return dict.fromkeys(
            ("trust_score", "trust_label", "risk_level", "confidence", "in_domain", "out_of_domain",
             "trust_model_version")
        )  # fmt: skip
    names = feature_names("trust")
    return {
        "trust_score": score,
        "trust_label": label_of(score, (80, "high"), (40, "medium"), (-np.inf, "low")),
        "risk_level": label_of(
            score, (80, "low"), (60, "moderate"), (40, "elevated"), (-np.inf, "high")
        ),
        "confidence": max(chance, 1 - chance),
        "in_domain": not beyond,
        "out_of_domain": [names[number] for number in beyond],
        "trust_model_version": model.version,
    }


def composite_of(parts):
    there = {name: value for name, value in parts.items() if value is not None}
    if not there:
        return None, []
    whole = sum(WEIGHT[name] for name in there)
    return sum(WEIGHT[name] * value for name, value in there.items()) / whole, list(there)


def kol_scores(features, metrics, products, velocity, model):
    """All columns but computed_at, which is of the clock."""
    matrix = features[feature_names("trust")].to_numpy(dtype="float64")
    chances = model.chance(matrix) if model else np.full(len(matrix), np.nan)
    beyond = model.outside(matrix) if model else [[]] * len(matrix)
    trust, newest = {}, {}
    for row, chance, outside in zip(features.itertuples(), chances, beyond):
        key = row.platform, row.kol_id
        trust[key] = trust_of(row, 100 * (1 - chance), chance, outside, model)
        newest[key] = row.updated_at
    for row in metrics.itertuples():
        key = row.platform, row.kol_id
        newest[key] = max(newest.get(key, row.updated_at), row.updated_at)
    success = success_of(products, newest)
    said = products.iloc[0] if len(products) else None
    trending = {(row.platform, row.kol_id): row for row in velocity.itertuples()}
    out = []
    for key, at in newest.items():
        mean, at = success.get(key, (None, at))
        moving = trending.get(key)
        now = None if moving is None else trending_of(moving)
        row = dict(zip(KEYS, key)) | trust.get(key, trust_of(None, np.nan, 0, [], None))
        sold = mean is not None
        row |= {
            "success_score": mean,
            "success_label": success_label(mean),
            "success_method": said["method"] if sold else None,
            "success_model_version": said["model_version"] if sold else None,
            "trending_score": now,
            "trending_label": label_of(
                now, (80, "Viral"), (60, "Hot"), (40, "Warm"), (25, "Normal"), (-np.inf, "Cold")
            ),
            "trending_as_of": None if now is None else moving.as_of,
        }
        row["composite_score"], row["composite_parts"] = composite_of(
            {"trending": now, "success": mean, "trust": row["trust_score"]}
        )
        out.append(row | {"event_time": at})
    return pd.DataFrame(out, dtype="object")


def percentiles(scores, groups):
    """100 times the share of each group that is not above; None where unknown or ungrouped."""
    out = [None] * len(scores)
    places = {}
    for place, (score, group) in enumerate(zip(scores, groups)):
        if score is not None and group is not None:
            places.setdefault(group, []).append(place)
    for of_group in places.values():
        values = np.sort([scores[place] for place in of_group])
        for place in of_group:
            not_above = np.searchsorted(values, scores[place], side="right")
            out[place] = 100 * (int(not_above) / len(values))
    return out


def kol_standing(scores, accounts, metrics):
    account = {(row.platform, row.kol_id): row for row in accounts.itertuples()}
    contents = {(row.platform, row.kol_id): row.content_count for row in metrics.itertuples()}
    keys = list(zip(scores["platform"], scores["kol_id"]))
    trust = [None if pd.isna(value) else value for value in scores["trust_score"]]
    tiers, categories = [], []
    for key in keys:
        row = account.get(key)
        size = None if row is None else tier_of(row.followers_count)
        tiers.append(None if size is None else (key[0], size))
        unknown = row is None or pd.isna(row.category)
        categories.append(None if unknown else (key[0], row.category))
    states = [
        "not_ready" if score is None
        else "low_confidence" if confidence < 0.6 or not inside
        else "ready"
        for score, confidence, inside in zip(trust, scores["confidence"], scores["in_domain"])
    ]  # fmt: skip
    return pd.DataFrame(
        {
            "platform": scores["platform"],
            "kol_id": scores["kol_id"],
            "percentile_platform": percentiles(trust, [key[0] for key in keys]),
            "percentile_tier": percentiles(trust, tiers),
            "percentile_category": percentiles(trust, categories),
            "sample_size": [contents.get(key, 0) for key in keys],
            "state": states,
        },
        dtype="object",
    )


# ---- what other tables say of scores ----


def ranked_scores(scores):
    """(platform, metric) -> (day, [(kol_id, value)]): the rankings that come of scores."""
    out = {}
    for platform, part in scores.groupby("platform"):
        day = part["event_time"].max().floor("D")
        for metric in ("trust", "trending", "success", "composite"):
            known_ones = part[part[metric + "_score"].notna()]
            if len(known_ones):
                values = list(zip(known_ones["kol_id"], known_ones[metric + "_score"]))
                out[platform, metric] = day, values
    return out


def trust_by_hour(profiles, hourly, scores):
    """(hour, platform) -> (average trust, share of the scored whose trust is low)."""
    said = {(row.platform, row.kol_id): row for row in scores.itertuples()}
    active = {
        (hour, platform, kol)
        for platform, kol, hour in [
            *zip(profiles["platform"], profiles["kol_id"], hour_of(profiles["event_time"])),
            *zip(hourly["platform"], hourly["kol_id"], hourly["hour"]),
        ]
        if not pd.isna(kol) and platform in PLATFORMS
    }
    sums = {}
    for hour, platform, kol in active:
        row = said.get((platform, kol))
        if row is not None and not pd.isna(row.trust_score):
            of = sums.setdefault((hour, platform), [0, 0, 0])
            of[0] += int(np.floor(row.trust_score * 1e6 + 0.5))
            of[1] += 1
            of[2] += row.trust_label == "low"
    return {key: (whole / (1e6 * n), low / n) for key, (whole, n, low) in sums.items()}


def score_tables(events, content, accounts, labels, metrics, hourly_engagement, models):
    """models: {"trust": Model, "success": Model}, each where there is one."""
    features = kol_trust_features(accounts)
    products = owned_products(events["products"], content)
    sold = product_success(products, models.get("success"))
    velocity = kol_velocity(events, content, hourly_engagement)
    scores = kol_scores(features, metrics, sold, velocity, models.get("trust"))
    return {
        "silver.kol_trust_features": features,
        "silver.kol_velocity": velocity,
        "gold.ml_trust_training": ml_trust_training(labels),
        "gold.ml_success_training": ml_success_training(products),
        "gold.product_success": sold,
        "gold.kol_scores": scores,
        "gold.kol_standing": kol_standing(scores, accounts, metrics),
    }


# ---- all of them ----


def all_tables(records, models=None):
    """Every table of silver and gold. records: topic ("profiles", ...) -> what frame() takes."""
    events = {topic: frame(records.get(topic, ()), topic) for topic in FIELDS}
    profiles, videos = events["profiles"], events["videos"]
    content = kol_content(
        videos, {topic: events[topic] for topic in ("comments", "products", "discovery")}
    )
    accounts, daily = kol_profiles(profiles), kol_daily(profiles)
    labels = kol_labels(profiles)
    hourly, metrics = content_hourly(videos, content), kol_engagement_metrics(content)
    kols = dim_kol(daily, content, accounts)
    facts = fact_kol_performance(daily, hourly, kols)
    by_hour = kol_hourly_engagement(hourly)
    scored = score_tables(events, content, accounts, labels, metrics, by_hour, models or {})
    scores = scored["gold.kol_scores"]
    trust = trust_by_hour(profiles, hourly, scores)
    return scored | {
        "silver.kol_profiles": accounts,
        "silver.kol_labels": labels,
        "silver.kol_content": content.drop(columns="acts"),
        "silver.kol_engagement_metrics": metrics,
        "silver.kol_daily": daily,
        "silver.content_hourly": hourly,
        "silver.kol_hourly_engagement": by_hour,
        "silver.content_totals": content_totals(content),
        "silver.product_sold_timeseries": product_sold_timeseries(events["products"]),
        "gold.dim_kol": kols,
        "gold.dim_platform": dim_platform(),
        "gold.dim_time": dim_time(daily, hourly),
        "gold.dim_content_type": dim_content_type(),
        "gold.fact_kol_performance": facts,
        "gold.agg_platform_kpi": agg_platform_kpi(daily, hourly, facts),
        "gold.kol_rankings": kol_rankings(daily, content, metrics, ranked_scores(scores)),
        "gold.content_trending": content_trending(hourly),
        "gold.platform_metrics": platform_metrics(profiles, hourly, trust),
    }
