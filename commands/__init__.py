"""One-shot commands, and the console script `datafingerprint`."""
