"""Runs one audit from its stored progress to its end: view after view, table after table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from datafingerprint.audit import Finding, MeasuredAt, judge
from datafingerprint.audits import Scope, StoredAudit
from datafingerprint.captured import captured_definitions, captured_table
from datafingerprint.config import Audit
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, UnmeasuredError
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql_ranges import KeyRange, range_column
from datafingerprint.verdict import Outcome
from services.auditor.alignment import AlignedSums, NotReachedError, NotYet, StreamSide
from services.auditor.journal import AuditJournal, AuditStep
from services.auditor.lease import Halt
from services.auditor.plan import Unit, batches, units
from services.auditor.ports import AuditTarget, Store, View
from services.auditor.throttle import Throttle, ViewTooOld

_ATTEMPTS = 5
_EPOCHS_SEARCHED = 300
_POSITIONS = 5


class AuditRun:
    """Runs one audit.

    Args:
        audit: The audit. Its owner is this process.
        source: The server that the audit asks.
        stream: The stream's sums.
        store: Keeps progress and findings.
        settings: Limits of the load on the server.
        halt: Ends the audit.
        log: The operators' log.
        watch: Receives every step.
        clock: Unix time in seconds.

    Attributes:
        epoch: The lowest epoch of the audit's views. 0 before the first view.
    """

    def __init__(
        self,
        audit: StoredAudit,
        source: AuditTarget,
        stream: StreamSide,
        store: Store,
        settings: Audit,
        halt: Halt,
        log: structlog.stdlib.BoundLogger,
        watch: Callable[[AuditStep], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.epoch = 0
        self._scope = audit.scope
        self._source = source
        self._stream = stream
        self._store = store
        self._settings = settings
        self._halt = halt
        self._log = log.bind(audit=audit.number)
        self._clock = clock
        self._journal = AuditJournal(audit, store, halt, watch, clock)
        self._throttle = Throttle(settings, halt, self._journal, self._log)
        self._planned: dict[str, dict[str, int]] = {}
        self._last_view: View | None = None

    def run(self) -> None:
        """Audits the part of the scope that has no findings yet.

        Raises:
            Halted: The audit must end.
            ConfigError: The table is not captured.
            SourceError: The server cannot be audited.
            DataFingerprintError: A part is away, or refuses.
        """
        tables = tables_in(self._scope, self._store)
        self._source.preflight(tables, self._positions())
        self._journal.open(self._expected(tables))
        rows = {name: sum(partitions.values()) for name, partitions in self._stream_rows().items()}
        remaining = [table for table in tables if not self._journal.is_done(table.table)]
        with self._throttle.measuring(self._source.gauge()):
            for batch in batches(remaining, rows, self._settings.range_rows):
                self._audit_batch(batch)

    def _positions(self) -> list[SourcePosition]:
        """The stream's position, and the last few positions of epochs with rows."""
        epochs = [stored.epoch for stored in self._store.epochs(limit=_EPOCHS_SEARCHED)]
        with_rows = [epoch.position for epoch in epochs if epoch.rows][:_POSITIONS]
        return [epochs[0].position, *with_rows] if epochs else []

    def _expected(self, tables: Sequence[TableSchema]) -> dict[str, set[str]]:
        """The partitions by table that the stream or the lake has, or the only wanted one."""
        if self._scope.partition is not None:
            return {table.table: {self._scope.partition} for table in tables}
        stream = self._stream_rows()
        lake: dict[str, set[str]] = {}
        for verdict in self._store.verdicts():
            lake.setdefault(verdict.table, set()).add(verdict.partition)
        return {table.table: set(stream.get(table.table, {})) | lake.get(table.table, set()) for table in tables}

    def _stream_rows(self) -> dict[str, dict[str, int]]:
        rows: dict[str, dict[str, int]] = {}
        for key, part in self._store.running_sums().items():
            if part != ZERO:
                partitions = rows.setdefault(key.table, {})
                partitions[key.partition] = partitions.get(key.partition, 0) + part.rows
        return rows

    def _audit_batch(self, batch: Sequence[TableSchema]) -> None:
        """Audits tables that share a view. Undecided tables get another view, a few times."""
        remaining, attempt = list(batch), 0
        reasons: dict[str, str] = {}
        while remaining:
            self._throttle.wait_while_busy(None)
            attempt += 1
            try:
                with self._source.view(remaining) as view, self._halt.interrupting(view.abort):
                    aligned = self._stream.at(view.position, remaining, self._halt)
                    self._journal.require_running()
                    self.epoch = min(self.epoch or aligned.epoch, aligned.epoch)
                    again, reasons = self._audit_in_view(view, aligned, remaining)
            except NotYet as undecided:
                again, reasons = remaining, dict.fromkeys((table.table for table in remaining), str(undecided))
                attempt = _ATTEMPTS if isinstance(undecided, NotReachedError) else attempt
                self._journal.require_running()
            except ViewTooOld:
                again = [table for table in remaining if not self._journal.is_done(table.table)]
                attempt -= 1
            if attempt >= _ATTEMPTS:
                for table in again:
                    self._record_undecided(table.table, None, reasons.get(table.table, ""))
                return
            if reasons:
                self._log.info("the audit tries again", why=next(iter(reasons.values())))
            remaining = again

    def _audit_in_view(
        self, view: View, aligned: AlignedSums, tables: Sequence[TableSchema]
    ) -> tuple[list[TableSchema], dict[str, str]]:
        """Audits tables in one view.

        Returns:
            The tables that are undecided in this view, and the reasons by name.
        """
        undecided = []
        for table in tables:
            if table.table in aligned.undecided:
                undecided.append(table)
            else:
                self._audit_table(view, aligned, table)
        return undecided, {table.table: aligned.undecided[table.table] for table in undecided}

    def _audit_table(self, view: View, aligned: AlignedSums, table: TableSchema) -> None:
        start, rows_before = self._clock(), self._journal.rows
        try:
            plan = self._units(view, aligned, table)
        except UnmeasuredError as error:
            self._record_undecided(table.table, None, str(error))
            return
        for unit in plan:
            self._audit_unit(view, aligned, table, unit)
        self._log.info(
            "table audited",
            table=table.table,
            rows=self._journal.rows - rows_before,
            seconds=round(self._clock() - start, 1),
            epoch=aligned.epoch,
        )

    def _units(self, view: View, aligned: AlignedSums, table: TableSchema) -> list[Unit]:
        """The remaining statements of a table. Partitions without rows in the source need none."""
        stream = {name: part.rows for name, part in aligned.sums[table.table].items() if part != ZERO}
        only = self._scope.partition
        if only is not None:
            return [Unit((only,), stream.get(only, 0))]
        is_small = sum(stream.values()) <= self._settings.range_rows and not self._journal.done(table.table)
        if is_small or not table.partition:
            return [Unit(None, sum(stream.values()))]
        known = self._journal.expected(table.table)
        if table.table not in self._planned:
            self._throttle.wait_while_busy(view)
            rows = self._planned[table.table] = view.rows(table)
            self._journal.expect(table.table, rows)
            empty = sorted((known | set(stream)) - set(rows) - self._journal.done(table.table))
            if empty:
                self._judge(aligned, view, table, {}, empty)
        return units(self._planned[table.table], known, self._journal.done(table.table), self._settings.range_rows)

    def _audit_unit(self, view: View, aligned: AlignedSums, table: TableSchema, unit: Unit) -> None:
        """Sums partitions up and judges them.

        Raises:
            ViewTooOld: The view has become too old. A new one has time for these partitions.
        """
        is_first, self._last_view = self._last_view is not view, view
        rows_before = self._journal.rows
        try:
            source = self._sums(view, table, unit)
        except UnmeasuredError as error:
            for name in unit.partitions or (None,):
                self._record_undecided(table.table, name, str(error))
            return
        except ViewTooOld as aged:
            self._journal.rows = rows_before
            if not is_first or aged.was_paused:
                raise
            reason = f"it took longer than audit.view_s_max, {self._settings.view_s_max:g} s: raise it"
            for name in unit.partitions or (None,):
                self._record_undecided(table.table, name, reason)
            raise
        self._judge(aligned, view, table, source, unit.partitions)

    def _sums(self, view: View, table: TableSchema, unit: Unit) -> dict[str, Fingerprint]:
        rows_max = self._settings.range_rows
        sums: dict[str, Fingerprint] = {}
        after: str | None = None
        in_ranges = unit.rows > rows_max and range_column(table) is not None
        while True:
            self._throttle.wait_while_busy(view)
            start = time.monotonic()
            upto = view.bound(table, unit.partitions, after, rows_max) if in_ranges else None
            part = view.sums(table, unit.partitions, KeyRange(after, upto) if in_ranges else None)
            for name, more in part.items():
                sums[name] = sums.get(name, ZERO) + more
            rows = sum(partition.rows for partition in part.values())
            self._journal.rows += rows
            if upto is None:
                self._throttle.rest(rows, start)
                return sums
            self._journal.advance()
            self._throttle.rest(rows, start)
            after = upto

    def _judge(
        self,
        aligned: AlignedSums,
        view: View,
        table: TableSchema,
        source: Mapping[str, Fingerprint],
        only: Sequence[str] | None,
    ) -> None:
        lake = {stored.partition: stored.verdict for stored in self._store.verdicts(table.table)}
        at = MeasuredAt(view.position, aligned.epoch, self._clock())
        is_suspect = table.table in self._store.suspicions()
        findings = judge(table.table, source, aligned.sums[table.table], lake, at, only, is_suspect=is_suspect)
        for finding in findings:
            if finding.outcome is Outcome.MISMATCH:
                self._log.warning(
                    "rows differ",
                    table=finding.table,
                    partition=finding.partition,
                    hops=",".join(finding.hops),
                    why=finding.reason,
                    gtid=view.position.gtid,
                    epoch=aligned.epoch,
                )
        self._journal.record(table.table, findings)

    def _record_undecided(self, table: str, partition: str | None, reason: str) -> None:
        self._journal.require_running()
        self._log.warning("inconclusive", table=table, partition=partition, why=reason)
        self._journal.record(table, [Finding(table, partition, Outcome.INCONCLUSIVE, reason=reason)])


def tables_in(scope: Scope, store: Store) -> list[TableSchema]:
    """The tables of a scope.

    Raises:
        ConfigError: The table is not captured, or a partition is named without its table.
    """
    if scope.table is None:
        if scope.partition is not None:
            raise ConfigError("a partition needs its table", remedy="name the table first")
        return list(captured_definitions(store.definitions()).values())
    return [captured_table(store.definitions(), scope.table)]
