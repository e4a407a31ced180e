"""What the command makes of the epochs that follow its request."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

import pytest

from commands.resync.resync import ResyncStep, read_again
from datafingerprint.epochs import READ_AGAIN, Epoch, SnapshotCursor, SourcePosition
from datafingerprint.errors import SourceError, Unavailable
from datafingerprint.resync import RequestStatus, ResyncRequest

OFFSET = 7
REQUEST = ResyncRequest("s.t", "league_id=2", 1.0)
COMPLETE = SnapshotCursor(5, 5, complete=True)


class Records:
    """Epochs that come one at a time."""

    def __init__(self, epochs: Iterable[Epoch]) -> None:
        self._epochs = list(epochs)

    def last(self) -> None:
        """Nothing was published before."""

    def following(self, _timeout_s: float) -> list[Epoch]:
        return [self._epochs.pop(0)] if self._epochs else []


def epoch(number: int, answers: RequestStatus, cursor: SnapshotCursor) -> Epoch:
    return Epoch("s", number, SourcePosition("0-1-1", "f", 4), 0.0, snapshots={"s.t": cursor}, answers=answers)


def seen(*epochs: Epoch, stop: threading.Event | None = None) -> list[ResyncStep]:
    return list(read_again(Records(epochs), lambda _: OFFSET, REQUEST, stop or threading.Event(), 1.0))


def test_a_table_that_was_complete_before_the_request_was_taken_up_says_nothing() -> None:
    steps = seen(
        epoch(1, RequestStatus(OFFSET), COMPLETE),
        epoch(2, RequestStatus(OFFSET + 1), SnapshotCursor(0, 0, complete=False)),
        epoch(3, RequestStatus(OFFSET + 1), SnapshotCursor(2, 4, complete=False)),
        epoch(4, RequestStatus(OFFSET + 1), SnapshotCursor(5, 4, complete=True)),
        epoch(5, RequestStatus(OFFSET + 1), SnapshotCursor(5, 4, complete=True)),
    )
    assert [(step.epoch, step.rows, step.percent, step.complete) for step in steps] == [
        (2, 0, 0, False), (3, 2, 50, False), (4, 5, 100, True),
    ]  # fmt: skip


def test_a_refusal_of_this_request_is_told_and_that_of_another_is_not() -> None:
    other = epoch(1, RequestStatus(OFFSET, {OFFSET - 1: "another's"}), COMPLETE)
    with pytest.raises(SourceError, match="capture refused: no such table"):
        seen(other, epoch(2, RequestStatus(OFFSET + 1, {OFFSET: "no such table"}), COMPLETE))


def test_a_table_that_is_dropped_meanwhile_is_not_waited_for() -> None:
    begun = epoch(1, RequestStatus(OFFSET + 1), SnapshotCursor(0, 0, complete=False))
    with pytest.raises(SourceError, match=r"s\.t left the stream"):
        seen(begun, replace(begun, number=2, snapshots={}))


def test_without_epochs_it_says_that_capture_may_not_run() -> None:
    with pytest.raises(Unavailable, match="is capture running"):
        seen()


def test_it_ends_when_told_to() -> None:
    stop = threading.Event()
    stop.set()
    assert seen(epoch(1, RequestStatus(OFFSET + 1), COMPLETE), stop=stop) == []


def test_answers_come_back_from_an_epochs_record_and_old_records_have_none() -> None:
    made = epoch(3, RequestStatus(9, {8: "why"}), COMPLETE)
    assert Epoch.from_json(made.to_json()) == made
    old = made.to_json()
    del old["answers"]
    assert Epoch.from_json(old).answers == RequestStatus()


def test_a_table_that_is_set_aside_ends_the_wait_with_the_reason_but_not_while_it_is_tried() -> None:
    cursor = SnapshotCursor(0, 0, complete=False)
    tried = replace(epoch(1, RequestStatus(OFFSET + 1), cursor), set_aside={"s.t": f"why{READ_AGAIN}"})
    with pytest.raises(SourceError, match="is set aside: why"):
        seen(tried, replace(tried, number=2, set_aside={"s.t": "why"}))


def test_a_table_that_awaits_its_first_snapshot_has_not_left_the_stream() -> None:
    started = epoch(1, RequestStatus(OFFSET + 1), COMPLETE)
    awaiting = replace(started, snapshots={}, awaiting_snapshot=("s.t",))
    assert [step.complete for step in seen(awaiting, replace(started, number=2))] == [True]
