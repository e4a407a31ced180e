"""A service runs until a signal. An error that needs an operator ends it with status 2."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from datafingerprint.adapters.runtime.health_file import HealthFile
from datafingerprint.adapters.runtime.process import BACKOFF_S, Body, _run, run_service
from datafingerprint.config import Kafka, Settings, load_settings
from datafingerprint.errors import ConflictError, DecodeError, RunAgain, Unavailable
from datafingerprint.exit_statuses import ExitStatus
from datafingerprint.liveness import ServiceReport, ServiceState
from deploy.embedded.waiting import await_condition

LONG_S = 20.0


@pytest.fixture
def config(tmp_path: Path) -> Iterator[str]:
    """A settings file. Signal handlers and logging are restored afterwards."""
    file = tmp_path / "datafingerprint.toml"
    file.write_text('[source]\nhost = "nowhere"\n', encoding="utf-8")
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield str(file)
    for number, handler in kept.items():
        signal.signal(number, handler)
    structlog.reset_defaults()


class RecordedWaits(threading.Event):
    """An event that records its timeouts instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_set()


class KeptReports:
    """Keeps the published reports."""

    def __init__(self, _kafka: Kafka) -> None:
        self.published: list[ServiceReport] = []

    def publish(self, report: ServiceReport) -> None:
        self.published.append(report)

    def close(self) -> None:
        pass


def serve(name: str, body: Body, config: str) -> int:
    """Runs a service whose reports go to no broker."""
    return run_service(name, body, config, open_reports=KeptReports)


def failing(times: int, stop: threading.Event) -> Callable[..., None]:
    """A body that fails so many times, and then sets the stop event."""
    remaining = iter(range(times))

    def body(_settings: Settings, _log: object, _stop: threading.Event) -> None:
        if next(remaining, None) is not None:
            raise ConflictError("another writer was first")
        stop.set()

    return body


def test_a_run_that_ends_to_take_up_a_table_is_no_warning(capsys: pytest.CaptureFixture[str], config: str) -> None:
    errors = iter([RunAgain("table a.b came under watch"), Unavailable("the source is away")])

    def body(_settings: Settings, _log: object, stop: threading.Event) -> None:
        error = next(errors, None)
        if error is not None:
            raise error
        stop.set()

    assert run_service("cdc", body, config) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "event=started" not in line]
    assert 'level=info service=cdc event="starts again" why="table a.b came under watch"' in lines[0]
    assert "level=warning service=cdc event=unavailable" in lines[1]


def test_a_secret_that_everybody_may_read_gets_a_warning(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "datafingerprint.toml"
    file.write_text('[source]\npassword = "x"\n', encoding="utf-8")
    file.chmod(0o644)

    def body(_settings: Settings, _log: object, stop: threading.Event) -> None:
        stop.set()

    assert run_service("cdc", body, str(file)) == 0
    assert f'event="a secret can be read by everybody" file={file}' in capsys.readouterr().err


def test_an_old_name_of_a_setting_is_warned_of_with_the_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "named.toml"
    file.write_text("[cdc]\nspill_octets = 77\n", encoding="utf-8")
    sizes: list[int] = []

    def body(settings: Settings, _log: object, stop: threading.Event) -> None:
        sizes.append(settings.cdc.spill_bytes)
        stop.set()

    assert serve("cdc", body, str(file)) == 0
    assert sizes == [77]
    line = 'event="a setting has a new name" setting=cdc.spill_octets remedy="rename it to cdc.spill_bytes"'
    assert line in capsys.readouterr().err


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_with_status_0(config: str, signal_number: int) -> None:
    seen: list[bool] = []

    def body(settings: Settings, _log: object, stop: threading.Event) -> None:
        assert settings.source.host == "nowhere"
        os.kill(os.getpid(), signal_number)
        seen.append(stop.wait(LONG_S))

    assert serve("service", body, config) == 0
    assert seen == [True]


def test_a_service_that_is_done_ends_itself_with_status_0(config: str) -> None:
    runs: list[int] = []

    def body(_settings: Settings, _log: object, stop: threading.Event) -> None:
        runs.append(1)
        if len(runs) > 1:
            os.kill(os.getpid(), signal.SIGTERM)
        stop.set()

    assert serve("test", body, config) == 0
    assert runs == [1]


def test_a_stop_ends_it_with_one_line_and_status_2(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    def body(_settings: Settings, _log: object, _stop: threading.Event) -> None:
        raise DecodeError("cannot be read", where="binlog.7:4", remedy="do this")

    assert serve("service", body, config) == ExitStatus.REFUSED.value
    assert ExitStatus.REFUSED.value == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "stopped" in line]
    for text in ("service", "cannot be read", "binlog.7:4", "do this"):
        assert text in line
    assert "Traceback" not in line


def test_invalid_settings_end_a_service_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[source]\nhots = 1\n", encoding="utf-8")
    assert serve("service", lambda *_: None, str(file)) == ExitStatus.REFUSED
    assert "did you mean host?" in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, "= no toml ="])
