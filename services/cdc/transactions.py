"""Puts committed transactions together from binlog events; what was rolled back never leaves this module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from datafingerprint.changes import Op
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DataFingerprintError, DecodeError
from datafingerprint.events import Events
from datafingerprint.gtid import parse_gtids
from datafingerprint.kernel.binlog import PlainRun
from datafingerprint.kernel.binlog import binlog as native_binlog
from datafingerprint.remedies import READ_ALL_AGAIN, reading_again
from services.cdc import binlog
from services.cdc.binlog import Event, EventType, Gtid, parse_event
from services.cdc.place import Place
from services.cdc.plain import CommittedRun, Room
from services.cdc.queries import parse_query
from services.cdc.statements import HARMLESS, Meaning, Statement, classify, first_words
from services.cdc.table_map import TableMap, parse_table_map
from services.cdc.transaction_rows import LoggedRows, SpillLimit, TransactionRows

_OCTETS_MAX = 1 << 62

_WITHOUT_XA = "run no XA transactions on the source, commit or roll back what XA RECOVER shows, then "


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction that was committed on the source; one without rows only moves the position.

    Attributes:
        rows: Its row events, to be closed by whoever takes them.
        statement: What it is instead of rows: a statement about tables under watch, or that drops a schema.
    """

    gtid: str
    position: SourcePosition
    committed_at: float
    rows: TransactionRows
    statement: Statement | None = None


@dataclass(slots=True)
class _Open:
    gtid: Gtid
    begun: bool
    rows: TransactionRows
    savepoints: list[tuple[str, int]] = field(default_factory=list)
    replacing: Statement | None = None


