"""Positions in the log, unfinished transactions, and changes that are logged as text."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from datafingerprint.binlog.cursor import BinlogCursor
from datafingerprint.binlog.events import Event, EventType, parse_event
from datafingerprint.binlog.transactions import Assembler, CommittedTransaction
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import CutShortError, SourceError
from datafingerprint.stored_programs import ProgramKind, StoredProgram
from services.cdc.epoch_builder import EpochBuilder, EpochLimits
from services.cdc.truncated_log import flush_on_truncated_log
from tests.datafingerprint.binlog import logged

SERVER = 7


def rotate(file: str, offset: int = 4) -> Event:
    return Event(EventType.ROTATE, 0, SERVER, 0, struct.pack("<Q", offset) + file.encode())


def gtid(number: int, end: int) -> Event:
    return Event(EventType.GTID, 0, SERVER, end, struct.pack("<QIB6x", number, 0, 0))


def xid(end: int) -> Event:
    return Event(EventType.XID, 0, SERVER, end, bytes(8))


def description() -> Event:
    return Event(EventType.FORMAT_DESCRIPTION, 0, SERVER, 256, b"")


def fed(assembler: Assembler, *events: Event) -> list[SourcePosition]:
    """The positions of the transactions that these events complete."""
    return [transaction.position for transaction in map(assembler.feed, events) if transaction is not None]


def assembler_at(position: SourcePosition, unfinished: list[str] | None = None) -> Assembler:
    gtids = [] if unfinished is None else unfinished
    return Assembler(position, lambda _: True, on_unfinished=gtids.append)


def test_a_transaction_that_its_file_does_not_end_is_left_out_and_reported() -> None:
    unfinished: list[str] = []
    assembler = assembler_at(SourcePosition("0-7-1", "log.1", 100), unfinished)
    events = [rotate("log.1"), description(), gtid(2, 200), xid(300), gtid(3, 400), rotate("log.2"), description()]
    assert fed(assembler, *events) == [SourcePosition("0-7-2", "log.1", 300, SERVER)]
    assert unfinished == ["0-7-3"]
    assert assembler.is_between_transactions
    assert assembler.position == SourcePosition("0-7-2", "log.2", 4, SERVER)
    assert fed(assembler, gtid(3, 350), xid(380)) == [SourcePosition("0-7-3", "log.2", 380, SERVER)]


def test_a_connection_alone_does_not_move_the_position() -> None:
    """The server names a file and its beginning. It sends only what follows the requested GTIDs."""
    begin = SourcePosition("0-7-1", "log.1", 5_000, SERVER)
    for first in ("log.1", "log.2"):
        assembler = assembler_at(begin)
        assert fed(assembler, rotate(first), description()) == []
        assert assembler.position == begin


@pytest.mark.parametrize("beyond", [0, 1 << 32, 3 << 32])
def test_offsets_beyond_4_gib_are_whole(beyond: int) -> None:
    """Events have only the lower 32 bits."""
    assembler = assembler_at(SourcePosition("0-7-1", "log.1", beyond + (1 << 32) - 100))
    positions = fed(assembler, rotate("log.1"), gtid(2, (1 << 32) - 50), xid(20), gtid(3, 90), xid(120))
    assert [position.pos - beyond for position in positions] == [(1 << 32) + 20, (1 << 32) + 120]


def test_a_cursor_moves_back_when_events_are_sent_again() -> None:
    cursor = BinlogCursor(SourcePosition("", "log.1", 5_000))
    cursor.rotate("log.1", 4)
    cursor.move_past(gtid(1, 900))
    assert cursor.offset == 900


def test_where_a_log_breaks_off_what_is_whole_is_kept_and_without_anything_whole_it_stops() -> None:
    assembler = assembler_at(SourcePosition("0-7-1", "log.1", 100))
    builder = EpochBuilder(EpochLimits(1e9, 10**9, 1e9), {})
    closed: list[bool] = []
    with (
        pytest.raises(SourceError, match=r"breaks off.*--resnapshot '\*'"),
        flush_on_truncated_log(assembler, builder, lambda: closed.append(True)),
    ):
        raise CutShortError("breaks off", where="here")

    def read() -> None:
        with flush_on_truncated_log(assembler, builder, lambda: closed.append(True)):
            for committed in filter(None, map(assembler.feed, [rotate("log.1"), gtid(2, 200), xid(300), gtid(3, 400)])):
                builder.add(committed, 0.0)
            raise CutShortError("breaks off", where="here")

    with pytest.raises(CutShortError):
        read()
    assert closed == [True]


def completed(
    *bodies: tuple[int, bytes], is_captured: Callable[[str], bool] = lambda _: True
) -> list[CommittedTransaction]:
    """What these events complete, with programs that lead from other tables to captured ones."""
    programs = [StoredProgram(ProgramKind.VIEW, "free", "v", "select `a` from `ootp`.`players`")]
    assembler = Assembler(SourcePosition("", "log.1", 4), is_captured, programs=lambda: programs)
    events = [logged.event(kind, body, 100 * number) for number, (kind, body) in enumerate(bodies, start=1)]
    return [
        transaction
        for transaction in (assembler.feed(parse_event(data, "here")) for data in events)
        if transaction is not None
    ]


def is_captured(table: str) -> bool:
    return table == "ootp.players"


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("INSERT INTO players VALUES (1)", ["ootp.players"]),
        ("UPDATE free.v SET a = 1", ["ootp.players"]),
        ("REPLACE INTO free.sums SELECT COUNT(*) FROM ootp.players", []),
        ("DELETE FROM free.v2", []),
        ("CREATE STRANGE TABLE players", ["ootp.players"]),
        ("CREATE STRANGE TABLE other", []),
    ],
)
def test_a_change_that_is_logged_as_text_is_that_of_the_tables_it_reaches(text: str, tables: list[str]) -> None:
    values = [(int(kind), bytes(9)) for kind in (EventType.INTVAR, EventType.RAND, EventType.USER_VAR)]
    (transaction,) = completed(
        logged.gtid_of_mysql(1), logged.query("BEGIN"), *values, logged.query(text), logged.XID, is_captured=is_captured
    )
    assert sorted(transaction.unknown_changes) == tables
    assert all("session 1 " in cause or "not understood" in cause for cause in transaction.unknown_changes.values())


def test_a_file_that_is_loaded_is_a_change_of_its_table() -> None:
    text = "LOAD DATA LOCAL INFILE 'f' INTO TABLE `players` (`a`)"
    _, body = logged.query(text)
    loaded = int(EventType.EXECUTE_LOAD_QUERY), body[:13] + bytes(13) + body[13:]
    pieces = [(int(kind), bytes(9)) for kind in (EventType.BEGIN_LOAD_QUERY, EventType.APPEND_BLOCK)]
    (transaction,) = completed(logged.gtid_of_mariadb(1), *pieces, loaded, logged.XID, is_captured=is_captured)
    assert list(transaction.unknown_changes) == ["ootp.players"]


def test_what_was_rolled_back_has_changed_nothing() -> None:
    text = logged.query("INSERT INTO players VALUES (1)")
    (transaction,) = completed(logged.gtid_of_mariadb(1), text, logged.query("ROLLBACK"), is_captured=is_captured)
    assert not transaction.unknown_changes


def test_a_json_column_of_which_a_part_is_logged_concerns_its_table_alone() -> None:
    begin, described = [logged.gtid_of_mysql(1), logged.query("BEGIN")], logged.table_map(1, "players")
    partial = int(EventType.PARTIAL_UPDATE_ROWS), (1).to_bytes(6, "little") + b"\1\0\2\0\3\7\7"
    (transaction,) = completed(*begin, described, partial, logged.XID, is_captured=is_captured)
    assert "PARTIAL_JSON" in transaction.unknown_changes["ootp.players"]
    (transaction,) = completed(*begin, described, partial, logged.XID, is_captured=lambda _: False)
    assert not transaction.unknown_changes
