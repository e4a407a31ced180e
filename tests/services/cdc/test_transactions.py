"""Where a connection stands in the log, and what becomes of a transaction that a crash cut off."""

from __future__ import annotations

import struct

import pytest

from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import CutShortError, SourceError
from services.cdc.binlog import Event, EventType
from services.cdc.cut import kept_at_a_cut
from services.cdc.epoch_builder import EpochBuilder, EpochLimits
from services.cdc.place import Place
from services.cdc.transactions import Assembler

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
    return [one.position for one in map(assembler.feed, events) if one is not None]


def assembler_at(position: SourcePosition, abandoned: list[str] | None = None) -> Assembler:
    told = [] if abandoned is None else abandoned
    return Assembler(position, lambda _: True, abandoned=told.append)


def test_a_transaction_that_goes_on_into_no_other_file_is_left_out_and_told() -> None:
    told: list[str] = []
    assembler = assembler_at(SourcePosition("0-7-1", "log.1", 100), told)
    events = [rotate("log.1"), description(), gtid(2, 200), xid(300), gtid(3, 400), rotate("log.2"), description()]
    assert fed(assembler, *events) == [SourcePosition("0-7-2", "log.1", 300, SERVER)]
    assert told == ["0-7-3"]
    assert assembler.is_between_transactions
    assert assembler.position == SourcePosition("0-7-2", "log.2", 4, SERVER)
    assert fed(assembler, gtid(3, 350), xid(380)) == [SourcePosition("0-7-3", "log.2", 380, SERVER)]


def test_a_connection_alone_does_not_move_the_position() -> None:
    """The server names a file and its beginning, and sends only what comes behind the GTIDs that it was asked for."""
    begin = SourcePosition("0-7-1", "log.1", 5_000, SERVER)
    for first in ("log.1", "log.2"):
        assembler = assembler_at(begin)
        assert fed(assembler, rotate(first), description()) == []
        assert assembler.position == begin


@pytest.mark.parametrize("beyond", [0, 1 << 32, 3 << 32])
def test_offsets_beyond_4_gib_are_whole(beyond: int) -> None:
    """Events tell only the lower 32 bits."""
    assembler = assembler_at(SourcePosition("0-7-1", "log.1", beyond + (1 << 32) - 100))
    found = fed(assembler, rotate("log.1"), gtid(2, (1 << 32) - 50), xid(20), gtid(3, 90), xid(120))
    assert [one.pos - beyond for one in found] == [(1 << 32) + 20, (1 << 32) + 120]


def test_a_place_goes_back_where_events_come_again() -> None:
    place = Place(SourcePosition("", "log.1", 5_000))
    place.rotate("log.1", 4)
    place.pass_by(gtid(1, 900))
    assert place.offset == 900


def test_where_a_log_breaks_off_what_is_whole_is_kept_and_without_anything_whole_it_stops() -> None:
    assembler = assembler_at(SourcePosition("0-7-1", "log.1", 100))
    builder = EpochBuilder(EpochLimits(1e9, 10**9, 1e9), {})
    closed: list[bool] = []
    with (
        pytest.raises(SourceError, match=r"breaks off.*--resnapshot '\*'"),
        kept_at_a_cut(assembler, builder, lambda: closed.append(True)),
    ):
        raise CutShortError("breaks off", where="here")

    def read() -> None:
        with kept_at_a_cut(assembler, builder, lambda: closed.append(True)):
            for committed in filter(None, map(assembler.feed, [rotate("log.1"), gtid(2, 200), xid(300), gtid(3, 400)])):
                builder.add(committed, 0.0)
            raise CutShortError("breaks off", where="here")

    with pytest.raises(CutShortError):
        read()
    assert closed == [True]
