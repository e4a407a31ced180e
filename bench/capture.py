"""Our side of `bench.cdc`: the real service, on a stream that stands before the backlog."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.backlogs import Backlog
from bench.processes import cpu_s
from bench.progress import Point, Run
from datafingerprint.adapters.kafka_epoch_reader import KafkaEpochReader
from datafingerprint.config import load_settings
from deploy.embedded.process import end_with_parent

_LOOK_S = 0.05
_PATIENCE_S = 600.0


@dataclass(frozen=True)
class CaptureSide:
    """Capture with a prefix of its own for every run.

    Attributes:
        environment: The `DFP_` variables of the parts.
        directory: For logs.
    """

    environment: dict[str, str]
    directory: Path

    def prepare(self, backlog: Backlog, runs: int) -> None:
        """Begins as many streams, each complete at the position before the backlog."""
        for number in range(runs):
            arguments = [sys.executable, "-m", "services.cdc", "--once"]
            with self._log(backlog, number).open("ab") as log:
                environment = self._environment(backlog, number)
                done = subprocess.run(
                    arguments, env=environment, cwd=self.directory, stdout=log, stderr=log, check=False
                )
            if done.returncode:
                raise RuntimeError(self._log(backlog, number).read_text(encoding="utf-8"))

    def run(self, backlog: Backlog, number: int) -> Run:
        """Follows the backlog to its end, as the service does, into Kafka; demands that every row is there."""
        log = self._log(backlog, number)
        before = log.stat().st_size
        began = time.time()
        with log.open("ab") as output:
            command = [*end_with_parent("KILL"), sys.executable, "-m", "services.cdc"]
            environment = self._environment(backlog, number)
            child = subprocess.Popen(command, env=environment, cwd=self.directory, stdout=output, stderr=output)
        try:
            points = tuple(_points(child, log, before, backlog.rows))
        finally:
            child.terminate()
            child.wait()
        found = self.rows_in_kafka(backlog, number) - backlog.updated
        if not points[-1].rows == found == backlog.rows:
            raise RuntimeError(f"{found} rows are in Kafka, the backlog has {backlog.rows}")
        return Run(began, points, backlog.warm)

    def rows_in_kafka(self, backlog: Backlog, number: int) -> int:
        """How many changed rows a reader of the stream finds in it, every message decoded."""
        settings = load_settings({"tables": {}}, self._environment(backlog, number))
        rows = 0
        with contextlib.closing(KafkaEpochReader(settings.kafka, "bench")) as reader:
            reader.seek(0, None)
            while True:
                found = reader.read(2.0)
                if found is None:
                    return rows
                for _, changes in found.changes:
                    rows += max(changes.after.num_rows, changes.before.num_rows)

    def _log(self, backlog: Backlog, number: int) -> Path:
        return self.directory / f"{backlog.name}{number}.log"

    def _environment(self, backlog: Backlog, number: int) -> dict[str, str]:
        return {
            **os.environ,
            **self.environment,
            "DFP_SOURCE_TABLES": backlog.table,
            "DFP_KAFKA_PREFIX": f"{backlog.name}{number}",
            "DFP_LOG_FORMAT": "json",
        }


def _points(child: subprocess.Popen[bytes], log: Path, offset: int, wanted: int) -> Iterator[Point]:
    """A point for each epoch that the service says it has published."""
    rows = 0
    deadline = time.monotonic() + _PATIENCE_S
    with log.open("rb") as file:
        file.seek(offset)
        rest = b""
        while rows < wanted:
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"capture ended, or was too slow, at {rows} rows: see {log}")
            rest += file.read()
            *lines, rest = rest.split(b"\n")
            for line in lines:
                said = json.loads(line)
                if said["event"] == "epoch published":
                    rows += said["rows"]
                    yield Point(dt.datetime.fromisoformat(said["timestamp"]).timestamp(), rows, cpu_s(child.pid))
            time.sleep(_LOOK_S)
