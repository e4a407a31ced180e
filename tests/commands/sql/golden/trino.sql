-- The fingerprint of ootp.players, partition date_year=2031: per partition the rows, and both halves of the sum of the md5 digests
-- of their canonical rows, modulo 2^64. `fingerprint` is the low half, as DataFingerprint shows it.
WITH canonical_rows AS (
  SELECT
    'date_year=' || coalesce(substr(CAST("date" AS varchar), 1, 4), 'null') AS "partition",
    array_join(filter(ARRAY[
      'date=' || CAST("date" AS varchar),
      'fee=' || CAST("fee" AS varchar),
      'id=' || CAST("id" AS varchar),
      'name=' || CAST(length(to_utf8("name")) AS varchar) || ':' || "name",
      'rating=' || CAST(CASE WHEN "rating" = 0 THEN 0 ELSE from_big_endian_64(to_ieee754_64("rating")) END AS varchar)
    ], field -> field IS NOT NULL), '|') AS canonical
  FROM "lake"."ootp"."players"
  WHERE "date" >= DATE '2031-01-01' AND "date" < DATE '2032-01-01'
), digests AS (
  SELECT "partition", lower(to_hex(md5(to_utf8(canonical)))) AS digest FROM canonical_rows
), sums AS (
  SELECT "partition", count(*) AS "rows",
    sum(from_base(substr(digest, 1, 8), 16)) AS w0,
    sum(from_base(substr(digest, 9, 8), 16)) AS w1,
    sum(from_base(substr(digest, 17, 8), 16)) AS w2,
    sum(from_base(substr(digest, 25, 8), 16)) AS w3
  FROM digests GROUP BY "partition"
)
SELECT "partition", "rows",
  mod(CAST(w0 AS decimal(38, 0)) * 4294967296 + w1, DECIMAL '18446744073709551616') AS hi,
  mod(CAST(w2 AS decimal(38, 0)) * 4294967296 + w3, DECIMAL '18446744073709551616') AS fingerprint
FROM sums ORDER BY "partition";
