"""Which services work is told from their reports alone, by the reader's own clock."""

from __future__ import annotations

import dataclasses

import pytest

from datafingerprint.liveness import (
    CHAIN,
    KEEP_S,
    MESSAGE_LENGTH_MAX,
    RETRY_S,
    SILENT_S,
    Roster,
    ServiceReport,
    Services,
    ServiceState,
)

NOW = 1_000.0


def report(instance: str = "a", service: str = "cdc", **more: object) -> ServiceReport:
    values: dict[str, object] = {
        "service": service,
        "instance": instance,
        "host": "here",
        "pid": 7,
        "version": "1",
        "state": ServiceState.RUNNING,
        "started_at": NOW - 100,
        "since": NOW - 90,
        "reported_at": NOW,
        "message": "epoch published",
    }
    return ServiceReport(**{**values, **more})  # type: ignore[arg-type]


def seen(now: float, *reports: ServiceReport, since: float = 0.0) -> Services:
    roster = Roster()
    for item in reports:
        roster.hear(item, item.reported_at)
    return Services(roster.services(now, since))


def states(services: Services) -> dict[str, str]:
    return {item.report.instance: item.report.state.value for item in services.items}


def test_a_report_survives_its_record() -> None:
    item = report(remedy="do this")
    assert ServiceReport.from_json(item.to_json()) == item


def test_a_report_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    value = {**report().to_json(), "state": "dancing", "tempo": 120}
    assert ServiceReport.from_json(value).state is ServiceState.UNKNOWN


def test_a_report_that_lacks_a_field_is_none() -> None:
    with pytest.raises(KeyError):
        ServiceReport.from_json({"service": "cdc"})


def test_a_message_of_any_length_makes_a_short_record() -> None:
    assert len(str(report(message="x" * 10**6).to_json())) < 2 * MESSAGE_LENGTH_MAX


@pytest.mark.parametrize("state", [ServiceState.STARTING, ServiceState.RUNNING, ServiceState.RETRYING])
def test_who_says_nothing_any_more_is_silent_since_it_was_last_heard(state: ServiceState) -> None:
    item = report(state=state)
    assert states(seen(NOW + SILENT_S, item)) == {"a": state.value}
    (result,) = seen(NOW + SILENT_S + 0.1, item).items
    assert (result.report.state, result.report.since) == (ServiceState.SILENT, NOW)
    assert result.report.message == f"last heard while {state.value}: epoch published"


@pytest.mark.parametrize("state", [ServiceState.STOPPED, ServiceState.ENDED])
def test_who_has_said_that_it_is_over_is_not_silent(state: ServiceState) -> None:
    assert states(seen(NOW + 10 * KEEP_S, report(state=state))) == {"a": state.value}


def test_nobody_is_silent_for_the_time_that_nobody_could_be_heard() -> None:
    later = NOW + 60
    assert states(seen(later, report(), since=later - SILENT_S)) == {"a": "running"}
    assert states(seen(later, report(), since=later - SILENT_S - 1)) == {"a": "silent"}


@pytest.mark.parametrize("state", [ServiceState.RUNNING, ServiceState.STOPPED])
def test_the_process_that_was_started_after_one_that_is_gone_takes_its_place(state: ServiceState) -> None:
    later = NOW + 20
    successor = report("b", started_at=NOW + 1, reported_at=later, state=ServiceState.STARTING)
    assert states(seen(later, report(state=state), successor)) == {"b": "starting"}


def test_of_two_that_ran_side_by_side_the_one_that_is_gone_is_shown() -> None:
    later = NOW + 20
    other = report("b", started_at=NOW - 50, reported_at=later)
    services = seen(later, report(), other)
    assert states(services) == {"b": "running", "a": "silent"}
    assert services.is_up("cdc", later)
    assert services.troubles(later, CHAIN) == []
    assert states(seen(NOW + KEEP_S + 1, report(), dataclasses.replace(other, reported_at=NOW + KEEP_S))) == {
        "b": "running"
    }


def test_one_that_was_ended_is_not_shown_beside_one_that_works() -> None:
    later = NOW + 20
    assert states(
        seen(later, report(state=ServiceState.ENDED), report("b", started_at=NOW - 50, reported_at=later))
    ) == {"b": "running"}


def test_a_service_that_retries_for_a_moment_works() -> None:
    item = report(state=ServiceState.RETRYING, since=NOW)
    assert seen(NOW + RETRY_S - 1, item).is_up("cdc", NOW + RETRY_S - 1)
    later = NOW + RETRY_S
    assert seen(later, dataclasses.replace(item, reported_at=later)).is_up("cdc", later) is False


def test_what_troubles_is_said_of_the_services_that_are_asked_for() -> None:
    services = seen(NOW, report(state=ServiceState.ENDED), report("g", "generator", state=ServiceState.ENDED))
    assert [trouble.report.service for trouble in services.troubles(NOW, CHAIN)] == ["cdc"]


def test_of_a_service_that_was_never_heard_or_cannot_be_heard_nothing_is_known() -> None:
    services = seen(NOW, report(state=ServiceState.STOPPED))
    assert services.is_up("lake_writer", NOW) is None
    assert services.is_up("cdc", NOW) is False
    assert dataclasses.replace(services, away="the broker is away").is_up("cdc", NOW) is None
