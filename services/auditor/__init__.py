"""The audit: compares the stream's sums with the source's own."""
