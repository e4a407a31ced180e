"""What other engines are told of the lake: lists of live files, and catalogs."""
