"""Requests audits of re-read tables, once their rows are in the running sums."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from datafingerprint.audits import Origin, Scope
from datafingerprint.errors import DataFingerprintError, StateError, Unavailable
from datafingerprint.ledger import Progress
from datafingerprint.recovery import ALL_TABLES

_POLL_S = 0.5


class AuditQueue(Protocol):
    """The part of the state store that takes requests for audits."""

    def progress(self) -> Progress:
        """The latest epoch of the running sums."""

    def queue_audit(self, scope: Scope, origin: Origin, now: float) -> int:
        """Requests an audit. Returns its id."""


OpenQueue = Callable[[], AbstractContextManager[AuditQueue]]


class RereadAudits:
    """The audits to request for the tables that a command named.

    The serving auditor runs them. It compares with the running sums, so an audit is requested only when these have
    the rows. A thread waits for that while capture runs.

    Args:
        targets: Tables that the command reads again, each as a whole (None) or one partition. `*` is all tables.
        open_queue: Opens the state store.
        log: For operators.
        poll_s: Seconds between two reads of the running sums' progress.
    """

    def __init__(
        self,
        targets: Mapping[str, str | None],
        open_queue: OpenQueue,
        log: structlog.stdlib.BoundLogger,
        poll_s: float = _POLL_S,
    ) -> None:
        self._targets = dict(targets)
        self._open_queue = open_queue
        self._log = log
        self._poll_s = poll_s
        self._hurry = threading.Event()
        self._threads: list[threading.Thread] = []

    def note_read(self, tables: Collection[str], epoch: int) -> None:
        """Requests audits of the named tables among these, once the sums reach the epoch."""
        if ALL_TABLES in self._targets:
            scopes = [Scope()]
            self._targets.clear()
        else:
            names = [name for name in self._targets if name in tables]
            scopes = [Scope(name, self._targets.pop(name)) for name in names]
        if scopes:
            thread = threading.Thread(target=self._request, args=(scopes, epoch), name="audits", daemon=True)
            self._threads.append(thread)
            thread.start()

    def finish(self, patience_s: float) -> None:
        """Waits up to `patience_s` for the sums, then requests the remaining audits at once."""
        deadline = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        self._hurry.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _request(self, scopes: list[Scope], epoch: int) -> None:
        while scopes:
            try:
                with self._open_queue() as queue:
                    while queue.progress().epoch < epoch and not self._hurry.wait(self._poll_s):
                        pass
                    if queue.progress().stream_id is None:
                        raise StateError(
                            "no fingerprinter has written to the state store yet",
                            where="the state store",
                            remedy="start `datafingerprint fingerprint`, or check [state] url",
                        )
                    while scopes:
                        number = queue.queue_audit(scopes[0], Origin.COMMAND, time.time())
                        self._log.info("audit requested", audit=number, of=str(scopes.pop(0)))
            except Unavailable as error:
                if self._hurry.wait(self._poll_s):
                    self._log_not_requested(scopes, error)
                    return
            except DataFingerprintError as error:
                self._log_not_requested(scopes, error)
                return

    def _log_not_requested(self, scopes: list[Scope], error: DataFingerprintError) -> None:
        for scope in scopes:
            remedy = " ".join(["datafingerprint audit", *filter(None, [scope.table])])
            if scope.partition is not None:
                remedy += f" --partition {scope.partition}"
            self._log.warning("audit not requested", of=str(scope), why=str(error), remedy=remedy)
