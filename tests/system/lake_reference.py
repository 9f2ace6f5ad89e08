"""The tables of the lake, computed a second time with pandas from the events of the log.

Written from the meaning of each table (docs/lake.md), not from its SELECT, so that the two can only
agree if both are right; what rests on features and scores is in lake_scores.py. Nothing here is SQL. Each table is a DataFrame with the declared columns in
their order; unknown is None, NA or NaN.
"""

import re
from datetime import timedelta

import pandas as pd

COUNTS = ("views", "likes", "comments", "shares")
WEIGHTS = {"views": 1, "likes": 10, "comments": 20, "shares": 30}
PLATFORMS = {
    "tiktok": "TikTok",
    "twitter": "Twitter",
    "youtube": "YouTube",
    "instagram": "Instagram",
}
CONTENT_TYPES = ("none", "video", "short", "live", "image", "post", "other", "unknown")
COMMON = {"event_id": "text", "event_time": "time", "platform": "text", "username": "text",
          "user_id": "text"}  # fmt: skip
FIELDS = {
    "profiles": {
        "nickname": "text", "bio": "text", "avatar_url": "text", "profile_url": "text",
        "verified": "flag", "followers_count": "count", "following_count": "count",
        "post_count": "count", "favorites_count": "count", "total_views": "count",
        "account_created_at": "time", "default_profile": "flag", "default_profile_image": "flag",
        "has_bio": "flag", "has_url": "flag", "has_profile_image": "flag", "bio_length": "count",
        "account_age_days": "count", "category": "text", "lang": "text", "location": "text",
        "label": "text",
    },
    "videos": {
        "video_id": "text", "video_url": "text", "title": "text", "caption": "text",
        "description": "text", "content_type": "text", "tags": "text", "posted_at": "time",
        "view_count": "count", "like_count": "count", "comment_count": "count",
        "share_count": "count", "duration_seconds": "count",
    },
    "comments": {"video_id": "text"},
    "discovery": {"video_id": "text"},
    "products": {
        "video_id": "text", "product_id": "text", "sold_count": "count", "price": "real",
        "currency": "text", "video_views": "count", "video_likes": "count",
        "video_comments": "count", "video_shares": "count", "engagement_total": "count",
        "engagement_rate": "real", "est_clicks": "real", "est_ctr": "real",
    },
}  # fmt: skip
# The count strings that stand in where no number is given.
RAW = {
    "followers_count": "followers_raw", "following_count": "following_raw",
    "favorites_count": "likes_raw", "view_count": "view_count_raw", "like_count": "like_count_raw",
    "comment_count": "comment_count_raw", "share_count": "share_count_raw",
    "sold_count": "sold_count_raw",
}  # fmt: skip
SUFFIXES = {"k": 3, "n": 3, "m": 6, "tr": 6, "b": 9, "t": 9}


def count_of(text):
    """A count string as a number: 4.1M, 12,5N, 1.234; None where it is none."""
    short = re.fullmatch(r"(\d+)(?:[.,](\d+))? ?(k|n|m|tr|b|t)", text.strip().lower())
    if short:
        whole, fraction, suffix = short.groups()
        places = SUFFIXES[suffix]
        return int(whole + (fraction or "")[:places].ljust(places, "0"))
    if re.fullmatch(r"\d+|[1-9]\d{0,2}(?:(?:\.\d{3})+|(?:,\d{3})+|(?: \d{3})+)", text.strip()):
        return int(re.sub(r"[., ]", "", text))
    return None


