"""A capture that starts compares the epochs topic with what readers have read of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from datafingerprint.adapters.kafka.epoch_log import KafkaEpochLog
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka.lake_commits import KafkaLakeCommitLog
from datafingerprint.config import Kafka, Settings
from datafingerprint.epoch_chain import EpochMark, KnownEpoch
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import WireError
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.wire import LakeCommit
from deploy.embedded.waiting import await_condition

pytestmark = pytest.mark.live

AT = SourcePosition("0-1-1", "binlog.000001", 4)


@dataclass(frozen=True)
class Read:
    """Three published epochs, as a reader has read the second."""

    kafka: Kafka
    second: KnownEpoch


@pytest.fixture
def read(stack_settings: Settings) -> Iterator[Read]:
    kafka = stack_settings.kafka
    with contextlib.closing(KafkaEpochLog(kafka)) as log, contextlib.closing(KafkaEpochReader(kafka, None)) as reader:
        assert log.open() is None
        for number in (1, 2, 3):
            log.publish(EpochDraft("stream", number, AT, float(number)))
        reader.seek(0, None)
        known: list[KnownEpoch] = []

        def has_read() -> bool:
            rows = reader.read(1.0)
            if rows is not None:
                known.append(KnownEpoch("a reader", rows.epoch.mark, rows.epochs_offset))
            return len(known) == 2

        assert await_condition(has_read, timeout_s=60)
        yield Read(kafka, known[1])


def opened(kafka: Kafka, *known: KnownEpoch) -> Epoch | None:
    with contextlib.closing(KafkaEpochLog(kafka, lambda: known)) as log:
        return log.open()


def test_what_readers_have_read_is_looked_for_where_they_read_it(read: Read) -> None:
    second, mark = read.second, read.second.mark
    passed = [second, replace(second, mark=EpochMark("other", 9, "00")), replace(second, mark=EpochMark("stream", 2))]
    last = opened(read.kafka, *passed)
    assert last is not None
    assert last.number == 3
    for lost, why in (
        (replace(second, mark=mark._replace(digest="00")), "the topic holds another epoch of this number"),
        (replace(second, next_offset=second.next_offset + 100), "the topic holds another epoch of this number"),
        (replace(second, mark=mark._replace(number=4)), "the topic ends at epoch 3"),
        (replace(second, mark=EpochMark("stream", 3, "00")), "the topic holds another epoch of this number"),
    ):
        with pytest.raises(WireError, match=f"was read, as a reader shows; {why}"):
            opened(read.kafka, lost)


def test_the_last_lake_commit_is_looked_at_without_any_other_reader(read: Read) -> None:
    with contextlib.closing(KafkaLakeCommitLog(read.kafka)) as commits:
        commits.open()
        mark, offset = read.second.mark, read.second.next_offset
        commit = LakeCommit("stream", 2, AT, 2.0, offset, {}, 2.0, epoch_digest=mark.digest)
        commits.publish(commit)
        assert opened(read.kafka) is not None
        commits.publish(replace(commit, epoch_digest="00"))
    with pytest.raises(WireError, match="as the last lake commit shows"):
        opened(read.kafka)
