"""Reads whole, consecutive epochs: the epoch's record, then exactly its offsets."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError, KafkaError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from datafingerprint import wire
from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.adapters.kafka.definitions import read_definitions
from datafingerprint.adapters.kafka.refusals import said_by
from datafingerprint.changes import Changes
from datafingerprint.config import Kafka
from datafingerprint.epoch_chain import EpochMark, lost_epoch
from datafingerprint.epochs import Epoch, OffsetRange, require_successor
from datafingerprint.errors import Unavailable, WireError
from datafingerprint.messages import MessageReader, consecutive
from datafingerprint.ports.stream import EpochRows
from datafingerprint.recovery import NEW_STATE, OTHER_LAKE, START_OVER
from datafingerprint.schema import TableSchema

_BUFFERED_MAX = 64
"""Buffered messages of one partition at which it is paused."""

_BUFFERED_BYTES_MAX = 8 << 20
"""Buffered bytes of all partitions together at which every partition with a message is paused."""

_PIECE_BYTES = 8 << 20
"""Bytes of decoded changes in one piece."""

_BACK = 16
"""First step back, in offsets, of the search for an epoch. A record and its marker take two."""

_COMMITS_SETTLE_S = 10.0
"""Seconds until a transaction is visible in all its topics. The broker marks one partition after another."""

_RETRY_S = 0.1

_READ_AGAIN = "the lake writer requests a re-snapshot of the table; without it, datafingerprint resync {table}"
"""How a table recovers whose topic lacks messages."""

_BEYOND = 1 << 62
"""An offset that no topic reaches."""

_LOST_AFTER_S = 3.0
"""Seconds without an awaited message, after which the reader asks the broker whether it still has it."""

_DAMAGED = re.compile(r"TopicPartition\(topic='([^']+)', partition=(\d+)\) at offset (\d+)")
"""The client names a damaged record only in the text of its error."""

_FAR = 1_000
"""Offsets from which a gap is skipped by a seek. A smaller gap is read: a seek drops the fetched messages."""


_COLD_S = 5.0
"""Seconds without an epoch that names a partition, after which it is no longer fetched. Each one costs every poll."""

_COMMIT_ALL_S = 3_600.0
"""Seconds after which committed offsets are committed again. A broker forgets old ones after a week."""


class _EpochsLostError(WireError):
    """The epochs topic itself is damaged, so the gap belongs to no table."""


class KafkaEpochReader:
    """Implements the port `EpochReader`.

    Args:
        kafka: How to reach the broker.
        group: The consumer group whose offsets `acknowledge` commits; None commits none.
        only: The tables whose changes are read; None reads all tables.
        passes_holes: Whether to read on when rows of a table are missing, and name the table in `EpochRows.holes`,
            instead of raising an error.
    """

    def __init__(
        self, kafka: Kafka, group: str | None, *, only: frozenset[str] | None = None, passes_holes: bool = False
    ) -> None:
        self._kafka = kafka
        self._only = only
        self._passes_holes = passes_holes
        self._truncated_topics: set[str] = set()
        self._begins: dict[TopicPartition, int] = {}
        self._begins_read_at = 0.0
        self._group = group
        self._topics = wire.Topics(kafka.prefix)
        self._epochs = TopicPartition(self._topics.epochs, 0)
        self._consumer: KafkaConsumer | None = None
        self._buffers: dict[TopicPartition, deque[Any]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._last: EpochMark | None = None
        self._first = 0
        self._named_at: dict[TopicPartition, float] = {}
        self._rested_at = 0.0
        self._acknowledged: dict[TopicPartition, int] = {}
        self._uncommitted: dict[TopicPartition, int] = {}
        self._committed_all_at = time.monotonic()
        self._definitions: dict[int, TableSchema] = {}

    def definitions(self) -> Mapping[int, TableSchema]:
        """See `ports.EpochReader.definitions`."""
        return self._definitions

    def seek(self, epochs_offset: int, last: EpochMark | tuple[str, int] | None) -> None:
        """See `ports.EpochReader.seek`. It opens a new connection, so it also replaces a broken one.

        If the digest of the last epoch is known, its record is read again and compared. So epochs that the broker has
        lost are noticed before the next one is published.
        """
        self.close()
        kafka_clients.ensure_topics(self._kafka, self._topics.control, ())
        self._last = None if last is None else EpochMark(*last)
        self._first = 0
        self._begins = {}
        self._buffers = {self._epochs: deque()}
        self._next = {self._epochs: epochs_offset}
        self._definitions = read_definitions(self._kafka, self._topics.schemas)
        self._consumer = kafka_clients.consumer(self._kafka, self._group)
        self._assign(set(self._next))
        begin = self._require_reachable(epochs_offset)
        if self._last is not None and self._last.digest and begin < epochs_offset:
            self._first = epochs_offset
            self._next[self._epochs] = epochs_offset - 1
            self._assign({self._epochs})

    def _require_reachable(self, epochs_offset: int) -> int:
        """The first offset of the epochs topic.

        Raises:
            WireError: the topic does not reach from there to the given offset.
        """
        with kafka_clients.translated(self._kafka):
            begin = self._connected().beginning_offsets([self._epochs])[self._epochs]
            end = self._connected().end_offsets([self._epochs])[self._epochs]
        if not begin <= epochs_offset <= end:
            raise WireError(
                f"the epochs topic holds offsets {begin} to {end}, but the next offset to read is {epochs_offset}",
                where=self._topics.epochs,
                remedy=f"check [kafka] bootstrap and prefix; {NEW_STATE}; otherwise {START_OVER}",
            )
        return int(begin)

    def is_empty(self) -> bool:
        """See `ports.EpochReader.is_empty`."""
        with kafka_clients.translated(self._kafka):
            return int(self._connected().end_offsets([self._epochs])[self._epochs]) == 0

    def _connected(self) -> KafkaConsumer:
        if self._consumer is None:
            raise Unavailable("the reader is not connected", where=self._kafka.bootstrap)
        return self._consumer

    def _assign(self, moved: Collection[TopicPartition] = ()) -> None:
        """Assigns the followed partitions. Those that are new or moved start at their next offset."""
        consumer = self._connected()
        with kafka_clients.translated(self._kafka):
            consumer.assign(list(self._next))
            for partition in moved:
                consumer.seek(partition, self._next[partition])

    def read(self, timeout_s: float) -> EpochRows | None:
        """See `ports.EpochReader.read`."""
        self._rest()
        records = self._buffers.setdefault(self._epochs, deque())
        if not records:
            self._poll(timeout_s)
        if self._drop_last(records):
            self._poll(timeout_s)
        if not records:
            return None
        record = records[0]
        where = f"{self._topics.epochs}:{record.offset}"
        epoch = wire.decode_epoch(record.value, where)
        require_successor(self._last, epoch)
        self._load_definitions(epoch, where)
        self._follow_partitions(epoch)
        records.popleft()
        self._last = epoch.mark
        holes: dict[str, str] = {}
        return EpochRows(epoch, self._collect(epoch, holes), record.offset + 1, holes)

    def _drop_last(self, records: deque[Any]) -> bool:
        """Compares and drops the record before the first epoch to read.

        Returns:
            True if there was one, and no other record was fetched with it.

        Raises:
            WireError: it is not the one that was read, or is of another stream.
        """
        if self._last is None or not records or records[0].offset >= self._first:
            return False
        record = records.popleft()
        epoch = wire.decode_epoch(record.value, f"{self._topics.epochs}:{record.offset}")
        if epoch.stream_id != self._last.stream_id:
            require_successor(self._last, epoch)
        if epoch.digest != self._last.digest:
            raise lost_epoch(self._last, f"another record is at its offset {record.offset}")
        return not records

    def read_again(self, number: int, before_offset: int) -> EpochRows:
        """Read an earlier epoch again, over a new connection.

        Args:
            number: The epoch's number.
            before_offset: An offset of the epochs topic after the epoch. The search walks back from there.

        Raises:
            Unavailable: the broker is away, or does not send the epoch.
            WireError: the epoch is gone or damaged.
        """
        self.seek(before_offset, None)
        with kafka_clients.translated(self._kafka):
            begin = self._connected().beginning_offsets([self._epochs])[self._epochs]
        back = _BACK
        while True:
            start = max(begin, before_offset - back)
            self._buffers[self._epochs].clear()
            self._next[self._epochs] = start
            self._assign({self._epochs})
            first = self._first_number(before_offset)
            if first is not None and first <= number:
                return self._skip_to(number)
            if start <= begin:
                raise WireError(f"epoch {number} is gone", where=self._topics.epochs, remedy=START_OVER)
            back *= 8

    def _first_number(self, before_offset: int) -> int | None:
        waiting_since = time.monotonic()
        while not self._buffers[self._epochs]:
            if self._next[self._epochs] >= before_offset:
                return None
            if not self._poll(1.0) and time.monotonic() - waiting_since > self._kafka.timeout_s:
                raise Unavailable("the broker does not send the epochs", where=self._kafka.bootstrap)
        record = self._buffers[self._epochs][0]
        return wire.decode_epoch(record.value, f"{self._topics.epochs}:{record.offset}").number

    def _skip_to(self, number: int) -> EpochRows:
        while True:
            records = self._buffers[self._epochs]
            if not records and not self._poll(self._kafka.timeout_s):
                raise Unavailable("the broker does not send the epochs", where=self._kafka.bootstrap)
            while records:
                epoch = wire.decode_epoch(records[0].value, self._topics.epochs)
                if epoch.number == number:
                    self._last = EpochMark(epoch.stream_id, number - 1)
                    rows = self.read(0.0)
                    if rows is not None:
                        return rows
                records.popleft()

    def acknowledge(self, epoch: EpochRows) -> None:
        """See `ports.EpochReader.acknowledge`; it commits past the transaction marker."""
        offsets = {self._epochs: epoch.epochs_offset + 1}
        for table, parts in epoch.epoch.ranges.items():
            topic = self._topics.of(self._definition(epoch.epoch, table)[1])
            for partition, part in parts.items():
                offsets[TopicPartition(topic, partition)] = part.end + 1
        self._acknowledged |= offsets
        self._uncommitted |= offsets
        if time.monotonic() - self._committed_all_at > _COMMIT_ALL_S:
            self._committed_all_at = time.monotonic()
            self._uncommitted = dict(self._acknowledged)
        with kafka_clients.translated(self._kafka):
            self._connected().commit_async(
                {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in self._uncommitted.items()},
                callback=self._note_committed,
            )

    def _note_committed(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], answer: object) -> None:
        """Forgets committed offsets. The next commit repeats one that failed or had no reply."""
        if isinstance(answer, Exception):
            return
        for partition, committed in offsets.items():
            if self._uncommitted.get(partition) == committed.offset:
                del self._uncommitted[partition]

    def _rest(self) -> None:
        """Stops fetching partitions that no epoch has named for a while.

        The next epoch that names one seeks there.
        """
        now = time.monotonic()
        if now - self._rested_at < _COLD_S / 2:
            return
        self._rested_at = now
        cold = [
            where for where in self._next if where != self._epochs and now - self._named_at.get(where, 0.0) > _COLD_S
        ]
        for where in cold:
            del self._next[where]
            self._buffers.pop(where, None)
            self._named_at.pop(where, None)
        if cold:
            self._assign()

    def _definition(self, epoch: Epoch, table: str) -> tuple[int, TableSchema]:
        version = epoch.versions[table]
        return version, self._definitions[version]

    def _load_definitions(self, epoch: Epoch, where: str) -> None:
        wanted = set(epoch.versions.values())
        deadline = time.monotonic() + min(_COMMITS_SETTLE_S, self._kafka.timeout_s)
        while not wanted <= set(self._definitions):
            self._definitions = read_definitions(self._kafka, self._topics.schemas)
            if wanted <= set(self._definitions) or time.monotonic() > deadline:
                break
            self._poll(_RETRY_S)
        unknown = wanted - set(self._definitions)
        if unknown:
            raise WireError(
                f"definitions {sorted(unknown)} are missing",
                where=where,
                remedy=f"restore the topic {self._topics.schemas}, or start over with another [kafka] prefix, "
                f"{OTHER_LAKE}",
            )

    def _parts(self, epoch: Epoch) -> list[tuple[TopicPartition, str, OffsetRange]]:
        """The Kafka partition, table and offsets of each part of an epoch, as its record names them."""
        return [
            (TopicPartition(self._topics.of(self._definition(epoch, table)[1]), partition), table, part)
            for table, parts in sorted(epoch.ranges.items())
            if self._only is None or table in self._only
            for partition, part in sorted(parts.items())
        ]

    def _collect(self, epoch: Epoch, holes: dict[str, str]) -> Iterator[tuple[int, Changes]]:
        for where, table, part in self._parts(epoch):
            if table in holes:
                self._stop_following(where)
                continue
            try:
                for changes in self._changes(epoch, table, where, part):
                    yield where.partition, changes
            except WireError as error:
                if not self._passes_holes or isinstance(error, _EpochsLostError):
                    raise
                holes[table] = f"{error.what} at {error.where}"  # its remedy concerns readers that stop at a hole
                self._stop_following(where)

    def _is_removed(self, where: TopicPartition, part: OffsetRange) -> bool:
        """Whether a range is known to end before the broker's first offset.

        The known first offsets save a request per epoch while many epochs in a row are missing. They are read again
        every few seconds, because a topic that was recreated begins at 0.
        """
        if part.end > self._begins.get(where, 0):
            return False
        if time.monotonic() - self._begins_read_at > _LOST_AFTER_S:
            with kafka_clients.translated(self._kafka):
                self._begins = dict(self._connected().beginning_offsets(list(self._begins)))
            self._begins_read_at = time.monotonic()
        return part.end <= self._begins[where]

    def _stop_following(self, where: TopicPartition) -> None:
        """Stops reading a partition until an epoch names offsets in it again."""
        if self._next.pop(where, None) is not None:
            self._buffers.pop(where, None)
            self._assign()

    def _follow_partitions(self, epoch: Epoch) -> None:
        """Assigns new partitions, and seeks over a large gap before an epoch's offsets."""
        moved: set[TopicPartition] = set()
        now = time.monotonic()
        for where, _, part in self._parts(epoch):
            self._named_at[where] = now
            if self._is_removed(where, part):
                continue
            position = self._next.get(where)
            buffer = self._buffers.get(where)
            if position is None or (not buffer and not position <= part.start < position + _FAR):
                self._buffers[where] = deque()
                self._next[where] = part.start
                moved.add(where)
        if moved:
            self._assign(moved)

    def _changes(self, epoch: Epoch, table: str, where: TopicPartition, part: OffsetRange) -> Iterator[Changes]:
        """The changes in a range, in pieces that fit in memory.

        Raises:
            WireError: the range does not hold exactly the messages and rows that the epoch names.
        """
        if self._is_removed(where, part):
            raise WireError(
                f"the topic begins at offset {self._begins[where]}, an epoch names offsets {part.start} to {part.end}",
                where=f"{where.topic}:{where.partition}",
                remedy=_READ_AGAIN.format(table=table),
            )
        if where.topic in self._truncated_topics:
            self._require_kept(where, table, part)
        reader = MessageReader(table, epoch.number, self._definitions)
        piece: list[Changes] = []
        piece_bytes = messages = rows = 0
        for message in self._messages(where, table, part):
            messages += 1
            changes = reader.take(message.value, message.headers, f"{where.topic}:{where.partition}:{message.offset}")
            if changes is None:
                continue
            if piece_bytes >= _PIECE_BYTES:
                yield from consecutive(piece)
                piece, piece_bytes = [], 0
            piece.append(changes)
            piece_bytes += changes.rows.nbytes
            rows += changes.rows.num_rows
        if messages != part.messages or rows != part.rows:
            raise WireError(
                f"epoch {epoch.number} names {part.messages} messages with {part.rows} rows, "
                f"the topic has {messages} with {rows}",
                where=f"{where.topic}:{where.partition}:{part.start}",
                remedy=_READ_AGAIN.format(table=table),
            )
        reader.finish()
        yield from consecutive(piece)

    def _messages(self, where: TopicPartition, table: str, part: OffsetRange) -> Iterator[Any]:
        """The messages in a range. Messages before it are void and dropped."""
        messages = 0
        waiting_since = time.monotonic()
        while True:
            buffer = self._buffers[where]
            while buffer and buffer[0].offset < part.end:
                message = buffer.popleft()
                if message.offset >= part.start:
                    messages += 1
                    yield message
                    waiting_since = time.monotonic()
            if buffer or messages >= part.messages or self._next[where] >= part.end:
                return
            waited_s = time.monotonic() - waiting_since
            if self._poll(1.0) or waited_s < min(_LOST_AFTER_S, self._kafka.timeout_s):
                continue
            self._require_kept(where, table, part)
            if waited_s > self._kafka.timeout_s:
                raise Unavailable(
                    f"the broker does not send {where.topic}:{where.partition}:{self._next[where]}",
                    where=self._kafka.bootstrap,
                )

    def _require_kept(self, where: TopicPartition, table: str, part: OffsetRange) -> None:
        """Checks that the broker still has a range that it does not send.

        Raises:
            WireError: the topic is gone, or ends before the range.
        """
        with kafka_clients.translated(self._kafka):
            exists = where.topic in self._connected().topics()
            end = self._connected().end_offsets([where])[where] if exists else 0
        self._truncated_topics.discard(where.topic)
        if end < part.end:
            # From now on each range of this topic is checked before the reader waits for it.
            self._truncated_topics.add(where.topic)
            state = f"ends at offset {end}" if exists else "is gone"
            raise WireError(
                f"the topic {state}, an epoch names offsets {part.start} to {part.end}",
                where=f"{where.topic}:{where.partition}",
                remedy=_READ_AGAIN.format(table=table),
            )

    def _poll(self, timeout_s: float) -> bool:
        """Fetches into the buffers. Full partitions pause, so a backlog takes no memory."""
        consumer = self._connected()
        with kafka_clients.translated(self._kafka):
            full = self._full()
            paused = set(consumer.paused())
            if full - paused:
                consumer.pause(*(full - paused))
            if paused - full:
                consumer.resume(*(paused - full))
            kafka_clients.drop_empty_fetch(consumer)
            try:
                fetched = consumer.poll(timeout_ms=int(timeout_s * 1000))
            except (OffsetOutOfRangeError, CorruptRecordError) as error:
                self._skip_lost(error)
                return True
        for where, records in fetched.items():
            self._buffers[where].extend(records)
            self._next[where] = records[-1].offset + 1
        return bool(fetched)

    def _skip_lost(self, error: KafkaError) -> None:
        """Seeks past offsets that the broker has lost. The message count then shows the hole.

        Raises:
            KafkaError: this reader does not pass holes.
            WireError: the lost offsets are in the epochs topic, or the error does not name them.
        """
        if not self._passes_holes:
            raise error
        consumer = self._connected()
        lost = _lost_offsets(error, self._next)
        if isinstance(error, OffsetOutOfRangeError) and not lost:
            return  # of a partition that is no longer read
        if not lost or self._epochs in lost:
            why = f"the broker has lost or damaged records ({said_by(error)})"
            raise _EpochsLostError(why, where=self._topics.epochs, remedy=START_OVER) from error
        self._begins.update(consumer.beginning_offsets(list(lost)))
        ends = consumer.end_offsets(list(lost))
        for where, offset in lost.items():
            # Skip one damaged record, or all offsets that retention removed, up to the first one kept.
            # Past the topic's end, wait for nothing until an epoch names offsets in it again.
            self._next[where] = max(self._begins[where], offset + 1) if offset < ends[where] else _BEYOND
            consumer.seek(where, min(self._next[where], ends[where]))

    def _full(self) -> set[TopicPartition]:
        """Partitions whose buffer is full; never one with an empty buffer."""
        sizes = {
            where: sum(len(record.value) for record in buffer) for where, buffer in self._buffers.items() if buffer
        }
        is_over = sum(sizes.values()) >= _BUFFERED_BYTES_MAX
        return {where for where in sizes if is_over or len(self._buffers[where]) >= _BUFFERED_MAX}

    def close(self) -> None:
        """Closes the connection."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=1000)
            self._consumer = None


def _lost_offsets(error: KafkaError, following: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """The offset that the client could not read, by partition; empty when its error names none."""
    if isinstance(error, OffsetOutOfRangeError):
        lost = error.args[0] if error.args else {}
        return {where: offset for where, offset in lost.items() if where in following}
    match = _DAMAGED.search(str(error))
    if match is None:
        return {}
    where = TopicPartition(match[1], int(match[2]))
    return {where: max(int(match[3]), following[where])} if where in following else {}
