"""The row events of one open transaction: in memory while they are few, in a temporary file when they are many.

A transaction is published when it is committed and not before: a rollback, or one to a savepoint, takes rows back. Its
events are laid aside as they were logged, which costs no decoding and is about as long as its part of the binlog.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from datafingerprint.changes import Op
from datafingerprint.scratch import Scratch, ScratchFile
from services.cdc.table_map import TableMap

_HEADER = struct.Struct("<IBI")
"""Number of the table map, letter of the operation, length of the images."""

_READ_OCTETS = 4 << 20


@dataclass(frozen=True, slots=True)
class LoggedRows:
    """Images of one table from one event, with what happened to them."""

    table_map: TableMap
    op: Op
    octets: bytes


@dataclass(frozen=True, slots=True)
class SpillLimit:
    """How many bytes of one transaction's events are held in memory, and where what is longer goes."""

    octets_max: int
    scratch: Scratch


class TransactionRows:
    """Row events in their order, which can be cut back to an earlier length.

    Args:
        limit: When they go to a file; None holds all of them in memory.
    """

    def __init__(self, limit: SpillLimit | None = None) -> None:
        self._limit = limit
        self._held: list[LoggedRows] = []
        self._maps: dict[TableMap, int] = {}
        self._last_map: tuple[TableMap, int] | None = None
        self._file: ScratchFile | None = None
        self._length = 0

    @property
    def length(self) -> int:
        """How many bytes they take; what `truncate` goes back to."""
        return self._length

    @property
    def is_spilled(self) -> bool:
        """Whether they lie in a file."""
        return self._file is not None

    def append(self, rows: LoggedRows) -> None:
        """Takes an event.

        Raises:
            Unavailable: there is no room on the disk.
        """
        self._length += _HEADER.size + len(rows.octets)
        if self._file is not None:
            self._write(self._file, rows)
            return
        self._held.append(rows)
        if self._limit is not None and self._length > self._limit.octets_max:
            self._file = self._limit.scratch.open()
            for one in self._held:
                self._write(self._file, one)
            self._held = []

    def _write(self, file: ScratchFile, rows: LoggedRows) -> None:
        # Every statement has a table map of its own, and those of one table are equal.
        if self._last_map is None or self._last_map[0] is not rows.table_map:
            self._last_map = rows.table_map, self._maps.setdefault(rows.table_map, len(self._maps))
        file.append(_HEADER.pack(self._last_map[1], ord(rows.op.value), len(rows.octets)))
        file.append(rows.octets)

    def truncate(self, length: int) -> None:
        """Forgets what came behind this length, which must be one that `length` has had."""
        if self._file is not None:
            self._file.truncate(length)
        else:
            at = self._length
            while at > length:
                at -= _HEADER.size + len(self._held.pop().octets)
        self._length = length

    def __iter__(self) -> Iterator[LoggedRows]:
        """All events in their order; may be gone through once more."""
        if self._file is None:
            yield from self._held
            return
        maps = list(self._maps)
        offset, octets, at = 0, b"", 0
        while offset + at < self._length:
            found = self._event(octets, at, maps)
            if found is None:
                offset, at = offset + at, 0
                octets = self._read(self._file, offset)
                found = self._event(octets, at, maps)
                if found is None:
                    raise EOFError("a temporary file is shorter than what was written to it")
            yield found
            at += _HEADER.size + len(found.octets)

    def _read(self, file: ScratchFile, offset: int) -> bytes:
        """Some bytes that begin with an event and hold at least the whole of it."""
        octets = file.read(offset, _READ_OCTETS)
        whole = _HEADER.size + _HEADER.unpack_from(octets)[2]
        return octets if len(octets) >= whole else file.read(offset, whole)

    def _event(self, octets: bytes, at: int, maps: list[TableMap]) -> LoggedRows | None:
        if at + _HEADER.size > len(octets):
            return None
        number, letter, length = _HEADER.unpack_from(octets, at)
        begin = at + _HEADER.size
        if begin + length > len(octets):
            return None
        return LoggedRows(maps[number], Op(chr(letter)), octets[begin : begin + length])

    def close(self) -> None:
        """Gives the space back; nothing can be read any more."""
        self._held = []
        if self._file is not None:
            self._file.close()
