"""The epoch: a run of whole source transactions, and the one clock by which both sides are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datafingerprint.errors import WireError
from datafingerprint.remedies import OTHER_LAKE
from datafingerprint.requests import Answers


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """A point of the source's history.

    Attributes:
        gtid: GTID set (MySQL) or GTID position (MariaDB): everything up to it is included.
        file: Binlog file on the server that was read, for people, and for that server to be known by; no order.
        pos: Offset in that file, likewise.
        server_id: That server's number among those that replicate; 0 where it is not known.
    """

    gtid: str
    file: str
    pos: int
    server_id: int = 0

    def to_json(self) -> dict[str, Any]:
        """As records and answers hold it."""
        server = {"server_id": self.server_id} if self.server_id else {}
        return {"gtid": self.gtid, "file": self.file, "pos": self.pos, **server}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> SourcePosition:
        """What `to_json` wrote."""
        return SourcePosition(document["gtid"], document["file"], document["pos"], document.get("server_id", 0))


@dataclass(frozen=True, slots=True)
class Transaction:
    """A source transaction inside an epoch, known there by its ordinal."""

    ordinal: int
    gtid: str
    file: str
    pos: int


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The part of a topic-partition that belongs to an epoch: offsets [start, end), and what lies there.

    Transaction markers and void rows take offsets as well, so `messages` may be less than `end - start`.
    """

    start: int
    end: int
    messages: int
    rows: int

    def followed_by(self, later: OffsetRange) -> OffsetRange:
        """This range and a later one of the same topic-partition, when nothing else lies between them."""
        return OffsetRange(self.start, later.end, self.messages + later.messages, self.rows + later.rows)


@dataclass(frozen=True, slots=True)
class SnapshotCursor:
    """How far the first reading of a table has come: rows published, the server's estimate, whether it is whole."""

    rows: int
    rows_estimated: int
    complete: bool

    @property
    def percent(self) -> int:
        """Progress, 0 to 99 until it is complete; an estimate."""
        if self.complete:
            return 100
        return min(99, 100 * self.rows // max(1, self.rows_estimated))


@dataclass(frozen=True, slots=True)
class Epoch:
    """One record of the epochs topic.

    Attributes:
        stream_id: Which capture this is part of; a new one begins with epoch 1.
        number: 1, 2, 3, … without gaps.
        position: Where the source stood at its end.
        committed_at: Unix time in seconds of its last source transaction (of the heartbeat, when it has none).
        ranges: Table to Kafka partition to the offsets that belong to it.
        transactions: Its source transactions in their order.
        snapshots: Table to its snapshot cursor.
        versions: Table to the number of the definition in force at its end; the tables under watch.
        answers: How far capture has come with what operators asked of it.
    """

    stream_id: str
    number: int
    position: SourcePosition
    committed_at: float
    ranges: Mapping[str, Mapping[int, OffsetRange]] = field(default_factory=dict)
    transactions: tuple[Transaction, ...] = ()
    snapshots: Mapping[str, SnapshotCursor] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers)

    @property
    def rows(self) -> int:
        """Changed rows in it."""
        return sum(part.rows for parts in self.ranges.values() for part in parts.values())

    @property
    def messages(self) -> int:
        """Messages in it, its own record not counted."""
        return sum(part.messages for parts in self.ranges.values() for part in parts.values())

    def to_json(self) -> dict[str, Any]:
        """As the epochs topic holds it."""
        return {
            "stream_id": self.stream_id,
            "epoch": self.number,
            "position": self.position.to_json(),
            "committed_at": self.committed_at,
            "ranges": {
                table: {
                    str(partition): [part.start, part.end, part.messages, part.rows]
                    for partition, part in parts.items()
                }
                for table, parts in self.ranges.items()
            },
            "transactions": [[one.ordinal, one.gtid, one.file, one.pos] for one in self.transactions],
            "snapshots": {
                table: [cursor.rows, cursor.rows_estimated, cursor.complete] for table, cursor in self.snapshots.items()
            },
            "versions": dict(self.versions),
            "answers": self.answers.to_json(),
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Epoch:
        """What `to_json` wrote."""
        return Epoch(
            stream_id=document["stream_id"],
            number=document["epoch"],
            position=SourcePosition.from_json(document["position"]),
            committed_at=document["committed_at"],
            ranges={
                table: {int(partition): OffsetRange(*part) for partition, part in parts.items()}
                for table, parts in document["ranges"].items()
            },
            transactions=tuple(Transaction(*one) for one in document["transactions"]),
            snapshots={table: SnapshotCursor(*cursor) for table, cursor in document["snapshots"].items()},
            versions=document["versions"],
            answers=Answers.from_json(document.get("answers")),
        )


def require_successor(previous: Epoch | tuple[str, int] | None, following: Epoch) -> None:
    """Demands that one epoch follows the other without a gap, in the same stream.

    Raises:
        WireError: it does not: records were lost, doubled, or belong to another capture.
    """
    if previous is None:
        stream_id, number = following.stream_id, 0
    elif isinstance(previous, Epoch):
        stream_id, number = previous.stream_id, previous.number
    else:
        stream_id, number = previous
    if following.stream_id != stream_id:
        raise WireError(
            f"the epochs topic changed from stream {stream_id} to {following.stream_id}",
            where=f"epoch {following.number}",
            remedy=f"restore the topics of the old stream, or give the new one another {OTHER_LAKE}",
        )
    if following.number != number + 1:
        raise WireError(
            f"epoch {number + 1} is missing, {following.number} came instead",
            where="the epochs topic",
            remedy="records were removed; epochs must have unlimited retention (retention.ms=-1)",
        )
