"""Folds whole epochs into Iceberg tables."""
