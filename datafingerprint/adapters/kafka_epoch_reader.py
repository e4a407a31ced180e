"""Reads whole, consecutive epochs: a record of the epochs topic, then exactly the offsets that it names."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from datafingerprint import wire
from datafingerprint.adapters import kafka_clients
from datafingerprint.adapters.kafka_definitions import read_definitions
from datafingerprint.changes import Changes
from datafingerprint.config import Kafka
from datafingerprint.epochs import Epoch, OffsetRange, require_successor
from datafingerprint.errors import Unavailable, WireError
from datafingerprint.messages import MessageReader, consecutive
from datafingerprint.ports import EpochRows
from datafingerprint.remedies import BEGIN_ANEW
from datafingerprint.schema import TableSchema

_BUFFERED_MAX = 64
"""Messages of one partition that are held before the partition is paused."""

_BUFFERED_OCTETS_MAX = 8 << 20
"""Bytes of all partitions together that are held before those that hold something are paused."""

_PIECE_OCTETS = 8 << 20
"""Bytes of decoded changes that are handed on at once."""

_BACK = 16
"""Offsets to walk back at first when an epoch is looked for: a record and its marker take two."""

_COMMITS_SETTLE_S = 10.0
"""Seconds within which a transaction is seen in all its topics: the broker marks it in one partition after another."""

_LOOK_AGAIN_S = 0.1

_FAR = 1_000
"""Offsets that are skipped by a seek rather than read over: a seek throws away what was fetched ahead."""


class KafkaEpochReader:
    """Implements the port `EpochReader`.

    Args:
        kafka: How the broker is reached.
        group: Whose offsets `acknowledge` commits; None has none.
        only: Tables whose changes are read; None reads those of all.
    """

    def __init__(self, kafka: Kafka, group: str | None, *, only: frozenset[str] | None = None) -> None:
        self._kafka = kafka
        self._only = only
        self._group = group
        self._topics = wire.Topics(kafka.prefix)
        self._epochs = TopicPartition(self._topics.epochs, 0)
        self._consumer: KafkaConsumer | None = None
        self._buffers: dict[TopicPartition, deque[Any]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._last: tuple[str, int] | None = None
        self._acknowledged: dict[TopicPartition, int] = {}
        self._definitions: dict[int, TableSchema] = {}

    def definitions(self) -> Mapping[int, TableSchema]:
        """See `ports.EpochReader.definitions`."""
        return self._definitions

    def seek(self, epochs_offset: int, last: tuple[str, int] | None) -> None:
        """See `ports.EpochReader.seek`; connects anew, so it also mends a broken connection."""
        self.close()
        kafka_clients.ensure_topics(self._kafka, self._topics.control, ())
        self._last = last
        self._buffers = {self._epochs: deque()}
        self._next = {self._epochs: epochs_offset}
        self._definitions = read_definitions(self._kafka, self._topics.schemas)
        self._consumer = kafka_clients.consumer(self._kafka, self._group)
        self._assign()
        self._require_reachable(epochs_offset)

    def _require_reachable(self, epochs_offset: int) -> None:
        with kafka_clients.translated(self._kafka):
            begin = self._opened().beginning_offsets([self._epochs])[self._epochs]
            end = self._opened().end_offsets([self._epochs])[self._epochs]
        if not begin <= epochs_offset <= end:
            raise WireError(
                f"the epochs topic holds offsets {begin} to {end}, but {epochs_offset} is to be read next",
                where=self._topics.epochs,
                remedy=f"the topic was emptied or is another one: {BEGIN_ANEW}",
            )

    def is_empty(self) -> bool:
        """See `ports.EpochReader.is_empty`."""
        with kafka_clients.translated(self._kafka):
            return int(self._opened().end_offsets([self._epochs])[self._epochs]) == 0

    def _opened(self) -> KafkaConsumer:
        if self._consumer is None:
            raise Unavailable("the reader is not connected", where=self._kafka.bootstrap)
        return self._consumer

    def _assign(self) -> None:
        consumer = self._opened()
        with kafka_clients.translated(self._kafka):
            consumer.assign(list(self._next))
            for partition, offset in self._next.items():
                consumer.seek(partition, offset)

    def read(self, timeout_s: float) -> EpochRows | None:
        """See `ports.EpochReader.read`."""
        records = self._buffers.get(self._epochs)
        if not records:
            self._poll(timeout_s)
            records = self._buffers.get(self._epochs)
        if not records:
            return None
        record = records[0]
        where = f"{self._topics.epochs}:{record.offset}"
        epoch = wire.decode_epoch(record.value, where)
        require_successor(self._last, epoch)
        self._learn(epoch, where)
        self._watch(epoch)
        records.popleft()
        self._last = (epoch.stream_id, epoch.number)
        return EpochRows(epoch, self._collect(epoch), record.offset + 1)

    def read_again(self, number: int, before_offset: int) -> EpochRows:
        """An epoch that was read before, found by walking back from an offset behind it; connects anew.

        Raises:
            Unavailable: the broker is away, or does not hand it out.
            WireError: it is gone, or damaged.
        """
        self.seek(before_offset, None)
        with kafka_clients.translated(self._kafka):
            begin = self._opened().beginning_offsets([self._epochs])[self._epochs]
        back = _BACK
        while True:
            start = max(begin, before_offset - back)
            self._buffers[self._epochs].clear()
            self._next[self._epochs] = start
            self._assign()
            first = self._first_number(before_offset)
            if first is not None and first <= number:
                return self._skip_to(number)
            if start <= begin:
                raise WireError(f"epoch {number} is gone", where=self._topics.epochs)
            back *= 8

    def _first_number(self, before_offset: int) -> int | None:
        waiting_since = time.monotonic()
        while not self._buffers[self._epochs]:
            if self._next[self._epochs] >= before_offset:
                return None
            if not self._poll(1.0) and time.monotonic() - waiting_since > self._kafka.timeout_s:
                raise Unavailable("the broker does not hand out the epochs", where=self._kafka.bootstrap)
        record = self._buffers[self._epochs][0]
        return wire.decode_epoch(record.value, f"{self._topics.epochs}:{record.offset}").number

    def _skip_to(self, number: int) -> EpochRows:
        while True:
            records = self._buffers[self._epochs]
            if not records and not self._poll(self._kafka.timeout_s):
                raise Unavailable("the broker does not hand out the epochs", where=self._kafka.bootstrap)
            while records:
                epoch = wire.decode_epoch(records[0].value, self._topics.epochs)
                if epoch.number == number:
                    self._last = (epoch.stream_id, number - 1)
                    found = self.read(0.0)
                    if found is not None:
                        return found
                records.popleft()

    def acknowledge(self, epoch: EpochRows) -> None:
        """See `ports.EpochReader.acknowledge`; a transaction's marker lies behind its last record."""
        offsets = {self._epochs: epoch.epochs_offset + 1}
        for table, parts in epoch.epoch.ranges.items():
            topic = self._topics.of(self._definition(epoch.epoch, table)[1])
            for partition, part in parts.items():
                offsets[TopicPartition(topic, partition)] = part.end + 1
        # All of them every time: an answer that was lost is made good by the next one.
        self._acknowledged |= offsets
        with kafka_clients.translated(self._kafka):
            self._opened().commit_async(
                {partition: OffsetAndMetadata(offset, "", -1) for partition, offset in self._acknowledged.items()}
            )

    def _definition(self, epoch: Epoch, table: str) -> tuple[int, TableSchema]:
        version = epoch.versions[table]
        return version, self._definitions[version]

    def _learn(self, epoch: Epoch, where: str) -> None:
        wanted = set(epoch.versions.values())
        deadline = time.monotonic() + min(_COMMITS_SETTLE_S, self._kafka.timeout_s)
        while not wanted <= set(self._definitions):
            self._definitions = read_definitions(self._kafka, self._topics.schemas)
            if wanted <= set(self._definitions) or time.monotonic() > deadline:
                break
            self._poll(_LOOK_AGAIN_S)
        unknown = wanted - set(self._definitions)
        if unknown:
            raise WireError(
                f"definitions {sorted(unknown)} are missing",
                where=where,
                remedy=f"restore the topic {self._topics.schemas}",
            )

    def _named(self, epoch: Epoch) -> list[tuple[TopicPartition, str, OffsetRange]]:
        """What an epoch's record names: where it lies, and of which table it is."""
        return [
            (TopicPartition(self._topics.of(self._definition(epoch, table)[1]), partition), table, part)
            for table, parts in sorted(epoch.ranges.items())
            if self._only is None or table in self._only
            for partition, part in sorted(parts.items())
        ]

    def _collect(self, epoch: Epoch) -> Iterator[tuple[int, Changes]]:
        for where, table, part in self._named(epoch):
            for changes in self._changes(epoch, table, where, part):
                yield where.partition, changes

    def _watch(self, epoch: Epoch) -> None:
        """Takes up partitions that are new to this reader, and skips far to the offsets that an epoch names."""
        moved = False
        for where, _, part in self._named(epoch):
            here = self._next.get(where)
            ahead = self._buffers.get(where)
            if here is None or (not ahead and not here <= part.start < here + _FAR):
                self._buffers[where] = deque()
                self._next[where] = part.start
                moved = True
        if moved:
            self._assign()

    def _changes(self, epoch: Epoch, table: str, where: TopicPartition, part: OffsetRange) -> Iterator[Changes]:
        """The changes in a range, in pieces that fit memory; at the end, all that the record names were there."""
        reader = MessageReader(table, epoch.number, self._definitions)
        held: list[Changes] = []
        octets = messages = rows = 0
        for message in self._messages(where, part):
            messages += 1
            one = reader.take(message.value, message.headers, f"{where.topic}:{where.partition}:{message.offset}")
            if one is None:
                continue
            if octets >= _PIECE_OCTETS:
                yield from consecutive(held)
                held, octets = [], 0
            held.append(one)
            octets += one.rows.nbytes
            rows += one.rows.num_rows
        if messages != part.messages or rows != part.rows:
            raise WireError(
                f"epoch {epoch.number} names {part.messages} messages with {part.rows} rows, "
                f"the topic has {messages} with {rows}",
                where=f"{where.topic}:{where.partition}:{part.start}",
                remedy=BEGIN_ANEW,
            )
        reader.finish()
        yield from consecutive(held)

    def _messages(self, where: TopicPartition, part: OffsetRange) -> Iterator[Any]:
        """The messages in a range; what lies before it is void."""
        taken = 0
        waiting_since = time.monotonic()
        while True:
            buffer = self._buffers[where]
            while buffer and buffer[0].offset < part.end:
                message = buffer.popleft()
                if message.offset >= part.start:
                    taken += 1
                    yield message
                    waiting_since = time.monotonic()
            if buffer or taken >= part.messages or self._next[where] >= part.end:
                return
            if not self._poll(1.0) and time.monotonic() - waiting_since > self._kafka.timeout_s:
                raise Unavailable(
                    f"the broker does not hand out {where.topic}:{where.partition}:{self._next[where]}",
                    where=self._kafka.bootstrap,
                )

    def _poll(self, timeout_s: float) -> bool:
        """Fetches into the buffers; partitions that are far ahead are paused, so that a backlog takes no memory."""
        consumer = self._opened()
        with kafka_clients.translated(self._kafka):
            full = self._full()
            paused = set(consumer.paused())
            if full - paused:
                consumer.pause(*(full - paused))
            if paused - full:
                consumer.resume(*(paused - full))
            kafka_clients.take_up_resumed(consumer)
            fetched = consumer.poll(timeout_ms=int(timeout_s * 1000))
        for where, records in fetched.items():
            self._buffers[where].extend(records)
            self._next[where] = records[-1].offset + 1
        return bool(fetched)

    def _full(self) -> set[TopicPartition]:
        """Partitions that are not to be read ahead any further; never one that holds nothing."""
        octets = {where: sum(len(one.value) for one in buffer) for where, buffer in self._buffers.items() if buffer}
        is_much = sum(octets.values()) >= _BUFFERED_OCTETS_MAX
        return {where for where in octets if is_much or len(self._buffers[where]) >= _BUFFERED_MAX}

    def close(self) -> None:
        """Lets go of the connection."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=1000)
            self._consumer = None
