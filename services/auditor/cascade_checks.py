"""Audits tables that a cascade may have changed unlogged, and re-snapshots differences.

Thousands of parents may be deleted per second, and children may be huge. So suspicions are merged by table. A table
rests between two checks, for longer if a check takes longer. Only partitions that differ are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from datafingerprint.audit import Finding, Hop
from datafingerprint.cascades import Suspicion
from datafingerprint.epochs import Epoch
from datafingerprint.resync import ResyncRequest
from datafingerprint.verdict import Outcome

_SHARE = 4
"""Length of a table's rest, as a multiple of the time for its check and its re-snapshots."""

_DOUBLINGS_MAX = 3
"""How often the rest is doubled while re-snapshots do not remove the difference."""

_SINGLY_MAX = 8
"""Most partitions that are re-snapshotted one after another. With more differences, the whole table is."""

Ask = Callable[[ResyncRequest], int]
"""Sends a request to capture and returns its offset."""


@dataclass(slots=True)
class _Check:
    """The state of one table's round of checks and re-snapshots.

    Attributes:
        started_at: Unix time in seconds at which the last round began.
        next_at: Unix time in seconds of the next allowed check.
        remaining: Partitions to re-snapshot. None stands for the whole table.
        request: Offset of the open request to capture. None without one.
        is_last: Whether the next check ends the round, with any result.
        failures: Consecutive rounds that ended with a difference.
    """

    started_at: float = 0.0
    next_at: float = 0.0
    remaining: list[str | None] = field(default_factory=list)
    request: int | None = None
    is_last: bool = False
    failures: int = 0


class CascadeChecks:
    """The checks of one process, in memory. A new process checks tables that are still suspect.

    Args:
        ask: Requests a re-snapshot.
        every_s: Fewest seconds between two rounds of a table.
        heals: Whether tables are checked and re-snapshotted without a request.
        log: The operators' log.

    Attributes:
        every_s: Fewest seconds between two rounds of a table.
    """

    def __init__(self, ask: Ask, every_s: float, log: structlog.stdlib.BoundLogger, *, heals: bool) -> None:
        self._ask = ask
        self.every_s = every_s
        self._heals = heals
        self._log = log
        self._checks: dict[str, _Check] = {}
        self._logged: frozenset[str] = frozenset()

    def due(self, suspects: Mapping[str, Suspicion], last: Epoch | None, now: float) -> str | None:
        """The table to check now. None when none is due. Also continues open re-snapshots.

        Args:
            suspects: The suspect tables.
            last: The last epoch.
            now: Unix time in seconds.
        """
        self._log_new(suspects)
        if not self._heals or last is None:
            return None
        rested = {table for table, check in self._checks.items() if check.request is None and check.next_at <= now}
        for table in rested - suspects.keys():
            del self._checks[table]
        waiting = []
        for table in suspects:
            check = self._checks.setdefault(table, _Check())
            cursor = last.snapshots.get(table)
            if table not in last.versions or (cursor is not None and not cursor.complete):
                continue
            if check.request is not None and last.answers.next_offset > check.request:
                self._request_next(table, check, now)
            if check.request is None and check.next_at <= now:
                waiting.append((check.next_at, table))
        if not waiting:
            return None
        table = min(waiting)[1]
        check = self._checks[table]
        if not check.is_last:
            check.started_at = now
        check.next_at = now + self.every_s
        return table

    def settle(self, table: str, findings: Sequence[Finding], now: float) -> None:
        """Takes the findings of a check, and requests re-snapshots of partitions that differ.

        After the re-snapshots the table is checked once more.
        """
        check = self._checks.setdefault(table, _Check(started_at=now))
        differing = [finding.partition for finding in findings if Hop.CAPTURE in finding.hops]
        if differing and not check.is_last:
            self._log.warning("rows that capture missed are read again", table=table, partitions=len(differing))
            check.remaining = list(differing) if len(differing) <= _SINGLY_MAX else [None]
            self._request_next(table, check, now)
            return
        check.is_last = False
        check.failures = check.failures + 1 if differing else 0
        rest_s = max(self.every_s, _SHARE * (now - check.started_at))
        check.next_at = now + rest_s * 2 ** min(check.failures, _DOUBLINGS_MAX)

    def _request_next(self, table: str, check: _Check, now: float) -> None:
        if check.remaining:
            partition = check.remaining.pop(0)
            check.request = self._ask(ResyncRequest(table, partition, now))
        else:
            check.request, check.is_last, check.next_at = None, True, now

    def _log_new(self, suspects: Mapping[str, Suspicion]) -> None:
        """Logs each suspect table once."""
        for table in sorted(suspects.keys() - self._logged):
            self._log.warning(
                "table may have changed unlogged",
                table=table,
                why=suspects[table].reason,
                remedy="none: the auditor checks the table" if self._heals else f"datafingerprint audit {table}",
            )
        self._logged = frozenset(suspects)


def agreed_at(findings: Sequence[Finding], epoch: int) -> int | None:
    """The epoch at which source and stream agreed on a whole table. None when they did not.

    Args:
        findings: Findings of an audit of the whole table. Empty for a table without rows on any side.
        epoch: The lowest epoch of the audit's views.

    Returns:
        The epoch. None also when a finding is inconclusive.
    """
    if any(finding.outcome is Outcome.INCONCLUSIVE or Hop.CAPTURE in finding.hops for finding in findings):
        return None
    return min((finding.at.epoch for finding in findings if finding.at is not None), default=epoch)
