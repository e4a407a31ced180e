"""Results of `datafingerprint doctor`: the severity, and a statement or command as the fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from datafingerprint.errors import DataFingerprintError

CLOSE = 0.5
"""The share of a retention that a lag may use before it is a warning."""

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


class Severity(StrEnum):
    """How bad a result is: a warning is a risk, a problem keeps a service from working."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        part: Source, broker, bucket, catalog, state store or temporary files.
        check: The name of the check.
        severity: How bad it is.
        text: The result in one sentence.
        remedy: The statement or command that fixes it; empty if nothing is wrong.
    """

    part: str
    check: str
    severity: Severity
    text: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """The result as `doctor --json` prints it."""
        severity = self.severity.value
        return {"part": self.part, "check": self.check, "severity": severity, "said": self.text, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Component:
    """Builds the results of one part."""

    name: str

    def ok(self, check: str, text: str) -> CheckResult:
        """A result without fault."""
        return CheckResult(self.name, check, Severity.OK, text)

    def warning(self, check: str, text: str, remedy: str) -> CheckResult:
        """A risk."""
        return CheckResult(self.name, check, Severity.WARNING, text, remedy)

    def problem(self, check: str, text: str, remedy: str) -> CheckResult:
        """A fault that keeps a service from working, or will."""
        return CheckResult(self.name, check, Severity.PROBLEM, text, remedy)

    def refused(self, check: str, error: DataFingerprintError) -> CheckResult:
        """The problem that a service would stop or wait for."""
        text = f"{error.what} at {error.where}" if error.where else error.what
        return self.problem(check, text, error.remedy or "see the message")

    def looked(self, check: str, look: Callable[[], Iterable[CheckResult]]) -> Iterator[CheckResult]:
        """Runs a check. An error ends it, and is its last result."""
        try:
            yield from look()
        except DataFingerprintError as error:
            yield self.refused(check, error)

    def kept(self, check: str, what: str, retention_s: float | None, lag_s: float | None, remedy: str) -> CheckResult:
        """Checks that a retention is longer than a lag.

        Args:
            check: The name of the check.
            what: What is kept, as a plural.
            retention_s: Seconds that it is kept; None: forever.
            lag_s: Seconds that the reader is behind; None: unknown.
            remedy: How to keep it longer.
        """
        if retention_s is None:
            return self.ok(check, f"{what} are kept until they are deleted")
        text = f"{what} are kept for {duration(retention_s)}"
        if lag_s is None:
            return self.ok(check, f"{text}; no reader has started yet")
        text += f", the reader is {duration(lag_s)} behind"
        if lag_s >= retention_s:
            return self.problem(check, text, remedy)
        return self.warning(check, text, remedy) if lag_s > CLOSE * retention_s else self.ok(check, text)


def duration(seconds: float) -> str:
    """Renders a duration in the largest unit that it fills."""
    for unit, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def worst(results: Iterable[CheckResult]) -> Severity:
    """The worst severity; `OK` if there are no results."""
    severities = {result.severity for result in results}
    return next((bad for bad in (Severity.PROBLEM, Severity.WARNING) if bad in severities), Severity.OK)
