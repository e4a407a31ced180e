"""The export commands: the lake for engines that cannot read its catalog.

They write a manifest, Presto's metastore, or AWS Glue.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from datafingerprint.adapters.iceberg.connection import LakeConnection, open_connection
from datafingerprint.adapters.iceberg.export import ExportedTable, manifest, write_metastore
from datafingerprint.adapters.iceberg.glue import GlueCopy
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.captured import captured_definitions, captured_table
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable
from datafingerprint.exit_statuses import ExitStatus
from datafingerprint.ports.lake import SnapshotView
from datafingerprint.recovery import repair_of_lake_table
from datafingerprint.schema import TableSchema


@click.command(help="Prints the live files of a lake table as a manifest, for Redshift Spectrum and COPY.")
@click.argument("table")
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write it there.")
@click.option("--snapshot", type=int, metavar="ID", help="The files of this snapshot.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def export_manifest(table: str, output: Path | None, snapshot: int | None, config: str | None) -> None:
    """Writes a manifest, because the bucket also keeps old files of the table for a while."""
    try:
        settings = read_settings(config)
        definition = captured_table(stored_definitions(settings), table)
        with contextlib.closing(IcebergLakeView(settings)) as view:
            lake_table = view.current(definition) if snapshot is None else view.snapshot(definition, snapshot)
        text = json.dumps(manifest(list(readable(table, lake_table).files)), indent=1) + "\n"
        if output is None:
            click.echo(text, nl=False)
        else:
            output.write_text(text, encoding="utf-8")
    except OSError as error:
        _refuse(ConfigError(f"cannot write {output} ({error.strerror})", remedy="name a file that this user may write"))
    except DataFingerprintError as error:
        _refuse(error)


@click.command(help="Writes the lake's tables into a folder as a file metastore, for Presto's Iceberg connector.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--follow", is_flag=True, help="Keep running, and write a table again after each of its commits.")
@click.option("--every-s", type=click.FloatRange(0.1), default=1.0, help="Seconds between two looks with --follow.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def export_catalog(folder: Path, every_s: float, config: str | None, *, follow: bool) -> None:
    """Writes the metastore once, or until a signal."""
    _export(config, lambda connection, tables: write_metastore(connection, tables, folder), every_s, follow=follow)


@click.command(help="Registers the present metadata of the lake's tables in AWS Glue, for Redshift and Athena.")
@click.option("--follow", is_flag=True, help="Keep running, and register a table again after each of its commits.")
@click.option("--every-s", type=click.FloatRange(0.1), default=1.0, help="Seconds between two looks with --follow.")
@click.option("--endpoint", metavar="URL", default="", help="A server with Glue's API; Amazon's by default.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def export_glue(every_s: float, endpoint: str, config: str | None, *, follow: bool) -> None:
    """Registers once, or until a signal. The source's schemas become Glue's databases."""
    with contextlib.ExitStack() as opened:
        copy: list[GlueCopy] = []

        def register(connection: LakeConnection, tables: list[TableSchema]) -> list[ExportedTable]:
            if not copy:
                copy.append(opened.enter_context(contextlib.closing(GlueCopy(read_settings(config).s3, endpoint))))
            return copy[0].update(connection, tables)

        _export(config, register, every_s, follow=follow)


def _export(
    config: str | None,
    write: Callable[[LakeConnection, list[TableSchema]], list[ExportedTable]],
    every_s: float,
    *,
    follow: bool,
) -> None:
    """Exports the present tables and prints changed ones. `follow` repeats until a signal."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    exported: list[ExportedTable] = []
    is_away = False
    try:
        settings = read_settings(config)
        with contextlib.closing(open_connection(settings)) as connection:
            while not stop.is_set():
                try:
                    written = write(connection, list(captured_definitions(stored_definitions(settings)).values()))
                    is_away = False
                except Unavailable as error:
                    if not follow:
                        raise
                    if not is_away:
                        click.echo(f"datafingerprint: {error}; trying again", err=True)
                    written, is_away = exported, True
                for table in written:
                    if table not in exported:
                        click.echo(f"{table.table}  {table.metadata_location}")
                exported = written
                if not follow or stop.wait(every_s):
                    break
    except DataFingerprintError as error:
        _refuse(error)


def stored_definitions(settings: Settings) -> Mapping[str, tuple[int, TableSchema]]:
    """Number and definition of every captured table, by name."""
    with contextlib.closing(SqlStateStore(settings.state.database.get_secret_value())) as store:
        return store.definitions()


def readable(table: str, snapshot: SnapshotView | None) -> SnapshotView:
    """Checks that the files of a snapshot are exactly the rows of its table.

    Raises:
        ConfigError: There is no such snapshot, or its files are not the table's rows.
    """
    if snapshot is None:
        raise ConfigError(f"the lake has no such snapshot of {table}", remedy="check that the lake writer runs")
    if snapshot.unreadable:
        raise ConfigError(
            f"the files of {table} are not its rows: {snapshot.unreadable}", remedy=repair_of_lake_table(table)
        )
    return snapshot


def _refuse(error: DataFingerprintError) -> None:
    click.echo(f"datafingerprint: {error}", err=True)
    sys.exit(ExitStatus.REFUSED)
