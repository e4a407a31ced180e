"""Limits of a difference sketch. Settings read them without loading NumPy."""

PLACES = 4
"""Cells that a row version is added to, one in each quarter of the sketch."""

CELLS_MAX = 4_096
"""Cells of a sketch at most."""
