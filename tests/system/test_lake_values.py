"""Every column of every silver and gold table against a computation of its own (lake_reference.py),
on hand-made corners, a demo world and all public data sets."""

import json
import re

import pytest

from engines import catalog_of
from lake_cases import corners
from lake_reference import FIELDS, all_tables
from lake_rows import difference, rows_of
from support import ROOT

PRESETS = {
    "twitter-bots": ("twitter_human_bots.csv",),
    "youtube-trending": ("youtube_trending_videos.csv", "youtube_trending_timeseries.csv"),
    "tiktok-vn": ("tiktok_vn_video_snapshots.csv", "tiktok_vn_profiles.csv"),
    "tides": ("tides_tiktok_influencers_5000.csv",),
    "tiktok-discover": ("tiktok_discover_daily_users_2022.csv",),
}
MIN_TABLES = 17


def declared():
    """table -> (columns, keys), of the tables that are made by SQL, from their declarations."""
    text = (ROOT / "src/lake/tables.def").read_text()
    row = r'^TABLE\((\w+), (\w+), SQL,\s+\.keys = "([^"]*)".*?^#include "([^"]+)"'
    tables = {}
    for space, name, keys, path in re.findall(row, text, re.M | re.S):
        columns = re.findall(r"^COLUMN\((\w+),", (ROOT / "src" / path).read_text(), re.M)
        tables[f"{space}.{name}"] = columns, keys.split()
    assert len(tables) >= MIN_TABLES
    return tables


def events(kol):
    """topic -> (partition, offset, event) of all that is in the log."""
    out = {}
    topics = {row["topic"] for row in kol("log", "topics", "--format", "json").json()}
    for topic in FIELDS:
        if f"kol.{topic}.raw" in topics:
            tail = kol("log", "tail", f"kol.{topic}.raw", "--from", "start", "--format", "json")
            out[topic] = [
                (row["partition"], row["offset"], json.loads(row["value"])) for row in tail.json()
            ]
    return out


def make(kol):
    kol("ingest", timeout=1200)
    kol("etl", timeout=1200)


def tables_of(kol):
    """table -> (rows, columns) as PyIceberg reads them: the one place that knows the source."""
    out = {}
    with catalog_of(kol.data) as catalog:
        for table in declared():
            content = catalog.load_table(table).scan().to_arrow()
            out[table] = rows_of(content), content.column_names
    return out


def assert_as_computed(kol):
    """All tables equal what pandas makes of the events in the log. Gives the tables."""
    wanted, got = all_tables(events(kol)), tables_of(kol)
    assert set(wanted) == set(got)
    wrong = {}
    for table, (columns, keys) in declared().items():
        rows, names = got[table]
        assert names == columns and list(wanted[table].columns) == columns, table
        words = difference(columns, keys, rows_of(wanted[table]), rows)
        if words:
            wrong[table] = words
    assert not wrong, "\n".join(f"{table}: {words}" for table, words in wrong.items())
    return got


def by_key(table, tables):
    columns, keys = declared()[table]
    places = [columns.index(key) for key in keys]
    return {
        tuple(row[place] for place in places): dict(zip(columns, row)) for row in tables[table][0]
    }


def import_events(kol, lines):
    kol("import", "events", "-", stdin="".join(json.dumps(line) + "\n" for line in lines))


def test_corners_come_out_as_computed_and_as_meant(kol):
    import_events(kol, corners())
    make(kol)
    tables = assert_as_computed(kol)

    hours = by_key("silver.content_hourly", tables)
    falls = [row for key, row in sorted(hours.items()) if key[1] == "falls"]
    # 100, 50 in one hour: a fall is no gain; 50 to 80 is one; of one moment the greatest counts.
    assert [row["gained_views"] for row in falls] == [0, 30, 0, 125, 0]
    assert [row["gained_shares"] for row in falls] == [0, 5, 0, None, 4]
    assert [row["first_views"] for row in falls] == [100, None, None, None, None]
    assert [row["first_sight"] for row in falls] == [True, False, False, False, False]

    content = by_key("silver.kol_content", tables)
    owner = {key[1]: row["kol_id"] for key, row in content.items()}
    assert owner["by-comment"] == "cy" and owner["by-product"] == "bob"
    assert owner["nobody"] is None and owner["by-id"] == "4711" and owner["name-first"] == "ann"
    assert content["tiktok", "late"]["title"] == "L" * 100
    assert content["tiktok", "falls"]["shares"] == 9
    moment = content["tiktok", "moment"]
    assert (moment["views"], moment["title"]) == (4, "Second")
    assert content["tiktok", "no-views"]["engagement_rate"] is None

    states = by_key("gold.dim_kol", tables)
    history = [states[f"tiktok:ann:{n}",] for n in range(1, 6)]
    assert [row["tier"] for row in history] == [None, "Nano", "Rising", "Mega", "Mega"]
    assert [row["verified"] for row in history] == [True, True, False, False, True]
    assert [row["is_current"] for row in history] == [False] * 4 + [True]
    assert ("tiktok:ann:6",) not in states
    channel = states["youtube:Kênh: một:1",]
    assert (channel["tier"], channel["username"], channel["is_current"]) == (None, None, True)

    account = by_key("silver.kol_profiles", tables)["tiktok", "ann"]
    assert (account["bio_length"], account["has_bio"], account["has_profile_image"]) == (
        10,
        True,
        True,
    )
    assert (account["followers_count"], account["post_count"]) == (1500001, 5)


def test_events_that_come_twice_change_no_row(kol):
    other = kol.data / "other"
    kol("demo", "--kols", "40", "--days", "5", data=other)
    tail = ("--from", "start", "--values")
    worlds = [kol("log", "tail", f"kol.{topic}.raw", *tail, data=other).out for topic in FIELDS]
    lines = list(corners())
    seen = []
    for _ in range(2):
        import_events(kol, lines)
        for values in worlds:
            kol("import", "events", "-", stdin=values)
        make(kol)
        seen.append(tables_of(kol))
    for table, (columns, keys) in declared().items():
        words = difference(columns, keys, seen[0][table][0], seen[1][table][0])
        assert words is None, f"{table}: {words}"


def test_a_demo_world_comes_out_as_computed(kol):
    kol("demo", "--kols", "250", "--days", "9", "--seed", "5")
    make(kol)
    assert_as_computed(kol)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_all_public_data_comes_out_as_computed(kol, shared_data):
    for preset, names in PRESETS.items():
        kol("import", preset, *(shared_data / name for name in names))
    make(kol)
    tables = assert_as_computed(kol)
    lines = kol("log", "tail", "kol.profiles.raw", "--from", "start", "--values").out.splitlines()
    names = {
        (event["platform"], event.get("username") or event["user_id"])
        for event in map(json.loads, lines)
    }
    assert len(tables["silver.kol_profiles"][0]) == len(names) == 45712


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_reference_world_comes_out_as_computed(kol):
    kol("demo", "--world", "reference")
    make(kol)
    assert_as_computed(kol)
