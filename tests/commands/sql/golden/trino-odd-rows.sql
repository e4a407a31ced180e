-- Every row of o'd"d.`t``b l`: its partition, the canonical form of its key, and the md5 digest of its canonical row.
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
    ], field -> field IS NOT NULL), '|') AS "key",
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
)
SELECT "partition", "key", lower(to_hex(md5(to_utf8(canonical)))) AS digest
FROM canonical_rows;
