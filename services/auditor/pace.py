"""The load rules of an audit: when it pauses, and how long it rests."""

from __future__ import annotations

from datafingerprint.audit import Load
from datafingerprint.config import Audit


def reason_to_pause(load: Load, settings: Audit) -> str:
    """Why the audit should send no statement now. Empty when it may."""
    if load.threads_running > settings.threads_running_max:
        return f"{load.threads_running} threads run on the server, above {settings.threads_running_max}"
    if not load.is_replica:
        return ""
    if load.lag_s is None:
        return "the replica does not replicate"
    if load.lag_s > settings.lag_s_max:
        return f"the replica is {load.lag_s:g} s behind, above {settings.lag_s_max:g}"
    return ""


def rest_s(rows: int, took_s: float, rows_s_max: float) -> float:
    """Seconds to rest after a statement, so that at most `rows_s_max` rows are read per second."""
    return max(0.0, rows / rows_s_max - took_s) if rows_s_max else 0.0
