-- The fingerprint of o'd"d.`t``b l`, partition it's_day=2031-04-02/a/b=%6Eull: per partition the rows, and both halves of the sum of the md5 digests
-- of their canonical rows, modulo 2^64. `fingerprint` is the low half, as DataFingerprint shows it.
WITH canonical_rows AS (
  SELECT
    'it\'s_day=' || coalesce(date_format(`it's`, 'yyyy-MM-dd'), 'null') || '/' || 'a/b=' || coalesce(CASE WHEN `a/b` = 'null' THEN '%6Eull' ELSE replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(`a/b`, '%', '%25'), '/', '%2F'), '=', '%3D'), chr(0), '%00'), chr(1), '%01'), chr(2), '%02'), chr(3), '%03'), chr(4), '%04'), chr(5), '%05'), chr(6), '%06'), chr(7), '%07'), chr(8), '%08'), chr(9), '%09'), chr(10), '%0A'), chr(11), '%0B'), chr(12), '%0C'), chr(13), '%0D'), chr(14), '%0E'), chr(15), '%0F'), chr(16), '%10'), chr(17), '%11'), chr(18), '%12'), chr(19), '%13'), chr(20), '%14'), chr(21), '%15'), chr(22), '%16'), chr(23), '%17'), chr(24), '%18'), chr(25), '%19'), chr(26), '%1A'), chr(27), '%1B'), chr(28), '%1C'), chr(29), '%1D'), chr(30), '%1E'), chr(31), '%1F'), chr(127), '%7F') END, 'null') AS `partition`,
    concat_ws('|',
      'a/b=' || octet_length(`a/b`) || ':' || `a/b`,
      'back`tick=' || CAST(`back``tick` AS STRING),
      'f=' || CAST((CASE WHEN CAST(`f` AS DOUBLE) IS NULL THEN NULL WHEN CAST(`f` AS DOUBLE) = 0 THEN 0 WHEN abs(CAST(`f` AS DOUBLE)) < CAST('2.2250738585072014e-308' AS DOUBLE) THEN CAST(least(abs(CAST(`f` AS DOUBLE)), CAST('2.2250738585072014e-308' AS DOUBLE)) * power(CAST('2' AS DOUBLE), 537) * power(CAST('2' AS DOUBLE), 537) AS BIGINT) WHEN (abs(CAST(`f` AS DOUBLE)) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(CAST(`f` AS DOUBLE)), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) < 1 THEN (CAST(least(greatest(floor(log2(greatest(abs(CAST(`f` AS DOUBLE)), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023) AS BIGINT) + 1022) * 4503599627370496 + CAST(least(greatest((abs(CAST(`f` AS DOUBLE)) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(CAST(`f` AS DOUBLE)), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) * 2 - 1, 0), 1) * 4503599627370496 AS BIGINT) WHEN (abs(CAST(`f` AS DOUBLE)) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(CAST(`f` AS DOUBLE)), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) >= 2 THEN (CAST(least(greatest(floor(log2(greatest(abs(CAST(`f` AS DOUBLE)), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023) AS BIGINT) + 1024) * 4503599627370496 + CAST(least(greatest((abs(CAST(`f` AS DOUBLE)) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(CAST(`f` AS DOUBLE)), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) / 2 - 1, 0), 1) * 4503599627370496 AS BIGINT) ELSE (CAST(least(greatest(floor(log2(greatest(abs(CAST(`f` AS DOUBLE)), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023) AS BIGINT) + 1023) * 4503599627370496 + CAST(least(greatest((abs(CAST(`f` AS DOUBLE)) / power(CAST('2' AS DOUBLE), least(greatest(floor(log2(greatest(abs(CAST(`f` AS DOUBLE)), CAST('2.2250738585072014e-308' AS DOUBLE)))), -1022), 1023))) - 1, 0), 1) * 4503599627370496 AS BIGINT) END + CASE WHEN CAST(`f` AS DOUBLE) < 0 THEN -9223372036854775807 - 1 ELSE 0 END) AS STRING),
      'it\'s=' || date_format(`it's`, 'yyyy-MM-dd HH:mm:ss.SSSSSS'),
      'lang=' || `lang`,
      'o"d%7Cd%3D%25=' || lower(hex(`o"d|d=%`)),
      'when=' || date_format(`when`, 'yyyy-MM-dd HH:mm:ss.SSSSSS'),
      'é\n=' || CAST(`é
` AS STRING)) AS canonical
  FROM `datafingerprint`.`o-27d-22d`.`t-60b-20l`
  WHERE `it's` >= TIMESTAMP '2031-04-02 00:00:00' AND `it's` < TIMESTAMP '2031-04-03 00:00:00'
    AND `a/b` = 'null'
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
