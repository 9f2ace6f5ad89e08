"""What lists, history and similar KOLs must say, computed by itself from the rows of the lake."""

import json
import math
import statistics
import unicodedata
from datetime import date, timedelta

METRICS = {
    "followers": "followers_count",
    "engagement": "avg_engagement_rate",
    "trust_score": "trust_score",
    "trending": "trending_score",
    "success": "success_score",
    "composite": "composite_score",
}
HISTORY_METRICS = {
    "followers": "followers_count",
    "following": "following_count",
    "posts": "post_count",
    "favorites": "favorites_count",
    "views": "total_views",
}


def table(kol, name, where=""):
    """The rows of a table of the lake."""
    sql = f"SELECT * FROM {name} {where}"
    return kol("sql", sql, "--format", "json", "--limit", 1000000).json()


def fold(text):
    """Text without case and accents, as far as the demo's names need it."""
    text = unicodedata.normalize("NFKD", text.casefold().replace("đ", "d"))
    return " ".join("".join(c for c in text if not unicodedata.combining(c)).split())


class World:
    """The KOLs and contents that one lake has, with what lists filter and sort by."""

    def __init__(self, kol):
        self.kols = {}
        for row in table(kol, "silver.kol_profiles"):
            self.kols[row["platform"], row["kol_id"]] = dict(row)
        for row in table(kol, "gold.dim_kol", "WHERE is_current"):
            self._add(row, ("tier", "verified", "category", "display_name", "username"), True)
        for row in table(kol, "silver.kol_engagement_metrics"):
            self._add(row, [name for name in row if name not in ("platform", "kol_id")])
        for row in table(kol, "gold.kol_scores"):
            self._add(row, [name for name in row if name not in ("platform", "kol_id")])
        for row in self.kols.values():
            for column in ("display_name", "verified", "tier", "category", "lang"):
                row.setdefault(column, None)
            for column in METRICS.values():
                row.setdefault(column, None)
            row["folded"] = (fold(row["display_name"] or ""), fold(row["kol_id"]))
        self.contents = {
            (row["platform"], row["content_id"]): row for row in table(kol, "silver.kol_content")
        }
        self.trending = table(kol, "gold.content_trending")
        self.daily = {}
        for row in table(kol, "silver.kol_daily"):
            days = self.daily.setdefault((row["platform"], row["kol_id"]), {})
            days[date.fromisoformat(row["day"])] = row

    def _add(self, row, columns, new=False):
        """Adds columns to a KOL, or fills what is null there."""
        key = row["platform"], row["kol_id"]
        if new:
            self.kols.setdefault(key, {"platform": key[0], "kol_id": key[1]})
        if key in self.kols:
            for column in columns:
                if self.kols[key].get(column) is None:
                    self.kols[key][column] = row[column]

    # ---- lists ----

    def ranked(self, metric, rows):
        """Highest first, unknown last, equal ones by platform and kol_id."""
        column = METRICS[metric]
        rows = sorted(rows, key=lambda row: (row["platform"], row["kol_id"].encode()))
        known = [row for row in rows if row[column] is not None]
        unknown = [row for row in rows if row[column] is None]
        return sorted(known, key=lambda row: -row[column]), unknown

    def listed(self, query):
        """All rows of a list, in their order."""
        rows = [row for row in self.kols.values() if passes(row, query)]
        known, unknown = self.ranked(query.get("sort_by", "followers"), rows)
        return (known[::-1] if query.get("order") == "asc" else known) + unknown

    # ---- content ----

    def content_of(self, key):
        """Newest first, those without a time last."""
        rows = [r for r in self.contents.values() if (r["platform"], r["kol_id"]) == key]
        rows.sort(key=lambda row: row["content_id"].encode())
        timed = [row for row in rows if row["posted_at"]]
        return sorted(timed, key=lambda row: row["posted_at"], reverse=True) + [
            row for row in rows if not row["posted_at"]
        ]

    # ---- history ----

    def history(self, key, metric, days):
        """data, deltas and spikes of a KOL."""
        observed = self.daily.get(key, {})
        if not observed:
            return [], dict.fromkeys(("d1", "d7", "d30")), []
        last, span = max(observed), max(days, 90)

        def value(day):
            row = observed.get(day)
            return row[HISTORY_METRICS[metric]] if row else None

        def back(count):
            return [last - timedelta(days=age) for age in reversed(range(count))]

        data = [{"day": day.isoformat(), "value": value(day)} for day in back(days)]
        known = [(day, value(day)) for day in back(span) if value(day) is not None]
        deltas = {}
        for name, distance in (("d1", 1), ("d7", 7), ("d30", 30)):
            before = dict(known).get(known[-1][0] - timedelta(days=distance)) if known else None
            deltas[name] = None if before is None else known[-1][1] - before
        return data, deltas, spikes_of(known, last - timedelta(days=days))

    # ---- similar ----

    def neighbours(self, key):
        """The KOLs that are compared: by followers, and by followers among the category."""
        me = self.kols[key]
        known, unknown = self.ranked("followers", self.kols.values())
        rows = [row for row in known + unknown if row["platform"] == key[0]]
        found = {}
        for among in (None, me["category"]):
            beside = [row for row in rows if row is me or not among or row["category"] == among]
            at = next(place for place, row in enumerate(beside) if row is me)
            for row in beside[max(0, at - 250) : at] + beside[at + 1 : at + 251]:
                found[row["kol_id"]] = row
        return found

    def similar(self, key):
        """Similarity by kol_id."""
        return {
            kol_id: similarity(self.kols[key], row) for kol_id, row in self.neighbours(key).items()
        }


