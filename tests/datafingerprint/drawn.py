"""What hypothesis draws for the tests: tables, rows and histories, and the slow obvious way to count them."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from datafingerprint.canonical import digest
from datafingerprint.changes import Changes, Op, envelope
from datafingerprint.fingerprint import Fingerprint, of_digests
from datafingerprint.partitions import partitioning
from datafingerprint.schema import BYTES_KINDS, TEXT_KINDS, Column, Kind, TableSchema

Row = dict[str, Any]

_EXACT = Context(prec=80)
MOST_TIME_US = ((838 * 60 + 59) * 60 + 59) * 1_000_000
"""The longest TIME, `838:59:59`."""

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_NAMES = st.text(st.sampled_from("abXYZ_0 |=%\"'`.é漢🏈"), min_size=1, max_size=5).filter(
    lambda name: name == name.strip()
)


def _decimal_column(name: str, precision: int, scale: int) -> Column:
    scale = min(precision, scale)
    return Column(name, f"decimal({precision},{scale})", Kind.DECIMAL, precision=precision, scale=scale)


def columns(name: str) -> st.SearchStrategy[Column]:
    """A column of any kind under this name."""
    integers = st.builds(
        lambda octets, unsigned: Column(name, "int", Kind.INTEGER, width_bytes=octets, unsigned=unsigned),
        st.sampled_from([1, 2, 3, 4, 8]),
        st.booleans(),
    )
    decimals = st.builds(lambda p, s: _decimal_column(name, p, s), st.integers(1, 65), st.integers(0, 30))
    bits = st.builds(lambda width: Column(name, "bit", Kind.BIT, precision=width), st.integers(1, 64))
    others = st.sampled_from([kind for kind in Kind if kind not in (Kind.INTEGER, Kind.DECIMAL, Kind.BIT)]).map(
        lambda kind: Column(name, kind.value, kind)
    )
    return st.one_of(integers, decimals, bits, others)


def values(column: Column) -> st.SearchStrategy[Any]:
    """Any value that the column may hold, its ends and NULL among them."""
    return st.none() | _values(column)


def _values(column: Column) -> st.SearchStrategy[Any]:
    if column.kind is Kind.INTEGER:
        bits = 8 * column.width_bytes
        low, high = (0, 2**bits - 1) if column.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return st.integers(low, high) | st.sampled_from([low, high])
    if column.kind is Kind.DECIMAL:
        most = 10**column.precision - 1
        drawn = st.integers(-most, most) | st.sampled_from([0, most, -most, 1, -1])
        exact = drawn.map(lambda unscaled: Decimal(unscaled).scaleb(-column.scale, _EXACT))
        return exact.map(lambda value: format(value or abs(value), "f")) if column.is_long_decimal else exact
    if column.kind is Kind.BIT:
        return st.integers(0, 2**column.precision - 1)
    if column.kind in TEXT_KINDS:
        return TEXTS
    if column.kind in BYTES_KINDS:
        return st.binary(max_size=12)
    simple: dict[Kind, st.SearchStrategy[Any]] = {
        Kind.FLOAT: st.floats(width=32, allow_nan=False, allow_infinity=False),
        Kind.DOUBLE: st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from([5e-324, -5e-324, 1.7976931348623157e308, -0.0, 0.0]),
        Kind.DATE: st.dates() | st.sampled_from([dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
        Kind.DATETIME: st.datetimes(),
        Kind.TIMESTAMP: st.datetimes(timezones=st.just(dt.UTC)),
        Kind.YEAR: st.just(0) | st.integers(1901, 2155),
        Kind.TIME: st.integers(-MOST_TIME_US, MOST_TIME_US),
    }
    return simple[column.kind]


_SPLITS = {
    **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.TEXT, Kind.ENUM, Kind.SET), ("{}",)),
    Kind.DATE: ("{}", "year({})", "month({})", "day({})"),
    **dict.fromkeys((Kind.DATETIME, Kind.TIMESTAMP), ("year({})", "month({})", "day({})")),
}


@st.composite
def tables(draw: st.DrawFn) -> TableSchema:
    """A table of a few columns, some of them its key, some of them its partition fields."""
    names = draw(st.lists(_NAMES, min_size=1, max_size=5, unique_by=str.lower))
    drawn = tuple(draw(columns(name)) for name in names)
    key = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    fields = [form.format(item.name) for item in drawn for form in _SPLITS.get(item.kind, ())]
    fields = [field for field in fields if field.count("(") <= 1]
    partition = draw(st.lists(st.sampled_from(fields), max_size=2, unique=True)) if fields else []
    return TableSchema("s", "t", drawn, tuple(key), tuple(partition))


def rows_of(table: TableSchema, *, max_size: int = 8) -> st.SearchStrategy[list[Row]]:
    """Rows of the table."""
    return st.lists(st.fixed_dictionaries({column.name: values(column) for column in table.columns}), max_size=max_size)


@st.composite
def tables_with_rows(draw: st.DrawFn) -> tuple[TableSchema, list[Row]]:
    """A table and rows of it."""
    table = draw(tables())
    return table, draw(rows_of(table))


def arrow(table: TableSchema, rows: Sequence[Row]) -> pa.Table:
    """Rows in the table's Arrow schema."""
    return pa.Table.from_pylist(list(rows), schema=table.arrow)


