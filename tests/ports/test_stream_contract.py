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
from datafingerprint.epochs import Epoch, SourcePosition
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
