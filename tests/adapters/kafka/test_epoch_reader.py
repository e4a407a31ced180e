"""An epoch may become visible before its definitions, and its rows are passed on in pieces."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from kafka import TopicPartition
from kafka.errors import CorruptRecordError, OffsetOutOfRangeError

from datafingerprint.adapters.kafka import epoch_reader as kafka_epoch_reader
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.changes import Changes, Op, changes
from datafingerprint.config import Kafka
from datafingerprint.epochs import Epoch, OffsetRange, SourcePosition
from datafingerprint.errors import WireError
from datafingerprint.messages import Message, messages_of
from datafingerprint.ports.stream import EpochRows
from datafingerprint.schema import TableSchema
from tests.datafingerprint.drawn import KEYED

EPOCH = Epoch("stream", 1, SourcePosition("0-1-1", "", 0), 0.0, versions={KEYED.table: 1})


def reader_of(
    monkeypatch: pytest.MonkeyPatch, answers: Iterator[Mapping[int, TableSchema]], timeout_s: float = 5.0
) -> KafkaEpochReader:
    """A reader whose schemas topic gives these answers, one after another.

    A real broker marks a transaction in one partition after another, but no test can make it pause in between.
    """
    reader = KafkaEpochReader(Kafka(timeout_s=timeout_s), "group")
    monkeypatch.setattr(kafka_epoch_reader, "read_definitions", lambda *_: next(answers))
    monkeypatch.setattr(reader, "_poll", lambda _: False)
    return reader


def test_definitions_that_become_visible_a_moment_later_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(monkeypatch, iter([{}, {}, {1: KEYED}]))
    reader._load_definitions(EPOCH, "here")
    assert reader.definitions() == {1: KEYED}


def test_definitions_that_never_become_visible_stop_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(monkeypatch, itertools.repeat({}), timeout_s=0.2)
    with pytest.raises(WireError, match=r"definitions \[1\] are missing"):
        reader._load_definitions(EPOCH, "here")


def pieces_of(monkeypatch: pytest.MonkeyPatch, messages: Sequence[Message], missing: int = -1) -> Iterator[Changes]:
    """The pieces of an epoch whose messages are in its topic between void ones."""
    reader = reader_of(monkeypatch, itertools.repeat({1: KEYED}))
    reader._load_definitions(EPOCH, "here")
    where = TopicPartition(f"dfp.{KEYED.schema}.{KEYED.name}", 0)
    void = SimpleNamespace(offset=0, value=b"void", headers=[])
    records = [
        SimpleNamespace(offset=10 + 2 * n, value=message.payload, headers=message.headers)
        for n, message in enumerate(messages)
    ]
    reader._buffers = {where: deque([void, *(record for n, record in enumerate(records) if n != missing)])}
    reader._next = {where: records[-1].offset + 1}
    rows = sum(message.rows for message in messages)
    part = OffsetRange(10, records[-1].offset + 1, len(messages), rows)
    return reader._changes(EPOCH, KEYED.table, where, part)


def messages_of_rows(number: int) -> tuple[Changes, list[Message]]:
    rows = pa.Table.from_pylist(
        [{name: n if name in KEYED.key else None for name in KEYED.arrow.names} for n in range(number)], KEYED.arrow
    )
    made = changes(KEYED, 1, Op.CREATED, 0, after=rows)
    return made, list(messages_of(made, EPOCH.number, bytes_max=4_096))


def reader_with_holes(monkeypatch: pytest.MonkeyPatch, messages: Sequence[Message], missing: int) -> KafkaEpochReader:
    """A reader that passes holes, whose buffer lacks one of the epoch's messages."""
    reader = KafkaEpochReader(Kafka(timeout_s=0.2), "group", passes_holes=True)
    monkeypatch.setattr(reader, "_poll", lambda _: False)
    monkeypatch.setattr(reader, "_assign", lambda: None)
    reader._definitions = {1: KEYED}
    where = TopicPartition(f"dfp.{KEYED.schema}.{KEYED.name}", 0)
    records = [
        SimpleNamespace(offset=n, value=message.payload, headers=message.headers) for n, message in enumerate(messages)
    ]
    reader._buffers = {where: deque(record for n, record in enumerate(records) if n != missing)}
    reader._next = {where: len(records)}
    return reader


