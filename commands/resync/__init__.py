"""Re-snapshots of tables while everything runs."""
