"""Reads the state store: each method for itself, or several at one moment."""

from __future__ import annotations

import json
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import sqlalchemy as sa

from datafingerprint.adapters.state.audit_reading import AuditReading
from datafingerprint.adapters.state.checksums import REBUILD, damage, is_sound, require_sound
from datafingerprint.adapters.state.history import point_of, points_query
from datafingerprint.adapters.state.rows import tables_key
from datafingerprint.adapters.state.sketch_reading import SketchReading
from datafingerprint.adapters.state.tables import (
    DEFINITIONS,
    EPOCH_TABLES,
    EPOCHS,
    FILE_SUMS,
    FILES,
    HISTORY,
    JUDGED,
    LAKE_TABLES,
    PROGRESS,
    RUNNING,
    SOURCE_TABLES,
    SUMMARY,
    SUSPICIONS,
    VERDICTS,
    read_known_sum,
    read_sum,
)
from datafingerprint.cascades import Suspicion
from datafingerprint.epochs import Epoch, SnapshotCursor
from datafingerprint.errors import StateError
from datafingerprint.field_ids import FieldIds
from datafingerprint.fingerprint import MODULUS, ZERO, Fingerprint
from datafingerprint.history import HistoryPoint
from datafingerprint.ledger import FileSums, LakeTableState, Progress, StoredEpoch, StoredVerdict, SumKey, TableSums
from datafingerprint.ports.state_values import Backlog, FileCounts, JudgedTable, OutcomeCounts, Recorded, StateTotals
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome, Verdict

_Name = TypeVar("_Name")

_WORD = (1 << 32) - 1

NAMES_AT_ONCE = 400
"""Names of one `IN`: SQLite allows some thousand values, PostgreSQL plans a long list slowly."""

_Tables = tuple[Mapping[str, int], Mapping[str, SnapshotCursor]]
"""The versions and snapshots of an epoch's tables."""


class EpochTablesCache:
    """Keeps the last documents of `epoch_tables` that were read; used by several threads.

    Most epochs share their document with the epoch before.
    """

    SIZE = 8

    def __init__(self) -> None:
        self._known: dict[str, _Tables] = {}
        self._lock = threading.Lock()

    def get(self, key: str, read: Callable[[str], str]) -> _Tables:
        """Reads a document unless it is kept."""
        with self._lock:
            if key in self._known:
                return self._known[key]
        tables = _decoded_tables(key, read(key))
        with self._lock:
            self._known[key] = tables
            while len(self._known) > self.SIZE:
                del self._known[next(iter(self._known))]
        return tables


