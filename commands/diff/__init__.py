"""Names the rows that differ between source and lake."""
