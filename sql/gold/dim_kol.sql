-- gold.dim_kol: one row for each state of a KOL: slowly changing, type 2, on tier, verified, category.
--
-- Made from the whole history each time, so that the same events give the same rows: kol_key counts
-- the states of a KOL in order of time. A value holds until another is told; a day that tells
-- nothing new makes no row. The first state begins on the day on which the KOL was first seen, be
-- it by a content. A KOL that is known only from its contents has one state with nothing known.
WITH history AS (
    SELECT
        platform,
        kol_id,
        day,
        max_by(followers_count, CASE WHEN followers_count IS NOT NULL THEN day END) OVER until_then
            AS followers,
        max_by(verified, CASE WHEN verified IS NOT NULL THEN day END) OVER until_then AS verified,
        max_by(category, CASE WHEN category IS NOT NULL THEN day END) OVER until_then AS category
    FROM silver.kol_daily
    WINDOW until_then AS (
        PARTITION BY platform, kol_id ORDER BY day
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
tiers AS (
    SELECT
        platform, kol_id, day, verified, category,
        CASE
            WHEN followers IS NULL THEN NULL
            WHEN followers < 1000 THEN 'Rising'
            WHEN followers < 10000 THEN 'Nano'
            WHEN followers < 100000 THEN 'Micro'
            WHEN followers < 500000 THEN 'Mid'
            WHEN followers < 1000000 THEN 'Macro'
            ELSE 'Mega'
        END AS tier
    FROM history
),
steps AS (
    SELECT
        platform, kol_id, day, tier, verified, category,
        row_number() OVER days AS number,
        lag(tier) OVER days AS tier_before,
        lag(verified) OVER days AS verified_before,
        lag(category) OVER days AS category_before
    FROM tiers
    WINDOW days AS (PARTITION BY platform, kol_id ORDER BY day)
),
states AS (
    SELECT
        platform, kol_id, day, tier, verified, category,
        row_number() OVER days AS number,
        lead(day) OVER days AS next_day
    FROM steps
    WHERE number = 1
        OR tier IS DISTINCT FROM tier_before
        OR verified IS DISTINCT FROM verified_before
        OR category IS DISTINCT FROM category_before
    WINDOW days AS (PARTITION BY platform, kol_id ORDER BY day)
),
creators AS (
    SELECT platform, kol_id, CAST(min(first_seen_at) AS DATE) AS first_day
    FROM silver.kol_content
    WHERE kol_id IS NOT NULL
    GROUP BY platform, kol_id
),
kols AS (
    SELECT
        coalesce(s.platform, c.platform) AS platform,
        coalesce(s.kol_id, c.kol_id) AS kol_id,
        coalesce(s.number, 1) AS number,
        s.tier,
        s.verified,
        s.category,
        CASE
            WHEN s.day IS NULL OR (s.number = 1 AND c.first_day < s.day) THEN c.first_day
            ELSE s.day
        END AS valid_from,
        s.next_day AS valid_to
    FROM states AS s
    FULL OUTER JOIN creators AS c
        ON c.platform = s.platform AND c.kol_id = s.kol_id
)
SELECT
    k.platform || ':' || k.kol_id || ':' || CAST(k.number AS VARCHAR) AS kol_key,
    k.platform,
    k.kol_id,
    p.username,
    p.display_name,
    k.tier,
    k.verified,
    k.category,
    k.valid_from,
    k.valid_to,
    k.valid_to IS NULL AS is_current
FROM kols AS k
LEFT JOIN silver.kol_profiles AS p
    ON p.platform = k.platform AND p.kol_id = k.kol_id
