-- The external schema of tables over plain Parquet, without Glue's Iceberg tables: their locations are manifests, never
-- prefixes. Files that were replaced stay below a prefix for a while, and a table over it would read their rows twice.
CREATE EXTERNAL SCHEMA IF NOT EXISTS ootp
FROM DATA CATALOG DATABASE 'ootp_manifests'
IAM_ROLE 'arn:aws:iam::111122223333:role/datafingerprint-spectrum'
CREATE EXTERNAL DATABASE IF NOT EXISTS;

-- Its tables, with all columns and types, are printed:
--
--   datafingerprint sql redshift ootp.games --external      or, of all tables under watch, --all --external
--
-- and each wants its manifest beforehand, and again after each commit that a count is to include:
--
--   datafingerprint export-manifest ootp.games --output games.manifest
--   aws s3 cp games.manifest s3://dfp-lake/manifests/ootp/games.manifest
--
-- A timestamp with a time zone is a TIMESTAMP here (Parquet's is in UTC), and the session must be in UTC:
-- `SET timezone TO 'UTC'`, as scans and printed statements begin.
