"""The ports in memory: Kafka as lists of bytes, S3 as a dictionary of Parquet, Iceberg as snapshots of paths."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from datafingerprint import wire
from datafingerprint.changes import Changes
from datafingerprint.digests import partition_names
from datafingerprint.epoch_chain import EpochMark, lost_epoch, record_digest
from datafingerprint.epochs import Epoch, OffsetRange, SourcePosition, require_successor
from datafingerprint.errors import ConflictError, LakeError, LakeTableError, TableError
from datafingerprint.messages import Message, MessageReader, consecutive, messages_of
from datafingerprint.partitions import partitioning
from datafingerprint.ports.lake import DataFile, LakeFile, SnapshotView, Stamp
from datafingerprint.ports.stream import EpochDraft, EpochRows
from datafingerprint.routing import routed
from datafingerprint.schema import TableSchema
from datafingerprint.wire import LakeCommit


@dataclass
class Broker:
    """Topics as lists; what is in them was committed."""

    partitions: int = 1
    epochs: list[bytes] = field(default_factory=list)
    definitions: dict[int, TableSchema] = field(default_factory=dict)
    messages: dict[tuple[str, int], list[Message]] = field(default_factory=dict)
    lake_commits: list[bytes] = field(default_factory=list)


class MemoryEpochLog:
    """Implements `EpochLog`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def make_ready(self, tables: Sequence[TableSchema]) -> list[TableError]:
        return []

    def publish(self, draft: EpochDraft) -> Epoch:
        broker = self._broker
        broker.definitions |= draft.definitions or {}
        ranges: dict[str, dict[int, OffsetRange]] = {}
        for changes in draft.changes:
            for partition, part in routed(changes, broker.partitions):
                log = broker.messages.setdefault((changes.table.table, partition), [])
                start = len(log)
                log += messages_of(part, draft.number, bytes_max=4096)
                known = ranges.get(changes.table.table, {}).get(partition)
                begin, before = (known.start, known.rows) if known else (start, 0)
                result = OffsetRange(begin, len(log), len(log) - begin, before + part.rows.num_rows)
                ranges.setdefault(changes.table.table, {})[partition] = result
        epoch = Epoch(
            draft.stream_id, draft.number, draft.position, draft.committed_at, ranges,
            draft.transactions, draft.snapshots or {}, draft.versions or {}, draft.answers, draft.suspects,
            set_aside=draft.set_aside, awaiting_snapshot=draft.awaiting_snapshot,
            previous=record_digest(broker.epochs[-1] if broker.epochs else b""),
        )  # fmt: skip
        payload, epoch = wire.encode_epoch(epoch)
        broker.epochs.append(payload)
        return epoch


class MemoryEpochReader:
    """Implements `EpochReader`; `drop` may take changes away, as a faulty way to the lake would; `lost` makes holes."""

    def __init__(
        self,
        broker: Broker,
        drop: Callable[[Epoch, Changes], Changes] | None = None,
        lost: Mapping[tuple[int, str], str] | None = None,
    ) -> None:
        self._broker = broker
        self._lost = lost if lost is not None else {}
        self._drop = drop or (lambda _, changes: changes)
        self._offset = 0
        self._last: EpochMark | None = None
        self._is_compared = True

    def seek(self, epochs_offset: int, last: EpochMark | tuple[str, int] | None) -> None:
        self._offset, self._last = epochs_offset, None if last is None else EpochMark(*last)
        self._is_compared = self._last is None or not self._last.digest

    def is_empty(self) -> bool:
        return not self._broker.epochs

    def read(self, _timeout_s: float) -> EpochRows | None:
        if not self._is_compared and self._last is not None:
            self._is_compared = True
            result = wire.decode_epoch(self._broker.epochs[self._offset - 1], "memory")
            if result.stream_id != self._last.stream_id:
                require_successor(self._last, result)
            if result.digest != self._last.digest:
                raise lost_epoch(self._last, f"another record is at its offset {self._offset - 1}")
        if self._offset >= len(self._broker.epochs):
            return None
        epoch = wire.decode_epoch(self._broker.epochs[self._offset], "memory")
        require_successor(self._last, epoch)
        self._last = epoch.mark
        self._offset += 1
        changes = [
            (partition, self._drop(epoch, item))
            for table, parts in epoch.ranges.items()
            for partition, part in parts.items()
            for item in self._decoded(epoch, table, partition, part)
        ]
        holes = {
            table: self._lost[epoch.number, table] for table in epoch.ranges if (epoch.number, table) in self._lost
        }
        return EpochRows(epoch, changes, self._offset, holes)

    def _decoded(self, epoch: Epoch, table: str, partition: int, part: OffsetRange) -> list[Changes]:
        reader = MessageReader(table, epoch.number, self._broker.definitions)
        messages = self._broker.messages[table, partition][part.start : part.end]
        result = [reader.take(message.payload, message.headers, "memory") for message in messages]
        reader.finish()
        return consecutive([item for item in result if item is not None])

    def acknowledge(self, epoch: EpochRows) -> None:
        """Not needed here."""

    def definitions(self) -> Mapping[int, TableSchema]:
        return self._broker.definitions


