"""Every KOL of the real data, as a client with strict classes sees it: the answer models, written down
a second time, by hand, and held to what they promise of their members.

Accounts of TikTok tell neither posts nor whom they follow, channels of YouTube nothing but their
videos: the members that are never null must be there for them too.
"""

import json
import random
from typing import Annotated, Literal
from urllib.parse import quote

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Platform = Literal["tiktok", "twitter", "youtube", "instagram"]
Count = Annotated[int, Field(ge=0)]
Points = Annotated[float, Field(ge=0, le=100)]
Name = Annotated[str, Field(min_length=1)]
COUNTS = ("followers_count", "following_count", "post_count")
FLOORS = {"Rising": 0, "Nano": 1e3, "Micro": 1e4, "Mid": 1e5, "Macro": 5e5, "Mega": 1e6}


class Strict(BaseModel):
    """No number for a text, no text for a number; members that are not named may follow."""

    model_config = ConfigDict(strict=True, extra="allow")


class Score(Strict):
    kol_id: Name
    platform: Platform
    trust_score: Points | None
    trust_label: Literal["high", "medium", "low", "unknown"]
    risk_level: Literal["low", "moderate", "elevated", "high", "unknown"]
    confidence: Annotated[float, Field(ge=0, le=1)]
    model_version: Name
    scored_at: AwareDatetime
    success_score: Points | None
    success_label: Literal["High", "Not-High"] | None
    success_method: Literal["model", "rule", "none"]
    success_model_version: Name
    trending_score: Points | None
    trending_label: Literal["Viral", "Hot", "Warm", "Normal", "Cold"] | None
    trending_as_of: AwareDatetime | None
    composite_score: Points | None
    composite_parts: list[Literal["trust", "success", "trending"]]
    in_domain: bool
    out_of_domain: list[Name]
    percentile: "Percentile"
    sample_size: Count
    state: Literal["ready", "low_confidence", "not_ready"]
    as_of: AwareDatetime
    snapshot: int

    @model_validator(mode="after")
    def parts_agree(self):
        known = {
            name
            for name in ("trust", "success", "trending")
            if getattr(self, f"{name}_score") is not None
        }
        assert set(self.composite_parts) == known
        assert (self.composite_score is None) == (not known)
        assert (self.success_label is None) == (self.success_score is None)
        assert (self.trending_label is None) == (self.trending_score is None)
        if self.trust_score is None:
            assert (self.trust_label, self.risk_level) == ("unknown", "unknown")
            assert (self.confidence, self.model_version) == (0, "none")
            assert self.state == "not_ready" and self.percentile.platform is None
        else:
            # The label is of the unrounded score: near a bound the rounded one does not say.
            if min(abs(self.trust_score - bound) for bound in (40, 80)) > 0.01:
                assert self.trust_label == label_of(self.trust_score)
            assert self.confidence >= 0.5 and self.model_version != "none"
            assert self.state != "not_ready" and self.percentile.platform is not None
            assert self.in_domain == (not self.out_of_domain)
        return self


class Percentile(Strict):
    platform: Points | None
    tier: Points | None
    category: Points | None


class Profile(Strict):
    kol_id: Name
    platform: Platform
    username: Name
    display_name: str | None
    bio: str | None
    followers_count: Count
    following_count: Count
    post_count: Count
    verified: bool
    profile_url: str | None
    tier: Literal["Rising", "Nano", "Micro", "Mid", "Macro", "Mega"] | None
    user_id: str | None
    has_bio: bool | None
    bio_length: Count | None
    lang: str | None
    location: str | None
    account_age_days: Count | None
    account_age_at: AwareDatetime | None
    favorites_count: Count | None
    account_created_at: AwareDatetime | None
    has_url: bool | None
    has_profile_image: bool | None
    default_profile: bool | None
    default_profile_image: bool | None
    category: str | None
    profile_image_url: str | None
    label: Literal["human", "bot"] | None
    first_seen_at: AwareDatetime | None
    updated_at: AwareDatetime | None
    unknown: list[Literal["username", "followers_count", "following_count", "post_count", "verified"]]
    as_of: AwareDatetime
    snapshot: int

    @model_validator(mode="after")
    def unknown_is_nothing(self):
        for name in COUNTS + ("verified",):
            assert name not in self.unknown or not getattr(self, name), name
        assert "username" not in self.unknown or self.username == self.kol_id
        assert (self.tier is None) == ("followers_count" in self.unknown)
        if self.tier:
            reached = [tier for tier, floor in FLOORS.items() if self.followers_count >= floor]
            assert self.tier == reached[-1]
        return self


class Row(Profile):
    scores: Score

    @model_validator(mode="after")
    def scores_are_of_the_kol(self):
        assert (self.scores.kol_id, self.scores.platform) == (self.kol_id, self.platform)
        return self


