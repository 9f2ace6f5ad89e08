-- gold.content_trending: one row for each of the 1,000 contents of a platform that gain most.
--
-- as_of is the newest video event of the platform; the window is its hour and the 23 before.
-- s = sum over these hours of (gained views + 10 likes + 20 comments + 30 shares) x 2^(-age / 6 h),
-- with the age in whole hours and the weight as a whole number of billionths: a sum of whole numbers
-- is the same in every order, a sum of doubles is not. The score is 100 s / greatest s.
--
-- A content whose first event lies in the window counts its first totals too where it was posted in
-- the window. One that was seen at one moment only counts its totals over its age: as if it had
-- gained the same in every hour from posted_at to that moment, at least one.
WITH weights AS (
    SELECT age, weight, weight_before
    FROM (
    VALUES
    (0, 1000000000, 0),
    (1, 890898718, 1000000000),
    (2, 793700526, 1890898718),
    (3, 707106781, 2684599244),
    (4, 629960525, 3391706025),
    (5, 561231024, 4021666550),
    (6, 500000000, 4582897574),
    (7, 445449359, 5082897574),
    (8, 396850263, 5528346933),
    (9, 353553391, 5925197196),
    (10, 314980262, 6278750587),
    (11, 280615512, 6593730849),
    (12, 250000000, 6874346361),
    (13, 222724680, 7124346361),
    (14, 198425131, 7347071041),
    (15, 176776695, 7545496172),
    (16, 157490131, 7722272867),
    (17, 140307756, 7879762998),
    (18, 125000000, 8020070754),
    (19, 111362340, 8145070754),
    (20, 99212566, 8256433094),
    (21, 88388348, 8355645660),
    (22, 78745066, 8444034008),
    (23, 70153878, 8522779074),
    (24, 0, 8592932952)
    -- age in hours; 10^9 x 2^(-age / 6) (0 from 24 h on); sum of the weights of lesser ages
    ) AS t (age, weight, weight_before)
),
platforms AS (
    SELECT platform, max(seen_at) AS as_of
    FROM silver.content_hourly
    GROUP BY platform
),
windowed AS (
    SELECT
        h.platform, h.content_id, h.kol_id, h.posted_at, h.hour, h.looks, h.first_sight, h.seen_at,
        h.gained_views, h.gained_likes, h.gained_comments, h.gained_shares,
        h.first_views, h.first_likes, h.first_comments, h.first_shares,
        p.as_of,
        date_diff('hour', h.hour, date_trunc('hour', p.as_of)) AS age,
        date_diff('hour', date_trunc('hour', h.posted_at), date_trunc('hour', p.as_of)) < 24
            AS posted_within
    FROM silver.content_hourly AS h
    JOIN platforms AS p
        ON p.platform = h.platform
    WHERE h.hour > date_trunc('hour', p.as_of) - INTERVAL '24' HOUR
),
hours AS (
    SELECT
        platform, content_id, kol_id, posted_at, looks, first_sight, seen_at, as_of, age,
        CAST(coalesce(gained_views, 0) AS DECIMAL(38, 0))
        + CASE WHEN posted_within THEN coalesce(first_views, 0) ELSE 0 END AS views,
        CAST(coalesce(gained_likes, 0) AS DECIMAL(38, 0))
        + CASE WHEN posted_within THEN coalesce(first_likes, 0) ELSE 0 END AS likes,
        CAST(coalesce(gained_comments, 0) AS DECIMAL(38, 0))
        + CASE WHEN posted_within THEN coalesce(first_comments, 0) ELSE 0 END AS comments,
        CAST(coalesce(gained_shares, 0) AS DECIMAL(38, 0))
        + CASE WHEN posted_within THEN coalesce(first_shares, 0) ELSE 0 END AS shares,
        CAST(coalesce(first_views, 0) AS DECIMAL(38, 0))
        + 10 * CAST(coalesce(first_likes, 0) AS DECIMAL(38, 0))
        + 20 * CAST(coalesce(first_comments, 0) AS DECIMAL(38, 0))
        + 30 * CAST(coalesce(first_shares, 0) AS DECIMAL(38, 0)) AS first_total
    FROM windowed
),
contents AS (
    SELECT
        h.platform,
        h.content_id,
        max(h.kol_id) AS kol_id,
        max(h.as_of) AS as_of,
        sum(CAST(h.looks AS BIGINT)) = 1 AND max(CASE WHEN h.first_sight THEN 1 ELSE 0 END) = 1 AS seen_once,
        min(h.age) AS age,
        max(h.first_total) AS first_total,
        -- Whole hours of its life at its only look.
        greatest(date_diff('hour', max(h.posted_at), max(h.seen_at)), 1) AS hours_lived,
        sum(CAST(h.views AS DECIMAL(38, 0))) AS views,
        sum(CAST(h.likes AS DECIMAL(38, 0))) AS likes,
        sum(CAST(h.comments AS DECIMAL(38, 0))) AS comments,
        sum(CAST(h.shares AS DECIMAL(38, 0))) AS shares,
        sum(
            CAST(w.weight * (h.views + 10 * h.likes + 20 * h.comments + 30 * h.shares)
                AS DECIMAL(38, 0))
        ) AS weighted
    FROM hours AS h
    JOIN weights AS w
        ON w.age = h.age
    GROUP BY h.platform, h.content_id
),
scored AS (
    SELECT
        c.platform, c.content_id, c.kol_id, c.as_of, c.seen_once,
        c.views, c.likes, c.comments, c.shares,
        CASE
            WHEN c.seen_once
                THEN
                    CAST(c.first_total * (last_hour.weight_before - first_hour.weight_before)
                        AS DOUBLE) / nullif(CAST(c.hours_lived AS DOUBLE), 0e0)
            ELSE CAST(c.weighted AS DOUBLE)
        END AS s
    FROM contents AS c
    JOIN weights AS first_hour
        ON first_hour.age = c.age
    LEFT JOIN weights AS last_hour
        ON last_hour.age = least(c.age + c.hours_lived, 24)
),
ranked AS (
    SELECT
        platform, content_id, kol_id, as_of, seen_once, views, likes, comments, shares, s,
        row_number() OVER (PARTITION BY platform ORDER BY s DESC, content_id) AS rank
    FROM scored
    WHERE s > 0e0
),
top AS (
    SELECT
        platform, content_id, kol_id, as_of, seen_once, views, likes, comments, shares, s, rank,
        max(s) OVER (PARTITION BY platform) AS greatest_s
    FROM ranked
    WHERE rank <= 1000
)
SELECT
    date_trunc('hour', as_of) AS hour,
    platform,
    CAST(rank AS INTEGER) AS rank,
    content_id,
    kol_id,
    CASE
        WHEN NOT seen_once THEN CAST(least(views, 9223372036854775807) AS BIGINT)
    END AS gained_views,
    CASE
        WHEN NOT seen_once THEN CAST(least(likes, 9223372036854775807) AS BIGINT)
    END AS gained_likes,
    CASE
        WHEN NOT seen_once THEN CAST(least(comments, 9223372036854775807) AS BIGINT)
    END AS gained_comments,
    CASE
        WHEN NOT seen_once THEN CAST(least(shares, 9223372036854775807) AS BIGINT)
    END AS gained_shares,
    100e0 * (CAST(s AS DOUBLE) / nullif(greatest_s, 0e0)) AS trending_score,
    as_of
FROM top
