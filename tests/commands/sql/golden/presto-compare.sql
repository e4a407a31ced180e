-- Partitions of ootp.players, partition date_year=2031 that differ between source and lake. No row means that all are equal.
-- Both are read as they are now. While rows are written, the lake is some seconds behind.
-- The session must be in UTC. In Presto only the client can set that: by X-Presto-Time-Zone, in the CLI by
-- java -Duser.timezone=UTC. Presto reads the lake as of the last `datafingerprint export-catalog`.
SELECT coalesce(source."partition", lake."partition") AS "partition",
  source."rows" AS source_rows, lake."rows" AS lake_rows,
  source.fingerprint AS source_fingerprint, lake.fingerprint AS lake_fingerprint
FROM (
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
  FROM "source"."ootp"."players"
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
FROM sums
) source FULL OUTER JOIN (
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
FROM sums
) lake
  ON source."partition" = lake."partition"
WHERE source."rows" IS DISTINCT FROM lake."rows"
   OR source.hi IS DISTINCT FROM lake.hi
   OR source.fingerprint IS DISTINCT FROM lake.fingerprint
ORDER BY 1;
