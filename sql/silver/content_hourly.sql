-- silver.content_hourly: one row for each content and hour in which it was looked at.
--
-- Sources tell totals, so a gain is the increase since the content's event before; a fall counts 0.
-- Events of one moment are one look with the greatest total: an event that is in bronze twice, or
-- beside another of the same second, changes nothing. A total that was never told before is no
-- increase; it stands in first_..., and who reads this table adds it where the content was posted
-- within the window that is asked for, because then all of it was gained there.
WITH looks AS (
    SELECT
        platform,
        video_id AS content_id,
        event_time,
        max(view_count) AS views,
        max(like_count) AS likes,
        max(comment_count) AS comments,
        max(share_count) AS shares
    FROM bronze.videos
    GROUP BY platform, video_id, event_time
),
-- Beside each look the last known totals before it (max_by passes over a null time).
steps AS (
    SELECT
        platform, content_id, event_time, views, likes, comments, shares,
        row_number() OVER (PARTITION BY platform, content_id ORDER BY event_time) AS look,
        max_by(views, CASE WHEN views IS NOT NULL THEN event_time END) OVER before AS views_before,
        max_by(likes, CASE WHEN likes IS NOT NULL THEN event_time END) OVER before AS likes_before,
        max_by(comments, CASE WHEN comments IS NOT NULL THEN event_time END) OVER before AS comments_before,
        max_by(shares, CASE WHEN shares IS NOT NULL THEN event_time END) OVER before AS shares_before
    FROM looks
    WINDOW before AS (
        PARTITION BY platform, content_id ORDER BY event_time
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),
hours AS (
    SELECT
        platform,
        content_id,
        date_trunc('hour', event_time) AS hour,
        count(*) AS looks,
        min(look) AS first_look,
        max(event_time) AS seen_at,
        sum(CAST(greatest(views - views_before, 0) AS DECIMAL(38, 0))) AS gained_views,
        sum(CAST(greatest(likes - likes_before, 0) AS DECIMAL(38, 0))) AS gained_likes,
        sum(CAST(greatest(comments - comments_before, 0) AS DECIMAL(38, 0))) AS gained_comments,
        sum(CAST(greatest(shares - shares_before, 0) AS DECIMAL(38, 0))) AS gained_shares,
        max(CASE WHEN views_before IS NULL THEN views END) AS first_views,
        max(CASE WHEN likes_before IS NULL THEN likes END) AS first_likes,
        max(CASE WHEN comments_before IS NULL THEN comments END) AS first_comments,
        max(CASE WHEN shares_before IS NULL THEN shares END) AS first_shares
    FROM steps
    GROUP BY platform, content_id, date_trunc('hour', event_time)
)
SELECT
    h.platform,
    h.content_id,
    h.hour,
    c.kol_id,
    c.content_type,
    c.posted_at,
    h.looks,
    h.first_look = 1 AS first_sight,
    h.seen_at,
    CAST(least(h.gained_views, 9223372036854775807) AS BIGINT) AS gained_views,
    CAST(least(h.gained_likes, 9223372036854775807) AS BIGINT) AS gained_likes,
    CAST(least(h.gained_comments, 9223372036854775807) AS BIGINT) AS gained_comments,
    CAST(least(h.gained_shares, 9223372036854775807) AS BIGINT) AS gained_shares,
    h.first_views,
    h.first_likes,
    h.first_comments,
    h.first_shares
FROM hours AS h
LEFT JOIN silver.kol_content AS c
    ON c.platform = h.platform AND c.content_id = h.content_id
