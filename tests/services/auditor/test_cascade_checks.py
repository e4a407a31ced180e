"""Suspect tables are checked in turn, read again where they differ, and never more often than they may."""

from __future__ import annotations

import structlog

from datafingerprint.audit import Finding, Hop, MeasuredAt
from datafingerprint.cascades import Suspicion
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.resync import RequestStatus, ResyncRequest
from datafingerprint.verdict import Outcome
from services.auditor.cascade_checks import CascadeChecks, agreed_at

PLACE = SourcePosition("0-1-1", "f", 4)
LOG = structlog.stdlib.get_logger()


class Capture:
    """Takes requests, and says in its epochs how far it has come."""

    def __init__(self) -> None:
        self.asked: list[ResyncRequest] = []
        self.done = 0
        self.reading: str | None = None

    def ask(self, request: ResyncRequest) -> int:
        self.asked.append(request)
        return len(self.asked) - 1

    @property
    def epoch(self) -> Epoch:
        snapshots = {} if self.reading is None else {self.reading: SnapshotCursor(0, 0, complete=False)}
        versions = {"s.a": 1, "s.b": 2}
        return Epoch("x", 9, PLACE, 0.0, snapshots=snapshots, versions=versions, answers=RequestStatus(self.done))


def suspects(*tables: str) -> dict[str, Suspicion]:
    return {table: Suspicion(table, 5, 8, "rows of s.p were deleted") for table in tables}


def checks(capture: Capture, *, heals: bool = True) -> CascadeChecks:
    return CascadeChecks(capture.ask, 60.0, LOG, heals=heals)


def found(partition: str | None, *hops: Hop, epoch: int = 8, inconclusive: bool = False) -> Finding:
    outcome = Outcome.MISMATCH if hops else Outcome.INCONCLUSIVE if inconclusive else Outcome.MATCH
    return Finding("s.a", partition, outcome, hops, at=None if inconclusive else MeasuredAt(PLACE, epoch, 1.0))


def test_a_table_is_checked_at_once_and_not_again_before_its_time() -> None:
    capture = Capture()
    check = checks(capture)
    assert check.due({}, capture.epoch, 1000.0) is None
    assert check.due(suspects("s.a"), None, 1000.0) is None
    assert check.due(suspects("s.a", "s.b", "s.unknown"), capture.epoch, 1000.0) == "s.a"
    assert check.due(suspects("s.a", "s.b"), capture.epoch, 1000.0) == "s.b"
    check.settle("s.a", [found("-")], 1000.5)
    check.settle("s.b", [found("-")], 1001.0)
    assert check.due(suspects("s.a", "s.b"), capture.epoch, 1060.0) is None
    assert check.due(suspects("s.a", "s.b"), capture.epoch, 1060.5) == "s.a"
    assert capture.asked == []


def test_a_table_that_was_found_well_is_not_checked_again_at_once_when_its_parent_changes_again() -> None:
    check = checks(capture := Capture())
    assert check.due(suspects("s.a"), capture.epoch, 1000.0) == "s.a"
    check.settle("s.a", [found("-")], 1001.0)
    assert check.due({}, capture.epoch, 1002.0) is None
    assert check.due(suspects("s.a"), capture.epoch, 1005.0) is None
    assert check.due(suspects("s.a"), capture.epoch, 1061.0) == "s.a"
    check.settle("s.a", [found("-")], 1062.0)
    assert check.due({}, capture.epoch, 5000.0) is None
    assert check.due(suspects("s.a"), capture.epoch, 5001.0) == "s.a"


def test_what_takes_long_rests_the_longer() -> None:
    check = checks(capture := Capture())
    assert check.due(suspects("s.a"), capture.epoch, 1000.0) == "s.a"
    check.settle("s.a", [found("-")], 1100.0)
    assert check.due(suspects("s.a"), capture.epoch, 1499.0) is None
    assert check.due(suspects("s.a"), capture.epoch, 1500.0) == "s.a"


def test_partitions_that_differ_are_read_one_after_another_and_then_the_table_is_checked_once_more() -> None:
    check = checks(capture := Capture())
    assert check.due(suspects("s.a"), capture.epoch, 1000.0) == "s.a"
    check.settle("s.a", [found("n=1", Hop.CAPTURE), found("n=2"), found("n=3", Hop.CAPTURE, Hop.LAKE)], 1001.0)
    assert [request.partition for request in capture.asked] == ["n=1"]
    assert check.due(suspects("s.a"), capture.epoch, 2000.0) is None
    capture.done, capture.reading = 1, "s.a"
    assert check.due(suspects("s.a"), capture.epoch, 2000.0) is None
    capture.reading = None
    assert check.due(suspects("s.a"), capture.epoch, 2000.0) is None
    assert [request.partition for request in capture.asked] == ["n=1", "n=3"]
    capture.done = 2
    assert check.due(suspects("s.a"), capture.epoch, 2001.0) == "s.a"
    # More was changed meanwhile: not read again before the table has rested.
    check.settle("s.a", [found("n=1", Hop.CAPTURE)], 2002.0)
    assert len(capture.asked) == 2
    assert check.due(suspects("s.a"), capture.epoch, 2002.0 + 8 * 1002.0 - 1) is None
    assert check.due(suspects("s.a"), capture.epoch, 2002.0 + 8 * 1002.0) == "s.a"
    check.settle("s.a", [found("n=1", Hop.CAPTURE)], 10_020.0)
    assert len(capture.asked) == 3


def test_a_table_of_which_much_differs_is_read_as_a_whole() -> None:
    check = checks(capture := Capture())
    assert check.due(suspects("s.a"), capture.epoch, 1000.0) == "s.a"
    check.settle("s.a", [found(f"n={n}", Hop.CAPTURE) for n in range(9)], 1001.0)
    assert [request.partition for request in capture.asked] == [None]


def test_what_only_the_lake_has_wrong_is_not_read_again_and_warn_does_nothing_by_itself() -> None:
    check = checks(capture := Capture())
    assert check.due(suspects("s.a"), capture.epoch, 1000.0) == "s.a"
    check.settle("s.a", [found("-", Hop.LAKE)], 1001.0)
    assert capture.asked == []
    assert checks(capture, heals=False).due(suspects("s.a"), capture.epoch, 1000.0) is None


def test_the_source_agrees_at_the_least_epoch_that_was_looked_at_or_not_at_all() -> None:
    assert agreed_at([], 7) == 7
    assert agreed_at([found("n=1", epoch=9), found("n=2", epoch=8)], 9) == 8
    assert agreed_at([found("n=1", Hop.LAKE, epoch=9)], 9) == 9
    assert agreed_at([found("n=1"), found("n=2", Hop.CAPTURE)], 9) is None
    assert agreed_at([found("n=1"), found("n=2", inconclusive=True)], 9) is None
