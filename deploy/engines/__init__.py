"""Query engines over lake and warehouse: for tests, and to try them with a running system."""
