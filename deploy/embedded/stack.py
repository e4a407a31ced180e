"""The three parts as children of this process, without services; for tests and benches."""

from __future__ import annotations

import atexit
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from deploy.embedded.blueprint import Blueprint, SourceName, draw_blueprint
from deploy.embedded.part import Part, PartError, describe_failure
from deploy.embedded.ports import PREFERRED
from deploy.embedded.process import Process
from deploy.embedded.starting import Patience, work_of

PartName = Literal["source", "kafka", "s3"]

ANY_PORTS = dict.fromkeys(PREFERRED, 0)


class EmbeddedStack:
    """A warehouse, Kafka and S3 in one private directory, on ports of their own.

    Start it in the main thread: the servers then end with this process even when it is killed.

    Args:
        directory: The data directory.
        source: The kind of the warehouse.
        patience: The time limits of a start.

    Attributes:
        blueprint: The parts, with their addresses and keys.
    """

    def __init__(self, directory: Path, source: SourceName = "mariadb", patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self.blueprint: Blueprint = draw_blueprint(directory, ANY_PORTS, source)
        self._processes: dict[str, Process] = {}

    def start(self) -> None:
        """Starts all parts at once, and waits until they are ready.

        Raises:
            PartError: a part did not start; all are stopped again.
        """
        try:
            self._start(self.blueprint.parts)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops all running parts, the last started first."""
        atexit.unregister(self.stop)
        for name in reversed(list(self._processes)):
            self._processes.pop(name).stop()
        if not self.blueprint.sockets.is_relative_to(self.blueprint.directory):
            shutil.rmtree(self.blueprint.sockets, ignore_errors=True)

    def kill(self, name: PartName) -> None:
        """Kills one part, as a crash would; its data stays."""
        self._processes.pop(self._part(name).name).kill()

    def start_part(self, name: PartName) -> None:
        """Starts a killed part on its data and port, and waits until it is ready.

        Raises:
            PartError: the part did not start.
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
        """The process id of a running part."""
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

    def _start(self, parts: Sequence[Part]) -> None:
        atexit.register(self.stop)
        in_parallel(lambda part: part.prepare(), parts)
        # Not in the threads: a child may end with the thread that started it.
        for part in parts:
            self._processes[part.name] = Process(part.command(), self.blueprint.log(part.name))
        cancelled = threading.Event()
        in_parallel(lambda part: self._await_ready(part, parts, cancelled), parts, cancelled)

    def _await_ready(self, part: Part, parts: Sequence[Part], cancelled: threading.Event) -> None:
        process = self._processes[part.name]
        self._patience.await_start(
            part.name,
            part.is_ready,
            require_alive=lambda: self._require_alive(parts, cancelled),
            work=lambda: work_of(process.pid, process.log),
            log=process.log,
        )

    def _require_alive(self, parts: Sequence[Part], cancelled: threading.Event) -> None:
        if cancelled.is_set():
            raise PartError("the start was cancelled")
        for part in parts:
            process = self._processes[part.name]
            if not process.is_running:
                raise PartError(describe_failure(f"{part.name} ended with status {process.exit_status}", process.log))


def in_parallel(work: Callable[[Part], None], parts: Iterable[Part], cancelled: threading.Event | None = None) -> None:
    """Does the work for all parts at once. Raises the first error after all have ended.

    Args:
        work: The work for one part.
        parts: The parts.
        cancelled: Set at the first error and at Ctrl-C, so that the others can end early.
    """
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(work, part) for part in parts]
        try:
            for future in futures:
                future.result()
        except BaseException:
            if cancelled is not None:
                cancelled.set()
            raise
