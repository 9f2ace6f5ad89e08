-- silver.kol_content: one row for each content, (platform, content_id), with a video event.
--
-- Each field is its newest known value by (event_time, log_partition, log_offset). A source may not
-- know whose a video is: then the newest other event that names the video tells (comments,
-- products, discovery), and where none does kol_id is null and the content is kept. Whether the KOL
-- has a profile does not matter.
WITH events AS (
    SELECT
        platform,
        video_id AS content_id,
        username, user_id, content_type,
        coalesce(title, substr(caption, 1, 100)) AS title,
        coalesce(description, caption) AS description,
        video_url, posted_at, view_count, like_count, comment_count, share_count,
        tags, duration_seconds, event_time,
        ROW(event_time, log_partition, log_offset) AS place
    FROM bronze.videos
),
newest AS (
    SELECT
        platform,
        content_id,
        coalesce(
            max_by(username, place) FILTER (WHERE username IS NOT NULL),
            max_by(user_id, place) FILTER (WHERE user_id IS NOT NULL)
        ) AS owner,
        max_by(content_type, place) FILTER (WHERE content_type IS NOT NULL) AS content_type,
        max_by(title, place) FILTER (WHERE title IS NOT NULL) AS title,
        max_by(description, place) FILTER (WHERE description IS NOT NULL) AS description,
        max_by(video_url, place) FILTER (WHERE video_url IS NOT NULL) AS url,
        max_by(posted_at, place) FILTER (WHERE posted_at IS NOT NULL) AS posted_at,
        max_by(view_count, place) FILTER (WHERE view_count IS NOT NULL) AS views,
        max_by(like_count, place) FILTER (WHERE like_count IS NOT NULL) AS likes,
        max_by(comment_count, place) FILTER (WHERE comment_count IS NOT NULL) AS comments,
        max_by(share_count, place) FILTER (WHERE share_count IS NOT NULL) AS shares,
        max_by(tags, place) FILTER (WHERE tags IS NOT NULL) AS tags,
        max_by(duration_seconds, place) FILTER (WHERE duration_seconds IS NOT NULL)
            AS duration_seconds,
        min(event_time) AS first_seen_at,
        max(event_time) AS updated_at
    FROM events
    GROUP BY platform, content_id
),
mentions AS (
    SELECT platform, video_id, coalesce(username, user_id) AS kol_id,
        ROW(event_time, log_topic, log_partition, log_offset) AS place
    FROM bronze.comments
    WHERE video_id IS NOT NULL
    UNION ALL
    SELECT platform, video_id, coalesce(username, user_id) AS kol_id,
        ROW(event_time, log_topic, log_partition, log_offset) AS place
    FROM bronze.products
    WHERE video_id IS NOT NULL
    UNION ALL
    SELECT platform, video_id, coalesce(username, user_id) AS kol_id,
        ROW(event_time, log_topic, log_partition, log_offset) AS place
    FROM bronze.discovery
    WHERE video_id IS NOT NULL
),
owners AS (
    SELECT platform, video_id, max_by(kol_id, place) AS kol_id
    FROM mentions
    WHERE kol_id IS NOT NULL
    GROUP BY platform, video_id
)
SELECT
    n.content_id,
    coalesce(n.owner, o.kol_id) AS kol_id,
    n.platform,
    n.content_type,
    n.title,
    n.description,
    n.url,
    n.posted_at,
    n.views,
    n.likes,
    n.comments,
    n.shares,
    -- As decimals: two counts of a hostile event may not fit a bigint together.
    CASE
        WHEN n.likes IS NULL AND n.comments IS NULL AND n.shares IS NULL THEN NULL
        ELSE
            100e0 * CAST(
                CAST(coalesce(n.likes, 0) AS DECIMAL(38, 0))
                + CAST(coalesce(n.comments, 0) AS DECIMAL(38, 0))
                + CAST(coalesce(n.shares, 0) AS DECIMAL(38, 0)) AS DOUBLE
            ) / nullif(CAST(n.views AS DOUBLE), 0e0)
    END AS engagement_rate,
    n.tags,
    n.duration_seconds,
    n.first_seen_at,
    n.updated_at
FROM newest AS n
LEFT JOIN owners AS o
    ON o.platform = n.platform AND o.video_id = n.content_id
