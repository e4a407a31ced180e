"""The fingerprint as SQL, to run in any engine."""
