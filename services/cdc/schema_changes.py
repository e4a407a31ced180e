"""Which captured tables a statement truncates, drops, replaces or alters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from datafingerprint.binlog.alterations import AddedColumn, parse_alteration
from datafingerprint.binlog.statements import Meaning, Statement
from datafingerprint.errors import DecodeError
from datafingerprint.ports.source import Survey
from datafingerprint.recovery import resnapshot_command
from datafingerprint.schema import TableSchema
from datafingerprint.table_names import split_table_name
from services.cdc.epoch_builder import CapturedTable

_REMOVING = frozenset({"DROP", "RENAME"})

_KEY_WORDS = frozenset({"FOREIGN", "REFERENCES"})

Present = Callable[[Collection[str]], Survey]
"""Surveys tables by name. The survey is of now, which is later than the binlog position."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """What happens to the followed tables that a statement names.

    Attributes:
        truncated: Tables that have no rows any more.
        dropped: Tables that leave the stream.
        replaced: Tables that have to be read again: another table has the name, or rows went without being logged.
        altered: Tables that have another definition, and this definition.
    """

    truncated: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    altered: Mapping[str, TableSchema] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether no row and no definition changes."""
        return not (self.truncated or self.dropped or self.replaced or self.altered)


def schema_change(
    statement: Statement, followed: Mapping[str, CapturedTable], present: Present, where: str
) -> SchemaChange:
    """The effect of a statement on the followed tables.

    Args:
        statement: A statement about tables, or one that drops a schema.
        followed: The tables whose changes are being published.
        present: Surveys tables that are altered or replaced.
        where: The binlog location, for errors.

    Raises:
        DecodeError: rows have changed without being logged.
    """
    if statement.meaning is Meaning.DROP_SCHEMA:
        return SchemaChange(dropped=_of_schema(statement.name, followed))
    tables = tuple(dict.fromkeys(name for name in statement.tables if name in followed))
    if not tables:
        return SchemaChange()
    if statement.name == "TRUNCATE":
        return SchemaChange(truncated=tables)
    # An ALTER that turns a partition into a table leaves a table with fewer rows. Any other ALTER that makes a name
    # takes another name away.
    if statement.name != "ALTER" or (statement.made and not parse_alteration(statement.clauses).loses_rows):
        made = [name for name in tables if name in statement.made]
        survey = present(made) if made else Survey({})
        replaced = tuple(name for name in made if name in survey.tables or name in survey.errors)
        return SchemaChange(dropped=tuple(name for name in tables if name not in replaced), replaced=replaced)
    return _altered(statement, tables, followed, present, where)


def may_alter_keys(statement: Statement) -> bool:
    """Whether foreign keys may be other ones after a statement.

    An ALTER that names none keeps them.
    """
    if statement.name == "ALTER":
        return any(token.word in _KEY_WORDS for token in statement.clauses)
    return statement.name != "TRUNCATE"


def followed_redefinition(
    statement: Statement, followed: Mapping[str, CapturedTable], present: Present, where: str
) -> tuple[SchemaChange, DecodeError | None]:
    """The effect of a statement.

    Tables that cannot be followed through it are replaced, and the error says why.
    """
    try:
        return schema_change(statement, followed, present, where), None
    except DecodeError as error:
        tables = tuple(dict.fromkeys(name for name in statement.tables if name in followed))
        return SchemaChange(replaced=tables), error


def refuse_alteration(statement: Statement, change: SchemaChange, where: str) -> None:
    """Refuses an ALTER that changes rows or columns of followed tables (`source.on_alter`).

    Raises:
        DecodeError: the statement is such an ALTER.
    """
    if statement.name != "ALTER" or change.is_empty:
        return
    present = sorted({*change.replaced, *change.altered})
    remedy = 'set [source] on_alter = "follow" and start capture again'
    if present:
        remedy += f"; or re-snapshot with the present definition: {resnapshot_command(*present)}"
    raise DecodeError(
        f"an ALTER changes a captured table, and source.on_alter is stop ({', '.join([*present, *change.dropped])})",
        where=where,
        remedy=remedy,
    )


def passed_over(statement: Statement, left_out: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tables among `left_out` that a statement drops, and those that it changes."""
    if statement.meaning is Meaning.DROP_SCHEMA:
        return _of_schema(statement.name, left_out), ()
    named = [name for name in dict.fromkeys((*statement.tables, *statement.made)) if name in left_out]
    is_removing = statement.name in _REMOVING or (statement.name == "ALTER" and bool(statement.made))
    dropped = [name for name in named if is_removing and name in statement.tables and name not in statement.made]
    return tuple(dropped), tuple(name for name in named if name not in dropped)


def _of_schema(schema: str, tables: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in tables if split_table_name(name)[0] == schema))


def _altered(
    statement: Statement,
    tables: tuple[str, ...],
    followed: Mapping[str, CapturedTable],
    present: Present,
    where: str,
) -> SchemaChange:
    change = parse_alteration(statement.clauses)
    unknown = change.unknown or ("IGNORE" if statement.loses_duplicates else "")
    if unknown:
        raise _refusal(tables, f"{statement.name} TABLE … {unknown} … cannot be followed", where)
    if not (change.added or change.loses_rows):
        return SchemaChange()
    survey = present(tables)
    present_now = tuple(name for name in tables if name in survey.tables or name in survey.errors)
    if change.loses_rows or not present_now or present_now[0] in survey.errors:
        # Without a present definition the types of new columns are unknown.
        return SchemaChange(dropped=tuple(name for name in tables if name not in present_now), replaced=present_now)
    (name,) = present_now
    table = followed[name].table
    for added in change.added:
        table = _with_column(table, added, survey.tables[name], where)
    return SchemaChange(altered={name: table} if table != followed[name].table else {})


def _with_column(table: TableSchema, added: AddedColumn, present: TableSchema, where: str) -> TableSchema:
    """The definition with one more column, of the type that it has on the source now."""
    if any(column.name.lower() == added.name.lower() for column in table.columns):
        return table
    left_out = next((name for name in present.left_out if name.lower() == added.name.lower()), None)
    if left_out is not None:
        return table if left_out in table.left_out else replace(table, left_out=(*table.left_out, left_out))
    column = next((known for known in present.columns if known.name.lower() == added.name.lower()), None)
    if column is None or not column.nullable:
        raise _refusal((table.table,), f"column {added.name} was added, then altered or dropped", where)
    names = [known.name.lower() for known in table.columns]
    index = len(names) if added.after is None else 0
    if added.after:
        index = _index_after(names, added.after.lower(), present, added.name)
    return replace(table, columns=(*table.columns[:index], column, *table.columns[index:]))


def _index_after(names: list[str], after: str, present: TableSchema, name: str) -> int:
    """The index of a new column.

    If the column before it is not captured, the source's order decides.
    """
    if after in names:
        return names.index(after) + 1
    order = [column.name.lower() for column in present.columns]
    before = [known for known in order[: order.index(name.lower())] if known in names]
    return names.index(before[-1]) + 1 if before else 0


def _refusal(tables: tuple[str, ...], what: str, where: str) -> DecodeError:
    return DecodeError(
        f"{what} ({', '.join(tables)})",
        where=where,
        remedy="none is needed: the table is read again by itself",
    )
