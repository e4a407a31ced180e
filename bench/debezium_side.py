"""The other side of `bench.cdc`: the Debezium engine, to JSON that a handler counts.

Its connector for MySQL is the one that the Python package brings along; it has none for MariaDB. What it is spared:
the rows go nowhere, records are not looked at, and only the last one of a batch is marked as processed (the package
marks every one, from Python, which took a third of the rate).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.backlogs import SCHEMA, Backlog
from bench.processes import cpu_s
from bench.progress import Point, Run
from deploy.embedded.process import end_with_parent
from deploy.embedded.warehouse import Warehouse

ENVIRONMENT = Path(__file__).resolve().parents[1] / ".local" / "debezium"
PROGRAM = Path(__file__).resolve().parent / "debezium" / "engine.py"
BATCH_ROWS = 8192
PROBE = f"{SCHEMA}.probe"
_LOOK_S = 0.05
_PROBE_EVERY_S = 0.25
_PATIENCE_S = 900.0


@dataclass
class DebeziumSide:
    """The engine, with offsets of its own for every run.

    Attributes:
        warehouse: What it reads.
        directory: For offsets and logs.
        probes_left: By case, how many probe rows lie between the offset and the backlog.
    """

    warehouse: Warehouse
    directory: Path
    probes_left: dict[str, int] = field(default_factory=dict)

    def prepare(self, backlog: Backlog) -> None:
        """Stores an offset before the backlog, by rows of a probe table."""
        place = self._place(backlog, "offset")
        child, points = self._start(backlog, place, 1)
        with self.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {PROBE}")
            cursor.execute(f"CREATE TABLE {PROBE} (id INT PRIMARY KEY)")
            number = 0
            while child.poll() is None:
                number += 1
                cursor.execute(f"INSERT INTO {PROBE} VALUES ({number})")
                connection.commit()
                time.sleep(_PROBE_EVERY_S)
        entries = [json.loads(line) for line in points.read_text(encoding="utf-8").splitlines()]
        seen = json.loads(entries[-1]["last"])["after"]["id"]
        self.probes_left[backlog.name] = number - seen
        points.unlink()

    def run(self, backlog: Backlog, number: int) -> Run:
        """Runs to the end of the backlog, and checks that the handler got every row in order."""
        place = self._place(backlog, str(number))
        shutil.copytree(self._place(backlog, "offset"), place, dirs_exist_ok=True)
        probes = self.probes_left[backlog.name]
        began = time.time()
        child, file = self._start(backlog, place, backlog.rows + probes)
        points: list[Point] = []
        try:
            for entry in _entries(child, file):
                if "rows" in entry:
                    points.append(Point(entry["at"], entry["rows"] - probes, cpu_s(child.pid)))
                else:
                    break
        finally:
            if child.wait() != 0:
                raise RuntimeError(f"the Debezium engine failed: see {place / 'log'}")
        if points[-1].rows != backlog.rows:
            raise RuntimeError(f"Debezium handed over {points[-1].rows} rows, the backlog has {backlog.rows}")
        return Run(began, tuple(points), backlog.warm)

    def _place(self, backlog: Backlog, name: str) -> Path:
        place = self.directory / f"{backlog.name}-{name}"
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _start(self, backlog: Backlog, place: Path, rows: int) -> tuple[subprocess.Popen[bytes], Path]:
        points = place / "points"
        command = [*end_with_parent("KILL"), str(ENVIRONMENT / "bin" / "python"), str(PROGRAM), str(points)]
        options = {"properties": self._properties(backlog, place), "rows": rows, "every_record": False}
        with (place / "log").open("ab") as log:
            # There, because the package makes a folder of logs where it runs.
            child = subprocess.Popen(command, cwd=place, stdin=subprocess.PIPE, stdout=log, stderr=log)
        if child.stdin is None:
            raise RuntimeError("no pipe to the engine")
        child.stdin.write(json.dumps(options).encode())
        child.stdin.close()
        return child, points

    def _properties(self, backlog: Backlog, place: Path) -> dict[str, str]:
        return {
            "name": "bench",
            "connector.class": "io.debezium.connector.mysql.MySqlConnector",
            "database.hostname": "127.0.0.1",
            "database.port": str(self.warehouse.port),
            "database.user": self.warehouse.user,
            "database.password": self.warehouse.password,
            "database.server.id": "5001",
            "database.ssl.mode": "disabled",
            "topic.prefix": "bench",
            "table.include.list": f"{backlog.table},{PROBE}",
            "snapshot.mode": "no_data",
            "include.schema.changes": "false",
            "tombstones.on.delete": "false",
            "max.batch.size": str(BATCH_ROWS),
            "max.queue.size": str(4 * BATCH_ROWS),
            "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false",
            "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
            "offset.storage.file.filename": str(place / "offsets"),
            "offset.flush.interval.ms": "1000",
            "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
            "schema.history.internal.file.filename": str(place / "history"),
        }


def _entries(child: subprocess.Popen[bytes], file: Path) -> Iterator[dict[str, Any]]:
    """The lines of the engine's program until it ends."""
    deadline = time.monotonic() + _PATIENCE_S
    offset = 0
    while True:
        ended = child.poll() is not None
        text = file.read_text(encoding="utf-8")[offset:] if file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        offset += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)
        if ended:
            return
        if time.monotonic() > deadline:
            child.kill()
            raise RuntimeError(f"the Debezium engine took more than {_PATIENCE_S:.0f} s")
        time.sleep(_LOOK_S)
