-- silver.kol_daily: one row for each account and day on which it was observed.
--
-- The newest known values among the events of that day alone, by (event_time, log_partition,
-- log_offset): nothing is carried over from the day before, so that a day can be made anew from
-- its own events.
WITH events AS (
    SELECT
        platform,
        coalesce(username, user_id) AS kol_id,
        CAST(event_time AS DATE) AS day,
        followers_count, following_count, post_count, favorites_count, total_views,
        verified, category, event_time,
        ROW(event_time, log_partition, log_offset) AS place
    FROM bronze.profiles
)
SELECT
    platform,
    kol_id,
    day,
    max_by(followers_count, place) FILTER (WHERE followers_count IS NOT NULL)
        AS followers_count,
    max_by(following_count, place) FILTER (WHERE following_count IS NOT NULL)
        AS following_count,
    max_by(post_count, place) FILTER (WHERE post_count IS NOT NULL) AS post_count,
    max_by(favorites_count, place) FILTER (WHERE favorites_count IS NOT NULL)
        AS favorites_count,
    max_by(total_views, place) FILTER (WHERE total_views IS NOT NULL) AS total_views,
    max_by(verified, place) FILTER (WHERE verified IS NOT NULL) AS verified,
    max_by(category, place) FILTER (WHERE category IS NOT NULL) AS category,
    max(event_time) AS updated_at
FROM events
GROUP BY platform, kol_id, day
