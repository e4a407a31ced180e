"""Single rows of a lake table, found by key."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa
from pyiceberg import expressions
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, Or
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import Table

from datafingerprint.adapters.iceberg.connection import LakeConnection
from datafingerprint.adapters.iceberg.definition import identifier
from datafingerprint.adapters.iceberg.errors import translated
from datafingerprint.differences import FoundRow, SideRows, Wanted
from datafingerprint.errors import LakeError
from datafingerprint.partitions import PartitionField, Transform, partitioning
from datafingerprint.schema import Kind, TableSchema

_DAY = len("2031-04-02")

# Their models' fields are not the arguments that they take.
_Predicate = Callable[..., BooleanExpression]
_EQUAL: _Predicate = expressions.EqualTo
_IN: _Predicate = expressions.In
_AT_LEAST: _Predicate = expressions.GreaterThanOrEqual
_BELOW: _Predicate = expressions.LessThan
_IS_NULL: _Predicate = expressions.IsNull


class LakeRowReader:
    """Reads rows of the lake of one bucket and catalog."""

    def __init__(self, connection: LakeConnection) -> None:
        self._connection = connection

    def find(self, wanted: Wanted, snapshot_id: int) -> SideRows:
        """The wanted rows of a snapshot, with the file of each.

        Where a key names no values, all rows of the partition are read.

        Raises:
            LakeError: the snapshot has expired, or the table or a file cannot be read.
            Unavailable: store or catalog are away.
        """
        what = f"reading rows of {wanted.table.table}"
        with translated(what, where=self._connection.where):
            table = self._connection.catalog.load_table(identifier(wanted.table))
            if table.snapshot_by_id(snapshot_id) is None:
                raise LakeError("the lake's snapshot has expired", where=wanted.table.table, remedy="ask again")
            return SideRows(_found(table, wanted, snapshot_id))


def _found(table: Table, wanted: Wanted, snapshot_id: int) -> list[FoundRow]:
    condition = row_filter(wanted)
    scan = table.scan(condition, snapshot_id=snapshot_id)
    matches = []
    for task in scan.plan_files():
        reading = ArrowScan(table.metadata, table.io, scan.projection(), condition)
        for batch in reading.to_record_batches([task]):
            rows = _in_schema(pa.Table.from_batches([batch]), wanted.table)
            matches += wanted.matching(rows, task.file.file_path)
    return matches


def _in_schema(rows: pa.Table, table: TableSchema) -> pa.Table:
    """Rows in the table's Arrow schema; NULL in columns that the lake does not have."""
    there = set(rows.column_names)
    columns = [
        rows.column(column.name).cast(column.arrow) if column.name in there else pa.nulls(rows.num_rows, column.arrow)
        for column in table.columns
    ]
    return pa.table(columns, schema=table.arrow)


def row_filter(wanted: Wanted) -> BooleanExpression:
    """The condition of rows of the partition that may be wanted."""
    parts = partitioning(wanted.table)
    texts = parts.values(wanted.partition)
    conditions = [_of_field(field, text) for field, text in zip(parts.fields, texts, strict=True)]
    keys = wanted.values
    if keys is not None:
        conditions.append(_of_keys(keys))
    return _all(conditions)


def _all(conditions: Iterable[BooleanExpression]) -> BooleanExpression:
    whole: BooleanExpression = AlwaysTrue()
    for condition in conditions:
        whole = And(whole, condition)
    return whole


def _of_keys(keys: list[Mapping[str, Any]]) -> BooleanExpression:
    names = list(keys[0])
    if len(names) == 1:
        return _IN(names[0], [_literal(key[names[0]]) for key in keys])
    whole, *others = [_all(_EQUAL(name, _literal(key[name])) for name in names) for key in keys]
    for condition in others:
        whole = Or(whole, condition)
    return whole


def _literal(value: Any) -> Any:  # noqa: ANN401 - a value of any key column
    """A value as the filter takes it: moments as text, which is read by the column's type."""
    return value.isoformat() if isinstance(value, dt.date) else value


def _of_field(field: PartitionField, text: str | None) -> BooleanExpression:
    name = field.column.name
    if text is None:
        return _IS_NULL(name)
    if field.transform is Transform.IDENTITY:
        is_text = field.column.kind in (Kind.TEXT, Kind.ENUM, Kind.SET, Kind.DATE)
        return _EQUAL(name, text if is_text else int(text))
    first = dt.date.fromisoformat(f"{text}-01-01"[: max(_DAY, len(text))])
    lower, after = _moment(field, first), _next(first, field.transform)
    at_least = _AT_LEAST(name, lower)
    return at_least if after is None else And(at_least, _BELOW(name, _moment(field, after)))


def _moment(field: PartitionField, day: dt.date) -> str:
    ending = {Kind.DATETIME: "T00:00:00", Kind.TIMESTAMP: "T00:00:00+00:00"}
    return f"{day.isoformat()}{ending.get(field.column.kind, '')}"


def _next(first: dt.date, transform: Transform) -> dt.date | None:
    """The first day of the next period; None after the last one of the calendar."""
    try:
        if transform is Transform.YEAR:
            return first.replace(year=first.year + 1)
        if transform is Transform.MONTH:
            return (first.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
        return first + dt.timedelta(days=1)
    except (ValueError, OverflowError):
        return None
