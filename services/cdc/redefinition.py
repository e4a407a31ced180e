"""What a statement about watched tables means for the stream: which start from nothing, leave it, or are other now."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from datafingerprint.errors import DecodeError, Unavailable
from datafingerprint.remedies import reading_again
from datafingerprint.schema import TableSchema
from services.cdc.alterations import Added, alteration
from services.cdc.epoch_builder import WatchedTable
from services.cdc.statements import Meaning, Statement
from services.cdc.transactions import Committed

_CONVERTS = re.compile(r"^CONVERT\b", re.IGNORECASE)
"""A partition that becomes a table: the table that had it stays, with fewer rows."""

Present = Callable[[], Mapping[str, TableSchema]]
"""The tables under watch as the source describes them now, which is later than the log."""


@dataclass(frozen=True, slots=True)
class Redefinition:
    """What happens to the followed tables that a statement is about.

    Attributes:
        emptied: They have no rows any more.
        gone: They leave the stream.
        replaced: There is another table of the name, or rows are gone that are not told; it is to be read.
        defined: They have another definition.
    """

    emptied: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    defined: Mapping[str, TableSchema] = field(default_factory=dict)

    @property
    def is_nothing(self) -> bool:
        """Whether rows and definitions are what they were."""
        return not (self.emptied or self.gone or self.replaced or self.defined)


def redefinition(
    statement: Statement, followed: Mapping[str, WatchedTable], present: Present, where: str
) -> Redefinition:
    """What a statement comes to.

    Args:
        statement: It is about tables, or drops a schema.
        followed: The tables whose changes are being published.
        present: Asked only for a table that is altered or replaced.
        where: What errors name.

    Raises:
        DecodeError: rows have changed in a way that the log does not tell.
    """
    if statement.meaning is Meaning.DROP_SCHEMA:
        gone = [name for name, one in followed.items() if one.table.schema == statement.name]
        return Redefinition(gone=tuple(sorted(gone)))
    tables = tuple(dict.fromkeys(name for name in statement.tables if name in followed))
    if not tables:
        return Redefinition()
    if statement.name == "TRUNCATE":
        return Redefinition(emptied=tables)
    if statement.name != "ALTER" or (statement.made and not _CONVERTS.search(statement.clauses)):
        there = present()
        replaced = tuple(name for name in tables if name in statement.made and name in there)
        return Redefinition(gone=tuple(name for name in tables if name not in replaced), replaced=replaced)
    return _altered(statement, tables, followed, present, where)


def require_unchanged(committed: Committed, followed: Mapping[str, WatchedTable], present: Present) -> None:
    """Demands that tables are what they were in the view that they were read in.

    Raises:
        Unavailable: one was emptied, altered or dropped behind it; they are to be read again, from a later one.
    """
    if committed.statement is None:
        return
    where = f"{committed.position.file}:{committed.position.pos}"
    try:
        found = redefinition(committed.statement, followed, present, where)
    except DecodeError as error:
        raise Unavailable(f"a table changed while it was read: {error.what}", where=where) from error
    if not found.is_nothing:
        raise Unavailable("a table changed while it was read, and is read again", where=where)


def _altered(
    statement: Statement,
    tables: tuple[str, ...],
    followed: Mapping[str, WatchedTable],
    present: Present,
    where: str,
) -> Redefinition:
    found = alteration(statement.clauses)
    if found.unknown:
        raise _refusal(tables, f"{statement.name} TABLE … {found.unknown} … is not followed", where)
    if not (found.added or found.loses_rows):
        return Redefinition()
    (name,) = tables
    there = present().get(name)
    if there is None:
        # It was dropped or renamed since; until then nobody can tell the types of its columns.
        return Redefinition(gone=tables)
    if found.loses_rows:
        return Redefinition(replaced=tables)
    table = followed[name].table
    for added in found.added:
        table = _with_column(table, added, there, where)
    return Redefinition(defined={name: table} if table != followed[name].table else {})


def _with_column(table: TableSchema, added: Added, there: TableSchema, where: str) -> TableSchema:
    """The definition with one more column, of the type that the source says that it has now."""
    if any(column.name.lower() == added.name.lower() for column in table.columns):
        return table
    left_out = next((name for name in there.left_out if name.lower() == added.name.lower()), None)
    if left_out is not None:
        return table if left_out in table.left_out else replace(table, left_out=(*table.left_out, left_out))
    column = next((one for one in there.columns if one.name.lower() == added.name.lower()), None)
    if column is None or not column.nullable:
        raise _refusal((table.table,), f"column {added.name} was added, and altered or dropped since", where)
    names = [one.name.lower() for one in table.columns]
    index = len(names) if added.after is None else 0
    if added.after:
        index = _behind(names, added.after.lower(), there, added.name)
    return replace(table, columns=(*table.columns[:index], column, *table.columns[index:]))


def _behind(names: list[str], after: str, there: TableSchema, name: str) -> int:
    """Where a column goes; one that nobody looks at may stand in front of it, then the source's order tells."""
    if after in names:
        return names.index(after) + 1
    order = [one.name.lower() for one in there.columns]
    before = [one for one in order[: order.index(name.lower())] if one in names]
    return names.index(before[-1]) + 1 if before else 0


def _refusal(tables: tuple[str, ...], what: str, where: str) -> DecodeError:
    return DecodeError(
        f"{what} ({', '.join(tables)})",
        where=where,
        remedy=f"read it again with its present definition: {reading_again(*tables)}",
    )
