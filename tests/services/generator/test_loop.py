"""The generator reports when the warehouse is away, since when, and when it is back."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import structlog

from datafingerprint.errors import DataFingerprintError, Unavailable
from services.generator.loop import Loop, Orders

LOG = structlog.wrap_logger(structlog.ReturnLogger())
FAILURES = 3


class Away:
    """A warehouse that is never reached."""

    def connect(self) -> None:
        raise Unavailable("the warehouse is away", where="here:3306")


def test_a_warehouse_that_is_away_is_told_with_the_first_failure_and_one_that_is_there_too() -> None:
    away: list[tuple[float, str]] = []
    well: list[bool] = []
    stopping = threading.Event()

    def note(since: float, error: DataFingerprintError) -> None:
        away.append((since, str(error)))
        if len(away) == FAILURES:
            stopping.set()

    loop = Loop(
        cast("Any", Away()),
        Orders(games=1, rate=0, seed=1),
        stopping,
        cast("Any", LOG),
        on_away=note,
        on_well=lambda: well.append(True),
    )
    loop._until_done(lambda: None)
    assert (away, well) == ([], [True])
    began = time.time()
    loop.prepare()
    assert [text for _, text in away] == ["the warehouse is away at here:3306"] * FAILURES
    (since,) = {since for since, _ in away}
    assert began <= since < time.time()
    assert well == [True]
