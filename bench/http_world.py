"""The data folder of bench_http.py: a million made-up KOLs up to the online copy.

Names are made of syllables, as people's are, so that prefixes are as common as in life.
"""

from pathlib import Path

import duckdb
from bench_scale import kol
from made_profiles import fill

PICK = "CREATE MACRO pick(list, number) AS list[CAST(1 + number % len(list) AS BIGINT)]"
EVENTS = """
WITH words AS (SELECT ['linh', 'anh', 'minh', 'thu', 'ha', 'nam', 'mai', 'lan', 'tuan', 'hoa', 'bao', 'chi',
    'duc', 'giang', 'khanh', 'long', 'my', 'ngoc', 'phuong', 'quynh', 'son', 'trang', 'van', 'yen', 'alex',
    'bella', 'chris', 'dana', 'emma', 'felix', 'grace', 'henry', 'iris', 'jack', 'kate', 'leo'] AS name,
    ['beauty', 'food', 'gym', 'travel', 'tech', 'sport', 'music', 'fashion', 'gaming', 'family'] AS topic)
SELECT 'bench-' || i AS event_id, TIMESTAMPTZ '2025-06-20 00:00:00Z' + to_seconds(hash(i * 3) % 86400) AS event_time,
    TIMESTAMPTZ '2025-06-21 00:00:00Z' AS ingest_time, 'kol.profiles.raw' AS log_topic,
    0 AS log_partition, i AS log_offset, 'profile' AS event_type,
    CASE WHEN i % 3 = 0 THEN 'tiktok' ELSE 'twitter' END AS platform,
    pick(name, hash(i)) || '.' || pick(topic, hash(i * 5)) || '.' || i AS username,
    upper(pick(name, hash(i))) || ' ' || pick(name, hash(i * 53)) || ' ' || pick(topic, hash(i * 5))
        AS nickname,
    repeat(pick(name, hash(i * 59)) || ' and ' || pick(topic, hash(i * 5)) || ' ', 5) AS bio,
    pick(topic, hash(i * 5)) AS category, pick(['vi', 'en', 'th'], hash(i * 61)) AS lang,
    CAST(exp(hash(i * 7) % 1400 / 100.0) AS BIGINT) AS followers_count,
    CAST(exp(hash(i * 11) % 900 / 100.0) AS BIGINT) AS following_count,
    hash(i * 13) % 20000 AS post_count, hash(i * 17) % 50000 AS favorites_count,
    CASE WHEN i % 3 > 0 THEN hash(i * 19) % 4000 END AS account_age_days,
    hash(i * 23) % 160 AS bio_length, hash(i * 29) % 5 > 0 AS has_bio, hash(i * 31) % 3 = 0 AS has_url,
    hash(i * 37) % 9 > 0 AS has_profile_image, hash(i * 41) % 30 = 0 AS verified,
    hash(i * 43) % 2 = 0 AS default_profile, hash(i * 47) % 20 = 0 AS default_profile_image
FROM range({begin}, {end}) AS t (i), words
"""


def make_world(folder, kols, model):
    """The data folder, made where it is not there yet; `model` serves as the trust model."""
    data, done = Path(folder) / f"data-{kols}", Path(folder) / f"data-{kols}.done"
    if not done.exists():
        print(f"making a world of {kols} KOLs in {data}", flush=True)
        fill(data, kols, EVENTS, PICK)
        kol("models", "import", "trust", model, "--data", data)
        kol("models", "promote", "trust", "1", "--force", "--data", data)
        kol("etl", "--data", data)
        done.touch()
    return data


def usernames(data, count):
    """(platform, username) of so many KOLs, spread over all of them."""
    from engines import catalog_of

    with catalog_of(data) as catalog:
        files = [
            task.file.file_path.removeprefix("file://")
            for task in catalog.load_table("silver.kol_profiles").scan().plan_files()
        ]
    with duckdb.connect() as db:
        rows = db.execute(
            f"SELECT platform, kol_id FROM read_parquet({files!r}) ORDER BY hash(kol_id) LIMIT {count}"
        ).fetchall()
    return rows
