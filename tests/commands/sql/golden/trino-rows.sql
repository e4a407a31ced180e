-- Every row of ootp.players, partition date_year=2031: its partition, the canonical form of its key, and the md5 digest of its canonical row.
WITH canonical_rows AS (
  SELECT
    'date_year=' || coalesce(substr(CAST("date" AS varchar), 1, 4), 'null') AS "partition",
    array_join(filter(ARRAY[
      'id=' || CAST("id" AS varchar)
    ], field -> field IS NOT NULL), '|') AS "key",
    array_join(filter(ARRAY[
      'date=' || CAST("date" AS varchar),
      'fee=' || CAST("fee" AS varchar),
      'id=' || CAST("id" AS varchar),
      'name=' || CAST(length(to_utf8("name")) AS varchar) || ':' || "name",
      'rating=' || CAST(CASE WHEN "rating" = 0 THEN 0 ELSE from_big_endian_64(to_ieee754_64("rating")) END AS varchar)
    ], field -> field IS NOT NULL), '|') AS canonical
  FROM "lake"."ootp"."players"
  WHERE "date" >= DATE '2031-01-01' AND "date" < DATE '2032-01-01'
)
SELECT "partition", "key", lower(to_hex(md5(to_utf8(canonical)))) AS digest
FROM canonical_rows;
