-- The fingerprint of s.long: per partition the rows, and the sums of the four 32-bit words of the
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
    SELECT CONVERT(CONCAT('label=', COALESCE(IF(CONVERT(`label` USING utf8mb4) COLLATE utf8mb4_nopad_bin = 'null', '%6Eull', REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CONVERT(`label` USING utf8mb4), '%', '%25'), '/', '%2F'), '=', '%3D'), _utf8mb4 x'00', '%00'), _utf8mb4 x'01', '%01'), _utf8mb4 x'02', '%02'), _utf8mb4 x'03', '%03'), _utf8mb4 x'04', '%04'), _utf8mb4 x'05', '%05'), _utf8mb4 x'06', '%06'), _utf8mb4 x'07', '%07'), _utf8mb4 x'08', '%08'), _utf8mb4 x'09', '%09'), _utf8mb4 x'0a', '%0A'), _utf8mb4 x'0b', '%0B'), _utf8mb4 x'0c', '%0C'), _utf8mb4 x'0d', '%0D'), _utf8mb4 x'0e', '%0E'), _utf8mb4 x'0f', '%0F'), _utf8mb4 x'10', '%10'), _utf8mb4 x'11', '%11'), _utf8mb4 x'12', '%12'), _utf8mb4 x'13', '%13'), _utf8mb4 x'14', '%14'), _utf8mb4 x'15', '%15'), _utf8mb4 x'16', '%16'), _utf8mb4 x'17', '%17'), _utf8mb4 x'18', '%18'), _utf8mb4 x'19', '%19'), _utf8mb4 x'1a', '%1A'), _utf8mb4 x'1b', '%1B'), _utf8mb4 x'1c', '%1C'), _utf8mb4 x'1d', '%1D'), _utf8mb4 x'1e', '%1E'), _utf8mb4 x'1f', '%1F'), _utf8mb4 x'7f', '%7F')), 'null')) USING utf8mb4) COLLATE utf8mb4_nopad_bin AS `partition`,
    IF(LENGTH(`label`) * 8 >= @@max_allowed_packet AND CONCAT('label=', CONCAT(LENGTH(CONVERT(`label` USING utf8mb4)), ':', CONVERT(`label` USING utf8mb4))) IS NULL
      OR LENGTH(`octets`) * 8 >= @@max_allowed_packet AND CONCAT('octets=', LOWER(HEX(`octets`))) IS NULL
      OR LENGTH(`place`) * 8 >= @@max_allowed_packet AND CONCAT('place=', LOWER(HEX(`place`))) IS NULL
      OR LENGTH(`vec`) * 8 >= @@max_allowed_packet AND CONCAT('vec=', LOWER(HEX(`vec`))) IS NULL
      OR LENGTH(`words`) * 8 >= @@max_allowed_packet AND CONCAT('words=', CONCAT(LENGTH(CONVERT(`words` USING utf8mb4)), ':', CONVERT(`words` USING utf8mb4))) IS NULL
      OR LENGTH(`label`) * 8 >= @@max_allowed_packet AND IF(CONVERT(`label` USING utf8mb4) COLLATE utf8mb4_nopad_bin = 'null', '%6Eull', REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(REPLACE(CONVERT(`label` USING utf8mb4), '%', '%25'), '/', '%2F'), '=', '%3D'), _utf8mb4 x'00', '%00'), _utf8mb4 x'01', '%01'), _utf8mb4 x'02', '%02'), _utf8mb4 x'03', '%03'), _utf8mb4 x'04', '%04'), _utf8mb4 x'05', '%05'), _utf8mb4 x'06', '%06'), _utf8mb4 x'07', '%07'), _utf8mb4 x'08', '%08'), _utf8mb4 x'09', '%09'), _utf8mb4 x'0a', '%0A'), _utf8mb4 x'0b', '%0B'), _utf8mb4 x'0c', '%0C'), _utf8mb4 x'0d', '%0D'), _utf8mb4 x'0e', '%0E'), _utf8mb4 x'0f', '%0F'), _utf8mb4 x'10', '%10'), _utf8mb4 x'11', '%11'), _utf8mb4 x'12', '%12'), _utf8mb4 x'13', '%13'), _utf8mb4 x'14', '%14'), _utf8mb4 x'15', '%15'), _utf8mb4 x'16', '%16'), _utf8mb4 x'17', '%17'), _utf8mb4 x'18', '%18'), _utf8mb4 x'19', '%19'), _utf8mb4 x'1a', '%1A'), _utf8mb4 x'1b', '%1B'), _utf8mb4 x'1c', '%1C'), _utf8mb4 x'1d', '%1D'), _utf8mb4 x'1e', '%1E'), _utf8mb4 x'1f', '%1F'), _utf8mb4 x'7f', '%7F')) IS NULL,
    NULL, MD5(CONCAT_WS('|',
      CONCAT('few=', LOWER(HEX(`few`))),
      CONCAT('label=', CONCAT(LENGTH(CONVERT(`label` USING utf8mb4)), ':', CONVERT(`label` USING utf8mb4))),
      CONCAT('octets=', LOWER(HEX(`octets`))),
      CONCAT('one=', CONCAT(LENGTH(CONVERT(`one` USING utf8mb4)), ':', CONVERT(`one` USING utf8mb4))),
      CONCAT('place=', LOWER(HEX(`place`))),
      CONCAT('short=', CONCAT(LENGTH(CONVERT(`short` USING utf8mb4)), ':', CONVERT(`short` USING utf8mb4))),
      CONCAT('vec=', LOWER(HEX(`vec`))),
      CONCAT('words=', CONCAT(LENGTH(CONVERT(`words` USING utf8mb4)), ':', CONVERT(`words` USING utf8mb4)))))) AS `digest`
    FROM `s`.`long`
    LIMIT 18446744073709551615
) AS `digests`
GROUP BY `partition` ORDER BY `partition`
) AS `sums`
ORDER BY `partition`;
