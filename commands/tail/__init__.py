"""Prints the changes of a table as they are published."""
