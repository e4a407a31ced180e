"""Tables that a reader of the epochs has set aside: the reasons, and when to retry each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LOST = "changes of the table are missing in Kafka, and it is to be read again"
"""Start of the reason of a table that needs a re-snapshot, also if the lake has rows."""

RETRY_S = 5.0
"""Seconds until the first retry of a table."""

RETRY_GROWTH = 3
"""Factor of each further wait: re-snapshots that do not help must not load the source forever."""

RETRY_S_MAX = 6 * 3600.0


@dataclass(slots=True)
class _Entry:
    reason: str
    retry_at: float


class SetAside:
    """The tables that are set aside.

    A table stays set aside until an epoch starts it from nothing. Its changes before are skipped.

    Args:
        reasons: Table to reason, from an earlier run.
        now: Unix time in seconds.
        patience_s: Seconds until the first retry of a table whose changes were lost: other readers may recover it.
    """

    def __init__(self, reasons: Mapping[str, str], now: float, *, patience_s: float = 0.0) -> None:
        self._patience_s = patience_s
        self._tries: dict[str, int] = {}
        self._entries = {name: _Entry(reason, now + RETRY_S) for name, reason in reasons.items()}

    def __contains__(self, table: object) -> bool:
        return table in self._entries

    @property
    def reasons(self) -> dict[str, str]:
        """Table to the reason why it is set aside."""
        return {name: entry.reason for name, entry in sorted(self._entries.items())}

    def add(self, table: str, reason: str, now: float) -> bool:
        """Sets a table aside. The reason `LOST` is not replaced by another one.

        Returns:
            Whether the table or its reason is new.
        """
        before = self._entries.get(table)
        if before is None:
            is_first = reason.startswith(LOST) and table not in self._tries
            self._entries[table] = _Entry(reason, now + (self._patience_s if is_first else self._wait(table)))
            return True
        if before.reason == reason or (self.is_lost(table) and not reason.startswith(LOST)):
            return False
        before.reason = reason
        return True

    def remove(self, table: str) -> None:
        """Removes a table if it is set aside. If it soon comes back, it waits as long as before."""
        self._entries.pop(table, None)

    def is_due(self, now: float) -> bool:
        """Whether any table is due."""
        return any(now >= entry.retry_at for entry in self._entries.values())

    def due(self, now: float) -> list[str]:
        """The tables that are due. Their next retry is postponed."""
        due = [name for name, entry in self._entries.items() if now >= entry.retry_at]
        for name in due:
            self._tries[name] = self._tries.get(name, 0) + 1
            self._entries[name].retry_at = now + self._wait(name)
        return due

    def is_lost(self, table: str) -> bool:
        """Whether changes of a table are lost."""
        return self._entries[table].reason.startswith(LOST)

    def _wait(self, table: str) -> float:
        return float(min(RETRY_S_MAX, RETRY_S * RETRY_GROWTH ** min(12, self._tries.get(table, 0))))
