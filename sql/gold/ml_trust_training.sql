-- gold.ml_trust_training: each labelled account twice: as it is, and as a platform would tell it that
-- gives no age and no default-profile flags. Here the inputs, the score step adds the features.
--
-- The inputs are those of the moment of the label, the age too, by the rule of
-- silver.kol_trust_features: nothing that came later is in a row.
SELECT
    a.platform,
    a.kol_id,
    m.masked,
    a.followers_count,
    a.following_count,
    a.post_count,
    a.favorites_count,
    CASE
        WHEN m.masked OR a.account_created_at > a.labelled_at THEN NULL
        WHEN a.account_created_at IS NOT NULL
            THEN date_diff('day', a.account_created_at, a.labelled_at)
        ELSE a.account_age_days + date_diff('day', a.account_age_at, a.labelled_at)
    END AS account_age,
    a.bio_length,
    a.has_bio,
    a.has_url,
    a.has_profile_image,
    a.verified,
    CASE WHEN NOT m.masked THEN a.default_profile END AS default_profile,
    CASE WHEN NOT m.masked THEN a.default_profile_image END AS default_profile_image,
    CASE WHEN a.label = 'bot' THEN 1 ELSE 0 END AS untrustworthy,
    a.labelled_at AS updated_at
FROM silver.kol_labels AS a
CROSS JOIN (VALUES (false), (true)) AS m (masked)
WHERE a.label IN ('human', 'bot')
