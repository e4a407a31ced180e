"""How the tests ask each engine, and what they know of a table."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_httpfs
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import PyArrowFileIO

from datafingerprint.adapters.iceberg.connection import open_connection
from datafingerprint.adapters.iceberg.export import write_metastore
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.config import Settings
from datafingerprint.fingerprint import Fingerprint, of_words
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.sql import lake
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.lake import LakeDialect, TableLocation
from deploy.engines.presto import Presto
from deploy.engines.spark import options
from deploy.engines.system import System
from deploy.engines.trino import Trino

Run = Callable[[str], Sequence[Sequence[Any]]]


def rendered_columns(table: TableSchema, dialect: LakeDialect) -> TableSchema:
    """The table without the columns that an engine refuses; its partition fields are kept."""
    return replace(table, columns=tuple(column for column in table.columns if not dialect.refusal(column)))


@dataclass
class Engine:
    """An engine that runs.

    Attributes:
        dialect: Its SQL.
        run: Runs one statement.
        view: The lake, for engines that are given files.
    """

    dialect: LakeDialect
    run: Run
    view: IcebergLakeView
    before: Callable[[], None] = field(default=lambda: None)

    def place(self, table: TableSchema, snapshot_id: int | None = None) -> TableLocation:
        """Where it finds a table, or an older snapshot of it."""
        if not self.dialect.needs_files:
            return TableLocation(snapshot_id=snapshot_id)
        result = self.view.current(table) if snapshot_id is None else self.view.snapshot(table, snapshot_id)
        assert result is not None
        return TableLocation(files=tuple(file.path for file in result.files))

    def sums(
        self, table: TableSchema, partition: str | None = None, snapshot_id: int | None = None
    ) -> dict[str, Fingerprint]:
        """What it says of a table.

        Raises:
            ConfigError: it refuses a column.
        """
        self.before()
        place = self.place(table, snapshot_id)
        text = lake.sums_by_partition(self.dialect, table, partitioning(table), place, partition)
        result = self.run(text)
        if self.dialect.gives_halves:
            return {name: Fingerprint(int(rows), int(hi), int(lo)) for name, rows, hi, lo in result}
        return {name: of_words(int(rows), [int(word) for word in words]) for name, rows, *words in result}

    def rows(self, table: TableSchema) -> list[tuple[str, str, str]]:
        """Partition, key and digest of every row, in order."""
        self.before()
        text = lake.digests(self.dialect, table, partitioning(table), self.place(table))
        return sorted((str(name), str(key), str(digest)) for name, key, digest in self.run(text))


def lake_rows(settings: Settings, view: IcebergLakeView, table: TableSchema) -> pa.Table:
    """All rows of a table's live files, read by pyarrow."""
    result = view.current(table)
    assert result is not None
    with contextlib.closing(open_connection(settings)) as connection:
        io = connection.io()
        assert isinstance(io, PyArrowFileIO)
        parts = []
        for file in result.files:
            with io.new_input(file.path).open() as stream:
                parts.append(pq.read_table(pa.BufferReader(stream.read()), partitioning=None).cast(table.arrow))
    return pa.concat_tables([table.arrow.empty_table(), *parts])


def ask_trino(trino: Trino) -> Run:
    """By its client."""

    def run(statement: str) -> Sequence[Sequence[Any]]:
        with trino.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return list(cursor.fetchall())

    return run


def ask_presto(presto: Presto) -> Run:
    """By its client."""

    def run(statement: str) -> Sequence[Sequence[Any]]:
        cursor = presto.connect().cursor()
        cursor.execute(statement)
        return list(cursor.fetchall())

    return run


def tell_presto(presto: Presto, settings: Settings, tables: Sequence[TableSchema]) -> None:
    """What `datafingerprint export-catalog` does."""
    with contextlib.closing(open_connection(settings)) as connection:
        assert write_metastore(connection, tables, Path(presto.metastore))


@contextlib.contextmanager
def duckdb_run(settings: Settings) -> Iterator[Run]:
    """DuckDB over S3."""
    folder = Path(duckdb_extension_httpfs.__file__).parent
    extension = next(folder.rglob("httpfs.duckdb_extension"))
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension}'")
        endpoint = settings.s3.endpoint.removeprefix("http://")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{settings.s3.access_key}', "
            f"SECRET '{settings.s3.secret_key.get_secret_value()}', ENDPOINT '{endpoint}', "
            "REGION 'us-east-1', URL_STYLE 'path', USE_SSL false)"
        )
        yield lambda statement: connection.execute(statement).fetchall()


@contextlib.contextmanager
def spark_run(system: System) -> Iterator[Run]:
    """Spark in a process of its own, on this machine."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - takes a second

    builder = SparkSession.builder.appName("datafingerprint")
    for name, value in options(system).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        session.sparkContext.setLogLevel("OFF")
        for statement in LAKE_ENGINES["spark"].session:
            session.sql(statement)
        yield lambda statement: [tuple(row) for row in session.sql(statement).collect()]
    finally:
        session.stop()