class MemoryLakeCommits:
    """Implements `LakeCommitLog` and `LakeCommitReader`."""

    def __init__(self, broker: Broker) -> None:
        self._log = broker.lake_commits
        self._offset = 0

    def open(self) -> LakeCommit | None:
        return wire.decode_lake_commit(self._log[-1], "memory") if self._log else None

    def publish(self, commit: LakeCommit) -> None:
        self._log.append(wire.encode_record(commit.to_json()))

    def seek(self, offset: int) -> None:
        self._offset = offset

    def read(self, _timeout_s: float) -> tuple[LakeCommit, int] | None:
        if self._offset >= len(self._log):
            return None
        self._offset += 1
        return wire.decode_lake_commit(self._log[self._offset - 1], "memory"), self._offset

    def acknowledge(self, offset: int) -> None:
        """Not needed here."""


def _read(octets: bytes, table: TableSchema) -> pa.Table:
    """A file's rows; columns that it lacks are null."""
    rows = pq.read_table(io.BytesIO(octets))
    result = [
        rows.column(item.name) if item.name in rows.column_names else pa.nulls(len(rows), item.type)
        for item in table.arrow
    ]
    return pa.table(result, names=table.arrow.names).cast(table.arrow)


@dataclass(frozen=True)
class Snapshot:
    """A state of a table."""

    number: int
    files: tuple[DataFile, ...]
    stamp: Stamp


@dataclass
class Store:
    """The object store and the catalog; tables in `trouble` need a reset, those in `unlisted` have delete files."""

    objects: dict[str, bytes] = field(default_factory=dict)
    snapshots: dict[str, list[Snapshot]] = field(default_factory=dict)
    names: Any = field(default_factory=itertools.count)
    left: dict[str, SourcePosition] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)
    unlisted: set[str] = field(default_factory=set)
    columns: dict[str, frozenset[tuple[str, pa.DataType]]] = field(default_factory=dict)

    def rows(self, table: TableSchema) -> pa.Table:
        """All rows of the present snapshot."""
        history = self.snapshots.get(table.table, [])
        parts = [_read(self.objects[file.path], table) for file in (history[-1].files if history else ())]
        return pa.concat_tables([table.arrow.empty_table(), *parts])


