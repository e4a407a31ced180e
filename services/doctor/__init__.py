"""Looks at every part, and says what would stop the services and what mends it."""
