"""A league table with many rows, copied by the server as `generate --scale` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pymysql.cursors import Cursor

from bench.backlogs import Relaxed
from bench.processes import Service
from deploy.embedded.stack import EmbeddedStack
from deploy.embedded.warehouse import Warehouse
from services.generator.numbers import COPIES_MAX, Numbers, numbers_for
from services.generator.scaling import ROWS_OF_A_TRANSACTION, Numbered, copying, numbered_tables

SCHEMA = "ootp"
_COLUMNS = (
    "SELECT table_name, column_name, data_type, column_key = 'PRI' FROM information_schema.columns "
    f"WHERE table_schema = '{SCHEMA}' ORDER BY table_name, ordinal_position"
)


def seed(stack: EmbeddedStack, directory: Path) -> None:
    """Loads the league of the first day."""
    warehouse = stack.blueprint.warehouse
    with warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute(f"GRANT ALL ON *.* TO '{warehouse.user}'@'127.0.0.1'")
    generator = Service("generator", stack.environment(), directory)
    generator.start("--seed-only")
    generator.wait()


@dataclass(frozen=True)
class LeagueTable:
    """One of the league's tables.

    Attributes:
        name: Its name.
        rows: How many rows it shall have at least.
    """

    name: str
    rows: int

    @property
    def table(self) -> str:
        """The table with its schema."""
        return f"{SCHEMA}.{self.name}"

    def prepare(self, warehouse: Warehouse) -> None:
        """Does nothing: the seed has the rows."""

    def fill(self, warehouse: Warehouse) -> int:
        """Makes copies until there are enough rows.

        Returns:
            The number of rows.

        Raises:
            SystemExit: the league cannot be copied so often.
        """
        with Relaxed(warehouse), warehouse.connect() as connection, connection.cursor() as cursor:
            connection.autocommit(True)  # noqa: FBT003 - the library's own
            cursor.execute(f"USE {SCHEMA}")
            originals = self._count(cursor)
            copies = -(-self.rows // originals)
            if copies > COPIES_MAX:
                raise SystemExit(f"{self.table} has at most {originals * COPIES_MAX:,} rows: ask for fewer")
            table = self._numbered(cursor, numbers_for(copies))
            at_once = max(ROWS_OF_A_TRANSACTION // originals, 1)
            for first in range(1, copies, at_once):
                cursor.execute(copying(table, range(first, min(first + at_once, copies))).sql)
            return self._count(cursor)

    def _count(self, cursor: Cursor) -> int:
        cursor.execute(f"SELECT count(*) FROM {self.table}")
        ((rows,),) = cursor.fetchall()
        return int(rows)

    def _numbered(self, cursor: Cursor, numbers: Numbers) -> Numbered:
        cursor.execute(_COLUMNS)
        described = [(str(a), str(b), str(c), int(d)) for a, b, c, d in cursor.fetchall()]
        tables = {table.name: table for table in numbered_tables(described, numbers)}
        if self.name not in tables:
            raise SystemExit(f"{self.name} is not a table of a league: choose one of {', '.join(tables)}")
        return tables[self.name]
