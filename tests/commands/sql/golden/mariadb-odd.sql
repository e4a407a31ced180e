-- The fingerprint of o'd"d.`t``b l`, partition it's_day=2031-04-02/a/b=%6Eull: per partition the rows, and the sums of the four 32-bit words of the
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
    SELECT CONVERT(CONCAT(_utf8mb4 x'697427735f6461793d', COALESCE(IF(YEAR(`it's`) >= 1 AND DAYOFMONTH(`it's`) BETWEEN 1 AND ELT(MONTH(`it's`), 31, 28 + (YEAR(`it's`) % 4 = 0 AND YEAR(`it's`) % 100 <> 0 OR YEAR(`it's`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`it's`, '%Y-%m-%d'), NULL), 'null'), '/', 'a/b=', COALESCE(IF(CONVERT(`a/b` USING utf8mb4) COLLATE utf8mb4_nopad_bin = 'null', '%6Eull', REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CONVERT(`a/b` USING utf8mb4), '%', '%25'), '/', '%2F'), '=', '%3D'), _utf8mb4 x'00', '%00'), _utf8mb4 x'01', '%01'), _utf8mb4 x'02', '%02'), _utf8mb4 x'03', '%03'), _utf8mb4 x'04', '%04'), _utf8mb4 x'05', '%05'), _utf8mb4 x'06', '%06'), _utf8mb4 x'07', '%07'), _utf8mb4 x'08', '%08'), _utf8mb4 x'09', '%09'), _utf8mb4 x'0a', '%0A'), _utf8mb4 x'0b', '%0B'), _utf8mb4 x'0c', '%0C'), _utf8mb4 x'0d', '%0D'), _utf8mb4 x'0e', '%0E'), _utf8mb4 x'0f', '%0F'), _utf8mb4 x'10', '%10'), _utf8mb4 x'11', '%11'), _utf8mb4 x'12', '%12'), _utf8mb4 x'13', '%13'), _utf8mb4 x'14', '%14'), _utf8mb4 x'15', '%15'), _utf8mb4 x'16', '%16'), _utf8mb4 x'17', '%17'), _utf8mb4 x'18', '%18'), _utf8mb4 x'19', '%19'), _utf8mb4 x'1a', '%1A'), _utf8mb4 x'1b', '%1B'), _utf8mb4 x'1c', '%1C'), _utf8mb4 x'1d', '%1D'), _utf8mb4 x'1e', '%1E'), _utf8mb4 x'1f', '%1F'), _utf8mb4 x'7f', '%7F')), 'null')) USING utf8mb4) COLLATE utf8mb4_nopad_bin AS `partition`,
    MD5(CONCAT_WS('|',
      CONCAT('a/b=', CONCAT(LENGTH(CONVERT(`a/b` USING utf8mb4)), ':', CONVERT(`a/b` USING utf8mb4))),
      CONCAT('back`tick=', `back``tick` + 0),
      CONCAT('f=', (CASE WHEN CAST(`f` AS DOUBLE) = 0 THEN 0 WHEN ABS(CAST(`f` AS DOUBLE)) < 2.2250738585072014e-308 THEN CAST(ABS(CAST(`f` AS DOUBLE)) * POW(2, 537) * POW(2, 537) AS SIGNED) WHEN (ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) < 1 THEN CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023) + 1022) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) * 2 - 1) * 4503599627370496e0 AS SIGNED) WHEN (ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) >= 2 THEN CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023) + 1024) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) / 2 - 1) * 4503599627370496e0 AS SIGNED) ELSE CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023) + 1023) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) - 1) * 4503599627370496e0 AS SIGNED) END) + IF(CAST(`f` AS DOUBLE) < 0, -9223372036854775807 - 1, 0)),
      CONCAT(_utf8mb4 x'697427733d', IF(YEAR(`it's`) >= 1 AND DAYOFMONTH(`it's`) BETWEEN 1 AND ELT(MONTH(`it's`), 31, 28 + (YEAR(`it's`) % 4 = 0 AND YEAR(`it's`) % 100 <> 0 OR YEAR(`it's`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`it's`, '%Y-%m-%d %H:%i:%s.%f'), NULL)),
      CONCAT('lang=', `lang` + 0),
      CONCAT('o"d%7Cd%3D%25=', LOWER(HEX(`o"d|d=%`))),
      CONCAT('when=', IF(YEAR(`when`) >= 1 AND DAYOFMONTH(`when`) BETWEEN 1 AND ELT(MONTH(`when`), 31, 28 + (YEAR(`when`) % 4 = 0 AND YEAR(`when`) % 100 <> 0 OR YEAR(`when`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`when`, '%Y-%m-%d %H:%i:%s.%f'), NULL)),
      CONCAT(_utf8mb4 x'c3a90a3d', IF(CAST(`é
` AS CHAR) LIKE '-%', -1, 1) * (((HOUR(`é
`) * 60 + MINUTE(`é
`)) * 60 + SECOND(`é
`)) * 1000000 + MICROSECOND(`é
`))))) AS `digest`
    FROM `o'd"d`.`t``b l`
    WHERE CONCAT(_utf8mb4 x'697427735f6461793d', COALESCE(IF(YEAR(`it's`) >= 1 AND DAYOFMONTH(`it's`) BETWEEN 1 AND ELT(MONTH(`it's`), 31, 28 + (YEAR(`it's`) % 4 = 0 AND YEAR(`it's`) % 100 <> 0 OR YEAR(`it's`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`it's`, '%Y-%m-%d'), NULL), 'null'), '/', 'a/b=', COALESCE(IF(CONVERT(`a/b` USING utf8mb4) COLLATE utf8mb4_nopad_bin = 'null', '%6Eull', REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CONVERT(`a/b` USING utf8mb4), '%', '%25'), '/', '%2F'), '=', '%3D'), _utf8mb4 x'00', '%00'), _utf8mb4 x'01', '%01'), _utf8mb4 x'02', '%02'), _utf8mb4 x'03', '%03'), _utf8mb4 x'04', '%04'), _utf8mb4 x'05', '%05'), _utf8mb4 x'06', '%06'), _utf8mb4 x'07', '%07'), _utf8mb4 x'08', '%08'), _utf8mb4 x'09', '%09'), _utf8mb4 x'0a', '%0A'), _utf8mb4 x'0b', '%0B'), _utf8mb4 x'0c', '%0C'), _utf8mb4 x'0d', '%0D'), _utf8mb4 x'0e', '%0E'), _utf8mb4 x'0f', '%0F'), _utf8mb4 x'10', '%10'), _utf8mb4 x'11', '%11'), _utf8mb4 x'12', '%12'), _utf8mb4 x'13', '%13'), _utf8mb4 x'14', '%14'), _utf8mb4 x'15', '%15'), _utf8mb4 x'16', '%16'), _utf8mb4 x'17', '%17'), _utf8mb4 x'18', '%18'), _utf8mb4 x'19', '%19'), _utf8mb4 x'1a', '%1A'), _utf8mb4 x'1b', '%1B'), _utf8mb4 x'1c', '%1C'), _utf8mb4 x'1d', '%1D'), _utf8mb4 x'1e', '%1E'), _utf8mb4 x'1f', '%1F'), _utf8mb4 x'7f', '%7F')), 'null')) COLLATE utf8mb4_nopad_bin = _utf8mb4 x'697427735f6461793d323033312d30342d30322f612f623d253645756c6c'
    LIMIT 18446744073709551615
) AS `digests`
GROUP BY `partition` ORDER BY `partition`
) AS `sums`
ORDER BY `partition`;
