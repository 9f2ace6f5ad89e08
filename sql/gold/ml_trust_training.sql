-- gold.ml_trust_training: each labelled account twice: as it is, and as a platform would tell it that
-- gives no age and no default-profile flags. Here the inputs, the score step adds the features.
SELECT
    f.platform,
    f.kol_id,
    m.masked,
    f.followers_count,
    f.following_count,
    f.post_count,
    f.favorites_count,
    CASE WHEN NOT m.masked THEN f.account_age END AS account_age,
    f.bio_length,
    f.has_bio,
    f.has_url,
    f.has_profile_image,
    f.verified,
    CASE WHEN NOT m.masked THEN f.default_profile END AS default_profile,
    CASE WHEN NOT m.masked THEN f.default_profile_image END AS default_profile_image,
    CASE WHEN f.label = 'bot' THEN 1 ELSE 0 END AS untrustworthy,
    f.updated_at
FROM silver.kol_trust_features AS f
CROSS JOIN (VALUES (false), (true)) AS m (masked)
WHERE f.label IN ('human', 'bot')
