"""The public data sets, imported whole: how many events, and every field of every one of them.

What a row means is written down here a second time, by hand and from Python's own CSV reader, so that
the presets and the program are checked against something that is not them.
"""

import csv
import json
from collections import Counter
from datetime import datetime, timedelta

import pytest

csv.field_size_limit(1 << 24)


def integer(text):
    return int(text) if text else None


def flag(text):
    return {"true": True, "false": False, "1": True, "0": False, "": None}[text.lower()]


def text(cell):
    return cell or None


def utc(cell):
    return cell.replace(" ", "T") + "Z" if cell else None


def midnight(cell):
    return cell + "T00:00:00Z"


def instant(cell):
    """RFC 3339 as kol writes it: without a fraction where it is zero."""
    return cell.replace(".000Z", "Z") or None


def items(cell, separator):
    tags = [item.strip(" \t").lstrip("#").strip(" \t") for item in cell.split(separator)]
    return [tag for tag in tags if tag] if cell else None


def twitter_bots(row):
    original = row["text_columns"] == "original"
    yield {
        "event_type": "profile",
        "platform": "twitter",
        "event_time": "2020-08-19T10:55:00Z",
        "username": text(row["screen_name"]),
        "user_id": row["id"],
        "bio": row["description"] if original else None,
        "has_bio": row["description"] != "" if original else None,
        "bio_length": len(row["description"]) if original else None,
        "avatar_url": text(row["profile_image_url"]),
        "has_profile_image": row["profile_image_url"] != "" if original else None,
        "verified": flag(row["verified"]),
        "followers_count": integer(row["followers_count"]),
        "following_count": integer(row["friends_count"]),
        "post_count": integer(row["statuses_count"]),
        "favorites_count": integer(row["favourites_count"]),
        "account_created_at": utc(row["created_at"]),
        "account_age_days": integer(row["account_age_days"]),
        "default_profile": flag(row["default_profile"]),
        "default_profile_image": flag(row["default_profile_image"]),
        "lang": text(row["lang"]),
        "location": None if row["location"] == "unknown" else text(row["location"]),
        "label": row["account_type"],
    }


def youtube(row):
    yield {
        "event_type": "video",
        "platform": "youtube",
        "event_time": midnight(row["trending_date"]),
        # kol trims ASCII white space alone: one channel's name begins with a no-break space.
        "username": text(row.get("channel_title", "").strip(" \t\n\r\v\f")),
        "user_id": text(row.get("channel_id", "")),
        "video_id": row["video_id"],
        "video_url": "https://www.youtube.com/watch?v=" + row["video_id"],
        "title": text(row.get("title", "")),
        "content_type": "video",
        "tags": items(row.get("tags", ""), "|"),
        "posted_at": instant(row.get("publish_time", "")),
        "view_count": integer(row["views"]),
        "like_count": integer(row["likes"]),
        "comment_count": integer(row["comment_count"]),
    }


def tiktok_vn_profile(name, followers, time):
    return {
        "event_type": "profile",
        "platform": "tiktok",
        "event_time": utc(time),
        "username": name,
        "followers_count": integer(followers),
    }


def tiktok_vn_snapshot(row):
    yield {
        "event_type": "video",
        "platform": "tiktok",
        "event_time": utc(row["scrape_time"]),
        "username": row["username"],
        "video_id": row["video_id"],
        "video_url": row["url"],
        "caption": text(row["caption"]),
        "content_type": "image" if "/photo/" in row["url"] else "video",
        "tags": items(row["hashtags"], ","),
        "posted_at": row["post_time_utc"],
        "view_count": integer(row["views"]),
        "like_count": integer(row["likes"]),
        "comment_count": integer(row["comments"]),
        "share_count": integer(row["shares"]),
        "duration_seconds": integer(row["duration_s"]),
    }
    if row["followers"]:
        yield tiktok_vn_profile(row["username"], row["followers"], row["scrape_time"])


def tiktok_vn_account(row):
    yield tiktok_vn_profile(row["username"], row["followers"], row["followers_time"])


def tides(row):
    yield {
        "event_type": "profile",
        "platform": "tiktok",
        "event_time": "2023-05-01T00:00:00Z",
        "username": row["username"],
        "user_id": row["id"],
        "bio": row["signature"],
        "has_bio": row["signature"] != "",
        "bio_length": len(row["signature"]),
        "has_url": row["bioLink"] != "",
        "verified": flag(row["verified"]),
        "followers_count": integer(row["followers"]),
        "following_count": integer(row["following"]),
        "post_count": integer(row["total_videos"]),
        "favorites_count": integer(row["total_likes"]),
        "category": None if row["commerceCategory"] == "none" else row["commerceCategory"],
        "lang": row["language"],
        "location": row["region"],
    }


def tiktok_discover(row):
    yield {
        "event_type": "profile",
        "platform": "tiktok",
        "event_time": midnight(row["day"]),
        "username": row["username"],
        "user_id": row["user_id"],
        "nickname": row["name"],
        "bio": row["bio"],
        "has_bio": row["bio"] != "",
        "bio_length": len(row["bio"]),
        "verified": flag(row["verified"]),
        "followers_count": integer(row["followers"]),
        "favorites_count": integer(row["likes"]),
    }


