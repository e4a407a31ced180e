"""Prints the fingerprint as SQL, for people to run where they like."""
