-- silver.kol_velocity: one row for each KOL with an event in the 24 h before its platform's newest
-- one: what its trending score is computed from.
--
-- as_of is the end of the minute of the newest event. Engagement is views + 10 likes + 20 comments +
-- 30 shares gained, each as the increase since the content's event before. The first sight of a
-- content counts its totals unless the content is older than the 5 minutes that end with the minute
-- of that sight.
--
-- velocity: a minute, over the 5 minutes before as_of; velocity_before: over the 5 before those.
-- baseline: a minute, over the 168 whole hours before the hour in which the 5 minutes begin.
-- market: the mean velocity, one minute earlier (the last whole minute), of the KOLs of the platform
-- that had a look at one of their contents in that window.
--
-- An event is one of any kind. A video's is of the KOL of the content, another of the KOL that it
-- names.
WITH events AS (
    SELECT platform, kol_id, seen_at
    FROM silver.content_hourly
    UNION ALL
    SELECT platform, kol_id, updated_at AS seen_at
    FROM silver.kol_profiles
    UNION ALL
    SELECT platform, coalesce(username, user_id) AS kol_id, event_time AS seen_at
    FROM bronze.comments
    UNION ALL
    SELECT platform, coalesce(username, user_id) AS kol_id, event_time AS seen_at
    FROM bronze.products
    UNION ALL
    SELECT platform, coalesce(username, user_id) AS kol_id, event_time AS seen_at
    FROM bronze.discovery
),
moments AS (
    SELECT platform, max(seen_at) AS seen_at
    FROM events
    GROUP BY platform
),
platforms AS (
    SELECT
        platform,
        seen_at AS newest_at,
        date_add('minute', 1, date_trunc('minute', seen_at)) AS as_of
    FROM moments
),
active AS (
    SELECT e.platform, e.kol_id, max(e.seen_at) AS seen_at
    FROM events AS e
    JOIN platforms AS p
        ON p.platform = e.platform
    WHERE e.kol_id IS NOT NULL AND e.seen_at > p.newest_at - INTERVAL '24' HOUR
    GROUP BY e.platform, e.kol_id
),
-- Contents that were looked at in the last 10 minutes, with all their looks.
recent AS (
    SELECT DISTINCT v.platform, v.video_id
    FROM bronze.videos AS v
    JOIN platforms AS p
        ON p.platform = v.platform
    WHERE v.event_time >= p.as_of - INTERVAL '10' MINUTE
),
-- A count beyond 10^15 is a mistake of its source (see rules.def): unknown.
looks AS (
    SELECT
        v.platform,
        v.video_id AS content_id,
        v.event_time,
        max(v.view_count) FILTER (WHERE v.view_count <= 1000000000000000) AS views,
        max(v.like_count) FILTER (WHERE v.like_count <= 1000000000000000) AS likes,
        max(v.comment_count) FILTER (WHERE v.comment_count <= 1000000000000000) AS comments,
        max(v.share_count) FILTER (WHERE v.share_count <= 1000000000000000) AS shares
    FROM bronze.videos AS v
    JOIN recent AS r
        ON r.platform = v.platform AND r.video_id = v.video_id
    GROUP BY v.platform, v.video_id, v.event_time
),
steps AS (
    SELECT
        platform, content_id, event_time, views, likes, comments, shares,
        max_by(views, CASE WHEN views IS NOT NULL THEN event_time END) OVER before AS views_before,
        max_by(likes, CASE WHEN likes IS NOT NULL THEN event_time END) OVER before AS likes_before,
        max_by(comments, CASE WHEN comments IS NOT NULL THEN event_time END) OVER before
            AS comments_before,
        max_by(shares, CASE WHEN shares IS NOT NULL THEN event_time END) OVER before
            AS shares_before
    FROM looks
    WINDOW before AS (
        PARTITION BY platform, content_id ORDER BY event_time
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),
-- A total that was never told before counts whole where the content is new, else nothing.
told AS (
    SELECT
        s.platform, c.kol_id, s.event_time, p.as_of,
        s.views, s.likes, s.comments, s.shares,
        s.views_before, s.likes_before, s.comments_before, s.shares_before,
        coalesce(c.posted_at >= date_trunc('minute', s.event_time) - INTERVAL '4' MINUTE, false)
            AS is_new
    FROM steps AS s
    JOIN platforms AS p
        ON p.platform = s.platform
    JOIN silver.kol_content AS c
        ON c.platform = s.platform AND c.content_id = s.content_id
    WHERE c.kol_id IS NOT NULL AND s.event_time >= p.as_of - INTERVAL '10' MINUTE
),
increases AS (
    SELECT
        platform, kol_id, event_time, as_of,
        greatest(views - coalesce(views_before, CASE WHEN is_new THEN 0 ELSE views END), 0)
            AS views,
        greatest(likes - coalesce(likes_before, CASE WHEN is_new THEN 0 ELSE likes END), 0)
            AS likes,
        greatest(
            comments - coalesce(comments_before, CASE WHEN is_new THEN 0 ELSE comments END), 0
        ) AS comments,
        greatest(shares - coalesce(shares_before, CASE WHEN is_new THEN 0 ELSE shares END), 0)
            AS shares
    FROM told
),
gains AS (
    SELECT
        platform, kol_id, event_time, as_of,
        CAST(coalesce(views, 0) AS DECIMAL(38, 0))
        + 10 * CAST(coalesce(likes, 0) AS DECIMAL(38, 0))
        + 20 * CAST(coalesce(comments, 0) AS DECIMAL(38, 0))
        + 30 * CAST(coalesce(shares, 0) AS DECIMAL(38, 0)) AS engagement
    FROM increases
),
windows AS (
    SELECT
        platform,
        kol_id,
        sum(CAST(CASE
            WHEN event_time >= as_of - INTERVAL '5' MINUTE THEN engagement ELSE 0
        END AS DECIMAL(38, 0))) AS engagement,
        sum(CAST(CASE
            WHEN event_time < as_of - INTERVAL '5' MINUTE THEN engagement ELSE 0
        END AS DECIMAL(38, 0))) AS engagement_before,
        sum(CAST(CASE
            WHEN event_time >= as_of - INTERVAL '6' MINUTE
                AND event_time < as_of - INTERVAL '1' MINUTE THEN engagement ELSE 0
        END AS DECIMAL(38, 0))) AS engagement_closed,
        count(*) FILTER (
            WHERE event_time >= as_of - INTERVAL '6' MINUTE
                AND event_time < as_of - INTERVAL '1' MINUTE
        ) AS looks_closed
    FROM gains
    GROUP BY platform, kol_id
),
markets AS (
    SELECT
        platform,
        CAST(sum(CAST(engagement_closed AS DECIMAL(38, 0))) AS DOUBLE)
        / nullif(5e0 * CAST(count(*) AS DOUBLE), 0e0) AS market
    FROM windows
    WHERE looks_closed > 0
    GROUP BY platform
),
baselines AS (
    SELECT
        h.platform,
        h.kol_id,
        CAST(sum(CAST(h.engagement AS DECIMAL(38, 0))) AS DOUBLE) / 10080e0 AS baseline
    FROM silver.kol_hourly_engagement AS h
    JOIN platforms AS p
        ON p.platform = h.platform
    WHERE h.hour < date_trunc('hour', p.as_of - INTERVAL '5' MINUTE)
        AND h.hour >= date_trunc('hour', p.as_of - INTERVAL '5' MINUTE) - INTERVAL '168' HOUR
    GROUP BY h.platform, h.kol_id
)
SELECT
    a.platform,
    a.kol_id,
    p.as_of,
    CAST(coalesce(w.engagement, 0) AS DOUBLE) / 5e0 AS velocity,
    CAST(coalesce(w.engagement_before, 0) AS DOUBLE) / 5e0 AS velocity_before,
    coalesce(b.baseline, 0e0) AS baseline,
    coalesce(m.market, 0e0) AS market,
    a.seen_at
FROM active AS a
JOIN platforms AS p
    ON p.platform = a.platform
LEFT JOIN windows AS w
    ON w.platform = a.platform AND w.kol_id = a.kol_id
LEFT JOIN markets AS m
    ON m.platform = a.platform
LEFT JOIN baselines AS b
    ON b.platform = a.platform AND b.kol_id = a.kol_id
