"""A process publishes changes of state and heartbeats, and never waits for a lost broker."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import structlog
from structlog.testing import CapturingLogger

from datafingerprint.adapters.runtime.service_reporter import TURN_S, ServiceReporter
from datafingerprint.errors import LakeError, Unavailable
from datafingerprint.liveness import HEARTBEAT_S, ServiceReport, ServiceState
from deploy.embedded.waiting import await_condition


class KeptReports:
    """Keeps the published reports, or fails as a broker would."""

    def __init__(self) -> None:
        self.published: list[ServiceReport] = []
        self.failure: Unavailable | None = None
        self.attempts = 0
        self.is_closed = False

    def publish(self, report: ServiceReport) -> None:
        self.attempts += 1
        if self.failure is not None:
            raise self.failure
        self.published.append(report)

    def close(self) -> None:
        self.is_closed = True

    def awaits(self, holds: Callable[[ServiceReport], bool]) -> ServiceReport:
        """The first report for which `holds` is true."""
        await_condition(lambda: any(map(holds, self.published)), timeout_s=20, pause_s=0.01)
        return next(filter(holds, self.published))


@pytest.fixture
def reports() -> KeptReports:
    return KeptReports()


@pytest.fixture
def lines() -> CapturingLogger:
    return CapturingLogger()


@pytest.fixture
def log(lines: CapturingLogger) -> structlog.stdlib.BoundLogger:
    bound: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        lines, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return bound


def is_state(state: ServiceState) -> Callable[[ServiceReport], bool]:
    return lambda report: report.state is state


def test_a_life_is_published_from_its_start_to_its_end(reports: KeptReports, log: structlog.stdlib.BoundLogger) -> None:
    reporter = ServiceReporter("cdc", reports)
    with reporter.reporting(log):
        first = reports.awaits(is_state(ServiceState.STARTING))
        reporter.doing("epoch published epoch=3")
        reporter.beat()
        assert reports.awaits(is_state(ServiceState.RUNNING)).message == "epoch published epoch=3"
        failed_at = time.time() - 60
        reporter.retrying(failed_at, Unavailable("the bucket is away", where="s3"))
        retrying = reports.awaits(is_state(ServiceState.RETRYING))
        assert (retrying.since, retrying.message) == (failed_at, "the bucket is away at s3")
        reporter.beat()
    assert reports.published[-1].state is ServiceState.ENDED
    assert reports.is_closed
    assert {report.instance for report in reports.published} == {first.instance}
    assert [report.reported_at for report in reports.published] == sorted(
        report.reported_at for report in reports.published
    )


def test_a_stop_is_published_with_its_last_line_and_remedy(
    reports: KeptReports, log: structlog.stdlib.BoundLogger
) -> None:
    reporter = ServiceReporter("lake_writer", reports)
    with pytest.raises(LakeError), reporter.reporting(log):
        raise LakeError("it is another lake", where="s3://lake", remedy="name another one")
    last = reports.published[-1]
    assert (last.state, last.message, last.remedy) == (
        ServiceState.STOPPED,
        "it is another lake at s3://lake",
        "name another one",
    )


def test_an_unexpected_error_is_published_without_its_message(
    reports: KeptReports, log: structlog.stdlib.BoundLogger
) -> None:
    with pytest.raises(RuntimeError), ServiceReporter("api", reports).reporting(log):
        raise RuntimeError("a row's value")
    assert reports.published[-1].state is ServiceState.STOPPED
    assert "a row's value" not in str(reports.published[-1])


def test_a_heartbeat_comes_without_any_change(reports: KeptReports, log: structlog.stdlib.BoundLogger) -> None:
    with ServiceReporter("cdc", reports).reporting(log):
        await_condition(lambda: len(reports.published) > 1, timeout_s=20, pause_s=0.01)
        first, second = reports.published[:2]
    assert first.state is second.state is ServiceState.STARTING
    assert second.reported_at - first.reported_at >= HEARTBEAT_S * 0.9


def test_a_loop_that_does_not_turn_is_reported(reports: KeptReports) -> None:
    now = [1_000.0]
    reporter = ServiceReporter("cdc", reports, lambda: now[0])
    reporter.doing("epoch published")
    reporter.beat()
    now[0] += TURN_S
    assert reporter.report().message == "epoch published"
    now[0] += 5
    assert reporter.report().message == "no turn of its loop for 65 s: epoch published"
    reporter.beat()
    assert reporter.report().message == "epoch published"


def test_a_lost_broker_and_its_return_are_logged_once_each_and_the_state_then_published(
    reports: KeptReports, log: structlog.stdlib.BoundLogger, lines: CapturingLogger
) -> None:
    reporter = ServiceReporter("cdc", reports)
    reports.failure = Unavailable("the broker is away", where="broker:9092")
    with reporter.reporting(log):
        assert await_condition(lambda: reports.attempts > 1, timeout_s=20, pause_s=0.01)
        reporter.beat()
        reports.failure = None
        reports.awaits(is_state(ServiceState.RUNNING))
        assert await_condition(lambda: len(lines.calls) > 1, timeout_s=20, pause_s=0.01)
    assert [(call.method_name, call.kwargs["event"]) for call in lines.calls] == [
        ("warning", "broker away"),
        ("info", "broker back"),
    ]
    assert "broker:9092" in lines.calls[0].kwargs["what"]


def test_a_process_whose_broker_is_away_ends_at_once(
    reports: KeptReports, log: structlog.stdlib.BoundLogger, lines: CapturingLogger
) -> None:
    reports.failure = Unavailable("the broker is away")
    with ServiceReporter("cdc", reports).reporting(log):
        assert await_condition(lambda: bool(lines.calls), timeout_s=20, pause_s=0.01)
        began = time.monotonic()
    assert time.monotonic() - began < HEARTBEAT_S / 2
