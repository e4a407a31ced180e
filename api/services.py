"""Builds the answers about services from the reports that they publish."""

from __future__ import annotations

from api.answers import moment
from api.models import ServiceAnswer, ServicesAnswer
from datafingerprint.liveness import CHAIN, SeenService, Services, ServiceState

KAFKA_OK = "ok"

_NEVER_HEARD = "it has not reported under this Kafka prefix within a month"


def services_answer(services: Services) -> ServicesAnswer:
    """Every service with a report, and every required service without one."""
    return ServicesAnswer(kafka=services.away or KAFKA_OK, items=service_answers(services))


def service_answers(services: Services) -> list[ServiceAnswer]:
    """The services as a list, in the order of the flow. Empty where no reports are read."""
    if not services.items and services.away is None:
        return []
    missing = [name for name in CHAIN if not services.of(name)]
    answers = [
        *(_answer(service, services.away) for service in services.items),
        *(_missing(name, services.away) for name in missing),
    ]
    order = {name: number for number, name in enumerate(CHAIN)}
    return sorted(answers, key=lambda answer: (order.get(answer.service, len(CHAIN)), answer.service))


def standstill(services: Services, now: float) -> str | None:
    """The reported cause of missing verdicts. None while services work or nothing is known."""
    troubles = services.troubles(now, CHAIN)
    return "; ".join(trouble_line(service) for service in troubles) or None


def trouble_line(service: SeenService) -> str:
    """A sentence about a service that does not work."""
    report = service.report
    line = f"{report.service} {report.state.value} since {moment(report.since):%Y-%m-%d %H:%M:%S} UTC"
    line += f": {report.message}" if report.message else ""
    return line + (f" ({report.remedy})" if report.remedy else "")


def _answer(seen: SeenService, away: str | None) -> ServiceAnswer:
    report = seen.report
    is_unknown = away is not None and seen.is_live
    return ServiceAnswer(
        service=report.service,
        state=(ServiceState.UNKNOWN if is_unknown else report.state).value,
        since=moment(seen.heard_at if is_unknown else report.since),
        message=(away if is_unknown else report.message) or None,
        remedy=report.remedy or None,
        host=report.host,
        pid=report.pid,
        version=report.version or None,
        started_at=moment(report.started_at),
        heard_at=moment(seen.heard_at),
    )


def _missing(name: str, away: str | None) -> ServiceAnswer:
    return ServiceAnswer(
        service=name,
        state=ServiceState.UNKNOWN.value,
        since=None,
        message=away or _NEVER_HEARD,
        remedy=None,
        host=None,
        pid=None,
        version=None,
        started_at=None,
        heard_at=None,
    )
