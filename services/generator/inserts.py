"""Inserts of the size that a server takes: small ones are joined, one that is too long is cut between its rows.

Many exports have a statement for each row, where a round trip costs 50 rows; others have one for all rows of a table,
which may be longer than `max_allowed_packet`: the server would hang up on it, each time anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from datafingerprint.errors import ConfigError
from services.generator.cutting import QUOTED
from services.generator.export import Kind, Part

JOINED_OCTETS = 500_000  # far below any server's max_allowed_packet by default
ROOM_OCTETS = 1024  # of a packet, for what is not text
PACKET_OCTETS_MAX = 1 << 30  # no server takes more
_MIB = 1 << 20
_TO_A_BRACKET = re.compile(rf"(?:[^()'\"`]++|{QUOTED})*+", re.DOTALL)
_OCTETS_OF_A_CHARACTER_MAX = 4


def octets(text: str) -> int:
    """How long a text is on the wire."""
    return len(text) if text.isascii() else len(text.encode())


def sized(inserts: Iterable[Part], packet_octets: int, where: str) -> Iterator[Part]:
    """Inserts as the server is asked to run them; together they bring the same rows in the same order.

    Args:
        inserts: As they stand in a file.
        packet_octets: The server's `max_allowed_packet`.
        where: The file's name, for errors.

    Raises:
        ConfigError: a row is longer than that, or an insert that is cannot be cut.
    """
    joined_max = min(JOINED_OCTETS, packet_octets // _OCTETS_OF_A_CHARACTER_MAX)
    for part in joined(inserts, joined_max):
        yield from fitted(part, packet_octets, where)


def joined(inserts: Iterable[Part], characters_max: int) -> Iterator[Part]:
    """Inserts with the same head as one, up to a size."""
    held: list[str] = []
    first: Part | None = None
    size = 0
    for part in inserts:
        if first is not None and (part.head != first.head or size + len(part.sql) > characters_max):
            yield replace(first, sql=first.head + ",".join(held))
            first = None
        if first is None:
            first, held, size = part, [], 0
        held.append(part.sql[len(part.head) :])
        size += len(part.sql)
    if first is not None:
        yield replace(first, sql=first.head + ",".join(held))


def fitted(part: Part, packet_octets: int, where: str) -> Iterator[Part]:
    """A statement as it is if the server takes it; an insert that is too long in pieces."""
    octets_max = packet_octets - ROOM_OCTETS
    if len(part.sql) * _OCTETS_OF_A_CHARACTER_MAX <= octets_max or octets(part.sql) <= octets_max:
        yield part
        return
    rows = row_texts(part) if part.kind is Kind.INSERT else None
    if rows is None:
        raise _too_long("a statement that cannot be cut between rows", octets(part.sql), part, packet_octets, where)
    head_octets = octets(part.head)
    for number, row in enumerate(rows, start=1):
        if head_octets + octets(row) > octets_max:
            raise _too_long(f"row {number} of an INSERT", head_octets + octets(row), part, packet_octets, where)
    pieces = (replace(part, sql=part.head + row) for row in rows)
    yield from joined(pieces, min(JOINED_OCTETS, octets_max // _OCTETS_OF_A_CHARACTER_MAX))


def row_texts(part: Part) -> list[str] | None:
    """Each row of an insert, brackets and all; None when something else than rows comes after its head."""
    found = []
    text, place = part.sql, len(part.head)
    while place < len(text):
        end = _end_of_row(text, place)
        if end is None:
            return None
        found.append(text[place:end])
        comma = re.compile(r"\s*(?:,\s*|$)").match(text, end)
        if comma is None:
            return None
        place = comma.end()
    return found


def _end_of_row(text: str, place: int) -> int | None:
    depth = 0
    while place < len(text):
        found = _TO_A_BRACKET.match(text, place)
        place = found.end() if found else place
        if place == len(text) or text[place] not in "()":
            return None
        depth += 1 if text[place] == "(" else -1
        place += 1
        if depth == 0:
            return place
    return None


def _too_long(what: str, size: int, part: Part, packet_octets: int, where: str) -> ConfigError:
    needed = -(-(size + ROOM_OCTETS) // _MIB) * _MIB
    remedy = (
        f"SET GLOBAL max_allowed_packet = {needed}, and start again"
        if needed <= PACKET_OCTETS_MAX
        else "no server takes more than 1 GiB: shorten it"
    )
    return ConfigError(
        f"{what} is {size:,} octets long, and the server takes {packet_octets:,} (max_allowed_packet)",
        where=f"{where} line {part.line}",
        remedy=remedy,
    )
