-- The fingerprint of s.t, partition -: per partition the rows, and the sums of the four 32-bit words of the
-- md5 digests of their canonical rows. Modulo 2^64, w0 * 2^32 + w1 is the high half and w2 * 2^32 + w3 the
-- low half, which is the fingerprint that DataFingerprint shows.
WITH canonical_rows AS (
  SELECT
    '-' AS "partition",
    substring(
      coalesce('|' || 'back`tick=' || CAST("back`tick" AS VARCHAR), '')
      || coalesce('|' || 'o"d%7Cd%3D%25=' || lower(to_hex("o""d|d=%")), ''), 2) AS canonical
  FROM "s"."t"
), digests AS (
  SELECT "partition", md5(canonical) AS digest FROM canonical_rows
), sums AS (
  SELECT "partition", count(*) AS "rows",
    sum(strtol(substring(digest, 1, 8), 16)) AS w0,
    sum(strtol(substring(digest, 9, 8), 16)) AS w1,
    sum(strtol(substring(digest, 17, 8), 16)) AS w2,
    sum(strtol(substring(digest, 25, 8), 16)) AS w3
  FROM digests GROUP BY "partition"
)
SELECT "partition", "rows",
  w0, w1, w2, w3
FROM sums ORDER BY "partition";
