"""The position of a connection in the source's binlog: file, offset and server."""

from __future__ import annotations

from datafingerprint.binlog.events import Event
from datafingerprint.epochs import SourcePosition

_WRAP = 1 << 32
"""Events hold the lower 32 bits of their end. A file grows beyond that while a transaction is written."""


class BinlogCursor:
    """Follows the events of one connection.

    Args:
        position: The position from which the connection was opened.
    """

    def __init__(self, position: SourcePosition) -> None:
        self._start = position
        self._has_rotated = False
        self._server_id = position.server_id
        self.file = position.file
        self.offset = position.pos

    def at(self, gtid: str) -> SourcePosition:
        """The current position, with a GTID."""
        return SourcePosition(gtid, self.file, self.offset, self._server_id)

    def move_past(self, event: Event) -> None:
        """Moves to the end of a transaction's event.

        An event may be sent again from the beginning of the file, so the cursor may move back.
        """
        difference = self.offset % _WRAP - event.end
        self.offset -= difference
        if difference > _WRAP // 2:
            self.offset += _WRAP

    def move_to(self, end: int) -> None:
        """Moves to the end of an event, given its lower 32 bits, if those have not wrapped since."""
        self.offset = self.full_offset(end)

    def full_offset(self, end: int) -> int:
        """The offset with `end` as its lower 32 bits, if those have not wrapped since."""
        return self.offset - self.offset % _WRAP + end

    def describe(self, event: Event) -> None:
        """Takes the server's number from the event that begins each file."""
        self._server_id = event.server_id

    def rotate(self, file: str, offset: int) -> bool:
        """Moves to another file.

        The source announces the connection's first file too. It does not send what the stream already has of it.

        Returns:
            Whether everything before that file was read.
        """
        has_rotated, self._has_rotated = self._has_rotated, True
        if not has_rotated and file == self._start.file:
            offset = self._start.pos
        self.file, self.offset = file, offset
        return has_rotated
