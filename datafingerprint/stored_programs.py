"""Stored programs that a statement may run: triggers, views, routines, foreign key cascades."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class ProgramKind(Enum):
    """The kind of a stored program, by what runs it."""

    ROUTINE = auto()
    """A call of its name."""
    VIEW = auto()
    """A read or a change of its name."""
    TRIGGER = auto()
    """A change of the table."""
    CASCADE = auto()
    """A change of the parent table."""


@dataclass(frozen=True, slots=True)
class StoredProgram:
    """A stored program, as the source describes it now.

    Attributes:
        kind: Its kind.
        schema: Its schema, which names in its text without a schema belong to.
        name: The routine or view, or the table that a trigger or cascade is on.
        text: Its body, which names what it changes; None if the account may not see it.
        sql_mode: The SQL mode of its text.
    """

    kind: ProgramKind
    schema: str
    name: str
    text: str | None
    sql_mode: int = 0
