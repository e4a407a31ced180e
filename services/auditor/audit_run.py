"""One audit from where it stands to its end: view after view, table after table, each finding stored at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from datafingerprint.audit import At, Finding, Load, judge
from datafingerprint.audits import AuditProgress, StoredAudit
from datafingerprint.config import Audit
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, UnmeasuredError
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql_ranges import KeyRange, range_column
from datafingerprint.verdict import Outcome
from services.auditor.alignment import Aligned, NotReachedError, NotYet, StreamSide
from services.auditor.holding import Halt
from services.auditor.pace import reason_to_pause, rest_s
from services.auditor.plan import Unit, batches, units
from services.auditor.ports import Audited, Store, View

_ATTEMPTS = 5
_CALM_AGAIN_S = 0.5
_NAMED_MAX = 10
_EPOCHS_LOOKED_AT = 300
_PLACES = 5

WHOLE_TABLE = ""
"""In place of a partition's name, for a finding about a table of which nothing could be told."""


class Halted(Exception):  # noqa: N818 - what was asked for, no error
    """The audit was told to end, or is no longer ours."""


class _ViewTooOld(Exception):  # noqa: N818 - what happened, and what the caller does something about
    """The view has been open for as long as it may; `paused` says that this was for pauses."""

    def __init__(self, *, paused: bool) -> None:
        super().__init__()
        self.paused = paused


@dataclass(frozen=True, slots=True)
class Seen:
    """A step of an audit, for whoever watches: what was done last, and why it waits, if it does."""

    number: int
    progress: AuditProgress
    table: str = ""
    findings: tuple[Finding, ...] = ()
    paused: str = ""


