"""Changes as SQL with parameters; the only place of the generator that writes SQL for rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from services.generator.batches import Updates, batched
from services.generator.rows import Change, Delete, Insert, Plus, Row, Select, Update, Value
from services.generator.tables import BY_NAME

UPDATED_MAX = 100  # rows of one UPDATE, each a SELECT in it
ROWS_MAX = 500  # of one INSERT: 500 rows of 25 columns are about 50 kB, far below any max_allowed_packet


@dataclass(frozen=True)
class Statement:
    """SQL with `%s` for each parameter.

    Attributes:
        sql: The text; every identifier is quoted.
        parameters: The values, in order.
        must_change: Whether a transaction fails if this changes no row.
        keeps_values: Whether a transaction fails if the server truncates or replaces a value of this.
    """

    sql: str
    parameters: tuple[Value, ...] = ()
    must_change: bool = False
    keeps_values: bool = False


def quoted(identifier: str) -> str:
    """An identifier between backticks, safe beside parameters."""
    return "`" + identifier.replace("`", "``").replace("%", "%%") + "`"


def statements(changes: Iterable[Change]) -> Iterator[Statement]:
    """The statements of a transaction, batched (`batches`)."""
    for change in batched(changes):
        if isinstance(change, Insert):
            yield from _inserts(change)
        elif isinstance(change, Updates):
            yield from _updates(change)
        elif isinstance(change, Update):
            yield _update(change)
        else:
            yield _delete(change)


def _inserts(change: Insert) -> Iterator[Statement]:
    columns = BY_NAME[change.table].column_names
    head = f"INSERT INTO {quoted(change.table)} ({', '.join(quoted(name) for name in columns)}) VALUES "
    for start in range(0, len(change.rows), ROWS_MAX):
        rows = change.rows[start : start + ROWS_MAX]
        yield Statement(head + ", ".join([f"({', '.join(_places(row))})" for row in rows]), _parameters(rows))


def _places(row: Row) -> list[str]:
    """Integers as literals, `%s` for other values.

    Most of a game's 3,600 values are integers, and the client library binds parameters slowly.
    """
    return [str(value) if type(value) is int else "%s" for value in row]


def _parameters(rows: Iterable[Row]) -> tuple[Value, ...]:
    return tuple([value for row in rows for value in row if type(value) is not int])


def _update(change: Update) -> Statement:
    """An update. One that marks a game as played must change a row.

    Otherwise the game does not exist, or was played already.
    """
    assignments = []
    parameters: list[Value] = []
    for name, value in change.values.items():
        plus = isinstance(value, Plus)
        assignments.append(f"{quoted(name)} = " + (f"{quoted(name)} + %s" if plus else "%s"))
        parameters.append(value.by if isinstance(value, Plus) else value)
    where, matched = _where(change.match)
    sql = f"UPDATE {quoted(change.table)} SET {', '.join(assignments)}{where}"
    return Statement(sql, (*parameters, *matched), must_change="played" in change.match)


def _updates(change: Updates) -> Iterator[Statement]:
    """Updates that join the table to a list of new values.

    The list is read first, so rows are found by index.
    """
    table = quoted(change.table)
    names = (*change.match, *change.fixed, *change.grown)
    condition = " AND ".join(f"{table}.{quoted(name)} = `new`.{quoted(name)}" for name in change.match)
    assignments = [f"{table}.{quoted(name)} = `new`.{quoted(name)}" for name in change.fixed]
    assignments += [f"{table}.{quoted(name)} = {table}.{quoted(name)} + `new`.{quoted(name)}" for name in change.grown]
    for start in range(0, len(change.rows), UPDATED_MAX):
        rows = change.rows[start : start + UPDATED_MAX]
        first = ", ".join(f"{place} AS {quoted(name)}" for place, name in zip(_places(rows[0]), names, strict=True))
        values = " UNION ALL SELECT ".join([first, *(", ".join(_places(row)) for row in rows[1:])])
        sql = f"UPDATE (SELECT {values}) AS `new` STRAIGHT_JOIN {table} ON {condition} SET {', '.join(assignments)}"
        yield Statement(sql, _parameters(rows))


def _delete(change: Delete) -> Statement:
    where, matched = _where(change.match)
    limit = "" if change.limit is None else f" LIMIT {change.limit:d}"
    return Statement(f"DELETE FROM {quoted(change.table)}{where}{limit}", matched)


def selection(select: Select) -> Statement:
    """A question as SQL."""
    where, matched = _where(select.match)
    bounds = [(bound, sign) for bound, sign in ((select.above, ">"), (select.below, "<")) if bound is not None]
    for (column, _), sign in bounds:
        where += f"{' AND' if where else ' WHERE'} {quoted(column)} {sign} %s"
    end = "" if select.ordered_by is None else f" ORDER BY {quoted(select.ordered_by)}{' DESC' * select.descending}"
    end += "" if select.limit is None else f" LIMIT {select.limit:d}"
    columns = ", ".join(quoted(name) for name in select.columns)
    parameters = (*matched, *(value for (_, value), _ in bounds))
    return Statement(f"SELECT {columns} FROM {quoted(select.table)}{where}{end}", parameters)


def _where(match: Mapping[str, Value]) -> tuple[str, tuple[Value, ...]]:
    """A condition that also finds NULLs (`<=>`). An empty match finds every row."""
    if not match:
        return "", ()
    conditions = (f"{quoted(name)} {'<=>' if value is None else '='} %s" for name, value in match.items())
    return " WHERE " + " AND ".join(conditions), tuple(match.values())
