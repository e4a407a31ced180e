"""What is read from the state store, all of it in one transaction and so at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state_audit_reading import AuditReading
from datafingerprint.adapters.state_tables import (
    DEFINITIONS,
    EPOCHS,
    FILE_SUMS,
    FILES,
    HISTORY,
    JUDGED,
    LAKE_TABLES,
    PROGRESS,
    RUNNING,
    VERDICTS,
    read_known_sum,
    read_sum,
)
from datafingerprint.adapters.state_values import Backlog, FileCounts, JudgedTable, Recorded
from datafingerprint.epochs import Epoch
from datafingerprint.field_ids import FieldIds
from datafingerprint.fingerprint import MODULUS, ZERO, Fingerprint
from datafingerprint.ledger import FileSums, LakeTableState, Progress, StoredEpoch, StoredVerdict, SumKey
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome, Verdict

_WORD = (1 << 32) - 1


class StateReading(AuditReading):
    """A consistent view of the store, good as long as the transaction that it stands on."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def progress(self) -> Progress:
        """How far the fingerprinter has come."""
        row = self._rows(sa.select(PROGRESS))[0]
        return Progress(
            row["stream_id"], row["epoch"], row["epochs_offset"], row["lake_epoch"], row["lake_commits_offset"]
        )

    def running_sums(self) -> Mapping[SumKey, Fingerprint]:
        """The source's sums at the last epoch stored."""
        return {
            SumKey(row["table_name"], row["partition_name"], row["kafka_partition"]): read_sum(row)
            for row in self._rows(sa.select(RUNNING))
        }

    def source_sums(self, table: str, epoch: int) -> Mapping[str, Fingerprint]:
        """A table's sums by partition at an epoch, all Kafka partitions together.

        One look into the index per key, however long the history is.
        """
        latest = (
            sa.select(sa.func.max(HISTORY.c.epoch))
            .where(*_same_key(HISTORY, RUNNING), HISTORY.c.epoch <= epoch)
            .correlate(RUNNING)
            .scalar_subquery()
        )
        at = HISTORY.alias("at")
        query = (
            sa.select(at.c.partition_name, at.c.row_count, at.c.hi, at.c.lo)
            .select_from(RUNNING.join(at, sa.and_(*_same_key(at, RUNNING), at.c.epoch == latest)))
            .where(RUNNING.c.table_name == table)
        )
        sums: dict[str, Fingerprint] = {}
        for row in self._rows(query):
            name = row["partition_name"]
            sums[name] = sums.get(name, ZERO) + read_sum(row)
        return sums

    def source_rows(self) -> Mapping[str, int]:
        """Rows of every table at the last epoch stored."""
        query = sa.select(RUNNING.c.table_name, sa.func.sum(RUNNING.c.row_count).label("rows")).group_by(
            RUNNING.c.table_name
        )
        return {row["table_name"]: int(row["rows"]) for row in self._rows(query)}

    def epoch(self, number: int) -> StoredEpoch | None:
        """One epoch, without its transactions."""
        found = self._rows(sa.select(EPOCHS).where(EPOCHS.c.number == number))
        return _stored_epoch(found[0]) if found else None

    def epochs(self, *, limit: int, before: int | None = None) -> Sequence[StoredEpoch]:
        """The last epochs, newest first, without their transactions."""
        query = sa.select(EPOCHS).order_by(EPOCHS.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(EPOCHS.c.number < before)
        return [_stored_epoch(row) for row in self._rows(query)]

    def transaction_counts(self, numbers: Sequence[int]) -> Mapping[int, int]:
        """How many source transactions these epochs had."""
        query = sa.select(EPOCHS.c.number, EPOCHS.c.transaction_count).where(EPOCHS.c.number.in_(numbers))
        return {row["number"]: row["transaction_count"] for row in self._rows(query)}

    def recorded_since(self, moment: float) -> Recorded:
        """The epochs whose sums were stored since a Unix time in seconds."""
        rows = sa.func.coalesce(sa.func.sum(EPOCHS.c.row_count), 0)
        query = sa.select(sa.func.count().label("epochs"), rows.label("rows")).where(EPOCHS.c.recorded_at >= moment)
        row = self._rows(query)[0]
        return Recorded(row["epochs"], int(row["rows"]))

    def backlog(self, epoch: int) -> Backlog:
        """What the stored epochs after this one hold."""
        oldest = sa.func.min(sa.case((EPOCHS.c.row_count > 0, EPOCHS.c.committed_at)))
        query = sa.select(
            sa.func.count().label("epochs"),
            sa.func.coalesce(sa.func.sum(EPOCHS.c.row_count), 0).label("rows"),
            oldest.label("committed_at"),
        ).where(EPOCHS.c.number > epoch)
        row = self._rows(query)[0]
        return Backlog(row["epochs"], int(row["rows"]), row["committed_at"])

    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        """Tables under watch, with the number and the text of the definition in force."""
        return {
            row["table_name"]: (row["number"], TableSchema.from_json(json.loads(row["document"])))
            for row in self._rows(sa.select(DEFINITIONS))
        }

    def lake_tables(self) -> Mapping[str, LakeTableState]:
        """What is counted of every lake table."""
        return {
            row["table_name"]: LakeTableState(
                row["table_name"],
                row["snapshot_id"],
                row["epoch"],
                bool(row["is_foreign"]),
                row["unreadable"],
                None if row["field_ids"] is None else FieldIds.from_json(json.loads(row["field_ids"])),
            )
            for row in self._rows(sa.select(LAKE_TABLES))
        }

    def files(self, table: str) -> Mapping[str, FileSums]:
        """The files that are counted for a table, by path."""
        sums: dict[str, dict[str, Fingerprint]] = {}
        for row in self._rows(sa.select(FILE_SUMS).where(FILE_SUMS.c.table_name == table)):
            sums.setdefault(row["path"], {})[row["partition_name"]] = read_sum(row)
        return {
            row["path"]: FileSums(
                row["path"],
                row["etag"],
                row["octets"],
                sums.get(row["path"], {}),
                row["read_at"],
                row["unreadable"],
                tuple(json.loads(row["filed"])),
            )
            for row in self._rows(sa.select(FILES).where(FILES.c.table_name == table))
        }

    def file_counts(self) -> Mapping[str, FileCounts]:
        """How many files every lake table has, and their bytes."""
        query = sa.select(
            FILES.c.table_name,
            sa.func.count().label("files"),
            sa.func.sum(FILES.c.octets).label("octets"),
            sa.func.count(sa.case((FILES.c.unreadable != "", 1))).label("unreadable"),
        ).group_by(FILES.c.table_name)
        return {
            row["table_name"]: FileCounts(row["files"], int(row["octets"]), row["unreadable"])
            for row in self._rows(query)
        }

    def lake_sums(self, table: str) -> Mapping[str, Fingerprint]:
        """A lake table's sums by partition over all its readable files; added up in the database."""
        query = (
            sa.select(
                FILE_SUMS.c.partition_name,
                sa.func.sum(FILE_SUMS.c.row_count).label("rows"),
                *_word_sums("hi"),
                *_word_sums("lo"),
            )
            .where(FILE_SUMS.c.table_name == table)
            .group_by(FILE_SUMS.c.partition_name)
        )
        return {
            row["partition_name"]: Fingerprint(int(row["rows"]), _joined(row, "hi"), _joined(row, "lo"))
            for row in self._rows(query)
        }

    def unreadable(self, table: str) -> Mapping[str, str]:
        """Partitions of a lake table with a file that cannot be read, and why."""
        same = (FILES.c.table_name == FILE_SUMS.c.table_name) & (FILES.c.path == FILE_SUMS.c.path)
        query = (
            sa.select(FILE_SUMS.c.partition_name, FILES.c.unreadable, FILES.c.path)
            .select_from(FILES.join(FILE_SUMS, same))
            .where((FILES.c.table_name == table) & (FILES.c.unreadable != ""))
        )
        return {row["partition_name"]: f"{row['unreadable']}: {row['path']}" for row in self._rows(query)}

    def judged_tables(self) -> Mapping[str, JudgedTable]:
        """Every table that was ever judged, those without any partition as well."""
        return {row["table_name"]: JudgedTable(row["epoch"], row["judged_at"]) for row in self._rows(sa.select(JUDGED))}

    def verdicts(self, table: str | None = None) -> Sequence[StoredVerdict]:
        """The present verdicts, ordered by table and partition."""
        query = sa.select(VERDICTS, JUDGED.c.epoch).join(JUDGED, VERDICTS.c.table_name == JUDGED.c.table_name)
        if table is not None:
            query = query.where(VERDICTS.c.table_name == table)
        found = [_stored_verdict(row) for row in self._rows(query)]
        return sorted(found, key=lambda one: (one.table, one.partition))  # here: databases collate differently

    def _rows(self, query: sa.Select[Any]) -> Sequence[Mapping[Any, Any]]:
        return self._connection.execute(query).mappings().all()


def _same_key(left: sa.FromClause, right: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    return [left.c[name] == right.c[name] for name in ("table_name", "partition_name", "kafka_partition")]


def _word_sums(half: str) -> list[sa.ColumnElement[Any]]:
    """The sums of the high and low 32-bit words; those of whole halves would overflow."""
    column = FILE_SUMS.c[half]
    # PostgreSQL shifts by an integer of 32 bits only, and a plain number would become one of 64, as the column is.
    high = column.bitwise_rshift(sa.literal(32, sa.Integer)).bitwise_and(_WORD)
    return [
        sa.func.sum(high).label(f"{half}_high"),
        sa.func.sum(column.bitwise_and(_WORD)).label(f"{half}_low"),
    ]


def _joined(row: Mapping[Any, Any], half: str) -> int:
    return ((int(row[f"{half}_high"]) << 32) + int(row[f"{half}_low"])) % MODULUS


def _stored_epoch(row: Mapping[Any, Any]) -> StoredEpoch:
    return StoredEpoch(Epoch.from_json(json.loads(row["record"])), row["recorded_at"])


def _stored_verdict(row: Mapping[Any, Any]) -> StoredVerdict:
    verdict = Verdict(
        Outcome(row["outcome"]), row["reason"], read_known_sum(row, "source_"), read_known_sum(row, "lake_")
    )
    return StoredVerdict(row["table_name"], row["partition_name"], row["epoch"], verdict, row["since"])
