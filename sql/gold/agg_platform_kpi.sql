-- gold.agg_platform_kpi: one row for each platform and day with something observed.
--
-- The median is exact: the mean of the two middle values by row number (the middle one twice where
-- their number is odd). Sums stop at the greatest bigint.
WITH facts AS (
    SELECT
        p.platform, t.day, f.kol_key, f.followers, f.followers_gained,
        f.contents, f.views, f.likes, f.comments, f.shares
    FROM gold.fact_kol_performance AS f
    JOIN gold.dim_platform AS p
        ON p.platform_key = f.platform_key
    JOIN gold.dim_time AS t
        ON t.time_key = f.time_key
),
-- One row a KOL first, so that each counts once.
kols AS (
    SELECT
        platform,
        day,
        kol_key,
        max(followers) AS followers,
        sum(CAST(followers_gained AS DECIMAL(38, 0))) AS followers_gained,
        sum(CAST(contents AS DECIMAL(38, 0))) AS contents,
        sum(CAST(views AS DECIMAL(38, 0))) AS views,
        sum(CAST(likes AS DECIMAL(38, 0))) AS likes,
        sum(CAST(comments AS DECIMAL(38, 0))) AS comments,
        sum(CAST(shares AS DECIMAL(38, 0))) AS shares
    FROM facts
    GROUP BY platform, day, kol_key
),
sums AS (
    SELECT
        platform,
        day,
        count(kol_key) AS active_kols,
        sum(CAST(contents AS DECIMAL(38, 0))) AS contents,
        sum(CAST(views AS DECIMAL(38, 0))) AS views,
        sum(CAST(likes AS DECIMAL(38, 0))) AS likes,
        sum(CAST(comments AS DECIMAL(38, 0))) AS comments,
        sum(CAST(shares AS DECIMAL(38, 0))) AS shares,
        sum(CAST(followers_gained AS DECIMAL(38, 0))) AS followers_gained
    FROM kols
    GROUP BY platform, day
),
ordered AS (
    SELECT
        platform,
        day,
        followers,
        row_number() OVER (PARTITION BY platform, day ORDER BY followers, kol_key) AS number,
        count(*) OVER (PARTITION BY platform, day) AS total
    FROM kols
    WHERE followers IS NOT NULL
),
medians AS (
    SELECT
        platform,
        day,
        CAST(
            CAST(min(followers) AS DECIMAL(38, 0)) + CAST(max(followers) AS DECIMAL(38, 0))
            AS DOUBLE
        ) / 2e0 AS median_followers
    FROM ordered
    WHERE 2 * number BETWEEN total AND total + 2
    GROUP BY platform, day
)
SELECT
    s.platform,
    s.day,
    s.active_kols,
    CAST(s.contents AS BIGINT) AS contents,
    CAST(least(s.views, 9223372036854775807) AS BIGINT) AS views,
    CAST(least(s.likes, 9223372036854775807) AS BIGINT) AS likes,
    CAST(least(s.comments, 9223372036854775807) AS BIGINT) AS comments,
    CAST(least(s.shares, 9223372036854775807) AS BIGINT) AS shares,
    CAST(
        greatest(least(s.followers_gained, 9223372036854775807), -9223372036854775807) AS BIGINT
    ) AS followers_gained,
    100e0 * CAST(s.likes + s.comments + s.shares AS DOUBLE)
        / nullif(CAST(s.views AS DOUBLE), 0e0) AS avg_engagement_rate,
    m.median_followers
FROM sums AS s
LEFT JOIN medians AS m
    ON m.platform = s.platform AND m.day = s.day
