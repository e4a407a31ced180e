"""The audit of a command: a new one, or the rest of an interrupted one with the same scope."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from datafingerprint.audit import Finding
from datafingerprint.audits import LEASE_S, AuditState, AuditStore, Origin, Scope, StoredAudit
from datafingerprint.errors import ConflictError, Unavailable

_POLL_S = 0.2
_AUDITS_SEARCHED = 50
"""Newest audits among which an interrupted one is searched."""


class AuditRunner(Protocol):
    """Runs audits."""

    def finish(self, audit: StoredAudit, stop: threading.Event) -> bool:
        """Runs an audit to its end.

        Returns:
            False when it was stopped or cancelled.
        """


def run_command(
    store: AuditStore,
    service: AuditRunner,
    scope: Scope,
    owner: str,
    stop: threading.Event,
    *,
    from_start: bool = False,
    echo: Callable[[str], None] = lambda _: None,
) -> Sequence[Finding]:
    """Runs an audit.

    Args:
        store: Keeps audits.
        service: Runs them.
        scope: The tables or the partition to audit.
        owner: The name of this process.
        stop: Stops the audit.
        from_start: Whether to ignore an interrupted audit with the same scope.
        echo: Prints a line about progress.

    Returns:
        Its findings. A stopped audit has those up to the stop.

    Raises:
        Unavailable: A part is away.
        Stop: The audit is not possible.
    """
    interrupted = None if from_start else _interrupted(store, scope, owner, stop, echo)
    if interrupted is not None:
        progress = interrupted.progress
        echo(
            f"audit {interrupted.number} was interrupted at {progress.partitions_done} of {progress.partitions} "
            "partitions: it continues (--from-start begins a new one)"
        )
    audit = interrupted or store.begin_audit(scope, Origin.COMMAND, owner, time.time())
    try:
        is_over = service.finish(audit, stop)
    except Unavailable as error:
        _end(store, audit, owner, AuditState.FAILED, str(error))
        raise
    if not is_over and stop.is_set():
        _end(store, audit, owner, AuditState.CANCELLED, "the command was stopped")
    return list(store.findings(audit.number))


def _interrupted(
    store: AuditStore, scope: Scope, owner: str, stop: threading.Event, echo: Callable[[str], None]
) -> StoredAudit | None:
    """Takes over the newest interrupted audit of a command with this scope. None without one."""
    for audit in store.audits(limit=_AUDITS_SEARCHED):
        is_open = audit.state in (AuditState.RUNNING, AuditState.PAUSED)
        is_same = audit.scope == scope and audit.origin is Origin.COMMAND
        if is_same and is_open and _is_abandoned(store, audit, stop, echo):
            return store.take_audit(owner, time.time(), audit.number)
    return None


def _is_abandoned(store: AuditStore, audit: StoredAudit, stop: threading.Event, echo: Callable[[str], None]) -> bool:
    """Waits for a heartbeat of the audit's owner, or for the end of its lease.

    Returns:
        False when the audit ended, has a heartbeat, or changed its owner.
    """
    seen_at = audit.seen_at or 0.0
    if time.time() - seen_at <= LEASE_S:
        echo(f"audit {audit.number} has the same scope and is not over: checking whether a process runs it")
    while time.time() - seen_at <= LEASE_S:
        if stop.wait(_POLL_S):
            return False
        now = store.audit(audit.number)
        if now is None or now.state.is_over or now.owner != audit.owner or (now.seen_at or 0.0) > seen_at:
            return False
    return True


def _end(store: AuditStore, audit: StoredAudit, owner: str, state: AuditState, reason: str) -> None:
    try:
        store.take_audit(owner, time.time(), audit.number)
        store.end_audit(audit.number, owner, time.time(), state, reason)
    except (ConflictError, Unavailable):
        return  # another process owns it, or the store is away: it then counts as interrupted
