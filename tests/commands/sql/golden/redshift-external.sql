-- ootp.players for Redshift Spectrum, over the live files that a manifest lists. Never use a prefix: replaced files stay
-- below it for a while, and their rows would be counted twice. Write the manifest first, and again after each commit
-- that a count must include:
--   datafingerprint export-manifest ootp.players --output players.manifest
--   aws s3 cp players.manifest s3://dfp-lake/manifests/ootp/players.manifest
-- The external schema must exist (deploy/redshift/manifest_table.sql). The files hold every column, also the partition
-- columns, so there is no PARTITIONED BY.
CREATE EXTERNAL TABLE "ootp"."players" (
  "id" INTEGER,
  "date" DATE,
  "name" VARCHAR(65535),
  "rating" DOUBLE PRECISION,
  "fee" DECIMAL(10, 2)
)
STORED AS PARQUET
LOCATION 's3://dfp-lake/manifests/ootp/players.manifest';
