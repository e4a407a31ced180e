"""The progress and the findings of one audit, stored at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from datafingerprint.audit import Finding
from datafingerprint.audits import AuditProgress, StoredAudit
from services.auditor.lease import Halt
from services.auditor.ports import Store

WHOLE_TABLE = ""
"""Stands for the partition's name in a finding about a whole table."""


class Halted(Exception):  # noqa: N818 - a request, not a failure
    """The audit must end, or belongs to another process now."""


@dataclass(frozen=True, slots=True)
class AuditStep:
    """A step of an audit, for observers.

    Attributes:
        number: Id of the audit.
        progress: Its progress after the step.
        table: The audited table.
        findings: Findings of the step.
        pause: Why the audit pauses. Empty while it runs.
    """

    number: int
    progress: AuditProgress
    table: str = ""
    findings: tuple[Finding, ...] = ()
    pause: str = ""


class AuditJournal:
    """Records which partitions of an audit have a finding.

    Args:
        audit: The audit. Its owner is this process.
        store: Keeps progress and findings.
        halt: Ends the audit.
        watch: Receives every step.
        clock: Unix time in seconds.

    Attributes:
        rows: Rows that the source has summed up so far.
        pause: Why the audit pauses. Empty while it runs.
    """

    def __init__(
        self,
        audit: StoredAudit,
        store: Store,
        halt: Halt,
        watch: Callable[[AuditStep], None],
        clock: Callable[[], float],
    ) -> None:
        self.rows = 0
        self.pause = ""
        self._audit = audit
        self._store = store
        self._halt = halt
        self._watch = watch
        self._clock = clock
        self._done: dict[str, set[str]] = {}
        self._expected: dict[str, set[str]] = {}

    def open(self, expected: Mapping[str, Iterable[str]]) -> None:
        """Takes the expected partitions by table, and the findings of an earlier run of this audit."""
        self._expected = {table: set(partitions) for table, partitions in expected.items()}
        self._done = {table: set() for table in expected}
        for finding in self._store.findings(self._audit.number):
            self._done.setdefault(finding.table, set()).add(finding.partition or WHOLE_TABLE)
            self.rows += finding.source.rows if finding.source else 0

    def expect(self, table: str, partitions: Iterable[str]) -> None:
        """Adds partitions that the source has."""
        self._expected[table] |= set(partitions)

    def expected(self, table: str) -> frozenset[str]:
        """The partitions of a table that the audit covers."""
        return frozenset(self._expected[table])

    def done(self, table: str) -> frozenset[str]:
        """The partitions of a table that have a finding."""
        return frozenset(self._done[table])

    def is_done(self, table: str) -> bool:
        """Whether a table needs no further statement."""
        done, expected = self._done[table], self._expected[table]
        return WHOLE_TABLE in done or (bool(expected) and expected <= done)

    def record(self, table: str, findings: Sequence[Finding]) -> None:
        """Stores the findings of partitions that had none."""
        new = [finding for finding in findings if (finding.partition or WHOLE_TABLE) not in self._done[table]]
        self._done[table] |= {finding.partition or WHOLE_TABLE for finding in new}
        self._expected[table] |= {finding.partition for finding in new if finding.partition is not None}
        self.advance(table, new)

    def advance(self, table: str = "", findings: Sequence[Finding] = (), pause: str = "") -> None:
        """Stores a step of the audit.

        Raises:
            Halted: The audit must end.
            ConflictError: The audit was cancelled or taken over.
        """
        self.require_running()
        self.pause = pause
        self._store.advance_audit(
            self._audit.number, self._audit.owner, self._clock(), self._progress(), findings, paused=pause
        )
        self._watch(AuditStep(self._audit.number, self._progress(), table, tuple(findings), pause))

    def require_running(self) -> None:
        """Ends the audit when that was requested.

        Raises:
            Halted: The audit must end.
        """
        if self._halt.is_set():
            raise Halted

    def _progress(self) -> AuditProgress:
        done = sum(len(self._expected[name] & self._done[name]) for name in self._expected)
        return AuditProgress(done, sum(len(names) for names in self._expected.values()), self.rows)
