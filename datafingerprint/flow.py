"""Troubles of the flow as a whole: lag, an old comparison, a snapshot without progress.

Pure rules. All times are Unix times in seconds, passed in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from datafingerprint.incidents import IncidentClass, Rules, Subject, SubjectKind, Trouble

LAKE = Subject(SubjectKind.FLOW, "lake")
SNAPSHOT = Subject(SubjectKind.FLOW, "snapshot")

TABLES_NAMED = 5
"""Most tables that a reason names."""


@dataclass(frozen=True, slots=True)
class FlowState:
    """How far the flow is at one moment, as the state store shows it.

    Attributes:
        compared_at: Commit time of the epoch at which the lake was compared last. None before the first.
        lacking_since: Commit time of the oldest stored change that the lake lacks. None when it lacks none.
        snapshots: Tables whose snapshot is not complete, with its percentage.
        progressed_at: When the progress of any of these snapshots was stored last. None when that is not known.
    """

    compared_at: float | None = None
    lacking_since: float | None = None
    snapshots: Mapping[str, int] = field(default_factory=dict)
    progressed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Symptom:
    """A state that is a trouble once it has lasted too long.

    Attributes:
        subject: What it is about.
        incident_class: What is wrong.
        reason: In words that change only when the flow moves.
        since: Its begin.
        limit_s: Seconds that it may last.
    """

    subject: Subject
    incident_class: IncidentClass
    reason: str
    since: float
    limit_s: float

    @property
    def trouble(self) -> Trouble:
        """The symptom as what incidents are made of."""
        return Trouble(self.subject, self.incident_class, self.reason, "", None, (), 0, self.since)


def symptoms(state: FlowState, rules: Rules) -> Iterator[Symptom]:
    """Everything that a limit of the rules is about, of each subject the worst first.

    A limit of 0 is none.
    """
    if state.compared_at is not None and rules.stale_s:
        reason = f"source and lake were compared last as of {_moment(state.compared_at)}"
        yield Symptom(LAKE, IncidentClass.DATA_STALE, reason, state.compared_at, rules.stale_s)
    if state.lacking_since is not None and rules.lag_s:
        reason = f"the lake lacks changes since {_moment(state.lacking_since)}"
        yield Symptom(LAKE, IncidentClass.LAG_HIGH, reason, state.lacking_since, rules.lag_s)
    if state.snapshots and state.progressed_at is not None and rules.stalled_s:
        reason = f"no snapshot has progressed since {_moment(state.progressed_at)}: {_tables(state.snapshots)}"
        yield Symptom(SNAPSHOT, IncidentClass.SNAPSHOT_STALLED, reason, state.progressed_at, rules.stalled_s)


class FlowTroubles:
    """The troubles of the flow at one moment.

    Args:
        state: How far the flow is.
        rules: The limits.
        began_at: When the notifier began. A flow that was shut down has the whole limit to catch up, unless an
            incident about it is open.
        now: The present.
    """

    def __init__(self, state: FlowState, rules: Rules, began_at: float, now: float) -> None:
        self._symptoms = tuple(symptoms(state, rules))
        self._began_at = began_at
        self._now = now

    def troubles(self, open_subjects: Collection[Subject]) -> dict[Subject, Trouble]:
        """The worst trouble of each subject, given the subjects with an open incident."""
        worst: dict[Subject, Trouble] = {}
        for symptom in self._symptoms:
            since = symptom.since if symptom.subject in open_subjects else max(symptom.since, self._began_at)
            if symptom.subject not in worst and self._now - since >= symptom.limit_s:
                worst[symptom.subject] = symptom.trouble
        return worst

    @property
    def token(self) -> object:
        """Differs after every change of the troubles."""
        return tuple(
            (trouble.subject, trouble.incident_class)
            for opened in ((), (LAKE, SNAPSHOT))
            for trouble in self.troubles(opened).values()
        )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def _tables(snapshots: Mapping[str, int]) -> str:
    named = [f"{table} at {percent} %" for table, percent in sorted(snapshots.items())[:TABLES_NAMED]]
    more = len(snapshots) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
