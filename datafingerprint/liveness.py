"""Service reports, and the state of all services that follows from them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

HEARTBEAT_S = 2.0
"""Seconds between two reports of a running service."""

SILENT_S = 8.0
"""Seconds without a report after which a service counts as silent: killed, cut off, or frozen."""

RETRY_S = 5.0
"""Seconds of retrying after which a service counts as in trouble; most retries are shorter."""

KEEP_S = 86_400.0
"""Seconds for which a dead instance is shown while another instance of its service works."""

RESTART_S = 5.0
"""Seconds that a new instance may seem to start before its predecessor's last report: clocks differ."""

MESSAGE_LENGTH_MAX = 500

CHAIN = ("cdc", "lake_writer", "fingerprinter")
"""The services that every new verdict needs, in the order of the flow."""


def topic(prefix: str) -> str:
    """The compacted topic of the reports; nothing else depends on it."""
    return f"{prefix}.services"


class ServiceState(enum.StrEnum):
    """The state of a service. All but the last two are reported by the service itself."""

    STARTING = "starting"
    RUNNING = "running"
    RETRYING = "retrying"
    STOPPED = "stopped"
    ENDED = "ended"
    SILENT = "silent"
    UNKNOWN = "unknown"


_LIVE = (ServiceState.STARTING, ServiceState.RUNNING, ServiceState.RETRYING)
_GONE = (ServiceState.SILENT, ServiceState.STOPPED, ServiceState.ENDED)


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """The published state of one process.

    Attributes:
        service: Its name, such as `lake_writer`.
        instance: The unique name of the process.
        host: Its machine.
        pid: Its process id there.
        version: Of the program.
        state: Its state.
        started_at: Unix time in seconds of the start of the process.
        since: Unix time in seconds since which it has been in this state.
        reported_at: Unix time in seconds of this report.
        message: Its present work, or the reason of its state.
        remedy: How to recover; empty if nothing is needed.
    """

    service: str
    instance: str
    host: str
    pid: int
    version: str
    state: ServiceState
    started_at: float
    since: float
    reported_at: float
    message: str = ""
    remedy: str = ""

    def to_json(self) -> dict[str, object]:
        """The record's value."""
        return {
            "service": self.service,
            "instance": self.instance,
            "host": self.host,
            "pid": self.pid,
            "version": self.version,
            "state": self.state.value,
            "started_at": self.started_at,
            "since": self.since,
            "reported_at": self.reported_at,
            "message": self.message[:MESSAGE_LENGTH_MAX],
            "remedy": self.remedy[:MESSAGE_LENGTH_MAX],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ServiceReport:
        """Reads a record. A state of a later version becomes `unknown`.

        Raises:
            KeyError, TypeError, ValueError: it is not a report.
        """
        known = {state.value for state in ServiceState}
        return cls(
            service=str(value["service"]),
            instance=str(value["instance"]),
            host=str(value["host"]),
            pid=int(value["pid"]),
            version=str(value.get("version", "")),
            state=ServiceState(value["state"]) if value["state"] in known else ServiceState.UNKNOWN,
            started_at=float(value["started_at"]),
            since=float(value["since"]),
            reported_at=float(value["reported_at"]),
            message=str(value.get("message", "")),
            remedy=str(value.get("remedy", "")),
        )


@dataclass(frozen=True, slots=True)
class SeenService:
    """A report, and when the reader received it by its own clock.

    Attributes:
        report: The last report of the instance. Its state is `silent` after `SILENT_S` without a report.
        heard_at: Unix time in seconds.
    """

    report: ServiceReport
    heard_at: float

    @property
    def is_live(self) -> bool:
        """Whether its process is alive."""
        return self.report.state in _LIVE

    def is_working(self, now: float) -> bool:
        """Whether it works, or has been retrying for less than `RETRY_S`."""
        state = self.report.state
        if state is ServiceState.RETRYING:
            return now - self.report.since < RETRY_S
        return state in _LIVE


@dataclass(frozen=True, slots=True)
class Services:
    """All services at one moment.

    Attributes:
        items: Sorted by name, the youngest first.
        away: Why the states are unknown; None while reports arrive.
    """

    items: tuple[SeenService, ...] = ()
    away: str | None = None

    def of(self, service: str) -> list[SeenService]:
        """The instances of one service."""
        return [item for item in self.items if item.report.service == service]

    def is_up(self, service: str, now: float) -> bool | None:
        """Whether an instance of the service works; None if unknown."""
        instances = self.of(service)
        if self.away is not None or not instances:
            return None
        return any(instance.is_working(now) for instance in instances)

    def troubles(self, now: float, among: Iterable[str]) -> list[SeenService]:
        """The youngest instance of each of these services that has no working instance."""
        return [self.of(name)[0] for name in among if self.is_up(name, now) is False]


class Roster:
    """The last report of every instance. Reports and times are passed in.

    Silence is measured by the reader's own clock. Only reports from before the reader started are dated by the
    publisher's clock.
    """

    def __init__(self) -> None:
        self._heard: dict[str, SeenService] = {}

    def hear(self, report: ServiceReport, at: float) -> None:
        """Records a report that was received at a Unix time in seconds."""
        self._heard[report.instance] = SeenService(report, at)

    def services(self, now: float, since: float = 0.0) -> tuple[SeenService, ...]:
        """The present services, and those that are missing.

        A dead instance is left out as soon as another instance of its service has started after it.

        Args:
            now: Unix time in seconds.
            since: When a lost connection came back; no report could be received before.
        """
        seen = [_with_silence(service, now, since) for service in self._heard.values()]
        kept = [service for service in seen if not any(_replaces(other, service, now) for other in seen)]
        self._heard = {service.report.instance: self._heard[service.report.instance] for service in kept}
        return tuple(sorted(kept, key=lambda item: (item.report.service, not item.is_live, -item.report.started_at)))


def _with_silence(service: SeenService, now: float, since: float) -> SeenService:
    """The service, as silent if its last report is too old."""
    report = service.report
    if not service.is_live or now - max(service.heard_at, since) <= SILENT_S:
        return service
    last = f"last heard while {report.state.value}"
    message = f"{last}: {report.message}" if report.message else last
    silent = replace(report, state=ServiceState.SILENT, since=service.heard_at, message=message, remedy="")
    return replace(service, report=silent)


def _replaces(other: SeenService, dead: SeenService, now: float) -> bool:
    """Whether another instance replaces a dead one, which is then not shown."""
    is_same = other.report.service == dead.report.service and other.report.instance != dead.report.instance
    if not is_same or dead.report.state not in _GONE or other.report.started_at <= dead.report.started_at:
        return False
    if dead.report.state is ServiceState.ENDED or now - dead.heard_at > KEEP_S:
        return True
    return other.report.started_at >= dead.report.reported_at - RESTART_S
