"""What is taken together is what is put together event by event; the latter is the oracle."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.scratch import TemporaryScratch
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DecodeError
from datafingerprint.events import Events
from services.cdc import binlog
from services.cdc.binlog import EventType, parse_event
from services.cdc.following import following
from services.cdc.plain import CommittedRun, Room
from services.cdc.table_map import parse_table_map
from services.cdc.transaction_rows import SpillLimit
from services.cdc.transactions import Assembler
from tests.services.cdc import logged

BEGIN = SourcePosition("", "log.1", 4)
TABLES = {1: "a", 2: "b", 3: "unwatched"}
ROW_KINDS = sorted(binlog.WRITES | binlog.UPDATES | binlog.DELETES)
FULL_KINDS = [kind for kind in ROW_KINDS if "COMPRESSED" not in kind.name]


@dataclass(frozen=True)
class Found:
    """A transaction as either way finds it: GTID, where it ends, its rows by table."""

    gtid: str
    position: int
    rows: tuple[tuple[str, str, bytes], ...]


def is_watched(table: str) -> bool:
    return table != "ootp.unwatched"


def assembler(limit: SpillLimit | None = None) -> Assembler:
    return Assembler(BEGIN, is_watched, limit)


def found_of(committed: object) -> Iterator[Found]:
    if isinstance(committed, CommittedRun):
        for index, (gtid, end) in enumerate(zip(committed.gtids, committed.ends, strict=True)):
            rows = [one for of, one in committed.rows if of == index]
            yield Found(gtid, end, tuple((one.table_map.table, one.op.value, one.octets) for one in rows))
    elif committed is not None:
        rows = [(one.table_map.table, one.op.value, one.octets) for one in committed.rows]  # type: ignore[attr-defined]
        yield Found(committed.gtid, committed.position.pos, tuple(rows))  # type: ignore[attr-defined]


def one_by_one(events: list[bytes], limit: SpillLimit | None = None) -> tuple[list[Found], str, SourcePosition]:
    """What was found, what ended it, and the position behind it."""
    way, found, said = assembler(limit), [], ""
    try:
        for octets in events:
            found += found_of(way.feed(parse_event(octets, "the test")))
    except DecodeError as error:
        said = str(error)
    return found, said, way.position


def together(
    events: list[bytes], cuts: list[int], room: Room, limit: SpillLimit | None = None
) -> tuple[list[Found], str, SourcePosition, int]:
    """The same, the events in several pieces; and how many transactions were taken together."""
    way, found, said, plain = assembler(limit), [], "", 0
    places = sorted({0, len(events), *(cut % (len(events) + 1) for cut in cuts)})
    pieces = [Events.of(*events[a:b]) for a, b in itertools.pairwise(places)]
    try:
        for committed in following(pieces, way, lambda: "the test", lambda: room):
            found += found_of(committed)
            plain += len(committed.gtids) if isinstance(committed, CommittedRun) else 0
    except DecodeError as error:
        said = str(error)
    return found, said, way.position, plain


@st.composite
def transactions(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    """Most of them plain; what else is in a log stands between and inside them."""
    events: list[tuple[int, bytes]] = []
    number = draw(st.integers(1, 2**40))
    is_mysql = draw(st.booleans())
    for _ in range(draw(st.integers(0, 8))):
        number += draw(st.sampled_from([1, 1, 1, 1, 2, 0])) if draw(st.integers(0, 5)) == 0 else 1
        if is_mysql:
            events += [logged.gtid_of_mysql(number), logged.query(draw(st.sampled_from(["BEGIN"] * 5 + ["begin"])))]
        else:
            domain = draw(st.sampled_from([0] * 9 + [4]))
            flags = draw(st.sampled_from([0] * 9 + [2, 4, 1]))
            events.append(logged.gtid_of_mariadb(number, domain=domain, flags=flags))
        for _ in range(draw(st.integers(0, 3))):
            table_id = draw(st.integers(1, 3))
            if draw(st.integers(0, 9)):
                events.append(logged.table_map(table_id, TABLES[table_id]))
            for _ in range(draw(st.integers(0, 2))):
                bitmap = draw(st.sampled_from([0b111] * 15 + [0b101, 0xFF]))
                octets = logged.images(draw(st.integers(0, 3)), number % 1000)
                events.append(logged.rows(draw(st.sampled_from(FULL_KINDS)), table_id, octets, bitmap=bitmap))
            others = [(EventType.ANNOTATE_ROWS, b"x"), (EventType.ROWS_QUERY, b"\1x"), logged.query("SAVEPOINT `s`")]
            if not draw(st.integers(0, 4)):
                events.append(draw(st.sampled_from(others)))
        events.append(draw(st.sampled_from([logged.XID] * 6 + [logged.query("COMMIT")])))
        if not draw(st.integers(0, 5)):
            events.append((EventType.HEARTBEAT, b"log.1"))
    return events


def placed(events: list[tuple[int, bytes]], start: int, steps: list[int]) -> list[bytes]:
    """The events, each at its offset; a file may begin anywhere, and be longer than 4 GiB."""
    placed, at = [], start
    for number, (kind, body) in enumerate(events):
        at += 19 + len(body) + 4 + (steps[number % len(steps)] if steps else 0)
        placed.append(logged.event(kind, body, at))
    return placed


STARTS = st.sampled_from([4, 4, 4, (1 << 32) - 300, (1 << 32) - 100])


@given(transactions(), STARTS, st.lists(st.integers(0, 60)), st.integers(1, 300), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_taken_together_they_are_what_they_are_one_by_one(
    events: list[tuple[int, bytes]], start: int, cuts: list[int], octets: int, most: int
) -> None:
    octets_of = placed(events, start, [])
    found, said, position, _ = together(octets_of, cuts, Room(octets, most))
    assert (found, said, position) == one_by_one(octets_of)


@given(transactions(), st.lists(st.integers(0, 60)), st.lists(st.integers(-400, 400), min_size=1))
@settings(max_examples=100, deadline=None)
def test_offsets_that_go_back_move_the_position_as_one_by_one(
    events: list[tuple[int, bytes]], cuts: list[int], steps: list[int]
) -> None:
    octets_of = placed(events, 5_000_000, steps)
    found, said, position, _ = together(octets_of, cuts, Room(1 << 30, 1 << 30))
    assert (found, said, position) == one_by_one(octets_of)


@given(transactions(), st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_events_end_both_ways_alike(events: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """A body that was cut off, or of which an octet is another one; strange, but a way may not go on by itself."""
    octets_of = placed(events, 4, [])
    if octets_of:
        which = data.draw(st.integers(0, len(octets_of) - 1))
        octets = bytearray(octets_of[which])
        if data.draw(st.booleans()):
            octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
        else:
            del octets[data.draw(st.integers(0, len(octets))) :]
        octets_of[which] = bytes(octets)
    try:
        expected = one_by_one(octets_of)
    except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
        with pytest.raises(type(error)):
            together(octets_of, [], Room(1 << 30, 1 << 30))
        return
    found, said, position, _ = together(octets_of, [], Room(1 << 30, 1 << 30))
    assert (found, said, position) == expected


def plain(number: int, count: int = 1, table_id: int = 1) -> list[tuple[int, bytes]]:
    inserted = logged.rows(EventType.WRITE_ROWS_V1, table_id, logged.images(count, number))
    return [logged.gtid_of_mariadb(number), logged.table_map(table_id, TABLES[table_id]), inserted, logged.XID]


def test_plain_ones_are_taken_together_and_the_others_by_themselves() -> None:
    """Otherwise the tests above would compare one way with itself."""
    odd = [logged.gtid_of_mariadb(4), *plain(4)[1:3], logged.query("COMMIT")]
    events = placed([*plain(1), *plain(2), *plain(3), *odd, *plain(5), *plain(6)], 4, [])
    found, said, _, taken = together(events, [], Room(1 << 30, 1 << 30))
    assert ([one.gtid for one in found], said, taken) == ([f"0-7-{number}" for number in range(1, 7)], "", 5)
    of_mysql = [logged.gtid_of_mysql(1), logged.query("BEGIN"), *plain(1)[1:]]
    assert together(placed(of_mysql, 4, []), [], Room(1, 1))[3] == 1


def test_a_run_ends_by_the_transaction_that_fills_the_room() -> None:
    events = placed([one for number in range(1, 9) for one in plain(number, 10)], 4, [])
    for room, sizes in ((Room(1, 9), [1] * 8), (Room(131, 9), [2] * 4), (Room(1 << 30, 3), [3, 3, 2])):
        runs = [one for one in following([Events.of(*events)], assembler(), str, lambda: room) if one]  # noqa: B023 - used up in the loop
        assert [len(one.gtids) for one in runs if isinstance(one, CommittedRun)] == sizes


def test_a_transaction_beyond_the_limit_is_laid_aside_as_ever() -> None:
    limit = SpillLimit(100, TemporaryScratch(""))
    events = placed([*plain(1), *plain(2, 20), *plain(3)], 4, [])
    found, said, position, taken = together(events, [], Room(1 << 30, 9), limit)
    assert (found, said, position) == one_by_one(events, limit)
    assert taken == 2


def test_tables_that_a_run_described_are_known_behind_it() -> None:
    """A server describes a table in each transaction; one that did not would still be understood."""
    behind = [logged.gtid_of_mariadb(2), plain(2)[2], logged.XID]
    events = placed([*plain(1), *behind], 4, [])
    found, said, position, taken = together(events, [], Room(1 << 30, 9))
    assert (found, said, position) == one_by_one(events)
    assert ([len(one.rows) for one in found], taken) == ([1, 1], 1)


def test_the_maps_made_by_hand_are_as_a_server_writes_them() -> None:
    parsed = parse_table_map(parse_event(logged.event(*logged.table_map(5, "players")), ""), "")
    assert (parsed.table_id, parsed.table, [one.name for one in parsed.columns]) == (5, "ootp.players", ["a", "b", "c"])


def test_what_stops_capture_in_a_run_comes_behind_the_transactions_before_it() -> None:
    """A table map without the columns' names; `is_watched` may raise as well, for a table that is new."""
    nameless = logged.table_map(2, "b")
    nameless = nameless[0], nameless[1][:-8]
    odd = [logged.gtid_of_mariadb(3), nameless, *plain(3, 1, 2)[2:]]
    events = placed([*plain(1), *plain(2), *odd, *plain(4)], 4, [])
    found, said, position, _ = together(events, [], Room(1 << 30, 9))
    assert (found, said, position) == one_by_one(events)
    assert (len(found), "does not name the columns of ootp.b" in said) == (2, True)


def test_whether_a_new_table_is_watched_is_asked_once_before_its_place_and_once_there() -> None:
    """Asking may read the source's whole dictionary."""
    asked: list[str] = []

    def is_watched(table: str) -> bool:
        asked.append(table)
        if table == "ootp.b":
            raise DecodeError("a table is new")
        return True

    events = placed([one for number in range(1, 50) for one in plain(number, 1, 1 if number < 40 else 2)], 4, [])
    completed = following([Events.of(*events)], Assembler(BEGIN, is_watched), str, lambda: Room(1 << 30, 99))
    found: list[Found] = []
    with pytest.raises(DecodeError, match="a table is new"):
        found.extend(chain.from_iterable(map(found_of, completed)))
    assert (len(found), asked) == (39, ["ootp.a", "ootp.b", "ootp.b"])
