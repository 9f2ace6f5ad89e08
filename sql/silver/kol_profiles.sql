-- silver.kol_profiles: one row for each account, (platform, kol_id).
--
-- Each field is its newest known value by (event_time, log_partition, log_offset): an event that
-- leaves a field out does not erase it, and an event that is in bronze twice changes nothing.
-- has_bio, bio_length and has_profile_image follow from the text where an event does not say.
WITH events AS (
    SELECT
        platform,
        coalesce(username, user_id) AS kol_id,
        user_id, username, nickname, bio,
        coalesce(has_bio, bio <> '') AS has_bio,
        coalesce(bio_length, length(bio)) AS bio_length,
        lang, location, account_age_days,
        followers_count, following_count, post_count, favorites_count,
        verified, account_created_at, has_url,
        coalesce(has_profile_image, avatar_url <> '') AS has_profile_image,
        default_profile, default_profile_image,
        category, profile_url, avatar_url, label, event_time,
        ROW(event_time, log_partition, log_offset) AS place
    FROM bronze.profiles
)
SELECT
    kol_id,
    platform,
    max_by(user_id, place) FILTER (WHERE user_id IS NOT NULL) AS user_id,
    max_by(username, place) FILTER (WHERE username IS NOT NULL) AS username,
    max_by(nickname, place) FILTER (WHERE nickname IS NOT NULL) AS display_name,
    max_by(bio, place) FILTER (WHERE bio IS NOT NULL) AS bio,
    max_by(has_bio, place) FILTER (WHERE has_bio IS NOT NULL) AS has_bio,
    max_by(bio_length, place) FILTER (WHERE bio_length IS NOT NULL) AS bio_length,
    max_by(lang, place) FILTER (WHERE lang IS NOT NULL) AS lang,
    max_by(location, place) FILTER (WHERE location IS NOT NULL) AS location,
    max_by(account_age_days, place) FILTER (WHERE account_age_days IS NOT NULL)
        AS account_age_days,
    max(event_time) FILTER (WHERE account_age_days IS NOT NULL) AS account_age_at,
    max_by(followers_count, place) FILTER (WHERE followers_count IS NOT NULL)
        AS followers_count,
    max_by(following_count, place) FILTER (WHERE following_count IS NOT NULL)
        AS following_count,
    max_by(post_count, place) FILTER (WHERE post_count IS NOT NULL) AS post_count,
    max_by(favorites_count, place) FILTER (WHERE favorites_count IS NOT NULL)
        AS favorites_count,
    max_by(verified, place) FILTER (WHERE verified IS NOT NULL) AS verified,
    max_by(account_created_at, place) FILTER (WHERE account_created_at IS NOT NULL)
        AS account_created_at,
    max_by(has_url, place) FILTER (WHERE has_url IS NOT NULL) AS has_url,
    max_by(has_profile_image, place) FILTER (WHERE has_profile_image IS NOT NULL)
        AS has_profile_image,
    max_by(default_profile, place) FILTER (WHERE default_profile IS NOT NULL)
        AS default_profile,
    max_by(default_profile_image, place) FILTER (WHERE default_profile_image IS NOT NULL)
        AS default_profile_image,
    max_by(category, place) FILTER (WHERE category IS NOT NULL) AS category,
    max_by(profile_url, place) FILTER (WHERE profile_url IS NOT NULL) AS profile_url,
    max_by(avatar_url, place) FILTER (WHERE avatar_url IS NOT NULL) AS profile_image_url,
    max_by(label, place) FILTER (WHERE label IS NOT NULL) AS label,
    min(event_time) AS first_seen_at,
    max(event_time) AS updated_at
FROM events
GROUP BY platform, kol_id
