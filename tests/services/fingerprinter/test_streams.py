"""The sums of one stream are never continued with the epochs of another, and the printed ways out work."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.changes import Op, changes
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import WireError
from datafingerprint.ledger import Progress
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.recovery import NEW_STATE
from services.fingerprinter.source_side import SourceSide
from tests.flow.memory import Broker, MemoryEpochLog, MemoryEpochReader
from tests.flow.test_definitions_in_memory import STAYING


def broker_of(stream: str, rows: int) -> Broker:
    """A broker with one epoch of a stream, which creates rows."""
    broker = Broker()
    table = pa.Table.from_pylist([{"id": number} for number in range(rows)], schema=STAYING.arrow)
    created = changes(STAYING, 1, Op.CREATED, 0, after=table)
    versions, known = {STAYING.table: 1}, {1: STAYING}
    position = SourcePosition("0-1-1", "binlog", 1)
    MemoryEpochLog(broker).publish(
        EpochDraft(stream, 1, position, 0.0, changes=[created], versions=versions, definitions=known)
    )
    return broker


def advanced(broker: Broker, store: SqlStateStore) -> int:
    """Reads all epochs from the first, and returns the number of rows that the store then has."""
    progress = store.progress()
    SourceSide(MemoryEpochReader(broker), store, progress).advance(progress, 0.0, threading.Event())
    return store.source_sums(STAYING.table, 1)["-"].rows


def test_another_stream_is_refused_and_an_empty_database_or_the_old_topics_are_accepted(tmp_path: Path) -> None:
    old, new = broker_of("old", 3), broker_of("new", 5)
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db")) as store:
        assert advanced(old, store) == 3
        with pytest.raises(WireError, match="the sums are of stream old, the epochs of new") as refused:
            advanced(new, store)
        assert refused.value.remedy.startswith(NEW_STATE)
        assert "otherwise restore the topics" in refused.value.remedy
        assert store.progress().stream_id == "old"
        reader = MemoryEpochReader(old)
        reader.seek(store.progress().epochs_offset, ("old", 1))
        assert SourceSide(reader, store, store.progress()).advance(store.progress(), 0.0, threading.Event())[1] == 0
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/empty.db")) as empty:
        assert advanced(new, empty) == 5
        progress = empty.progress()
        assert progress == Progress("new", 1, 1, epoch_digest=progress.epoch_digest)
        assert progress.epoch_digest