def passes(row, query):
    """Whether a KOL passes every filter of a query."""

    def one_of(name, column):
        return name not in query or row[column] in query[name].split(",")

    def at_least(name, column):
        return name not in query or (row[column] is not None and row[column] >= query[name])

    followers = row["followers_count"]
    wanted = fold(query.get("q", ""))
    return (
        query.get("platform", "all") in ("all", row["platform"])
        and ("verified" not in query or row["verified"] is (query["verified"] == "true"))
        and one_of("tier", "tier")
        and one_of("category", "category")
        and one_of("lang", "lang")
        and at_least("min_followers", "followers_count")
        and (
            "max_followers" not in query
            or (followers is not None and followers <= query["max_followers"])
        )
        and at_least("min_trust", "trust_score")
        and any(wanted in text for text in row["folded"])
    )


def spikes_of(known, before):
    """Days after `before` whose change is far from the usual one."""
    changes = [
        (later[0], (later[1] - earlier[1]) / (later[0] - earlier[0]).days)
        for earlier, later in zip(known, known[1:])
    ]
    if len(changes) < 7:
        return []
    usual = statistics.median(change for _, change in changes)
    distances = [abs(change - usual) for _, change in changes]
    unit = 1.4826 * statistics.median(distances) or 1.2533 * statistics.fmean(distances)
    return [
        {"day": day.isoformat(), "change": change, "usual": usual}
        for day, change in changes
        if unit and day > before and abs(change - usual) >= 3.5 * unit
    ]


def similarity(one, other):
    """1 - weighted distance / the greatest one."""

    def unless_unknown(a, b, difference):
        if a is None or b is None:
            return 0 if a is b else 0.5
        return difference(a, b)

    def in_size(floor):
        return lambda a, b: min(abs(math.log10((floor + a) / (floor + b))), 1)

    def same(a, b):
        return 0 if a == b else 1

    parts = (
        (3, "followers_count", in_size(1)),
        (3, "category", same),
        (2, "avg_engagement_rate", in_size(0.1)),
        (1, "lang", same),
        (1, "trust_score", lambda a, b: abs(a - b) / 100),
        (0.5, "verified", same),
    )
    total = sum(
        weight * unless_unknown(one[column] if one[column] != "" else None,
                                other[column] if other[column] != "" else None,
                                difference) ** 2
        for weight, column, difference in parts
    )
    return 1 - math.sqrt(total / sum(weight for weight, _, _ in parts))


def csv_value(text, like):
    """A cell as the JSON value that `like` is of."""
    if text == "" and like in (None, ""):
        return like
    if isinstance(like, bool):
        return {"true": True, "false": False}[text]
    if isinstance(like, (int, float)):
        return json.loads(text)
    return json.loads(text) if isinstance(like, list) else text
