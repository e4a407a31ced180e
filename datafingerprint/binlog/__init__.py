"""From binlog bytes to committed transactions and Arrow columns."""
