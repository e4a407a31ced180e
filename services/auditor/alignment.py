"""The stream's sums at exactly the position of a view.

These are the sums of the last epoch before the position, and the part of the next epoch up to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.audit import EPOCHS_KEPT
from datafingerprint.changes import NO_TRUNCATION, Changes, last_truncation
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import SourceError
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.gtid import parse_gtids
from datafingerprint.ledger import net_sums
from datafingerprint.ports.state import StateStore
from datafingerprint.schema import TableSchema
from services.auditor.ports import History

_POLL_S = 0.2
_PAGE = 200


class NotYet(Exception):  # noqa: N818 - it is no error, and never leaves this service
    """The sums at a view's position are unknown, for the reason in the text. Try another view."""


class NotReachedError(NotYet):
    """The stream did not reach the view's position in time. Another view would not either."""


@dataclass(frozen=True, slots=True)
class AlignedSums:
    """The stream's sums at a view's position.

    Attributes:
        epoch: The last epoch that is complete in the view.
        sums: The sums by table and partition.
        undecided: Tables with unknown sums, and the reasons.
    """

    epoch: int
    sums: Mapping[str, Mapping[str, Fingerprint]]
    undecided: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Neighbours:
    """The epochs around a view's position.

    Attributes:
        epoch: The last epoch that is complete in the view.
        next: The epoch that is only partly in the view. None where there is none.
        before_offset: An offset of the epochs topic after both.
    """

    epoch: Epoch
    next: Epoch | None
    before_offset: int


class StreamSide:
    """Computes the stream's sums at positions of the source.

    Args:
        store: The sums by epoch.
        reader: Reads epochs with their changes.
        align_s: Seconds that the stream may take to reach a position.
        clock: Monotonic seconds.
    """

    def __init__(
        self, store: StateStore, reader: History, align_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._reader = reader
        self._align_s = align_s
        self._clock = clock

    def at(self, position: SourcePosition, tables: Sequence[TableSchema], stop: threading.Event) -> AlignedSums:
        """Waits until the stream has passed the position, and returns its sums there.

        Raises:
            NotYet: The stream has not passed it in time, or its sums there are no longer stored.
            SourceError: The position belongs to another history than the stream.
        """
        neighbours = self._await_neighbours(position, stop)
        epoch = neighbours.epoch
        sums = {table.table: dict(self._store.source_sums(table.table, epoch.number)) for table in tables}
        # Checked after reading, so that sums folded in between are noticed.
        if epoch.number < self._store.progress().lake_epoch - EPOCHS_KEPT:
            raise NotYet("the stream's sums at the view's position are no longer kept")
        undecided = {table.table: reason for table in tables if (reason := self._undecided(table, epoch))}
        if neighbours.next is not None and any(name in neighbours.next.ranges for name in sums):
            self._add_part_of_next(neighbours.next, neighbours.before_offset, position, sums, undecided)
        return AlignedSums(epoch.number, sums, undecided)

    def _undecided(self, table: TableSchema, epoch: Epoch) -> str:
        """Why a table's sums are unknown. Empty when they are known."""
        number, present = self._store.definitions().get(table.table, (0, None))
        if present != table or epoch.versions.get(table.table, number) != number:
            return f"the definition of {table.table} changed before the view's position"
        return _incomplete(table.table, epoch)

    def _await_neighbours(self, position: SourcePosition, stop: threading.Event) -> _Neighbours:
        deadline = self._clock() + self._align_s
        while True:
            neighbours = self._neighbours(position)
            if neighbours is not None:
                return neighbours
            if stop.wait(_POLL_S) or self._clock() > deadline:
                raise NotReachedError(
                    f"the stream has not reached {position.gtid} in {self._align_s:g} s: is capture running?"
                )

    def _neighbours(self, position: SourcePosition) -> _Neighbours | None:
        """The epochs around a position. None when the stream has not passed it yet."""
        wanted = parse_gtids(position.gtid)
        following: Epoch | None = None
        before: int | None = None
        progress = self._store.progress()
        while page := self._store.epochs(limit=_PAGE, before=before):
            for stored in page:
                epoch = stored.epoch
                if not wanted.contains(parse_gtids(epoch.position.gtid)):
                    following, before = epoch, epoch.number
                    continue
                is_exact = parse_gtids(epoch.position.gtid).contains(wanted)
                if following is None and not is_exact:
                    return None
                if following is not None and not parse_gtids(following.position.gtid).contains(wanted):
                    raise _other_history(position)
                return _Neighbours(epoch, None if is_exact else following, progress.epochs_offset)
        if following is None:
            return None
        raise _other_history(position)

    def _add_part_of_next(
        self,
        epoch: Epoch,
        before_offset: int,
        position: SourcePosition,
        sums: dict[str, dict[str, Fingerprint]],
        undecided: dict[str, str],
    ) -> None:
        """Adds the transactions of an epoch that are in the view, read again from the stream."""
        rows = self._reader.read_again(epoch.number, before_offset)
        wanted = parse_gtids(position.gtid)
        transactions = [
            transaction.ordinal
            for transaction in rows.epoch.transactions
            if wanted.contains(parse_gtids(transaction.gtid))
        ]
        included = pa.array(transactions, pa.int64())
        for _, changes in rows.changes:
            name = changes.table.table
            if name not in sums:
                continue
            kept = changes.rows.filter(pc.is_in(changes.rows.column("tx").cast(pa.int64()), included))
            part = Changes(changes.table, changes.version, kept)
            if last_truncation(part) != NO_TRUNCATION:
                undecided[name] = f"{name} was truncated at the view's position"
                continue
            for partition, delta in net_sums(part).items():
                sums[name][partition] = sums[name].get(partition, ZERO) + delta
        undecided.update({name: reason for name, reason in rows.holes.items() if name in sums})


def _incomplete(table: str, epoch: Epoch) -> str:
    if table in epoch.holes:
        return epoch.holes[table]
    cursor = epoch.snapshots.get(table)
    if table in epoch.versions and (cursor is None or cursor.complete):
        return ""
    return f"the first snapshot of {table} is at {cursor.percent if cursor else 0} %"


def _other_history(position: SourcePosition) -> SourceError:
    return SourceError(
        "the server that is audited is not the stream's source: their histories differ",
        where=position.gtid,
        remedy="point [audit] (or [source]) at the server that capture reads, or at one of its replicas",
    )
