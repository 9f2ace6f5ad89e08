-- gold.ml_success_training: one row for each product event that tells how many were sold; here the
-- inputs, the score step adds the features, the split and the target.
--
-- An event that is in the log twice is one row. Features and sales are of the same event, so that no
-- feature is of a later time; another event at most says whose the product is.
WITH events AS (
    SELECT
        p.platform,
        coalesce(p.username, p.user_id, c.kol_id) AS kol_id,
        p.product_id,
        p.event_id,
        p.event_time,
        p.video_views, p.video_likes, p.video_comments, p.video_shares,
        p.engagement_total, p.engagement_rate, p.est_clicks, p.est_ctr,
        CASE WHEN p.currency IS NULL OR p.currency = 'VND' THEN p.price END AS price,
        p.sold_count,
        row_number() OVER (
            PARTITION BY p.event_id ORDER BY p.log_partition DESC, p.log_offset DESC
        ) AS place
    FROM bronze.products AS p
    LEFT JOIN silver.kol_content AS c
        ON c.platform = p.platform AND c.content_id = p.video_id
    WHERE p.product_id IS NOT NULL AND p.sold_count IS NOT NULL
)
SELECT
    platform, kol_id, product_id, event_id,
    event_time AS observed_at,
    video_views, video_likes, video_comments, video_shares,
    engagement_total, engagement_rate, est_clicks, est_ctr, price,
    sold_count
FROM events
WHERE place = 1 AND kol_id IS NOT NULL
