"""The exceptions of this project, and what a service does with each.

::

    DataFingerprintError
    ├── Unavailable          retried with backoff: a broker, database or bucket that is away may come back
    │   ├── CutShortError    the source's log breaks off where it crashed; what is whole before it is kept
    │   └── ConflictError    retried after reading anew: somebody else changed it meanwhile
    └── Stop                 never retried: the service ends with one line (what, where, what to do)
        ├── ConfigError      a setting is missing, unknown or wrong
        ├── SourceError      the source cannot be read exactly
        │   ├── DeniedError  it refuses the account, or what the account wants to do
        │   └── UnmeasuredError  one sum cannot be told: an audit calls it inconclusive and goes on
        ├── DecodeError      an event or message cannot be understood
        ├── WireError        Kafka holds something other than whole, consecutive epochs of one stream
        ├── LakeError        the lake is not what the writer left or may write
        │   ├── FileDamageError  one of its files is gone or unreadable: its rows count as missing, and all goes on
        │   └── TableDamageError  a table's metadata is: no engine can read the table, and all others go on
        └── StateError       the state store is another one's, or of another version
"""

from __future__ import annotations


class DataFingerprintError(Exception):
    """Anything that this project raises on purpose.

    Args:
        what: What happened, in one sentence.
        where: Table, position, offset or path; empty when it is everywhere.
        remedy: What the operator does; empty when nothing is needed.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"at {self.where}")
        text = " ".join(parts)
        return f"{text}: {self.remedy}" if self.remedy else text


class Unavailable(DataFingerprintError):  # noqa: N818 - the state of a part, and what callers catch
    """A part is away and may come back; the caller retries with backoff."""


class CutShortError(Unavailable):
    """A file of the source's log ends in the middle of an event, as a crash leaves it."""


class ConflictError(Unavailable):
    """Another writer was first; the caller reads anew before it goes on."""


class Stop(DataFingerprintError):  # noqa: N818 - an instruction to the service loop, not a noun of failure
    """Going on would lose, double or guess something; the service ends with a non-zero status."""


class ConfigError(Stop):
    """A setting is missing, unknown or wrong."""


class SourceError(Stop):
    """The source cannot be read exactly."""


class DeniedError(SourceError):
    """The source refuses the account, or what the account wants to do."""


class UnmeasuredError(SourceError):
    """The source could not tell a sum, or told one with a warning."""


class DecodeError(Stop):
    """An event or message cannot be understood."""


class WireError(Stop):
    """Kafka holds something other than whole, consecutive epochs of one stream."""


class LakeError(Stop):
    """The lake is not what the writer left, or what it may write."""


class FileDamageError(LakeError):
    """A file of the lake is gone, or is not what it must be: a finding, not a failure of whoever reads it."""


class TableDamageError(LakeError):
    """A part of a lake table's metadata is gone or no metadata: a finding about that table, as of a damaged file."""


class StateError(Stop):
    """The state store belongs to another stream or another version."""
