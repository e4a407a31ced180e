"""What DataFingerprint knows: rows, epochs, partitions and their sums, apart from any server."""
