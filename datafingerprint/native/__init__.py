"""Native code that digests columns and parses binlogs, with Python code as its substitute."""
