-- silver.kol_trust_features: one row for each account; here the inputs, the score step adds the
-- features.
--
-- The age is counted up to the newest profile event, never to the clock of the run, so that it comes
-- out the same tomorrow. An account that is made after its newest event has no known age.
SELECT
    platform,
    kol_id,
    followers_count,
    following_count,
    post_count,
    favorites_count,
    CASE
        WHEN account_created_at IS NOT NULL
            THEN CASE
                WHEN account_created_at <= updated_at
                    THEN date_diff('day', account_created_at, updated_at)
            END
        ELSE account_age_days + date_diff('day', account_age_at, updated_at)
    END AS account_age,
    bio_length,
    has_bio,
    has_url,
    has_profile_image,
    verified,
    default_profile,
    default_profile_image,
    label,
    updated_at
FROM silver.kol_profiles