# file: preset, layout, records, profiles, videos, what a row means
SETS = {
    "twitter_human_bots.csv": ("twitter-bots", "accounts", 33694, 33694, 0, twitter_bots),
    "youtube_trending_videos.csv": ("youtube-trending", "videos", 26558, 0, 26558, youtube),
    "youtube_trending_timeseries.csv": ("youtube-trending", "timeseries", 87369, 0, 87369, youtube),
    "tiktok_vn_video_snapshots.csv": (
        "tiktok-vn",
        "snapshots",
        29463,
        29458,
        29463,
        tiktok_vn_snapshot,
    ),
    "tiktok_vn_profiles.csv": ("tiktok-vn", "profiles", 6883, 6883, 0, tiktok_vn_account),
    "tides_tiktok_influencers_5000.csv": ("tides", "influencers", 5000, 5000, 0, tides),
    "tiktok_discover_daily_users_2022.csv": (
        "tiktok-discover",
        "days",
        12395,
        12395,
        0,
        tiktok_discover,
    ),
}
TOPICS = {"profile": "kol.profiles.raw", "video": "kol.videos.raw"}


def values(kol, topic):
    """All events of a topic."""
    out = kol("log", "tail", topic, "--from", "start", "--values").out
    return [json.loads(line) for line in out.splitlines()]


def canonical(event):
    """The event without its id as a text: unlike values, texts tell True from 1."""
    known = (pair for pair in event.items() if pair[1] is not None and pair[0] != "event_id")
    return repr(sorted(known))


def rows_of(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        yield from csv.DictReader(file, strict=True)


@pytest.mark.parametrize("name", SETS)
def test_data_set_imports_whole_with_every_value(kol, shared_data, name):
    preset, layout, records, profiles, videos, meaning = SETS[name]
    path = shared_data / name
    result = kol("import", preset, path, "--format", "json")
    (row,) = result.json()
    assert row["layout"] == layout
    assert (row["records"], row["dead"], row["skipped"]) == (records, 0, 0)
    assert (row["profiles"], row["videos"], row["events"]) == (profiles, videos, profiles + videos)
    assert row["complete"] is True and row["bytes"] == path.stat().st_size
    assert ("may give several events" in result.errors) == (profiles + videos > records)

    wanted = [event for cells in rows_of(path) for event in meaning(cells)]
    kinds = {event["event_type"] for event in wanted}
    events = [event for kind in sorted(kinds) for event in values(kol, TOPICS[kind])]
    contents = [canonical(event) for event in events]
    assert Counter(map(canonical, wanted)) == Counter(contents)
    ids = {}
    for event, content in zip(events, contents):
        assert len(event["event_id"]) == 32
        assert ids.setdefault(event["event_id"], content) == content
    assert len(ids) == len(set(contents))
    for row in kol("log", "tail", TOPICS[min(kinds)], "--limit", "500", "--format", "json").json():
        event = json.loads(row["value"])
        owner = event.get("username") or event.get("user_id") or event.get("video_id")
        assert row["key"] == f"{event['platform']}:{owner}"


def test_twitter_accounts_without_a_name_come_by_user_id(kol, shared_data):
    kol("import", "twitter-bots", shared_data / "twitter_human_bots.csv")
    events = values(kol, "kol.profiles.raw")
    nameless = [event for event in events if "username" not in event]
    assert len(nameless) == 29950
    assert all(event["user_id"] and event["account_age_days"] > 0 for event in nameless)
    assert not any("bio" in event or "has_bio" in event for event in nameless)
    blank = [event for event in events if event.get("bio") == ""]
    assert len(blank) == 702
    assert all((event["has_bio"], event["bio_length"]) == (False, 0) for event in blank)
    assert not any("has_url" in event for event in events)


def test_crawl_time_of_twitter_bots_gives_the_ages_in_the_data(kol, shared_data):
    """The constant event_time is right: with it, every known age follows from created_at."""
    crawl = datetime(2020, 8, 19, 10, 55)
    known = 0
    for row in rows_of(shared_data / "twitter_human_bots.csv"):
        if row["created_at"]:
            age = crawl - datetime.strptime(row["created_at"], "%Y-%m-%d %H:%M:%S")
            assert age // timedelta(days=1) == int(row["account_age_days"])
            known += 1
    assert known == 3744
    preset = kol("docs", "presets").text
    assert "2020-08-19T10:55:00Z" in preset


def test_importing_twice_gives_the_same_ids(kol, shared_data):
    path = shared_data / "tides_tiktok_influencers_5000.csv"
    counts = []
    for _ in range(2):
        kol("import", "tides", path)
        counts.append(Counter(event["event_id"] for event in values(kol, "kol.profiles.raw")))
    assert len(counts[0]) == 5000
    assert counts[1] == Counter({name: 2 * count for name, count in counts[0].items()})


def test_profile_of_tiktok_vn_is_the_same_event_from_both_files(kol, shared_data):
    kol(
        "import",
        "tiktok-vn",
        shared_data / "tiktok_vn_video_snapshots.csv",
        shared_data / "tiktok_vn_profiles.csv",
    )
    ids = Counter(event["event_id"] for event in values(kol, "kol.profiles.raw"))
    assert sum(ids.values()) == 29458 + 6883
    assert len(ids) == 29458
    assert sum(count == 2 for count in ids.values()) == 6883
