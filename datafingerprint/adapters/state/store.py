"""The state store on SQLite or PostgreSQL: sums, files, verdicts and offsets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.runtime import postgres
from datafingerprint.adapters.state.audit_schedule import AuditSchedule
from datafingerprint.adapters.state.audits import StateAudits
from datafingerprint.adapters.state.checksums import COLUMN as CHECKSUM
from datafingerprint.adapters.state.checksums import require_sound
from datafingerprint.adapters.state.engine import open_engine, place, translated, writers
from datafingerprint.adapters.state.history import point_row, remove_points, save_points
from datafingerprint.adapters.state.reading import EpochTablesCache, Moment, StateReading, in_batches
from datafingerprint.adapters.state.rows import (
    Row,
    definition_row,
    epoch_row,
    file_row,
    file_sketch_rows,
    file_sum_rows,
    history_row,
    insert,
    judged_row,
    lake_table_row,
    sketch_step_row,
    sum_row,
    suspicion_row,
    tables_document,
    tables_key,
    upsert,
    verdict_row,
)
from datafingerprint.adapters.state.sketches import StateSketches
from datafingerprint.adapters.state.tables import (
    DEFINITIONS,
    EPOCH_TABLES,
    EPOCHS,
    FILE_SKETCHES,
    FILE_SUMS,
    FILES,
    HISTORY,
    JUDGED,
    LAKE_SIDE,
    LAKE_TABLES,
    LAST_FINDINGS,
    META,
    METADATA,
    PROGRESS,
    RUNNING,
    SCHEMA_VERSION,
    SKETCH_STEPS,
    SOURCE_SIDE,
    SOURCE_TABLES,
    SUSPICIONS,
    VERDICTS,
    VERSIONS_BEFORE,
    VERSIONS_COUNTED_OTHERWISE,
)
from datafingerprint.cascades import Suspicion, Suspicions
from datafingerprint.epochs import Epoch
from datafingerprint.errors import ConflictError, StateError
from datafingerprint.history import HistoryRules, is_point_due
from datafingerprint.ledger import Advance, FileSums, LakeCount, LakeTableState, Progress, TableVerdicts
from datafingerprint.verdict import Outcome

EPOCHS_KEPT = 10_000
FOLD_ROWS_MAX = 200_000
"""Most values that one `fold` forgets, so that its transaction stays short; the next one goes on."""

REMOVE_EVERY_S = 3_600.0
"""Seconds between two calls of `fold` that remove points of the history. While there are more, each call does."""

_ONLY_ROW = 1
_VERSION_NAME = "schema_version"


class SqlStateStore(StateReading, StateAudits, AuditSchedule, StateSketches):
    """Implements the ports `StateStore`, `SketchStore` and `AuditStore`.

    Several threads and processes may use it.

    The first call connects, and makes missing tables. Every reading method sees one moment. `reading()` gives several
    of them the same moment. What a method has stored when it returns is durable.

    Args:
        url: SQLAlchemy URL, `sqlite:///path` or `postgresql://…`.
        clock: Unix time in seconds, for the time at which an epoch was recorded.
        history: How much history of verdicts is kept.

    Raises:
        ConfigError: the URL names a database that the store does not support.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time, history: HistoryRules | None = None) -> None:
        self._engine = open_engine(url)
        self._clock = clock
        self._history = history or HistoryRules()
        self._points_removed_at: float | None = None
        self._where = place(self._engine)
        self._writing = writers(self._engine)
        self._prepared = False
        self._preparing = threading.Lock()
        self._cache = EpochTablesCache()

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Moment]:
        """Opens a view of one moment; keep the block short, it holds a transaction open."""
        with translated(self._where):
            self._prepare()
            with self._engine.begin() as connection:
                yield Moment(connection, self._cache)

    @property
    def _epoch_tables(self) -> EpochTablesCache:
        return self._cache

    def _at_one_moment(self) -> AbstractContextManager[Moment]:
        return self.reading()

    def _rows(self, query: sa.Select[Any]) -> Sequence[Mapping[Any, Any]]:
        with self.reading() as moment:
            return moment._rows(query)  # noqa: SLF001 - the same class

    def version(self) -> str | None:
        """Reads the version of the tables without making any; None if there are none."""
        with translated(self._where), self._engine.begin() as connection:
            return _version(connection)

    def lacking_grant(self, others: Sequence[str] = ()) -> str:
        """Says which grant a PostgreSQL lacks for the tables, or nothing.

        Args:
            others: Tables in the same database that are not this store's own.
        """
        with translated(self._where):
            return postgres.lacking_grant(self._engine, [*METADATA.tables, *others])

    def advance(self, before: Progress, step: Advance) -> None:
        """Stores a step of the source side.

        In one transaction: 1. the progress moves from `before`, or nothing happens; 2. definitions, epochs, values
        of sums and steps of sketches are added. Of `step.progress` only the source's side counts.

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
            upsert(connection, DEFINITIONS, [definition_row(*named) for named in step.definitions.items()])
            _save_epoch_tables(connection, step.epochs)
            insert(connection, EPOCHS, [epoch_row(epoch, now) for epoch in step.epochs])
            values = {(epoch, key): value for epoch, key, value in step.sums}
            insert(connection, HISTORY, [history_row(*at, value) for at, value in values.items()])
            newest = {key: value for (_, key), value in sorted(values.items(), key=lambda item: item[0][0])}
            upsert(connection, RUNNING, [sum_row(key, value) for key, value in newest.items()])
            _count_rows(connection, sorted({key.table for key in newest}))
            insert(connection, SKETCH_STEPS, [sketch_step_row(change) for change in step.sketches])
            _suspect(connection, step.suspicions)

    def suspect(self, suspicions: Sequence[Suspicion]) -> None:
        """See the port."""
        with self._transaction() as connection:
            for suspicion in suspicions:
                _add(connection, suspicion)

    def clear_suspicion(self, table: str, epoch: int) -> None:
        """See the port; a cause in a later epoch stays one."""
        with self._transaction() as connection:
            _clear(connection, table, epoch)

    def save_counts(self, counts: Sequence[LakeCount]) -> None:
        """See `StateStore.save_counts`."""
        gone = [
            {"of": count.state.table, "at": path}
            for count in counts
            for path in sorted({*count.removed, *(file.path for file in count.added)})
        ]
        files = {(count.state.table, file.path): file for count in counts for file in count.added}
        with self._transaction() as connection:
            upsert(connection, LAKE_TABLES, [lake_table_row(count.state) for count in counts])
            if gone:
                connection.execute(
                    sa.delete(FILES).where(
                        FILES.c.table_name == sa.bindparam("of"), FILES.c.path == sa.bindparam("at")
                    ),
                    gone,
                )
            insert(connection, FILES, [file_row(table, file) for (table, _), file in files.items()])
            sums = (file_sum_rows(table, file) for (table, _), file in files.items())
            insert(connection, FILE_SUMS, list(chain.from_iterable(sums)))
            sketches = (file_sketch_rows(table, file) for (table, _), file in files.items())
            insert(connection, FILE_SKETCHES, list(chain.from_iterable(sketches)))

    def save_lake(self, state: LakeTableState, added: Sequence[FileSums], removed: Sequence[str]) -> None:
        """Stores which files one table now counts; see `save_counts`."""
        self.save_counts([LakeCount(state, added, removed)])

    def forget(self, tables: Sequence[str], *, definitions: Sequence[str]) -> None:
        """See `StateStore.forget`; running sums stay, they are zero."""
        with self._transaction() as connection:
            for names in in_batches(tables):
                for table in (VERDICTS, JUDGED, FILE_SKETCHES, FILE_SUMS, FILES, LAKE_TABLES, SUSPICIONS):
                    connection.execute(sa.delete(table).where(table.c.table_name.in_(names)))
            for names in in_batches(definitions):
                connection.execute(sa.delete(DEFINITIONS).where(DEFINITIONS.c.table_name.in_(names)))

    def save_verdicts(
        self, progress: Progress, judged: Sequence[TableVerdicts], now: float, unchanged: Sequence[str] = ()
    ) -> None:
        """See `StateStore.save_verdicts`; writes only partitions whose verdict or sums changed."""
        with self._transaction() as connection:
            side = {"lake_epoch": progress.lake_epoch, "lake_commits_offset": progress.lake_commits_offset}
            upsert(connection, PROGRESS, [_progress(connection) | side])
            by_table = {verdicts.table: verdicts for verdicts in judged}
            for names in in_batches(list(by_table)):
                _save_tables(connection, [by_table[name] for name in names], now, self._history)
            for names in in_batches(unchanged):
                held = sa.update(JUDGED).where(JUDGED.c.table_name.in_(names))
                connection.execute(held.values(epoch=progress.lake_epoch, judged_at=now))

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
            named = sa.select(EPOCHS.c.tables_key).where(EPOCHS.c.tables_key.is_not(None))
            connection.execute(sa.delete(EPOCH_TABLES).where(EPOCH_TABLES.c.key.not_in(named)))
        now = self._clock()
        if self._points_removed_at is None or now - self._points_removed_at >= REMOVE_EVERY_S:
            with self._transaction() as connection:
                is_more = remove_points(connection, self._history, now)
            self._points_removed_at = None if is_more else now

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
                version = _version(connection)
            if version is None or version in VERSIONS_BEFORE:
                version = self._make_tables()
            if version != SCHEMA_VERSION:
                raise StateError(
                    f"the state store is of version {version}, this program's is {SCHEMA_VERSION}",
                    where=self._where,
                    remedy="use the program that wrote it, or name an empty database as state.url",
                )
            self._prepared = True

    def _make_tables(self) -> str | None:
        """Makes the tables that are missing unless another process was first; answers their version."""
        with self._writing.begin() as connection:
            version = _version(connection)
            if version in VERSIONS_BEFORE:
                if version in VERSIONS_COUNTED_OTHERWISE:
                    METADATA.drop_all(connection, tables=LAKE_SIDE)
                METADATA.create_all(connection)
                _add_columns(connection)
                _fill_summaries(connection)
                connection.execute(sa.update(META).where(META.c.name == _VERSION_NAME).values(value=SCHEMA_VERSION))
            elif version is None:
                METADATA.create_all(connection)
                connection.execute(sa.insert(META).values(name=_VERSION_NAME, value=SCHEMA_VERSION))
                nothing = {"epoch": 0, "epochs_offset": 0, "lake_epoch": 0, "lake_commits_offset": 0}
                first = {"id": _ONLY_ROW, "stream_id": None, "epoch_digest": None}
                insert(connection, PROGRESS, [first | nothing])
            return _version(connection)


def _version(connection: sa.Connection) -> str | None:
    """The version of the tables; None without any, `unknown` if another program made them."""
    if not sa.inspect(connection).has_table(META.name):
        return None
    return connection.scalar(sa.select(META.c.value).where(META.c.name == _VERSION_NAME)) or "unknown"


def _suspect(connection: sa.Connection, step: Suspicions) -> None:
    """Adds suspicions; of a table that is suspect already only the last epoch is another one."""
    for table, epoch in step.restarted.items():
        _clear(connection, table, epoch - 1)
    for suspicion in step.suspects.values():
        _add(connection, suspicion)


def _add(connection: sa.Connection, suspicion: Suspicion) -> None:
    """What was first is kept, but a cascade weighs more than what the lake lacked."""
    of = SUSPICIONS.c.table_name == suspicion.table
    known = connection.execute(sa.select(SUSPICIONS).where(of)).mappings().one_or_none()
    if known is None:
        insert(connection, SUSPICIONS, [suspicion_row(suspicion)])
        return
    values: Row = {"last_epoch": max(known["last_epoch"], suspicion.last_epoch)}
    if suspicion.is_cascade and not known["is_cascade"]:
        values |= {"reason": suspicion.reason, "is_cascade": True}
    connection.execute(sa.update(SUSPICIONS).where(of).values(**values))


def _clear(connection: sa.Connection, table: str, epoch: int) -> None:
    of = SUSPICIONS.c.table_name == table
    connection.execute(sa.delete(SUSPICIONS).where(of, SUSPICIONS.c.last_epoch <= epoch))
    connection.execute(sa.update(SUSPICIONS).where(of, SUSPICIONS.c.first_epoch <= epoch).values(first_epoch=epoch + 1))


def _add_columns(connection: sa.Connection) -> None:
    """Gives an older store the columns, indexes and checksums that it lacks.

    Rows that later values depend on get checksums. Epochs and older values of sums get none, because there may be
    millions of them.
    """
    there = sa.inspect(connection)
    lacks_checksums = False
    for table in (*SOURCE_SIDE, JUDGED, VERDICTS):
        names = {column["name"] for column in there.get_columns(table.name)}
        lacks_checksums |= CHECKSUM in table.c and CHECKSUM not in names
        for column in table.c:
            if column.name not in names:
                kind = column.type.compile(connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}")
    for table in (LAST_FINDINGS, VERDICTS):
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    for table in (PROGRESS, DEFINITIONS, RUNNING) if lacks_checksums else ():
        upsert(connection, table, [dict(row) for row in connection.execute(sa.select(table)).mappings()])


def _fill_summaries(connection: sa.Connection) -> None:
    """Adds up what a version before summaries has stored."""
    tables = list(connection.scalars(sa.select(RUNNING.c.table_name).distinct()))
    for names in in_batches(tables):
        _count_rows(connection, names)
    of_table = VERDICTS.c.table_name == JUDGED.c.table_name

    def added(value: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
        return sa.select(value).where(of_table).correlate(JUDGED).scalar_subquery()

    def counted(outcome: Outcome) -> sa.ScalarSelect[Any]:
        return added(sa.func.count(sa.case((VERDICTS.c.outcome == outcome.value, 1))))

    def rows(column: sa.Column[Any]) -> sa.ScalarSelect[Any]:
        """The sum; NULL if a partition has none."""
        return added(sa.case((sa.func.count() == sa.func.count(column), sa.func.sum(column))))

    connection.execute(
        sa.update(JUDGED).values(
            matches=counted(Outcome.MATCH),
            mismatches=counted(Outcome.MISMATCH),
            inconclusives=counted(Outcome.INCONCLUSIVE),
            source_row_count=rows(VERDICTS.c.source_row_count),
            lake_row_count=rows(VERDICTS.c.lake_row_count),
        )
    )


def _save_epoch_tables(connection: sa.Connection, epochs: Sequence[Epoch]) -> None:
    """Stores the tables of epochs unless they are there already, as those of the epoch before."""
    documents = {tables_key(document): document for document in map(tables_document, epochs)}
    known = set(connection.scalars(sa.select(EPOCH_TABLES.c.key).where(EPOCH_TABLES.c.key.in_(documents))))
    new = [{"key": key, "document": document} for key, document in documents.items() if key not in known]
    insert(connection, EPOCH_TABLES, new)


def _count_rows(connection: sa.Connection, tables: Sequence[str]) -> None:
    """Adds up the rows of tables whose sums have changed."""
    for names in in_batches(tables):
        query = (
            sa.select(RUNNING.c.table_name, sa.func.sum(RUNNING.c.row_count).label("row_count"))
            .where(RUNNING.c.table_name.in_(names))
            .group_by(RUNNING.c.table_name)
        )
        rows = connection.execute(query).mappings()
        upsert(
            connection,
            SOURCE_TABLES,
            [{"table_name": row["table_name"], "row_count": int(row["row_count"])} for row in rows],
        )


def _save_tables(connection: sa.Connection, judged: Sequence[TableVerdicts], now: float, rules: HistoryRules) -> None:
    """Stores the verdicts on some tables."""
    before: dict[str, dict[str, Mapping[str, Any]]] = {verdicts.table: {} for verdicts in judged}
    for row in connection.execute(sa.select(VERDICTS).where(VERDICTS.c.table_name.in_(before))).mappings():
        before[row["table_name"]][row["partition_name"]] = dict(row)
    changed: list[Row] = []
    gone: list[Row] = []
    points: dict[tuple[str, str], Row] = {}
    for verdicts in judged:
        old = before[verdicts.table]
        rows = [verdict_row(verdicts, name, old.get(name), now) for name in verdicts.verdicts]
        altered = [row for row in rows if row != old.get(row["partition_name"])]
        for verdict in altered:
            if is_point_due(rules, verdict["point_at"], now, is_new_outcome=verdict["since"] == now):
                verdict["point_at"] = now
                points[verdicts.table, verdict["partition_name"]] = point_row(verdict, verdicts.epoch, now)
        changed += altered
        gone += [{"of": verdicts.table, "at": name} for name in old if name not in verdicts.verdicts]
    upsert(connection, VERDICTS, changed)
    save_points(connection, points)
    if gone:
        connection.execute(
            sa.delete(VERDICTS).where(
                VERDICTS.c.table_name == sa.bindparam("of"), VERDICTS.c.partition_name == sa.bindparam("at")
            ),
            gone,
        )
    upsert(connection, JUDGED, [judged_row(verdicts, now) for verdicts in judged])


def _progress(connection: sa.Connection) -> dict[str, Any]:
    """The progress as it stands, all of it.

    Raises:
        StateError: it is damaged.
    """
    (row,) = require_sound(PROGRESS, connection.execute(sa.select(PROGRESS)).mappings().all())
    return dict(row)


def _move(connection: sa.Connection, before: Progress, after: Progress) -> None:
    """Compares and sets the source's side of the progress."""
    row = _progress(connection)
    if (row["stream_id"], row["epoch"], row["epochs_offset"]) != (before.stream_id, before.epoch, before.epochs_offset):
        raise ConflictError(f"the state store is no longer at epoch {before.epoch}: another fingerprinter was first")
    side = {
        "stream_id": after.stream_id,
        "epoch": after.epoch,
        "epochs_offset": after.epochs_offset,
        "epoch_digest": after.epoch_digest or None,
    }
    upsert(connection, PROGRESS, [row | side])
