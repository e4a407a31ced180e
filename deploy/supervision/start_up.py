"""One start of a system: what it waits for, and the program at fault when it fails."""

from __future__ import annotations

import threading
import xmlrpc.client
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deploy.embedded.part import LogPart, PartError, describe_failure
from deploy.embedded.starting import Patience, work_of
from deploy.supervision.supervisor import ProgramState

STARTS_MAX = 3
"""Restarts by the supervisor after which a program counts as failed."""

SUPERVISOR = "supervisor"


@dataclass
class StartUp:
    """Watches the programs of a system that is being started.

    Attributes:
        states: Returns the states of all programs.
        logs: The logs of each program and of the supervisor since the start began.
        patience: The time limits for each program.
        cancelled: Ends all waiting once it is set.
    """

    states: Callable[[], Mapping[str, ProgramState]]
    logs: Mapping[str, LogPart]
    patience: Patience
    cancelled: threading.Event = field(default_factory=threading.Event)
    _pids: dict[str, set[int]] = field(default_factory=dict, init=False)
    _running: dict[str, int] = field(default_factory=dict, init=False)

    def await_ready(self, name: str, is_ready: Callable[[], bool]) -> None:
        """Waits until the program is ready.

        Raises:
            PartError: it does not start, or another program ended, which the error then names.
        """
        self.patience.await_start(
            name,
            is_ready,
            require_alive=self.require_alive,
            work=lambda: self._work(name),
            log=self.logs[name],
        )

    def require_alive(self) -> None:
        """Checks that no program has ended unexpectedly.

        Raises:
            PartError: a program has ended; the text has its name, status and last log lines.
        """
        if self.cancelled.is_set():
            raise PartError("the start was cancelled")
        for state in self._known_states().values():
            if has_failed(state):
                raise PartError(describe_failure(f"{state.name} {ending(state)}", self.logs[state.name]))
            self._running[state.name] = state.pid
            pids = self._pids.setdefault(state.name, set())
            if state.pid:
                pids.add(state.pid)
            if len(pids) > STARTS_MAX:
                raise PartError(describe_failure(f"{state.name} ends whenever it is started", self.logs[state.name]))

    def _known_states(self) -> Mapping[str, ProgramState]:
        try:
            return self.states()
        except (OSError, xmlrpc.client.Error) as error:
            what = f"the supervisor does not answer ({error})"
            raise PartError(describe_failure(what, self.logs[SUPERVISOR])) from error

    def _work(self, name: str) -> object:
        return work_of(self._running.get(name, 0), self.logs[name])


def has_failed(state: ProgramState) -> bool:
    """Whether it ended for good, other than a generator that is done."""
    return state.is_over and not (state.name == "generator" and state.exit_status == 0)


def ending(state: ProgramState) -> str:
    """Describes how a program ended."""
    return "was ended by a signal" if state.exit_status < 0 else f"ended with status {state.exit_status}"
