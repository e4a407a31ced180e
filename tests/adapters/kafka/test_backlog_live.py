"""A reader reads a backlog of many epochs to its end, although it pauses partitions."""

from __future__ import annotations

import contextlib
import time

import pyarrow as pa
import pytest

from datafingerprint.adapters.kafka.epoch_log import KafkaEpochLog
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.changes import Op, changes
from datafingerprint.config import Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.ports.stream import EpochDraft
from tests.datafingerprint.drawn import KEYED

pytestmark = pytest.mark.live

EPOCHS = 150
"""More than twice the messages that a reader buffers of one partition."""

WITHIN_S = 20.0


def test_a_backlog_of_many_epochs_is_read_to_its_end(stack_settings: Settings) -> None:
    kafka = stack_settings.kafka
    row = {name: 1 if name in KEYED.key else None for name in KEYED.arrow.names}
    made = changes(KEYED, 1, Op.CREATED, 0, after=pa.Table.from_pylist([row], KEYED.arrow))
    with contextlib.closing(KafkaEpochLog(kafka)) as log:
        log.open()
        for number in range(1, EPOCHS + 1):
            position = SourcePosition(f"0-1-{number}", "binlog.000001", number)
            definitions = {1: KEYED} if number == 1 else {}
            versions = {KEYED.table: 1}
            log.publish(
                EpochDraft("stream", number, position, 1.0, changes=[made], versions=versions, definitions=definitions)
            )

    read: list[int] = []
    with contextlib.closing(KafkaEpochReader(kafka, None)) as reader:
        reader.seek(0, None)
        deadline = time.monotonic() + WITHIN_S
        while len(read) < EPOCHS and time.monotonic() < deadline:
            rows = reader.read(1.0)
            if rows is not None:
                assert sum(changes.rows.num_rows for _, changes in rows.changes) == 1
                read.append(rows.epoch.number)
    assert read == list(range(1, EPOCHS + 1))
