-- o'd"d.t b for Redshift Spectrum, over the live files that a manifest lists. Never use a prefix: replaced files stay
-- below it for a while, and their rows would be counted twice. Write the manifest first, and again after each commit
-- that a count must include:
--   datafingerprint export-manifest 'o'"'"'d"d.t b' --output t-20b.manifest
--   aws s3 cp t-20b.manifest s3://dfp-lake/manifests/o-27d-22d/t-20b.manifest
-- The external schema must exist (deploy/redshift/manifest_table.sql). The files hold every column, also the partition
-- columns, so there is no PARTITIONED BY.
CREATE EXTERNAL TABLE "o-27d-22d"."t-20b" (
  "id" DECIMAL(20, 0),
  "it's" TIMESTAMP,
  "o""d" VARBYTE(64000),
  "flags" DECIMAL(20, 0),
  "took" BIGINT,
  "share" VARCHAR(65535),
  "fee" DECIMAL(38, 30),
  "f" REAL,
  "d" DOUBLE PRECISION,
  "when" TIMESTAMP,
  "day" DATE,
  "season" INTEGER,
  "big" BIGINT,
  "name" VARCHAR(65535)
)
STORED AS PARQUET
LOCATION 's3://dfp-lake/manifests/o-27d-22d/t-20b.manifest';
