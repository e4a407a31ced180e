-- The fingerprint of s.t, partition -: per partition the rows, and the sums of the four 32-bit words of the
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
    SELECT CONVERT('-' USING utf8mb4) COLLATE utf8mb4_nopad_bin AS `partition`,
    MD5(CONCAT_WS('|',
      CONCAT('back`tick=', `back``tick` + 0),
      CONCAT('o"d%7Cd%3D%25=', LOWER(HEX(`o"d|d=%`))))) AS `digest`
    FROM `s`.`t`
    WHERE '-' COLLATE utf8mb4_nopad_bin = '-'
    LIMIT 18446744073709551615
) AS `digests`
GROUP BY `partition` ORDER BY `partition`
) AS `sums`
ORDER BY `partition`;