def frame(records, topic):
    """The events of a topic in the order in which the newest comes last.

    records: (partition, offset, event as a dict).
    """
    kinds = COMMON | FIELDS[topic]
    columns = {"log_partition": [], "log_offset": [], **{name: [] for name in kinds}}
    for partition, offset, event in records:
        columns["log_partition"].append(partition)
        columns["log_offset"].append(offset)
        for name in kinds:
            value = event.get(name)
            if value is None and event.get(RAW.get(name)) is not None:
                value = count_of(event[RAW[name]])
            columns[name].append(value)
    data = {}
    for name, values in columns.items():
        kind = kinds.get(name, "count")
        if kind == "time":
            data[name] = pd.to_datetime(
                pd.Series(values, dtype="object"), format="ISO8601", utc=True
            ).astype("datetime64[us, UTC]")
        else:
            dtype = {
                "text": "object", "flag": "boolean", "count": "Int64", "real": "float64"
            }[kind]  # fmt: skip
            data[name] = pd.Series(values, dtype=dtype)
    rows = pd.DataFrame(data)
    rows["kol_id"] = rows["username"].where(rows["username"].notna(), rows["user_id"])
    return rows.sort_values(
        ["event_time", "log_partition", "log_offset"], kind="stable"
    ).reset_index(drop=True)


def newest(rows, keys, columns):
    """The newest known value of each column by key; rows come in the order of time."""
    return rows.groupby(keys, sort=False)[columns].last().reset_index()


def or_else(first, second):
    return first.where(first.notna(), second)


def total(series):
    """A sum that is unknown where nothing is known."""
    return series.sum(min_count=1)


def hour_of(times):
    return times.dt.floor("h")


def day_of(times):
    return times.dt.floor("D")


def rate(acts, views):
    """Percent, None without views."""
    return [
        None if pd.isna(a) or pd.isna(v) or v == 0 else 100.0 * float(a) / float(v)
        for a, v in zip(acts, views)
    ]


# ---- silver ----


def kol_profiles(profiles):
    rows = profiles.copy()
    bio, picture = rows["bio"], rows["avatar_url"]
    rows["has_bio"] = or_else(rows["has_bio"], (bio != "").where(bio.notna()).astype("boolean"))
    lengths = bio.map(len, na_action="ignore").astype("Int64")
    rows["bio_length"] = or_else(rows["bio_length"], lengths)
    rows["has_profile_image"] = or_else(
        rows["has_profile_image"], (picture != "").where(picture.notna()).astype("boolean")
    )
    rows = rows.rename(columns={"nickname": "display_name", "avatar_url": "profile_image_url"})
    keys = ["platform", "kol_id"]
    names = [
        "user_id", "username", "display_name", "bio", "has_bio", "bio_length", "lang", "location",
        "account_age_days", "followers_count", "following_count", "post_count", "favorites_count",
        "verified", "account_created_at", "has_url", "has_profile_image", "default_profile",
        "default_profile_image", "category", "profile_url", "profile_image_url", "label",
    ]  # fmt: skip
    out = newest(rows, keys, names)
    times = rows.groupby(keys, sort=False)["event_time"].agg(["min", "max"]).reset_index()
    ages = rows[rows["account_age_days"].notna()].groupby(keys)["event_time"].max()
    out = out.merge(times, on=keys).merge(
        ages.rename("account_age_at").reset_index(), on=keys, how="left"
    )
    out = out.rename(columns={"min": "first_seen_at", "max": "updated_at"})
    order = ["kol_id", "platform", *names[:9], "account_age_at", *names[9:]]
    return out[[*order, "first_seen_at", "updated_at"]]


def kol_labels(profiles):
    """kol_profiles() of the labelled, as if the events of each had ended with its newest label."""
    keys = ["platform", "kol_id"]
    ends = profiles[profiles["label"].notna()].groupby(keys)["event_time"].max()
    rows = profiles.merge(ends.rename("end").reset_index(), on=keys)
    then = kol_profiles(rows[rows["event_time"] <= rows["end"]])
    names = [
        "followers_count", "following_count", "post_count", "favorites_count", "account_age_days",
        "account_age_at", "account_created_at", "bio_length", "has_bio", "has_url",
        "has_profile_image", "verified", "default_profile", "default_profile_image", "label",
    ]  # fmt: skip
    return then[[*keys, *names, "updated_at"]].rename(columns={"updated_at": "labelled_at"})


