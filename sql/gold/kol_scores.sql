-- gold.kol_scores: one row for each KOL; here what its scores are computed from, the score step adds
-- them.
--
-- Success is the mean over the products of the 90 days before the KOL's newest event, summed as whole
-- billionths of a point, because a sum of doubles changes from run to run.
WITH sellers AS (
    SELECT platform, kol_id, max(observed_at) AS seen_at
    FROM gold.product_success
    GROUP BY platform, kol_id
),
newest AS (
    SELECT
        s.platform,
        s.kol_id,
        greatest(
            greatest(s.seen_at, coalesce(f.updated_at, s.seen_at)),
            coalesce(e.updated_at, s.seen_at)
        ) AS seen_at
    FROM sellers AS s
    LEFT JOIN silver.kol_trust_features AS f
        ON f.platform = s.platform AND f.kol_id = s.kol_id
    LEFT JOIN silver.kol_engagement_metrics AS e
        ON e.platform = s.platform AND e.kol_id = s.kol_id
),
success AS (
    SELECT
        s.platform,
        s.kol_id,
        CAST(sum(CAST(round(s.success_score * 1e9) AS DECIMAL(38, 0))) AS DOUBLE)
        / nullif(1e9 * CAST(count(s.success_score) AS DOUBLE), 0e0) AS success_score,
        max(s.method) AS success_method,
        max(s.model_version) AS success_model_version,
        max(n.seen_at) AS seen_at
    FROM gold.product_success AS s
    JOIN newest AS n
        ON n.platform = s.platform AND n.kol_id = s.kol_id
    WHERE s.observed_at > n.seen_at - INTERVAL '90' DAY AND s.success_score IS NOT NULL
    GROUP BY s.platform, s.kol_id
)
SELECT
    coalesce(f.platform, e.platform) AS platform,
    coalesce(f.kol_id, e.kol_id) AS kol_id,
    f.followers_count,
    f.following_count,
    f.post_count,
    f.favorites_count,
    f.account_age,
    f.bio_length,
    f.has_bio,
    f.has_url,
    f.has_profile_image,
    f.verified,
    f.default_profile,
    f.default_profile_image,
    s.success_score,
    s.success_method,
    s.success_model_version,
    v.velocity,
    v.velocity_before,
    v.baseline,
    v.market,
    v.as_of AS trending_as_of,
    coalesce(
        s.seen_at,
        greatest(coalesce(f.updated_at, e.updated_at), coalesce(e.updated_at, f.updated_at))
    ) AS event_time
FROM silver.kol_trust_features AS f
FULL OUTER JOIN silver.kol_engagement_metrics AS e
    ON e.platform = f.platform AND e.kol_id = f.kol_id
LEFT JOIN success AS s
    ON s.platform = coalesce(f.platform, e.platform) AND s.kol_id = coalesce(f.kol_id, e.kol_id)
LEFT JOIN silver.kol_velocity AS v
    ON v.platform = coalesce(f.platform, e.platform) AND v.kol_id = coalesce(f.kol_id, e.kol_id)
