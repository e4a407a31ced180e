-- The fingerprint of s.t, partition -: per partition the rows, and both halves of the sum of the md5 digests
-- of their canonical rows, modulo 2^64. `fingerprint` is the low half, as DataFingerprint shows it.
-- The session must be in UTC. In Presto only the client can set that: by X-Presto-Time-Zone, in the CLI by
-- java -Duser.timezone=UTC. Presto reads the lake as of the last `datafingerprint export-catalog`.
WITH canonical_rows AS (
  SELECT
    '-' AS "partition",
    array_join(filter(ARRAY[
      'back`tick=' || CAST("back`tick" AS varchar),
      'o"d%7Cd%3D%25=' || lower(to_hex("o""d|d=%"))
    ], field -> field IS NOT NULL), '|') AS canonical
  FROM "lake"."s"."t"
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
