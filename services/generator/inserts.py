"""Fits inserts to the server: joins small ones, and splits long ones between rows.

Many exports have a statement per row, and a round trip costs as much as 50 rows. Others have one statement for all rows
of a table. It may exceed `max_allowed_packet`, and then the server closes the connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from datafingerprint.errors import ConfigError
from services.generator.cutting import QUOTED
from services.generator.export import Kind, Part

JOINED_BYTES = 500_000  # far below any server's max_allowed_packet by default
RESERVED_BYTES = 1024  # of a packet, for what is not text
PACKET_BYTES_MAX = 1 << 30  # no server takes more
_MIB = 1 << 20
_TO_A_BRACKET = re.compile(rf"(?:[^()'\"`]++|{QUOTED})*+", re.DOTALL)
_CHARACTER_BYTES_MAX = 4


def size_bytes(text: str) -> int:
    """The size of a text on the wire."""
    return len(text) if text.isascii() else len(text.encode())


def sized(inserts: Iterable[Part], packet_bytes: int, where: str) -> Iterator[Part]:
    """Inserts as they are sent to the server, with the same rows in the same order.

    Args:
        inserts: Inserts of a file.
        packet_bytes: The server's `max_allowed_packet`.
        where: The file's name, for errors.

    Raises:
        ConfigError: a row is too long, or an insert is and cannot be split.
    """
    joined_max = min(JOINED_BYTES, packet_bytes // _CHARACTER_BYTES_MAX)
    for part in joined(inserts, joined_max):
        yield from fitted(part, packet_bytes, where)


def joined(inserts: Iterable[Part], characters_max: int) -> Iterator[Part]:
    """Joins inserts with the same head, up to a size."""
    rows: list[str] = []
    first: Part | None = None
    size = 0
    for part in inserts:
        if first is not None and (part.head != first.head or size + len(part.sql) > characters_max):
            yield replace(first, sql=first.head + ",".join(rows))
            first = None
        if first is None:
            first, rows, size = part, [], 0
        rows.append(part.sql[len(part.head) :])
        size += len(part.sql)
    if first is not None:
        yield replace(first, sql=first.head + ",".join(rows))


def fitted(part: Part, packet_bytes: int, where: str) -> Iterator[Part]:
    """A statement as it is if the server takes it. A longer insert is split."""
    bytes_max = packet_bytes - RESERVED_BYTES
    if len(part.sql) * _CHARACTER_BYTES_MAX <= bytes_max or size_bytes(part.sql) <= bytes_max:
        yield part
        return
    rows = row_texts(part) if part.kind is Kind.INSERT else None
    if rows is None:
        raise _too_long(
            "a statement that cannot be split between rows", size_bytes(part.sql), part, packet_bytes, where
        )
    head_bytes = size_bytes(part.head)
    for number, row in enumerate(rows, start=1):
        if head_bytes + size_bytes(row) > bytes_max:
            raise _too_long(f"row {number} of an INSERT", head_bytes + size_bytes(row), part, packet_bytes, where)
    pieces = (replace(part, sql=part.head + row) for row in rows)
    yield from joined(pieces, min(JOINED_BYTES, bytes_max // _CHARACTER_BYTES_MAX))


def row_texts(part: Part) -> list[str] | None:
    """Each row of an insert, with its brackets. None if anything but rows follows the head."""
    rows = []
    text, index = part.sql, len(part.head)
    while index < len(text):
        end = _end_of_row(text, index)
        if end is None:
            return None
        rows.append(text[index:end])
        comma = re.compile(r"\s*(?:,\s*|$)").match(text, end)
        if comma is None:
            return None
        index = comma.end()
    return rows


def _end_of_row(text: str, index: int) -> int | None:
    depth = 0
    while index < len(text):
        match = _TO_A_BRACKET.match(text, index)
        index = match.end() if match else index
        if index == len(text) or text[index] not in "()":
            return None
        depth += 1 if text[index] == "(" else -1
        index += 1
        if depth == 0:
            return index
    return None


def _too_long(what: str, size: int, part: Part, packet_bytes: int, where: str) -> ConfigError:
    needed = -(-(size + RESERVED_BYTES) // _MIB) * _MIB
    remedy = (
        f"SET GLOBAL max_allowed_packet = {needed}, and start again"
        if needed <= PACKET_BYTES_MAX
        else "no server takes more than 1 GiB: shorten it"
    )
    return ConfigError(
        f"{what} is {size:,} bytes long, and the server takes {packet_bytes:,} (max_allowed_packet)",
        where=f"{where} line {part.line}",
        remedy=remedy,
    )
