-- gold.dim_time: one row for each day from the first event to the last, without gaps.
--
-- Days are numbered in two steps of 400, because Trino makes sequences of at most 10,000.
WITH bounds AS (
    SELECT min(day) AS first_day, max(day) AS last_day
    FROM (
        SELECT day FROM silver.kol_daily
        UNION ALL
        SELECT CAST(hour AS DATE) AS day FROM silver.content_hourly
    ) AS days
),
calendar AS (
    SELECT CAST(date_add('day', 400 * high.n + low.n, b.first_day) AS DATE) AS day, b.last_day
    FROM bounds AS b
    CROSS JOIN UNNEST(sequence(0, 399)) AS high (n)
    CROSS JOIN UNNEST(sequence(0, 399)) AS low (n)
    WHERE 400 * high.n + low.n <= date_diff('day', b.first_day, b.last_day)
)
SELECT
    CAST(10000 * year(day) + 100 * month(day) + day_of_month(day) AS INTEGER) AS time_key,
    day,
    CAST(year(day) AS INTEGER) AS year,
    CAST(quarter(day) AS INTEGER) AS quarter,
    CAST(month(day) AS INTEGER) AS month,
    CAST(day_of_month(day) AS INTEGER) AS day_of_month,
    CAST(day_of_year(day) AS INTEGER) AS day_of_year,
    CAST(day_of_week(day) AS INTEGER) AS day_of_week,
    CAST(year_of_week(day) AS INTEGER) AS iso_year,
    CAST(week(day) AS INTEGER) AS iso_week,
    day_of_week(day) >= 6 AS is_weekend
FROM calendar
