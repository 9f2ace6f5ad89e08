-- gold.kol_standing: one row for each KOL: where its trust score stands among others, and how much
-- the figures about it rest on.
--
-- A percentile is the share of KOLs, in hundredths, whose score is not above its own.
WITH scores AS (
    SELECT
        s.platform, s.kol_id, s.trust_score, s.confidence, s.in_domain,
        p.followers_count, p.category,
        CASE
            WHEN p.followers_count IS NULL THEN NULL
            WHEN p.followers_count < 1000 THEN 'Rising'
            WHEN p.followers_count < 10000 THEN 'Nano'
            WHEN p.followers_count < 100000 THEN 'Micro'
            WHEN p.followers_count < 500000 THEN 'Mid'
            WHEN p.followers_count < 1000000 THEN 'Macro'
            ELSE 'Mega'
        END AS tier
    FROM gold.kol_scores AS s
    LEFT JOIN silver.kol_profiles AS p
        ON p.platform = s.platform AND p.kol_id = s.kol_id
),
ranks AS (
    SELECT
        platform, kol_id, trust_score, confidence, in_domain, tier, category,
        cume_dist() OVER (PARTITION BY platform ORDER BY trust_score) AS in_platform,
        cume_dist() OVER (PARTITION BY platform, tier ORDER BY trust_score) AS in_tier,
        cume_dist() OVER (PARTITION BY platform, category ORDER BY trust_score) AS in_category
    FROM scores
    WHERE trust_score IS NOT NULL
)
SELECT
    s.platform,
    s.kol_id,
    100e0 * r.in_platform AS percentile_platform,
    CASE WHEN r.tier IS NOT NULL THEN 100e0 * r.in_tier END AS percentile_tier,
    CASE WHEN r.category IS NOT NULL THEN 100e0 * r.in_category END AS percentile_category,
    coalesce(m.content_count, 0) AS sample_size,
    CASE
        WHEN s.trust_score IS NULL THEN 'not_ready'
        WHEN s.confidence < 0.6e0 OR NOT s.in_domain THEN 'low_confidence'
        ELSE 'ready'
    END AS state
FROM gold.kol_scores AS s
LEFT JOIN ranks AS r
    ON r.platform = s.platform AND r.kol_id = s.kol_id
LEFT JOIN silver.kol_engagement_metrics AS m
    ON m.platform = s.platform AND m.kol_id = s.kol_id