class OneProfile(Profile):
    also_on: list[Platform]


class Page(Strict):
    data: list[Row]
    total: Count
    page: Annotated[int, Field(ge=1)] | None
    page_size: Annotated[int, Field(ge=1, le=100)]
    has_next: bool
    next_cursor: Name | None
    as_of: AwareDatetime
    snapshot: int

    @model_validator(mode="after")
    def a_cursor_leads_on(self):
        assert self.has_next == (self.next_cursor is not None)
        return self


class ByPlatform(Strict):
    tiktok: Count
    twitter: Count
    youtube: Count
    instagram: Count


class PlatformStats(Strict):
    total_kols: Count
    total_content: Count
    kols_tiktok: Count
    kols_twitter: Count
    kols_youtube: Count
    kols_instagram: Count
    content_tiktok: Count
    content_twitter: Count
    content_youtube: Count
    content_instagram: Count
    kols_by_platform: ByPlatform
    content_by_platform: ByPlatform
    avg_trust_score: Points | None
    last_updated: AwareDatetime


class TrendingContent(Strict):
    content_id: Name
    kol_id: str
    platform: Platform
    title: str | None
    views: Count
    likes: Count
    comments: Count
    shares: Count
    trending_score: Points
    as_of: AwareDatetime


class Trending(Strict):
    data: list[TrendingContent]
    platform: Platform


def label_of(score):
    return "high" if score >= 80 else "medium" if score >= 40 else "low"


def pages_of(server):
    """All pages of the list of all KOLs, by the cursor."""
    cursor = None
    while True:
        reply = server.ask("/api/v1/kols", include="scores", limit=100, cursor=cursor)
        assert reply.status == 200, reply
        page = Page.model_validate_json(reply.body)
        yield page
        if not page.has_next:
            return
        cursor = page.next_cursor


def check_all(server, sample):
    """All KOLs by pages, `sample` of them one by one; returns the rows."""
    stats = PlatformStats.model_validate_json(server.ask("/api/v1/stats/platform").body)
    rows = {}
    for page in pages_of(server):
        assert page.total == stats.total_kols
        for row in page.data:
            assert rows.setdefault((row.platform, row.kol_id), row) is row, "a KOL came twice"
    assert len(rows) == stats.total_kols
    for platform, count in dict(stats.kols_by_platform).items():
        assert getattr(stats, f"kols_{platform}") == count
        assert sum(key[0] == platform for key in rows) == count
    # Every name with a sign in it that an address must escape, and some of the others.
    odd = [key for key in rows if quote(key[1], safe="") != key[1]]
    rng = random.Random(3)
    for key in rng.sample(odd, min(sample, len(odd))) + rng.sample(sorted(rows), sample):
        check_one(server, rows[key])
    for platform in ("tiktok", "twitter", "youtube", "instagram"):
        Trending.model_validate_json(server.ask(f"/api/v1/trending/{platform}", limit=100).body)
    return rows


def check_one(server, row):
    path = f"/api/v1/kols/{quote(row.kol_id, safe='')}"
    one = server.ask(path, platform=row.platform)
    assert one.status == 200, (row.kol_id, one)
    profile = OneProfile.model_validate_json(one.body).model_dump()
    assert profile.pop("also_on") is not None
    assert profile == row.model_dump(exclude={"scores"})
    scores = server.ask(path + "/scores", platform=row.platform)
    assert Score.model_validate_json(scores.body) == row.scores


def without(rows, platform, name):
    return sum(key[0] == platform and name in row.unknown for key, row in rows.items())


def test_every_kol_fits_the_models(serve_copy, real_part):
    rows = check_all(serve_copy(real_part), 150)
    assert without(rows, "tiktok", "post_count") > 4000
    channels = [key for key in rows if key[0] == "youtube"]
    assert without(rows, "youtube", "followers_count") == len(channels) > 2000


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_every_kol_of_all_real_data_fits_the_models(serve_copy, real_whole):
    rows = check_all(serve_copy(real_whole), 1000)
    assert len(rows) == 58871
    assert without(rows, "tiktok", "post_count") > 6000


@pytest.mark.parametrize(
    "change",
    [
        {"followers_count": None},
        {"following_count": -1},
        {"post_count": "12"},
        {"post_count": 1.5},
        {"verified": 0},
        {"verified": None},
        {"username": None},
        {"tier": "Nano", "followers_count": 999, "unknown": []},
        {"unknown": ["bio"]},
        {"unknown": ["post_count"], "post_count": 7},
    ],
)
def test_the_models_refuse_what_is_not_promised(served, change):
    row = served.get("/api/v1/kols", include="scores", limit=1)["data"][0]
    Row.model_validate_json(json.dumps(row))
    with pytest.raises(ValueError):
        Row.model_validate_json(json.dumps(row | change))
