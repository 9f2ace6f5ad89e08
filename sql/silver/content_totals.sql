-- silver.content_totals: one row for each content: its last totals.
--
-- What a stream starts from: the increase of the next event is counted against these.
SELECT
    platform,
    content_id,
    kol_id,
    posted_at,
    views,
    likes,
    comments,
    shares,
    updated_at
FROM silver.kol_content
