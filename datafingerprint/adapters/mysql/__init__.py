"""MySQL and MariaDB: the source as capture, snapshots and audits read it."""
