"""The service loop: requested and interrupted audits, then checks, then the schedule."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from datafingerprint.audit import Finding
from datafingerprint.audits import AuditState, Origin, Scope, StoredAudit
from datafingerprint.config import Audit
from datafingerprint.errors import ConflictError, Stop, Unavailable
from services.auditor.alignment import StreamSide
from services.auditor.audit_run import AuditRun
from services.auditor.cascade_checks import CascadeChecks, agreed_at
from services.auditor.journal import AuditStep, Halted
from services.auditor.lease import lease
from services.auditor.ports import AuditTarget, Store
from services.auditor.timetable import Timetable

POLL_S = 1.0
_AUDITS_SEARCHED = 50
"""Newest audits among which a check by another process is searched."""


class AuditService:
    """Runs audits one after another.

    Args:
        source: The server that audits measure.
        stream: The stream's sums.
        store: Keeps requests and audits.
        settings: The schedule, and the limits of the load on the server.
        owner: The name of this process among those that run audits.
        log: The operators' log.
        watch: Receives every step of every audit.
        clock: Unix time in seconds.
        checks: Checks of tables that cascades may have changed. None leaves them to the schedule.
    """

    def __init__(
        self,
        source: AuditTarget,
        stream: StreamSide,
        store: Store,
        settings: Audit,
        owner: str,
        log: structlog.stdlib.BoundLogger,
        watch: Callable[[AuditStep], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        checks: CascadeChecks | None = None,
    ) -> None:
        self._checks = checks
        self._source = source
        self._stream = stream
        self._store = store
        self._settings = settings
        self._timetable = Timetable(store, settings.every_s)
        self._owner = owner
        self._log = log
        self._watch = watch
        self._clock = clock

    def serve(self, stop: threading.Event) -> None:
        """Runs audits until `stop` is set. The next run continues an audit that was interrupted.

        Raises:
            Unavailable: A part is away. Run again.
        """
        self._log.info("auditing", every_s=self._settings.every_s)
        while not stop.is_set():
            audit = self._store.take_audit(self._owner, self._clock()) or self._next_check() or self._next_scheduled()
            if audit is None:
                stop.wait(POLL_S)
                continue
            try:
                self.finish(audit, stop)
            except Stop as error:
                self._log.error("audit failed", audit=audit.number, why=str(error))

    def finish(self, audit: StoredAudit, stop: threading.Event) -> bool:
        """Runs an audit to its end.

        Returns:
            False when it was stopped, cancelled, or taken over.

        Raises:
            Unavailable: A part is away. The audit keeps its progress and is continued later.
            Stop: The audit is not possible and has failed.
        """
        self._log.info("audit started", audit=audit.number, of=str(audit.scope), done=audit.progress.partitions_done)
        with lease(self._store, audit.number, self._owner, stop, self._clock) as halt:
            run = AuditRun(
                audit,
                self._source,
                self._stream,
                self._store,
                self._settings,
                halt,
                self._log,
                self._watch,
                self._clock,
            )
            try:
                run.run()
                self._store.end_audit(audit.number, self._owner, self._clock(), AuditState.DONE)
            except (Halted, ConflictError):
                self._release(audit, is_lost=halt.is_lost)
                return False
            except Stop as error:
                self._store.end_audit(audit.number, self._owner, self._clock(), AuditState.FAILED, str(error))
                raise
            except Unavailable:
                self._store.release_audit(audit.number, self._owner)
                raise
        self._settle(audit, run.epoch)
        ended = self._store.audit(audit.number)
        if ended is not None:
            outcome = ended.outcome.value if ended.outcome else "empty"
            self._log.info("audit done", audit=audit.number, outcome=outcome, rows=ended.progress.rows)
        return True

    def _release(self, audit: StoredAudit, *, is_lost: bool) -> None:
        self._log.info("audit released", audit=audit.number, cancelled_or_taken_over=is_lost)
        if not is_lost:
            try:
                self._store.release_audit(audit.number, self._owner)
            except ConflictError:
                return  # it was cancelled a moment ago

    def _settle(self, audit: StoredAudit, epoch: int) -> None:
        """Clears the suspicion of tables that agree as a whole, and passes findings to the checks."""
        if audit.scope.partition is not None:
            return
        findings: dict[str, list[Finding]] = {}
        for finding in self._store.findings(audit.number):
            findings.setdefault(finding.table, []).append(finding)
        for table in self._store.suspicions():
            if audit.scope.table in (None, table):
                agreed = agreed_at(findings.get(table, []), epoch)
                if agreed is not None:
                    self._store.clear_suspicion(table, agreed)
        if self._checks is not None and audit.origin is Origin.SUSPICION and audit.scope.table is not None:
            self._checks.settle(audit.scope.table, findings.get(audit.scope.table, []), self._clock())

    def _next_check(self) -> StoredAudit | None:
        """Begins the next check of a table that a cascade may have changed. None when none is due."""
        if self._checks is None:
            return None
        suspects = self._store.suspicions()
        last = self._store.epochs(limit=1) if suspects else ()
        table = self._checks.due(suspects, last[0].epoch if last else None, self._clock())
        if table is None or self._is_checked_elsewhere(Scope(table), self._clock() - self._checks.every_s):
            return None
        return self._store.begin_audit(Scope(table), Origin.SUSPICION, self._owner, self._clock())

    def _is_checked_elsewhere(self, scope: Scope, since: float) -> bool:
        """Whether another process has checked it since then. That process requests the re-snapshot."""
        return any(
            audit.scope == scope
            and audit.origin is Origin.SUSPICION
            and audit.owner != self._owner
            and audit.asked_at > since
            for audit in self._store.audits(limit=_AUDITS_SEARCHED)
        )

    def _next_scheduled(self) -> StoredAudit | None:
        """Begins the next audit of the schedule. None when none is due."""
        now = self._clock()
        table = self._timetable.due(now)
        if table is None:
            return None
        return self._store.begin_audit(Scope(table), Origin.SCHEDULE, self._owner, now)
