"""`datafingerprint sql`: prints a table's fingerprint as SQL of an engine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import replace

import click

from commands.sql.printing import (
    ENGINES,
    SOURCE_ENGINES,
    LiveFiles,
    StatementChoice,
    on_one_line,
    require_sense,
    session,
    statement,
)
from datafingerprint.adapters.engines.duckdb import secret
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.captured import captured_definitions, captured_tables_are, not_captured_error
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.exit_statuses import ExitStatus
from datafingerprint.gtid import is_of_mariadb
from datafingerprint.recovery import repair_of_lake_table
from datafingerprint.schema import TableSchema
from datafingerprint.sql.comparison import SOURCE
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.mysql import Dialect


@click.command(help="Prints the statement that computes a table's fingerprint in the SQL of ENGINE.")
@click.argument("engine", type=click.Choice(ENGINES))
@click.argument("table", required=False)
@click.option("--all", "every", is_flag=True, help="Print the statements of all captured tables.")
@click.option("--partition", metavar="NAME", help="Only this partition, such as date_year=2031.")
@click.option("--rows", is_flag=True, help="Print the statement that lists the digest of every row.")
@click.option(
    "--compare", is_flag=True, help="Trino, Presto: one statement over source and lake that lists differing partitions."
)
@click.option(
    "--server",
    type=click.Choice(SOURCE_ENGINES),
    help="Kind of the source for --compare. By default that of the last epoch's position.",
)
@click.option("--catalog", metavar="NAME", default="", help="The engine's catalog of the lake, if not the default.")
@click.option(
    "--source-catalog",
    metavar="NAME",
    default="",
    help=f"The engine's catalog of the source, for --compare; {SOURCE} by default.",
)
@click.option("--external", is_flag=True, help="Redshift: print the external table over a manifest of the live files.")
@click.option("--snapshot", type=int, metavar="ID", help="Read this snapshot of the lake table.")
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
    """Reads definitions from the state store, and live files from the lake, never the source."""
    dialect = Dialect(server) if server else None
    wanted = StatementChoice(engine, partition, rows, compare, catalog, snapshot, dialect, source_catalog, external)
    try:
        require_sense(wanted)
        settings = read_settings(config)
        with contextlib.closing(SqlStateStore(settings.state.database.get_secret_value())) as store:
            if compare and dialect is None:
                wanted = replace(wanted, server=server_of(store))
            definitions = captured_definitions(store.definitions())
        texts = statements(settings, tables_of(definitions, table, wanted, every=every), wanted, skips=every)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)
    opening = "" if external else "".join(f"{line};\n" for line in session(engine))
    click.echo((opening + "\n" if opening else "") + "\n".join(texts), nl=False)


def server_of(store: SqlStateStore) -> Dialect | None:
    """The kind of the source, by the position of the last epoch. None before the first epoch."""
    last = store.epoch(store.progress().epoch)
    of_mariadb = is_of_mariadb(last.epoch.position.gtid) if last else None
    return None if of_mariadb is None else Dialect.MARIADB if of_mariadb else Dialect.MYSQL


def statements(settings: Settings, tables: list[TableSchema], wanted: StatementChoice, *, skips: bool) -> list[str]:
    """The statement of each table.

    Args:
        settings: Of lake and store.
        tables: The tables.
        wanted: The kind of statement.
        skips: Whether a refused table is replaced by a comment with the reason.

    Raises:
        ConfigError: A table is refused, and `skips` is False.
    """
    with contextlib.ExitStack() as opened:
        needs_files = wanted.engine in LAKE_ENGINES and LAKE_ENGINES[wanted.engine].needs_files
        view = opened.enter_context(contextlib.closing(IcebergLakeView(settings))) if needs_files else None

        def files(table: TableSchema) -> LiveFiles:
            return live_files(settings, view, table, wanted.snapshot_id) if view else LiveFiles(())

        manifests = f"s3://{settings.s3.bucket}/manifests"
        return [_statement(table, wanted, files, manifests, skips=skips) for table in tables]


def _statement(
    table: TableSchema,
    wanted: StatementChoice,
    files: Callable[[TableSchema], LiveFiles],
    manifests: str,
    *,
    skips: bool,
) -> str:
    try:
        return statement(table, wanted, files, manifests)
    except ConfigError as error:
        if not skips:
            raise
        return f"-- {on_one_line(str(error))}\n"


def live_files(settings: Settings, view: IcebergLakeView, table: TableSchema, snapshot_id: int | None) -> LiveFiles:
    """The files of a snapshot of a lake table, by default the present one.

    Raises:
        ConfigError: There is no such table or snapshot, or its files are not the table's rows.
    """
    snapshot = view.current(table) if snapshot_id is None else view.snapshot(table, snapshot_id)
    if snapshot is None:
        what = "table" if snapshot_id is None else f"snapshot {snapshot_id}"
        raise ConfigError(f"the lake has no {what} of {table.table}", remedy="check that the lake writer runs")
    if snapshot.unreadable:
        raise ConfigError(
            f"the files of {table.table} are not its rows: {snapshot.unreadable}",
            remedy=repair_of_lake_table(table.table),
        )
    paths = tuple(sorted(file.path for file in snapshot.files))
    keys = {"KEY_ID": "...", "SECRET": "..."}
    return LiveFiles(paths, snapshot.snapshot_id, secret(settings.s3, keys), settings.lake.grace_s)


def tables_of(
    definitions: dict[str, TableSchema], table: str | None, wanted: StatementChoice, *, every: bool
) -> list[TableSchema]:
    """The tables that the arguments name.

    Raises:
        ConfigError: No table is named, the table is not captured, or options contradict each other.
    """
    if every == (table is not None):
        raise ConfigError("name one table, or use --all", remedy=captured_tables_are(definitions))
    if every and wanted.partition is not None:
        raise ConfigError("a partition needs its table", remedy="leave out --all or --partition")
    if every and wanted.snapshot_id is not None:
        raise ConfigError("a snapshot belongs to one table", remedy="leave out --all or --snapshot")
    if every:
        return list(definitions.values())
    if table is None or table not in definitions:
        raise not_captured_error(table or "", definitions)
    return [definitions[table]]


if __name__ == "__main__":
    main()
