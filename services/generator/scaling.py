"""Copies a whole league under new numbers. The server copies its own rows.

A table is copied if its key (or, without a key, any column) numbers leagues, teams, parks, players, games or messages.
Tables that all leagues share (nations, cities) are not. A number of copy k is the original's plus k times a thousand
(leagues, teams, parks), or plus k times the spacing that the first copies had. Other values are equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from datafingerprint.errors import SourceError
from services.generator.numbers import COPY_OF_LEAGUES, SPACINGS, Numbers, numbers_for
from services.generator.ports import Warehouse
from services.generator.progress import PROGRESS, begin, note, read_progress
from services.generator.statements import Statement, quoted

ROWS_OF_A_TRANSACTION = 100_000
SCALE = "copies"
SPACING = "spacing of copies"
_OF_LEAGUES = re.compile(r"(?:.*_)?(?:league|team|park|organization)(?:_id)?(?:_\d+)*")
_OF_GAMES = re.compile(r"(?:.*_)?(?:player|game|message|trade)_id(?:_\d+)*|(?:winning|losing|save)_pitcher|starter\d")
_SHARED = {"sub_league_id"}
_COLUMNS = Statement(
    "SELECT c.table_name, c.column_name, c.data_type, c.column_key = 'PRI' FROM information_schema.columns c"
    " JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name"
    " WHERE c.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' ORDER BY c.table_name, c.ordinal_position"
)

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Numbered:
    """A table to copy.

    Attributes:
        name: Its name.
        columns: All columns, in order.
        shifts: Columns with numbers that shift, and the shift per copy.
    """

    name: str
    columns: tuple[str, ...]
    shifts: dict[str, int]


def shift_of(column: str, data_type: str, numbers: Numbers) -> int | None:
    """The shift of a column's numbers from copy to copy. None: they are equal."""
    if data_type not in ("int", "bigint") or column in _SHARED:
        return None
    if _OF_GAMES.fullmatch(column):
        return numbers.spacing
    return COPY_OF_LEAGUES if _OF_LEAGUES.fullmatch(column) else None


def numbered_tables(columns: Sequence[tuple[str, str, str, int]], numbers: Numbers) -> list[Numbered]:
    """The tables to copy, from (table, column, type, whether it is in the key)."""
    tables: dict[str, list[tuple[str, str, int]]] = {}
    for table, column, data_type, in_key in columns:
        tables.setdefault(table, []).append((column, data_type.lower(), in_key))
    numbered = []
    for name, described in tables.items():
        shifts = {
            column: by for column, data_type, _ in described if (by := shift_of(column, data_type, numbers)) is not None
        }
        key = [column for column, _, in_key in described if in_key]
        if shifts and name != PROGRESS and (not key or any(column in shifts for column in key)):
            numbered.append(Numbered(name, tuple(column for column, _, _ in described), shifts))
    return numbered


