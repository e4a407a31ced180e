"""The real parts (MariaDB, Kafka, S3) on one machine, in private directories on free ports."""