def kol_daily(profiles):
    rows = profiles.assign(day=day_of(profiles["event_time"]), updated_at=profiles["event_time"])
    names = ["followers_count", "following_count", "post_count", "favorites_count", "total_views",
             "verified", "category", "updated_at"]  # fmt: skip
    return newest(rows, ["platform", "kol_id", "day"], names)


def kol_content(videos, others):
    """others: the events of the other topics that may name a video."""
    rows = videos.rename(
        columns={"video_id": "content_id", "video_url": "url", "view_count": "views",
                 "like_count": "likes", "comment_count": "comments", "share_count": "shares"}
    )  # fmt: skip
    beginnings = rows["caption"].map(lambda caption: caption[:100], na_action="ignore")
    rows["title"] = or_else(rows["title"], beginnings)
    rows["description"] = or_else(rows["description"], rows["caption"])
    keys = ["platform", "content_id"]
    names = ["username", "user_id", "content_type", "title", "description", "url", "posted_at",
             *COUNTS, "tags", "duration_seconds"]  # fmt: skip
    out = newest(rows, keys, names)
    times = rows.groupby(keys, sort=False)["event_time"].agg(["min", "max"]).reset_index()
    out = out.merge(times, on=keys)
    named = pd.concat(
        [part.assign(topic=topic) for topic, part in others.items() if len(part)] or
        [pd.DataFrame(columns=["platform", "video_id", "kol_id", "event_time", "topic",
                               "log_partition", "log_offset"])]
    )  # fmt: skip
    named = named[named["video_id"].notna() & named["kol_id"].notna()].sort_values(
        ["event_time", "topic", "log_partition", "log_offset"]
    )
    owner = {
        (platform, video): kol
        for platform, video, kol in zip(named["platform"], named["video_id"], named["kol_id"])
    }
    mentioned = pd.Series(
        [owner.get(key) for key in zip(out["platform"], out["content_id"])], dtype="object"
    )
    out["kol_id"] = or_else(or_else(out["username"], out["user_id"]), mentioned)
    acts = out[["likes", "comments", "shares"]].astype("object")
    known = acts.notna().any(axis=1)
    sums = [
        sum(0 if pd.isna(value) else int(value) for value in row) if some else None
        for row, some in zip(acts.itertuples(index=False), known)
    ]
    out["acts"] = pd.Series(sums, dtype="object")
    out["engagement_rate"] = pd.Series(rate(sums, out["views"]), dtype="object")
    out = out.rename(columns={"min": "first_seen_at", "max": "updated_at"})
    return out[
        ["content_id", "kol_id", "platform", "content_type", "title", "description", "url",
         "posted_at", *COUNTS, "engagement_rate", "tags", "duration_seconds", "first_seen_at",
         "updated_at", "acts"]
    ]  # fmt: skip


def grouped(rows, keys):
    """key -> its rows as dicts; faster than a frame for each of many small groups."""
    groups = {}
    for row in rows.astype("object").to_dict("records"):
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def kol_engagement_metrics(content):
    rows = []
    owned = content[content["kol_id"].notna()]
    for (platform, kol), part in grouped(owned, ["platform", "kol_id"]).items():
        row = {"platform": platform, "kol_id": kol, "content_count": len(part)}
        for name in COUNTS:
            known = [int(one[name]) for one in part if not pd.isna(one[name])]
            row["total_" + name] = sum(known) if known else None
            row["avg_" + name] = sum(known) / len(known) if known else None
            row["max_" + name] = max(known, default=None)
            row["min_" + name] = min(known, default=None)
        acts = [one["acts"] for one in part if not pd.isna(one["acts"])]
        row["total_engagement"] = sum(acts) if acts else None
        (row["avg_engagement_rate"],) = rate([row["total_engagement"]], [row["total_views"]])
        row["first_content_at"] = min(one["first_seen_at"] for one in part)
        row["updated_at"] = max(one["updated_at"] for one in part)
        rows.append(row)
    return pd.DataFrame(rows, dtype="object")


