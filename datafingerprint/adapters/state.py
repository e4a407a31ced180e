"""The state store on SQLite or PostgreSQL: sums, files, verdicts and offsets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from datafingerprint.adapters.state_audits import StateAudits
from datafingerprint.adapters.state_engine import open_engine, place, translated, writers
from datafingerprint.adapters.state_reading import StateReading
from datafingerprint.adapters.state_rows import (
    definition_row,
    epoch_row,
    file_row,
    file_sum_rows,
    history_row,
    insert,
    lake_table_row,
    sum_row,
    upsert,
    verdict_row,
)
from datafingerprint.adapters.state_tables import (
    DEFINITIONS,
    EPOCHS,
    FILE_SUMS,
    FILES,
    HISTORY,
    JUDGED,
    LAKE_SIDE,
    LAKE_TABLES,
    META,
    METADATA,
    PROGRESS,
    RUNNING,
    SCHEMA_VERSION,
    VERDICTS,
    VERSIONS_BEFORE,
)
from datafingerprint.errors import ConflictError, StateError
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import (
    Advance,
    FileSums,
    Judged,
    LakeTableState,
    Progress,
    StoredEpoch,
    StoredVerdict,
    SumKey,
)
from datafingerprint.schema import TableSchema

EPOCHS_KEPT = 10_000
FOLD_ROWS_MAX = 200_000
"""Most values that one `fold` forgets, so that its transaction stays short; the next one goes on."""

_ONLY_ROW = 1
_VERSION_NAME = "schema_version"


class SqlStateStore(StateAudits):
    """Implements the ports `StateStore` and `AuditStore`; may be used by several threads and several processes.

    Nothing is connected before the first call, which also makes missing tables. Every reading method sees one
    moment; `reading()` gives several of them the same moment. What a changing method returns from is durable.

    Args:
        url: SQLAlchemy URL, `sqlite:///path` or `postgresql://…`.
        clock: Unix time in seconds, for the time at which an epoch was recorded.

    Raises:
        ConfigError: the URL is not of a database that the store knows.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        self._engine = open_engine(url)
        self._clock = clock
        self._where = place(self._engine)
        self._writing = writers(self._engine)
        self._prepared = False
        self._preparing = threading.Lock()

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[StateReading]:
        """A view of one moment, for as long as the block lasts; keep it short, it holds a transaction open."""
        with translated(self._where):
            self._prepare()
            with self._engine.begin() as connection:
                yield StateReading(connection)

    def progress(self) -> Progress:
        """See the port."""
        with self.reading() as view:
            return view.progress()

    def running_sums(self) -> Mapping[SumKey, Fingerprint]:
        """See the port."""
        with self.reading() as view:
            return view.running_sums()

    def source_sums(self, table: str, epoch: int) -> Mapping[str, Fingerprint]:
        """See the port."""
        with self.reading() as view:
            return view.source_sums(table, epoch)

    def epoch(self, number: int) -> StoredEpoch | None:
        """See the port; its transactions are left out."""
        with self.reading() as view:
            return view.epoch(number)

    def epochs(self, *, limit: int, before: int | None = None) -> Sequence[StoredEpoch]:
        """See the port; their transactions are left out."""
        with self.reading() as view:
            return view.epochs(limit=limit, before=before)

    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        """See the port."""
        with self.reading() as view:
            return view.definitions()

    def lake_tables(self) -> Mapping[str, LakeTableState]:
        """See the port."""
        with self.reading() as view:
            return view.lake_tables()

    def files(self, table: str) -> Mapping[str, FileSums]:
        """See the port."""
        with self.reading() as view:
            return view.files(table)

    def lake_sums(self, table: str) -> Mapping[str, Fingerprint]:
        """A lake table's sums by partition over all its files, added up in the database."""
        with self.reading() as view:
            return view.lake_sums(table)

    def unreadable(self, table: str) -> Mapping[str, str]:
        """Partitions of a lake table with a file that cannot be read, and why."""
        with self.reading() as view:
            return view.unreadable(table)

    def verdicts(self, table: str | None = None) -> Sequence[StoredVerdict]:
        """See the port."""
        with self.reading() as view:
            return view.verdicts(table)

    def advance(self, before: Progress, step: Advance) -> None:
        """Stores a step of the source side.

        In one transaction: 1. the progress moves from `before`, or nothing happens; 2. definitions, epochs and
        values of sums are added. Of `step.progress` only the source's side counts.

        Raises:
            ConflictError: the progress is no longer `before`: another fingerprinter was first.
            StateError: the step is of another stream than the store.
        """
        after = step.progress
        if before.stream_id is not None and after.stream_id != before.stream_id:
            raise StateError(
                f"the state store is of stream {before.stream_id}, the epochs are of {after.stream_id}",
                where=self._where,
                remedy="name an empty database as state.url for a new stream",
            )
        now = self._clock()
        with self._transaction() as connection:
            _move(connection, before, after)
            upsert(connection, DEFINITIONS, [definition_row(*one) for one in step.definitions.items()])
            insert(connection, EPOCHS, [epoch_row(epoch, now) for epoch in step.epochs])
            values = {(epoch, key): value for epoch, key, value in step.sums}
            insert(connection, HISTORY, [history_row(*at, value) for at, value in values.items()])
            newest = {key: value for (_, key), value in sorted(values.items(), key=lambda one: one[0][0])}
            upsert(connection, RUNNING, [sum_row(key, value) for key, value in newest.items()])

    def save_lake(self, state: LakeTableState, added: Sequence[FileSums], removed: Sequence[str]) -> None:
        """See the port."""
        files = {file.path: file for file in added}
        gone = [{"of": state.table, "at": path} for path in {*removed, *files}]
        with self._transaction() as connection:
            upsert(connection, LAKE_TABLES, [lake_table_row(state)])
            if gone:
                connection.execute(
                    sa.delete(FILES).where(
                        FILES.c.table_name == sa.bindparam("of"), FILES.c.path == sa.bindparam("at")
                    ),
                    gone,
                )
            insert(connection, FILES, [file_row(state.table, file) for file in files.values()])
            insert(connection, FILE_SUMS, [row for file in files.values() for row in file_sum_rows(state.table, file)])

    def forget(self, tables: Sequence[str], *, definitions: Sequence[str]) -> None:
        """See the port; running sums stay, they are zero."""
        with self._transaction() as connection:
            for table in (VERDICTS, JUDGED, FILE_SUMS, FILES, LAKE_TABLES):
                connection.execute(sa.delete(table).where(table.c.table_name.in_(tables)))
            connection.execute(sa.delete(DEFINITIONS).where(DEFINITIONS.c.table_name.in_(definitions)))

    def save_verdicts(self, progress: Progress, judged: Sequence[Judged], now: float) -> None:
        """See the port; only what differs from what is stored is written."""
        with self._transaction() as connection:
            connection.execute(
                sa.update(PROGRESS).values(
                    lake_epoch=progress.lake_epoch, lake_commits_offset=progress.lake_commits_offset
                )
            )
            for one in judged:
                self._save_table(connection, one, now)

    def fold(self, epoch: int) -> None:
        """Forgets values of sums that no epoch from this one on needs, and old epochs.

        An epoch is kept while it is among the last 10,000 or not before `epoch`. At most `FOLD_ROWS_MAX`
        values go in one call.
        """
        later = HISTORY.alias("later")
        superseded = sa.exists().where(
            later.c.table_name == HISTORY.c.table_name,
            later.c.partition_name == HISTORY.c.partition_name,
            later.c.kafka_partition == HISTORY.c.kafka_partition,
            later.c.epoch > HISTORY.c.epoch,
            later.c.epoch <= epoch,
        )
        key = list(HISTORY.primary_key.columns)
        doomed = sa.select(*key).where(HISTORY.c.epoch < epoch, superseded).limit(FOLD_ROWS_MAX)
        last = sa.select(sa.func.max(EPOCHS.c.number)).scalar_subquery()
        with self._transaction() as connection:
            connection.execute(sa.delete(HISTORY).where(sa.tuple_(*key).in_(doomed)))
            connection.execute(
                sa.delete(EPOCHS).where(EPOCHS.c.number <= last - EPOCHS_KEPT, EPOCHS.c.number < epoch),
            )

    def _save_table(self, connection: sa.Connection, judged: Judged, now: float) -> None:
        old = {
            row["partition_name"]: dict(row)
            for row in connection.execute(sa.select(VERDICTS).where(VERDICTS.c.table_name == judged.table)).mappings()
        }
        rows = [verdict_row(judged, name, old.get(name), now) for name in judged.verdicts]
        upsert(connection, VERDICTS, [row for row in rows if row != old.get(row["partition_name"])])
        gone = [{"of": judged.table, "at": name} for name in old if name not in judged.verdicts]
        if gone:
            connection.execute(
                sa.delete(VERDICTS).where(
                    VERDICTS.c.table_name == sa.bindparam("of"), VERDICTS.c.partition_name == sa.bindparam("at")
                ),
                gone,
            )
        upsert(connection, JUDGED, [{"table_name": judged.table, "epoch": judged.epoch, "judged_at": now}])

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with translated(self._where):
            self._prepare()
            with self._writing.begin() as connection:
                yield connection

    def _prepare(self) -> None:
        """Makes what is missing, once, and demands the known version.

        A store that is there is only read: the API would otherwise wait for the lock behind a busy fingerprinter.

        Raises:
            StateError: the store is of another version.
        """
        with self._preparing:
            if self._prepared:
                return
            with self._engine.begin() as connection:
                found = _version(connection)
            if found is None or found in VERSIONS_BEFORE:
                found = self._make_tables()
            if found != SCHEMA_VERSION:
                raise StateError(
                    f"the state store is of version {found}, this program's is {SCHEMA_VERSION}",
                    where=self._where,
                    remedy="use the program that wrote it, or name an empty database as state.url",
                )
            self._prepared = True

    def _make_tables(self) -> str | None:
        """Makes the tables that are missing unless another process was first; answers their version."""
        with self._writing.begin() as connection:
            found = _version(connection)
            if found in VERSIONS_BEFORE:
                METADATA.drop_all(connection, tables=LAKE_SIDE)
                METADATA.create_all(connection)
                connection.execute(sa.update(META).where(META.c.name == _VERSION_NAME).values(value=SCHEMA_VERSION))
            elif found is None:
                METADATA.create_all(connection)
                connection.execute(sa.insert(META).values(name=_VERSION_NAME, value=SCHEMA_VERSION))
                nothing = {"epoch": 0, "epochs_offset": 0, "lake_epoch": 0, "lake_commits_offset": 0}
                connection.execute(sa.insert(PROGRESS).values(id=_ONLY_ROW, **nothing))
            return _version(connection)


def _version(connection: sa.Connection) -> str | None:
    """The version of the tables; None where there are none, and no text of this project's where they are others'."""
    if not sa.inspect(connection).has_table(META.name):
        return None
    return connection.scalar(sa.select(META.c.value).where(META.c.name == _VERSION_NAME)) or "unknown"


def _move(connection: sa.Connection, before: Progress, after: Progress) -> None:
    """Compares and sets the source's side of the progress."""
    moved = connection.execute(
        sa.update(PROGRESS)
        .where(
            PROGRESS.c.stream_id.is_not_distinct_from(before.stream_id),
            PROGRESS.c.epoch == before.epoch,
            PROGRESS.c.epochs_offset == before.epochs_offset,
        )
        .values(stream_id=after.stream_id, epoch=after.epoch, epochs_offset=after.epochs_offset)
    )
    if moved.rowcount != 1:
        raise ConflictError(f"the state store is no longer at epoch {before.epoch}: another fingerprinter was first")
