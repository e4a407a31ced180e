"""What all steps of one capture run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from datafingerprint.binlog.transaction_rows import SpillLimit
from datafingerprint.binlog.transactions import CommittedTransaction
from datafingerprint.config import Cdc
from datafingerprint.errors import DecodeError
from datafingerprint.ports.source import Source
from datafingerprint.recovery import LOG_FULL_ROWS
from services.cdc.epoch_builder import EpochBuilder, EpochLimits
from services.cdc.epoch_publisher import EpochPublisher
from services.cdc.publish_queue import PublishQueue
from services.cdc.stream import Stream

Clock = Callable[[], float]
"""Returns Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class CaptureContext:
    """The parts and settings of one capture run.

    Attributes:
        source: The warehouse.
        settings: When epochs close, and how long a table rests.
        log: For operators.
        clock: Unix time in seconds.
        queue: Publishes epochs in a thread of its own.
        publisher: Makes the stream's epochs and puts them into the queue.
        spill_limit: When rows of a transaction go to disk. None holds them in memory.
        stops_at_alter: Whether an ALTER that changes rows or columns of a captured table stops capture.
    """

    source: Source
    settings: Cdc
    log: structlog.stdlib.BoundLogger
    clock: Clock
    queue: PublishQueue
    publisher: EpochPublisher
    spill_limit: SpillLimit | None
    stops_at_alter: bool = False

    def new_builder(self, stream: Stream) -> EpochBuilder:
        """An empty epoch of the stream."""
        limits = EpochLimits(self.settings.epoch_s, self.settings.epoch_rows, self.settings.heartbeat_s)
        return EpochBuilder(limits, stream.captured, stream.left_out, stream.suspects.note_changes)

    def set_unknown_changes_aside(self, stream: Stream, committed: CommittedTransaction) -> None:
        """Sets tables aside that a transaction changed without logging their rows."""
        where = f"{committed.position.file}:{committed.position.pos}"
        for name, cause in committed.unknown_changes.items():
            error = DecodeError(cause, where=where, remedy=LOG_FULL_ROWS)
            with self.publisher.hold:
                stream.set_aside(name, error, self.clock(), self.log)
