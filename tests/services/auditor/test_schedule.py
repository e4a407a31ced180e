"""The schedule goes round by round, the table first that waits longest, and does not hammer at one that fails."""

from __future__ import annotations

from datafingerprint.audit import Finding, MeasuredAt
from datafingerprint.audits import AuditProgress, AuditState, LastFinding, Origin, Scope, StoredAudit
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.verdict import Outcome
from services.auditor.schedule import RETRY_S, auditable, due

DAY_S = 86_400.0
POSITION = SourcePosition("0-1-1", "f", 4)


def ended(
    table: str, at: float, state: AuditState = AuditState.DONE, outcome: Outcome | None = Outcome.MATCH
) -> dict[str, StoredAudit]:
    audit = StoredAudit(
        1, Scope(table), Origin.SCHEDULE, state, "", "a", at - 9, at - 8, at - 1, at, AuditProgress(), outcome
    )
    return {table: audit}


def found(table: str, *times: float | None) -> list[LastFinding]:
    return [
        LastFinding(1, Finding(table, f"n={n}", Outcome.MATCH, at=None if at is None else MeasuredAt(POSITION, 1, at)))
        for n, at in enumerate(times)
    ]


def test_what_was_never_audited_is_due_and_nothing_is_when_the_schedule_is_off() -> None:
    assert due({"b", "a"}, {}, [], DAY_S, 1e9) == "a"
    assert due({"b", "a"}, {}, [], 0.0, 1e9) is None
    assert due(set(), {}, [], DAY_S, 1e9) is None


def test_the_table_that_waits_longest_comes_first_and_none_comes_early() -> None:
    done = {**ended("a", 1000.0), **ended("b", 900.0)}
    assert due({"a", "b"}, done, [], DAY_S, 899.0 + DAY_S) is None
    assert due({"a", "b"}, done, [], DAY_S, 901.0 + DAY_S) == "b"
    assert due({"a", "b"}, {**done, **ended("b", 901.0 + DAY_S)}, [], DAY_S, 1001.0 + DAY_S) == "a"


def test_an_audit_of_every_table_counts_by_its_oldest_finding() -> None:
    findings = [*found("a", 500.0, 700.0), *found("b", 600.0)]
    assert due({"a", "b"}, {}, findings, DAY_S, 499.0 + DAY_S) is None
    assert due({"a", "b"}, {}, findings, DAY_S, 501.0 + DAY_S) == "a"
    assert due({"a"}, ended("a", 100.0), found("a", 500.0), DAY_S, 101.0 + DAY_S) is None


def test_one_that_failed_or_could_not_tell_is_made_again_soon_but_not_at_once() -> None:
    for state, outcome in (
        (AuditState.FAILED, None),
        (AuditState.CANCELLED, Outcome.MATCH),
        (AuditState.DONE, Outcome.INCONCLUSIVE),
    ):
        last = ended("a", 1000.0, state, outcome)
        assert due({"a"}, last, [], DAY_S, 999.0 + RETRY_S) is None
        assert due({"a"}, last, [], DAY_S, 1001.0 + RETRY_S) == "a"
        assert due({"a"}, last, [], 10.0, 1011.0) == "a"


def test_an_empty_table_has_no_finding_and_is_audited_no_more_often() -> None:
    assert due({"a"}, ended("a", 1000.0, outcome=None), [], DAY_S, 999.0 + DAY_S) is None


def test_tables_whose_first_reading_goes_on_are_not_audited_yet() -> None:
    cursors = {"a": SnapshotCursor(1, 1, complete=True), "b": SnapshotCursor(1, 9, complete=False)}
    last = Epoch("s", 1, POSITION, 0.0, snapshots=cursors, versions={"a": 1, "b": 2, "c": 3})
    assert auditable(last) == {"a", "c"}
    assert auditable(None) == set()
