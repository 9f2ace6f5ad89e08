"""500 KOLs of the real data: what the API says of them against rows of the lake by `kol sql`.

The lists and the demo world have tests of their own; here are the names and texts that people have:
blanks, slashes and signs of every script in ids, and accounts of which little is known.
"""

import random
import shutil
from collections import defaultdict
from urllib.parse import quote

import pytest

from list_reference import HISTORY_METRICS, World, table
from served import Served
from support import Kol
from test_answers_pydantic import COUNTS, FLOORS

SCORES = ("trust_score", "success_score", "trending_score", "composite_score")
# Members of a score by their column, and what stands there where the lake has nothing.
WORDS = {
    "trust_label": ("trust_label", "unknown"),
    "risk_level": ("risk_level", "unknown"),
    "model_version": ("trust_model_version", "none"),
    "success_label": ("success_label", None),
    "success_method": ("success_method", "none"),
    "success_model_version": ("success_model_version", "none"),
    "trending_label": ("trending_label", None),
    "trending_as_of": ("trending_as_of", None),
}


class Lake(World):
    """All rows of one lake, those of a KOL found by its key."""

    def __init__(self, kol):
        super().__init__(kol)
        self.profiles = by_kol(table(kol, "silver.kol_profiles"))
        self.scores = by_kol(table(kol, "gold.kol_scores"))
        self.standing = by_kol(table(kol, "gold.kol_standing"))
        self.engagement = by_kol(table(kol, "silver.kol_engagement_metrics"))
        self.by_owner = defaultdict(list)
        for row in self.contents.values():
            self.by_owner[row["platform"], row["kol_id"]].append(row)
        self.on = defaultdict(set)
        for platform, kol_id in self.kols:
            self.on[kol_id].add(platform)
        self.ranks = {(row["platform"], row["content_id"]): row for row in self.trending}
        newest = "SELECT max(event_time) AS t FROM bronze.{}"
        times = [
            kol("sql", newest.format(name), "--format", "json").json()[0]["t"]
            for name in ("profiles", "videos")
        ]
        self.as_of = max(time for time in times if time)

    def content_of(self, key):
        rows = sorted(self.by_owner[key], key=lambda row: row["content_id"].encode())
        return sorted(rows, key=lambda row: row["posted_at"] or "", reverse=True)


def by_kol(rows):
    return {(row["platform"], row["kol_id"]): row for row in rows}


@pytest.fixture(scope="module")
def lake(kol_bin, real_part):
    return Lake(Kol(kol_bin, real_part))


@pytest.fixture(scope="module")
def sample(lake):
    """500 KOLs, those among them whose names an address must escape, and the most followed."""
    keys = sorted(lake.kols)
    odd = [key for key in keys if quote(key[1], safe=" ") != key[1]]
    rng = random.Random(2026)
    chosen = rng.sample(odd, 150) + rng.sample(keys, 200)
    chosen += rng.sample([key for key in keys if key[0] == "tiktok"], 100)
    chosen += sorted(keys, key=lambda key: -(lake.kols[key].get("followers_count") or 0))[:50]
    assert {platform for platform, _ in chosen} == {"tiktok", "youtube"}
    return chosen


def ask(server, key, rest="", **query):
    path = f"/api/v1/kols/{quote(key[1], safe='')}{rest}"
    return server.get(path, platform=key[0], **query)


def rounded(value):
    """As a score is shown; None where there is none."""
    return None if value is None else pytest.approx(value, abs=0.0050001)


def tier_of(followers):
    if followers is None:
        return None
    return [tier for tier, floor in FLOORS.items() if followers >= floor][-1]


def profile_of(lake, key):
    """The profile that the rows of the lake come to."""
    row = lake.profiles.get(key, dict.fromkeys(next(iter(lake.profiles.values()))))
    totals = lake.engagement.get(key, {})
    unknown = [name for name in ("username", *COUNTS, "verified") if row[name] is None]
    followers, favorites = row["followers_count"], row["favorites_count"]
    known = followers and favorites is not None
    return row | {
        "platform": key[0],
        "kol_id": key[1],
        "username": row["username"] or key[1],
        **{name: row[name] or 0 for name in COUNTS},
        "verified": bool(row["verified"]),
        "unknown": unknown,
        "tier": tier_of(followers),
        "content_count": totals.get("content_count"),
        "total_views": totals.get("total_views"),
        "avg_engagement_rate": totals.get("avg_engagement_rate"),
        "virality_index": pytest.approx(favorites / followers) if known else None,
        "also_on": sorted(platform for platform in lake.on[key[1]] if platform != key[0]),
        "as_of": lake.as_of,
        "snapshot": 1,
    }


def score_of(lake, key):
    row, standing = lake.scores[key], lake.standing[key]
    trusted = row["trust_score"] is not None
    return {
        "kol_id": key[1],
        "platform": key[0],
        **{name: rounded(row[name]) for name in SCORES},
        **{name: otherwise if row[column] is None else row[column]
           for name, (column, otherwise) in WORDS.items()},
        "confidence": pytest.approx(row["confidence"], rel=1e-12) if trusted else 0,
        "scored_at": row["computed_at"],
        "composite_parts": row["composite_parts"] or [],
        "in_domain": bool(row["in_domain"]),
        "out_of_domain": row["out_of_domain"] or [],
        "percentile": {
            name: rounded(standing[f"percentile_{name}"])
            for name in ("platform", "tier", "category")
        },
        "sample_size": standing["sample_size"],
        "state": standing["state"],
        "live": False,
        "as_of": lake.as_of,
        "snapshot": 1,
    }  # fmt: skip


@pytest.fixture(scope="module")
def server(kol_bin, real_part, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lake") / "data"
    shutil.copytree(real_part / "online", folder / "online")
    kol = Kol(kol_bin, folder)
    yield Served(kol)
    kol.close()


def test_profiles_are_what_the_lake_says(server, lake, sample):
    for key in sample:
        got = ask(server, key)
        got["also_on"].sort()
        assert got == profile_of(lake, key), key


def test_scores_are_what_the_lake_says(server, lake, sample):
    for key in sample:
        assert ask(server, key, "/scores") == score_of(lake, key), key


def test_content_is_what_the_lake_says(server, lake, sample):
    seen = 0
    for key in sample:
        wanted, got, cursor = lake.content_of(key), [], None
        while True:
            page = ask(server, key, "/content", limit=7, cursor=cursor)
            got += page["data"]
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert page["total"] == len(got) == len(wanted), key
        for row, content in zip(got, wanted):
            rank = lake.ranks.get((content["platform"], content["content_id"]), {})
            expected = content | {
                "trending_rank": rank.get("rank"),
                "trending_score": rounded(rank.get("trending_score")),
                "trending_as_of": rank.get("as_of"),
                "gained_views": rank.get("gained_views"),
                "as_of": lake.as_of,
                "snapshot": 1,
            }
            assert row == expected, key
        seen += len(wanted)
    assert seen > 200


def test_history_is_what_the_lake_says(server, lake, sample):
    rng = random.Random(1)
    observed = 0
    for key in sample:
        metric, days = rng.choice(list(HISTORY_METRICS)), rng.choice((1, 7, 30, 100))
        got = ask(server, key, "/history", metric=metric, days=days)
        data, deltas, spikes = lake.history(key, metric, days)
        assert (got["data"], got["deltas"]) == (data, deltas), (key, metric)
        assert [spike["day"] for spike in got["spikes"]] == [spike["day"] for spike in spikes]
        observed += sum(point["value"] is not None for point in data)
    assert observed > 100
