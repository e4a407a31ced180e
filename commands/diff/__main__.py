"""`datafingerprint diff [TABLE]`: names the rows that differ, without a scan of either side."""

from __future__ import annotations

import contextlib
import json
import sys

import click

from commands.diff.rendering import lines
from datafingerprint.adapters.iceberg.connection import open_connection
from datafingerprint.adapters.iceberg.rows import LakeRowReader
from datafingerprint.adapters.mysql.source_rows import SourceRowReader
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import Settings
from datafingerprint.differences import DiffState, PartitionDiff
from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.row_differ import RowDiffer, overall

STATUS = {DiffState.SAME: 0, DiffState.DIFFERS: 1, DiffState.UNKNOWN: 2}
STATUS_REFUSED = 2


@click.command(help="Names the rows that differ, in TABLE or in all tables, with the values of both sides.")
@click.argument("table", required=False)
@click.option("--partition", metavar="NAME", help="Only this partition of the table, such as date_year=2031.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Name so many rows at most.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(table: str | None, partition: str | None, limit: int, config: str | None, *, as_json: bool) -> None:
    """Exit status 0 when nothing differs, 1 when something does, 2 when it cannot be decided."""
    try:
        if partition is not None and table is None:
            raise ConfigError("a partition is given without its table", remedy="datafingerprint diff TABLE --partition")
        diffs = run(read_settings(config), table, partition, limit)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_REFUSED)
    if as_json:
        click.echo(json.dumps({"partitions": [item.to_json() for item in diffs]}, indent=2, ensure_ascii=False))
    else:
        for item in diffs:
            for line in lines(item):
                click.echo(line)
        if not diffs:
            click.echo("no difference: every partition matches")
    sys.exit(STATUS[overall(diffs)])


def run(settings: Settings, table: str | None, partition: str | None, limit: int) -> list[PartitionDiff]:
    """What differs; neither side is asked for anything where all partitions match.

    Raises:
        DataFingerprintError: it cannot be decided.
    """
    with (
        contextlib.closing(SqlStateStore(settings.state.database.get_secret_value())) as store,
        contextlib.closing(open_connection(settings, make_tables=False)) as lake,
    ):
        source = SourceRowReader(settings)
        return RowDiffer(store.reading, LakeRowReader(lake).find, source.find, settings.redacted).diff(
            table, partition, limit
        )


if __name__ == "__main__":
    main()
