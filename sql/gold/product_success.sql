-- gold.product_success: one row for each product of a KOL: the newest event of it; here the inputs,
-- the score step adds the score.
--
-- An event that names no KOL belongs to the KOL of its content. A product without an id is known by
-- the content that promotes it. Prices are in VND where no currency is given; others are unknown.
WITH events AS (
    SELECT
        p.platform,
        coalesce(p.username, p.user_id, c.kol_id) AS kol_id,
        p.product_id,
        p.video_id AS content_id,
        p.event_id,
        p.event_time,
        p.video_views, p.video_likes, p.video_comments, p.video_shares,
        p.engagement_total, p.engagement_rate, p.est_clicks, p.est_ctr,
        CASE WHEN p.currency IS NULL OR p.currency = 'VND' THEN p.price END AS price,
        row_number() OVER (
            PARTITION BY
                p.platform, coalesce(p.username, p.user_id, c.kol_id), p.product_id,
                CASE WHEN p.product_id IS NULL THEN p.video_id END
            ORDER BY p.event_time DESC, p.log_partition DESC, p.log_offset DESC
        ) AS place
    FROM bronze.products AS p
    LEFT JOIN silver.kol_content AS c
        ON c.platform = p.platform AND c.content_id = p.video_id
    WHERE p.product_id IS NOT NULL OR p.video_id IS NOT NULL
)
SELECT
    platform, kol_id, product_id, content_id, event_id,
    event_time AS observed_at,
    video_views, video_likes, video_comments, video_shares,
    engagement_total, engagement_rate, est_clicks, est_ctr, price
FROM events
WHERE place = 1 AND kol_id IS NOT NULL
