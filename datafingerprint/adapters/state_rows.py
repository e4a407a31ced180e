"""The rows of the state store's tables, as they are written: from values to columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from datafingerprint.adapters.state_tables import stored_sum
from datafingerprint.epochs import Epoch
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import FileSums, Judged, LakeTableState, SumKey
from datafingerprint.schema import TableSchema

Row = dict[str, Any]


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Adds rows."""
    if rows:
        connection.execute(sa.insert(table), list(rows))


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Adds rows, replacing those of the same primary key."""
    if not rows:
        return
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = make(table)
    key = [column.name for column in table.primary_key.columns]
    replaced = {column.name: statement.excluded[column.name] for column in table.c if column.name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=replaced), list(rows))


def definition_row(table: str, definition: tuple[int, TableSchema]) -> Row:
    """A definition, by its table."""
    number, schema = definition
    return {"table_name": table, "number": number, "document": json.dumps(schema.to_json())}


def epoch_row(epoch: Epoch, now: float) -> Row:
    """An epoch without its transactions, recorded at `now`."""
    return {
        "number": epoch.number,
        "committed_at": epoch.committed_at,
        "recorded_at": now,
        "row_count": epoch.rows,
        "message_count": epoch.messages,
        "transaction_count": len(epoch.transactions),
        "record": json.dumps(replace(epoch, transactions=()).to_json()),
    }


def sum_row(key: SumKey, value: Fingerprint) -> Row:
    """A running sum."""
    return {
        "table_name": key.table,
        "partition_name": key.partition,
        "kafka_partition": key.kafka_partition,
        **stored_sum(value),
    }


def history_row(epoch: int, key: SumKey, value: Fingerprint) -> Row:
    """The value of a sum that holds from an epoch on."""
    return {"epoch": epoch, **sum_row(key, value)}


def lake_table_row(state: LakeTableState) -> Row:
    """What is counted of a lake table."""
    return {
        "table_name": state.table,
        "snapshot_id": state.snapshot_id,
        "epoch": state.epoch,
        "is_foreign": state.is_foreign,
        "unreadable": state.unreadable,
        "field_ids": state.field_ids and json.dumps(state.field_ids.to_json(), ensure_ascii=False),
    }


def file_row(table: str, file: FileSums) -> Row:
    """A file that is counted."""
    return {
        "table_name": table,
        "path": file.path,
        "etag": file.etag,
        "octets": file.octets,
        "read_at": file.read_at,
        "unreadable": file.unreadable,
        "filed": json.dumps(file.filed, ensure_ascii=False),
    }


def file_sum_rows(table: str, file: FileSums) -> list[Row]:
    """The sums of a file's partitions."""
    return [
        {"table_name": table, "path": file.path, "partition_name": name, **stored_sum(value)}
        for name, value in file.sums.items()
    ]


def verdict_row(judged: Judged, partition: str, old: Mapping[str, Any] | None, now: float) -> Row:
    """A verdict; `since` is the old one's while the outcome is the same."""
    verdict = judged.verdicts[partition]
    is_same = old is not None and old["outcome"] == verdict.outcome.value
    return {
        "table_name": judged.table,
        "partition_name": partition,
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        "since": old["since"] if old is not None and is_same else now,
        **stored_sum(verdict.source, "source_"),
        **stored_sum(verdict.lake, "lake_"),
    }
