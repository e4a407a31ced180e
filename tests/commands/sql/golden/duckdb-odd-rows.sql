-- Every row of o'd"d.`t``b l`: its partition, the canonical form of its key, and the md5 digest of its canonical row.
-- These are the live files of snapshot 77. A file that a later commit replaces is removed 3600 s after
-- that commit or later. Then print the statement again. DuckDB first needs access to the store:
--   INSTALL httpfs; LOAD httpfs;
--   CREATE SECRET (TYPE s3, KEY_ID '...', SECRET '...', REGION 'us-east-1', USE_SSL true);
WITH canonical_rows AS (
  SELECT
    'it''s_day=' || coalesce(strftime(make_timestamp(epoch_us("it's")), '%Y-%m-%d'), 'null') || '/' || 'a/b=' || coalesce(CASE WHEN "a/b" = 'null' THEN '%6Eull' ELSE replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace("a/b", '%', '%25'), '/', '%2F'), '=', '%3D'), chr(0), '%00'), chr(1), '%01'), chr(2), '%02'), chr(3), '%03'), chr(4), '%04'), chr(5), '%05'), chr(6), '%06'), chr(7), '%07'), chr(8), '%08'), chr(9), '%09'), chr(10), '%0A'), chr(11), '%0B'), chr(12), '%0C'), chr(13), '%0D'), chr(14), '%0E'), chr(15), '%0F'), chr(16), '%10'), chr(17), '%11'), chr(18), '%12'), chr(19), '%13'), chr(20), '%14'), chr(21), '%15'), chr(22), '%16'), chr(23), '%17'), chr(24), '%18'), chr(25), '%19'), chr(26), '%1A'), chr(27), '%1B'), chr(28), '%1C'), chr(29), '%1D'), chr(30), '%1E'), chr(31), '%1F'), chr(127), '%7F') END, 'null') AS "partition",
    concat_ws('|',
      'a/b=' || strlen("a/b") || ':' || "a/b",
      'back`tick=' || "back`tick"::VARCHAR,
      'f=' || CASE WHEN "f" = 0 THEN '0' ELSE "f"::DOUBLE::BIT::BIGINT::VARCHAR END,
      'it''s=' || strftime(make_timestamp(epoch_us("it's")), '%Y-%m-%d %H:%M:%S.%f'),
      'lang=' || "lang"::VARCHAR,
      'o"d%7Cd%3D%25=' || lower(hex("o""d|d=%")),
      'when=' || strftime("when", '%Y-%m-%d %H:%M:%S.%f'),
      'é
=' || "é
"::VARCHAR) AS "key",
    concat_ws('|',
      'a/b=' || strlen("a/b") || ':' || "a/b",
      'back`tick=' || "back`tick"::VARCHAR,
      'f=' || CASE WHEN "f" = 0 THEN '0' ELSE "f"::DOUBLE::BIT::BIGINT::VARCHAR END,
      'it''s=' || strftime(make_timestamp(epoch_us("it's")), '%Y-%m-%d %H:%M:%S.%f'),
      'lang=' || "lang"::VARCHAR,
      'o"d%7Cd%3D%25=' || lower(hex("o""d|d=%")),
      'when=' || strftime("when", '%Y-%m-%d %H:%M:%S.%f'),
      'é
=' || "é
"::VARCHAR) AS canonical
  FROM (
    (SELECT NULL::TIMESTAMPTZ AS "it's", NULL::BLOB AS "o""d|d=%", NULL::DECIMAL(20, 0) AS "back`tick", NULL::BIGINT AS "é
", NULL::VARCHAR AS "lang", NULL::FLOAT AS "f", NULL::TIMESTAMP AS "when", NULL::VARCHAR AS "a/b" LIMIT 0)
    UNION ALL BY NAME
    SELECT * FROM read_parquet([
    's3://dfp-lake/lake/ootp/players/data/date_year=2031/a.parquet',
    's3://dfp-lake/it''s.parquet'
    ], hive_partitioning = false, union_by_name = true)
  )
)
SELECT "partition", "key", md5(canonical) AS digest
FROM canonical_rows;
