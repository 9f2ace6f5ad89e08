"""The peer of bench_http.py and bench_redis.py: routes of the API as a Python service has them.

FastAPI, run by uvicorn out of .deps/bench-venv with REDIS_PORT, MODEL and PREDICT_THREADS (how many
LightGBM may use; empty: as many as it likes) in the environment:

  /plain/{kol_id}    the JSON as it lies in Redis goes through as bytes: the least that FastAPI can do
  /typed/{kol_id}    the JSON from Redis is read and answered as a response model, which checks it
  /hash/plain/{key}  the fields of a hash in Redis as texts in JSON, nothing looked at
  /hash/typed/{key}  the fields of a hash of a KOL as the members of the response model, which checks them
  /predict/trust     checks the body, computes the 29 features, and asks LightGBM for one row
"""

import math
import os
from datetime import datetime, timezone

import lightgbm
import numpy as np
import orjson
import redis.asyncio
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

app = FastAPI()
store = redis.asyncio.Redis(port=int(os.environ["REDIS_PORT"]))
model = lightgbm.Booster(model_file=os.environ["MODEL"])
threads = {"num_threads": int(os.environ["PREDICT_THREADS"])} if os.environ.get("PREDICT_THREADS") else {}


class Profile(BaseModel):
    """The members that the specification names; what else there is goes through."""

    model_config = ConfigDict(extra="allow")
    kol_id: str
    platform: str
    username: str
    display_name: str | None
    bio: str | None
    followers_count: int
    following_count: int
    post_count: int
    verified: bool


@app.get("/plain/{kol_id}")
async def plain(kol_id: str):
    body = await store.get("kol:" + kol_id)
    if body is None:
        raise HTTPException(404)
    return Response(body, media_type="application/json")


@app.get("/typed/{kol_id}")
async def typed(kol_id: str) -> Profile:
    body = await store.get("kol:" + kol_id)
    if body is None:
        raise HTTPException(404)
    return orjson.loads(body)


# ---- hashes ----


class HashProfile(Profile):
    """What a hash tells as text, read into its types; null is a field that is not there."""

    display_name: str | None = None
    bio: str | None = None
    tier: str | None = None
    content_count: int | None = None
    total_views: int | None = None
    avg_engagement_rate: float | None = None
    virality_index: float | None = None
    as_of: datetime | None = None
    snapshot: int


@app.get("/hash/plain/{key}")
async def hash_plain(key: str):
    fields = await store.hgetall(key)
    if not fields:
        raise HTTPException(404)
    body = orjson.dumps({name.decode(): value.decode() for name, value in fields.items()})
    return Response(body, media_type="application/json")


@app.get("/hash/typed/{key}")
async def hash_typed(key: str) -> HashProfile:
    fields = await store.hgetall(key)
    if not fields:
        raise HTTPException(404)
    return HashProfile.model_validate({name.decode(): value.decode() for name, value in fields.items()})


# ---- trust ----


class TrustInput(BaseModel):
    kol_id: str | None = Field(None, max_length=255)
    followers_count: int = Field(ge=0)
    following_count: int = Field(ge=0)
    post_count: int = Field(ge=0)
    account_age_days: int = Field(ge=0)
    favorites_count: int = Field(0, ge=0)
    bio_length: int = Field(0, ge=0)
    has_bio: bool = False
    has_url: bool = False
    has_profile_image: bool = False
    verified: bool = False
    default_profile: bool = False
    default_profile_image: bool = False


class TrustAnswer(BaseModel):
    kol_id: str | None
    trust_score: float
    trust_label: str
    is_trustworthy: bool
    confidence: float
    risk_level: str
    prediction_source: str
    model_version: str
    timestamp: datetime


def tier(value, *bounds):
    return sum(value >= bound for bound in bounds)


def features(given):
    """The 29 of src/score/features.def, for an account of which all is known."""
    followers, following, posts = given.followers_count, given.following_count, given.post_count
    likes, age = given.favorites_count, given.account_age_days
    pace = round(100 * posts / age) / 100 if age > 0 else 0.0
    capped, rate, growth = min(pace, 50), likes / (posts + 1), followers / (age + 1)
    complete = (given.has_bio + given.has_url + given.has_profile_image) / 3
    log_followers, log_age = math.log1p(followers), math.log1p(age)
    return [
        log_followers,
        math.log1p(following),
        math.log1p(posts),
        math.log1p(likes),
        log_age,
        min(followers / following, 10000) if following else 0.0,
        capped,
        rate,
        capped * math.sqrt(rate + 1),
        complete,
        growth,
        posts / (followers + 1),
        following / (age + 1),
        min(given.bio_length / 200, 1),
        pace > 20,
        rate < 0.01 and posts > 1000,
        given.default_profile + given.default_profile_image,
        growth > 100 and age < 365,
        followers > 10000 and rate < 0.1,
        tier(followers, 1e3, 1e4, 1e5, 1e6),
        tier(age, 365, 730, 1825),
        tier(pace, 0.5, 2, 10),
        given.verified * log_followers,
        complete * rate,
        log_age / (capped + 1),
        given.has_bio,
        given.has_url,
        given.has_profile_image,
        given.verified,
    ]


@app.post("/predict/trust")
async def predict(given: TrustInput) -> TrustAnswer:
    chance = float(model.predict(np.array([features(given)], dtype=np.float64), **threads)[0])
    score = 100 * (1 - chance)
    label = "high" if score >= 80 else "medium" if score >= 40 else "low"
    return TrustAnswer(
        kol_id=given.kol_id,
        trust_score=round(score, 2),
        trust_label=label,
        is_trustworthy=score >= 50,
        confidence=max(chance, 1 - chance),
        risk_level={"high": "low", "medium": "moderate", "low": "high"}[label],
        prediction_source="model",
        model_version="bench",
        timestamp=datetime.now(timezone.utc),
    )
