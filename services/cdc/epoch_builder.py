"""Collects whole transactions until an epoch is due, and turns them into changes in columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from datafingerprint.changes import Changes, Op, changes
from datafingerprint.epochs import SourcePosition, Transaction
from datafingerprint.errors import DecodeError
from datafingerprint.schema import TableSchema
from services.cdc import images
from services.cdc.images import Decoded, Field
from services.cdc.plain import CommittedRun, Room
from services.cdc.transaction_rows import LoggedRows, TransactionRows
from services.cdc.transactions import Committed

_TRANSACTIONS_MAX = 5_000
"""About 100 octets each: half of what a record may have."""

_STEP_OCTETS = 16 << 20
"""Images that are decoded at once where their number is not known yet, or where they are long."""


_OCTETS_PER_ROW_MIN = 2.0
"""An image has a bitmap, and a value of one octet; all of them NULL, still the bitmap."""


@dataclass(frozen=True, slots=True)
class EpochLimits:
    """When an epoch is closed: after so many seconds or row images; an idle source gets one every heartbeat."""

    seconds_max: float
    rows_max: int
    heartbeat_s: float


@dataclass(frozen=True, slots=True)
class WatchedTable:
    """A table under watch, and the number of its definition in the stream."""

    table: TableSchema
    version: int


@dataclass(slots=True)
class _Pending:
    """Rows of one table in the open epoch, as logged, with the ordinal of their transaction."""

    rows: list[tuple[int, LoggedRows]] = field(default_factory=list)


class EpochBuilder:
    """The open epoch: transactions come in, and when it is due, their changes come out."""

    def __init__(self, limits: EpochLimits, watched: Mapping[str, WatchedTable]) -> None:
        self._limits = limits
        self._watched = watched
        self._octets_per_row: dict[str, float] = {}
        self._layouts: dict[tuple[int, object], tuple[Field, ...]] = {}
        self._opened_at = 0.0
        self._clear()

    def _clear(self) -> None:
        self._pending: dict[str, _Pending] = {}
        self._transactions: list[Transaction] = []
        self._rows_estimated = 0.0
        self._octets = 0
        self._large: tuple[int, TransactionRows] | None = None
        self._impossible: dict[str, int] = {}
        self.committed_at = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all has come since the last epoch."""
        return not self._transactions

    @property
    def is_full(self) -> bool:
        """Whether it holds as many row images as an epoch is to have, or transactions as its record may name."""
        return self._large is not None or self._is_step_full or len(self._transactions) >= _TRANSACTIONS_MAX

    @property
    def _is_step_full(self) -> bool:
        return self._rows_estimated >= self._limits.rows_max or self._octets >= _STEP_OCTETS

    def add(self, committed: Committed | CommittedRun, now: float) -> None:
        """Takes a transaction, or several; one without watched rows counts too, it moves the position.

        One whose rows lie in a file fills the epoch: `ahead` is to be asked before the next one comes.
        """
        if self.is_empty:
            self._opened_at = now
        self.committed_at = committed.committed_at
        first, position = len(self._transactions), committed.position
        if isinstance(committed, CommittedRun):
            for ordinal, (gtid, end) in enumerate(zip(committed.gtids, committed.ends, strict=True), first):
                self._transactions.append(Transaction(ordinal, gtid, position.file, end))
            for index, rows in committed.rows:
                self._hold(first + index, rows)
            return
        self._transactions.append(Transaction(first, committed.gtid, position.file, position.pos))
        if committed.rows.is_spilled:
            self._large = first, committed.rows
            return
        for rows in committed.rows:
            self._hold(first, rows)

    @property
    def room(self) -> Room:
        """How much may come at once, so that the epoch is full by it and not much more than that.

        Rows of tables that are narrower than those known by now may be more, as many as come in at once.
        """
        per_row = min(self._octets_per_row.values(), default=_OCTETS_PER_ROW_MIN)
        rows_left = self._limits.rows_max - self._rows_estimated
        octets = min(_STEP_OCTETS - self._octets, int(rows_left * per_row))
        return Room(max(1, octets), max(1, _TRANSACTIONS_MAX - len(self._transactions)))

    def _hold(self, ordinal: int, rows: LoggedRows) -> None:
        table = rows.table_map.table
        if table not in self._pending:
            self._pending[table] = _Pending()
        self._pending[table].rows.append((ordinal, rows))
        self._rows_estimated += self._estimate(rows)
        self._octets += len(rows.octets)

    def _estimate(self, rows: LoggedRows) -> float:
        """How many images these bytes hold, by what images of the table have taken so far."""
        per_row = self._octets_per_row.get(rows.table_map.table, 2.0 * len(rows.table_map.columns))
        return len(rows.octets) / per_row

    def is_due(self, now: float, last_closed_at: float) -> bool:
        """Whether the epoch is to be closed now."""
        if self.is_empty:
            return now - last_closed_at >= self._limits.heartbeat_s
        return self.is_full or now - self._opened_at >= self._limits.seconds_max

    def ahead(self, where: str) -> Iterator[list[Changes]]:
        """What is to be published ahead of the epoch's end, since it would not fit memory, in bounded steps.

        Nothing unless a transaction's rows lie in a file. Then it is all rows so far, in the order of the log; `take`
        gives the rest of the epoch once it was gone through to its end.

        Raises:
            DecodeError: images cannot be decoded.
        """
        if self._large is None:
            return
        ordinal, logged = self._large
        for rows in logged:
            if self._is_step_full:
                yield self._decode(where)
            self._hold(ordinal, rows)
        self._large = None
        logged.close()

    def take(self, position: SourcePosition) -> tuple[tuple[Transaction, ...], list[Changes], dict[str, int]]:
        """Closes the epoch: its transactions, its changes by table, and how many impossible dates were met.

        Raises:
            DecodeError: images cannot be decoded.
        """
        result = self._decode(f"{position.file}:{position.pos}")
        transactions, impossible = tuple(self._transactions), self._impossible
        self._clear()
        return transactions, result, impossible

    def _decode(self, where: str) -> list[Changes]:
        """The changes of what is held, by table; nothing is held any more."""
        result = [
            self._changes(self._watched[table], pending, where, self._impossible)
            for table, pending in sorted(self._pending.items())
        ]
        self._pending = {}
        self._rows_estimated, self._octets = 0.0, 0
        return result

    def _changes(self, watched: WatchedTable, pending: _Pending, where: str, impossible: dict[str, int]) -> Changes:
        """Decodes all events of one kind at once, then puts the rows back into the order of the log."""
        parts: list[Changes] = []
        order: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        for op in (Op.CREATED, Op.UPDATED, Op.DELETED):
            events = [(index, ordinal, rows) for index, (ordinal, rows) in enumerate(pending.rows) if rows.op is op]
            for group in _by_definition(events):
                part, positions = self._decoded(watched, op, group, where, impossible)
                parts.append(part)
                order.append(positions)
        rows = pa.concat_tables([part.rows for part in parts])
        if len(parts) > 1:
            rows = rows.take(pa.array(np.argsort(np.concatenate(order), kind="stable")))
        return Changes(watched.table, watched.version, rows)

    def _decoded(
        self,
        watched: WatchedTable,
        op: Op,
        events: list[tuple[int, int, LoggedRows]],
        where: str,
        impossible: dict[str, int],
    ) -> tuple[Changes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        table = watched.table
        layout = self._layout(watched, events[0][2], where)
        octets = b"".join(rows.octets for _, _, rows in events)
        try:
            decoded = images.decode(octets, layout, table)
        except DecodeError as error:
            at = f"{table.table}, in an epoch that ends at {where}"
            raise DecodeError(error.what, where=at, remedy=error.remedy) from error
        self._learn(table.table, decoded, len(octets))
        for name, count in decoded.impossible.items():
            key = f"{table.table}.{name}"
            impossible[key] = impossible.get(key, 0) + count
        which = _event_of_image(decoded, events)
        before, after, which = _sides(op, decoded.rows, which)
        indexes = np.array([index for index, _, _ in events], dtype=np.int64)
        ordinals = np.array([ordinal for _, ordinal, _ in events], dtype=np.int32)
        part = changes(table, watched.version, op, ordinals[which], before=before, after=after)
        return part, indexes[which]

    def _layout(self, watched: WatchedTable, rows: LoggedRows, where: str) -> tuple[Field, ...]:
        key = (watched.version, rows.table_map.columns)
        if key not in self._layouts:
            self._layouts[key] = images.fields(watched.table, rows.table_map, where)
        return self._layouts[key]

    def _learn(self, table: str, decoded: Decoded, octets: int) -> None:
        if decoded.rows.num_rows:
            self._octets_per_row[table] = octets / decoded.rows.num_rows


def _by_definition(events: list[tuple[int, int, LoggedRows]]) -> list[list[tuple[int, int, LoggedRows]]]:
    # The columns of one table map are the same object in all its events; comparing them takes as long as decoding.
    same: dict[int, list[tuple[int, int, LoggedRows]]] = {}
    for event in events:
        same.setdefault(id(event[2].table_map.columns), []).append(event)
    groups: dict[object, list[tuple[int, int, LoggedRows]]] = {}
    for found in same.values():
        groups.setdefault(found[0][2].table_map.columns, []).extend(found)
    return [sorted(group, key=lambda event: event[0]) for group in groups.values()]


def _event_of_image(
    decoded: Decoded, events: list[tuple[int, int, LoggedRows]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each image the number of the event that it came in."""
    ends = np.cumsum([len(rows.octets) for _, _, rows in events])
    return np.searchsorted(ends, decoded.starts, side="right")


def _sides(
    op: Op, rows: pa.Table, which: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> tuple[pa.Table | None, pa.Table | None, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Before and after images; an update's lie alternately."""
    if op is Op.CREATED:
        return None, rows, which
    if op is Op.DELETED:
        return rows, None, which
    number = rows.num_rows
    return rows.take(pa.array(np.arange(0, number, 2))), rows.take(pa.array(np.arange(1, number, 2))), which[::2]
