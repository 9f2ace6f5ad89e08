-- silver.product_sold_timeseries: one row for each product and moment at which its sales were told.
--
-- Events of one moment are one row with the greatest count, so that an event that is in bronze twice
-- changes nothing.
WITH looks AS (
    SELECT
        platform,
        product_id,
        event_time AS observed_at,
        max(sold_count) AS sold_count,
        max_by(coalesce(username, user_id), ROW(log_partition, log_offset)) AS kol_id
    FROM bronze.products
    WHERE product_id IS NOT NULL AND sold_count IS NOT NULL
    GROUP BY platform, product_id, event_time
)
SELECT
    platform,
    product_id,
    observed_at,
    sold_count,
    sold_count - lag(sold_count) OVER (
        PARTITION BY platform, product_id ORDER BY observed_at
    ) AS sold_delta,
    kol_id
FROM looks
