-- The fingerprint of ootp.players, partition date_year=2031: per partition the rows, and the sums of the four 32-bit words of the
-- md5 digests of their canonical rows. Modulo 2^64, w0 * 2^32 + w1 is the high half and w2 * 2^32 + w3 the
-- low half, which is `fingerprint`, as DataFingerprint shows it.
-- `unrendered` must be 0: the number of rows that are too long for the server's max_allowed_packet.
SELECT `sums`.*,
  CAST((`w2` * 4294967296 + `w3`) % 18446744073709551616 AS UNSIGNED) AS `fingerprint`
FROM (
SELECT `partition`, COUNT(*) AS `rows`,
  COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, 1, 8), 16, 10) AS UNSIGNED)), 0) AS `w0`,
  COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, 9, 8), 16, 10) AS UNSIGNED)), 0) AS `w1`,
  COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, 17, 8), 16, 10) AS UNSIGNED)), 0) AS `w2`,
  COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, 25, 8), 16, 10) AS UNSIGNED)), 0) AS `w3`,
  SUM(`digest` IS NULL) AS `unrendered`
FROM (
    SELECT CONVERT(CONCAT('date_year=', COALESCE(IF(YEAR(`date`) >= 1 AND DAYOFMONTH(`date`) BETWEEN 1 AND ELT(MONTH(`date`), 31, 28 + (YEAR(`date`) % 4 = 0 AND YEAR(`date`) % 100 <> 0 OR YEAR(`date`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`date`, '%Y'), NULL), 'null')) USING utf8mb4) COLLATE utf8mb4_nopad_bin AS `partition`,
    MD5(CONCAT_WS('|',
      CONCAT('date=', IF(YEAR(`date`) >= 1 AND DAYOFMONTH(`date`) BETWEEN 1 AND ELT(MONTH(`date`), 31, 28 + (YEAR(`date`) % 4 = 0 AND YEAR(`date`) % 100 <> 0 OR YEAR(`date`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`date`, '%Y-%m-%d'), NULL)),
      CONCAT('fee=', `fee` + 0),
      CONCAT('id=', `id` + 0),
      CONCAT('name=', CONCAT(LENGTH(CONVERT(`name` USING utf8mb4)), ':', CONVERT(`name` USING utf8mb4))),
      CONCAT('rating=', (CASE WHEN `rating` = 0 THEN 0 WHEN ABS(`rating`) < 2.2250738585072014e-308 THEN CAST(ABS(`rating`) * POW(2, 537) * POW(2, 537) AS SIGNED) WHEN (ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) < 1 THEN CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023) + 1022) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) * 2 - 1) * 4503599627370496e0 AS SIGNED) WHEN (ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) >= 2 THEN CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023) + 1024) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) / 2 - 1) * 4503599627370496e0 AS SIGNED) ELSE CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023) + 1023) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(`rating`) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(`rating`))), -1022), 1023))) - 1) * 4503599627370496e0 AS SIGNED) END) + IF(`rating` < 0, -9223372036854775807 - 1, 0)))) AS `digest`
    FROM `ootp`.`players`
    WHERE `date` >= '2031-01-01' AND `date` < '2032-01-01' AND CONCAT('date_year=', COALESCE(IF(YEAR(`date`) >= 1 AND DAYOFMONTH(`date`) BETWEEN 1 AND ELT(MONTH(`date`), 31, 28 + (YEAR(`date`) % 4 = 0 AND YEAR(`date`) % 100 <> 0 OR YEAR(`date`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`date`, '%Y'), NULL), 'null')) COLLATE utf8mb4_nopad_bin = 'date_year=2031'
    LIMIT 18446744073709551615
) AS `digests`
GROUP BY `partition` ORDER BY `partition`
) AS `sums`
ORDER BY `partition`;
