"""Reads tables again from the source while everything runs."""
