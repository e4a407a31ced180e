"""Table names of the source in the lake and in topics, and back."""

from __future__ import annotations

from collections.abc import Iterator

from datafingerprint.errors import ConfigError
from datafingerprint.wire import decoded_name, encoded_name


def names_in_lake(table: str) -> Iterator[str]:
    """Converts a source name `schema.table` to the lake's name.

    Args:
        table: The source's name. A name with several dots is ambiguous, and each reading gives a name.

    Raises:
        ConfigError: the name has no dot, or nothing on one side of it.
    """
    pieces = table.split(".")
    splits = [(".".join(pieces[:at]), ".".join(pieces[at:])) for at in range(1, len(pieces))]
    names = [f"{encoded_name(schema)}.{encoded_name(name)}" for schema, name in splits if schema and name]
    if not names:
        raise ConfigError(f"{table} is not a table name", remedy="write it as schema.table")
    yield from names


def name_at_source(table: str) -> str:
    """Converts a name of the lake to the source's.

    Raises:
        ConfigError: no table of the lake can have this name.
    """
    parts = table.split(".")
    try:
        decoded = [decoded_name(part) for part in parts]
    except UnicodeDecodeError:
        decoded = []
    if len(decoded) != 2 or not all(decoded) or [encoded_name(part) for part in decoded] != parts:  # noqa: PLR2004 - schema.table
        raise ConfigError(f"{table} is not a table name of the lake", remedy="write it as the catalog lists it")
    return ".".join(decoded)
