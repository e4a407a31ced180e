"""Changes of one table in columns: operation, transaction, and the row before and after."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.errors import WireError
from datafingerprint.recovery import resnapshot_command
from datafingerprint.schema import TableSchema


class Op(StrEnum):
    """The kind of a change, by Debezium's letters; `t` starts a table or partition empty."""

    CREATED = "c"
    UPDATED = "u"
    DELETED = "d"
    READ = "r"
    TRUNCATED = "t"


HAS_BEFORE = frozenset({Op.UPDATED, Op.DELETED})
HAS_AFTER = frozenset({Op.CREATED, Op.UPDATED, Op.READ})


@dataclass(frozen=True, slots=True)
class Changes:
    """Consecutive changes of one table in one Kafka partition.

    Attributes:
        table: The definition that the columns follow.
        version: The number of this definition in the stream.
        rows: Columns `op` (text), `tx` (ordinal of the source transaction in its epoch), and the structs
            `before` and `after`. A struct is null where the operation has no such side.
        partition: The one partition of the table that a single `t` starts from nothing; None in all other changes, also
            for a `t` of the whole table.
    """

    table: TableSchema
    version: int
    rows: pa.Table
    partition: str | None = None

    @property
    def before(self) -> pa.Table:
        """The removed rows, in order."""
        return _side(self.rows, "before", HAS_BEFORE)

    @property
    def after(self) -> pa.Table:
        """The added rows, in order."""
        return _side(self.rows, "after", HAS_AFTER)


def envelope(table: TableSchema) -> pa.Schema:
    """The Arrow schema of a message of this table."""
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
    """Marks the rows that have one of these operations."""
    return pc.is_in(rows.column("op"), value_set=pa.array([op.value for op in ops], pa.string()))


def images(rows: pa.Table, side: str) -> pa.Table:
    """Converts a struct column of an envelope to a table of rows."""
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
    """Builds changes of one kind.

    Args:
        table: The definition of their columns.
        version: The number of the definition.
        op: The kind.
        tx: One ordinal for all changes, or one for each.
        before: The rows before; None if the kind has none.
        after: The rows after; None if the kind has none.
        count: The number of changes, if there are no rows.
    """
    images_given = before if before is not None else after
    number = images_given.num_rows if images_given is not None else (count or 0)
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
    """Concatenates consecutive changes of one definition. A `t` of one partition must be alone."""
    if len(parts) == 1:
        return parts[0]
    return Changes(parts[0].table, parts[0].version, pa.concat_tables([part.rows for part in parts]))


def reset(table: TableSchema, version: int, tx: int = 0, *, partition: str | None = None) -> Changes:
    """The `t` that starts a table or one partition from nothing."""
    rows = changes(table, version, Op.TRUNCATED, tx, count=1).rows
    return Changes(table, version, rows, partition)


NO_TRUNCATION = -1
"""The result of `last_truncation` for changes without a `t`."""


def last_truncation(changed: Changes) -> int:
    """The index of the last `t`, or `NO_TRUNCATION`."""
    indices = np.flatnonzero(has_op(changed.rows, frozenset({Op.TRUNCATED})).to_numpy())
    return int(indices[-1]) if len(indices) else NO_TRUNCATION


def conform_to(changed: Changes, table: TableSchema) -> Changes:
    """Converts changes to the columns of a newer definition. Columns that they lack become null.

    Raises:
        WireError: a column has another type, or was dropped.
    """
    if changed.table.columns == table.columns:
        return changed
    if not changed.rows.num_rows:
        return Changes(table, changed.version, envelope(table).empty_table())
    missing = [column for column in changed.table.columns if column not in table.columns]
    if missing:
        raise WireError(
            f"column {missing[0].name} of {table.table} has changed, and no `t` precedes its new definition",
            where=f"definition {changed.version}",
            remedy=f"re-snapshot the table: {resnapshot_command(table.table)}",
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