def looks_of(videos):
    """One row for each content and moment, with the totals told before it (NA: never)."""
    renamed = videos.rename(
        columns={"view_count": "views", "like_count": "likes", "comment_count": "comments",
                 "share_count": "shares"}
    )  # fmt: skip
    looks = (
        renamed.groupby(["platform", "video_id", "event_time"])[list(COUNTS)].max().reset_index()
    )
    by = looks.groupby(["platform", "video_id"])
    looks["look"] = by.cumcount()
    for name in COUNTS:
        carried = by[name].ffill()
        before = carried.groupby([looks["platform"], looks["video_id"]]).shift()
        gain = looks[name] - before
        looks["gained_" + name] = gain.where(gain.isna() | (gain > 0), 0)
        looks["first_" + name] = looks[name].where(before.isna())
    return looks


def content_hourly(videos, content):
    looks = looks_of(videos).rename(columns={"video_id": "content_id"})
    looks["hour"] = hour_of(looks["event_time"])
    by = looks.groupby(["platform", "content_id", "hour"])
    out = by.agg(looks=("look", "size"), first=("look", "min"), seen_at=("event_time", "max"))
    for name in COUNTS:
        out["gained_" + name] = by["gained_" + name].sum(min_count=1)
        out["first_" + name] = by["first_" + name].max()
    out = out.reset_index()
    out["first_sight"] = out["first"] == 0
    out = out.merge(
        content[["platform", "content_id", "kol_id", "content_type", "posted_at"]],
        on=["platform", "content_id"],
    )
    return out[
        ["platform", "content_id", "hour", "kol_id", "content_type", "posted_at", "looks",
         "first_sight", "seen_at", *("gained_" + name for name in COUNTS),
         *("first_" + name for name in COUNTS)]
    ]  # fmt: skip


def with_first(rows, within):
    """What a content gained in a window: increases, and first totals where `within` holds."""
    return {
        name: rows["gained_" + name].fillna(0)
        + rows["first_" + name].fillna(0).where(within.fillna(False), 0)
        for name in COUNTS
    }


def weighted(rows):
    return sum(WEIGHTS[name] * rows[name] for name in COUNTS)


def kol_hourly_engagement(hourly):
    rows = hourly[hourly["kol_id"].notna()].copy()
    for name, gained in with_first(rows, hour_of(rows["posted_at"]) == rows["hour"]).items():
        rows[name] = gained
    by = rows.groupby(["platform", "kol_id", "hour"])
    out = by.agg(contents=("content_id", "size"), **{name: (name, "sum") for name in COUNTS},
                 seen_at=("seen_at", "max")).reset_index()  # fmt: skip
    out["engagement"] = weighted(out)
    out = out.rename(columns={name: "gained_" + name for name in COUNTS})
    return out[
        ["platform", "kol_id", "hour", "contents", *("gained_" + name for name in COUNTS),
         "engagement", "seen_at"]
    ]  # fmt: skip


def content_totals(content):
    return content[["platform", "content_id", "kol_id", "posted_at", *COUNTS, "updated_at"]]


def product_sold_timeseries(products):
    rows = products[products["product_id"].notna() & products["sold_count"].notna()]
    rows = rows.sort_values(["event_time", "log_partition", "log_offset"])
    by = rows.groupby(["platform", "product_id", "event_time"])
    out = by.agg(sold_count=("sold_count", "max"), kol_id=("kol_id", "last")).reset_index()
    out["sold_delta"] = out.groupby(["platform", "product_id"])["sold_count"].diff()
    out = out.rename(columns={"event_time": "observed_at"})
    return out[["platform", "product_id", "observed_at", "sold_count", "sold_delta", "kol_id"]]


# ---- gold ----


def tier_of(followers):
    bounds = (
        (1000, "Rising"), (10000, "Nano"), (100000, "Micro"), (500000, "Mid"), (1000000, "Macro")
    )  # fmt: skip
    if pd.isna(followers):
        return None
    return next((name for bound, name in bounds if followers < bound), "Mega")


