"""Collects transactions until an epoch is due, and decodes them into columns of changes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from datafingerprint.binlog import images
from datafingerprint.binlog.images import DecodedRows, Field
from datafingerprint.binlog.transaction_batches import BatchLimit, TransactionBatch
from datafingerprint.binlog.transaction_rows import LoggedRows, TransactionRows
from datafingerprint.binlog.transactions import CommittedTransaction
from datafingerprint.changes import Changes, Op, changes
from datafingerprint.epochs import SourcePosition, Transaction
from datafingerprint.errors import DecodeError, Stop
from datafingerprint.schema import TableSchema

_TRANSACTIONS_MAX = 5_000
"""About 100 bytes each: half of the largest record."""

_STEP_BYTES = 16 << 20
"""Size of the images that are decoded at once if their number is unknown or if they are long."""


_BYTES_PER_ROW_MIN = 2.0
"""An image has a bitmap and a value of one byte. If all values are NULL, it still has the bitmap."""


_PARTIAL_IMAGE = DecodeError(
    "a row image lacks columns",
    where="the source's binlog",
    remedy="end the session that set binlog_row_image to another value than FULL: the table is read again by itself",
)


@dataclass(frozen=True, slots=True)
class EpochLimits:
    """When an epoch is closed: after so many seconds or row images.

    An idle source gets one every heartbeat.
    """

    seconds_max: float
    rows_max: int
    heartbeat_s: float


@dataclass(frozen=True, slots=True)
class CapturedTable:
    """A captured table, and the number of its definition in the stream."""

    table: TableSchema
    version: int


@dataclass(slots=True)
class _Pending:
    """Logged rows of one table in the open epoch, each with the ordinal of its transaction."""

    rows: list[tuple[int, LoggedRows]] = field(default_factory=list)


class EpochBuilder:
    """The open epoch: takes transactions, and gives their changes when it is due.

    Args:
        limits: When it is due.
        captured: The tables whose rows it takes.
        left_out: Tables whose rows are skipped. It may change while the epoch is open.
        note_changes: Called with all changes before their epoch is published.

    Attributes:
        passed_over: Tables with rows in the open epoch that are not followed, and the kind of change.
    """

    def __init__(
        self,
        limits: EpochLimits,
        captured: Mapping[str, CapturedTable],
        left_out: Container[str] = frozenset(),
        note_changes: Callable[[Changes], None] = lambda _: None,
    ) -> None:
        self._limits = limits
        self._left_out = left_out
        self._note_changes = note_changes
        self._faults: dict[str, Stop] = {}
        self._captured = captured
        self._bytes_per_row: dict[str, float] = {}
        self._layouts: dict[tuple[int, object], tuple[Field, ...]] = {}
        self._opened_at = 0.0
        self._clear()

    def _clear(self) -> None:
        self._pending: dict[str, _Pending] = {}
        self._transactions: list[Transaction] = []
        self._rows_estimated = 0.0
        self._size_bytes = 0
        self._large: tuple[int, TransactionRows] | None = None
        self._impossible: dict[str, int] = {}
        self.passed_over: set[tuple[str, Op]] = set()
        self.committed_at = 0.0

    def pass_over(self, table: str, op: Op) -> None:
        """Notes that a transaction has rows of a table that is not followed."""
        self.passed_over.add((table, op))

    @property
    def is_empty(self) -> bool:
        """Whether no transaction was added since the last epoch."""
        return not self._transactions

    @property
    def is_full(self) -> bool:
        """Whether it has as many row images or transactions as an epoch may have."""
        return self._large is not None or self._is_step_full or len(self._transactions) >= _TRANSACTIONS_MAX

    @property
    def _is_step_full(self) -> bool:
        return self._rows_estimated >= self._limits.rows_max or self._size_bytes >= _STEP_BYTES

    def add(self, committed: CommittedTransaction | TransactionBatch, now: float) -> None:
        """Takes a transaction or a batch.

        One without captured rows counts too: it moves the position.

        A transaction with rows on disk fills the epoch. Call `ahead()` before the next `add()`.
        """
        if self.is_empty:
            self._opened_at = now
        self.committed_at = committed.committed_at
        first, position = len(self._transactions), committed.position
        if isinstance(committed, TransactionBatch):
            for ordinal, (gtid, end) in enumerate(zip(committed.gtids, committed.ends, strict=True), first):
                self._transactions.append(Transaction(ordinal, gtid, position.file, end))
            for index, rows in committed.rows:
                self._keep(first + index, rows)
            return
        self._transactions.append(Transaction(first, committed.gtid, position.file, position.pos))
        if committed.rows.is_spilled:
            self._large = first, committed.rows
            return
        for rows in committed.rows:
            self._keep(first, rows)

    @property
    def batch_limit(self) -> BatchLimit:
        """How much the next batch may hold, so that it fills the epoch and exceeds it by little.

        It is exceeded if the batch has rows of a table that is narrower than those known so far.
        """
        per_row = min(self._bytes_per_row.values(), default=_BYTES_PER_ROW_MIN)
        rows_left = self._limits.rows_max - self._rows_estimated
        size_bytes = min(_STEP_BYTES - self._size_bytes, int(rows_left * per_row))
        return BatchLimit(max(1, size_bytes), max(1, _TRANSACTIONS_MAX - len(self._transactions)))

    def _keep(self, ordinal: int, rows: LoggedRows) -> None:
        table = rows.table_map.table
        if table in self._left_out or table in self._faults or table not in self._captured:
            return
        if not rows.is_full:
            self._fault(table, _PARTIAL_IMAGE)
            return
        if table not in self._pending:
            self._pending[table] = _Pending()
        self._pending[table].rows.append((ordinal, rows))
        self._rows_estimated += self._estimate(rows)
        self._size_bytes += len(rows.images)

    def _estimate(self, rows: LoggedRows) -> float:
        """Estimates the number of images by the average size of the table's images so far."""
        per_row = self._bytes_per_row.get(rows.table_map.table, 2.0 * len(rows.table_map.columns))
        return len(rows.images) / per_row

    def is_due(self, now: float, last_closed_at: float) -> bool:
        """Whether to close the epoch now."""
        if self.is_empty:
            return now - last_closed_at >= self._limits.heartbeat_s
        return self.is_full or now - self._opened_at >= self._limits.seconds_max

    def ahead(self, where: str) -> Iterator[list[Changes]]:
        """The changes to publish ahead of the epoch, in bounded steps, because of their size.

        There are none unless a transaction's rows are on disk. Then these are all rows so far, in binlog order. Once
        the iterator is exhausted, `take()` gives the rest of the epoch.

        Raises:
            DecodeError: images cannot be decoded.
        """
        if self._large is None:
            return
        ordinal, logged = self._large
        for rows in logged:
            if self._is_step_full:
                yield self._decode(where)
            self._keep(ordinal, rows)
        self._large = None
        logged.close()

    def take(self, position: SourcePosition) -> tuple[tuple[Transaction, ...], list[Changes], dict[str, int]]:
        """Closes the epoch.

        Returns its transactions, its changes by table, and counts of impossible dates.

        Raises:
            DecodeError: images cannot be decoded.
        """
        result = self._decode(f"{position.file}:{position.pos}")
        transactions, impossible = tuple(self._transactions), self._impossible
        self._clear()
        return transactions, result, impossible

    def take_faults(self) -> Mapping[str, Stop]:
        """Tables whose rows `take()` could not decode, and the errors. Call it after `take()`."""
        faults, self._faults = self._faults, {}
        return faults

    def _fault(self, table: str, error: Stop) -> None:
        self._faults[table] = error
        self._pending.pop(table, None)

    def _decode(self, where: str) -> list[Changes]:
        """Decodes the pending rows into changes by table, and clears them."""
        result = []
        for table, pending in sorted(self._pending.items()):
            if table in self._left_out or table not in self._captured:
                continue  # It left the stream after its rows were added.
            try:
                result.append(self._changes(self._captured[table], pending, where, self._impossible))
            except DecodeError as error:
                self._faults[table] = error
            except (pa.ArrowException, ValueError, ArithmeticError) as error:
                what = f"a row image cannot be decoded ({type(error).__name__})"
                self._faults[table] = DecodeError(
                    what,
                    where=f"{table}, in an epoch that ends at {where}",
                    remedy="fix or delete the row on the source, or leave the column out",
                )
        self._pending = {}
        self._rows_estimated, self._size_bytes = 0.0, 0
        for decoded in result:
            self._note_changes(decoded)
        return result

    def _changes(self, captured: CapturedTable, pending: _Pending, where: str, impossible: dict[str, int]) -> Changes:
        """Decodes all events of one kind at once, then restores the order of the binlog."""
        parts: list[Changes] = []
        order: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        for op in (Op.CREATED, Op.UPDATED, Op.DELETED):
            events = [(index, ordinal, rows) for index, (ordinal, rows) in enumerate(pending.rows) if rows.op is op]
            for group in _by_definition(events):
                part, positions = self._decoded(captured, op, group, where, impossible)
                parts.append(part)
                order.append(positions)
        rows = pa.concat_tables([part.rows for part in parts])
        if len(parts) > 1:
            rows = rows.take(pa.array(np.argsort(np.concatenate(order), kind="stable")))
        return Changes(captured.table, captured.version, rows)

    def _decoded(
        self,
        captured: CapturedTable,
        op: Op,
        events: list[tuple[int, int, LoggedRows]],
        where: str,
        impossible: dict[str, int],
    ) -> tuple[Changes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        table = captured.table
        layout = self._layout(captured, events[0][2], where)
        raw = b"".join(rows.images for _, _, rows in events)
        try:
            decoded = images.decode(raw, layout, table)
        except DecodeError as error:
            location = f"{table.table}, in an epoch that ends at {where}"
            remedy = error.remedy or "fix or delete the row on the source, or leave the column out"
            raise DecodeError(error.what, where=location, remedy=remedy) from error
        self._learn(table.table, decoded, len(raw))
        for name, count in decoded.impossible.items():
            key = f"{table.table}.{name}"
            impossible[key] = impossible.get(key, 0) + count
        which = _event_of_image(decoded, events)
        before, after, which = _sides(op, decoded.rows, which)
        indexes = np.array([index for index, _, _ in events], dtype=np.int64)
        ordinals = np.array([ordinal for _, ordinal, _ in events], dtype=np.int32)
        part = changes(table, captured.version, op, ordinals[which], before=before, after=after)
        return part, indexes[which]

    def _layout(self, captured: CapturedTable, rows: LoggedRows, where: str) -> tuple[Field, ...]:
        key = (captured.version, rows.table_map.columns)
        if key not in self._layouts:
            self._layouts[key] = images.fields(captured.table, rows.table_map, where)
        return self._layouts[key]

    def _learn(self, table: str, decoded: DecodedRows, size_bytes: int) -> None:
        if decoded.rows.num_rows:
            self._bytes_per_row[table] = size_bytes / decoded.rows.num_rows


def _by_definition(events: list[tuple[int, int, LoggedRows]]) -> list[list[tuple[int, int, LoggedRows]]]:
    # All events of one table map share one columns object. To compare columns by value takes as long as decoding.
    same: dict[int, list[tuple[int, int, LoggedRows]]] = {}
    for event in events:
        same.setdefault(id(event[2].table_map.columns), []).append(event)
    groups: dict[object, list[tuple[int, int, LoggedRows]]] = {}
    for group in same.values():
        groups.setdefault(group[0][2].table_map.columns, []).extend(group)
    return [sorted(group, key=lambda event: event[0]) for group in groups.values()]


def _event_of_image(
    decoded: DecodedRows, events: list[tuple[int, int, LoggedRows]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each image the index of its event."""
    ends = np.cumsum([len(rows.images) for _, _, rows in events])
    return np.searchsorted(ends, decoded.starts, side="right")


def _sides(
    op: Op, rows: pa.Table, which: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[pa.Table | None, pa.Table | None, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Before and after images. Those of an update alternate."""
    if op is Op.CREATED:
        return None, rows, which
    if op is Op.DELETED:
        return rows, None, which
    number = rows.num_rows
    return rows.take(pa.array(np.arange(0, number, 2))), rows.take(pa.array(np.arange(1, number, 2))), which[::2]
