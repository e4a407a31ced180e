"""Buffers changes of one table until they are folded: few in memory, many in parts on disk.

On disk they are split by identity: all changes of one row are in one part, in order. So each part is folded by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from datafingerprint.changes import NO_TRUNCATION, Changes, last_truncation
from datafingerprint.ports.scratch import Scratch
from datafingerprint.routing import routed
from datafingerprint.schema import TableSchema
from services.lake_writer.fold import NetChange, fold
from services.lake_writer.spill_file import Segment, SpillFile


@dataclass(frozen=True, slots=True)
class _Piece:
    """Changes in the file, with the attributes that the file does not hold."""

    epoch: int
    kafka_partition: int
    table: TableSchema
    version: int
    partition: str | None
    segment: Segment

    def read(self, file: SpillFile) -> Changes:
        return Changes(self.table, self.version, file.get(self.segment), self.partition)


@dataclass(slots=True)
class _Disk:
    file: SpillFile
    parts: list[list[_Piece]]


@dataclass(slots=True)
class ChangeBuffer:
    """Changes of one table in the order in which they were read.

    Args:
        rows_max: Number of rows held in memory.
        scratch: Where more rows go.

    Attributes:
        is_reset: Whether the changes start the whole table from nothing.
    """

    rows_max: int
    scratch: Scratch
    rows: int = 0
    is_reset: bool = False
    _memory: list[tuple[int, int, Changes]] = field(default_factory=list)
    _disk: _Disk | None = None

    def expect(self, rows: int) -> None:
        """Prepares for rows that follow. If there are too many for memory, all rows go to disk.

        There they are in parts of a third of `rows_max`. They are split again once parts would be twice as large.
        """
        number = max(2, -(-3 * (self.rows + rows) // self.rows_max))
        if self._disk is None and self.rows + rows > self.rows_max:
            self._disk = _Disk(SpillFile(self.scratch), [[] for _ in range(number)])
            memory, self._memory = self._memory, []
            for epoch, kafka_partition, changes in memory:
                self._put(self._disk, epoch, kafka_partition, changes)
        elif self._disk is not None and number > 2 * len(self._disk.parts):
            self._disk = self._split_further(self._disk, -(-number // len(self._disk.parts)))

    def _split_further(self, old: _Disk, times: int) -> _Disk:
        """Splits each part into `times` parts.

        Each new part has rows of one old part alone, so their order is kept. A `t`, which is in every old part, stays
        before the rows that came after it.
        """
        count = len(old.parts)
        new = _Disk(SpillFile(self.scratch), [[] for _ in range(count * times)])
        for part, pieces in enumerate(old.parts):
            for piece in pieces:
                self._put(new, piece.epoch, piece.kafka_partition, piece.read(old.file), source=(part, count))
        old.file.close()
        return new

    def add(self, epoch: int, kafka_partition: int, changes: Changes) -> None:
        """Takes the next changes of a Kafka partition."""
        self.rows += changes.rows.num_rows
        self.is_reset |= changes.partition is None and last_truncation(changes) != NO_TRUNCATION
        if self._disk is None:
            self._memory.append((epoch, kafka_partition, changes))
        else:
            self._put(self._disk, epoch, kafka_partition, changes)

    def _put(
        self, disk: _Disk, epoch: int, kafka_partition: int, changes: Changes, *, source: tuple[int, int] = (0, 1)
    ) -> None:
        """Writes changes to their parts on disk.

        `source` is the part that had them all, and the number of parts then.
        """
        source_part, count = source
        for part, routed_changes in routed(changes, len(disk.parts)):
            if part % count == source_part:
                disk.parts[part].append(_piece(epoch, kafka_partition, routed_changes, disk.file))

    @property
    def parts(self) -> int:
        """The number of parts that are folded one by one. In memory it is 1."""
        return len(self._disk.parts) if self._disk else 1

    def folded(self, table: TableSchema, after_epoch: int) -> Iterator[NetChange]:
        """The net effect of the changes after an epoch, part by part."""
        if self._disk is None:
            yield fold(table, [(number, changes) for epoch, number, changes in self._memory if epoch > after_epoch])
            return
        for part in self._disk.parts:
            pieces = [piece for piece in part if piece.epoch > after_epoch]
            yield fold(table, [(piece.kafka_partition, piece.read(self._disk.file)) for piece in pieces])

    def close(self) -> None:
        """Drops all changes, and the temporary file."""
        self._memory = []
        if self._disk is not None:
            self._disk.file.close()


def _piece(epoch: int, kafka_partition: int, changes: Changes, file: SpillFile) -> _Piece:
    """Writes changes to the file."""
    segment = file.put(changes.rows)
    return _Piece(epoch, kafka_partition, changes.table, changes.version, changes.partition, segment)