def ensure_copies(
    warehouse: Warehouse, copies: int, progress: Progress, is_stopping: Callable[[], bool] = lambda: False
) -> Numbers:
    """Makes the missing copies of the league, and finishes interrupted ones.

    Args:
        warehouse: Has the league.
        copies: Number of copies, the original included. A smaller number than there are changes nothing.
        progress: Called with each table and its new rows.
        is_stopping: Whether to stop, checked between transactions. The next call continues there.

    Returns:
        How the games of the league and its copies are numbered.

    Raises:
        SourceError: the original has numbers of a copy, or there are too few numbers for so many copies.
    """
    known = read_progress(warehouse)
    planned, complete = known.get(SCALE, (1, True))
    numbers = _numbers(known, copies)
    if complete and copies <= planned:
        return numbers
    if copies > numbers.copies_max:
        raise SourceError(
            f"there are numbers for {numbers.copies_max} copies of this league, not for {copies}: "
            f"the first copies were numbered {numbers.spacing:,} apart",
            where="the generator's schema",
            remedy=f"ask for fewer, or load an empty schema with --scale {copies}",
        )
    described = [(str(a), str(b), str(c), int(d)) for a, b, c, d in warehouse.query(_COLUMNS)]
    tables = numbered_tables(described, numbers)
    if SCALE not in known:
        for table in tables:
            _refuse_great_numbers(warehouse, table)
        spaced = note(SPACING, numbers.spacing, complete=True)
        warehouse.transact([begin(SCALE), begin(SPACING), spaced])
    if complete:
        warehouse.transact([note(SCALE, copies, complete=False)])
        planned = copies
    for table in tables:
        step = f"{SCALE} of {table.name}"
        if step not in known:
            warehouse.transact([begin(step)])
        rows = _copy(warehouse, table, known.get(step, (0, False))[0], planned, is_stopping)
        if is_stopping():
            return numbers
        progress(table.name, rows)
    warehouse.transact([note(SCALE, max(planned, 1), complete=True)])
    if copies > planned:
        ensure_copies(warehouse, copies, progress, is_stopping)
    return numbers


def _numbers(known: Mapping[str, tuple[int, bool]], copies: int) -> Numbers:
    """The numbering of the first copies.

    Copies without a note are from a version with one numbering.
    """
    if SPACING in known:
        return Numbers(known[SPACING][0])
    return Numbers(SPACINGS[-1]) if SCALE in known else numbers_for(copies)


def _copy(warehouse: Warehouse, table: Numbered, done: int, copies: int, is_stopping: Callable[[], bool]) -> int:
    """Makes the copies of one table from number `done` + 1 on. Returns the number of new rows."""
    ((originals,),) = warehouse.query(
        Statement(f"SELECT COUNT(*) FROM {quoted(table.name)} o WHERE {_original(table)}")
    )
    at_once = max(ROWS_OF_A_TRANSACTION // max(originals, 1), 1)
    rows = 0
    for first in range(done + 1, copies, at_once):
        if is_stopping():
            break
        last = min(first + at_once, copies) - 1
        copied = note(f"{SCALE} of {table.name}", last, complete=last == copies - 1)
        rows += warehouse.transact([copying(table, range(first, last + 1)), copied]) - 1
    return rows


def copying(table: Numbered, numbers: range) -> Statement:
    """The statement that makes some copies of a table."""
    columns = ", ".join(quoted(column) for column in table.columns)
    values = ", ".join(_moved(column, table.shifts.get(column)) for column in table.columns)
    copies = " UNION ALL ".join(f"SELECT {number:d} AS n" for number in numbers)
    return Statement(
        f"INSERT INTO {quoted(table.name)} ({columns}) SELECT {values}"
        f" FROM {quoted(table.name)} o CROSS JOIN ({copies}) c WHERE {_original(table)}"
    )


def _moved(column: str, shift: int | None) -> str:
    name = f"o.{quoted(column)}"
    return name if shift is None else f"IF({name} > 0, {name} + c.n * {shift:d}, {name})"


def _original(table: Numbered) -> str:
    """A condition for the original's rows: no number is a copy's, and at least one is set."""
    small = " AND ".join(f"COALESCE(o.{quoted(column)}, 0) < {shift:d}" for column, shift in table.shifts.items())
    some = " OR ".join(f"o.{quoted(column)} > 0" for column in table.shifts)
    return f"{small} AND ({some})"


def _refuse_great_numbers(warehouse: Warehouse, table: Numbered) -> None:
    for column, shift in table.shifts.items():
        name = quoted(column)
        if warehouse.query(Statement(f"SELECT 1 FROM {quoted(table.name)} WHERE {name} >= {shift:d} LIMIT 1")):
            raise SourceError(
                f"the league cannot be copied: {table.name}.{column} has numbers of {shift:,} and more",
                where="the generator's schema",
                remedy="load it without --scale",
            )
