"""`datafingerprint sql`: the statement that computes a table's fingerprint in an engine's own SQL."""

from __future__ import annotations

import contextlib
import sys

import click

from datafingerprint.adapters.settings import read_settings
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.sql import mysql
from datafingerprint.sql.mysql import SESSION, Dialect

STATUS_REFUSED = 2
ABOUT = """\
-- The fingerprint of {table}{part}: per partition the rows, and the sums of the four 32-bit words of the
-- md5 digests of their canonical rows. Modulo 2^64, w0 * 2^32 + w1 is the high half and w2 * 2^32 + w3 the
-- low half, which is the fingerprint that DataFingerprint shows. `unrendered` must be 0.
"""
ABOUT_ROWS = """\
-- Every row of {table}{part}: its partition and the md5 digest of its canonical row.
"""


@click.command(help="Prints the statement that computes a table's fingerprint in the SQL of ENGINE.")
@click.argument("engine", type=click.Choice([dialect.value for dialect in Dialect]))
@click.argument("table", required=False)
@click.option("--all", "every", is_flag=True, help="Print the statements of all tables under watch.")
@click.option("--partition", metavar="NAME", help="Only this partition, such as date_year=2031.")
@click.option("--rows", is_flag=True, help="Print the statement that lists the digest of every row.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(engine: str, table: str | None, partition: str | None, config: str | None, *, every: bool, rows: bool) -> None:
    """Asks the state store for the definitions in force; the source is not asked."""
    try:
        settings = read_settings(config)
        with contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as store:
            known = {name: definition for name, (_, definition) in sorted(store.definitions().items())}
        texts = [
            statement(one, Dialect(engine), partition, rows=rows)
            for one in chosen(known, table, partition, every=every)
        ]
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_REFUSED)
    click.echo("".join(f"{line};\n" for line in SESSION) + "\n" + "\n".join(texts), nl=False)


def chosen(
    known: dict[str, TableSchema], table: str | None, partition: str | None, *, every: bool
) -> list[TableSchema]:
    """The tables that are asked for.

    Raises:
        ConfigError: none, or one that is not under watch.
    """
    there = ", ".join(list(known)[:10]) or "none yet"
    if every == (table is not None):
        raise ConfigError("name one table, or say --all", remedy=f"under watch are: {there}")
    if every and partition is not None:
        raise ConfigError("a partition needs its table", remedy="leave out --all or --partition")
    if every:
        return list(known.values())
    if table not in known:
        raise ConfigError(f"no table {table} is under watch", remedy=f"there are: {there}")
    return [known[table]]


def statement(table: TableSchema, dialect: Dialect, partition: str | None, *, rows: bool) -> str:
    """The statement, with a comment that says what it gives."""
    fields = partitioning(table)
    where = mysql.in_partition(fields, partition, dialect) if partition is not None else ""
    text = (mysql.digests if rows else mysql.sums_by_partition)(table, fields, dialect, where)
    part = f", partition {partition}" if partition is not None else ""
    about = (ABOUT_ROWS if rows else ABOUT).format(table=_on_one_line(table.table), part=_on_one_line(part))
    return f"{about}{text};\n"


def _on_one_line(name: str) -> str:
    # A name may hold a line's end, behind which the comment would be SQL.
    return "".join(letter if letter.isprintable() else "?" for letter in name)


if __name__ == "__main__":
    main()
