"""Follows the system until it is done, fails or is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from deploy.demo.answers import Comparison, Status
from deploy.demo.rest import NoAnswer
from deploy.embedded.waiting import await_condition
from deploy.supervision.supervisor import ProgramState
from deploy.supervision.system import has_failed

POLL_S = 0.5
# After the generator's last game: a lake that has not caught up by then never will.
CATCH_UP_TIMEOUT_S = 300.0
# A program that crashes is started again; one that does nothing else will not get any further.
STARTS_MAX = 6
FOR_EVER_S = float("inf")


class ProgramEnded(Exception):  # noqa: N818 - what happened, not a fault of the demo
    """A part or service ended for good, or does nothing but crash; the text is its name."""


class Screen(Protocol):
    """Where the verdicts are shown."""

    def show(self, status: Status, comparisons: list[Comparison]) -> None:
        """Shows the newest state; called for every look, whether or not something is new."""


class Service(Protocol):
    """Where the verdicts come from; `Rest` is the real one."""

    def status(self) -> Status:
        """The system in one line, or `NoAnswer`."""

    def comparisons(self) -> list[Comparison]:
        """Every table and partition, or `NoAnswer`."""


@dataclass
class Demo:
    """One run of the demonstration.

    Attributes:
        states: Tells which programs run and which have ended.
        service: Tells the verdicts.
        screen: Shows them.
        source_position: Tells the GTID position at which the source stands now.
        status: What was seen last; none before the first answer.
    """

    states: Callable[[], Mapping[str, ProgramState]]
    service: Service
    screen: Screen
    source_position: Callable[[], str]
    status: Status | None = field(default=None, init=False)
    _starts: set[tuple[str, int]] = field(default_factory=set, init=False)

    def follow(self) -> bool:
        """Shows what happens, until an interrupt.

        Raises:
            ProgramEnded: a program ended that should not have.
        """
        return await_condition(self._never, timeout_s=FOR_EVER_S, pause_s=POLL_S)

    def follow_to_the_end(self) -> bool:
        """Shows what happens until the generator is done and everything it did was compared.

        Returns:
            Whether that was reached in time.

        Raises:
            ProgramEnded: a program ended that should not have.
        """
        await_condition(self._generator_is_done, timeout_s=FOR_EVER_S, pause_s=POLL_S)
        # Nobody writes any more, so the source stays at this position.
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
        return status is not None and status.position == position and status.inconclusive == 0 and status.partitions > 0

    def _look(self) -> Mapping[str, ProgramState]:
        states = self.states()
        for state in states.values():
            if has_failed(state) or self._crashes(state.name, state.started):
                raise ProgramEnded(state.name)
        try:
            self.status = self.service.status()
            self.screen.show(self.status, self.service.comparisons())
        except NoAnswer:
            # It starts, or has no epoch to speak of yet; if it ended, the states say so.
            return states
        return states

    def _crashes(self, name: str, started: int) -> bool:
        """Takes note of a start; true when this program had too many of them."""
        self._starts.add((name, started))
        return sum(other == name for other, _ in self._starts) > STARTS_MAX
