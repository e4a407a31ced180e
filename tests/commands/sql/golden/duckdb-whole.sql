-- The fingerprint of s.t, partition -: per partition the rows, and both halves of the sum of the md5 digests
-- of their canonical rows, modulo 2^64. `fingerprint` is the low half, as DataFingerprint shows it.
-- These are the live files of snapshot 77. A file that a later commit replaces is removed 3600 s after
-- that commit or later. Then print the statement again. DuckDB first needs access to the store:
--   INSTALL httpfs; LOAD httpfs;
--   CREATE SECRET (TYPE s3, KEY_ID '...', SECRET '...', REGION 'us-east-1', USE_SSL true);
WITH canonical_rows AS (
  SELECT
    '-' AS "partition",
    concat_ws('|',
      'back`tick=' || "back`tick"::VARCHAR,
      'o"d%7Cd%3D%25=' || lower(hex("o""d|d=%"))) AS canonical
  FROM (
    (SELECT NULL::BLOB AS "o""d|d=%", NULL::DECIMAL(20, 0) AS "back`tick" LIMIT 0)
    UNION ALL BY NAME
    SELECT * FROM read_parquet([
    's3://dfp-lake/lake/ootp/players/data/date_year=2031/a.parquet',
    's3://dfp-lake/it''s.parquet'
    ], hive_partitioning = false, union_by_name = true)
  )
), digests AS (
  SELECT "partition", md5(canonical) AS digest FROM canonical_rows
), sums AS (
  SELECT "partition", count(*) AS "rows",
    sum(('0x' || substr(digest, 1, 16))::UBIGINT::HUGEINT) AS hi,
    sum(('0x' || substr(digest, 17, 16))::UBIGINT::HUGEINT) AS lo
  FROM digests GROUP BY "partition"
)
SELECT "partition", "rows",
  hi % 18446744073709551616::HUGEINT AS hi,
  lo % 18446744073709551616::HUGEINT AS fingerprint
FROM sums ORDER BY "partition";
