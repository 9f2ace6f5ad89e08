-- silver.kol_engagement_metrics: one row for each KOL with contents, (platform, kol_id).
--
-- Sums are of decimals, because those of hostile counts may not fit a bigint: they stop at its
-- greatest value. Means are one division at the end; a sum of doubles would change from run to run.
WITH contents AS (
    SELECT
        platform, kol_id, views, likes, comments, shares, first_seen_at, updated_at,
        CASE
            WHEN likes IS NULL AND comments IS NULL AND shares IS NULL THEN NULL
            ELSE
                CAST(coalesce(likes, 0) AS DECIMAL(38, 0))
                + CAST(coalesce(comments, 0) AS DECIMAL(38, 0))
                + CAST(coalesce(shares, 0) AS DECIMAL(38, 0))
        END AS engagement
    FROM silver.kol_content
    WHERE kol_id IS NOT NULL
),
sums AS (
    SELECT
        platform,
        kol_id,
        count(*) AS content_count,
        sum(CAST(views AS DECIMAL(38, 0))) AS total_views,
        count(views) AS known_views,
        max(views) AS max_views,
        min(views) AS min_views,
        sum(CAST(likes AS DECIMAL(38, 0))) AS total_likes,
        count(likes) AS known_likes,
        max(likes) AS max_likes,
        min(likes) AS min_likes,
        sum(CAST(comments AS DECIMAL(38, 0))) AS total_comments,
        count(comments) AS known_comments,
        max(comments) AS max_comments,
        min(comments) AS min_comments,
        sum(CAST(shares AS DECIMAL(38, 0))) AS total_shares,
        count(shares) AS known_shares,
        max(shares) AS max_shares,
        min(shares) AS min_shares,
        sum(CAST(engagement AS DECIMAL(38, 0))) AS total_engagement,
        min(first_seen_at) AS first_content_at,
        max(updated_at) AS updated_at
    FROM contents
    GROUP BY platform, kol_id
)
SELECT
    platform,
    kol_id,
    content_count,
    CAST(least(total_views, 9223372036854775807) AS BIGINT) AS total_views,
    CAST(total_views AS DOUBLE) / nullif(known_views, 0) AS avg_views,
    max_views,
    min_views,
    CAST(least(total_likes, 9223372036854775807) AS BIGINT) AS total_likes,
    CAST(total_likes AS DOUBLE) / nullif(known_likes, 0) AS avg_likes,
    max_likes,
    min_likes,
    CAST(least(total_comments, 9223372036854775807) AS BIGINT) AS total_comments,
    CAST(total_comments AS DOUBLE) / nullif(known_comments, 0) AS avg_comments,
    max_comments,
    min_comments,
    CAST(least(total_shares, 9223372036854775807) AS BIGINT) AS total_shares,
    CAST(total_shares AS DOUBLE) / nullif(known_shares, 0) AS avg_shares,
    max_shares,
    min_shares,
    CAST(least(total_engagement, 9223372036854775807) AS BIGINT) AS total_engagement,
    100e0 * CAST(total_engagement AS DOUBLE) / nullif(CAST(total_views AS DOUBLE), 0e0)
        AS avg_engagement_rate,
    first_content_at,
    updated_at
FROM sums
