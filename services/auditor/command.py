"""The audit that somebody runs by hand: a new one, or what is left of the same one if that was killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from datafingerprint.audit import Finding
from datafingerprint.audits import LEASE_S, AuditState, AuditStore, Origin, Scope, StoredAudit
from datafingerprint.errors import ConflictError, Unavailable

_LOOK_S = 0.2
_LOOKED_AT = 50
"""Audits among which one that was interrupted is looked for."""


class Finisher(Protocol):
    """What runs an audit."""

    def finish(self, audit: StoredAudit, stop: threading.Event) -> bool:
        """Runs it to its end; False when it was stopped or cancelled."""


def run_command(
    store: AuditStore,
    service: Finisher,
    scope: Scope,
    owner: str,
    stop: threading.Event,
    *,
    anew: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Sequence[Finding]:
    """Runs an audit, and returns what it found; that of an audit that was stopped is what it had found by then.

    Raises:
        Unavailable: a part is away.
        Stop: it cannot be done.
    """
    left = None if anew else _interrupted(store, scope, owner, stop, say)
    if left is not None:
        done = left.progress
        say(
            f"audit {left.number} was interrupted at {done.partitions_done} of {done.partitions} partitions: "
            "it goes on (--anew begins anew)"
        )
    audit = left or store.begin_audit(scope, Origin.COMMAND, owner, time.time())
    try:
        is_over = service.finish(audit, stop)
    except Unavailable as error:
        _end(store, audit, owner, AuditState.FAILED, str(error))
        raise
    if not is_over and stop.is_set():
        _end(store, audit, owner, AuditState.CANCELLED, "stopped by who ran it")
    return list(store.findings(audit.number))


def _interrupted(
    store: AuditStore, scope: Scope, owner: str, stop: threading.Event, say: Callable[[str], None]
) -> StoredAudit | None:
    """The newest audit of the same scope that a command left without an end, made ours; None when there is none."""
    for one in store.audits(limit=_LOOKED_AT):
        is_held = one.state in (AuditState.RUNNING, AuditState.PAUSED)
        if one.scope == scope and one.origin is Origin.COMMAND and is_held and _is_left(store, one, stop, say):
            return store.take_audit(owner, time.time(), one.number)
    return None


def _is_left(store: AuditStore, audit: StoredAudit, stop: threading.Event, say: Callable[[str], None]) -> bool:
    """Waits until its owner shows that it lives, or is taken for dead."""
    seen_at = audit.seen_at or 0.0
    if time.time() - seen_at <= LEASE_S:
        say(f"audit {audit.number} of the same is not over: looking whether somebody runs it")
    while time.time() - seen_at <= LEASE_S:
        if stop.wait(_LOOK_S):
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
        return  # it is another's, or the store is away: then it is taken for interrupted