class AuditRun:
    """Runs one audit.

    Args:
        audit: Which one; its owner is this process.
        source: The server that is asked.
        stream: The stream's sums.
        store: Where everything is kept.
        settings: How the server is spared.
        log: What operators read.
        watch: Is told of every step.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        audit: StoredAudit,
        source: Audited,
        stream: StreamSide,
        store: Store,
        settings: Audit,
        log: structlog.stdlib.BoundLogger,
        watch: Callable[[Seen], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._audit = audit
        self._source = source
        self._stream = stream
        self._store = store
        self._settings = settings
        self._log = log.bind(audit=audit.number)
        self._watch = watch
        self._clock = clock
        self._done: dict[str, set[str]] = {}
        self._expected: dict[str, set[str]] = {}
        self._planned: dict[str, dict[str, int]] = {}
        self._rows = 0
        self._paused = ""
        self._used: View | None = None
        self._halt = Halt()
        self._load: Callable[[], Load] = lambda: Load(0)

    def run(self, halt: Halt) -> None:
        """Audits what is left of it.

        Raises:
            Halted: it was told to end.
            ConfigError: there is no such table.
            SourceError: the server may not be audited.
            DataFingerprintError: a part is away, or refuses.
        """
        self._halt = halt
        tables = chosen(self._store, self._audit.scope.table, self._audit.scope.partition)
        self._source.preflight(tables, self._places())
        self._take_stock(tables)
        rows = {name: sum(sums.values()) for name, sums in self._stream_rows().items()}
        left = [table for table in tables if not self._is_done(table.table)]
        with self._source.gauge() as self._load:
            for batch in batches(left, rows, self._settings.range_rows):
                self._audit_batch(batch)

    def _places(self) -> list[SourcePosition]:
        """Where the stream stands, and before that the last few places where it had rows."""
        epochs = [stored.epoch for stored in self._store.epochs(limit=_EPOCHS_LOOKED_AT)]
        with_rows = [epoch.position for epoch in epochs if epoch.rows][:_PLACES]
        return [epochs[0].position, *with_rows] if epochs else []

    def _take_stock(self, tables: Sequence[TableSchema]) -> None:
        """What is to be expected, and what an earlier run of this audit has found."""
        only = self._audit.scope.partition
        stream = self._stream_rows()
        lake: dict[str, set[str]] = {}
        for one in self._store.verdicts():
            lake.setdefault(one.table, set()).add(one.partition)
        for table in tables:
            known = set(stream.get(table.table, {})) | lake.get(table.table, set())
            self._expected[table.table] = known if only is None else {only}
            self._done[table.table] = set()
        for finding in self._store.findings(self._audit.number):
            self._done.setdefault(finding.table, set()).add(finding.partition or WHOLE_TABLE)
            self._rows += finding.source.rows if finding.source else 0

    def _stream_rows(self) -> dict[str, dict[str, int]]:
        rows: dict[str, dict[str, int]] = {}
        for key, part in self._store.running_sums().items():
            if part != ZERO:
                of = rows.setdefault(key.table, {})
                of[key.partition] = of.get(key.partition, 0) + part.rows
        return rows

    def _is_done(self, table: str) -> bool:
        done = self._done[table]
        expected = self._expected[table]
        return WHOLE_TABLE in done or (bool(expected) and expected <= done)

    def _audit_batch(self, batch: Sequence[TableSchema]) -> None:
        """Audits tables that share a view; those of which nothing can be told get another one, a few times."""
        left, attempt = list(batch), 0
        why: dict[str, str] = {}
        while left:
            self._wait_while_busy(None)
            attempt += 1
            try:
                with self._source.view(left) as view, self._interruptible(view):
                    aligned = self._stream.at(view.position, left, self._halt)
                    self._require_going_on()
                    again, why = self._audit_in(view, aligned, left)
            except NotYet as undecided:
                again, why = left, dict.fromkeys((one.table for one in left), str(undecided))
                attempt = _ATTEMPTS if isinstance(undecided, NotReachedError) else attempt
                self._require_going_on()
            except _ViewTooOld:
                again = [one for one in left if not self._is_done(one.table)]
                attempt -= 1
            if attempt >= _ATTEMPTS:
                for table in again:
                    self._record_undecided(table.table, None, why.get(table.table, ""))
                return
            if why:
                self._log.info("the audit tries again", why=next(iter(why.values())))
            left = again

    @contextmanager
    def _interruptible(self, view: View) -> Iterator[None]:
        """Lets whoever halts the audit end its statement too."""
        self._halt.interrupt = view.abort  # type: ignore[method-assign]
        try:
            yield
        finally:
            self._halt.interrupt = Halt.interrupt  # type: ignore[method-assign]

    def _audit_in(
        self, view: View, aligned: Aligned, tables: Sequence[TableSchema]
    ) -> tuple[list[TableSchema], dict[str, str]]:
        """Audits tables in one view; those of which nothing can be told there, and why."""
        again = []
        for table in tables:
            if table.table in aligned.undecided:
                again.append(table)
            else:
                self._audit_table(view, aligned, table)
        return again, {table.table: aligned.undecided[table.table] for table in again}

    def _audit_table(self, view: View, aligned: Aligned, table: TableSchema) -> None:
        began, before = self._clock(), self._rows
        try:
            found = self._units(view, aligned, table)
        except UnmeasuredError as error:
            self._record_undecided(table.table, None, str(error))
            return
        for unit in found:
            self._audit_unit(view, aligned, table, unit)
        self._log.info(
            "table audited",
            table=table.table,
            rows=self._rows - before,
            seconds=round(self._clock() - began, 1),
            epoch=aligned.epoch,
        )

    def _units(self, view: View, aligned: Aligned, table: TableSchema) -> list[Unit]:
        """The statements that are left of a table; partitions without a row in the source need none."""
        stream = {name: part.rows for name, part in aligned.sums[table.table].items() if part != ZERO}
        only = self._audit.scope.partition
        if only is not None:
            return [Unit((only,), stream.get(only, 0))]
        is_small = sum(stream.values()) <= self._settings.range_rows and not self._done[table.table]
        if is_small or not table.partition:
            return [Unit(None, sum(stream.values()))]
        known = set(self._expected[table.table])
        if table.table not in self._planned:
            self._wait_while_busy(view)
            rows = self._planned[table.table] = view.rows(table)
            self._expected[table.table] |= set(rows)
            empty = sorted((known | set(stream)) - set(rows) - self._done[table.table])
            if empty:
                self._judge(aligned, view, table, {}, empty)
        return units(self._planned[table.table], known, self._done[table.table], self._settings.range_rows)

    def _audit_unit(self, view: View, aligned: Aligned, table: TableSchema, unit: Unit) -> None:
        """Sums partitions up and judges them.

        Raises:
            _ViewTooOld: the view has become too old; in a new one there is time for them.
        """
        is_first, self._used = self._used is not view, view
        rows = self._rows
        try:
            source = self._sums(view, table, unit)
        except UnmeasuredError as error:
            for name in unit.partitions or (None,):
                self._record_undecided(table.table, name, str(error))
            return
        except _ViewTooOld as aged:
            self._rows = rows
            if not is_first or aged.paused:
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
            self._wait_while_busy(view)
            began = time.monotonic()
            upto = view.bound(table, unit.partitions, after, rows_max) if in_ranges else None
            part = view.sums(table, unit.partitions, KeyRange(after, upto) if in_ranges else None)
            for name, more in part.items():
                sums[name] = sums.get(name, ZERO) + more
            rows = sum(one.rows for one in part.values())
            self._rows += rows
            if upto is None:
                self._rest(rows, began)
                return sums
            self._advance()
            self._rest(rows, began)
            after = upto

    def _rest(self, rows: int, began: float) -> None:
        self._halt.wait(rest_s(rows, time.monotonic() - began, self._settings.rows_s_max))

    def _judge(
        self,
        aligned: Aligned,
        view: View,
        table: TableSchema,
        source: Mapping[str, Fingerprint],
        only: Sequence[str] | None,
    ) -> None:
        lake = {one.partition: one.verdict for one in self._store.verdicts(table.table)}
        at = At(view.position, aligned.epoch, self._clock())
        found = judge(table.table, source, aligned.sums[table.table], lake, at, only)
        for one in found:
            if one.outcome is Outcome.MISMATCH:
                self._log.warning(
                    "rows differ",
                    table=one.table,
                    partition=one.partition,
                    hops=",".join(one.hops),
                    why=one.reason,
                    gtid=view.position.gtid,
                    epoch=aligned.epoch,
                )
        self._record(table.table, found)

    def _record_undecided(self, table: str, partition: str | None, reason: str) -> None:
        self._require_going_on()
        self._log.warning("inconclusive", table=table, partition=partition, why=reason)
        self._record(table, [Finding(table, partition, Outcome.INCONCLUSIVE, reason=reason)])

    def _record(self, table: str, found: Sequence[Finding]) -> None:
        fresh = [one for one in found if (one.partition or WHOLE_TABLE) not in self._done[table]]
        self._done[table] |= {one.partition or WHOLE_TABLE for one in fresh}
        self._expected[table] |= {one.partition for one in fresh if one.partition is not None}
        self._advance(table, fresh)

    def _advance(self, table: str = "", found: Sequence[Finding] = (), paused: str = "") -> None:
        self._require_going_on()
        self._paused = paused
        self._store.advance_audit(
            self._audit.number, self._audit.owner, self._clock(), self._progress(), found, paused=paused
        )
        self._watch(Seen(self._audit.number, self._progress(), table, tuple(found), paused))

    def _progress(self) -> AuditProgress:
        done = sum(len(self._expected[name] & self._done[name]) for name in self._expected)
        return AuditProgress(done, sum(len(names) for names in self._expected.values()), self._rows)

    def _wait_while_busy(self, view: View | None) -> None:
        """Pauses for as long as the server is busy, or the replica too far behind.

        Raises:
            _ViewTooOld: the view, if there is one, may not be held open any longer.
        """
        self._require_going_on()
        paused = False
        while reason := reason_to_pause(self._load(), self._settings):
            if not self._paused:
                self._log.warning("the audit pauses", why=reason)
                self._advance(paused=reason)
            paused = True
            self._require_young(view, paused=True)
            self._halt.wait(_CALM_AGAIN_S)
            self._require_going_on()
        if self._paused:
            self._log.info("the audit goes on")
            self._advance()
        self._require_young(view, paused=paused)

    def _require_young(self, view: View | None, *, paused: bool) -> None:
        if view is not None and view.age_s > self._settings.view_s_max:
            raise _ViewTooOld(paused=paused)

    def _require_going_on(self) -> None:
        if self._halt.is_set():
            raise Halted


def chosen(store: Store, table: str | None, partition: str | None) -> list[TableSchema]:
    """The tables to audit.

    Raises:
        ConfigError: there is no such table, or a partition was named without one.
    """
    known = {name: definition for name, (_, definition) in sorted(store.definitions().items())}
    if table is None:
        if partition is not None:
            raise ConfigError("a partition needs its table", remedy="name the table first")
        return list(known.values())
    if table not in known:
        there = ", ".join(sorted(known)[:_NAMED_MAX]) or "none yet"
        raise ConfigError(f"no table {table} is under watch", remedy=f"there are: {there}")
    return [known[table]]
