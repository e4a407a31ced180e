"""Changes of one table in columns: what happened to each row, in which transaction, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.errors import WireError
from datafingerprint.remedies import reading_again
from datafingerprint.schema import TableSchema


class Op(StrEnum):
    """What a change is. The letters are those that Debezium users know; `t` starts a table or partition anew."""

    CREATED = "c"
    UPDATED = "u"
    DELETED = "d"
    READ = "r"
    TRUNCATED = "t"


HAS_BEFORE = frozenset({Op.UPDATED, Op.DELETED})
HAS_AFTER = frozenset({Op.CREATED, Op.UPDATED, Op.READ})


@dataclass(frozen=True, slots=True)
class Changes:
    """Consecutive changes of one table, as they lie in one Kafka partition.

    Attributes:
        table: The definition that the columns follow.
        version: That definition's number in the stream.
        rows: Columns `op` (text), `tx` (ordinal of the source transaction in its epoch), and the structs
            `before` and `after`; a struct is null where the operation has no such side.
        partition: Only for changes that are nothing but a `t`: name of the one partition of the table that starts
            from nothing; None when it is the whole table.
    """

    table: TableSchema
    version: int
    rows: pa.Table
    partition: str | None = None

    @property
    def before(self) -> pa.Table:
        """The images that were taken away, in order."""
        return _side(self.rows, "before", HAS_BEFORE)

    @property
    def after(self) -> pa.Table:
        """The images that were put in place, in order."""
        return _side(self.rows, "after", HAS_AFTER)


def envelope(table: TableSchema) -> pa.Schema:
    """The Arrow schema of a message about this table."""
    row = pa.struct(list(table.arrow))
    return pa.schema(
        [
            pa.field("op", pa.string(), nullable=False),
            pa.field("tx", pa.int32(), nullable=False),
            pa.field("before", row),
            pa.field("after", row),
        ]
    )


def has_op(rows: pa.Table, ops: frozenset[Op]) -> pa.ChunkedArray:
    """Which rows carry one of these operations."""
    return pc.is_in(rows.column("op"), value_set=pa.array([op.value for op in ops], pa.string()))


def images(rows: pa.Table, side: str) -> pa.Table:
    """One struct column of an envelope as a table of rows."""
    struct = rows.column(side).combine_chunks()
    fields = list(struct.type)
    return pa.table(struct.flatten(), schema=pa.schema(fields))


def _side(rows: pa.Table, side: str, ops: frozenset[Op]) -> pa.Table:
    return images(rows.filter(has_op(rows, ops)), side)


def changes(
    table: TableSchema,
    version: int,
    op: Op,
    tx: np.ndarray[tuple[int], np.dtype[np.int32]] | int,
    *,
    before: pa.Table | None = None,
    after: pa.Table | None = None,
    count: int | None = None,
) -> Changes:
    """Changes of one kind; `tx` is one ordinal for all or one for each, `count` is for those with no image."""
    given = before if before is not None else after
    number = given.num_rows if given is not None else (count or 0)
    ordinals = np.full(number, tx, dtype=np.int32) if isinstance(tx, int) else tx
    arrays = [
        pa.repeat(pa.scalar(op.value), number),
        pa.array(ordinals, pa.int32()),
        _struct(table, before, number),
        _struct(table, after, number),
    ]
    return Changes(table, version, pa.table(arrays, schema=envelope(table)))


def _struct(table: TableSchema, rows: pa.Table | None, number: int) -> pa.Array:
    fields = list(table.arrow)
    if rows is None:
        return pa.nulls(number, pa.struct(fields))
    return pa.StructArray.from_arrays([column.combine_chunks() for column in rows.columns], fields=fields)


def joined(parts: list[Changes]) -> Changes:
    """Consecutive changes of one definition as one; a `t` that is about one partition is joined with nothing."""
    if len(parts) == 1:
        return parts[0]
    return Changes(parts[0].table, parts[0].version, pa.concat_tables([part.rows for part in parts]))


def reset(table: TableSchema, version: int, tx: int = 0, *, partition: str | None = None) -> Changes:
    """The `t` that starts a table, or one partition of it, from nothing."""
    found = changes(table, version, Op.TRUNCATED, tx, count=1)
    return Changes(table, version, found.rows, partition)


NO_TRUNCATION = -1
"""What `last_truncation` says of changes without a `t`."""


def last_truncation(changed: Changes) -> int:
    """Index of the last `t`, or `NO_TRUNCATION` when there is none."""
    found = np.flatnonzero(has_op(changed.rows, frozenset({Op.TRUNCATED})).to_numpy())
    return int(found[-1]) if len(found) else NO_TRUNCATION


def conformed(changed: Changes, table: TableSchema) -> Changes:
    """Changes as if their rows had the columns of a newer definition; those that they lack are null in them.

    Raises:
        WireError: a column was of another type, or is not there any more.
    """
    if changed.table.columns == table.columns:
        return changed
    if not changed.rows.num_rows:
        return Changes(table, changed.version, envelope(table).empty_table())
    lost = [column for column in changed.table.columns if column not in table.columns]
    if lost:
        raise WireError(
            f"column {lost[0].name} of {table.table} is another one now, and no `t` stands between",
            where=f"definition {changed.version}",
            remedy=f"read the table again: {reading_again(table.table)}",
        )
    columns = {name: changed.rows.column(name) for name in ("op", "tx")}
    columns |= {side: _widened(changed.rows.column(side).combine_chunks(), table) for side in ("before", "after")}
    return Changes(table, changed.version, pa.table(columns, schema=envelope(table)))


def _widened(side: pa.StructArray, table: TableSchema) -> pa.StructArray:
    known = {field.name for field in side.type}
    arrays = [
        side.field(field.name) if field.name in known else pa.nulls(len(side), field.type) for field in table.arrow
    ]
    return pa.StructArray.from_arrays(arrays, fields=list(table.arrow), mask=side.is_null())
