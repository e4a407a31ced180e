"""Batches of transactions are equal to those that are assembled event by event."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.binlog import events as binlog
from datafingerprint.binlog.events import EventType, parse_event
from datafingerprint.binlog.packets import Events
from datafingerprint.binlog.table_map import parse_table_map
from datafingerprint.binlog.transaction_batches import BatchLimit, TransactionBatch
from datafingerprint.binlog.transaction_rows import SpillLimit
from datafingerprint.binlog.transactions import Assembler, CommittedTransaction
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DecodeError
from services.cdc.event_feed import feed_events
from tests.datafingerprint.binlog import logged

BEGIN = SourcePosition("", "log.1", 4)
TABLES = {1: "a", 2: "b", 3: "unwatched"}
ROW_KINDS = sorted(binlog.WRITES | binlog.UPDATES | binlog.DELETES)
FULL_KINDS = [kind for kind in ROW_KINDS if "COMPRESSED" not in kind.name]


@dataclass(frozen=True)
class Outcome:
    """A transaction: its GTID, its end, and the rows of each event."""

    gtid: str
    position: int
    rows: tuple[tuple[str, str, bytes], ...]


def is_captured(table: str) -> bool:
    return table != "ootp.unwatched"


def assembler(limit: SpillLimit | None = None) -> Assembler:
    return Assembler(BEGIN, is_captured, limit)


def outcomes_of(committed: CommittedTransaction | TransactionBatch | None) -> Iterator[Outcome]:
    if isinstance(committed, TransactionBatch):
        for index, (gtid, end) in enumerate(zip(committed.gtids, committed.ends, strict=True)):
            rows = [event for number, event in committed.rows if number == index]
            yield Outcome(gtid, end, tuple((event.table_map.table, event.op.value, event.images) for event in rows))
    elif committed is not None:
        images = tuple((event.table_map.table, event.op.value, event.images) for event in committed.rows)
        yield Outcome(committed.gtid, committed.position.pos, images)


def one_by_one(events: list[bytes], limit: SpillLimit | None = None) -> tuple[list[Outcome], str, SourcePosition]:
    """The transactions, the error that ended them, and the position after them."""
    machine, failure = assembler(limit), ""
    outcomes: list[Outcome] = []
    try:
        for data in events:
            outcomes += outcomes_of(machine.feed(parse_event(data, "the test")))
    except DecodeError as error:
        failure = str(error)
    return outcomes, failure, machine.position


def together(
    events: list[bytes], slices: list[int], batch_limit: BatchLimit, limit: SpillLimit | None = None
) -> tuple[list[Outcome], str, SourcePosition, int]:
    """The same for events in several pieces, and how many transactions came in batches."""
    machine, failure, plain = assembler(limit), "", 0
    outcomes: list[Outcome] = []
    bounds = sorted({0, len(events), *(at % (len(events) + 1) for at in slices)})
    pieces = [Events.of(*events[a:b]) for a, b in itertools.pairwise(bounds)]
    try:
        for committed in feed_events(pieces, machine, lambda: "the test", lambda: batch_limit):
            outcomes += outcomes_of(committed)
            plain += len(committed.gtids) if isinstance(committed, TransactionBatch) else 0
    except DecodeError as error:
        failure = str(error)
    return outcomes, failure, machine.position, plain


@st.composite
def transactions(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    """Mostly plain transactions, with other events between and inside them."""
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
                data = logged.images(draw(st.integers(0, 3)), number % 1000)
                events.append(logged.rows(draw(st.sampled_from(FULL_KINDS)), table_id, data, bitmap=bitmap))
            others = [(EventType.ANNOTATE_ROWS, b"x"), (EventType.ROWS_QUERY, b"\1x"), logged.query("SAVEPOINT `s`")]
            if not draw(st.integers(0, 4)):
                events.append(draw(st.sampled_from(others)))
        events.append(draw(st.sampled_from([logged.XID] * 6 + [logged.query("COMMIT")])))
        if not draw(st.integers(0, 5)):
            events.append((EventType.HEARTBEAT, b"log.1"))
    return events


def placed(events: list[tuple[int, bytes]], start: int, steps: list[int]) -> list[bytes]:
    """The events, each with its offset. A file may begin anywhere, and be longer than 4 GiB."""
    placed, at = [], start
    for number, (kind, body) in enumerate(events):
        at += 19 + len(body) + 4 + (steps[number % len(steps)] if steps else 0)
        placed.append(logged.event(kind, body, at))
    return placed


STARTS = st.sampled_from([4, 4, 4, (1 << 32) - 300, (1 << 32) - 100])


@given(transactions(), STARTS, st.lists(st.integers(0, 60)), st.integers(1, 300), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_a_batch_is_what_its_transactions_are_one_by_one(
    events: list[tuple[int, bytes]], start: int, slices: list[int], images_bytes: int, transactions_max: int
) -> None:
    logged_events = placed(events, start, [])
    outcomes, failure, position, _ = together(logged_events, slices, BatchLimit(images_bytes, transactions_max))
    assert (outcomes, failure, position) == one_by_one(logged_events)


@given(transactions(), st.lists(st.integers(0, 60)), st.lists(st.integers(-400, 400), min_size=1))
@settings(max_examples=100, deadline=None)
def test_offsets_that_go_back_move_the_position_as_one_by_one(
    events: list[tuple[int, bytes]], slices: list[int], steps: list[int]
) -> None:
    logged_events = placed(events, 5_000_000, steps)
    outcomes, failure, position, _ = together(logged_events, slices, BatchLimit(1 << 30, 1 << 30))
    assert (outcomes, failure, position) == one_by_one(logged_events)


@given(transactions(), st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_events_end_both_ways_alike(events: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """Some event is truncated, or has a wrong byte. Both ways must end alike."""
    logged_events = placed(events, 4, [])
    if logged_events:
        which = data.draw(st.integers(0, len(logged_events) - 1))
        damaged = bytearray(logged_events[which])
        if data.draw(st.booleans()):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
        else:
            del damaged[data.draw(st.integers(0, len(damaged))) :]
        logged_events[which] = bytes(damaged)
    try:
        expected = one_by_one(logged_events)
    except (struct.error, IndexError, ValueError, UnicodeDecodeError) as error:
        with pytest.raises(type(error)):
            together(logged_events, [], BatchLimit(1 << 30, 1 << 30))
        return
    outcomes, failure, position, _ = together(logged_events, [], BatchLimit(1 << 30, 1 << 30))
    assert (outcomes, failure, position) == expected


def plain(number: int, count: int = 1, table_id: int = 1) -> list[tuple[int, bytes]]:
    inserted = logged.rows(EventType.WRITE_ROWS_V1, table_id, logged.images(count, number))
    return [logged.gtid_of_mariadb(number), logged.table_map(table_id, TABLES[table_id]), inserted, logged.XID]


def test_plain_transactions_come_in_batches_and_others_alone() -> None:
    """This proves that the tests above compare two different ways."""
    odd = [logged.gtid_of_mariadb(4), *plain(4)[1:3], logged.query("COMMIT")]
    events = placed([*plain(1), *plain(2), *plain(3), *odd, *plain(5), *plain(6)], 4, [])
    outcomes, failure, _, taken = together(events, [], BatchLimit(1 << 30, 1 << 30))
    assert ([transaction.gtid for transaction in outcomes], failure, taken) == (
        [f"0-7-{number}" for number in range(1, 7)],
        "",
        5,
    )
    of_mysql = [logged.gtid_of_mysql(1), logged.query("BEGIN"), *plain(1)[1:]]
    assert together(placed(of_mysql, 4, []), [], BatchLimit(1, 1))[3] == 1


def test_a_batch_ends_with_the_transaction_that_reaches_its_limit() -> None:
    events = placed([event for number in range(1, 9) for event in plain(number, 10)], 4, [])
    for batch_limit, sizes in (
        (BatchLimit(1, 9), [1] * 8),
        (BatchLimit(131, 9), [2] * 4),
        (BatchLimit(1 << 30, 3), [3, 3, 2]),
    ):
        batches = [*feed_events([Events.of(*events)], assembler(), str, lambda: batch_limit)]  # noqa: B023 - used up in the loop
        assert [len(batch.gtids) for batch in batches if isinstance(batch, TransactionBatch)] == sizes


def test_a_transaction_beyond_the_spill_limit_comes_alone() -> None:
    limit = SpillLimit(100, TemporaryScratch(""))
    events = placed([*plain(1), *plain(2, 20), *plain(3)], 4, [])
    outcomes, failure, position, taken = together(events, [], BatchLimit(1 << 30, 9), limit)
    assert (outcomes, failure, position) == one_by_one(events, limit)
    assert taken == 2


def test_tables_that_a_batch_described_are_known_after_it() -> None:
    """Servers describe a table in each transaction. Without that, rows are still understood."""
    behind = [logged.gtid_of_mariadb(2), plain(2)[2], logged.XID]
    events = placed([*plain(1), *behind], 4, [])
    outcomes, failure, position, taken = together(events, [], BatchLimit(1 << 30, 9))
    assert (outcomes, failure, position) == one_by_one(events)
    assert ([len(transaction.rows) for transaction in outcomes], taken) == ([1, 1], 1)


def test_the_maps_made_by_hand_are_as_a_server_writes_them() -> None:
    parsed = parse_table_map(parse_event(logged.event(*logged.table_map(5, "players")), ""), "")
    assert (parsed.table_id, parsed.table, [column.name for column in parsed.columns]) == (
        5,
        "ootp.players",
        ["a", "b", "c"],
    )


def test_an_error_in_a_batch_comes_after_the_transactions_before_it() -> None:
    """The error is a table map without column names. `is_captured` may raise one too."""
    nameless = logged.table_map(2, "b")
    nameless = nameless[0], nameless[1][:-8]
    odd = [logged.gtid_of_mariadb(3), nameless, *plain(3, 1, 2)[2:]]
    events = placed([*plain(1), *plain(2), *odd, *plain(4)], 4, [])
    outcomes, failure, position, _ = together(events, [], BatchLimit(1 << 30, 9))
    assert (outcomes, failure, position) == one_by_one(events)
    assert (len(outcomes), "does not name the columns of ootp.b" in failure) == (2, True)


def test_whether_a_new_table_is_captured_is_asked_once_for_the_batch_and_once_at_its_event() -> None:
    """Asking may read the source's whole dictionary."""
    questions: list[str] = []

    def is_captured(table: str) -> bool:
        questions.append(table)
        if table == "ootp.b":
            raise DecodeError("a table is new")
        return True

    events = placed([event for number in range(1, 50) for event in plain(number, 1, 1 if number < 40 else 2)], 4, [])
    completed = feed_events([Events.of(*events)], Assembler(BEGIN, is_captured), str, lambda: BatchLimit(1 << 30, 99))
    outcomes: list[Outcome] = []
    with pytest.raises(DecodeError, match="a table is new"):
        outcomes.extend(chain.from_iterable(map(outcomes_of, completed)))
    assert (len(outcomes), questions) == (39, ["ootp.a", "ootp.b", "ootp.b"])


def test_ignored_rows_are_reported_after_their_commit_by_both_ways() -> None:
    update = logged.rows(EventType.DELETE_ROWS_V1, 3, logged.images(2))
    unread = [logged.gtid_of_mariadb(2), logged.table_map(3, "unwatched"), update, logged.XID]
    events = placed([*plain(1), *unread, *plain(3)], 4, [])
    reports: list[tuple[str, str]] = []

    def report(table: str, op: object) -> None:
        reports.append((table, str(op)))

    one_by_one_assembler = Assembler(BEGIN, is_captured, on_ignored_rows=report)
    for number, data in enumerate(events):
        one_by_one_assembler.feed(parse_event(data, ""))
        assert bool(reports) == (number >= 7)
    batch_assembler = Assembler(BEGIN, is_captured, on_ignored_rows=report)
    assert len([*feed_events([Events.of(*events)], batch_assembler, str, lambda: BatchLimit(1 << 30, 9))]) == 1
    assert reports == [("ootp.unwatched", "d")] * 2
