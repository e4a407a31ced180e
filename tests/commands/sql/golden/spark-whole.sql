-- The fingerprint of s.t, partition -: per partition the rows, and both halves of the sum of the md5 digests
-- of their canonical rows, modulo 2^64. `fingerprint` is the low half, as DataFingerprint shows it.
WITH canonical_rows AS (
  SELECT
    '-' AS `partition`,
    concat_ws('|',
      'back`tick=' || CAST(`back``tick` AS STRING),
      'o"d%7Cd%3D%25=' || lower(hex(`o"d|d=%`))) AS canonical
  FROM `datafingerprint`.`s`.`t`
), digests AS (
  SELECT `partition`, md5(canonical) AS digest FROM canonical_rows
), sums AS (
  SELECT `partition`, count(*) AS `rows`,
    sum(CAST(conv(substr(digest, 1, 8), 16, 10) AS BIGINT)) AS w0,
    sum(CAST(conv(substr(digest, 9, 8), 16, 10) AS BIGINT)) AS w1,
    sum(CAST(conv(substr(digest, 17, 8), 16, 10) AS BIGINT)) AS w2,
    sum(CAST(conv(substr(digest, 25, 8), 16, 10) AS BIGINT)) AS w3
  FROM digests GROUP BY `partition`
)
SELECT `partition`, `rows`,
  pmod(CAST(w0 AS DECIMAL(38, 0)) * 4294967296 + w1, 18446744073709551616) AS hi,
  pmod(CAST(w2 AS DECIMAL(38, 0)) * 4294967296 + w3, 18446744073709551616) AS fingerprint
FROM sums ORDER BY `partition`;
