"""Loads the seed files into an empty schema, and finishes a load that was interrupted.

A file's inserts are one transaction, after its `CREATE TABLE IF NOT EXISTS`; so a table that has any row is complete.
Files are loaded in the order of `TABLES`; once the last one (`team_record`) has rows the league is there, and
no table is looked at again, be it emptied on purpose. `leagues` is the first: if it holds other leagues than
ours, the schema is somebody's own export, and nothing is written to it.
"""

from __future__ import annotations

from collections.abc import Callable

from datafingerprint.errors import ConfigError, SourceError
from services.generator.names import LEAGUES
from services.generator.ports import Warehouse
from services.generator.seed_sql import END_OF_STATEMENT, seed_file
from services.generator.statements import Statement, quoted
from services.generator.tables import TABLES, Table

Progress = Callable[[str, int], None]


def ensure_seed(warehouse: Warehouse, progress: Progress) -> None:
    """Loads what is missing of the seed.

    Args:
        warehouse: Where to.
        progress: Told the table and its rows after each file.

    Raises:
        SourceError: the schema holds another league.
        ConfigError: a seed file is missing.
    """
    _refuse_foreign_league(warehouse)
    if _has_rows(warehouse, TABLES[-1]):
        return
    for table in TABLES:
        if not _has_rows(warehouse, table):
            create, *inserts = _file_statements(table)
            warehouse.transact([create])  # by itself: the server commits around it, and ends a transaction
            progress(table.name, warehouse.transact(inserts))


def _refuse_foreign_league(warehouse: Warehouse) -> None:
    leagues = TABLES[0]
    if not _has_rows(warehouse, leagues):
        if any(_has_rows(warehouse, table) for table in TABLES[1:]):
            raise _foreign("tables with rows, but no leagues")
        return
    found = dict(warehouse.query(Statement("SELECT `league_id`, `name` FROM `leagues`")))
    if found != {league_id: name.name for league_id, name in LEAGUES.items()}:
        raise _foreign("other leagues than the generator's")


def _foreign(what: str) -> SourceError:
    return SourceError(
        f"the schema holds {what}",
        where="the generator's schema",
        remedy="name an empty or new one as generator.schema_name; nothing was written",
    )


def _has_rows(warehouse: Warehouse, table: Table) -> bool:
    exists = Statement(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s", (table.name,)
    )
    if not warehouse.query(exists):
        return False
    return bool(warehouse.query(Statement(f"SELECT 1 FROM {quoted(table.name)} LIMIT 1")))


def _file_statements(table: Table) -> list[Statement]:
    path = seed_file(table.name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        remedy = "run from a checkout of the project, or write them with python -m services.generator.seed_sql"
        raise ConfigError(f"cannot read a seed file ({error.strerror})", where=str(path), remedy=remedy) from None
    return [Statement(sql) for sql in text.split(END_OF_STATEMENT) if sql]
