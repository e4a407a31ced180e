"""The generator's progress, in a table that is written in the same transaction as the rows.

It also marks the schema as the generator's. A schema with tables and without it is not touched.
"""

from __future__ import annotations

from services.generator.ports import Warehouse
from services.generator.statements import Statement, quoted

PROGRESS = "generator_progress"
_TABLES = Statement("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
_CREATE = Statement(
    f"CREATE TABLE {quoted(PROGRESS)} (`step` VARCHAR(255) NOT NULL, `done` INT NOT NULL, `complete` TINYINT NOT NULL,"
    " PRIMARY KEY (`step`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
)


def table_names(warehouse: Warehouse) -> frozenset[str]:
    """Every table of the schema."""
    return frozenset(str(name) for (name,) in warehouse.query(_TABLES))


def create_progress(warehouse: Warehouse) -> None:
    """Makes the table. The schema is the generator's from now on."""
    warehouse.transact([_CREATE])


def read_progress(warehouse: Warehouse) -> dict[str, tuple[int, bool]]:
    """Every step that was started: how much of it is done, and whether that is all."""
    rows = warehouse.query(Statement(f"SELECT `step`, `done`, `complete` FROM {quoted(PROGRESS)}"))
    return {step: (done, bool(complete)) for step, done, complete in rows}


def begin(step: str) -> Statement:
    """Starts a step."""
    return Statement(f"INSERT INTO {quoted(PROGRESS)} (`step`, `done`, `complete`) VALUES (%s, 0, 0)", (step,))


def note(step: str, done: int, *, complete: bool) -> Statement:
    """Records a step's progress, in the transaction that made it. It changes one row."""
    sql = f"UPDATE {quoted(PROGRESS)} SET `done` = %s, `complete` = %s WHERE `step` = %s"
    return Statement(sql, (done, int(complete), step))
