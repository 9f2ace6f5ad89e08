-- gold.dim_content_type: one row for each kind of content.
--
-- Keys never change. `none` is the account itself, without a content; `other` is any word that is
-- not in this list; `unknown` is content whose kind no event told.
SELECT
    content_type_key,
    content_type
FROM (
    VALUES
    (0, 'none'),
    (1, 'video'),
    (2, 'short'),
    (3, 'live'),
    (4, 'image'),
    (5, 'post'),
    (6, 'other'),
    (7, 'unknown')
) AS t (content_type_key, content_type)
