-- gold.kol_rankings: one row for each rank from 1 to 1,000 of a metric, day and platform.
--
-- followers: every day of the history, by the count that was last told within 7 days, because most
-- accounts are not looked at daily. engagement (avg_engagement_rate) and the scores have no history:
-- they are ranked for the day of the newest event that they rest on. Equal values stand in the order
-- of kol_id.
WITH observed AS (
    SELECT
        platform, kol_id, day, followers_count,
        lead(day) OVER (PARTITION BY platform, kol_id ORDER BY day) AS next_day
    FROM silver.kol_daily
    WHERE followers_count IS NOT NULL
),
followers_days AS (
    SELECT DISTINCT platform, day
    FROM silver.kol_daily
    WHERE followers_count IS NOT NULL
),
-- A count stands for its own day and up to 6 more, until the next one is told.
standing AS (
    SELECT
        o.platform,
        CAST(date_add('day', t.n, o.day) AS DATE) AS day,
        o.kol_id,
        o.followers_count
    FROM observed AS o
    CROSS JOIN UNNEST(sequence(0, 6)) AS t (n)
    WHERE o.next_day IS NULL OR CAST(date_add('day', t.n, o.day) AS DATE) < o.next_day
),
content_days AS (
    SELECT platform, CAST(max(updated_at) AS DATE) AS day
    FROM silver.kol_content
    GROUP BY platform
),
score_days AS (
    SELECT platform, CAST(max(event_time) AS DATE) AS day
    FROM gold.kol_scores
    GROUP BY platform
),
followers_ranked AS (
    SELECT
        s.platform, 'followers' AS metric, s.day, s.kol_id,
        CAST(s.followers_count AS DOUBLE) AS value,
        row_number() OVER (
            PARTITION BY s.platform, s.day ORDER BY s.followers_count DESC, s.kol_id
        ) AS rank
    FROM standing AS s
    JOIN followers_days AS d
        ON d.platform = s.platform AND d.day = s.day
),
measures AS (
    SELECT m.platform, 'engagement' AS metric, d.day, m.kol_id, m.avg_engagement_rate AS value
    FROM silver.kol_engagement_metrics AS m
    JOIN content_days AS d
        ON d.platform = m.platform
    UNION ALL
    SELECT s.platform, 'trust' AS metric, d.day, s.kol_id, s.trust_score AS value
    FROM gold.kol_scores AS s
    JOIN score_days AS d
        ON d.platform = s.platform
    UNION ALL
    SELECT s.platform, 'trending' AS metric, d.day, s.kol_id, s.trending_score AS value
    FROM gold.kol_scores AS s
    JOIN score_days AS d
        ON d.platform = s.platform
    UNION ALL
    SELECT s.platform, 'success' AS metric, d.day, s.kol_id, s.success_score AS value
    FROM gold.kol_scores AS s
    JOIN score_days AS d
        ON d.platform = s.platform
    UNION ALL
    SELECT s.platform, 'composite' AS metric, d.day, s.kol_id, s.composite_score AS value
    FROM gold.kol_scores AS s
    JOIN score_days AS d
        ON d.platform = s.platform
),
measures_ranked AS (
    SELECT
        platform, metric, day, kol_id, value,
        row_number() OVER (PARTITION BY platform, metric ORDER BY value DESC, kol_id) AS rank
    FROM measures
    WHERE value IS NOT NULL
),
ranked AS (
    SELECT platform, metric, day, kol_id, value, rank
    FROM followers_ranked
    WHERE rank <= 1000
    UNION ALL
    SELECT platform, metric, day, kol_id, value, rank
    FROM measures_ranked
    WHERE rank <= 1000
),
-- The ranked day before each one, of the same platform and metric.
day_pairs AS (
    SELECT
        platform, metric, day,
        lag(day) OVER (PARTITION BY platform, metric ORDER BY day) AS day_before
    FROM (SELECT DISTINCT platform, metric, day FROM ranked) AS days
)
SELECT
    r.day,
    r.platform,
    r.metric,
    CAST(r.rank AS INTEGER) AS rank,
    r.kol_id,
    r.value,
    CAST(b.rank AS INTEGER) AS rank_before
FROM ranked AS r
JOIN day_pairs AS d
    ON d.platform = r.platform AND d.metric = r.metric AND d.day = r.day
LEFT JOIN ranked AS b
    ON b.platform = r.platform
    AND b.metric = r.metric
    AND b.day = d.day_before
    AND b.kol_id = r.kol_id
