"""Airflow provider of DataFingerprint."""

__version__ = "0.1.0"
