"""`datafingerprint name`: maps a table's name between source and lake."""

from __future__ import annotations

import sys

import click

from datafingerprint.errors import ConfigError
from datafingerprint.exit_statuses import ExitStatus
from datafingerprint.names import name_at_source, names_in_lake


@click.command(help="Prints the lake's name of each TABLE of the source, schema.table. Connects to nothing.")
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option("--from-lake", is_flag=True, help="TABLE is the lake's name. Print the source's.")
def main(tables: tuple[str, ...], *, from_lake: bool) -> None:
    """Prints one line for each name. A name with several dots has one line for each reading."""
    try:
        names = [name for table in tables for name in ([name_at_source(table)] if from_lake else names_in_lake(table))]
    except ConfigError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)
    click.echo("\n".join(names))


if __name__ == "__main__":
    main()