@pytest.mark.parametrize("missing", [-1, 0, 1])
def test_a_hole_is_named_with_its_table_by_a_reader_that_passes_over_it(
    monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    made, messages = messages_of_rows(5_000)
    reader = reader_with_holes(monkeypatch, messages, missing)
    part = OffsetRange(0, len(messages), len(messages), made.rows.num_rows)
    epoch = dataclasses.replace(EPOCH, ranges={KEYED.table: {0: part}})
    holes: dict[str, str] = {}
    given = sum(changes.rows.num_rows for _, changes in reader._collect(epoch, holes))
    if missing < 0:
        assert (given, holes) == (5_000, {})
    else:
        assert given < 5_000
        assert f"names {len(messages)} messages with 5000 rows" in holes[KEYED.table]
        assert not reader._next


class Shrunk:
    """A consumer whose broker has removed the messages before an offset, or has a shorter topic."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end = begin, end
        self.sought: dict[TopicPartition, int] = {}

    def beginning_offsets(self, parts: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, self.begin)

    def end_offsets(self, parts: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, self.end)

    def seek(self, where: TopicPartition, offset: int) -> None:
        self.sought[where] = offset


@pytest.mark.parametrize(
    ("begin", "end", "at", "following"), [(90, 100, 10, 90), (0, 5, 10, kafka_epoch_reader._BEYOND), (0, 100, 10, 11)]
)
def test_offsets_that_the_broker_has_lost_of_a_table_are_skipped(begin: int, end: int, at: int, following: int) -> None:
    reader = KafkaEpochReader(Kafka(), "group", passes_holes=True)
    where = TopicPartition("dfp.s.t", 0)
    broker: Any = Shrunk(begin, end)
    reader._consumer, reader._next = broker, {reader._epochs: 3, where: at}
    text = f"Record batch for partition {where} at offset {at} failed crc check"
    reader._skip_lost(CorruptRecordError(text) if following == at + 1 else OffsetOutOfRangeError({where: at}))
    assert reader._next == {reader._epochs: 3, where: following}
    assert begin <= broker.sought[where] <= end
    reader._consumer = None


def test_lost_offsets_of_the_epochs_topic_stop_the_reader() -> None:
    reader = KafkaEpochReader(Kafka(), "group", passes_holes=True)
    broker: Any = Shrunk(5, 9)
    reader._consumer, reader._next = broker, {reader._epochs: 3}
    with pytest.raises(WireError, match=r"the broker has lost or damaged records .*start over"):
        reader._skip_lost(OffsetOutOfRangeError({reader._epochs: 3}))
    reader._consumer = None


def test_the_pieces_of_an_epoch_are_together_the_rows_that_were_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_epoch_reader, "_PIECE_BYTES", 50_000)
    made, messages = messages_of_rows(5_000)
    pieces = list(pieces_of(monkeypatch, messages))
    assert len(pieces) > 3
    assert pa.concat_tables([piece.rows for piece in pieces]) == made.rows


def test_the_last_piece_is_withheld_when_a_message_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_epoch_reader, "_PIECE_BYTES", 50_000)
    _, messages = messages_of_rows(5_000)
    pieces = pieces_of(monkeypatch, messages, missing=1)
    with pytest.raises(WireError, match=r"names \d+ messages with 5000 rows"):
        list(pieces)


class Assigned:
    """A consumer that notes what it is to fetch, and what is committed."""

    def __init__(self) -> None:
        self.partitions: list[TopicPartition] = []
        self.sought: list[TopicPartition] = []
        self.committed: list[set[TopicPartition]] = []
        self.answers: list[object] = []

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self.partitions = list(partitions)

    def seek(self, where: TopicPartition, _offset: int) -> None:
        self.sought.append(where)

    def commit_async(self, offsets: Mapping[TopicPartition, Any], callback: Any) -> None:  # noqa: ANN401 - a function
        self.committed.append(set(offsets))
        if self.answers:
            callback(offsets, self.answers.pop(0))

    def close(self, **_: object) -> None:
        """Nothing is open."""


def naming(number: int, name: str) -> Epoch:
    """An epoch with a message of one table."""
    table = TableSchema("s", name, KEYED.columns, KEYED.key)
    part = {0: OffsetRange(number, number + 1, 1, 1)}
    return dataclasses.replace(EPOCH, number=number, ranges={table.table: part}, versions={table.table: 1})


def test_partitions_that_no_epoch_names_are_fetched_from_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, consumer = KafkaEpochReader(Kafka(), "group"), Assigned()
    now = 100.0
    monkeypatch.setattr("datafingerprint.adapters.kafka.epoch_reader.time.monotonic", lambda: now)
    reader._consumer, reader._next = consumer, {reader._epochs: 0}
    tables = {n: TableSchema("s", f"t{n}", KEYED.columns, KEYED.key) for n in (1, 2)}
    for number, table in tables.items():
        reader._definitions = {1: table}
        reader._follow_partitions(naming(number, table.name))
        now += 4.0
    first, second = (TopicPartition(f"dfp.s.t{number}", 0) for number in tables)
    assert consumer.partitions == [reader._epochs, first, second]
    assert consumer.sought == [first, second]  # what was fetched ahead of the others is kept
    reader._rest()
    assert consumer.partitions == [reader._epochs, second]
    now += 10.0
    reader._rest()
    assert consumer.partitions == [reader._epochs]
    reader._definitions = {1: tables[1]}
    reader._follow_partitions(naming(5, "t1"))
    assert (consumer.partitions, consumer.sought[-1]) == ([reader._epochs, first], first)
    assert reader._next[first] == 5


def test_offsets_are_committed_until_the_broker_has_said_yes_and_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, consumer = KafkaEpochReader(Kafka(), "group"), Assigned()
    now = 100.0
    monkeypatch.setattr("datafingerprint.adapters.kafka.epoch_reader.time.monotonic", lambda: now)
    reader._committed_all_at = now
    reader._consumer = consumer
    consumer.answers = [OSError("lost"), "yes", "yes", "yes"]
    first, second = (TopicPartition(f"dfp.s.{name}", 0) for name in ("a", "b"))
    for number, name in ((1, "a"), (2, "b"), (3, "b"), (4, "b")):
        reader._definitions = {1: TableSchema("s", name, KEYED.columns, KEYED.key)}
        reader.acknowledge(EpochRows(naming(number, name), [], number))
        if number == 3:
            now += kafka_epoch_reader._COMMIT_ALL_S + 1
    epochs = reader._epochs
    assert consumer.committed == [{epochs, first}, {epochs, first, second}, {epochs, second}, {epochs, first, second}]
