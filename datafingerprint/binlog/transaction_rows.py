"""The row events of one open transaction, in memory or in a temporary file.

A transaction is published after its commit, because a rollback, or one to a savepoint, takes rows back. Events are
stored as they were logged. This needs no decoding, and about as much space as the transaction takes in the binlog.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from datafingerprint.binlog.table_map import TableMap
from datafingerprint.changes import Op
from datafingerprint.ports.scratch import Scratch, ScratchFile

_HEADER = struct.Struct("<IBI")
"""Number of the table map, letter of the operation, length of the images."""

_PARTIAL = 0x80
"""Added to the letter where images lack columns."""

_READ_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class LoggedRows:
    """The row images of one event, all of one table and one operation.

    Attributes:
        table_map: The table.
        op: What happened to the rows.
        images: The images, back to back.
        is_full: Whether every image has every column.
    """

    table_map: TableMap
    op: Op
    images: bytes
    is_full: bool = True


@dataclass(frozen=True, slots=True)
class SpillLimit:
    """How many bytes of a transaction stay in memory, and where longer ones are stored."""

    bytes_max: int
    scratch: Scratch


class TransactionRows:
    """Row events in their order. They can be truncated to an earlier length.

    Args:
        limit: When they move to a file. None keeps all of them in memory.
    """

    def __init__(self, limit: SpillLimit | None = None) -> None:
        self._limit = limit
        self._in_memory: list[LoggedRows] = []
        self._maps: dict[TableMap, int] = {}
        self._last_map: tuple[TableMap, int] | None = None
        self._file: ScratchFile | None = None
        self._length = 0

    @property
    def length(self) -> int:
        """How many bytes the events take, as `truncate` accepts it."""
        return self._length

    @property
    def is_spilled(self) -> bool:
        """Whether the events are in a file."""
        return self._file is not None

    def append(self, rows: LoggedRows) -> None:
        """Adds an event.

        Raises:
            Unavailable: the disk is full.
        """
        self._length += _HEADER.size + len(rows.images)
        if self._file is not None:
            self._write(self._file, rows)
            return
        self._in_memory.append(rows)
        if self._limit is not None and self._length > self._limit.bytes_max:
            self._file = self._limit.scratch.open()
            for earlier in self._in_memory:
                self._write(self._file, earlier)
            self._in_memory = []

    def _write(self, file: ScratchFile, rows: LoggedRows) -> None:
        # Every statement has its own table map. Those of one table are equal.
        if self._last_map is None or self._last_map[0] is not rows.table_map:
            self._last_map = rows.table_map, self._maps.setdefault(rows.table_map, len(self._maps))
        letter = ord(rows.op.value) | (0 if rows.is_full else _PARTIAL)
        file.append(_HEADER.pack(self._last_map[1], letter, len(rows.images)))
        file.append(rows.images)

    def truncate(self, length: int) -> None:
        """Drops all events after a length that `length` once returned."""
        if self._file is not None:
            self._file.truncate(length)
        else:
            at = self._length
            while at > length:
                at -= _HEADER.size + len(self._in_memory.pop().images)
        self._length = length

    def __iter__(self) -> Iterator[LoggedRows]:
        """All events in their order. They can be iterated over several times."""
        if self._file is None:
            yield from self._in_memory
            return
        maps = list(self._maps)
        offset, block, at = 0, b"", 0
        while offset + at < self._length:
            rows = self._parse(block, at, maps)
            if rows is None:
                offset, at = offset + at, 0
                block = self._read(self._file, offset)
                rows = self._parse(block, at, maps)
                if rows is None:
                    raise EOFError("a temporary file is shorter than what was written to it")
            yield rows
            at += _HEADER.size + len(rows.images)

    def _read(self, file: ScratchFile, offset: int) -> bytes:
        """A block of the file that begins with a whole event."""
        block = file.read(offset, _READ_BYTES)
        event_bytes = _HEADER.size + _HEADER.unpack_from(block)[2]
        return block if len(block) >= event_bytes else file.read(offset, event_bytes)

    def _parse(self, block: bytes, at: int, maps: list[TableMap]) -> LoggedRows | None:
        """The event at an offset of a block, or None if the block does not hold all of it."""
        if at + _HEADER.size > len(block):
            return None
        number, letter, length = _HEADER.unpack_from(block, at)
        begin = at + _HEADER.size
        if begin + length > len(block):
            return None
        op, is_full = Op(chr(letter & ~_PARTIAL)), not letter & _PARTIAL
        return LoggedRows(maps[number], op, block[begin : begin + length], is_full)

    def close(self) -> None:
        """Frees the space. Nothing can be read afterwards."""
        self._in_memory = []
        if self._file is not None:
            self._file.close()
