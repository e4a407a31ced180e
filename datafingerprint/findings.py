"""What `datafingerprint doctor` finds: whether a part is fit, and the statement or command that mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from datafingerprint.errors import DataFingerprintError

CLOSE = 0.5
"""The share of a retention that a lag may use up before it is told of."""

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


class Severity(StrEnum):
    """How bad a finding is: a warning is a risk that may have been chosen, a problem keeps a service from working."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: Source, broker, bucket, catalog, state store or temporary files.
        check: What was looked at.
        severity: How bad it is.
        said: What was found, in one sentence.
        remedy: The statement or command that mends it; empty where nothing needs to be.
    """

    part: str
    check: str
    severity: Severity
    said: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """Makes the findings of one part."""

    name: str

    def ok(self, check: str, said: str) -> Finding:
        """All is well."""
        return Finding(self.name, check, Severity.OK, said)

    def warning(self, check: str, said: str, remedy: str) -> Finding:
        """A risk."""
        return Finding(self.name, check, Severity.WARNING, said, remedy)

    def problem(self, check: str, said: str, remedy: str) -> Finding:
        """Something that keeps a service from working, or will."""
        return Finding(self.name, check, Severity.PROBLEM, said, remedy)

    def refused(self, check: str, error: DataFingerprintError) -> Finding:
        """What a service would be stopped or kept waiting by."""
        said = f"{error.what} at {error.where}" if error.where else error.what
        return self.problem(check, said, error.remedy or "see the message")

    def looked(self, check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
        """What a look gives; an error ends it, and is itself a finding."""
        try:
            yield from look()
        except DataFingerprintError as error:
            yield self.refused(check, error)

    def kept(self, check: str, what: str, retention_s: float | None, lag_s: float | None, remedy: str) -> Finding:
        """Whether what is kept for so long outlives a lag; None is for ever, or a lag that is not known."""
        if retention_s is None:
            return self.ok(check, f"{what} are kept until somebody removes them")
        said = f"{what} are kept for {duration(retention_s)}"
        if lag_s is None:
            return self.ok(check, f"{said}; nobody reads them yet")
        said += f", the reader is {duration(lag_s)} behind"
        if lag_s >= retention_s:
            return self.problem(check, said, remedy)
        return self.warning(check, said, remedy) if lag_s > CLOSE * retention_s else self.ok(check, said)


def duration(seconds: float) -> str:
    """A time span in the largest unit that it fills, as people say it."""
    for unit, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def worst(findings: Iterable[Finding]) -> Severity:
    """The severity that counts; nothing found is well."""
    found = {one.severity for one in findings}
    return next((one for one in (Severity.PROBLEM, Severity.WARNING) if one in found), Severity.OK)
