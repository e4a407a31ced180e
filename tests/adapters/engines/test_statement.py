"""A statement ends at the engine as soon as no caller waits for its rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from datafingerprint.adapters.engines import statement as scan_statement
from datafingerprint.adapters.engines.statement import run_cancellable
from datafingerprint.errors import ConfigError, Unavailable
from datafingerprint.scans import Cancelled

WITHIN_S = 30.0


@pytest.fixture(autouse=True)
def _checks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_statement, "CHECK_S", 0.01)


@dataclass
class Statement:
    """A statement that runs until it has been cancelled `cancels` times."""

    cancels: int = 1
    refusal: Exception | None = None
    cancelled: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def work(self) -> list[Sequence[Any]]:
        assert self.over.wait(WITHIN_S)
        raise RuntimeError("the statement was cancelled")

    def cancel(self) -> None:
        self.cancelled += 1
        if self.cancelled >= self.cancels:
            self.over.set()
        if self.refusal:
            raise self.refusal

    def run(
        self, stop: threading.Event, progress: Callable[[str], None] = lambda _: None, timeout_s: float = 60
    ) -> None:
        run_cancellable(
            self.work,
            stop=stop,
            cancel=self.cancel,
            read_progress=lambda: "1 %",
            progress=progress,
            timeout_s=timeout_s,
            translate=lambda _: None,
        )


def test_a_statement_whose_progress_cannot_be_stored_is_cancelled_before_the_error_is_raised() -> None:
    def away(_text: str) -> None:
        raise Unavailable("the state store is away")

    statement = Statement()
    with pytest.raises(Unavailable, match="the state store is away"):
        statement.run(threading.Event(), away)
    assert statement.over.is_set()


def test_a_statement_that_the_engine_had_not_received_is_cancelled_again() -> None:
    statement, stop = Statement(cancels=3), threading.Event()
    stop.set()
    with pytest.raises(Cancelled, match=r"^$"):
        statement.run(stop)
    assert statement.cancelled == 3


def test_an_engine_that_may_work_on_is_named() -> None:
    statement, stop = Statement(refusal=OSError("no route to host")), threading.Event()
    with pytest.raises(Cancelled, match=r"^the engine may work on \(no route to host\)$"):
        statement.run(stop, lambda _: stop.set())


def test_a_statement_that_takes_too_long_is_cancelled() -> None:
    statement = Statement()
    with pytest.raises(ConfigError, match=r"^the engine was not done after 0\.05 s: raise its timeout_s$"):
        statement.run(threading.Event(), timeout_s=0.05)
    assert statement.over.is_set()


def test_a_statement_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_statement, "CANCEL_WITHIN_S", 0.05)
    statement, stop = Statement(cancels=10_000), threading.Event()
    stop.set()
    with pytest.raises(Cancelled, match=r"^the engine may work on$"):
        statement.run(stop)
    statement.over.set()
