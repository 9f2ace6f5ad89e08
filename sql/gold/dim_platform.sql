-- gold.dim_platform: one row for each platform that an event may name.
SELECT
    platform_key,
    platform,
    platform_name
FROM (
    VALUES
    (1, 'tiktok', 'TikTok'),
    (2, 'twitter', 'Twitter'),
    (3, 'youtube', 'YouTube'),
    (4, 'instagram', 'Instagram')
) AS t (platform_key, platform, platform_name)
