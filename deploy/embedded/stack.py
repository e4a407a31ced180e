"""The three parts as children of this process: for tests, and for whoever wants them without the services."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from deploy.embedded.blueprint import Blueprint, SourceName, draw_blueprint
from deploy.embedded.part import Part, PartError, describe_failure
from deploy.embedded.ports import PREFERRED
from deploy.embedded.process import Process
from deploy.embedded.waiting import await_condition

PartName = Literal["source", "kafka", "s3"]

READY_TIMEOUT_S = 60.0
ANY_PORTS = dict.fromkeys(PREFERRED, 0)


class EmbeddedStack:
    """A warehouse, Kafka and S3 in one private directory, on ports of their own.

    Start it in the main thread: the servers then end with this process even when it is killed.

    Attributes:
        blueprint: The parts, with what is needed to reach each.
    """

    def __init__(self, directory: Path, source: SourceName = "mariadb") -> None:
        self.blueprint: Blueprint = draw_blueprint(directory, ANY_PORTS, source)
        self._processes: dict[str, Process] = {}

    def start(self) -> None:
        """Starts all parts at once; returns when each of them does its work.

        Raises:
            PartError: one of them did not; all are stopped again.
        """
        try:
            self._start(self.blueprint.parts)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops what runs, the last started first; harmless when nothing runs."""
        atexit.unregister(self.stop)
        for name in reversed(list(self._processes)):
            self._processes.pop(name).stop()
        if not self.blueprint.sockets.is_relative_to(self.blueprint.directory):
            shutil.rmtree(self.blueprint.sockets, ignore_errors=True)

    def kill(self, name: PartName) -> None:
        """Ends one part as a crash would; its data stays."""
        self._processes.pop(self._part(name).name).kill()

    def start_part(self, name: PartName) -> None:
        """Starts a part that was killed, on the same data and port; returns when it does its work.

        Raises:
            PartError: it did not.
        """
        self._start([self._part(name)])

    def _part(self, name: PartName) -> Part:
        parts: dict[PartName, Part] = {
            "source": self.blueprint.warehouse,
            "kafka": self.blueprint.kafka,
            "s3": self.blueprint.s3,
        }
        return parts[name]

    def pid(self, name: PartName) -> int:
        """The process id of a part that runs."""
        return self._processes[self._part(name).name].pid

    def environment(self) -> dict[str, str]:
        """The `DFP_` variables that point every service at these parts."""
        return self.blueprint.environment()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, parts: Iterable[Part]) -> None:
        atexit.register(self.stop)
        in_parallel(lambda part: part.prepare(), parts)
        # Not in the threads: a child may end with the thread that started it.
        for part in parts:
            self._processes[part.name] = Process(part.command(), self.blueprint.log(part.name))
        in_parallel(self._await_ready, parts)

    def _await_ready(self, part: Part) -> None:
        process = self._processes[part.name]
        await_condition(lambda: not process.is_running or part.is_ready(), timeout_s=READY_TIMEOUT_S)
        if not process.is_running:
            raise PartError(describe_failure(f"{part.name} ended while it was starting", process.log))
        if not part.is_ready():
            raise PartError(describe_failure(f"{part.name} is not ready after {READY_TIMEOUT_S:.0f} s", process.log))


def in_parallel(work: Callable[[Part], None], parts: Iterable[Part]) -> None:
    """Does the work for all parts at once; raises the first error after all have ended."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(work, part) for part in parts]:
            done.result()
