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
        must_change: Whether a transaction is wrong in which this changes no row.
        keeps_values: Whether a transaction is wrong in which the server cuts or replaces a value of this.
    """

    sql: str
    parameters: tuple[Value, ...] = ()
    must_change: bool = False
    keeps_values: bool = False


def quoted(identifier: str) -> str:
    """An identifier between backticks, safe beside parameters."""
    return "`" + identifier.replace("`", "``").replace("%", "%%") + "`"


def statements(changes: Iterable[Change]) -> Iterator[Statement]:
    """The statements of a transaction: few, for one changes all rows of a table that it can (`batches`)."""
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
    group = "(" + ", ".join(["%s"] * len(columns)) + ")"
    for start in range(0, len(change.rows), ROWS_MAX):
        rows: tuple[Row, ...] = change.rows[start : start + ROWS_MAX]
        parameters = tuple(value for row in rows for value in row)
        yield Statement(head + ", ".join([group] * len(rows)), parameters)


def _update(change: Update) -> Statement:
    """A game that is not there or already played must not be played: its update has to change a row."""
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
    """Rows are joined to a list of new values, which is read first: each row is then found by its index."""
    table = quoted(change.table)
    names = (*change.match, *change.fixed, *change.grown)
    first = ", ".join(f"%s AS {quoted(name)}" for name in names)
    following = " UNION ALL SELECT " + ", ".join(["%s"] * len(names))
    found = " AND ".join(f"{table}.{quoted(name)} = `new`.{quoted(name)}" for name in change.match)
    assignments = [f"{table}.{quoted(name)} = `new`.{quoted(name)}" for name in change.fixed]
    assignments += [f"{table}.{quoted(name)} = {table}.{quoted(name)} + `new`.{quoted(name)}" for name in change.grown]
    for start in range(0, len(change.rows), UPDATED_MAX):
        rows = change.rows[start : start + UPDATED_MAX]
        values = f"SELECT {first}{following * (len(rows) - 1)}"
        sql = f"UPDATE ({values}) AS `new` STRAIGHT_JOIN {table} ON {found} SET {', '.join(assignments)}"
        yield Statement(sql, tuple(value for row in rows for value in row))


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
    """A condition that also finds NULLs (`<=>`); nothing to match is every row."""
    if not match:
        return "", ()
    conditions = (f"{quoted(name)} {'<=>' if value is None else '='} %s" for name, value in match.items())
    return " WHERE " + " AND ".join(conditions), tuple(match.values())
