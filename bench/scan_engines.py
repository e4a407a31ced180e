"""Each engine's count of one table: time of the fingerprint's statement and `count(*)`."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.flow import Flow
from datafingerprint.adapters.engines.drivers import engine_opener
from datafingerprint.adapters.iceberg.connection import open_connection
from datafingerprint.adapters.iceberg.export import write_metastore
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.config import EngineSettings
from datafingerprint.fingerprint import Fingerprint, of_words
from datafingerprint.partitions import partitioning
from datafingerprint.scanner import parse_sums
from datafingerprint.scans import ScanEngine
from datafingerprint.schema import TableSchema
from datafingerprint.sql import lake, mysql
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.lake import LakeDialect, TableLocation
from deploy.embedded.part import Part, PartError, describe_failure
from deploy.embedded.ports import free_ports
from deploy.embedded.process import Process
from deploy.embedded.waiting import await_condition
from deploy.engines import spark
from deploy.engines.presto import Presto
from deploy.engines.system import ENGINES, System
from deploy.engines.trino import Trino

LAKE = ("duckdb", "trino", "presto", "spark")
READY_WITHIN_S = 240.0


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of the fingerprint's statement, and of `count(*)` on the same table."""

    fingerprint_s: float
    count_s: float


@dataclass(frozen=True)
class Table:
    """The table in the lake, with all services stopped.

    Attributes:
        flow: Where everything is.
        definition: The table.
        place: Its snapshot and files.
        sums: The running sums, which every engine must come to.
    """

    flow: Flow
    definition: TableSchema
    place: TableLocation
    sums: dict[str, Fingerprint]

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(part.rows for part in self.sums.values())

    @staticmethod
    def of(flow: Flow) -> Table:
        """Reads the stores."""
        with flow.store() as store:
            _, definition = store.definitions()[flow.backlog.table]
            sums = store.source_sums(definition.table, store.progress().lake_epoch)
        with contextlib.closing(IcebergLakeView(flow.settings)) as view:
            snapshot = view.current(definition)
        if snapshot is None:
            raise RuntimeError(f"the lake has no table {definition.table}")
        files = tuple(sorted(file.path for file in snapshot.files))
        place = TableLocation(snapshot_id=snapshot.snapshot_id, files=files)
        return Table(flow, definition, place, {name: part for name, part in sums.items() if part.rows})


def at_the_source(table: Table, server: mysql.Dialect) -> Timed:
    """The audit's statement for the warehouse."""
    text = mysql.sums_by_partition(table.definition, partitioning(table.definition), server)
    with table.flow.stack.blueprint.warehouse.connect() as connection, connection.cursor() as cursor:
        for line in mysql.SESSION:
            cursor.execute(line)
        began = time.monotonic()
        cursor.execute(f"SELECT count(*) FROM {mysql.table_name(table.definition)}")
        between = time.monotonic()
        cursor.execute(text)
        sums = {
            str(name): of_words(int(rows), [int(word) for word in words]) for name, rows, *words, _ in cursor.fetchall()
        }
        done = time.monotonic()
    _demand(table, sums, server.value)
    return Timed(done - between, between - began)


def in_the_lake(table: Table, name: str, directory: Path) -> Timed:
    """One engine over the lake, as `datafingerprint scan` uses it.

    Raises:
        PartError: the engine is not installed, or does not start.
        DataFingerprintError: it refused.
    """
    with _engine(table, name, directory) as engine:
        dialect = LAKE_ENGINES[name]
        place = table.place if dialect.needs_files else TableLocation(snapshot_id=table.place.snapshot_id)
        fields = partitioning(table.definition)
        # What is compiled on the way is not measured.
        _ask(engine, dialect, lake.sums_by_partition(dialect, table.definition, fields, place, min(table.sums)))
        began = time.monotonic()
        _ask(engine, dialect, f"SELECT count(*) FROM {dialect.relation(table.definition, place)}")
        between = time.monotonic()
        rows = _ask(engine, dialect, lake.sums_by_partition(dialect, table.definition, fields, place))
        done = time.monotonic()
    _demand(table, parse_sums(dialect, rows), name)
    return Timed(done - between, between - began)


def _ask(engine: ScanEngine, dialect: LakeDialect, text: str) -> list[Sequence[Any]]:
    return list(engine.run(dialect.session, text, threading.Event(), lambda _text: None))


def _demand(table: Table, sums: dict[str, Fingerprint], name: str) -> None:
    if sums != table.sums:
        raise RuntimeError(f"{name} has other sums than the stream: {sums} and {table.sums}")


@contextlib.contextmanager
def _engine(table: Table, name: str, directory: Path) -> Iterator[ScanEngine]:
    if name != "duckdb" and not ENGINES.exists():
        raise PartError("it is not installed: ./run install engines")
    settings, given = table.flow.settings, EngineSettings.model_validate({"timeout_s": 900})
    system = System(settings)
    with contextlib.ExitStack() as opened:
        if name == "trino":
            part: Part = Trino(directory / name, free_ports(1)[0], system)
            opened.enter_context(_started(part))
            given = given.model_copy(update={"port": part.port})
        elif name == "presto":
            part = Presto(directory / name, free_ports(1)[0], system)
            part.prepare()
            with contextlib.closing(open_connection(settings)) as connection:
                write_metastore(connection, [table.definition], Path(part.metastore))
            opened.enter_context(_started(part))
            given = given.model_copy(update={"port": part.port})
        elif name == "spark":
            spark.write_configuration(system, directory / name)
            os.environ["SPARK_CONF_DIR"] = str(directory / name)
        yield opened.enter_context(engine_opener(settings)(name, given))


@contextlib.contextmanager
def _started(part: Part) -> Iterator[None]:
    part.prepare()
    process = Process(part.command(), part.directory / "log")
    try:
        await_condition(lambda: not process.is_running or part.is_ready(), timeout_s=READY_WITHIN_S, pause_s=0.5)
        if not process.is_running or not part.is_ready():
            raise PartError(describe_failure(f"{part.name} does not answer", process.log))
        yield
    finally:
        process.stop()
