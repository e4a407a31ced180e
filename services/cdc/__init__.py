"""Captures committed changes from the binlog and publishes them in epochs."""
