-- gold.fact_kol_performance: one row for each KOL, day and kind of content with something observed.
--
-- What the account gained stands in its row of content type 0 (none), from silver.kol_daily; what
-- its contents gained in the rows of their types, from silver.content_hourly, with the first total
-- of a content that was posted on that very day. So every measure but followers may be summed.
-- Content of unknown KOLs is kept in rows without a kol_key.
WITH content_days AS (
    SELECT
        platform,
        content_id,
        CAST(hour AS DATE) AS day,
        max(kol_id) AS kol_id,
        CASE
            WHEN max(content_type) IS NULL THEN 'unknown'
            WHEN max(content_type) IN ('video', 'short', 'live', 'image', 'post')
                THEN max(content_type)
            ELSE 'other'
        END AS content_type,
        sum(
            CAST(
                CAST(coalesce(gained_views, 0) AS DECIMAL(38, 0))
                + CASE
                    WHEN CAST(posted_at AS DATE) = CAST(hour AS DATE) THEN coalesce(first_views, 0)
                    ELSE 0
                END
                AS DECIMAL(38, 0))
        ) AS views,
        sum(
            CAST(
                CAST(coalesce(gained_likes, 0) AS DECIMAL(38, 0))
                + CASE
                    WHEN CAST(posted_at AS DATE) = CAST(hour AS DATE) THEN coalesce(first_likes, 0)
                    ELSE 0
                END
                AS DECIMAL(38, 0))
        ) AS likes,
        sum(
            CAST(
                CAST(coalesce(gained_comments, 0) AS DECIMAL(38, 0))
                + CASE
                    WHEN CAST(posted_at AS DATE) = CAST(hour AS DATE) THEN coalesce(first_comments, 0)
                    ELSE 0
                END
                AS DECIMAL(38, 0))
        ) AS comments,
        sum(
            CAST(
                CAST(coalesce(gained_shares, 0) AS DECIMAL(38, 0))
                + CASE
                    WHEN CAST(posted_at AS DATE) = CAST(hour AS DATE) THEN coalesce(first_shares, 0)
                    ELSE 0
                END
                AS DECIMAL(38, 0))
        ) AS shares
    FROM silver.content_hourly
    GROUP BY platform, content_id, CAST(hour AS DATE)
),
account_days AS (
    SELECT
        platform,
        kol_id,
        day,
        followers_count AS followers,
        followers_count - max_by(
            followers_count, CASE WHEN followers_count IS NOT NULL THEN day END
        ) OVER (
            PARTITION BY platform, kol_id ORDER BY day
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS followers_gained
    FROM silver.kol_daily
),
parts AS (
    SELECT
        platform, kol_id, day, 'none' AS content_type, followers, followers_gained,
        CAST(0 AS BIGINT) AS contents,
        CAST(0 AS DECIMAL(38, 0)) AS views,
        CAST(0 AS DECIMAL(38, 0)) AS likes,
        CAST(0 AS DECIMAL(38, 0)) AS comments,
        CAST(0 AS DECIMAL(38, 0)) AS shares
    FROM account_days
    UNION ALL
    SELECT
        platform, kol_id, day, content_type,
        CAST(NULL AS BIGINT) AS followers,
        CAST(NULL AS BIGINT) AS followers_gained,
        count(*) AS contents,
        sum(CAST(views AS DECIMAL(38, 0))) AS views,
        sum(CAST(likes AS DECIMAL(38, 0))) AS likes,
        sum(CAST(comments AS DECIMAL(38, 0))) AS comments,
        sum(CAST(shares AS DECIMAL(38, 0))) AS shares
    FROM content_days
    GROUP BY platform, kol_id, day, content_type
),
-- The last state holds for ever: a plain comparison, which either engine joins by hash.
states AS (
    SELECT
        kol_key, platform, kol_id, valid_from,
        coalesce(valid_to, DATE '9999-12-31') AS valid_to
    FROM gold.dim_kol
)
SELECT
    k.kol_key,
    p.platform_key,
    d.time_key,
    t.content_type_key,
    f.followers,
    f.followers_gained,
    f.contents,
    CAST(least(f.views, 9223372036854775807) AS BIGINT) AS views,
    CAST(least(f.likes, 9223372036854775807) AS BIGINT) AS likes,
    CAST(least(f.comments, 9223372036854775807) AS BIGINT) AS comments,
    CAST(least(f.shares, 9223372036854775807) AS BIGINT) AS shares,
    100e0 * CAST(f.likes + f.comments + f.shares AS DOUBLE)
        / nullif(CAST(f.views AS DOUBLE), 0e0) AS engagement_rate
FROM parts AS f
JOIN gold.dim_platform AS p
    ON p.platform = f.platform
JOIN gold.dim_time AS d
    ON d.day = f.day
JOIN gold.dim_content_type AS t
    ON t.content_type = f.content_type
LEFT JOIN states AS k
    ON k.platform = f.platform
    AND k.kol_id = f.kol_id
    AND k.valid_from <= f.day
    AND f.day < k.valid_to
