-- The lake's tables in Redshift, over the Glue catalog: Iceberg tables, so that only live files are read.
-- The external schema has the name of the source's schema, as the printed statements expect.
CREATE EXTERNAL SCHEMA IF NOT EXISTS ootp
FROM DATA CATALOG
DATABASE 'ootp'
IAM_ROLE 'arn:aws:iam::111122223333:role/datafingerprint-spectrum';

-- The user that scans: `datafingerprint scan` logs in as it, by this password ([engines.redshift] password_file).
CREATE USER datafingerprint PASSWORD 'Choose-1-of-your-own';
GRANT USAGE ON SCHEMA ootp TO datafingerprint;
-- Spectrum keeps what it computes in temporary tables (by default everybody may make them).
GRANT TEMP ON DATABASE dev TO datafingerprint;