class Assembler:
    """A state machine over the events of one dump connection.

    Args:
        position: Where the stream begins; its GTIDs are carried forward.
        is_watched: Tells whether a table (`schema.table`) is under watch; what it raises ends the feeding.
        limit: When the rows of a transaction go to a temporary file; None holds all of them in memory.
        abandoned: Told the GTID of a transaction that the source began to log, and crashed before it was whole.
    """

    def __init__(
        self,
        position: SourcePosition,
        is_watched: Callable[[str], bool],
        limit: SpillLimit | None = None,
        abandoned: Callable[[str], None] | None = None,
    ) -> None:
        self._limit = limit
        self._abandoned = abandoned
        self._position = position
        self._place = Place(position)
        self._gtids = parse_gtids(position.gtid)
        self._is_watched = is_watched
        self._tables: dict[int, TableMap] = {}
        self._followed: dict[int, bool] = {}
        self._open: _Open | None = None
        self._singly = 0

    @property
    def position(self) -> SourcePosition:
        """Where the last whole transaction ended."""
        return self._position

    @property
    def is_between_transactions(self) -> bool:
        """Whether no transaction is open."""
        return self._open is None

    def feed(self, event: Event) -> Committed | None:
        """Takes one event; returns the transaction that it completes, if it does.

        Raises:
            DecodeError: the event cannot be followed exactly.
        """
        if self._singly:
            self._singly -= 1
        if event.type in binlog.PASSED_OVER:
            if event.type is EventType.FORMAT_DESCRIPTION:
                self._place.describe(event)
            return None
        if event.type is EventType.ROTATE:
            self._rotate(event)
            return None
        self._place.pass_by(event)
        if event.type in binlog.GTIDS:
            self._begin(event)
            return None
        if self._open is None:
            raise self._refusal(f"a {event.type.name} event stands outside a transaction")
        if event.type is EventType.TRANSACTION_PAYLOAD:
            return self._payload(event)
        return self._inside(event, self._open)

    def run(self, events: Events, first: int, room: Room) -> CommittedRun | None:
        """Takes the plain transactions that the events from `first` on begin with, all at once.

        Returns:
            The transactions; None where there are none, or the native code was not built: `feed` takes any.

        Raises:
            DecodeError: as `feed` does.
        """
        native = native_binlog()
        if native is None or self._open is not None or self._singly:
            return None
        found = native.transactions(
            events.octets,
            events.begins,
            events.ends,
            first=first,
            place=self._place.offset,
            octets_max=_OCTETS_MAX if self._limit is None else self._limit.octets_max,
            enough=room.octets,
            most=room.transactions,
        )
        if found is None:
            return None
        try:
            maps = [parse_table_map(parse_event(events[index], self._where), self._where) for index in found.described]
            followed = [table_map if self._is_followed(table_map) else None for table_map in maps]
        except DataFingerprintError:
            self._singly = found.events  # so that it is raised by `feed`, in its place, and not asked for before
            return None
        self._tables |= {table_map.table_id: table_map for table_map in maps}
        return self._taken(found, followed, events, first)

    def _taken(self, found: PlainRun, followed: list[TableMap | None], events: Events, first: int) -> CommittedRun:
        rows = [
            (of, LoggedRows(table_map, _OPS[kind], events.octets[begin:end]))
            for of, index, kind, begin, end in zip(
                found.of, found.maps, found.kinds, found.begins, found.until, strict=True
            )
            if (table_map := followed[index]) is not None
        ]
        one = binlog.parse_gtid(parse_event(events[first], self._where)).text
        before = one[: len(one) - len(str(found.numbers[0]))]
        gtids = [f"{before}{number}" for number in found.numbers]
        self._gtids = self._gtids.add(one).union(parse_gtids(_through(before, found.numbers)))
        ends = [self._place.whole(end) for end in found.ends]
        self._place.pass_to(found.ends[-1])
        self._position = self._place.at(str(self._gtids))
        return CommittedRun(found.events, gtids, ends, rows, self._position, float(found.timestamp))

    def _rotate(self, event: Event) -> None:
        """Another file begins. No transaction goes on in it: one that is open was being logged when the source crashed.

        It was never committed: the server rolls back what its log does not hold as a whole.
        """
        if self._open is not None:
            if self._abandoned is not None:
                self._abandoned(self._open.gtid.text)
            self._open.rows.close()
            self._open = None
        if self._place.rotate(*binlog.parse_rotate(event)):
            self._position = self._place.at(self._position.gtid)
        self._tables.clear()
        self._followed.clear()

    def _payload(self, event: Event) -> Committed | None:
        committed = None
        for inner in binlog.parse_payload(event, self._where):
            committed = self.feed(inner)
        return committed

    def _inside(self, event: Event, opened: _Open) -> Committed | None:
        if event.type is EventType.TABLE_MAP:
            table_map = parse_table_map(event, self._where)
            self._tables[table_map.table_id] = table_map
        elif event.type in binlog.ROWS:
            self._rows(event, opened)
        elif event.type is EventType.XID:
            return self._commit(event, opened)
        elif event.type in (EventType.QUERY, EventType.QUERY_COMPRESSED):
            return self._statement(event, opened)
        return None

    def _begin(self, event: Event) -> None:
        if self._open is not None:
            raise self._refusal("a transaction begins inside another")
        gtid = binlog.parse_gtid(event)
        if gtid.prepared_xa:
            raise self._refusal(
                "an XA transaction is logged before it is committed, which is not followed yet", _WITHOUT_XA
            )
        self._open = _Open(gtid, gtid.is_open, TransactionRows(self._limit))

    def _rows(self, event: Event, opened: _Open) -> None:
        images = binlog.parse_rows(event)
        table_map = self._tables.get(images.table_id)
        if table_map is None:
            raise self._refusal("rows of a table that no table map describes")
        if not self._is_followed(table_map):
            return
        if not images.is_full:
            raise DecodeError(
                f"a row image of {table_map.table} lacks columns",
                where=self._where,
                remedy="a session has set binlog_row_image to other than FULL; make it stop, then read it again: "
                f"{reading_again(table_map.table)}",
            )
        opened.rows.append(LoggedRows(table_map, _op(event.type), images.octets))

    def _is_followed(self, table_map: TableMap) -> bool:
        """Whether a table's rows are; asked once for each number, which another table of the name does not have."""
        known = self._followed.get(table_map.table_id)
        if known is None:
            known = self._followed[table_map.table_id] = self._is_watched(table_map.table)
        return known

    def _statement(self, event: Event, opened: _Open) -> Committed | None:
        query = parse_query(event)
        statement = HARMLESS if opened.gtid.is_tentative else classify(query)
        if statement.meaning is Meaning.BEGIN:
            opened.begun = True
            return None
        if statement.meaning is Meaning.SAVEPOINT:
            opened.savepoints.append((statement.name, opened.rows.length))
            return None
        if statement.meaning is Meaning.ROLLBACK_TO:
            self._truncate(opened, statement.name)
            return None
        if statement.meaning is Meaning.UNKNOWN:
            verb = first_words(query.text)
            remedy = _WITHOUT_XA if verb.startswith("XA") else ""
            raise self._refusal(f"a statement that is not known to leave the rows as they are ({verb} …)", remedy)
        if statement.meaning in (Meaning.TABLES, Meaning.DROP_SCHEMA):
            self._followed.clear()
        is_told = self._is_told(statement)
        if is_told and opened.begun and statement.name == "CREATE" and not opened.rows.length:
            # CREATE OR REPLACE TABLE … SELECT of MariaDB; the rows that follow are read with the table.
            opened.replacing = statement
            return None
        if statement.meaning is Meaning.TABLES and opened.begun and (opened.rows.length or is_told):
            raise self._refusal("a table is defined in the middle of a transaction")
        if statement.meaning is Meaning.ROLLBACK:
            opened.rows.truncate(0)
        if statement.meaning in (Meaning.COMMIT, Meaning.ROLLBACK) or not opened.begun:
            committed = self._commit(event, opened)
            return replace(committed, statement=statement) if is_told else committed
        return None

    def _is_told(self, statement: Statement) -> bool:
        """Whether a statement is handed on: it is about tables under watch, or may be."""
        if statement.meaning is Meaning.DROP_SCHEMA:
            return True
        if any(self._is_watched(table) for table in statement.tables):
            return True
        for table in statement.made:
            self._is_watched(table)  # one that comes under watch by its new name is told of
        return False

    def _truncate(self, opened: _Open, name: str) -> None:
        for index in range(len(opened.savepoints) - 1, -1, -1):
            marker, length = opened.savepoints[index]
            if marker.lower() == name.lower():
                opened.rows.truncate(length)
                del opened.savepoints[index + 1 :]
                return
        raise self._refusal("a rollback to a savepoint that was not logged")

    def _commit(self, event: Event, opened: _Open) -> Committed:
        self._gtids = self._gtids.add(opened.gtid.text)
        self._position = self._place.at(str(self._gtids))
        self._open = None
        if opened.replacing is not None:
            opened.rows.truncate(0)
        return Committed(opened.gtid.text, self._position, float(event.timestamp), opened.rows, opened.replacing)

    @property
    def _where(self) -> str:
        return f"{self._place.file}:{self._place.offset}"

    def _refusal(self, what: str, remedy: str = "") -> DecodeError:
        return DecodeError(
            what,
            where=self._where,
            remedy=f"{remedy}{READ_ALL_AGAIN}",
        )


def _through(before: str, numbers: list[int]) -> str:
    """All of a run, as a MySQL set tells it, or the last of it, as a MariaDB position does."""
    return f"{before}{numbers[0]}-{numbers[-1]}" if before.endswith(":") else f"{before}{numbers[-1]}"


def _op(kind: EventType) -> Op:
    if kind in binlog.WRITES:
        return Op.CREATED
    return Op.UPDATED if kind in binlog.UPDATES else Op.DELETED


_OPS = {int(kind): _op(kind) for kind in binlog.ROWS}