class MemoryLakeTable:
    """Implements `LakeTable`."""

    def __init__(self, store: Store, table: TableSchema) -> None:
        self._store = store
        self._table = table
        self._history = store.snapshots.setdefault(table.table, [])
        self._seen = len(self._history)
        self._is_begun = False

    def refresh(self) -> None:
        self._seen = len(self._history)
        self._is_begun = False

    @property
    def _present(self) -> Snapshot | None:
        return self._history[self._seen - 1] if self._seen else None

    @property
    def snapshot_id(self) -> int | None:
        return self._present.number if self._present else None

    @property
    def stamp(self) -> Stamp | None:
        return self._present.stamp if self._present else None

    @property
    def is_outdated(self) -> bool:
        return bool(self.needs_reset) or self._is_begun  # else Parquet has its own columns

    @property
    def needs_reset(self) -> str:
        kept = {(column.name, column.arrow) for column in self._table.columns}
        before = self._store.columns.get(self._table.table, frozenset())
        return self._store.trouble.get(self._table.table, "" if before <= kept else "the lake table differs")

    def files(self) -> Sequence[DataFile]:
        if self._table.table in self._store.unlisted and not self._is_begun:
            raise LakeTableError("the lake table has delete files")
        return self._files

    @property
    def _files(self) -> tuple[DataFile, ...]:
        return self._present.files if self._present and not self._is_begun else ()

    def start_empty(self) -> None:
        self._is_begun = True

    def read(self, file: DataFile) -> pa.Table:
        return _read(self._store.objects[file.path], self._table)

    def read_pieces(self, file: DataFile, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        rows = self.read(file)
        rows = rows if columns is None else rows.select(list(columns))
        size = max(3, rows.num_rows // 4)
        yield from (rows.slice(start, size) for start in range(0, rows.num_rows, size))

    def write_pieces(self, partition: str, pieces: Iterable[pa.Table], added_by: Stamp) -> Sequence[object]:
        return self.write({partition: pa.concat_tables(list(pieces))}, added_by)

    def write(self, rows: Mapping[str, pa.Table], _added_by: Stamp) -> Sequence[object]:
        written = []
        for partition, part in rows.items():
            assert set(partition_names(part, partitioning(self._table)).to_pylist()) == {partition}
            sink = io.BytesIO()
            pq.write_table(part, sink)
            path = f"{self._table.table}/data/{partition}/{next(self._store.names)}.parquet"
            self._store.objects[path] = sink.getvalue()
            written.append(DataFile(path, partition, part.num_rows, len(sink.getvalue()), {}))
        return written

    def commit(self, added: Sequence[Any], removed: Sequence[DataFile], stamp: Stamp) -> int:
        if self._seen != len(self._history):
            raise ConflictError("another writer was first")
        files = tuple(file for file in self._files if file not in removed) + tuple(added)
        self._store.columns[self._table.table] = frozenset(
            (column.name, column.arrow) for column in self._table.columns
        )
        self._store.trouble.pop(self._table.table, None)
        self._store.unlisted.discard(self._table.table)
        self._history.append(Snapshot(next(self._store.names) + 1000, files, stamp))
        self.refresh()
        return self._history[-1].number


class MemoryLake:
    """Implements `Lake`."""

    def __init__(self, store: Store, wrap: Callable[[Any], Any] = lambda port: port) -> None:
        self._store = store
        self._wrap = wrap

    def table(self, table: TableSchema) -> Any:  # noqa: ANN401 - the table, or what it was wrapped in
        return self._wrap(MemoryLakeTable(self._store, table))

    def leave(self, table: TableSchema, stamp: Stamp) -> None:
        self._store.left[table.table] = stamp.position

    def stamps(self) -> Mapping[str, Stamp]:
        result = {name: history[-1].stamp for name, history in self._store.snapshots.items() if history}
        return {name: stamp for name, stamp in result.items() if stamp is not None}


class MemoryLakeView:
    """Implements `LakeView`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[str, int] = {}

    def changed(self, tables: Iterable[TableSchema]) -> set[str]:
        present = {table.table: len(self._store.snapshots.get(table.table, [])) for table in tables}
        return {name for name, number in present.items() if number != self._seen.get(name, 0)}

    def current(self, table: TableSchema) -> SnapshotView | None:
        self._seen[table.table] = len(self._store.snapshots.get(table.table, []))
        history = self._store.snapshots.get(table.table)
        return _view(history[-1]) if history else None

    def snapshot(self, table: TableSchema, snapshot_id: int) -> SnapshotView | None:
        history = self._store.snapshots.get(table.table, [])
        return next((_view(state) for state in history if state.number == snapshot_id), None)

    def is_altered(self, table: TableSchema) -> bool:
        return False

    def copy(self, path: str, into: IO[bytes]) -> str:
        if path not in self._store.objects:
            raise LakeError("a file is gone")
        into.write(self._store.objects[path])
        return _etag(self._store.objects[path])

    def etags(self, paths: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        result = {path: self._store.objects[path] for path in paths if path in self._store.objects}
        return {path: (_etag(octets), len(octets)) for path, octets in result.items()}


def _view(snapshot: Snapshot) -> SnapshotView:
    files = frozenset(LakeFile(file.path, file.size_bytes, (file.partition,)) for file in snapshot.files)
    return SnapshotView(snapshot.number, snapshot.stamp, is_foreign=False, files=files)


def _etag(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