def change_rows(table: TableSchema, events: Sequence[Row]) -> Changes:
    """Changes given as dictionaries of the envelope."""
    return Changes(table, 1, pa.Table.from_pylist(list(events), schema=envelope(table)))


def slow_sums(table: TableSchema, rows: Iterable[Row]) -> dict[str, Fingerprint]:
    """The fingerprint per partition, one row after another in plain Python."""
    names = partitioning(table)
    digests: dict[str, list[bytes]] = defaultdict(list)
    for row in rows:
        digests[names.name(row)].append(digest(row, table.columns))
    return {name: of_digests(result) for name, result in digests.items()}


def multiset(rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[Any, ...]]:
    """Rows, countable; without order."""
    return Counter(tuple(row.values()) for row in rows)


KEYED = TableSchema(
    "s",
    "keyed",
    (
        Column("id", "int(11)", Kind.INTEGER, width_bytes=4, nullable=False),
        Column("Part", "varchar(9)", Kind.TEXT),
        Column("n", "bigint(20)", Kind.INTEGER, width_bytes=8),
    ),
    ("id",),
    ("Part",),
)
MULTISET = TableSchema("s", "multiset", KEYED.columns, (), ("Part",))

_ROW = st.fixed_dictionaries(
    {
        "id": st.integers(-3, 6),
        "Part": st.sampled_from([None, "", "a", "A", "null", "x/y=z"]),
        "n": st.none() | st.integers(0, 2),
    }
).map(lambda row: {name: row[name] for name in ("id", "Part", "n")})


@dataclass(frozen=True)
class History:
    """Rows to begin with, what happens to them, and the rows in the end, by a model that is a plain list.

    Attributes:
        table: Keyed or a multiset.
        initial: The rows before.
        events: Envelopes in order.
        final: The rows afterwards.
    """

    table: TableSchema
    initial: list[Row]
    events: list[Row]
    final: list[Row]

    def changes(self, start: int = 0, stop: int | None = None) -> Changes:
        """Some of the events as changes."""
        return change_rows(self.table, self.events[start:stop])


@st.composite
def histories(draw: st.DrawFn, *, keyed: bool | None = None, resets: bool = True) -> History:
    """A history of inserts, updates (of keys too), deletes and resets, possible on a real table."""
    is_keyed = draw(st.booleans()) if keyed is None else keyed
    table = KEYED if is_keyed else MULTISET
    unique = (lambda row: row["id"]) if is_keyed else None
    initial = draw(st.lists(_ROW, max_size=6, unique_by=unique))
    rows = [dict(row) for row in initial]
    events: list[Row] = []
    ops = draw(st.lists(st.sampled_from("cccuuuddr" + "t" * resets), max_size=14))
    for tx, letter in enumerate(ops):
        event = _step(draw, Op(letter), rows, is_keyed=is_keyed)
        if event:
            events.append({**event, "tx": tx})
    return History(table, initial, events, rows)


def _step(draw: st.DrawFn, op: Op, rows: list[Row], *, is_keyed: bool) -> Row | None:
    if op is Op.TRUNCATED:
        rows.clear()
        return {"op": "t", "before": None, "after": None}
    before = None
    if op in (Op.UPDATED, Op.DELETED):
        if not rows:
            return None
        before = rows.pop(draw(st.integers(0, len(rows) - 1)))
    after = None if op is Op.DELETED else dict(draw(_ROW))
    if after is not None and is_keyed and any(row["id"] == after["id"] for row in rows):
        if before is None:
            return None
        after["id"] = before["id"]
    if after is not None:
        rows.append(after)
    return {"op": op.value, "before": before, "after": after}
