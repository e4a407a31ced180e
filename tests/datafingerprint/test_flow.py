"""Rules on the flow: which lag, age and standstill are troubles, and that one incident lives through flapping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.flow import LAKE, SNAPSHOT, FlowState, FlowTroubles, symptoms
from datafingerprint.incidents import EventKind, Incident, IncidentClass, Rules, decide

RULES = Rules(quiet_s=10, lag_s=60, stale_s=90, stalled_s=30)
MOMENTS = st.one_of(st.none(), st.floats(0, 1000))
STATES = st.builds(FlowState, MOMENTS, MOMENTS, st.dictionaries(st.sampled_from("ab"), st.integers(0, 99)), MOMENTS)


def classes(state: FlowState, now: float, *, is_open: bool = False, began_at: float = 0.0) -> list[str]:
    troubles = FlowTroubles(state, RULES, began_at, now).troubles([LAKE, SNAPSHOT] if is_open else [])
    return [trouble.incident_class.value for trouble in troubles.values()]


@pytest.mark.parametrize(
    ("state", "now", "expected"),
    [
        (FlowState(), 1e9, []),
        (FlowState(compared_at=0.0), 89.0, []),
        (FlowState(compared_at=0.0), 90.0, ["data_stale"]),
        (FlowState(compared_at=50.0, lacking_since=0.0), 59.0, []),
        (FlowState(compared_at=50.0, lacking_since=0.0), 60.0, ["lag_high"]),
        (FlowState(compared_at=0.0, lacking_since=0.0), 90.0, ["data_stale"]),
        (FlowState(snapshots={"a": 40}, progressed_at=0.0), 29.0, []),
        (FlowState(snapshots={"a": 40}, progressed_at=0.0), 30.0, ["snapshot_stalled"]),
        (FlowState(snapshots={}, progressed_at=0.0), 1e6, []),
        (FlowState(snapshots={"a": 40}, progressed_at=None), 1e6, []),
        (FlowState(0.0, 0.0, {"a": 1}, 0.0), 90.0, ["data_stale", "snapshot_stalled"]),
    ],
)
def test_what_lasts_as_long_as_its_limit_is_a_trouble(state: FlowState, now: float, expected: list[str]) -> None:
    assert classes(state, now) == expected


def test_a_limit_of_0_is_none() -> None:
    state = FlowState(0.0, 0.0, {"a": 1}, 0.0)
    assert list(symptoms(state, Rules(lag_s=0, stale_s=0, stalled_s=0))) == []


@given(STATES, st.floats(0, 2000), st.floats(0, 2000))
def test_a_new_notifier_waits_for_the_whole_limit_but_keeps_what_is_open(
    state: FlowState, now: float, began_at: float
) -> None:
    at_once = set(classes(state, now, is_open=True, began_at=began_at))
    assert set(classes(state, now, is_open=True)) == at_once
    if now - began_at < 30:
        assert classes(state, now, began_at=began_at) == []


@given(STATES, st.floats(0, 2000))
def test_the_token_differs_with_the_troubles(state: FlowState, now: float) -> None:
    before, after = (FlowTroubles(state, RULES, 0.0, moment) for moment in (now, now + 1))
    for opened in ((), (LAKE, SNAPSHOT)):
        old, new = before.troubles(opened), after.troubles(opened)
        if [(item, old[item].incident_class) for item in old] != [(item, new[item].incident_class) for item in new]:
            assert before.token != after.token


def test_a_reason_names_some_tables_and_counts_the_others() -> None:
    snapshots = {f"s.t{number}": number for number in range(8)}
    (symptom,) = symptoms(FlowState(snapshots=snapshots, progressed_at=0.0), RULES)
    assert symptom.reason == (
        "no snapshot has progressed since 1970-01-01T00:00:00Z: "
        "s.t0 at 0 %, s.t1 at 1 %, s.t2 at 2 %, s.t3 at 3 %, s.t4 at 4 % and 3 more"
    )


def test_lag_that_comes_and_goes_is_one_incident_that_closes_by_itself() -> None:
    incident: Incident | None = None
    kinds = []
    for now in range(200):
        # The lake lags in the seconds 60 to 100, with a pause of 5 s that is shorter than `quiet_s`.
        is_behind = now < 80 or 85 <= now < 100
        state = FlowState(compared_at=float(now), lacking_since=0.0 if is_behind else None)
        opened = [LAKE] if incident is not None and incident.is_open else []
        trouble = FlowTroubles(state, RULES, 0.0, float(now)).troubles(opened).get(LAKE)
        if incident is not None and not incident.is_open:
            assert trouble is None
            continue
        decision = decide(incident, trouble, RULES, float(now))
        incident = decision.incident
        kinds += [kind for kind in decision.events if kind is not EventKind.CHANGED]
    assert kinds == [EventKind.OPENED, EventKind.RETURNED, EventKind.CLOSED]
    assert incident is not None
    assert (incident.opened_at, incident.closed_at, incident.incident_class) == (60.0, 110.0, IncidentClass.LAG_HIGH)
