-- ootp.players for Redshift Spectrum, over the live files that a manifest lists. Never over a prefix: files that were
-- replaced stay below it for a while, and their rows would be counted twice. Put the manifest there before, and anew
-- after each commit that a count is to include:
--   datafingerprint export-manifest ootp.players --output players.manifest
--   aws s3 cp players.manifest s3://dfp-lake/manifests/ootp/players.manifest
-- The external schema must be there (deploy/redshift/manifest_table.sql). Every column is in the files, those too by
-- which the table is split: there is no PARTITIONED BY.
CREATE EXTERNAL TABLE "ootp"."players" (
  "id" INTEGER,
  "date" DATE,
  "name" VARCHAR(65535),
  "rating" DOUBLE PRECISION,
  "fee" DECIMAL(10, 2)
)
STORED AS PARQUET
LOCATION 's3://dfp-lake/manifests/ootp/players.manifest';