class StateReading(AuditReading, SketchReading):
    """Implements the port `StateReader`, and the reading part of `SketchStore`, over queries."""

    @property
    @abstractmethod
    def _epoch_tables(self) -> EpochTablesCache: ...

    @abstractmethod
    def _at_one_moment(self) -> AbstractContextManager[StateReading]:
        """A view whose queries all see the same moment."""

    def progress(self) -> Progress:
        """How far the fingerprinter has come."""
        row = self._sound(PROGRESS)[0]
        return Progress(
            row["stream_id"],
            row["epoch"],
            row["epochs_offset"],
            row["lake_epoch"],
            row["lake_commits_offset"],
            row["epoch_digest"] or "",
        )

    def running_sums(self) -> Mapping[SumKey, Fingerprint]:
        """The source's sums at the last epoch stored."""
        return {
            SumKey(row["table_name"], row["partition_name"], row["kafka_partition"]): read_sum(row)
            for row in self._sound(RUNNING)
        }

    def source_sums(self, table: str, epoch: int) -> Mapping[str, Fingerprint]:
        """See `StateReader.source_sums`."""
        return self._source_sums([table], epoch).get(table, {})

    def _source_sums(self, tables: Sequence[str], epoch: int) -> dict[str, dict[str, Fingerprint]]:
        """Reads sums by table and partition: one index look-up per key, for any length of history."""
        latest = (
            sa.select(sa.func.max(HISTORY.c.epoch))
            .where(*_same_key(HISTORY, RUNNING), HISTORY.c.epoch <= epoch)
            .correlate(RUNNING)
            .scalar_subquery()
        )
        at = HISTORY.alias("at")
        query = (
            sa.select(at.c.table_name, at.c.partition_name, at.c.row_count, at.c.hi, at.c.lo)
            .select_from(RUNNING.join(at, sa.and_(*_same_key(at, RUNNING), at.c.epoch == latest)))
            .where(RUNNING.c.table_name.in_(tables))
        )
        sums: dict[str, dict[str, Fingerprint]] = {}
        for row in self._rows(query):
            of_table = sums.setdefault(row["table_name"], {})
            of_table[row["partition_name"]] = of_table.get(row["partition_name"], ZERO) + read_sum(row)
        return sums

    def table_sums(self, tables: Sequence[str], epoch: int) -> Mapping[str, TableSums]:
        """See `StateReader.table_sums`."""
        sums: dict[str, TableSums] = {}
        with self._at_one_moment() as moment:
            for names in in_batches(tables):
                source = moment._source_sums(names, epoch)  # noqa: SLF001 - the same class
                lake = moment._lake_sums(names)  # noqa: SLF001 - as above
                unreadable = moment._unreadable(names)  # noqa: SLF001 - as above
                for name in names:
                    sums[name] = TableSums(source.get(name, {}), lake.get(name, {}), unreadable.get(name, {}))
        return sums

    def changed_tables(self, after: int, upto: int) -> set[str]:
        """See `StateReader.changed_tables`."""
        query = sa.select(HISTORY.c.table_name).where(HISTORY.c.epoch > after, HISTORY.c.epoch <= upto).distinct()
        return {row["table_name"] for row in self._rows(query)}

    def source_rows(self) -> Mapping[str, int]:
        """See `StateReader.source_rows`."""
        return {row["table_name"]: int(row["row_count"]) for row in self._rows(sa.select(SOURCE_TABLES))}

    def epoch(self, number: int) -> StoredEpoch | None:
        """See `StateReader.epoch`."""
        with self._at_one_moment() as moment:
            rows = moment._sound(EPOCHS, EPOCHS.c.number == number)  # noqa: SLF001 - the same class
            return moment._stored_epoch(rows[0]) if rows else None  # noqa: SLF001 - as above

    def epochs(self, *, limit: int, before: int | None = None) -> Sequence[StoredEpoch]:
        """See `StateReader.epochs`."""
        query = sa.select(EPOCHS).order_by(EPOCHS.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(EPOCHS.c.number < before)
        with self._at_one_moment() as moment:
            rows = require_sound(EPOCHS, moment._rows(query))  # noqa: SLF001 - the same class
            return [moment._stored_epoch(row) for row in rows]  # noqa: SLF001 - as above

    def _stored_epoch(self, row: Mapping[Any, Any]) -> StoredEpoch:
        document = json.loads(row["record"])
        key = row["tables_key"]
        if key is None:
            return StoredEpoch(Epoch.from_json(document), row["recorded_at"])
        versions, snapshots = self._epoch_tables.get(key, self._tables_document)
        epoch = Epoch.from_json(document | {"versions": {}, "snapshots": {}})
        return StoredEpoch(replace(epoch, versions=versions, snapshots=snapshots), row["recorded_at"])

    def _tables_document(self, key: str) -> str:
        rows = self._rows(sa.select(EPOCH_TABLES.c.document).where(EPOCH_TABLES.c.key == key))
        return str(rows[0]["document"]) if rows else ""

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
        """See `StateReader.definitions`."""
        return {
            row["table_name"]: (row["number"], TableSchema.from_json(json.loads(row["document"])))
            for row in self._sound(DEFINITIONS)
        }

    def defined_tables(self) -> set[str]:
        """See `StateReader.defined_tables`."""
        return {row["table_name"] for row in self._rows(sa.select(DEFINITIONS.c.table_name))}

    def lake_tables(self) -> Mapping[str, LakeTableState]:
        """See `StateReader.lake_tables`."""
        with self._at_one_moment() as moment:
            rows = moment._sound(LAKE_TABLES)  # noqa: SLF001 - the same class
            judged = moment._rows(sa.select(JUDGED.c.table_name, JUDGED.c.epoch))  # noqa: SLF001 - as above
        compared = {row["table_name"]: row["epoch"] for row in judged}
        return {row["table_name"]: _lake_table(row, compared.get(row["table_name"], 0)) for row in rows}

    def files(self, table: str) -> Mapping[str, FileSums]:
        """See `StateReader.files`."""
        with self._at_one_moment() as moment:
            parts = moment._rows(sa.select(FILE_SUMS).where(FILE_SUMS.c.table_name == table))  # noqa: SLF001 - the same class
            rows = moment._rows(sa.select(FILES).where(FILES.c.table_name == table))  # noqa: SLF001 - as above
        sums: dict[str, dict[str, Fingerprint]] = {}
        for row in parts:
            sums.setdefault(row["path"], {})[row["partition_name"]] = read_sum(row)
        return {row["path"]: _file_sums(row, sums.get(row["path"], {})) for row in rows}

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
        """See `StateReader.lake_sums`; added up in the database."""
        return self._lake_sums([table]).get(table, {})

    def _lake_sums(self, tables: Sequence[str]) -> dict[str, dict[str, Fingerprint]]:
        query = (
            sa.select(
                FILE_SUMS.c.table_name,
                FILE_SUMS.c.partition_name,
                sa.func.sum(FILE_SUMS.c.row_count).label("rows"),
                *_word_sums("hi"),
                *_word_sums("lo"),
            )
            .where(FILE_SUMS.c.table_name.in_(tables))
            .group_by(FILE_SUMS.c.table_name, FILE_SUMS.c.partition_name)
        )
        sums: dict[str, dict[str, Fingerprint]] = {}
        for row in self._rows(query):
            value = Fingerprint(int(row["rows"]), _joined(row, "hi"), _joined(row, "lo"))
            sums.setdefault(row["table_name"], {})[row["partition_name"]] = value
        return sums

    def _unreadable(self, tables: Sequence[str]) -> dict[str, dict[str, str]]:
        same = (FILES.c.table_name == FILE_SUMS.c.table_name) & (FILES.c.path == FILE_SUMS.c.path)
        query = (
            sa.select(FILE_SUMS.c.table_name, FILE_SUMS.c.partition_name, FILES.c.unreadable, FILES.c.path)
            .select_from(FILES.join(FILE_SUMS, same))
            .where(FILES.c.table_name.in_(tables) & (FILES.c.unreadable != ""))
        )
        reasons: dict[str, dict[str, str]] = {}
        for row in self._rows(query):
            reasons.setdefault(row["table_name"], {})[row["partition_name"]] = f"{row['unreadable']}: {row['path']}"
        return reasons

    def suspicions(self) -> Mapping[str, Suspicion]:
        """Tables that may have changed unlogged since an audit of them agreed, by name."""
        return {
            row["table_name"]: Suspicion(
                row["table_name"], row["first_epoch"], row["last_epoch"], row["reason"], bool(row["is_cascade"])
            )
            for row in self._rows(sa.select(SUSPICIONS))
        }

    def damage(self, table: str) -> str:
        """See `StateReader.damage`.

        A key may be what is damaged, so that rows of tables that no definition names are checked too.
        """
        known = sa.select(DEFINITIONS.c.table_name)
        with self._at_one_moment() as moment:
            for part in (RUNNING, HISTORY, FILES, FILE_SUMS, LAKE_TABLES):
                query = sa.select(part).where((part.c.table_name == table) | part.c.table_name.not_in(known))
                if not all(map(is_sound, moment._rows(query))):  # noqa: SLF001 - the same class
                    return f"{damage(part)}; {REBUILD}"
        return ""

    def judged_tables(self, table: str | None = None) -> Mapping[str, JudgedTable]:
        """See `StateReader.judged_tables`."""
        query = sa.select(JUDGED)
        if table is not None:
            query = query.where(JUDGED.c.table_name == table)
        return {row["table_name"]: _judged_table(row) for row in self._rows(query)}

    def unproven_tables(self) -> Mapping[str, JudgedTable | None]:
        """See `StateReader.unproven_tables`."""
        is_empty = sa.and_(*(sa.func.coalesce(JUDGED.c[name], 0) == 0 for name in SUMMARY[:3]))
        unjudged = (
            sa.select(DEFINITIONS.c.table_name)
            .outerjoin(JUDGED, JUDGED.c.table_name == DEFINITIONS.c.table_name)
            .where(JUDGED.c.table_name.is_(None))
        )
        with self._at_one_moment() as moment:
            empty = moment._rows(sa.select(JUDGED).where(is_empty))  # noqa: SLF001 - the same class
            names = moment._rows(unjudged)  # noqa: SLF001 - as above
        return {row["table_name"]: _judged_table(row) for row in empty} | {row["table_name"]: None for row in names}

    def totals(self) -> StateTotals:
        """See `StateReader.totals`."""
        of_partitions = (sa.select(sa.func.sum(JUDGED.c[name])).scalar_subquery().label(name) for name in SUMMARY[:3])
        query = sa.select(
            sa.select(sa.func.count()).select_from(DEFINITIONS).scalar_subquery().label("tables"),
            sa.select(sa.func.sum(SOURCE_TABLES.c.row_count)).scalar_subquery().label("row_count"),
            *of_partitions,
        )
        row = self._rows(query)[0]
        counts = OutcomeCounts(*(int(row[name] or 0) for name in SUMMARY[:3]))
        return StateTotals(row["tables"], int(row["row_count"] or 0), counts)

    def verdicts(
        self, table: str | Collection[str] | None = None, partition: str | None = None, outcome: Outcome | None = None
    ) -> Sequence[StoredVerdict]:
        """See `StateReader.verdicts`."""
        query = sa.select(VERDICTS, JUDGED.c.epoch).join(JUDGED, VERDICTS.c.table_name == JUDGED.c.table_name)
        if table is not None:
            query = query.where(VERDICTS.c.table_name.in_([table] if isinstance(table, str) else list(table)))
        if partition is not None:
            query = query.where(VERDICTS.c.partition_name == partition)
        if outcome is not None:
            query = query.where(VERDICTS.c.outcome == outcome.value)
        verdicts = [_stored_verdict(row) for row in self._rows(query)]
        return sorted(verdicts, key=lambda each: (each.table, each.partition))  # here: databases collate differently

    def history(
        self, table: str, partition: str, *, limit: int, before_ms: int | None = None
    ) -> Sequence[HistoryPoint]:
        """See `StateReader.history`."""
        return [point_of(row) for row in self._rows(points_query(table, partition, limit, before_ms))]

    def _sound(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> Sequence[Mapping[Any, Any]]:
        """Whole rows of a table.

        Raises:
            StateError: one is damaged.
        """
        return require_sound(table, self._rows(sa.select(table).where(*where)))


class Moment(StateReading):
    """A consistent view of the store, valid as long as the transaction that it reads in."""

    def __init__(self, connection: sa.Connection, epoch_tables: EpochTablesCache) -> None:
        self._connection = connection
        self._cache = epoch_tables

    @property
    def _epoch_tables(self) -> EpochTablesCache:
        return self._cache

    def _at_one_moment(self) -> AbstractContextManager[StateReading]:
        return nullcontext(self)

    def _rows(self, query: sa.Select[Any]) -> Sequence[Mapping[Any, Any]]:
        return self._connection.execute(query).mappings().all()


def in_batches(names: Sequence[_Name]) -> Iterator[Sequence[_Name]]:
    """Slices names into the lists of queries."""
    for start in range(0, len(names), NAMES_AT_ONCE):
        yield names[start : start + NAMES_AT_ONCE]


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


def _decoded_tables(key: str, document: str) -> _Tables:
    """The versions and snapshots in a document.

    Raises:
        StateError: it is not the document that was stored under this key.
    """
    if tables_key(document) != key:
        raise StateError(damage(EPOCH_TABLES), where="the state store", remedy=REBUILD)
    parsed = json.loads(document)
    return parsed["versions"], {name: SnapshotCursor(*cursor) for name, cursor in parsed["snapshots"].items()}


def _judged_table(row: Mapping[Any, Any]) -> JudgedTable:
    counts = OutcomeCounts(*(int(row[name] or 0) for name in SUMMARY[:3]))
    return JudgedTable(row["epoch"], row["judged_at"], counts, row["source_row_count"], row["lake_row_count"])


def _lake_table(row: Mapping[Any, Any], compared_at: int) -> LakeTableState:
    return LakeTableState(
        row["table_name"],
        row["snapshot_id"],
        max(row["epoch"], compared_at),
        bool(row["is_foreign"]),
        row["unreadable"],
        None if row["field_ids"] is None else FieldIds.from_json(json.loads(row["field_ids"])),
        row["set_aside"],
    )


def _file_sums(row: Mapping[Any, Any], sums: Mapping[str, Fingerprint]) -> FileSums:
    return FileSums(
        row["path"],
        row["etag"],
        row["octets"],
        sums,
        row["read_at"],
        row["unreadable"],
        tuple(json.loads(row["filed"])),
    )


def _stored_verdict(row: Mapping[Any, Any]) -> StoredVerdict:
    verdict = Verdict(
        Outcome(row["outcome"]), row["reason"], read_known_sum(row, "source_"), read_known_sum(row, "lake_")
    )
    return StoredVerdict(row["table_name"], row["partition_name"], row["epoch"], verdict, row["since"])
