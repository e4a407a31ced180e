"""REST, metrics and dashboard over what the fingerprinter stored."""
