"""Backlogs in a real server's binlog: their tables, and the transactions that make them."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.embedded.warehouse import Warehouse

SCHEMA = "bench"
NUMBERS = f"{SCHEMA}.numbers"
THOUSAND = 1_000
PER_TRANSACTION = 10_000


@dataclass(frozen=True)
class Backlog:
    """Changes of one table.

    Attributes:
        name: The table's name, and that of the case.
        rows: How many changed rows it has, the warm-up's included.
        warm: The first so many of them are the warm-up.
        columns: The columns after `id INT PRIMARY KEY`: name to type and the expression of `n` that fills it.
        updated: Rows that are there before, which it updates; 0 when it inserts.
        per_transaction: Rows of one transaction.
    """

    name: str
    rows: int
    warm: int
    columns: dict[str, tuple[str, str]]
    updated: int = 0
    per_transaction: int = PER_TRANSACTION

    @property
    def table(self) -> str:
        """The table with its schema."""
        return f"{SCHEMA}.{self.name}"

    def prepare(self, warehouse: Warehouse) -> None:
        """Creates the table with the rows to update; the binlog has none of them."""
        columns = "".join(f", {name} {kind}" for name, (kind, _) in self.columns.items())
        statements = [f"DROP TABLE IF EXISTS {self.table}", f"CREATE TABLE {self.table} (id INT PRIMARY KEY{columns})"]
        if self.updated:
            statements += ["SET sql_log_bin = 0", self._insert(1, self.updated)]
        _run(warehouse, statements)

    def fill(self, warehouse: Warehouse) -> None:
        """Creates the backlog, without waiting for the disk at each commit."""
        with Relaxed(warehouse):
            if self.per_transaction == 1:
                self._fill_one_by_one(warehouse)
            else:
                _run(warehouse, [self._statement(first) for first in range(1, self.rows + 1, self.per_transaction)])

    def _statement(self, first: int) -> str:
        last = min(self.rows, first + self.per_transaction - 1)
        if not self.updated:
            return self._insert(first, last)
        turn, start = divmod(first - 1, self.updated)
        values = ", ".join(
            f"{name} = {expression.replace('n', f'(id + {turn + 1})')}"
            for name, (kind, expression) in self.columns.items()
            if kind == "INT"
        )
        return f"UPDATE {self.table} SET {values} WHERE id BETWEEN {start + 1} AND {start + last - first + 1}"

    def _insert(self, first: int, last: int) -> str:
        values = ", ".join(["n", *(expression for _, expression in self.columns.values())])
        return f"INSERT INTO {self.table} SELECT {values} FROM {NUMBERS} WHERE n BETWEEN {first} AND {last}"

    def _fill_one_by_one(self, warehouse: Warehouse) -> None:
        """Lets the server commit row after row: round trips would take minutes."""
        values = ", ".join(["n", *(expression for _, expression in self.columns.values())])
        loop = f"""
            CREATE PROCEDURE {SCHEMA}.one_by_one(last INT) BEGIN
                DECLARE n INT DEFAULT 1;
                WHILE n <= last DO
                    INSERT INTO {self.table} VALUES ({values});
                    COMMIT;
                    SET n = n + 1;
                END WHILE;
            END"""
        drop = f"DROP PROCEDURE IF EXISTS {SCHEMA}.one_by_one"
        _run(warehouse, ["SET sql_log_bin = 0", drop, loop])
        _run(warehouse, [f"CALL {SCHEMA}.one_by_one({self.rows})"])


class Relaxed:
    """In its block the server does not wait for the disk at every commit."""

    SETTINGS = ("sync_binlog", "innodb_flush_log_at_trx_commit")

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def __enter__(self) -> None:
        _run(self._warehouse, [f"SET GLOBAL {name} = 0" for name in self.SETTINGS])

    def __exit__(self, *_: object) -> None:
        _run(self._warehouse, [f"SET GLOBAL {name} = 1" for name in self.SETTINGS])


def make_numbers(warehouse: Warehouse, last: int) -> None:
    """Creates the table `numbers` with 1 to at least `last`, not in the binlog.

    It also grants the account read access to everything.
    """
    most = -(-last // THOUSAND)
    units, values = f"{SCHEMA}.units", ", ".join(f"({number})" for number in range(THOUSAND))
    _run(
        warehouse,
        [
            "SET sql_log_bin = 0",
            f"GRANT ALL ON *.* TO '{warehouse.user}'@'127.0.0.1'",
            f"CREATE DATABASE IF NOT EXISTS {SCHEMA}",
            f"CREATE TABLE {units} (u INT PRIMARY KEY)",
            f"INSERT INTO {units} VALUES {values}",
            f"CREATE TABLE {NUMBERS} (n INT PRIMARY KEY)",
            f"INSERT INTO {NUMBERS} SELECT a.u * {THOUSAND} + b.u + 1 FROM {units} a JOIN {units} b ON a.u < {most}",
        ],
    )


def _run(warehouse: Warehouse, statements: list[str]) -> None:
    """Runs each statement as its own transaction."""
    with warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        connection.autocommit(True)  # noqa: FBT003 - the library's own
        for statement in statements:
            cursor.execute(statement)


_NARROW = {
    "team": ("INT", "n % 30"),
    "hits": ("SMALLINT", "n % 1000"),
    "big": ("BIGINT UNSIGNED", "n * 1000003"),
    "price": ("DECIMAL(12,2)", "n / 100"),
    "runs": ("INT", "n * 7"),
    "name": ("VARCHAR(50)", "CONCAT('player ', n)"),
    "note": ("VARCHAR(200)", "IF(n % 5 = 0, NULL, CONCAT('a note on ', n))"),
    "born": ("DATE", "DATE('2031-04-01') + INTERVAL n % 180 DAY"),
    "seen": ("DATETIME(6)", "TIMESTAMP('2031-04-01 19:05:00') + INTERVAL n * 1001 MICROSECOND"),
    "story": ("TEXT", "REPEAT('x', n % 60)"),
}
_KINDS = (
    ("INT", "n * {}"),
    ("DOUBLE", "SQRT(n * {})"),
    ("DATE", "DATE('2031-04-01') + INTERVAL (n * {}) % 180 DAY"),
    ("VARCHAR(50)", "CONCAT('text ', n * {})"),
    ("SMALLINT", "n % (100 * {})"),
)
_WIDE = {
    f"c{number}": (_KINDS[number % len(_KINDS)][0], _KINDS[number % len(_KINDS)][1].format(number + 1))
    for number in range(55)
}


def narrow(rows: int) -> Backlog:
    """Inserts of 11 columns: integers, decimal, texts, date, datetime(6)."""
    return Backlog("narrow", rows + rows // 5, rows // 5, _NARROW)


def wide(rows: int) -> Backlog:
    """Inserts of 56 columns: integers, doubles, dates, texts."""
    return Backlog("wide", rows + rows // 5, rows // 5, _WIDE)


def updates(rows: int) -> Backlog:
    """Repeated updates of existing rows; 11 columns."""
    return Backlog("updates", rows + rows // 5, rows // 5, _NARROW, updated=4 * PER_TRANSACTION)


def singles(rows: int) -> Backlog:
    """Inserts of 11 columns, each a transaction of its own."""
    return Backlog("singles", rows + rows // 5, rows // 5, _NARROW, per_transaction=1)
