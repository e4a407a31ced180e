"""The state of the published stream."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from datafingerprint.changes import Changes, reset
from datafingerprint.epochs import READ_AGAIN, SnapshotCursor, SourcePosition
from datafingerprint.errors import DataFingerprintError
from datafingerprint.resync import RequestStatus
from datafingerprint.schema import TableSchema
from services.cdc.epoch_builder import CapturedTable
from services.cdc.schema_changes import SchemaChange
from services.cdc.set_aside import SetAside, reason_of
from services.cdc.suspects import CascadeSuspects

NOTHING_READ = SnapshotCursor(0, 0, complete=False)


@dataclass(slots=True)
class Stream:
    """The state that every epoch record repeats, and what the next epoch adds.

    Attributes:
        captured: The tables of the stream, with their definitions.
        unpublished: Definitions that the next epoch publishes.
        aside: Tables that are set aside. One that was never captured has no definition here.
        left_out: Tables whose rows are skipped until they are read again, including those set aside.
        newcomers: Captured tables that the binlog names and no survey has seen yet.
        arriving: Tables that a survey found and whose first snapshot has not started.
        needs_survey: Whether to survey the source: tables are new, or have to be read again.
        rests: Table to the Unix time before which it is not read again.
        suspects: Tables that a foreign key may have changed without a logged row.
    """

    stream_id: str
    number: int
    position: SourcePosition
    committed_at: float
    snapshots: dict[str, SnapshotCursor]
    captured: dict[str, CapturedTable]
    unpublished: dict[int, TableSchema]
    version_last: int
    next_request: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    aside: dict[str, SetAside] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    newcomers: frozenset[str] = frozenset()
    arriving: set[str] = field(default_factory=set)
    needs_survey: bool = False
    rests: dict[str, float] = field(default_factory=dict)
    suspects: CascadeSuspects = field(init=False)

    def __post_init__(self) -> None:
        self.suspects = CascadeSuspects(self.captured, self.snapshots, self.arriving)

    def define(self, table: TableSchema) -> None:
        """Puts a definition in force, under a new number."""
        self.version_last += 1
        self.captured[table.table] = CapturedTable(table, self.version_last)
        self.unpublished[self.version_last] = table

    @property
    def incomplete(self) -> list[str]:
        """The tables to read. One that is set aside is among them only while it is retried."""
        unread = {name for name, cursor in self.snapshots.items() if not cursor.complete} | self.arriving
        return sorted(name for name in unread if name not in self.aside or self.aside[name].is_retried)

    @property
    def awaiting_snapshot(self) -> tuple[str, ...]:
        """Tables that the source has, that no epoch defines, and whose snapshot has not started."""
        return tuple(sorted((self.newcomers | self.arriving) - self.captured.keys() - self.aside.keys()))

    def note_newcomers(self, tables: Iterable[str]) -> None:
        """Notes tables of the source that the stream does not have yet. The next epoch names them."""
        # A new value, not a change in place: the snapshot's thread may be reading the former one.
        self.newcomers = self.newcomers.union(name for name in tables if not self.is_known(name))

    def others(self, tables: Collection[str]) -> list[str]:
        """The tables that are followed while these are not."""
        return [name for name in self.captured if name not in tables and name not in self.left_out]

    def is_known(self, table: str) -> bool:
        """Whether the table is in the stream or set aside."""
        return table in self.captured or table in self.aside

    def is_followed(self, table: str) -> bool:
        """Whether a table's rows are published as they are logged."""
        cursor = self.snapshots.get(table)
        is_complete = cursor is None or cursor.complete
        return table in self.captured and table not in self.left_out and table not in self.aside and is_complete

    def set_aside(
        self,
        table: str,
        error: DataFingerprintError,
        now: float,
        log: structlog.stdlib.BoundLogger,
        *,
        is_unsupported: bool = False,
        is_touched: bool = True,
    ) -> None:
        """Skips a table's rows until it is read again. All errors of one table end here.

        Args:
            table: Its name.
            error: What is wrong.
            now: Unix time in seconds.
            log: Receives a warning if the reason is new.
            is_unsupported: See `SetAside`.
            is_touched: See `SetAside`.
        """
        reason, before = reason_of(error), self.aside.get(table)
        if before is None or before.reason != reason:
            resync = f"datafingerprint resync {shlex.quote(table)}"
            remedy = error.remedy or f"none is needed: it is read again by itself; `{resync}` reads it now"
            log.warning("table set aside", table=table, reason=error.what, where=error.where, remedy=remedy)
        due_at = max(now, self.rests.get(table, 0.0))
        self.aside[table] = SetAside(reason, is_unsupported, due_at, is_touched)
        self.await_snapshot(table)
        self.needs_survey |= self.aside[table].is_due(now)

    def await_snapshot(self, table: str) -> None:
        """Skips a table's rows until it is read again."""
        self.left_out.add(table)
        self.arriving.discard(table)
        if table in self.captured:
            self.snapshots[table] = NOTHING_READ

    def retry_now(self, table: str) -> None:
        """Surveys a table that is left out at once, because its definition has changed."""
        self.needs_survey = True
        if table in self.aside:
            self.aside[table].is_touched = True
            self.aside[table].due_at = 0.0

    def start_snapshot(self, tables: Iterable[str], present: Mapping[str, TableSchema]) -> None:
        """Marks tables as being read, with their present definitions."""
        for name in tables:
            if name not in self.captured or self.captured[name].table != present[name]:
                self.define(present[name])
            self.snapshots[name] = NOTHING_READ
            self.left_out.discard(name)
            self.arriving.discard(name)

    def finish_snapshot(
        self, tables: Iterable[str], now: float, rest_s: float, log: structlog.stdlib.BoundLogger
    ) -> None:
        """Marks tables as complete, except those that were left out since. All of them rest then."""
        for name in tables:
            self.rests[name] = now + rest_s
            if name in self.left_out or name not in self.captured:
                if name in self.aside:
                    self.aside[name].due_at = self.rests[name]
                continue
            self.snapshots[name] = replace(self.snapshots[name], complete=True)
            if self.aside.pop(name, None) is not None:
                log.info("table is back", table=name, epoch=self.number + 1)

    @property
    def in_doubt(self) -> set[str]:
        """Tables that are set aside for another reason than their definition."""
        return {name for name, aside in self.aside.items() if not aside.is_unsupported}

    @property
    def reasons(self) -> dict[str, str]:
        """What the next epoch records about tables that are set aside."""
        return {name: f"{aside.reason}{READ_AGAIN if aside.is_retried else ''}" for name, aside in self.aside.items()}

    def apply_schema_change(self, change: SchemaChange, log: structlog.stdlib.BoundLogger) -> list[Changes]:
        """Changes the tables of the next epoch.

        Returns:
            The resets that belong into that epoch.
        """
        for name, table in change.altered.items():
            self.define(table)
            log.info("table redefined", table=name, version=self.version_last, epoch=self.number + 1)
        for name in change.replaced:
            self.await_snapshot(name)
            self.needs_survey = True
        for name in change.dropped:
            self._remove(name)
            log.warning("table left the stream", table=name, epoch=self.number + 1)
        for name in change.truncated:
            log.info("table truncated", table=name, epoch=self.number + 1)
        return [reset(self.captured[name].table, self.captured[name].version) for name in change.truncated]

    def _remove(self, table: str) -> None:
        self.captured.pop(table, None)
        self.snapshots.pop(table, None)
        self.aside.pop(table, None)
        self.rests.pop(table, None)
        self.left_out.discard(table)
        self.arriving.discard(table)

    def location(self) -> str:
        """The stream's binlog file and offset, for messages."""
        return f"{self.position.file}:{self.position.pos}"

    @property
    def request_status(self) -> RequestStatus:
        """What the next epoch records about requests."""
        return RequestStatus(self.next_request, dict(self.refused) or None)
