"""Measures a table on the source and in the stream at one position, and says where they differ."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from datafingerprint.audit import EPOCHS_KEPT, At, Finding, judge
from datafingerprint.changes import NO_TRUNCATION, Changes, last_truncation
from datafingerprint.config import Audit
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import ConfigError, DataFingerprintError, SourceError
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.gtid import parse_gtids
from datafingerprint.ledger import net_sums
from datafingerprint.ports import EpochRows, StateStore
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome

_LOOK_AGAIN_S = 0.2
_PAGE = 200
_ATTEMPTS = 5


class NotYet(Exception):  # noqa: N818 - it is no error, and never leaves this module
    """Nothing can be told of a table at this position; the text says why."""


@dataclass(frozen=True, slots=True)
class _Cut:
    """The last epoch that is whole in a view, the sums at its end, and the one that the view lies in, if any."""

    epoch: Epoch
    sums: Mapping[str, Fingerprint]
    next_epoch: Epoch | None
    before_offset: int


class View(Protocol):
    """A consistent view of a table on the source."""

    @property
    def position(self) -> SourcePosition:
        """Everything up to it is in the view, and nothing else."""

    def sums(self, table: TableSchema, partition: str | None) -> dict[str, Fingerprint]:
        """The source's own sums, of every partition that has rows or of one."""


class Views(Protocol):
    """The source, as an audit asks it."""

    def view(self, table: TableSchema, stop: threading.Event) -> AbstractContextManager[View]:
        """Opens a view, and closes it behind the block."""


class History(Protocol):
    """The epochs that were read before."""

    def read_again(self, number: int, before_offset: int) -> EpochRows:
        """One of them, with its changes; looked for before an offset of the epochs topic."""


class Auditor:
    """Audits tables one after another."""

    def __init__(
        self,
        source: Views,
        store: StateStore,
        reader: History,
        settings: Audit,
        log: structlog.stdlib.BoundLogger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._store = store
        self._reader = reader
        self._settings = settings
        self._log = log
        self._clock = clock

    def chosen(self, table: str | None, partition: str | None) -> list[TableSchema]:
        """The tables to audit.

        Raises:
            ConfigError: there is no such table, or a partition was named without one.
        """
        known = {name: definition for name, (_, definition) in sorted(self._store.definitions().items())}
        if table is None:
            if partition is not None:
                raise ConfigError("a partition needs its table", remedy="name the table first")
            return list(known.values())
        if table not in known:
            raise ConfigError(
                f"no table {table} is under watch", remedy=f"there are: {', '.join(sorted(known)[:10]) or 'none yet'}"
            )
        return [known[table]]

    def audit(self, table: TableSchema, partition: str | None, stop: threading.Event) -> list[Finding]:
        """The findings of one table; one that could not be measured has a single inconclusive one.

        Raises:
            DataFingerprintError: the source or a store refuses, or is away.
        """
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._measured(table, partition, stop)
            except NotYet as undecided:
                reason = str(undecided)
                self._log.info("the audit tries again", table=table.table, reason=reason)
        return [Finding(table.table, partition, Outcome.INCONCLUSIVE, reason=reason)]

    def _measured(self, table: TableSchema, partition: str | None, stop: threading.Event) -> list[Finding]:
        began = self._clock()
        with self._source.view(table, stop) as view:
            # First the stream: what it knew at this position is not kept for ever, the view is.
            cut = self._cut(table, view.position, stop)
            stream = dict(cut.sums)
            if cut.next_epoch is not None:
                for name, delta in self._part_of_next(cut, table, view.position).items():
                    stream[name] = stream.get(name, ZERO) + delta
            source = view.sums(table, partition)
        verdicts = {one.partition: one.verdict for one in self._store.verdicts(table.table)}
        at = At(view.position, cut.epoch.number, self._clock())
        self._log.info(
            "table audited",
            table=table.table,
            rows=sum(part.rows for part in source.values()),
            seconds=round(self._clock() - began, 1),
            epoch=cut.epoch.number,
        )
        return judge(table.table, source, stream, verdicts, at, partition)

    def _cut(self, table: TableSchema, position: SourcePosition, stop: threading.Event) -> _Cut:
        """Waits until the stream has passed a position; where it stood there."""
        deadline = self._clock() + self._settings.align_s
        while True:
            found = self._find(table, position)
            if found is not None:
                return found
            if stop.wait(_LOOK_AGAIN_S) or self._clock() > deadline:
                raise NotYet(
                    f"the stream has not reached {position.gtid} in {self._settings.align_s:g} s: is capture running?"
                )

    def _find(self, table: TableSchema, position: SourcePosition) -> _Cut | None:
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
                    raise _other_source(position)
                sums = self._store.source_sums(table.table, epoch.number)
                # Afterwards: what was folded meanwhile is found out.
                self._require_known(table, epoch, self._store.progress().lake_epoch)
                return _Cut(epoch, sums, None if is_exact else following, progress.epochs_offset)
        if following is None:
            return None
        raise _other_source(position)

    def _require_known(self, table: TableSchema, epoch: Epoch, lake_epoch: int) -> None:
        if epoch.number < lake_epoch - EPOCHS_KEPT:
            raise NotYet("the stream's sums at the view's position are no longer kept")
        cursor = epoch.snapshots.get(table.table)
        if table.table not in epoch.versions or (cursor is not None and not cursor.complete):
            percent = cursor.percent if cursor else 0
            raise NotYet(f"the first snapshot of {table.table} is at {percent} %")

    def _part_of_next(self, cut: _Cut, table: TableSchema, position: SourcePosition) -> dict[str, Fingerprint]:
        """What the transactions of the next epoch that are in the view add, read again from the stream."""
        following = cut.next_epoch
        if following is None or table.table not in following.ranges:
            return {}
        rows: EpochRows = self._reader.read_again(following.number, cut.before_offset)
        wanted = parse_gtids(position.gtid)
        included = pa.array(
            [one.ordinal for one in rows.epoch.transactions if wanted.contains(parse_gtids(one.gtid))], pa.int64()
        )
        added: dict[str, Fingerprint] = {}
        for _, changes in rows.changes:
            if changes.table.table != table.table:
                continue
            kept = changes.rows.filter(pc.is_in(changes.rows.column("tx").cast(pa.int64()), included))
            part = Changes(changes.table, changes.version, kept)
            if last_truncation(part) != NO_TRUNCATION:
                raise NotYet(f"{table.table} was emptied at the view's position")
            for name, delta in net_sums(part).items():
                added[name] = added.get(name, ZERO) + delta
        return added


def _other_source(position: SourcePosition) -> DataFingerprintError:
    return SourceError(
        "the source that is asked is not the one of the stream: their histories differ",
        where=position.gtid,
        remedy="point [source] at the server that capture reads",
    )
