-- silver.kol_labels: one row for each account with a label: what was known of it at that moment.
--
-- The newest label by (event_time, log_partition, log_offset) counts, as in silver.kol_profiles, and
-- its event_time is the moment. Of each field it is the newest value by the same order among the
-- events up to that moment: what came later may follow from what the label says (a bot that was found
-- out loses its followers), and is unknown where a model has to judge.
--
-- The bound is a time, not a place in the log: an event that is in bronze twice changes nothing, and
-- these are the rows of a lake that ends at the label.
WITH labels AS (
    SELECT
        platform,
        coalesce(username, user_id) AS kol_id,
        max_by(label, ROW(event_time, log_partition, log_offset)) AS label,
        max(event_time) AS labelled_at
    FROM bronze.profiles
    WHERE label IS NOT NULL
    GROUP BY platform, coalesce(username, user_id)
),
events AS (
    SELECT
        l.platform,
        l.kol_id,
        l.label,
        l.labelled_at,
        p.followers_count, p.following_count, p.post_count, p.favorites_count,
        p.account_age_days, p.account_created_at,
        coalesce(p.has_bio, p.bio <> '') AS has_bio,
        coalesce(p.bio_length, length(p.bio)) AS bio_length,
        p.has_url,
        coalesce(p.has_profile_image, p.avatar_url <> '') AS has_profile_image,
        p.verified, p.default_profile, p.default_profile_image,
        p.event_time,
        ROW(p.event_time, p.log_partition, p.log_offset) AS place
    FROM bronze.profiles AS p
    JOIN labels AS l
        ON l.platform = p.platform AND l.kol_id = coalesce(p.username, p.user_id)
    WHERE p.event_time <= l.labelled_at
)
SELECT
    platform,
    kol_id,
    max_by(followers_count, place) FILTER (WHERE followers_count IS NOT NULL)
        AS followers_count,
    max_by(following_count, place) FILTER (WHERE following_count IS NOT NULL)
        AS following_count,
    max_by(post_count, place) FILTER (WHERE post_count IS NOT NULL) AS post_count,
    max_by(favorites_count, place) FILTER (WHERE favorites_count IS NOT NULL)
        AS favorites_count,
    max_by(account_age_days, place) FILTER (WHERE account_age_days IS NOT NULL)
        AS account_age_days,
    max(event_time) FILTER (WHERE account_age_days IS NOT NULL) AS account_age_at,
    max_by(account_created_at, place) FILTER (WHERE account_created_at IS NOT NULL)
        AS account_created_at,
    max_by(bio_length, place) FILTER (WHERE bio_length IS NOT NULL) AS bio_length,
    max_by(has_bio, place) FILTER (WHERE has_bio IS NOT NULL) AS has_bio,
    max_by(has_url, place) FILTER (WHERE has_url IS NOT NULL) AS has_url,
    max_by(has_profile_image, place) FILTER (WHERE has_profile_image IS NOT NULL)
        AS has_profile_image,
    max_by(verified, place) FILTER (WHERE verified IS NOT NULL) AS verified,
    max_by(default_profile, place) FILTER (WHERE default_profile IS NOT NULL)
        AS default_profile,
    max_by(default_profile_image, place) FILTER (WHERE default_profile_image IS NOT NULL)
        AS default_profile_image,
    max(label) AS label,
    max(labelled_at) AS labelled_at
FROM events
GROUP BY platform, kol_id
