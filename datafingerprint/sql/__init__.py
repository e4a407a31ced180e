"""Statements that compute the fingerprint in an engine's own SQL."""
