"""The state store: sums, verdicts, audits and scans in SQLite or PostgreSQL."""
