"""The epoch: a run of whole source transactions, by whose number both sides are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datafingerprint.epoch_chain import EpochMark, require_link
from datafingerprint.errors import WireError
from datafingerprint.recovery import OTHER_LAKE, START_OVER
from datafingerprint.resync import RequestStatus


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """A point of the source's history.

    Attributes:
        gtid: GTID set (MySQL) or GTID position (MariaDB): every transaction up to it is included.
        file: Binlog file on the server that was read. It identifies the server and helps people; it gives no order.
        pos: Offset in this file.
        server_id: The server's replication id; 0 if unknown.
    """

    gtid: str
    file: str
    pos: int
    server_id: int = 0

    def to_json(self) -> dict[str, Any]:
        """Renders it for records and answers."""
        server = {"server_id": self.server_id} if self.server_id else {}
        return {"gtid": self.gtid, "file": self.file, "pos": self.pos, **server}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> SourcePosition:
        """What `to_json` wrote."""
        return SourcePosition(document["gtid"], document["file"], document["pos"], document.get("server_id", 0))


@dataclass(frozen=True, slots=True)
class Transaction:
    """A source transaction in an epoch; `ordinal` is its number there."""

    ordinal: int
    gtid: str
    file: str
    pos: int


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The offsets [start, end) of a topic-partition that belong to an epoch.

    Transaction markers and void rows have offsets too, so `messages` may be less than `end - start`.
    """

    start: int
    end: int
    messages: int
    rows: int

    def followed_by(self, later: OffsetRange) -> OffsetRange:
        """Joins this range with the next one of the same topic-partition."""
        return OffsetRange(self.start, later.end, self.messages + later.messages, self.rows + later.rows)


@dataclass(frozen=True, slots=True)
class SnapshotCursor:
    """The progress of a table's snapshot: published rows, the server's estimate, completeness."""

    rows: int
    rows_estimated: int
    complete: bool

    @property
    def percent(self) -> int:
        """An estimate of the progress: 0 to 99, and 100 when complete."""
        if self.complete:
            return 100
        return min(99, 100 * self.rows // max(1, self.rows_estimated))


READ_AGAIN = " (it is being read again)"
"""Follows the reason of a table that is set aside while it is re-snapshotted."""


SNAPSHOT_NOT_BEGUN = "its snapshot has not begun"
"""Why nothing can be said of a table that the source has and the stream does not have yet."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One record of the epochs topic.

    Attributes:
        stream_id: The stream. A new stream begins with epoch 1.
        number: 1, 2, 3, … without gaps.
        position: The source's position at its end.
        committed_at: Unix time in seconds of its last source transaction, or of the heartbeat if it has none.
        ranges: Table to Kafka partition to the offsets of the epoch.
        transactions: Its source transactions in order.
        snapshots: Table to its snapshot cursor.
        versions: Captured table to the number of its definition at the end of the epoch.
        answers: The state of operators' requests.
        suspects: Tables that a cascade of this epoch may have changed without a binlog event, and what happened to the
            parent.
        holes: Table to the reason why its rows are incomplete for the reader that lost some; never published.
        set_aside: Table to the reason why capture leaves its rows out; some never had a definition. `READ_AGAIN`
            follows the reason while the table is re-snapshotted.
        awaiting_snapshot: Captured tables that the source has, and whose first snapshot has not begun.
        previous: Digest of the record before it; empty in records of a version without a chain.
        digest: Digest of its own record, where that was read or published. It is no part of the record.
    """

    stream_id: str
    number: int
    position: SourcePosition
    committed_at: float
    ranges: Mapping[str, Mapping[int, OffsetRange]] = field(default_factory=dict)
    transactions: tuple[Transaction, ...] = ()
    snapshots: Mapping[str, SnapshotCursor] = field(default_factory=dict)
    versions: Mapping[str, int] = field(default_factory=dict)
    answers: RequestStatus = field(default_factory=RequestStatus)
    suspects: Mapping[str, str] = field(default_factory=dict)
    holes: Mapping[str, str] = field(default_factory=dict)
    set_aside: Mapping[str, str] = field(default_factory=dict)
    awaiting_snapshot: tuple[str, ...] = ()
    previous: str = ""
    digest: str = field(default="", compare=False)

    @property
    def mark(self) -> EpochMark:
        """What a reader keeps of it, to notice that the next epoch does not follow it."""
        return EpochMark(self.stream_id, self.number, self.digest if self.previous else "")

    @property
    def rows(self) -> int:
        """The number of changed rows."""
        return sum(part.rows for parts in self.ranges.values() for part in parts.values())

    @property
    def messages(self) -> int:
        """The number of messages, without the epoch's own record."""
        return sum(part.messages for parts in self.ranges.values() for part in parts.values())

    def doubt(self, table: str) -> str:
        """Why a table is inconclusive at this epoch; empty if it is captured without gaps."""
        if table in self.set_aside:
            return self.set_aside[table]
        if table in self.holes:
            return self.holes[table]
        if table in self.awaiting_snapshot:
            return SNAPSHOT_NOT_BEGUN
        cursor = self.snapshots.get(table)
        return "" if cursor is None or cursor.complete else f"snapshot at {cursor.percent} %"

    def to_json(self) -> dict[str, Any]:
        """Renders it for the epochs topic."""
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
            "transactions": [[item.ordinal, item.gtid, item.file, item.pos] for item in self.transactions],
            "snapshots": {
                table: [cursor.rows, cursor.rows_estimated, cursor.complete] for table, cursor in self.snapshots.items()
            },
            "versions": dict(self.versions),
            "answers": self.answers.to_json(),
            **({"suspects": dict(self.suspects)} if self.suspects else {}),
            **({"holes": dict(self.holes)} if self.holes else {}),
            **({"set_aside": dict(self.set_aside)} if self.set_aside else {}),
            **({"awaiting_snapshot": list(self.awaiting_snapshot)} if self.awaiting_snapshot else {}),
            **({"previous": self.previous} if self.previous else {}),
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
            transactions=tuple(Transaction(*item) for item in document["transactions"]),
            snapshots={table: SnapshotCursor(*cursor) for table, cursor in document["snapshots"].items()},
            versions=document["versions"],
            answers=RequestStatus.from_json(document.get("answers")),
            suspects=dict(document.get("suspects", {})),
            holes=dict(document.get("holes", {})),
            set_aside=dict(document.get("set_aside", {})),
            awaiting_snapshot=tuple(document.get("awaiting_snapshot", ())),
            previous=document.get("previous", ""),
        )


def require_successor(previous: Epoch | EpochMark | tuple[str, int] | None, following: Epoch) -> None:
    """Refuses an epoch that is not the next one of the same stream and chain.

    Raises:
        WireError: records were lost or doubled, or belong to another stream.
    """
    if previous is None:
        mark = EpochMark(following.stream_id, 0)
    else:
        mark = previous.mark if isinstance(previous, Epoch) else EpochMark(*previous)
    stream_id, number, _ = mark
    if following.stream_id != stream_id:
        raise WireError(
            f"the epochs topic changed from stream {stream_id} to {following.stream_id}",
            where=f"epoch {following.number}",
            remedy=f"restore the topics of the old stream, or give the new one another {OTHER_LAKE}",
        )
    if following.number != number + 1:
        raise WireError(
            f"epoch {number + 1} is missing; epoch {following.number} came instead",
            where="the epochs topic",
            remedy=f"records were deleted: keep all of this topic (retention.ms=-1), then {START_OVER}",
        )
    require_link(mark, following.previous, following.number)
