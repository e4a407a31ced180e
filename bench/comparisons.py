"""Comparisons of the same table by reladiff and pt-table-checksum, in their intended use."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import environment
from bench.scan_engines import Table
from datafingerprint.adapters.engines.drivers import engine_opener
from datafingerprint.config import EngineSettings
from datafingerprint.sql.duckdb_files import DuckDB
from deploy.embedded.process import end_with_parent
from deploy.embedded.warehouse import Warehouse

RELADIFF = Path(__file__).resolve().parents[1] / ".local" / "reladiff" / "bin" / "reladiff"
READ = ("Innodb_rows_read", "Rows_read")
"""Counters of rows read: MySQL's storage engine, MariaDB's non-temporary tables."""
_PATIENCE_S = 1800


class NotRunError(Exception):
    """The tool cannot run here; the text is the reason."""


@dataclass
class Reading:
    """Rows that the source's storage engine read while a block was entered.

    It uses the server's own counter, so no other client may read at that time.
    """

    warehouse: Warehouse
    rows: int = field(default=0, init=False)

    @contextlib.contextmanager
    def counted(self) -> Iterator[Reading]:
        """Counts the rows read in the block."""
        before = self._now()
        yield self
        self.rows = self._now() - before

    def _now(self) -> int:
        with self.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
            cursor.execute(f"SHOW GLOBAL STATUS WHERE Variable_name IN {READ}")
            ((_, value),) = cursor.fetchall()
        return int(value)


@dataclass(frozen=True, slots=True)
class Compared:
    """Seconds of a comparison, and the rows of the source that it read."""

    seconds: float
    read: int


def by_reladiff(table: Table, directory: Path) -> Compared:
    """Runs reladiff between warehouse and a DuckDB copy of the lake, by segment checksums.

    Raises:
        NotRunError: it is not installed, or has no key to go by.
    """
    key = _key(table)
    if not RELADIFF.exists():
        raise NotRunError("reladiff could not be installed")
    name, warehouse = table.definition.name, table.flow.stack.blueprint.warehouse
    copy = directory / "copy.duckdb"
    _copy(table, copy)
    at = f"mysql://{warehouse.user}:{warehouse.password}@127.0.0.1:{warehouse.port}/{table.definition.schema}"
    keys = [word for column in key for word in ("-k", column)]
    others = [word for column in table.definition.columns if column.name not in key for word in ("-c", column.name)]
    command = [str(RELADIFF), at, name, f"duckdb://{copy}", name, *keys, *others, "--algorithm", "hashdiff", "--stats"]
    ran = _timed(warehouse, command)
    if not re.search(r"0\.00% difference|^0 rows? updated", ran.output, re.MULTILINE):
        raise RuntimeError(f"reladiff reports a difference, or has an unknown report:\n{ran.output[-2000:]}")
    return ran.compared


def by_pt_table_checksum(table: Table) -> Compared:
    """Runs pt-table-checksum on the source; each replica would read the same rows again.

    Raises:
        NotRunError: it is not installed, does not know this server, or has no key to go by.
    """
    _key(table)
    return checksums_of(table.flow.stack.blueprint.warehouse, table.definition.table, table.rows)


def checksums_of(warehouse: Warehouse, table: str, rows: int) -> Compared:
    """Runs pt-table-checksum over a table of so many rows.

    Args:
        warehouse: The server.
        table: The table with its schema. It has a key.
        rows: Rows that it must read.

    Raises:
        NotRunError: it is not installed, or does not know this server.
    """
    program = shutil.which("pt-table-checksum")
    if program is None:
        raise NotRunError("pt-table-checksum could not be installed")
    place = f"h=127.0.0.1,P={warehouse.port},u={warehouse.user},p={warehouse.password}"
    command = [program, place, "--tables", table, "--no-check-binlog-format", "--no-version-check"]
    ran = _timed(warehouse, command)
    match = re.search(rf"^\S+\s+(\d+)\s+\d+\s+(\d+)\s.*{re.escape(table)}$", ran.output, re.MULTILINE)
    if match is None:
        lines = ran.output.strip().splitlines() or ["nothing"]
        message = next(
            (line for line in lines if re.search(r"error|fail|syntax|cannot", line, re.IGNORECASE)), lines[-1]
        )
        raise NotRunError(f"pt-table-checksum failed: {message[:300]}")
    if match.group(1) != "0" or int(match.group(2)) != rows:
        raise RuntimeError(f"pt-table-checksum did not read the table as it is:\n{ran.output[-2000:]}")
    return ran.compared


def _key(table: Table) -> tuple[str, ...]:
    if not table.definition.key:
        raise NotRunError(f"{table.definition.table} has no key, which it goes by")
    return table.definition.key


def _copy(table: Table, file: Path) -> None:
    """Copies the lake's rows to DuckDB: reladiff reads no Iceberg tables."""
    settings = table.flow.settings
    with engine_opener(settings)("duckdb", EngineSettings.model_validate({})) as engine:
        source = DuckDB().relation(table.definition, table.place)
        names = ", ".join(f'"{column.name}"' for column in table.definition.columns)
        attached = f"ATTACH '{file}' AS kept"
        made = f'CREATE TABLE kept.main."{table.definition.name}" AS SELECT {names} FROM {source}'
        engine.run((attached,), made, threading.Event(), lambda _text: None)


@dataclass(frozen=True, slots=True)
class _Ran:
    output: str
    compared: Compared


def _timed(warehouse: Warehouse, command: list[str]) -> _Ran:
    with Reading(warehouse).counted() as reading:
        began = time.monotonic()
        done = subprocess.run(
            [*end_with_parent("KILL"), *command],
            env=environment({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        seconds = time.monotonic() - began
    return _Ran(done.stdout, Compared(seconds, reading.rows))


def read_by(warehouse: Warehouse, work: Callable[[], object]) -> int:
    """The number of source rows that some work reads."""
    with Reading(warehouse).counted() as reading:
        work()
    return reading.rows
