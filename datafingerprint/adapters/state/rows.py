"""The rows of the state store's tables, as they are written: from values to columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from datafingerprint.adapters.state.checksums import sealed
from datafingerprint.adapters.state.tables import stored_sum
from datafingerprint.cascades import Suspicion
from datafingerprint.epochs import Epoch
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import FileSums, LakeTableState, SketchStep, StoredSketch, SumKey, TableVerdicts
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

Row = dict[str, Any]


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Adds rows."""
    if rows:
        connection.execute(sa.insert(table), sealed(table, rows))


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Adds rows, replacing those of the same primary key."""
    if not rows:
        return
    statement = _insert_of(connection, table)
    key = [column.name for column in table.primary_key.columns]
    replaced = {column.name: statement.excluded[column.name] for column in table.c if column.name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=replaced), sealed(table, rows))


def _insert_of(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """The dialect's own INSERT, which can replace rows."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - a service over SQLite starts without it

    return postgresql.insert(table)


def definition_row(table: str, definition: tuple[int, TableSchema]) -> Row:
    """A definition, by its table."""
    number, schema = definition
    return {"table_name": table, "number": number, "document": json.dumps(schema.to_json())}


def epoch_row(epoch: Epoch, now: float) -> Row:
    """An epoch without its transactions and tables; `tables_document` has the tables."""
    return {
        "number": epoch.number,
        "committed_at": epoch.committed_at,
        "recorded_at": now,
        "row_count": epoch.rows,
        "message_count": epoch.messages,
        "transaction_count": len(epoch.transactions),
        "record": json.dumps(replace(epoch, transactions=(), versions={}, snapshots={}).to_json()),
        "tables_key": tables_key(tables_document(epoch)),
    }


def tables_document(epoch: Epoch) -> str:
    """The versions and snapshots of an epoch's tables."""
    document = epoch.to_json()
    return json.dumps({"versions": document["versions"], "snapshots": document["snapshots"]})


def tables_key(document: str) -> str:
    """What a document of an epoch's tables is stored under."""
    return hashlib.sha256(document.encode()).hexdigest()


def sum_row(key: SumKey, value: Fingerprint) -> Row:
    """A running sum."""
    return key_columns(key) | stored_sum(value)


def history_row(epoch: int, key: SumKey, value: Fingerprint) -> Row:
    """The value of a sum that holds from an epoch on."""
    return {"epoch": epoch, **sum_row(key, value)}


def suspicion_row(suspicion: Suspicion) -> Row:
    """A table that may have changed unlogged."""
    return {
        "table_name": suspicion.table,
        "first_epoch": suspicion.first_epoch,
        "last_epoch": suspicion.last_epoch,
        "reason": suspicion.reason,
        "is_cascade": suspicion.is_cascade,
    }


def lake_table_row(state: LakeTableState) -> Row:
    """What is counted of a lake table."""
    return {
        "table_name": state.table,
        "snapshot_id": state.snapshot_id,
        "epoch": state.epoch,
        "is_foreign": state.is_foreign,
        "unreadable": state.unreadable,
        "field_ids": state.field_ids and json.dumps(state.field_ids.to_json(), ensure_ascii=False),
        "set_aside": state.set_aside,
    }


def file_row(table: str, file: FileSums) -> Row:
    """A file that is counted."""
    return {
        "table_name": table,
        "path": file.path,
        "etag": file.etag,
        "octets": file.size_bytes,
        "read_at": file.read_at,
        "unreadable": file.unreadable,
        "filed": json.dumps(file.partitions, ensure_ascii=False),
    }


def file_sum_rows(table: str, file: FileSums) -> list[Row]:
    """The sums of a file's partitions."""
    return [
        {"table_name": table, "path": file.path, "partition_name": name, **stored_sum(value)}
        for name, value in file.sums.items()
    ]


def file_sketch_rows(table: str, file: FileSums) -> list[Row]:
    """The sketches of a file's partitions."""
    return [
        {"table_name": table, "path": file.path, "partition_name": name, **sketch_columns(sketch)}
        for name, sketch in file.sketches.items()
    ]


def sketch_columns(sketch: StoredSketch) -> Row:
    """The columns of a sketch."""
    return {"form": sketch.form, "cells": sketch.cells}


def key_columns(key: SumKey) -> Row:
    """The columns that name a running sum."""
    return {"table_name": key.table, "partition_name": key.partition, "kafka_partition": key.kafka_partition}


def sketch_row(key: SumKey, sketch: StoredSketch) -> Row:
    """The sketch of a running sum."""
    return key_columns(key) | sketch_columns(sketch)


def sketch_step_row(step: SketchStep) -> Row:
    """What an epoch changes in a sketch."""
    return sketch_row(step.key, step.change) | {"epoch": step.epoch, "starts": step.starts}


def verdict_row(judged: TableVerdicts, partition: str, old: Mapping[str, Any] | None, now: float) -> Row:
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
        "point_at": old["point_at"] if old is not None else None,
    }


def judged_row(judged: TableVerdicts, now: float) -> Row:
    """The summary of a table's verdicts."""
    outcomes = [verdict.outcome for verdict in judged.verdicts.values()]
    return {
        "table_name": judged.table,
        "epoch": judged.epoch,
        "judged_at": now,
        "matches": outcomes.count(Outcome.MATCH),
        "mismatches": outcomes.count(Outcome.MISMATCH),
        "inconclusives": outcomes.count(Outcome.INCONCLUSIVE),
        "source_row_count": _row_count([verdict.source for verdict in judged.verdicts.values()]),
        "lake_row_count": _row_count([verdict.lake for verdict in judged.verdicts.values()]),
    }


def _row_count(sums: Sequence[Fingerprint | None]) -> int | None:
    """The rows of all partitions; None if one of them is unknown."""
    known = [value.rows for value in sums if value is not None]
    return sum(known) if len(known) == len(sums) else None
