"""Checks every part for problems that would stop the services."""
