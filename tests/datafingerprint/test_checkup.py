"""What a retention is worth depends on how far its reader is behind; the worst finding decides."""

from __future__ import annotations

import pytest

from datafingerprint.checkup import CheckResult, Component, Severity, duration, worst
from datafingerprint.errors import SourceError

WEEK_S = 604_800.0
PART = Component("broker")


@pytest.mark.parametrize(
    ("lag_s", "severity", "said"),
    [
        (None, Severity.OK, "no reader has started yet"),
        (60.0, Severity.OK, "the reader is 1 min behind"),
        (0.6 * WEEK_S, Severity.WARNING, "the reader is 4.2 d behind"),
        (1.1 * WEEK_S, Severity.PROBLEM, "the reader is 7.7 d behind"),
    ],
)
def test_a_reader_that_falls_behind_what_is_kept_is_told_of_before_it_loses_anything(
    lag_s: float | None, severity: Severity, said: str
) -> None:
    result = PART.kept("retention", "messages", WEEK_S, lag_s, "keep them longer")
    assert result.severity is severity
    assert result.text.startswith("messages are kept for 7 d")
    assert said in result.text
    assert result.remedy == ("" if severity is Severity.OK else "keep them longer")


def test_what_is_kept_for_ever_outlives_every_lag() -> None:
    assert PART.kept("retention", "messages", None, 10 * WEEK_S, "").severity is Severity.OK


def test_an_error_ends_a_look_and_is_itself_a_finding() -> None:
    def look() -> list[CheckResult]:
        raise SourceError("the source has x = 1", where="host:1", remedy="SET GLOBAL x = 2")

    assert list(PART.looked("settings", look)) == [
        CheckResult("broker", "settings", Severity.PROBLEM, "the source has x = 1 at host:1", "SET GLOBAL x = 2")
    ]


def test_the_worst_finding_decides() -> None:
    ok, warning, problem = PART.ok("a", ""), PART.warning("b", "", ""), PART.problem("c", "", "")
    assert worst([]) is worst([ok]) is Severity.OK
    assert worst([ok, warning]) is Severity.WARNING
    assert worst([warning, problem, ok]) is Severity.PROBLEM


@pytest.mark.parametrize(("seconds", "said"), [(0.25, "0.25 s"), (90, "1.5 min"), (7200, "2 h"), (691_200, "8 d")])
def test_a_time_span_is_said_in_the_largest_unit_that_it_fills(seconds: float, said: str) -> None:
    assert duration(seconds) == said