def states_of(daily):
    """(platform, kol_id) -> [(day, tier, verified, category)], one for each change."""
    states = {}
    rows = daily.sort_values("day")
    known = {}
    for platform, kol, day, *told in zip(
        rows["platform"], rows["kol_id"], rows["day"],
        rows["followers_count"].map(tier_of, na_action="ignore"), rows["verified"],
        rows["category"],
    ):  # fmt: skip
        key = (platform, kol)
        before = known.get(key, (None, None, None))
        now = tuple(old if pd.isna(new) else new for old, new in zip(before, told))
        if key not in known or now != before:
            states.setdefault(key, []).append((day, *now))
        known[key] = now
    return states


def dim_kol(daily, content, profiles):
    states = states_of(daily)
    owned = content[content["kol_id"].notna()]
    first_days = day_of(owned.groupby(["platform", "kol_id"])["first_seen_at"].min())
    for key, first in first_days.items():
        steps = states.setdefault(key, [(first, None, None, None)])
        steps[0] = (min(first, steps[0][0]), *steps[0][1:])
    names = {
        (row.platform, row.kol_id): (row.username, row.display_name)
        for row in profiles.itertuples()
    }
    rows = []
    for (platform, kol), steps in states.items():
        ends = [step[0] for step in steps[1:]] + [None]
        for number, ((day, *state), end) in enumerate(zip(steps, ends), 1):
            known = names.get((platform, kol), (None, None))
            key = f"{platform}:{kol}:{number}"
            rows.append((key, platform, kol, *known, *state, day, end, end is None))
    return pd.DataFrame(
        rows, dtype="object",
        columns=["kol_key", "platform", "kol_id", "username", "display_name", "tier", "verified",
                 "category", "valid_from", "valid_to", "is_current"],
    )  # fmt: skip


def dim_platform():
    return pd.DataFrame(
        [(key, word, name) for key, (word, name) in enumerate(PLATFORMS.items(), 1)],
        columns=["platform_key", "platform", "platform_name"],
    )


def dim_content_type():
    columns = ["content_type_key", "content_type"]
    return pd.DataFrame(list(enumerate(CONTENT_TYPES)), columns=columns)


def time_key(day):
    return day.year * 10000 + day.month * 100 + day.day


def dim_time(daily, hourly):
    days = [*daily["day"], *day_of(hourly["hour"])]
    rows = []
    for day in pd.date_range(min(days), max(days), freq="D"):
        year, week, weekday = day.isocalendar()
        rows.append((time_key(day), day, day.year, (day.month + 2) // 3, day.month, day.day,
                     day.day_of_year, weekday, year, week, weekday > 5))  # fmt: skip
    return pd.DataFrame(
        rows,
        columns=["time_key", "day", "year", "quarter", "month", "day_of_month", "day_of_year",
                 "day_of_week", "iso_year", "iso_week", "is_weekend"],
    )  # fmt: skip


def fact_kol_performance(daily, hourly, kols):
    accounts = daily.sort_values(["platform", "kol_id", "day"])[
        ["platform", "kol_id", "day", "followers_count"]
    ].rename(columns={"followers_count": "followers"})
    by = ["platform", "kol_id"]
    carried = accounts.groupby(by)["followers"].ffill()
    before = carried.groupby([accounts[name] for name in by]).shift()
    accounts["followers_gained"] = accounts["followers"] - before
    accounts = accounts.assign(content_type="none", contents=0, **{name: 0 for name in COUNTS})

    rows = hourly.assign(day=day_of(hourly["hour"]))
    for name, gained in with_first(rows, day_of(rows["posted_at"]) == rows["day"]).items():
        rows[name] = gained
    rows["content_type"] = [
        "unknown" if pd.isna(word) else word if word in CONTENT_TYPES[1:6] else "other"
        for word in rows["content_type"]
    ]
    rows["kol_id"] = rows["kol_id"].astype("object").where(rows["kol_id"].notna(), None)
    works = rows.groupby(["platform", "kol_id", "day", "content_type"], dropna=False).agg(
        contents=("content_id", "nunique"), **{name: (name, "sum") for name in COUNTS}
    )
    works = works.reset_index().assign(
        followers=pd.NA, followers_gained=pd.NA
    ).astype({"followers": "Int64", "followers_gained": "Int64"})  # fmt: skip
    facts = pd.concat([accounts, works[accounts.columns]], ignore_index=True)

    states = {}
    for row in kols.sort_values("valid_from").itertuples():
        states.setdefault((row.platform, row.kol_id), []).append((row.valid_from, row.kol_key))
    keys = []
    for platform, kol, day in zip(facts["platform"], facts["kol_id"], facts["day"]):
        begun = [] if pd.isna(kol) else states[platform, kol]
        known = [key for start, key in begun if start <= day]
        keys.append(known[-1] if known else None)
    facts["kol_key"] = pd.Series(keys, dtype="object")
    facts["platform_key"] = facts["platform"].map({p: i for i, p in enumerate(PLATFORMS, 1)})
    facts["time_key"] = facts["day"].map(time_key)
    facts["content_type_key"] = facts["content_type"].map(CONTENT_TYPES.index)
    acts = facts["likes"] + facts["comments"] + facts["shares"]
    facts["engagement_rate"] = pd.Series(rate(acts, facts["views"]), dtype="object")
    return facts[
        ["kol_key", "platform_key", "time_key", "content_type_key", "followers",
         "followers_gained", "contents", *COUNTS, "engagement_rate"]
    ]  # fmt: skip


