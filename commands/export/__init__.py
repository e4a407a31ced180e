"""Exports of the lake for other engines: lists of live files, and catalogs."""
