"""A state store with as many tables and partitions as wanted, of which few do not match."""

from __future__ import annotations

from dataclasses import replace

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.epochs import SnapshotCursor
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import Advance, Progress, TableVerdicts
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome, Verdict
from tests.api.conftest import epoch, table

AWKWARD = ("<script>alert(1)</script>", "größe_данные_表", "n" * 60)
"""Names of tables that come first: markup, other scripts, and a long one."""

ROWS = Fingerprint(1000, 3, 4)
FEWER = Fingerprint(999, 3, 5)


def fill(store: SqlStateStore, tables: int, partitions: int) -> list[str]:
    """Stores verdicts. Each tenth table has a partition that differs, each seventh one that is undecided.

    Returns:
        The names of the tables.
    """
    schemas = [table(name, "league_id") for name in (*AWKWARD, *(f"table_{n:04}" for n in range(tables - 3)))]
    complete = {schema.table: SnapshotCursor(9, 9, complete=True) for schema in schemas}
    epochs = [replace(epoch(number, 1), snapshots=complete) for number in (1, 2, 3)]
    definitions = {schema.table: (number, schema) for number, schema in enumerate(schemas, 1)}
    store.advance(Progress(), Advance(Progress("stream", 3, 3), epochs, [], definitions))
    judged = [_verdicts(number, schema, partitions) for number, schema in enumerate(schemas)]
    store.save_verdicts(Progress("stream", 3, 3, 3, 1), judged, 1_000_010.0)
    return [schema.table for schema in schemas]


def _verdicts(number: int, schema: TableSchema, partitions: int) -> TableVerdicts:
    verdicts = {f"league_id={n:05}": Verdict(Outcome.MATCH, "", ROWS, ROWS) for n in range(partitions)}
    if number % 10 == 0:
        verdicts["league_id=00007"] = Verdict(Outcome.MISMATCH, "1 row is missing in the lake", ROWS, FEWER)
    if number % 7 == 0:
        verdicts["league_id=00005"] = Verdict(Outcome.INCONCLUSIVE, "snapshot at 40 %", ROWS, None)
    return TableVerdicts(schema.table, 3, verdicts)
