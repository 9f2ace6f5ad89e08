-- gold.platform_metrics: one row for each platform and hour with a profile or video event.
--
-- Mean trust is of scores rounded to millionths and summed as whole numbers, because a sum of
-- doubles changes from run to run.
WITH actions AS (
    SELECT platform, kol_id, hour, seen_at
    FROM silver.content_hourly
    UNION ALL
    SELECT
        platform,
        coalesce(username, user_id) AS kol_id,
        date_trunc('hour', event_time) AS hour,
        event_time AS seen_at
    FROM bronze.profiles
),
kols AS (
    SELECT platform, kol_id, hour, max(seen_at) AS seen_at
    FROM actions
    GROUP BY platform, kol_id, hour
),
activity AS (
    SELECT
        k.platform,
        k.hour,
        count(k.kol_id) AS kols,
        sum(CAST(round(s.trust_score * 1e6) AS DECIMAL(38, 0))) AS trust,
        count(s.trust_score) AS scored,
        count(*) FILTER (WHERE s.trust_label = 'low') AS suspicious,
        max(k.seen_at) AS newest_event_at
    FROM kols AS k
    LEFT JOIN gold.kol_scores AS s
        ON s.platform = k.platform AND s.kol_id = k.kol_id
    GROUP BY k.platform, k.hour
),
gains AS (
    SELECT
        platform,
        hour,
        count(*) AS contents,
        sum(
            CAST(
                CAST(coalesce(gained_views, 0) AS DECIMAL(38, 0))
                + CASE
                    WHEN date_trunc('hour', posted_at) = hour THEN coalesce(first_views, 0) ELSE 0
                END
                AS DECIMAL(38, 0))
        ) AS views,
        sum(
            CAST(
                CAST(coalesce(gained_likes, 0) AS DECIMAL(38, 0))
                + CASE
                    WHEN date_trunc('hour', posted_at) = hour THEN coalesce(first_likes, 0) ELSE 0
                END
                AS DECIMAL(38, 0))
        ) AS likes,
        sum(
            CAST(
                CAST(coalesce(gained_comments, 0) AS DECIMAL(38, 0))
                + CASE
                    WHEN date_trunc('hour', posted_at) = hour THEN coalesce(first_comments, 0) ELSE 0
                END
                AS DECIMAL(38, 0))
        ) AS comments,
        sum(
            CAST(
                CAST(coalesce(gained_shares, 0) AS DECIMAL(38, 0))
                + CASE
                    WHEN date_trunc('hour', posted_at) = hour THEN coalesce(first_shares, 0) ELSE 0
                END
                AS DECIMAL(38, 0))
        ) AS shares
    FROM silver.content_hourly
    GROUP BY platform, hour
)
SELECT
    a.hour,
    a.platform,
    a.kols,
    coalesce(g.contents, 0) AS contents,
    CAST(least(coalesce(g.views, 0), 9223372036854775807) AS BIGINT) AS gained_views,
    CAST(least(coalesce(g.likes, 0), 9223372036854775807) AS BIGINT) AS gained_likes,
    CAST(least(coalesce(g.comments, 0), 9223372036854775807) AS BIGINT) AS gained_comments,
    CAST(least(coalesce(g.shares, 0), 9223372036854775807) AS BIGINT) AS gained_shares,
    CAST(a.trust AS DOUBLE) / nullif(1e6 * a.scored, 0e0) AS average_trust,
    CAST(a.suspicious AS DOUBLE) / nullif(a.scored, 0) AS suspicious_share,
    a.newest_event_at,
    date_diff('second', a.newest_event_at, date_add('hour', 1, a.hour)) AS freshness_seconds
FROM activity AS a
LEFT JOIN gains AS g
    ON g.platform = a.platform AND g.hour = a.hour
