"""The audit: the source's own sums beside the stream's."""
