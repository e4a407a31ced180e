"""The service: takes up audits that are asked for or were left unfinished, and between them follows the schedule."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from datafingerprint.audits import AuditState, Origin, Scope, StoredAudit
from datafingerprint.config import Audit
from datafingerprint.errors import ConflictError, Stop, Unavailable
from services.auditor.alignment import StreamSide
from services.auditor.audit_run import AuditRun, Halted, Seen
from services.auditor.holding import holding
from services.auditor.ports import Audited, Store
from services.auditor.schedule import auditable, due

POLL_S = 1.0


class AuditService:
    """Runs audits one after another.

    Args:
        source: The server that is asked.
        stream: The stream's sums.
        store: Where audits are asked for and kept.
        settings: The schedule, and how the server is spared.
        owner: The name of this process among those that run audits.
        log: What operators read.
        watch: Is told of every step of every audit.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        source: Audited,
        stream: StreamSide,
        store: Store,
        settings: Audit,
        owner: str,
        log: structlog.stdlib.BoundLogger,
        watch: Callable[[Seen], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._stream = stream
        self._store = store
        self._settings = settings
        self._owner = owner
        self._log = log
        self._watch = watch
        self._clock = clock

    def serve(self, stop: threading.Event) -> None:
        """Works until told to stop; an audit that it was at is gone on with by the next run.

        Raises:
            Unavailable: a part is away; run again.
        """
        self._log.info("auditing", every_s=self._settings.every_s)
        while not stop.is_set():
            taken = self._store.take_audit(self._owner, self._clock()) or self._scheduled()
            if taken is None:
                stop.wait(POLL_S)
                continue
            try:
                self.finish(taken, stop)
            except Stop as error:
                self._log.error("audit failed", audit=taken.number, why=str(error))

    def finish(self, audit: StoredAudit, stop: threading.Event) -> bool:
        """Runs an audit to its end; False when it was told to stop, or is no longer ours.

        Raises:
            Unavailable: a part is away; the audit stays as it is, to be gone on with.
            Stop: it cannot be done; it has failed.
        """
        self._log.info("audit taken up", audit=audit.number, of=str(audit.scope), done=audit.progress.partitions_done)
        run = AuditRun(
            audit, self._source, self._stream, self._store, self._settings, self._log, self._watch, self._clock
        )
        with holding(self._store, audit.number, self._owner, stop, self._clock) as halt:
            try:
                run.run(halt)
                self._store.end_audit(audit.number, self._owner, self._clock(), AuditState.DONE)
            except (Halted, ConflictError):
                self._let_go(audit, is_lost=halt.is_lost)
                return False
            except Stop as error:
                self._store.end_audit(audit.number, self._owner, self._clock(), AuditState.FAILED, str(error))
                raise
            except Unavailable:
                self._store.release_audit(audit.number, self._owner)
                raise
        ended = self._store.audit(audit.number)
        if ended is not None:
            outcome = ended.outcome.value if ended.outcome else "empty"
            self._log.info("audit done", audit=audit.number, outcome=outcome, rows=ended.progress.rows)
        return True

    def _let_go(self, audit: StoredAudit, *, is_lost: bool) -> None:
        self._log.info("audit let go", audit=audit.number, cancelled_or_taken_over=is_lost)
        if not is_lost:
            try:
                self._store.release_audit(audit.number, self._owner)
            except ConflictError:
                return  # cancelled within the last moments

    def _scheduled(self) -> StoredAudit | None:
        """The next audit of the schedule, made ours; None when none is due."""
        last = self._store.epochs(limit=1)
        tables = auditable(last[0].epoch if last else None) & set(self._store.definitions())
        if not tables or not self._settings.every_s:
            return None
        now = self._clock()
        table = due(tables, self._store.last_ended(), self._store.last_findings(), self._settings.every_s, now)
        if table is None:
            return None
        return self._store.begin_audit(Scope(table), Origin.SCHEDULE, self._owner, now)
