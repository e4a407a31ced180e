"""What the notifier knows of services, and the decisions on everything that it observes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from datafingerprint.flow import FlowTroubles
from datafingerprint.incidents import (
    Decision,
    Incident,
    Rules,
    Subject,
    SubjectKind,
    Trouble,
    decide,
    next_due,
    service_trouble,
)
from datafingerprint.liveness import CHAIN, Services, ServiceState
from datafingerprint.ports.incidents import Observed

OPTIONAL = ("auditor", "api")
"""Services that an operator may leave out. Their silence is an incident unless they ended in order."""


@dataclass(frozen=True, slots=True)
class ServiceTroubles:
    """Services without a process that works.

    Attributes:
        troubles: By subject.
        is_known: Whether reports come in. Unknown is neither trouble nor soundness.
    """

    troubles: Mapping[Subject, Trouble]
    is_known: bool

    @property
    def token(self) -> object:
        """Differs after every change."""
        return self.is_known, tuple((trouble.subject, trouble.since) for trouble in self.troubles.values())


def service_troubles(services: Services, since: float, now: float) -> ServiceTroubles:
    """The troubles of all services that should work.

    Args:
        services: The reports.
        since: When the notifier began. What ended before may just be starting again.
        now: Unix time in seconds.
    """
    troubles = {}
    for seen in services.troubles(now, (*CHAIN, *OPTIONAL)):
        report = seen.report
        if report.service in OPTIONAL and report.state is ServiceState.ENDED:
            continue
        reason = f"{report.state.value}: {report.message}" if report.message else report.state.value
        reason += f" ({report.remedy})" if report.remedy else ""
        trouble = service_trouble(report.service, reason, max(report.since, since))
        troubles[trouble.subject] = trouble
    return ServiceTroubles(troubles, services.away is None and bool(services.items))


def decisions(
    observed: Observed, services: ServiceTroubles, flow: FlowTroubles, rules: Rules, now: float
) -> Iterator[tuple[Subject, Decision]]:
    """What becomes of every subject that is, or was, in trouble."""
    troubles = {**observed.troubles, **services.troubles, **flow.troubles(observed.open)}
    for subject in {**observed.open, **troubles}:
        if subject.kind is SubjectKind.SERVICE and not services.is_known:
            continue
        yield subject, decide(observed.open.get(subject), troubles.get(subject), rules, now)


def wake_at(observed: Observed, services: ServiceTroubles, rules: Rules, now: float) -> float:
    """Unix time in seconds at which time alone changes a decision."""
    due = [next_due(incident, rules, now) for incident in observed.open.values() if _is_decided(incident, services)]
    known = [*observed.troubles.values(), *(services.troubles.values() if services.is_known else ())]
    new = [trouble for trouble in known if trouble.subject not in observed.open]
    due += [trouble.since + rules.patience_s(trouble.incident_class) for trouble in new]
    return min(due, default=float("inf"))


def _is_decided(incident: Incident, services: ServiceTroubles) -> bool:
    return services.is_known or incident.subject.kind is not SubjectKind.SERVICE
