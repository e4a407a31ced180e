"""Exit statuses of every command and service. `docs/install.md` lists them by command."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The verdict's module loads Arrow, which a command that only ends with a status does without.
    from datafingerprint.verdict import Outcome


class ExitStatus(IntEnum):
    """The status of a process at its end."""

    OK = 0
    """Done, or everything matches."""
    FAILED = 1
    """A mismatch, a problem, or a part that failed. A supervisor starts a service again."""
    REFUSED = 2
    """Refused, stopped or inconclusive: an operator has to act. A supervisor does not start the service again."""
    CANCELLED = 130
    """Cancelled by a signal before there was a result."""


_OF_OUTCOME = {"match": ExitStatus.OK, "mismatch": ExitStatus.FAILED, "inconclusive": ExitStatus.REFUSED}


def exit_status_of(outcome: Outcome) -> ExitStatus:
    """The exit status of a command that ends with this outcome."""
    return _OF_OUTCOME[outcome]
