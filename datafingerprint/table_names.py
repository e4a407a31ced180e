"""Table names as text: an unambiguous rendering of (schema, name), and its parser."""

from __future__ import annotations

import re

_PART = r"(?:`(?P<{0}q>(?:[^`]|``)+)`|(?P<{0}p>[^`.]+))"
_RENDERED = re.compile(_PART.format("s") + r"\." + _PART.format("n"), re.DOTALL)
_TO_QUOTE = frozenset(".`")


def table_name(schema: str, name: str) -> str:
    """Renders `schema.name`; a part with a dot or a backtick is in backticks."""
    return f"{_quote(schema)}.{_quote(name)}"


def split_table_name(table: str) -> tuple[str, str]:
    """Parses what `table_name` rendered.

    Raises:
        ValueError: the text is not such a name.
    """
    match = _RENDERED.fullmatch(table)
    if match is None:
        raise ValueError(f"{table!r} is not schema.table; a part with a dot must be in backticks")
    return _part(match, "s"), _part(match, "n")


def _quote(part: str) -> str:
    doubled = part.replace("`", "``")
    return f"`{doubled}`" if _TO_QUOTE & set(part) else part


def _part(match: re.Match[str], which: str) -> str:
    plain = match[f"{which}p"]
    return plain if plain is not None else match[f"{which}q"].replace("``", "`")
