from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from datafingerprint.changes import Changes
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import DataFingerprintError, DecodeError, TableError, Unavailable, WireError
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.schema import TableSchema
from deploy.embedded.waiting import await_condition
from services.cdc.publish_queue import PublishQueue

TAKEN_OVER = WireError("another capture has taken over")


@dataclass
class Log:
    """Publishes when it is let, and fails from an epoch on."""

    let: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    failure: DataFingerprintError | None = None
    fails_at: int = 0
    published: list[str] = field(default_factory=list)

    def open(self) -> Epoch | None:
        raise NotImplementedError

    def definitions(self) -> Mapping[int, TableSchema]:
        raise NotImplementedError

    def publish_ahead(self, number: int, parts: Sequence[Changes]) -> None:
        self.published.append(f"ahead of {number}")

    def make_ready(self, tables: Sequence[TableSchema]) -> Sequence[TableError]:
        raise NotImplementedError

    def publish(self, draft: EpochDraft) -> Epoch:
        self.begun.set()
        assert self.let.wait(10)
        if self.failure is not None and draft.number >= self.fails_at:
            raise self.failure
        self.published.append(f"epoch {draft.number}")
        return Epoch(draft.stream_id, draft.number, draft.position, draft.committed_at, {})


def draft(number: int) -> EpochDraft:
    return EpochDraft("s", number, SourcePosition("0-1-1", "log.000001", 4, 1), 0.0)


def failing(number: int, failure: DataFingerprintError = TAKEN_OVER) -> Log:
    log = Log(failure=failure, fails_at=number)
    log.let.set()
    return log


def publish_and_raise(log: Log, error: DataFingerprintError) -> None:
    with PublishQueue(log) as publishing:
        publishing.publish(draft(1))
        raise error


def is_well(publishing: PublishQueue) -> bool:
    publishing.raise_if_failed()
    return True


def test_the_next_epoch_is_built_while_one_is_in_flight() -> None:
    log = Log()
    with PublishQueue(log) as publishing:
        publishing.publish(draft(1))  # returns although the log has not answered
        assert log.begun.wait(10)
        assert log.published == []
        log.let.set()
        publishing.publish(draft(2))
        publishing.publish_ahead(3, [])
        publishing.publish(draft(3))
    assert log.published == ["epoch 1", "epoch 2", "ahead of 3", "epoch 3"]


def test_after_flush_all_is_published_and_every_callback_has_run() -> None:
    log = Log()
    published: list[int] = []
    with PublishQueue(log) as publishing:
        publishing.publish(draft(1), lambda epoch: published.append(epoch.number))
        threading.Timer(0.01, log.let.set).start()
        publishing.flush()
        assert log.published == ["epoch 1"]
        assert published == [1]


def test_nothing_is_published_behind_a_failure() -> None:
    log = failing(2)

    def publish() -> None:
        with PublishQueue(log) as publishing:
            publishing.publish(draft(1))
            publishing.publish(draft(2))
            for number in (3, 4):
                with pytest.raises(WireError, match="taken over"):
                    publishing.publish(draft(number))
            with pytest.raises(WireError, match="taken over"):
                publishing.publish_ahead(5, [])

    with pytest.raises(WireError, match="taken over"):
        publish()
    assert log.published == ["epoch 1"]


def test_a_failure_is_there_to_see_before_anything_else_is_handed_over() -> None:
    log = failing(1)
    log.let.clear()

    def publish() -> None:
        with PublishQueue(log) as publishing:
            publishing.raise_if_failed()
            publishing.publish(draft(1))
            publishing.raise_if_failed()  # does not wait for the log
            log.let.set()
            with pytest.raises(WireError, match="taken over"):
                await_condition(lambda: not is_well(publishing), timeout_s=10)

    with pytest.raises(WireError, match="taken over"):
        publish()


def test_an_error_in_flight_is_not_lost_with_the_context() -> None:
    with pytest.raises(WireError, match="taken over"), PublishQueue(failing(1)) as publishing:
        publishing.publish(draft(1))


def test_that_another_capture_took_over_weighs_more_than_a_source_that_is_away() -> None:
    """Who tries again would fence the other one off, and be fenced off by it, for ever."""
    with pytest.raises(WireError, match="taken over") as raised:
        publish_and_raise(failing(1), Unavailable("the source is away", where="host"))
    assert isinstance(raised.value.__cause__, Unavailable)


def test_a_reason_to_stop_is_not_hidden_by_a_broker_that_went_away() -> None:
    log = failing(1, Unavailable("the broker is away", where="kafka"))
    with pytest.raises(DecodeError, match="not understood"):
        publish_and_raise(log, DecodeError("an event is not understood", where="log:4"))
