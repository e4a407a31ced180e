"""A service runs until it is told to end; what it must not survive ends it with a status of its own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from datafingerprint.adapters.process import BACKOFF_S, EXIT_STOPPED, _run, run_service
from datafingerprint.adapters.pulse import Pulse
from datafingerprint.config import Settings, load_settings
from datafingerprint.errors import ConflictError, DecodeError, Unavailable

LONG_S = 20.0


@pytest.fixture
def config(tmp_path: Path) -> Iterator[str]:
    """A settings file; signal handlers and logging are put back afterwards."""
    file = tmp_path / "datafingerprint.toml"
    file.write_text('[source]\nhost = "nowhere"\n', encoding="utf-8")
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield str(file)
    for number, handler in kept.items():
        signal.signal(number, handler)
    structlog.reset_defaults()


class RecordedWaits(threading.Event):
    """An event that notes how long it was waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()


def failing(times: int, stop: threading.Event) -> Callable[..., None]:
    """A body that is away so many times, and then is told to end."""
    left = iter(range(times))

    def body(_settings: Settings, _log: object, _stop: threading.Event) -> None:
        if next(left, None) is not None:
            raise ConflictError("somebody else was first")
        stop.set()

    return body


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_with_status_0(config: str, signal_number: int) -> None:
    seen: list[bool] = []

    def body(settings: Settings, _log: object, stop: threading.Event) -> None:
        assert settings.source.host == "nowhere"
        os.kill(os.getpid(), signal_number)
        seen.append(stop.wait(LONG_S))

    assert run_service("service", body, config) == 0
    assert seen == [True]


def test_a_service_that_is_done_ends_itself_with_status_0(config: str) -> None:
    runs: list[int] = []

    def body(_settings: Settings, _log: object, stop: threading.Event) -> None:
        runs.append(1)
        if len(runs) > 1:
            os.kill(os.getpid(), signal.SIGTERM)
        stop.set()

    assert run_service("test", body, config) == 0
    assert runs == [1]


def test_a_stop_ends_it_with_one_line_and_status_2(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    def body(_settings: Settings, _log: object, _stop: threading.Event) -> None:
        raise DecodeError("cannot be read", where="binlog.7:4", remedy="do this")

    assert run_service("service", body, config) == EXIT_STOPPED == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "stopped" in line]
    for said in ("service", "cannot be read", "binlog.7:4", "do this"):
        assert said in line
    assert "Traceback" not in line


def test_settings_that_are_not_fit_end_it_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[source]\nhots = 1\n", encoding="utf-8")
    assert run_service("service", lambda *_: None, str(file)) == EXIT_STOPPED
    assert "did you mean host?" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "= no toml ="])
def test_a_settings_file_that_cannot_be_read_ends_it_with_status_2(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    assert run_service("service", lambda *_: None, str(file)) == EXIT_STOPPED
    assert str(file) in capsys.readouterr().err


def test_what_is_away_is_tried_again_after_longer_and_longer_pauses() -> None:
    stop = RecordedWaits()
    times = len(BACKOFF_S) + 2
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    assert _run(failing(times, stop), load_settings({}, {}), log, stop) == 0
    assert stop.waits == [*BACKOFF_S, BACKOFF_S[-1], BACKOFF_S[-1]]


def test_it_is_not_started_again_once_it_was_told_to_end() -> None:
    stop = RecordedWaits()
    runs: list[int] = []

    def body(_settings: Settings, _log: object, _stop: threading.Event) -> None:
        runs.append(1)
        stop.set()
        raise Unavailable("the broker went with us")

    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    assert _run(body, load_settings({}, {}), log, stop) == 0
    assert len(runs) == 1


def test_a_service_that_works_gives_signs_of_life_and_one_that_is_retrying_gives_none(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "alive"
    monkeypatch.setenv("DFP_HEALTH_FILE", str(file))
    seen: list[bool] = []

    def body(_settings: Settings, _log: object, stop: threading.Event) -> None:
        seen.append(file.exists())
        if len(seen) < 3:
            raise Unavailable("the broker is away")
        assert not stop.is_set()
        seen.append(file.exists())
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(LONG_S)

    assert run_service("service", body, config) == 0
    assert seen == [False, False, False, True]


def test_a_sign_of_life_that_cannot_be_given_keeps_nobody_from_working(tmp_path: Path) -> None:
    pulse = Pulse(str(tmp_path / "nowhere" / "alive"))
    assert not pulse.is_set()
    pulse.set()
    assert pulse.is_set()
    assert pulse.wait()
