"""Where in the source's binlog a connection stands: file, offset and server."""

from __future__ import annotations

from datafingerprint.epochs import SourcePosition
from services.cdc.binlog import Event

_WRAP = 1 << 32
"""Events tell where they end in 32 bits; a file goes on beyond that while a transaction does."""


class Place:
    """Follows the events of one connection.

    Args:
        position: What the connection was asked to go on from.
    """

    def __init__(self, position: SourcePosition) -> None:
        self._begin = position
        self._is_begun = False
        self._server_id = position.server_id
        self.file = position.file
        self.offset = position.pos

    def at(self, gtid: str) -> SourcePosition:
        """This place, as that of a GTID."""
        return SourcePosition(gtid, self.file, self.offset, self._server_id)

    def pass_by(self, event: Event) -> None:
        """Goes to the end of an event of a transaction; others may come again from the beginning of the file."""
        behind = self.offset % _WRAP - event.end
        self.offset -= behind
        if behind > _WRAP // 2:
            self.offset += _WRAP

    def pass_to(self, end: int) -> None:
        """Goes to where an event ends, told by its lower 32 bits; not for one behind which they begin anew."""
        self.offset = self.whole(end)

    def whole(self, end: int) -> int:
        """The offset of such an event's end."""
        return self.offset - self.offset % _WRAP + end

    def describe(self, event: Event) -> None:
        """Learns whose log it is from the event that begins each file."""
        self._server_id = event.server_id

    def rotate(self, file: str, offset: int) -> bool:
        """Goes to another file; whether all before it was read.

        The first file of a connection is only said to begin: what the stream has of it already is not sent.
        """
        is_begun, self._is_begun = self._is_begun, True
        if not is_begun and file == self._begin.file:
            offset = self._begin.pos
        self.file, self.offset = file, offset
        return is_begun
