"""The commands that tell engines of the lake which do not read its catalog: a manifest, Presto's metastore, or Glue."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click

from datafingerprint.adapters.lake_connection import LakeConnection, open_connection
from datafingerprint.adapters.lake_export import Exported, manifest, write_metastore
from datafingerprint.adapters.lake_glue import GlueCopy
from datafingerprint.adapters.lake_view import IcebergLakeView
from datafingerprint.adapters.settings import read_settings
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable
from datafingerprint.ports import SnapshotView
from datafingerprint.schema import TableSchema

STATUS_REFUSED = 2


@click.command(help="Prints the live files of a lake table as a manifest, for Redshift Spectrum and COPY.")
@click.argument("table")
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write it there.")
@click.option("--snapshot", type=int, metavar="ID", help="The files of this snapshot.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def export_manifest(table: str, output: Path | None, snapshot: int | None, config: str | None) -> None:
    """Files that no longer belong to the table stay in the bucket for a while: only such a list tells its rows."""
    try:
        settings = read_settings(config)
        definition = watched(settings, table)[table]
        with contextlib.closing(IcebergLakeView(settings)) as view:
            found = view.current(definition) if snapshot is None else view.snapshot(definition, snapshot)
        text = json.dumps(manifest(list(readable(table, found).files)), indent=1) + "\n"
        if output is None:
            click.echo(text, nl=False)
        else:
            output.write_text(text, encoding="utf-8")
    except OSError as error:
        _refuse(ConfigError(f"cannot write {output}", remedy=str(error.strerror)))
    except DataFingerprintError as error:
        _refuse(error)


@click.command(help="Writes the lake's tables into a folder as a file metastore, for Presto's Iceberg connector.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--follow", is_flag=True, help="Go on, and write a table again after each of its commits.")
@click.option("--every-s", type=click.FloatRange(0.1), default=1.0, help="Seconds between two looks with --follow.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def export_catalog(folder: Path, every_s: float, config: str | None, *, follow: bool) -> None:
    """Once, or until it is told to stop."""
    _told(config, lambda connection, tables: write_metastore(connection, tables, folder), every_s, follow=follow)


@click.command(help="Tells AWS Glue where the present metadata of the lake's tables is, for Redshift and Athena.")
@click.option("--follow", is_flag=True, help="Go on, and tell of a table again after each of its commits.")
@click.option("--every-s", type=click.FloatRange(0.1), default=1.0, help="Seconds between two looks with --follow.")
@click.option("--endpoint", metavar="URL", default="", help="A server that speaks as Glue does; Amazon's by default.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def export_glue(every_s: float, endpoint: str, config: str | None, *, follow: bool) -> None:
    """Once, or until it is told to stop; Glue's databases have the names of the source's schemas."""
    with contextlib.ExitStack() as opened:
        copy: list[GlueCopy] = []

        def tell(connection: LakeConnection, tables: list[TableSchema]) -> list[Exported]:
            if not copy:
                copy.append(opened.enter_context(contextlib.closing(GlueCopy(read_settings(config).s3, endpoint))))
            return copy[0].tell(connection, tables)

        _told(config, tell, every_s, follow=follow)


def _told(
    config: str | None,
    tell: Callable[[LakeConnection, list[TableSchema]], list[Exported]],
    every_s: float,
    *,
    follow: bool,
) -> None:
    """Tells of the tables as they are now, and prints which are new; with `follow` again and again, until a signal."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    told: list[Exported] = []
    is_away = False
    try:
        settings = read_settings(config)
        with contextlib.closing(open_connection(settings)) as connection:
            while not stop.is_set():
                try:
                    written = tell(connection, list(watched(settings).values()))
                    is_away = False
                except Unavailable as error:
                    if not follow:
                        raise
                    if not is_away:
                        click.echo(f"datafingerprint: {error}; trying again", err=True)
                    written, is_away = told, True
                for one in written:
                    if one not in told:
                        click.echo(f"{one.table}  {one.metadata_location}")
                told = written
                if not follow or stop.wait(every_s):
                    break
    except DataFingerprintError as error:
        _refuse(error)


def watched(settings: Settings, table: str | None = None) -> dict[str, TableSchema]:
    """The tables under watch by name.

    Raises:
        ConfigError: the one that is asked for is not.
    """
    with contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as store:
        known = {name: definition for name, (_, definition) in sorted(store.definitions().items())}
    if table is not None and table not in known:
        there = ", ".join(list(known)[:10]) or "none yet"
        raise ConfigError(f"no table {table} is under watch", remedy=f"there are: {there}")
    return known


def readable(table: str, found: SnapshotView | None) -> SnapshotView:
    """A snapshot whose files tell its rows.

    Raises:
        ConfigError: there is no such snapshot, or its files do not.
    """
    if found is None:
        raise ConfigError(f"the lake has no such snapshot of {table}", remedy="look whether the lake writer is running")
    if found.unreadable:
        raise ConfigError(f"the files of {table} do not tell its rows: {found.unreadable}")
    return found


def _refuse(error: DataFingerprintError) -> None:
    click.echo(f"datafingerprint: {error}", err=True)
    sys.exit(STATUS_REFUSED)
