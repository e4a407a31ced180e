"""Writes down the tables of character sets that the project ships, from a server."""
