-- Partitions of o'd"d.`t``b l` that differ between source and lake. No row means that all are equal.
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
    SELECT CONVERT(CONCAT(_utf8mb4 x''697427735f6461793d'', COALESCE(IF(YEAR(`it''s`) >= 1 AND DAYOFMONTH(`it''s`) BETWEEN 1 AND ELT(MONTH(`it''s`), 31, 28 + (YEAR(`it''s`) % 4 = 0 AND YEAR(`it''s`) % 100 <> 0 OR YEAR(`it''s`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`it''s`, ''%Y-%m-%d''), NULL), ''null''), ''/'', ''a/b='', COALESCE(IF(CONVERT(`a/b` USING utf8mb4) COLLATE utf8mb4_nopad_bin = ''null'', ''%6Eull'', REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CONVERT(`a/b` USING utf8mb4), ''%'', ''%25''), ''/'', ''%2F''), ''='', ''%3D''), _utf8mb4 x''00'', ''%00''), _utf8mb4 x''01'', ''%01''), _utf8mb4 x''02'', ''%02''), _utf8mb4 x''03'', ''%03''), _utf8mb4 x''04'', ''%04''), _utf8mb4 x''05'', ''%05''), _utf8mb4 x''06'', ''%06''), _utf8mb4 x''07'', ''%07''), _utf8mb4 x''08'', ''%08''), _utf8mb4 x''09'', ''%09''), _utf8mb4 x''0a'', ''%0A''), _utf8mb4 x''0b'', ''%0B''), _utf8mb4 x''0c'', ''%0C''), _utf8mb4 x''0d'', ''%0D''), _utf8mb4 x''0e'', ''%0E''), _utf8mb4 x''0f'', ''%0F''), _utf8mb4 x''10'', ''%10''), _utf8mb4 x''11'', ''%11''), _utf8mb4 x''12'', ''%12''), _utf8mb4 x''13'', ''%13''), _utf8mb4 x''14'', ''%14''), _utf8mb4 x''15'', ''%15''), _utf8mb4 x''16'', ''%16''), _utf8mb4 x''17'', ''%17''), _utf8mb4 x''18'', ''%18''), _utf8mb4 x''19'', ''%19''), _utf8mb4 x''1a'', ''%1A''), _utf8mb4 x''1b'', ''%1B''), _utf8mb4 x''1c'', ''%1C''), _utf8mb4 x''1d'', ''%1D''), _utf8mb4 x''1e'', ''%1E''), _utf8mb4 x''1f'', ''%1F''), _utf8mb4 x''7f'', ''%7F'')), ''null'')) USING utf8mb4) COLLATE utf8mb4_nopad_bin AS `partition`,
    MD5(CONCAT_WS(''|'',
      CONCAT(''a/b='', CONCAT(LENGTH(CONVERT(`a/b` USING utf8mb4)), '':'', CONVERT(`a/b` USING utf8mb4))),
      CONCAT(''back`tick='', `back``tick` + 0),
      CONCAT(''f='', (CASE WHEN CAST(`f` AS DOUBLE) = 0 THEN 0 WHEN ABS(CAST(`f` AS DOUBLE)) < 2.2250738585072014e-308 THEN CAST(ABS(CAST(`f` AS DOUBLE)) * POW(2, 537) * POW(2, 537) AS SIGNED) WHEN (ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) < 1 THEN CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023) + 1022) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) * 2 - 1) * 4503599627370496e0 AS SIGNED) WHEN (ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) >= 2 THEN CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023) + 1024) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) / 2 - 1) * 4503599627370496e0 AS SIGNED) ELSE CAST((LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023) + 1023) * 4503599627370496e0 AS SIGNED) + CAST(((ABS(CAST(`f` AS DOUBLE)) / POW(2, LEAST(GREATEST(FLOOR(LOG2(ABS(CAST(`f` AS DOUBLE)))), -1022), 1023))) - 1) * 4503599627370496e0 AS SIGNED) END) + IF(CAST(`f` AS DOUBLE) < 0, -9223372036854775807 - 1, 0)),
      CONCAT(_utf8mb4 x''697427733d'', IF(YEAR(`it''s`) >= 1 AND DAYOFMONTH(`it''s`) BETWEEN 1 AND ELT(MONTH(`it''s`), 31, 28 + (YEAR(`it''s`) % 4 = 0 AND YEAR(`it''s`) % 100 <> 0 OR YEAR(`it''s`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`it''s`, ''%Y-%m-%d %H:%i:%s.%f''), NULL)),
      CONCAT(''lang='', `lang` + 0),
      CONCAT(''o"d%7Cd%3D%25='', LOWER(HEX(`o"d|d=%`))),
      CONCAT(''when='', IF(YEAR(`when`) >= 1 AND DAYOFMONTH(`when`) BETWEEN 1 AND ELT(MONTH(`when`), 31, 28 + (YEAR(`when`) % 4 = 0 AND YEAR(`when`) % 100 <> 0 OR YEAR(`when`) % 400 = 0), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), DATE_FORMAT(`when`, ''%Y-%m-%d %H:%i:%s.%f''), NULL)),
      CONCAT(_utf8mb4 x''c3a90a3d'', IF(CAST(`é
` AS CHAR) LIKE ''-%'', -1, 1) * (((HOUR(`é
`) * 60 + MINUTE(`é
`)) * 60 + SECOND(`é
`)) * 1000000 + MICROSECOND(`é
`))))) AS `digest`
    FROM `o''d"d`.`t``b l`
    LIMIT 18446744073709551615
) AS `digests`
GROUP BY `partition` ORDER BY `partition`
) AS `sums`'))
) source FULL OUTER JOIN (
WITH canonical_rows AS (
  SELECT
    'it''s_day=' || coalesce(substr(CAST(CAST("it's" AT TIME ZONE 'UTC' AS timestamp(6)) AS varchar), 1, 10), 'null') || '/' || 'a/b=' || coalesce(CASE WHEN "a/b" = 'null' THEN '%6Eull' ELSE replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace("a/b", '%', '%25'), '/', '%2F'), '=', '%3D'), chr(0), '%00'), chr(1), '%01'), chr(2), '%02'), chr(3), '%03'), chr(4), '%04'), chr(5), '%05'), chr(6), '%06'), chr(7), '%07'), chr(8), '%08'), chr(9), '%09'), chr(10), '%0A'), chr(11), '%0B'), chr(12), '%0C'), chr(13), '%0D'), chr(14), '%0E'), chr(15), '%0F'), chr(16), '%10'), chr(17), '%11'), chr(18), '%12'), chr(19), '%13'), chr(20), '%14'), chr(21), '%15'), chr(22), '%16'), chr(23), '%17'), chr(24), '%18'), chr(25), '%19'), chr(26), '%1A'), chr(27), '%1B'), chr(28), '%1C'), chr(29), '%1D'), chr(30), '%1E'), chr(31), '%1F'), chr(127), '%7F') END, 'null') AS "partition",
    array_join(filter(ARRAY[
      'a/b=' || CAST(length(to_utf8("a/b")) AS varchar) || ':' || "a/b",
      'back`tick=' || CAST("back`tick" AS varchar),
      'f=' || CAST(CASE WHEN CAST("f" AS double) = 0 THEN 0 ELSE from_big_endian_64(to_ieee754_64(CAST("f" AS double))) END AS varchar),
      'it''s=' || CAST(CAST("it's" AT TIME ZONE 'UTC' AS timestamp(6)) AS varchar),
      'lang=' || "lang",
      'o"d%7Cd%3D%25=' || lower(to_hex("o""d|d=%")),
      'when=' || CAST(CAST("when" AS timestamp(6)) AS varchar),
      'é
=' || CAST("é
" AS varchar)
    ], field -> field IS NOT NULL), '|') AS canonical
  FROM "lake"."o-27d-22d"."t-60b-20l"
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
