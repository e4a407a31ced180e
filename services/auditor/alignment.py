"""The stream's sums at exactly the position of a view: those of the epoch before it, and the next one up to it."""

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
from datafingerprint.ports import StateStore
from datafingerprint.schema import TableSchema
from services.auditor.ports import History

_LOOK_AGAIN_S = 0.2
_PAGE = 200


class NotYet(Exception):  # noqa: N818 - it is no error, and never leaves this service
    """Nothing can be told at a view's position; the text says why. Another view may stand better."""


class NotReachedError(NotYet):
    """The stream did not come to the view's position in time; there is no use in trying again at once."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """What the stream holds at a view's position.

    Attributes:
        epoch: The last epoch that is whole in the view.
        sums: By table, by partition.
        undecided: Tables of which that cannot be told, and why.
    """

    epoch: int
    sums: Mapping[str, Mapping[str, Fingerprint]]
    undecided: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Cut:
    """The last epoch that is whole in a view, and the one that the view lies in, if any."""

    epoch: Epoch
    following: Epoch | None
    before_offset: int


class StreamSide:
    """Tells the stream's sums at positions of the source.

    Args:
        store: The sums by epoch.
        reader: The epochs themselves.
        align_s: Seconds that the stream may take to reach a position.
        clock: Seconds that pass.
    """

    def __init__(
        self, store: StateStore, reader: History, align_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._reader = reader
        self._align_s = align_s
        self._clock = clock

    def at(self, position: SourcePosition, tables: Sequence[TableSchema], stop: threading.Event) -> Aligned:
        """Waits until the stream has passed the position, and tells its sums there.

        Raises:
            NotYet: it has not in time, or what it was there is no longer known.
            SourceError: the position is of another history than the stream.
        """
        cut = self._cut(position, stop)
        sums = {one.table: dict(self._store.source_sums(one.table, cut.epoch.number)) for one in tables}
        # Afterwards: what was folded meanwhile is found out.
        if cut.epoch.number < self._store.progress().lake_epoch - EPOCHS_KEPT:
            raise NotYet("the stream's sums at the view's position are no longer kept")
        undecided = {one.table: reason for one in tables if (reason := self._undecided(one, cut.epoch))}
        if cut.following is not None and any(name in cut.following.ranges for name in sums):
            self._add_part_of_next(cut, position, sums, undecided)
        return Aligned(cut.epoch.number, sums, undecided)

    def _undecided(self, table: TableSchema, epoch: Epoch) -> str:
        """Why nothing can be told of a table: it is not whole yet, or its rows have other columns than are summed."""
        number, present = self._store.definitions().get(table.table, (0, None))
        if present != table or epoch.versions.get(table.table, number) != number:
            return f"the definition of {table.table} changed before the view's position"
        return _unfinished(table.table, epoch)

    def _cut(self, position: SourcePosition, stop: threading.Event) -> _Cut:
        deadline = self._clock() + self._align_s
        while True:
            found = self._find(position)
            if found is not None:
                return found
            if stop.wait(_LOOK_AGAIN_S) or self._clock() > deadline:
                raise NotReachedError(
                    f"the stream has not reached {position.gtid} in {self._align_s:g} s: is capture running?"
                )

    def _find(self, position: SourcePosition) -> _Cut | None:
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
                return _Cut(epoch, None if is_exact else following, progress.epochs_offset)
        if following is None:
            return None
        raise _other_history(position)

    def _add_part_of_next(
        self,
        cut: _Cut,
        position: SourcePosition,
        sums: dict[str, dict[str, Fingerprint]],
        undecided: dict[str, str],
    ) -> None:
        """Adds the transactions of the next epoch that are in the view, read again from the stream."""
        assert cut.following is not None  # noqa: S101 - the caller has looked
        rows = self._reader.read_again(cut.following.number, cut.before_offset)
        wanted = parse_gtids(position.gtid)
        included = pa.array(
            [one.ordinal for one in rows.epoch.transactions if wanted.contains(parse_gtids(one.gtid))], pa.int64()
        )
        for _, changes in rows.changes:
            name = changes.table.table
            if name not in sums:
                continue
            kept = changes.rows.filter(pc.is_in(changes.rows.column("tx").cast(pa.int64()), included))
            part = Changes(changes.table, changes.version, kept)
            if last_truncation(part) != NO_TRUNCATION:
                undecided[name] = f"{name} was emptied at the view's position"
                continue
            for partition, delta in net_sums(part).items():
                sums[name][partition] = sums[name].get(partition, ZERO) + delta


def _unfinished(table: str, epoch: Epoch) -> str:
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
