"""An epoch may be seen before the definitions that were committed with it, and its rows are handed on in pieces."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace

import pyarrow as pa
import pytest
from kafka import TopicPartition

from datafingerprint.adapters import kafka_epoch_reader
from datafingerprint.adapters.kafka_epoch_reader import KafkaEpochReader
from datafingerprint.changes import Changes, Op, changes
from datafingerprint.config import Kafka
from datafingerprint.epochs import Epoch, OffsetRange, SourcePosition
from datafingerprint.errors import WireError
from datafingerprint.messages import Message, messages_of
from datafingerprint.schema import TableSchema
from tests.datafingerprint.drawn import KEYED

EPOCH = Epoch("stream", 1, SourcePosition("0-1-1", "", 0), 0.0, versions={KEYED.table: 1})


def reader_of(
    monkeypatch: pytest.MonkeyPatch, answers: Iterator[Mapping[int, TableSchema]], timeout_s: float = 5.0
) -> KafkaEpochReader:
    """A reader to whom the topic of definitions gives these answers, one after another.

    The broker marks a transaction in one partition after another; no test can make a real one pause in between.
    """
    reader = KafkaEpochReader(Kafka(timeout_s=timeout_s), "group")
    monkeypatch.setattr(kafka_epoch_reader, "read_definitions", lambda *_: next(answers))
    monkeypatch.setattr(reader, "_poll", lambda _: False)
    return reader


def test_definitions_that_are_seen_a_moment_later_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(monkeypatch, iter([{}, {}, {1: KEYED}]))
    reader._learn(EPOCH, "here")
    assert reader.definitions() == {1: KEYED}


def test_definitions_that_are_never_seen_stop_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = reader_of(monkeypatch, itertools.repeat({}), timeout_s=0.2)
    with pytest.raises(WireError, match=r"definitions \[1\] are missing"):
        reader._learn(EPOCH, "here")


def holding(monkeypatch: pytest.MonkeyPatch, messages: Sequence[Message], missing: int = -1) -> Iterator[Changes]:
    """The pieces that a reader hands on of an epoch whose messages lie in its topic between void ones."""
    reader = reader_of(monkeypatch, itertools.repeat({1: KEYED}))
    reader._learn(EPOCH, "here")
    where = TopicPartition(f"dfp.{KEYED.schema}.{KEYED.name}", 0)
    void = SimpleNamespace(offset=0, value=b"void", headers=[])
    told = [SimpleNamespace(offset=10 + 2 * n, value=one.octets, headers=one.headers) for n, one in enumerate(messages)]
    reader._buffers = {where: deque([void, *(one for n, one in enumerate(told) if n != missing)])}
    reader._next = {where: told[-1].offset + 1}
    rows = sum(one.rows for one in messages)
    part = OffsetRange(10, told[-1].offset + 1, len(messages), rows)
    return reader._changes(EPOCH, KEYED.table, where, part)


def messages_of_rows(number: int) -> tuple[Changes, list[Message]]:
    rows = pa.Table.from_pylist(
        [{name: n if name in KEYED.key else None for name in KEYED.arrow.names} for n in range(number)], KEYED.arrow
    )
    made = changes(KEYED, 1, Op.CREATED, 0, after=rows)
    return made, list(messages_of(made, EPOCH.number, octets_max=4_096))


def test_an_epoch_is_handed_on_in_pieces_that_are_together_what_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_epoch_reader, "_PIECE_OCTETS", 50_000)
    made, messages = messages_of_rows(5_000)
    pieces = list(holding(monkeypatch, messages))
    assert len(pieces) > 3
    assert pa.concat_tables([one.rows for one in pieces]) == made.rows


def test_the_last_piece_is_not_handed_on_when_a_message_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_epoch_reader, "_PIECE_OCTETS", 50_000)
    _, messages = messages_of_rows(5_000)
    pieces = holding(monkeypatch, messages, missing=1)
    with pytest.raises(WireError, match=r"names \d+ messages with 5000 rows"):
        list(pieces)
