"""A table that a crash left ahead of the last lake commit shows whether the broker lost its epoch."""

from __future__ import annotations

import pyarrow as pa
import pytest

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.changes import Op, changes
from datafingerprint.config import Lake as LakeSettings
from datafingerprint.epoch_chain import CHAIN_START
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import WireError
from datafingerprint.ports.lake import Stamp
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.wire import decode_epoch, decode_lake_commit, encode_epoch
from services.lake_writer.chain import require_same_chain
from services.lake_writer.writer import LakeWriter
from tests.flow.memory import (
    Broker,
    MemoryEpochLog,
    MemoryEpochReader,
    MemoryLake,
    MemoryLakeCommits,
    Snapshot,
    Store,
)
from tests.services.lake_writer.test_writer_starts import LOG, TABLES, Turns

AT = SourcePosition("0-1-1", "binlog", 1)


def epochs(moment: float) -> list[Epoch]:
    made: list[Epoch] = []
    for number in (1, 2, 3):
        previous = made[-1].digest if made else CHAIN_START
        made.append(encode_epoch(Epoch("s", number, AT, moment, previous=previous))[1])
    return made


def stamp(epoch: Epoch) -> Stamp:
    return Stamp(epoch.stream_id, epoch.number, AT, epoch.mark.digest)


def test_stamps_of_these_epochs_older_ones_and_ones_without_a_digest_are_accepted() -> None:
    read = epochs(1.0)
    old, plain = Stamp("s", 2, AT), stamp(epochs(2.0)[0])
    require_same_chain(read[1:], {"s.a": stamp(read[1]), "s.b": old, "s.c": None, "s.d": plain})


def test_a_stamp_of_an_epoch_that_the_topic_holds_in_another_form_is_refused() -> None:
    read, lost = epochs(1.0), epochs(2.0)
    with pytest.raises(WireError, match=r"epoch 2 of stream s was read, as the lake table s\.b shows"):
        require_same_chain(read, {"s.a": stamp(read[1]), "s.b": stamp(lost[1])})


def publish(broker: Broker, versions: tuple[int, ...], *rows: int) -> None:
    """One epoch with these tables, and with rows in each."""
    number = len(broker.epochs) + 1
    parts = [
        changes(TABLES[one], one, Op.CREATED, 0, after=pa.table([list(rows)], schema=TABLES[one].arrow))
        for one in versions
        if rows
    ]
    captured = {TABLES[one].table: one for one in versions}
    MemoryEpochLog(broker).publish(EpochDraft("s", number, AT, 1.0, (), parts, {}, captured, TABLES))


def begun(digest: str) -> tuple[Broker, Store]:
    """A second table enters the stream in epoch 3; its lake table has epoch 4 with this digest already."""
    broker, store = Broker(), Store()
    for rows in ((), ()):
        publish(broker, (1,), *rows)
    for row in (5, 6):
        publish(broker, (1, 2), row)
    known = digest or decode_epoch(broker.epochs[3], "memory").digest
    store.snapshots[TABLES[2].table] = [Snapshot(1, (), Stamp("s", 4, AT, known))]
    return broker, store


def write(broker: Broker, store: Store) -> list[int]:
    settings = LakeSettings(flush_rows=1)
    parts = MemoryEpochReader(broker), MemoryLake(store), MemoryLakeCommits(broker)
    LakeWriter(*parts, settings, LOG, TemporaryScratch(""), clock=lambda: 1.0).run(Turns())
    return [decode_lake_commit(one, "memory").epoch for one in broker.lake_commits]


def test_a_table_that_enters_after_the_first_commit_of_a_run_is_compared_as_well() -> None:
    """Else it would pass over the rows of epochs 3 and 4."""
    broker, store = begun("ab" * 16)
    with pytest.raises(WireError, match=rf"epoch 4 of stream s was read, as the lake table {TABLES[2].table} shows"):
        write(broker, store)


def test_a_table_of_this_chain_that_is_ahead_when_it_enters_is_carried_on() -> None:
    assert write(*begun("")) == [1, 2, 4]
