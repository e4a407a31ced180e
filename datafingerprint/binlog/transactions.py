"""Assembles committed transactions from binlog events, without what was rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from datafingerprint.binlog import events as binlog
from datafingerprint.binlog.cursor import BinlogCursor
from datafingerprint.binlog.events import Event, EventType, Gtid, parse_event
from datafingerprint.binlog.native import PlainRun, native_binlog
from datafingerprint.binlog.packets import Events
from datafingerprint.binlog.queries import Query, parse_query
from datafingerprint.binlog.reach import Reach
from datafingerprint.binlog.statements import HARMLESS, PROGRAM, Meaning, Statement, classify, first_words
from datafingerprint.binlog.table_map import TableMap, parse_table_map
from datafingerprint.binlog.transaction_batches import BatchLimit, TransactionBatch
from datafingerprint.binlog.transaction_rows import LoggedRows, SpillLimit, TransactionRows
from datafingerprint.changes import Op
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DataFingerprintError, DecodeError
from datafingerprint.gtid import parse_gtids
from datafingerprint.recovery import RESNAPSHOT_ALL
from datafingerprint.stored_programs import StoredProgram

_BYTES_MAX = 1 << 62

_WITHOUT_XA = "do not use XA transactions on the source, commit or roll back those that XA RECOVER shows, then "


@dataclass(frozen=True, slots=True)
class CommittedTransaction:
    """A transaction that was committed on the source. One without rows only moves the position.

    Attributes:
        gtid: Its GTID.
        position: The end of the transaction.
        committed_at: When it was committed, in seconds of Unix time.
        rows: Its row events. The receiver closes them.
        statement: A statement about captured tables, or one that drops a schema, in place of rows.
        unknown_changes: Followed tables with changes that the log does not contain, each with the cause.
    """

    gtid: str
    position: SourcePosition
    committed_at: float
    rows: TransactionRows
    statement: Statement | None = None
    unknown_changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _OpenTransaction:
    gtid: Gtid
    has_begun: bool
    rows: TransactionRows
    savepoints: list[tuple[str, int]] = field(default_factory=list)
    replacing: Statement | None = None
    ignored_rows: set[tuple[str, Op]] = field(default_factory=set)
    unknown_changes: dict[str, str] = field(default_factory=dict)
    thread: int = 0


class Assembler:
    """A state machine over the events of one dump connection.

    Args:
        position: The start of the stream. Its GTIDs are part of every later position.
        is_captured: Whether a table (`schema.table`) is captured. Its errors are raised by `feed`.
        limit: When the rows of a transaction move to a temporary file. None keeps all of them in memory.
        on_unfinished: Called with the GTID of a transaction that the source did not finish because it crashed.
        on_ignored_rows: Called for committed rows of tables that are not followed, with the table and the operation.
        is_reported: Whether statements about a table are reported. None reports those about captured tables.
        programs: Reads the source's triggers, views, routines and cascades. Called for changes logged as text.
    """

    def __init__(
        self,
        position: SourcePosition,
        is_captured: Callable[[str], bool],
        limit: SpillLimit | None = None,
        on_unfinished: Callable[[str], None] | None = None,
        on_ignored_rows: Callable[[str, Op], None] = lambda _table, _op: None,
        is_reported: Callable[[str], bool] | None = None,
        programs: Callable[[], Sequence[StoredProgram]] = tuple,
    ) -> None:
        self._programs = programs
        self._reach: Reach | None = None
        self._limit = limit
        self._on_unfinished = on_unfinished
        self._on_ignored_rows = on_ignored_rows
        self._position = position
        self._cursor = BinlogCursor(position)
        self._gtids = parse_gtids(position.gtid)
        self._is_captured = is_captured
        self._reports = is_reported or is_captured
        self._tables: dict[int, TableMap] = {}
        self._followed: dict[tuple[int, str], bool] = {}
        self._open: _OpenTransaction | None = None
        self._events_one_by_one = 0

    @property
    def position(self) -> SourcePosition:
        """The end of the last whole transaction."""
        return self._position

    @property
    def is_between_transactions(self) -> bool:
        """Whether no transaction is open."""
        return self._open is None

    def feed(self, event: Event) -> CommittedTransaction | None:
        """Takes one event, and returns the transaction that it completes, or None.

        Raises:
            DecodeError: the changes of the event cannot be determined exactly.
        """
        if self._events_one_by_one:
            self._events_one_by_one -= 1
        if event.type in binlog.IGNORED:
            if event.type is EventType.FORMAT_DESCRIPTION:
                self._cursor.describe(event)
            return None
        if event.type is EventType.ROTATE:
            self._rotate(event)
            return None
        self._cursor.move_past(event)
        if event.type in binlog.GTIDS:
            self._begin(event)
            return None
        if self._open is None:
            raise self._error(f"a {event.type.name} event is outside a transaction")
        if event.type is EventType.TRANSACTION_PAYLOAD:
            return self._payload(event)
        return self._take_inside(event, self._open)

    def feed_plain(self, events: Events, first: int, limit: BatchLimit) -> TransactionBatch | None:
        """Takes the plain transactions that begin with the event `first`, all at once.

        Returns:
            The transactions, or None if `feed` must take the event: it begins no plain transaction, or there is no
            native code.

        Raises:
            DecodeError: as `feed` does.
        """
        native = native_binlog()
        if native is None or self._open is not None or self._events_one_by_one:
            return None
        run = native.transactions(
            events.data,
            events.begins,
            events.ends,
            first=first,
            offset=self._cursor.offset,
            transaction_bytes_max=_BYTES_MAX if self._limit is None else self._limit.bytes_max,
            run_bytes=limit.images_bytes,
            count_max=limit.transactions,
        )
        if run is None:
            return None
        try:
            maps = [parse_table_map(parse_event(events[index], self._where), self._where) for index in run.map_events]
            followed = [table_map if self._is_followed(table_map) else None for table_map in maps]
        except DataFingerprintError:
            self._events_one_by_one = run.events  # `feed` raises the error after the events before it
            return None
        self._tables |= {table_map.table_id: table_map for table_map in maps}
        unread = {(index, kind) for index, kind in zip(run.maps, run.kinds, strict=True) if followed[index] is None}
        for index, kind in unread:
            self._on_ignored_rows(maps[index].table, _OPS[kind])
        return self._batch(run, followed, events, first)

    def _batch(self, run: PlainRun, followed: list[TableMap | None], events: Events, first: int) -> TransactionBatch:
        rows = [
            (transaction, LoggedRows(table_map, _OPS[kind], events.data[begin:end]))
            for transaction, index, kind, begin, end in zip(
                run.transactions, run.maps, run.kinds, run.image_begins, run.image_ends, strict=True
            )
            if (table_map := followed[index]) is not None
        ]
        first_gtid = binlog.parse_gtid(parse_event(events[first], self._where)).text
        before = first_gtid[: len(first_gtid) - len(str(run.numbers[0]))]
        gtids = [f"{before}{number}" for number in run.numbers]
        self._gtids = self._gtids.add(first_gtid).union(parse_gtids(_gtids_of(before, run.numbers)))
        ends = [self._cursor.full_offset(end) for end in run.ends]
        self._cursor.move_to(run.ends[-1])
        self._position = self._cursor.at(str(self._gtids))
        return TransactionBatch(run.events, gtids, ends, rows, self._position, float(run.timestamp))

    def _rotate(self, event: Event) -> None:
        """Takes the beginning of another file. No transaction continues in it.

        If a transaction is open, the source crashed while it was logged. The server has rolled that transaction back.
        """
        if self._open is not None:
            if self._on_unfinished is not None:
                self._on_unfinished(self._open.gtid.text)
            self._open.rows.close()
            self._open = None
        if self._cursor.rotate(*binlog.parse_rotate(event)):
            self._position = self._cursor.at(self._position.gtid)
        self._tables.clear()
        self._followed.clear()

    def _payload(self, event: Event) -> CommittedTransaction | None:
        committed = None
        for inner in binlog.parse_payload(event, self._where):
            committed = self.feed(inner)
        return committed

    def forget_followed(self) -> None:
        """Makes the next rows of each table ask again whether it is followed."""
        self._followed.clear()

    def _take_inside(self, event: Event, opened: _OpenTransaction) -> CommittedTransaction | None:
        if event.type is EventType.TABLE_MAP:
            table_map = parse_table_map(event, self._where)
            self._tables[table_map.table_id] = table_map
        elif event.type in binlog.ROWS:
            self._rows(event, opened)
        elif event.type is EventType.PARTIAL_UPDATE_ROWS:
            self._partial_rows(event, opened)
        elif event.type is EventType.XID:
            return self._commit(event, opened)
        elif event.type in binlog.QUERIES:
            return self._statement(event, opened)
        return None

    def _begin(self, event: Event) -> None:
        if self._open is not None:
            raise self._error("a transaction begins inside another")
        gtid = binlog.parse_gtid(event)
        if gtid.is_prepared_xa:
            raise self._error(
                "an XA transaction is logged before its commit, which capture does not support", _WITHOUT_XA
            )
        self._open = _OpenTransaction(gtid, gtid.is_open, TransactionRows(self._limit))

    def _rows(self, event: Event, opened: _OpenTransaction) -> None:
        rows = binlog.parse_rows(event)
        table_map = self._table_map(rows.table_id)
        if not self._is_followed(table_map):
            opened.ignored_rows.add((table_map.table, _op(event.type)))
            return
        opened.rows.append(LoggedRows(table_map, _op(event.type), rows.images, rows.is_full))

    def _partial_rows(self, event: Event, opened: _OpenTransaction) -> None:
        """Rows with a JSON column that is logged as a difference."""
        table_map = self._table_map(binlog.parse_table_id(event))
        if self._is_followed(table_map):
            opened.unknown_changes[table_map.table] = (
                f"an update of a JSON column is logged in part only, because {_session(opened.thread)} has set "
                "binlog_row_value_options to PARTIAL_JSON"
            )

    def _table_map(self, table_id: int) -> TableMap:
        table_map = self._tables.get(table_id)
        if table_map is None:
            raise self._error("there is no table map for the table of a rows event")
        return table_map

    def _is_followed(self, table_map: TableMap) -> bool:
        """Whether a table's rows are followed.

        The answer is stored per table number, because another table of the same name has another number.
        """
        key = table_map.table_id, table_map.table
        is_followed = self._followed.get(key)
        if is_followed is None:
            is_followed = self._followed[key] = self._is_captured(table_map.table)
        return is_followed

    def _statement(self, event: Event, opened: _OpenTransaction) -> CommittedTransaction | None:
        """Takes a logged statement, and returns the transaction if the statement ends it."""
        query = parse_query(event, is_mariadb=opened.gtid.is_mariadb)
        opened.thread = query.thread
        statement = HARMLESS if opened.gtid.is_tentative else classify(query)
        reported = None
        match statement.meaning:
            case Meaning.BEGIN | Meaning.SAVEPOINT | Meaning.ROLLBACK_TO:
                self._control(statement, opened)
                return None
            case Meaning.COMMIT:
                return self._commit(event, opened)
            case Meaning.ROLLBACK:
                return self._roll_back(event, opened)
            case Meaning.TABLES | Meaning.DROP_SCHEMA:
                reported = self._definition(statement, opened)
            case Meaning.WRITES:
                reported = self._changes_as_text(statement, opened)
            case Meaning.UNKNOWN:
                self._unknown_statement(statement, query, opened)
            case Meaning.HARMLESS:
                if statement == PROGRAM:
                    self._reach = None
        return self._commit_single(event, opened, reported)

    def _control(self, statement: Statement, opened: _OpenTransaction) -> None:
        """Takes a statement about transactions that ends none."""
        if statement.meaning is Meaning.BEGIN:
            opened.has_begun = True
        elif statement.meaning is Meaning.SAVEPOINT:
            opened.savepoints.append((statement.name, opened.rows.length))
        else:
            self._roll_back_to(opened, statement.name)

    def _roll_back(self, event: Event, opened: _OpenTransaction) -> CommittedTransaction:
        """Commits a transaction without rows, because its GTID counts nevertheless."""
        opened.rows.truncate(0)
        opened.unknown_changes.clear()
        return self._commit(event, opened)

    def _definition(self, statement: Statement, opened: _OpenTransaction) -> Statement | None:
        """Takes a statement that defines tables, or drops a schema.

        Returns:
            The statement, if it is to be reported.

        Raises:
            DecodeError: it is in the middle of a transaction.
        """
        self._reach = None
        self._followed.clear()
        is_reported = self._is_reported(statement)
        if statement.meaning is Meaning.TABLES and opened.has_begun:
            if is_reported and statement.name == "CREATE" and not opened.rows.length:
                # CREATE OR REPLACE TABLE … SELECT of MariaDB. The rows that follow are read with the table.
                opened.replacing = statement
            elif is_reported or opened.rows.length:
                raise self._error("a statement defines a table in the middle of a transaction")
        return statement if is_reported else None

    def _changes_as_text(self, statement: Statement, opened: _OpenTransaction) -> Statement | None:
        """Takes a statement that the log has in place of rows, so that its changes are not known.

        Returns:
            The statement, if it is to be reported.

        Raises:
            DecodeError: the statement runs a program whose text is hidden.
        """
        if self._reach is None:
            self._reach = Reach(self._programs())
        tables, hidden = self._reach.of(statement)
        cause = (
            f"rows are logged as the text of {statement.name or 'a statement'}, because {_session(opened.thread)} "
            "has set binlog_format to other than ROW"
        )
        if hidden:
            raise self._error(
                f"{cause}, and it runs {hidden}, whose text the account may not see",
                "grant the account SHOW VIEW, TRIGGER, and SHOW_ROUTINE or SELECT on mysql.proc, then ",
            )
        self._note_unknown_changes(opened, tables, cause)
        return statement if self._is_reported(statement) else None

    def _unknown_statement(self, statement: Statement, query: Query, opened: _OpenTransaction) -> None:
        """Takes a statement that is not understood.

        Raises:
            DecodeError: it may have changed any table.
        """
        verb = first_words(query.text)
        if not statement.mentions:
            remedy = _WITHOUT_XA if verb.startswith("XA") else ""
            raise self._error(f"a statement whose effect on rows is not known ({verb} …)", remedy)
        self._note_unknown_changes(opened, statement.mentions, f"a statement about it is not understood ({verb} …)")

    def _note_unknown_changes(self, opened: _OpenTransaction, tables: Iterable[str], cause: str) -> None:
        opened.unknown_changes |= {table: cause for table in sorted(tables) if self._is_captured(table)}

    def _commit_single(
        self, event: Event, opened: _OpenTransaction, reported: Statement | None
    ) -> CommittedTransaction | None:
        """Commits a statement that stands alone. Inside a transaction it returns None."""
        if opened.has_begun:
            return None
        committed = self._commit(event, opened)
        return committed if reported is None else replace(committed, statement=reported)

    def _is_reported(self, statement: Statement) -> bool:
        """Whether a statement is to be reported, because it may be about captured tables."""
        if statement.meaning is Meaning.DROP_SCHEMA:
            return True
        for table in statement.made:
            self._is_captured(table)  # this call registers a table that is captured under its new name
        return any(self._reports(table) for table in statement.tables)

    def _roll_back_to(self, opened: _OpenTransaction, name: str) -> None:
        for index in range(len(opened.savepoints) - 1, -1, -1):
            marker, length = opened.savepoints[index]
            if marker.lower() == name.lower():
                opened.rows.truncate(length)
                del opened.savepoints[index + 1 :]
                return
        raise self._error("a rollback to a savepoint that is not in the binlog")

    def _commit(self, event: Event, opened: _OpenTransaction) -> CommittedTransaction:
        self._gtids = self._gtids.add(opened.gtid.text)
        self._position = self._cursor.at(str(self._gtids))
        self._open = None
        for table, op in opened.ignored_rows:
            self._on_ignored_rows(table, op)
        if opened.replacing is not None:
            opened.rows.truncate(0)
        return CommittedTransaction(
            opened.gtid.text,
            self._position,
            float(event.timestamp),
            opened.rows,
            opened.replacing,
            opened.unknown_changes,
        )

    @property
    def _where(self) -> str:
        return f"{self._cursor.file}:{self._cursor.offset}"

    def _error(self, what: str, remedy: str = "") -> DecodeError:
        return DecodeError(
            what,
            where=self._where,
            remedy=f"{remedy}{RESNAPSHOT_ALL}",
        )


def _gtids_of(before: str, numbers: list[int]) -> str:
    """The GTIDs of a run: all of them for MySQL, and the last of them for MariaDB."""
    return f"{before}{numbers[0]}-{numbers[-1]}" if before.endswith(":") else f"{before}{numbers[-1]}"


def _session(thread: int) -> str:
    return f"session {thread}" if thread else "a session"


def _op(kind: EventType) -> Op:
    if kind in binlog.WRITES:
        return Op.CREATED
    return Op.UPDATED if kind in binlog.UPDATES else Op.DELETED


_OPS = {int(kind): _op(kind) for kind in binlog.ROWS}