def agg_platform_kpi(daily, hourly, facts):
    words = list(PLATFORMS)
    rows = facts.assign(platform=[words[key - 1] for key in facts["platform_key"]])
    out = []
    for (platform, key), part in rows.groupby(["platform", "time_key"]):
        views, acts = part["views"].sum(), sum(part[name].sum() for name in COUNTS[1:])
        followers = part["followers"].dropna()
        out.append((
            platform, pd.Timestamp(str(key), tz="UTC"), part["kol_key"].nunique(),
            part["contents"].sum(), *(part[name].sum() for name in COUNTS),
            total(part["followers_gained"]), *rate([acts], [views]),
            float(followers.median()) if len(followers) else None,
        ))  # fmt: skip
    return pd.DataFrame(
        out, dtype="object",
        columns=["platform", "day", "active_kols", "contents", *COUNTS, "followers_gained",
                 "avg_engagement_rate", "median_followers"],
    )  # fmt: skip


def best(rows):
    """[(kol_id, value)] -> {kol_id: (rank, value)}, at most 1,000."""
    ordered = sorted(rows, key=lambda row: (-row[1], row[0].encode()))[:1000]
    return {kol: (rank, value) for rank, (kol, value) in enumerate(ordered, 1)}


def kol_rankings(daily, content, metrics, scored):
    """scored: (platform, metric) -> (day, [(kol_id, value)])."""
    told = daily[daily["followers_count"].notna()].sort_values("day")
    lists = {}  # (platform, metric) -> {day: ranking}
    for platform, part in told.groupby("platform"):
        last = {}  # kol -> (day, followers)
        for day, rows in part.groupby("day"):
            last.update(
                (kol, (day, int(count)))
                for kol, count in zip(rows["kol_id"], rows["followers_count"])
            )
            last = {kol: seen for kol, seen in last.items() if day - seen[0] < timedelta(days=7)}
            ranking = best((kol, float(count)) for kol, (_, count) in last.items())
            lists.setdefault((platform, "followers"), {})[day] = ranking
    for platform, part in metrics.groupby("platform"):
        day = content.loc[content["platform"] == platform, "updated_at"].max().floor("D")
        known = part[part["avg_engagement_rate"].notna()]
        ranking = best(zip(known["kol_id"], known["avg_engagement_rate"]))
        if ranking:
            lists[platform, "engagement"] = {day: ranking}
    lists |= {key: {day: best(rows)} for key, (day, rows) in scored.items()}
    out = []
    for (platform, metric), days in lists.items():
        before = {}
        for day in sorted(days):
            for kol, (rank, value) in days[day].items():
                out.append((day, platform, metric, rank, kol, value, before.get(kol, (None,))[0]))
            before = days[day]
    return pd.DataFrame(
        out, dtype="object",
        columns=["day", "platform", "metric", "rank", "kol_id", "value", "rank_before"],
    )  # fmt: skip


