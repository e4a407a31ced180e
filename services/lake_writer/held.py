"""Changes of one table that wait to be folded: in memory while they are few, in parts on disk when they are many.

On disk they are parted by identity, so that everything that happened to one row lies in one part, in order, and every
part is folded by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from datafingerprint.changes import Changes
from datafingerprint.routing import routed
from datafingerprint.schema import TableSchema
from datafingerprint.scratch import Scratch
from services.lake_writer.fold import NetChange, fold
from services.lake_writer.laid_aside import LaidAside, Place


@dataclass(frozen=True, slots=True)
class _Piece:
    """Changes that lie in the file, with what the file does not say of them."""

    epoch: int
    kafka_partition: int
    table: TableSchema
    version: int
    partition: str | None
    place: Place

    def read(self, file: LaidAside) -> Changes:
        return Changes(self.table, self.version, file.get(self.place), self.partition)


@dataclass(slots=True)
class _Disk:
    file: LaidAside
    parts: list[list[_Piece]]


@dataclass(slots=True)
class HeldChanges:
    """Changes of one table in the order in which they were read.

    Args:
        rows_max: How many rows are held in memory.
        scratch: Where more of them go.
    """

    rows_max: int
    scratch: Scratch
    rows: int = 0
    _memory: list[tuple[int, int, Changes]] = field(default_factory=list)
    _disk: _Disk | None = None

    def expect(self, rows: int) -> None:
        """Says how many rows follow; if they make too many, all go to the disk, in parts of a third of `rows_max`.

        What lies on the disk already is parted anew when the parts would become more than twice as long as that.
        """
        number = max(2, -(-3 * (self.rows + rows) // self.rows_max))
        if self._disk is None and self.rows + rows > self.rows_max:
            self._disk = _Disk(LaidAside(self.scratch), [[] for _ in range(number)])
            memory, self._memory = self._memory, []
            for epoch, kafka_partition, changes in memory:
                self._put(self._disk, epoch, kafka_partition, changes)
        elif self._disk is not None and number > 2 * len(self._disk.parts):
            self._disk = self._parted_anew(self._disk, -(-number // len(self._disk.parts)))

    def _parted_anew(self, old: _Disk, times: int) -> _Disk:
        """So many times as many parts.

        With a whole number of times, each old part becomes parts of its own: its order stays, and a `t`, which lies in
        every old part, is not put behind rows that came after it.
        """
        count = len(old.parts)
        new = _Disk(LaidAside(self.scratch), [[] for _ in range(count * times)])
        for part, pieces in enumerate(old.parts):
            for piece in pieces:
                self._put(new, piece.epoch, piece.kafka_partition, piece.read(old.file), of=(part, count))
        old.file.close()
        return new

    def add(self, epoch: int, kafka_partition: int, changes: Changes) -> None:
        """Takes the next changes of a Kafka partition."""
        self.rows += changes.rows.num_rows
        if self._disk is None:
            self._memory.append((epoch, kafka_partition, changes))
        else:
            self._put(self._disk, epoch, kafka_partition, changes)

    def _put(
        self, disk: _Disk, epoch: int, kafka_partition: int, changes: Changes, *, of: tuple[int, int] = (0, 1)
    ) -> None:
        """Lays changes aside in their parts; `of` is the part, of how many, that they all lay in before."""
        before, count = of
        for part, one in routed(changes, len(disk.parts)):
            if part % count == before:
                disk.parts[part].append(
                    _Piece(epoch, kafka_partition, one.table, one.version, one.partition, disk.file.put(one.rows))
                )

    @property
    def parts(self) -> int:
        """In how many parts they are folded; 1 in memory."""
        return len(self._disk.parts) if self._disk else 1

    def folded(self, table: TableSchema, after_epoch: int) -> Iterator[NetChange]:
        """The net effect of what came after an epoch, part by part."""
        if self._disk is None:
            yield fold(table, [(number, changes) for epoch, number, changes in self._memory if epoch > after_epoch])
            return
        for part in self._disk.parts:
            wanted = [one for one in part if one.epoch > after_epoch]
            yield fold(table, [(one.kafka_partition, one.read(self._disk.file)) for one in wanted])

    def close(self) -> None:
        """Lets go of all."""
        self._memory = []
        if self._disk is not None:
            self._disk.file.close()
