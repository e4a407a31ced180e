"""The lake: Iceberg tables of Parquet files in a bucket, written and read."""
