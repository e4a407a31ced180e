-- A table over plain Parquet, without Glue's Iceberg tables: the location is a manifest, never a prefix.
-- Files that were replaced stay below the prefix for a while, and a table over it would read their rows twice.
--
--   datafingerprint export-manifest ootp.games --output games.manifest
--   aws s3 cp games.manifest s3://dfp-lake/manifests/ootp/games.manifest
--
-- Do both again after each commit that the count is to include. Columns and types: docs/types.md; a timestamp with a time
-- zone is a TIMESTAMP here (Parquet's is in UTC), and the session must be in UTC: `SET timezone TO 'UTC'`, as scans and
-- printed statements begin.
CREATE EXTERNAL SCHEMA IF NOT EXISTS ootp
FROM DATA CATALOG DATABASE 'ootp_manifests'
IAM_ROLE 'arn:aws:iam::111122223333:role/datafingerprint-spectrum'
CREATE EXTERNAL DATABASE IF NOT EXISTS;

CREATE EXTERNAL TABLE ootp.games (
  game_id INTEGER,
  league_id INTEGER,
  date DATE
  -- and the others, in the source's order
)
STORED AS PARQUET
LOCATION 's3://dfp-lake/manifests/ootp/games.manifest';
