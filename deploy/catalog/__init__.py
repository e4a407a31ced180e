"""A REST catalog server for tests and trials: Iceberg's own reference server."""
