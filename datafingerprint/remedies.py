"""How a stream goes on where capture cannot follow the binlog: tables are read again, at a later position."""

from __future__ import annotations

ALL_TABLES = "*"
"""What `--resnapshot` takes for all tables under watch."""


OTHER_LAKE = "[lake] path and catalog, and another [state] url"
"""What a new stream needs beside topics: the lake and the sums of the old one are of that alone."""

BEGIN_ANEW = f"restore the topics, or begin anew under another [kafka] prefix, {OTHER_LAKE}"


def reading_again(*tables: str) -> str:
    """The command that reads these tables again, with their present definitions, and ends."""
    return " ".join(["datafingerprint capture", *(f"--resnapshot {table}" for table in tables), "--once"])


READ_ALL_AGAIN = "read all tables again, which goes on behind it: " + reading_again(f"'{ALL_TABLES}'")
"""Nothing is followed while all tables are read, so that this passes whatever stands in the binlog."""
