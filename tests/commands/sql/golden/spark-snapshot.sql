-- The fingerprint of ootp.players: per partition the rows, and both halves of the sum of the md5 digests
-- of their canonical rows, modulo 2^64. `fingerprint` is the low half, as DataFingerprint shows it.
WITH canonical_rows AS (
  SELECT
    'date_year=' || coalesce(date_format(`date`, 'yyyy'), 'null') AS `partition`,
    concat_ws('|',
      'date=' || CAST(`date` AS STRING),
      'fee=' || CAST(`fee` AS STRING),
      'id=' || CAST(`id` AS STRING),
      'name=' || octet_length(`name`) || ':' || `name`,
      'rating=' || CAST((CASE WHEN `rating` IS NULL THEN NULL WHEN `rating` = 0 THEN 0 WHEN abs(`rating`) < CAST('2.2250738585072014e-308' AS DOUBLE) THEN CAST(least(abs(`rating`), CAST('2.2250738585072014e-308' AS DOUBLE)) * power(CAST('2' AS DOUBLE), 537) * power(CAST('2' AS DOUBLE), 537) AS BIGINT) WHEN (abs(`rating`) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(`rating`), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) < 1 THEN (CAST(least(greatest(floor(log2(greatest(abs(`rating`), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023) AS BIGINT) + 1022) * 4503599627370496 + CAST(least(greatest((abs(`rating`) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(`rating`), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) * 2 - 1, 0), 1) * 4503599627370496 AS BIGINT) WHEN (abs(`rating`) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(`rating`), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) >= 2 THEN (CAST(least(greatest(floor(log2(greatest(abs(`rating`), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023) AS BIGINT) + 1024) * 4503599627370496 + CAST(least(greatest((abs(`rating`) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(`rating`), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) / 2 - 1, 0), 1) * 4503599627370496 AS BIGINT) ELSE (CAST(least(greatest(floor(log2(greatest(abs(`rating`), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023) AS BIGINT) + 1023) * 4503599627370496 + CAST(least(greatest((abs(`rating`) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(`rating`), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) - 1, 0), 1) * 4503599627370496 AS BIGINT) END + CASE WHEN `rating` < 0 THEN -9223372036854775807 - 1 ELSE 0 END) AS STRING)) AS canonical
  FROM `my lake`.`ootp`.`players` VERSION AS OF 7
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
