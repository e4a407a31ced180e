"""The exceptions of this project, and the reaction of a service to each.

::

    DataFingerprintError.
    ├── Unavailable          retried with backoff: a broker, database or bucket may come back.
    │   ├── CutShortError    the source's log is truncated by a crash; whole events before are kept.
    │   ├── TableChangedError  a table was altered, dropped or locked: it is checked again.
    │   ├── ConflictError    another writer was first: retried with the new state.
    │   └── RunAgain         no failure: the run ends, and the next one applies the news.
    └── Stop                 never retried: the service ends with one line (what, where, how to recover).
        ├── ConfigError      a setting is missing, unknown or wrong.
        ├── SourceError      the source cannot be read exactly.
        │   ├── DeniedError  the source refuses the account or its statement.
        │   ├── TableError   one table cannot be carried: capture sets it aside, all others continue.
        │   │   └── TableDeniedError  the account may not read it.
        │   └── UnmeasuredError  the source gives no exact sum: the audit is inconclusive there.
        ├── DecodeError      an event or message cannot be understood.
        ├── WireError        Kafka holds something other than whole, consecutive epochs of one stream.
        ├── LakeError        the lake is not in the state that the writer left, or may not be written.
        │   ├── FileDamageError  a file is gone or unreadable: its rows count as missing.
        │   └── LakeTableError  one lake table cannot be written: it is set aside, all others continue.
        │       └── TableDamageError  its metadata is gone or unreadable: no engine can read the table.
        └── StateError       the state store has another stream or version.
"""

from __future__ import annotations


class DataFingerprintError(Exception):
    """The base of all exceptions of this project.

    Args:
        what: What happened, in one sentence.
        where: Table, position, offset or path; empty if it is everywhere.
        remedy: How to recover; empty if nothing is needed.
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
    """A system is unavailable and may come back. The caller retries with backoff."""


class CutShortError(Unavailable):
    """A binlog file ends in the middle of an event, after a crash of the source."""


class TableChangedError(Unavailable):
    """A table was altered, dropped or locked while it was read."""


class ConflictError(Unavailable):
    """Another writer was first. The caller reads the new state before it retries."""


class RunAgain(Unavailable):
    """The run ends as planned. The next one applies what this one found, such as a new table."""


class Stop(DataFingerprintError):  # noqa: N818 - an instruction to the service loop, not a noun of failure
    """Continuing would lose, double or guess data. The service ends with a non-zero status."""


class ConfigError(Stop):
    """A setting is missing, unknown or wrong."""


class SourceError(Stop):
    """The source cannot be read exactly."""


class DeniedError(SourceError):
    """The source refuses the account or its statement."""


class TableError(SourceError):
    """One table cannot be carried; capture sets it aside.

    Args:
        table: Its name, as `table_names` renders it.
        what: What happened, in one sentence.
        where: See `DataFingerprintError`.
        remedy: See `DataFingerprintError`.
    """

    def __init__(self, table: str, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.table = table


class TableDeniedError(TableError):
    """The account may not read the table."""


class UnmeasuredError(SourceError):
    """The source gave no sum, or one with a warning."""


class DecodeError(Stop):
    """An event or message cannot be understood."""


class WireError(Stop):
    """Kafka holds something other than whole, consecutive epochs of one stream."""


class LakeError(Stop):
    """The lake is not in the state that the writer left, or may not be written."""


class FileDamageError(LakeError):
    """A file of the lake is gone or unreadable. This is a finding, and no failure of its reader."""


class LakeTableError(LakeError):
    """One table of the lake cannot be written. It is set aside; the others continue."""


class TableDamageError(LakeTableError):
    """Metadata of a lake table is gone or unreadable. This is a finding about the table."""


class StateError(Stop):
    """The state store belongs to another stream or another version."""
