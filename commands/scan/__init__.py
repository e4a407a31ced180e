"""Scans: another engine counts a lake table."""
