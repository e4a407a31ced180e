"""One suite of promises of the stream's ports to its readers, kept by the in-memory fake and by Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import pyarrow as pa
import pytest

from datafingerprint.adapters.kafka.epoch_log import KafkaEpochLog
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka.lake_commits import KafkaLakeCommitLog, KafkaLakeCommitReader
from datafingerprint.changes import Op, changes
from datafingerprint.config import Settings
from datafingerprint.epoch_chain import CHAIN_START, EpochMark
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import WireError
from datafingerprint.ports.stream import EpochDraft, EpochReader, EpochRows, LakeCommitLog, LakeCommitReader
from datafingerprint.wire import LakeCommit
from deploy.embedded.waiting import await_condition
from tests.datafingerprint.drawn import KEYED
from tests.flow.memory import Broker, MemoryEpochLog, MemoryEpochReader, MemoryLakeCommits

WITHIN_S = 60.0


@dataclass(frozen=True)
class Sides:
    """Who publishes and who reads."""

    log: MemoryEpochLog | KafkaEpochLog
    epochs: EpochReader
    commits: LakeCommitLog
    judged: LakeCommitReader


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.live)])
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    if request.param == "memory":
        broker = Broker()
        commits = MemoryLakeCommits(broker)
        yield Sides(MemoryEpochLog(broker), MemoryEpochReader(broker), commits, MemoryLakeCommits(broker))
        return
    settings: Settings = request.getfixturevalue("stack_settings")
    with ExitStack() as opened:
        log = opened.enter_context(closing(KafkaEpochLog(settings.kafka)))
        assert log.open() is None
        yield Sides(
            log,
            opened.enter_context(closing(KafkaEpochReader(settings.kafka, None))),
            opened.enter_context(closing(KafkaLakeCommitLog(settings.kafka))),
            opened.enter_context(closing(KafkaLakeCommitReader(settings.kafka, "contract"))),
        )


def position(number: int) -> SourcePosition:
    return SourcePosition(f"0-1-{number}", "binlog.000001", number)


def publish(sides: Sides, number: int) -> Epoch:
    """An epoch of one new row."""
    row = {name: number if name in KEYED.key else None for name in KEYED.arrow.names}
    added = changes(KEYED, 1, Op.CREATED, 0, after=pa.Table.from_pylist([row], KEYED.arrow))
    definitions = {1: KEYED} if number == 1 else {}
    return sides.log.publish(
        EpochDraft(
            "stream",
            number,
            position(number),
            float(number),
            changes=[added],
            versions={KEYED.table: 1},
            definitions=definitions,
        )
    )


def next_epoch(reader: EpochReader) -> EpochRows:
    read: list[EpochRows] = []

    def is_read() -> bool:
        rows = reader.read(1.0)
        if rows is not None:
            read.append(replace(rows, changes=list(rows.changes)))
        return bool(read)

    assert await_condition(is_read, timeout_s=WITHIN_S)
    return read[0]


def test_a_reader_gets_each_epoch_once_in_order_with_its_rows_and_goes_on_from_any(sides: Sides) -> None:
    published = [publish(sides, number) for number in (1, 2, 3)]
    sides.epochs.seek(0, None)
    assert not sides.epochs.is_empty()
    read = [next_epoch(sides.epochs) for _ in published]
    assert [rows.epoch for rows in read] == published
    keys = [[part.rows.column("after").to_pylist()[0][KEYED.key[0]] for _, part in rows.changes] for rows in read]
    assert keys == [[1], [2], [3]]
    assert sides.epochs.definitions()[1] == KEYED
    assert sides.epochs.read(0.1) is None
    first = read[0]
    sides.epochs.seek(first.epochs_offset, (first.epoch.stream_id, first.epoch.number))
    assert next_epoch(sides.epochs).epoch == published[1]


def test_every_record_has_the_digest_of_the_one_before_and_a_reader_that_read_another_one_refuses(sides: Sides) -> None:
    published = [publish(sides, number) for number in (1, 2, 3)]
    sides.epochs.seek(0, None)
    read = [next_epoch(sides.epochs) for _ in published]
    assert [rows.epoch.digest for rows in read] == [epoch.digest for epoch in published]
    assert [epoch.previous for epoch in published] == [CHAIN_START, published[0].digest, published[1].digest]
    last, end = read[1].epoch.mark, read[1].epochs_offset
    sides.epochs.seek(end, last)
    assert next_epoch(sides.epochs).epoch == published[2]
    sides.epochs.seek(end, last._replace(digest="00"))
    with pytest.raises(WireError, match="the broker has lost an acknowledged epoch: epoch 2 of stream stream was read"):
        next_epoch(sides.epochs)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_reader_at_the_end_notices_at_once_that_its_last_epoch_was_replaced(sides: Sides, *, is_known: bool) -> None:
    publish(sides, 1)
    sides.epochs.seek(0, None)
    first = next_epoch(sides.epochs)
    sides.epochs.seek(first.epochs_offset, first.epoch.mark if is_known else first.epoch.mark._replace(digest="00"))
    if is_known:
        assert [sides.epochs.read(0.2) for _ in range(3)] == [None] * 3
        publish(sides, 2)
        assert next_epoch(sides.epochs).epoch.number == 2
        return
    with pytest.raises(WireError, match="another record is at its offset"):
        next_epoch(sides.epochs)


def test_an_end_of_another_stream_is_named_as_such(sides: Sides) -> None:
    publish(sides, 1)
    sides.epochs.seek(0, None)
    first = next_epoch(sides.epochs)
    sides.epochs.seek(first.epochs_offset, EpochMark("older", 1, "00"))
    with pytest.raises(WireError, match="the epochs topic changed from stream older to stream"):
        next_epoch(sides.epochs)


def test_lake_commits_are_read_in_order_and_the_last_is_found_again(sides: Sides) -> None:
    assert sides.commits.open() is None
    written = [LakeCommit("stream", n, position(n), float(n), n, {KEYED.table: n}, float(n)) for n in (1, 2)]
    for commit in written:
        sides.commits.publish(commit)
    sides.judged.seek(0)
    read: list[tuple[LakeCommit, int]] = []

    def is_read() -> bool:
        record = sides.judged.read(1.0)
        if record is not None:
            read.append(record)
        return len(read) == len(written)

    assert await_condition(is_read, timeout_s=WITHIN_S)
    assert [commit for commit, _ in read] == written
    sides.judged.seek(read[0][1])
    read.clear()
    assert await_condition(lambda: is_read() or bool(read), timeout_s=WITHIN_S)
    assert read[0][0] == written[1]
    assert sides.commits.open() == written[1]
