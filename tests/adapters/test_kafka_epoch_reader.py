"""An epoch may be seen before the definitions that were committed with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import pytest

from datafingerprint.adapters import kafka_epoch_reader
from datafingerprint.adapters.kafka_epoch_reader import KafkaEpochReader
from datafingerprint.config import Kafka
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import WireError
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