def content_trending(hourly):
    weights = [round(10**9 * 2 ** (-age / 6)) for age in range(24)]
    out = []
    for platform, rows in hourly.groupby("platform"):
        as_of = rows["seen_at"].max()
        last = as_of.floor("h")
        rows = rows[rows["hour"] > last - timedelta(hours=24)].copy()
        for name, gained in with_first(
            rows, hour_of(rows["posted_at"]) > last - timedelta(hours=24)
        ).items():
            rows[name] = gained
        rows["acts"] = weighted(rows)
        scores = []
        for (content,), part in grouped(rows, ["content_id"]).items():
            ages = [int((last - row["hour"]) / timedelta(hours=1)) for row in part]
            gained = {name: sum(int(row[name]) for row in part) for name in COUNTS}
            score = float(sum(weights[age] * int(row["acts"]) for age, row in zip(ages, part)))
            if any(row["first_sight"] for row in part) and sum(row["looks"] for row in part) == 1:
                gained = dict.fromkeys(COUNTS)
                (row,) = part
                if pd.isna(row["posted_at"]):
                    continue
                lived = max(1, int((row["seen_at"] - row["posted_at"]) / timedelta(hours=1)))
                totals = {name: row["first_" + name] for name in COUNTS}
                first = sum(
                    WEIGHTS[name] * int(told) for name, told in totals.items() if not pd.isna(told)
                )
                score = float(first * sum(weights[ages[0] : ages[0] + lived])) / lived
            if score > 0:
                kol = part[0]["kol_id"]
                scores.append((score, content, None if pd.isna(kol) else kol, gained))
        scores.sort(key=lambda row: (-row[0], row[1].encode()))
        for rank, (score, content, kol, gained) in enumerate(scores[:1000], 1):
            out.append((last, platform, rank, content, kol, *gained.values(),
                        100.0 * (score / scores[0][0]), as_of))  # fmt: skip
    return pd.DataFrame(
        out, dtype="object",
        columns=["hour", "platform", "rank", "content_id", "kol_id",
                 *("gained_" + name for name in COUNTS), "trending_score", "as_of"],
    )  # fmt: skip


def platform_metrics(profiles, hourly, trust):
    """trust: (hour, platform) -> (average, share of the scored that are suspicious)."""
    seen = profiles[["platform", "kol_id", "event_time"]].rename(columns={"event_time": "seen_at"})
    seen["hour"] = hour_of(seen["seen_at"])
    both = pd.concat([seen, hourly[["platform", "kol_id", "hour", "seen_at"]]])
    out = (
        both.groupby(["platform", "hour"])
        .agg(kols=("kol_id", "nunique"), newest_event_at=("seen_at", "max"))
        .reset_index()
    )
    rows = hourly.copy()
    for name, gained in with_first(rows, hour_of(rows["posted_at"]) == rows["hour"]).items():
        rows[name] = gained
    gains = rows.groupby(["platform", "hour"]).agg(
        contents=("content_id", "size"), **{"gained_" + name: (name, "sum") for name in COUNTS}
    )
    out = out.merge(gains.reset_index(), on=["platform", "hour"], how="left")
    names = ["contents", *("gained_" + name for name in COUNTS)]
    out[names] = out[names].fillna(0).astype("int64")
    said = [trust.get(key, (None, None)) for key in zip(out["hour"], out["platform"])]
    out["average_trust"] = [average for average, _ in said]
    out["suspicious_share"] = [share for _, share in said]
    ends = out["hour"] + timedelta(hours=1)
    out["freshness_seconds"] = ((ends - out["newest_event_at"]) // timedelta(seconds=1)).astype(int)
    return out[
        ["hour", "platform", "kols", "contents", *("gained_" + name for name in COUNTS),
         "average_trust", "suspicious_share", "newest_event_at", "freshness_seconds"]
    ]  # fmt: skip
