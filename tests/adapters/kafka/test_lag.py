"""The lag is asked for in a thread while an answer of the last seconds is there, and for no more than is needed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from datafingerprint.adapters.kafka.lag import FRESH_S, PATIENCE_S, SHARE, KafkaLagReader
from datafingerprint.config import Kafka
from datafingerprint.errors import Unavailable

EPOCHS, TABLE, IDLE = (TopicPartition(f"dfp.{name}", 0) for name in ("epochs", "s.t", "s.idle"))


class Admin:
    """A broker's administrator; it takes `seconds` for every answer, and is away when it is told so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seconds = 0.0
        self.calls: Counter[str] = Counter()
        self.asked: list[set[TopicPartition]] = []
        self.ends = {EPOCHS: 10, TABLE: 50, IDLE: 7}
        self.is_away = False

    def list_topics(self) -> list[str]:
        self.calls["topics"] += 1
        self.now += self.seconds
        return [where.topic for where in self.ends]

    def describe_topics(self, names: Iterable[str]) -> list[dict[str, Any]]:
        return [{"name": name, "partitions": [{"partition_index": 0}]} for name in names]

    def list_partition_offsets(self, wanted: Mapping[TopicPartition, OffsetSpec]) -> dict[TopicPartition, Any]:
        if self.is_away:
            raise OSError("gone")
        is_end = set(wanted.values()) == {OffsetSpec.LATEST}
        self.calls["ends" if is_end else "begins"] += 1
        self.asked.append(set(wanted))
        return {where: SimpleNamespace(offset=self.ends[where] if is_end else 20) for where in wanted}

    def list_group_offsets(self, groups: Iterable[str]) -> dict[str, dict[TopicPartition, Any]]:
        committed = {EPOCHS: 10, TABLE: 5, IDLE: 7}
        return {
            group: {where: SimpleNamespace(offset=offset) for where, offset in committed.items()} for group in groups
        }

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def admin() -> Admin:
    return Admin()


@pytest.fixture
def reader(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> KafkaLagReader:
    made = KafkaLagReader(Kafka(), lambda: admin.now)
    monkeypatch.setattr(made, "_open_admin", lambda: admin)
    return made


def awaited(reader: KafkaLagReader) -> None:
    thread = reader._thread
    if thread is not None:
        thread.join(5)


def test_where_a_partition_begins_is_asked_only_of_those_that_are_behind(reader: KafkaLagReader, admin: Admin) -> None:
    assert reader.messages()["dfp-lake-writer"] == {"dfp.epochs": 0, "dfp.s.t": 30, "dfp.s.idle": 0}
    assert admin.asked == [{EPOCHS, TABLE, IDLE}, {TABLE}]


def test_an_answer_is_given_again_while_a_thread_asks_for_the_next_one(reader: KafkaLagReader, admin: Admin) -> None:
    reader.messages()
    admin.now += FRESH_S / 2
    reader.messages()
    assert admin.calls["ends"] == 1
    admin.now += FRESH_S
    admin.ends[TABLE] = 60
    assert reader.messages()["dfp-lake-writer"]["dfp.s.t"] == 30
    awaited(reader)
    assert reader.messages()["dfp-lake-writer"]["dfp.s.t"] == 40
    assert (admin.calls["ends"], admin.calls["topics"]) == (2, 1)


def test_asking_takes_a_small_share_of_the_time(reader: KafkaLagReader, admin: Admin) -> None:
    admin.seconds = 0.04
    reader.messages()
    admin.now += 0.04 / SHARE - 0.1
    reader.messages()
    awaited(reader)
    assert admin.calls["ends"] == 1


def test_after_a_pause_callers_wait_for_an_answer_and_learn_that_the_broker_is_away(
    reader: KafkaLagReader, admin: Admin
) -> None:
    reader.messages()
    admin.now += PATIENCE_S + 1
    admin.ends[TABLE] = 60
    assert reader.messages()["dfp-lake-writer"]["dfp.s.t"] == 40
    admin.is_away = True
    admin.now += FRESH_S
    reader.messages()
    awaited(reader)
    with pytest.raises(Unavailable):
        reader.messages()
    admin.is_away = False
    admin.now += 60
    assert reader.messages()["dfp-lake-writer"]["dfp.s.t"] == 40


def test_a_closed_reader_asks_no_more(reader: KafkaLagReader, admin: Admin) -> None:
    reader.messages()
    reader.close()
    admin.now += 2 * FRESH_S
    reader.messages()
    awaited(reader)
    assert threading.active_count() >= 1
    assert admin.calls["ends"] == 1
