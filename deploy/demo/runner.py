"""Follows the system until it is done, fails or is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from deploy.demo.answers import Comparison, Status
from deploy.demo.rest import NoAnswer
from deploy.embedded.waiting import await_condition
from deploy.supervision.start_up import has_failed
from deploy.supervision.supervisor import ProgramState

POLL_S = 0.5
# Seconds after the generator's last game in which the lake must catch up.
CATCH_UP_TIMEOUT_S = 300.0
# A program that crashes is restarted; one that keeps crashing will not recover.
STARTS_MAX = 6
FOR_EVER_S = float("inf")


class ProgramEnded(Exception):  # noqa: N818 - what happened, not a fault of the demo
    """A part or service ended for good, or keeps crashing; the text is its name."""


class Screen(Protocol):
    """Where the verdicts are shown."""

    def show(self, status: Status, comparisons: list[Comparison]) -> None:
        """Shows the newest state; called for every poll, with or without news."""


class Service(Protocol):
    """The source of the verdicts; `Rest` is the real one."""

    def status(self) -> Status:
        """The system in one line, or `NoAnswer`."""

    def comparisons(self) -> list[Comparison]:
        """Every table and partition, or `NoAnswer`."""


@dataclass
class Demo:
    """One run of the demonstration.

    Attributes:
        states: Returns the states of all programs.
        service: Returns the verdicts.
        screen: Shows the verdicts.
        source_position: Returns the source's present GTID position.
        status: The last status; None before the first answer.
    """

    states: Callable[[], Mapping[str, ProgramState]]
    service: Service
    screen: Screen
    source_position: Callable[[], str]
    status: Status | None = field(default=None, init=False)
    _starts: set[tuple[str, int]] = field(default_factory=set, init=False)

    def follow(self) -> bool:
        """Shows the verdicts until an interrupt.

        Raises:
            ProgramEnded: a program ended unexpectedly.
        """
        return await_condition(self._never, timeout_s=FOR_EVER_S, pause_s=POLL_S)

    def follow_to_the_end(self) -> bool:
        """Shows the verdicts until the generator has ended and all its changes were compared.

        Returns:
            Whether the lake caught up in time.

        Raises:
            ProgramEnded: a program ended unexpectedly.
        """
        await_condition(self._generator_is_done, timeout_s=FOR_EVER_S, pause_s=POLL_S)
        # The generator has ended, so the source stays at this position.
        position = self.source_position()
        return await_condition(lambda: self._is_compared(position), timeout_s=CATCH_UP_TIMEOUT_S, pause_s=POLL_S)

    def _never(self) -> bool:
        self._look()
        return False

    def _generator_is_done(self) -> bool:
        states = self._look()
        return states["generator"].is_over

    def _is_compared(self, position: str) -> bool:
        self._look()
        status = self.status
        if status is None or status.position != position or status.partitions == 0:
            return False
        return status.inconclusive == 0 and status.unproven == 0

    def _look(self) -> Mapping[str, ProgramState]:
        states = self.states()
        for state in states.values():
            if has_failed(state) or self._crashes(state.name, state.started):
                raise ProgramEnded(state.name)
        try:
            self.status = self.service.status()
            self.screen.show(self.status, self.service.comparisons())
        except NoAnswer:
            # The service starts, or has no epoch yet. If it ended, the states show that.
            return states
        return states

    def _crashes(self, name: str, started: int) -> bool:
        """Counts a start; True if the program had too many."""
        self._starts.add((name, started))
        return sum(other == name for other, _ in self._starts) > STARTS_MAX
