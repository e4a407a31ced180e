"""Our side of `bench.cdc`: the real service, on a stream that ends before the backlog."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.backlogs import Backlog
from bench.processes import Service, cpu_s
from bench.progress import Point, Run
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.config import load_settings

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
        """Creates streams that are complete at the position before the backlog."""
        for number in range(runs):
            service = self._service(backlog, number)
            service.start("--once")
            service.wait()

    def run(self, backlog: Backlog, number: int) -> Run:
        """Captures the whole backlog into Kafka as the service does, and checks the rows."""
        service = self._service(backlog, number)
        before = service.log.stat().st_size
        began = time.time()
        service.start()
        try:
            points = tuple(_points(service, before, backlog.rows))
        finally:
            service.stop()
        published = self.rows_in_kafka(backlog, number) - backlog.updated
        if not points[-1].rows == published == backlog.rows:
            raise RuntimeError(f"{published} rows are in Kafka, the backlog has {backlog.rows}")
        return Run(began, points, backlog.warm)

    def rows_in_kafka(self, backlog: Backlog, number: int) -> int:
        """The number of changed rows in the stream, with every message decoded."""
        settings = load_settings({"tables": {}}, self._service(backlog, number).variables)
        rows = 0
        with contextlib.closing(KafkaEpochReader(settings.kafka, "bench")) as reader:
            reader.seek(0, None)
            while True:
                epoch_rows = reader.read(2.0)
                if epoch_rows is None:
                    return rows
                for _, changes in epoch_rows.changes:
                    rows += max(changes.after.num_rows, changes.before.num_rows)

    def _service(self, backlog: Backlog, number: int) -> Service:
        place = self.directory / f"{backlog.name}{number}"
        place.mkdir(exist_ok=True)
        variables = {
            **self.environment,
            "DFP_SOURCE_TABLES": backlog.table,
            "DFP_KAFKA_PREFIX": place.name,
            "DFP_LOG_FORMAT": "json",
        }
        return Service("cdc", variables, place)


def _points(service: Service, offset: int, wanted: int) -> Iterator[Point]:
    """A point for each epoch that the service logs as published."""
    rows = 0
    deadline = time.monotonic() + _PATIENCE_S
    with service.log.open("rb") as file:
        file.seek(offset)
        rest = b""
        while rows < wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"capture is too slow: {rows} rows by now")
            cpu = cpu_s(service.pid)
            rest += file.read()
            *lines, rest = rest.split(b"\n")
            for line in lines:
                entry = json.loads(line)
                if entry["event"] == "epoch published":
                    rows += entry["rows"]
                    yield Point(dt.datetime.fromisoformat(entry["timestamp"]).timestamp(), rows, cpu)
            time.sleep(_LOOK_S)
