-- silver.kol_hourly_engagement: one row for each KOL and hour in which a content of it was looked at.
--
-- Sums over its contents of what silver.content_hourly says, with the first total of a content that
-- was posted in that very hour. Content of unknown KOLs is in no row. Sums stop at the greatest
-- bigint.
WITH gains AS (
    SELECT
        platform, kol_id, hour, seen_at,
        CAST(coalesce(gained_views, 0) AS DECIMAL(38, 0))
        + CASE
            WHEN date_trunc('hour', posted_at) = hour THEN coalesce(first_views, 0) ELSE 0
        END AS views,
        CAST(coalesce(gained_likes, 0) AS DECIMAL(38, 0))
        + CASE
            WHEN date_trunc('hour', posted_at) = hour THEN coalesce(first_likes, 0) ELSE 0
        END AS likes,
        CAST(coalesce(gained_comments, 0) AS DECIMAL(38, 0))
        + CASE
            WHEN date_trunc('hour', posted_at) = hour THEN coalesce(first_comments, 0) ELSE 0
        END AS comments,
        CAST(coalesce(gained_shares, 0) AS DECIMAL(38, 0))
        + CASE
            WHEN date_trunc('hour', posted_at) = hour THEN coalesce(first_shares, 0) ELSE 0
        END AS shares
    FROM silver.content_hourly
    WHERE kol_id IS NOT NULL
),
sums AS (
    SELECT
        platform,
        kol_id,
        hour,
        count(*) AS contents,
        sum(CAST(views AS DECIMAL(38, 0))) AS views,
        sum(CAST(likes AS DECIMAL(38, 0))) AS likes,
        sum(CAST(comments AS DECIMAL(38, 0))) AS comments,
        sum(CAST(shares AS DECIMAL(38, 0))) AS shares,
        max(seen_at) AS seen_at
    FROM gains
    GROUP BY platform, kol_id, hour
)
SELECT
    platform,
    kol_id,
    hour,
    contents,
    CAST(least(views, 9223372036854775807) AS BIGINT) AS gained_views,
    CAST(least(likes, 9223372036854775807) AS BIGINT) AS gained_likes,
    CAST(least(comments, 9223372036854775807) AS BIGINT) AS gained_comments,
    CAST(least(shares, 9223372036854775807) AS BIGINT) AS gained_shares,
    CAST(
        least(views + 10 * likes + 20 * comments + 30 * shares, 9223372036854775807) AS BIGINT
    ) AS engagement,
    seen_at
FROM sums
