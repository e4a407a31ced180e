-- Partitions of ootp.players, partition date_year=2031 that differ between source and lake. No row means that all are equal.
-- Both are read as they are now. While rows are written, the lake is some seconds behind.
-- Rows without a source_fingerprint are unknown: a row or a value is longer than the source's max_allowed_packet, or
-- the session is not in UTC, or has a mode that alters values. The connection-url of the catalog source must set
-- (for MySQL's connector the + is %2B)
-- sessionVariables=time_zone='+00:00',sql_mode='',sql_select_limit=18446744073709551615.
SELECT coalesce(source."partition", lake."partition") AS "partition",
  source."rows" AS source_rows, lake."rows" AS lake_rows,
  source.fingerprint AS source_fingerprint, lake.fingerprint AS lake_fingerprint
FROM (
SELECT "partition", "rows",
  CASE WHEN unrendered = 0 AND fit = 1 THEN mod(CAST(w0 AS decimal(38, 0)) * 4294967296 + w1, DECIMAL '18446744073709551616') END AS hi,
  CASE WHEN unrendered = 0 AND fit = 1 THEN mod(CAST(w2 AS decimal(38, 0)) * 4294967296 + w3, DECIMAL '18446744073709551616') END AS fingerprint
FROM TABLE("source".system.query(query => 'SELECT CAST(`partition` AS CHAR(16383)) AS `partition`, `rows`, CAST(`w0` AS UNSIGNED) AS `w0`, CAST(`w1` AS UNSIGNED) AS `w1`, CAST(`w2` AS UNSIGNED) AS `w2`, CAST(`w3` AS UNSIGNED) AS `w3`, `unrendered`,
  (@@session.time_zone IN (''+00:00'', ''UTC'') OR @@session.time_zone = ''SYSTEM'' AND @@system_time_zone = ''UTC'') AND @@session.sql_mode NOT REGEXP ''PAD_CHAR_TO_FULL_LENGTH|ORACLE|EMPTY_STRING_IS_NULL'' AND CHAR_LENGTH(`partition`) <= 16383 AS `fit` FROM (
SELECT `partition`, COUNT(*) AS `rows`,
  COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, 1, 8), 16, 10) AS UNSIGNED)), 0) AS `w0`,
  COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, 9, 8), 16, 10) AS UNSIGNED)), 0) AS `w1`,
  COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, 17, 8), 16, 10) AS UNSIGNED)), 0) AS `w2`,
  COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, 25, 8), 16, 10) AS UNSIGNED)), 0) AS `w3`,
  SUM(`digest` IS NULL) AS `unrendered`
FROM (
    SELECT CONVERT(CONCAT(''date_year='', COALESCE(IF(YEAR(`date`) >= 1 AND DAYOFMONTH(`date`) BETWEEN 1 AND ELT(MONTH(`date`), 31, 28 + (YEAR(`date`) % 4 = 0 AND YEAR(`date`) % 100 <> 0 OR YEAR(`date`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`date`, ''%Y''), NULL), ''null'')) USING utf8mb4) COLLATE utf8mb4_nopad_bin AS `partition`,
    MD5(CONCAT_WS(''|'',
      CONCAT(''date='', IF(YEAR(`date`) >= 1 AND DAYOFMONTH(`date`) BETWEEN 1 AND ELT(MONTH(`date`), 31, 28 + (YEAR(`date`) % 4 = 0 AND YEAR(`date`) % 100 <> 0 OR YEAR(`date`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`date`, ''%Y-%m-%d''), NULL)),
      CONCAT(''fee='', `fee` + 0),
      CONCAT(''id='', `id` + 0),
      CONCAT(''name='', CONCAT(LENGTH(CONVERT(`name` USING utf8mb4)), '':'', CONVERT(`name` USING utf8mb4))),
      CONCAT(''rating='', (CASE WHEN `rating` = 0 THEN 0 WHEN ABS(`rating`) < 2.2250738585072014e-308 THEN CAST(ABS(`rating`) * POW(2, 537) * POW(2, 537) AS SIGNED) WHEN (ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) < 1 THEN CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023) + 1022) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) * 2 - 1) * 4503599627370496e0 AS SIGNED) WHEN (ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) >= 2 THEN CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023) + 1024) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) / 2 - 1) * 4503599627370496e0 AS SIGNED) ELSE CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023) + 1023) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) - 1) * 4503599627370496e0 AS SIGNED) END) + IF(`rating` < 0, -9223372036854775807 - 1, 0)))) AS `digest`
    FROM `ootp`.`players`
    WHERE `date` >= ''2031-01-01'' AND `date` < ''2032-01-01'' AND CONCAT(''date_year='', COALESCE(IF(YEAR(`date`) >= 1 AND DAYOFMONTH(`date`) BETWEEN 1 AND ELT(MONTH(`date`), 31, 28 + (YEAR(`date`) % 4 = 0 AND YEAR(`date`) % 100 <> 0 OR YEAR(`date`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`date`, ''%Y''), NULL), ''null'')) COLLATE utf8mb4_nopad_bin = ''date_year=2031''
    LIMIT 18446744073709551615
) AS `digests`
GROUP BY `partition` ORDER BY `partition`
) AS `sums`'))
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