def test_a_settings_file_that_cannot_be_read_ends_it_with_status_2(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    assert serve("service", lambda *_: None, str(file)) == ExitStatus.REFUSED
    assert str(file) in capsys.readouterr().err


def test_the_pauses_between_retries_get_longer() -> None:
    stop = RecordedWaits()
    times = len(BACKOFF_S) + 2
    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    assert _run(failing(times, stop), load_settings({}, {}), log, stop) == 0
    assert stop.waits == [*BACKOFF_S, BACKOFF_S[-1], BACKOFF_S[-1]]


def test_a_service_is_not_started_again_after_its_stop_event() -> None:
    stop = RecordedWaits()
    runs: list[int] = []

    def body(_settings: Settings, _log: object, _stop: threading.Event) -> None:
        runs.append(1)
        stop.set()
        raise Unavailable("the broker went with us")

    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    assert _run(body, load_settings({}, {}), log, stop) == 0
    assert len(runs) == 1


def test_a_working_service_touches_the_health_file_and_a_retrying_one_does_not(
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

    assert serve("service", body, config) == 0
    assert seen == [False, False, False, True]


def test_a_health_file_that_cannot_be_touched_disturbs_no_service(tmp_path: Path) -> None:
    health_file = HealthFile(str(tmp_path / "nowhere" / "alive"))
    assert not health_file.is_set()
    health_file.set()
    assert health_file.is_set()
    assert health_file.wait()


def test_a_service_publishes_its_retries_its_work_and_its_stop(config: str) -> None:
    kept: list[KeptReports] = []

    def keep(kafka: Kafka) -> KeptReports:
        kept.append(KeptReports(kafka))
        return kept[0]

    def states() -> list[ServiceState]:
        return [report.state for report in kept[0].published]

    runs: list[int] = []

    def body(_settings: Settings, _log: object, stop: threading.Event) -> None:
        runs.append(1)
        if len(runs) < 3:
            raise Unavailable("the bucket is away")
        assert await_condition(lambda: ServiceState.RETRYING in states(), timeout_s=LONG_S)
        assert not stop.is_set()
        assert await_condition(lambda: ServiceState.RUNNING in states(), timeout_s=LONG_S)
        raise DecodeError("cannot be read", where="binlog.7:4", remedy="do this")

    assert run_service("cdc", body, config, open_reports=keep) == ExitStatus.REFUSED
    retrying = [report for report in kept[0].published if report.state is ServiceState.RETRYING]
    assert len({report.since for report in retrying}) == 1
    assert {report.message for report in retrying} == {"the bucket is away"}
    last = kept[0].published[-1]
    assert (last.service, last.state, last.message, last.remedy) == (
        "cdc",
        ServiceState.STOPPED,
        "cannot be read at binlog.7:4",
        "do this",
    )
