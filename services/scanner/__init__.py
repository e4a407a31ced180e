"""Scans: the fingerprint recounted by another engine."""
