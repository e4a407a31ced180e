"""`datafingerprint sql`: the statement that computes a table's fingerprint in an engine's own SQL."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace

import click

from datafingerprint.adapters.lake_view import IcebergLakeView
from datafingerprint.adapters.scan_duckdb import secret
from datafingerprint.adapters.settings import read_settings
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.gtid import is_of_mariadb
from datafingerprint.schema import TableSchema
from datafingerprint.sql.comparison import SOURCE
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.mysql import Dialect
from services.statements.printing import (
    ENGINES,
    SOURCE_ENGINES,
    LiveFiles,
    Wanted,
    on_one_line,
    require_sense,
    session,
    statement,
)

STATUS_REFUSED = 2


@click.command(help="Prints the statement that computes a table's fingerprint in the SQL of ENGINE.")
@click.argument("engine", type=click.Choice(ENGINES))
@click.argument("table", required=False)
@click.option("--all", "every", is_flag=True, help="Print the statements of all tables under watch.")
@click.option("--partition", metavar="NAME", help="Only this partition, such as date_year=2031.")
@click.option("--rows", is_flag=True, help="Print the statement that lists the digest of every row.")
@click.option(
    "--compare", is_flag=True, help="Trino, Presto: one statement over warehouse and lake; gives what differs."
)
@click.option(
    "--server",
    type=click.Choice(SOURCE_ENGINES),
    help="What the warehouse of --compare is, unless it is as the last epoch's position says.",
)
@click.option("--catalog", metavar="NAME", default="", help="The engine's name of the lake, unless it is the default.")
@click.option(
    "--source-catalog",
    metavar="NAME",
    default="",
    help=f"The engine's name of the warehouse, for --compare; {SOURCE} by default.",
)
@click.option("--external", is_flag=True, help="Redshift: the external table over a manifest of the live files.")
@click.option("--snapshot", type=int, metavar="ID", help="Read this snapshot of the lake's table.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(
    engine: str,
    table: str | None,
    partition: str | None,
    server: str | None,
    catalog: str,
    source_catalog: str,
    snapshot: int | None,
    config: str | None,
    *,
    every: bool,
    rows: bool,
    compare: bool,
    external: bool,
) -> None:
    """Asks the state store for the definitions in force, and the lake for live files; the source is not asked."""
    said = Dialect(server) if server else None
    wanted = Wanted(engine, partition, rows, compare, catalog, snapshot, said, source_catalog, external)
    try:
        require_sense(wanted)
        settings = read_settings(config)
        with contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as store:
            if compare and said is None:
                wanted = replace(wanted, server=server_of(store))
            known = {name: definition for name, (_, definition) in sorted(store.definitions().items())}
        texts = printed(settings, chosen(known, table, wanted, every=every), wanted, skipping=every)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_REFUSED)
    begin = "" if external else "".join(f"{line};\n" for line in session(engine))
    click.echo((begin + "\n" if begin else "") + "\n".join(texts), nl=False)


def server_of(store: SqlStateStore) -> Dialect | None:
    """What the warehouse is, by the position of the last epoch; None before the first."""
    last = store.epoch(store.progress().epoch)
    of_mariadb = is_of_mariadb(last.epoch.position.gtid) if last else None
    return None if of_mariadb is None else Dialect.MARIADB if of_mariadb else Dialect.MYSQL


def printed(settings: Settings, tables: list[TableSchema], wanted: Wanted, *, skipping: bool) -> list[str]:
    """The statements; of several tables, one that is refused leaves a comment that says why.

    Raises:
        ConfigError: the only table is refused.
    """
    with contextlib.ExitStack() as opened:
        needs_files = wanted.engine in LAKE_ENGINES and LAKE_ENGINES[wanted.engine].needs_files
        view = opened.enter_context(contextlib.closing(IcebergLakeView(settings))) if needs_files else None

        def files(table: TableSchema) -> LiveFiles:
            return live_files(settings, view, table, wanted.snapshot_id) if view else LiveFiles(())

        manifests = f"s3://{settings.s3.bucket}/manifests"
        return [_one(table, wanted, files, manifests, skipping=skipping) for table in tables]


def _one(
    table: TableSchema, wanted: Wanted, files: Callable[[TableSchema], LiveFiles], manifests: str, *, skipping: bool
) -> str:
    try:
        return statement(table, wanted, files, manifests)
    except ConfigError as error:
        if not skipping:
            raise
        return f"-- {on_one_line(str(error))}\n"


def live_files(settings: Settings, view: IcebergLakeView, table: TableSchema, snapshot_id: int | None) -> LiveFiles:
    """The files of a snapshot of a lake table, the present one by default.

    Raises:
        ConfigError: there is no such table or snapshot, or files alone do not tell its rows.
    """
    found = view.current(table) if snapshot_id is None else view.snapshot(table, snapshot_id)
    if found is None:
        what = "table" if snapshot_id is None else f"snapshot {snapshot_id}"
        raise ConfigError(f"the lake has no {what} of {table.table}", remedy="look whether the lake writer is running")
    if found.unreadable:
        raise ConfigError(f"the files of {table.table} do not tell its rows: {found.unreadable}")
    paths = tuple(sorted(file.path for file in found.files))
    keys = {"KEY_ID": "...", "SECRET": "..."}
    return LiveFiles(paths, found.snapshot_id, secret(settings.s3, keys), settings.lake.grace_s)


def chosen(known: dict[str, TableSchema], table: str | None, wanted: Wanted, *, every: bool) -> list[TableSchema]:
    """The tables that are asked for.

    Raises:
        ConfigError: none, or one that is not under watch.
    """
    there = ", ".join(list(known)[:10]) or "none yet"
    if every == (table is not None):
        raise ConfigError("name one table, or say --all", remedy=f"under watch are: {there}")
    if every and wanted.partition is not None:
        raise ConfigError("a partition needs its table", remedy="leave out --all or --partition")
    if every and wanted.snapshot_id is not None:
        raise ConfigError("a snapshot is one table's", remedy="leave out --all or --snapshot")
    if every:
        return list(known.values())
    if table not in known:
        raise ConfigError(f"no table {table} is under watch", remedy=f"there are: {there}")
    return [known[table]]


if __name__ == "__main__":
    main()
