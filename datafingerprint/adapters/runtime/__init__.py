"""The process itself: settings, logging, signals, retries, temporary files."""
