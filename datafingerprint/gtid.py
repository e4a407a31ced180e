"""Positions in a source's history: MySQL's GTID sets and MariaDB's GTID positions.

A MySQL set has a list of intervals per server: `3e11fa47-…-c80aa9429562:1-5:7`. A tag has numbers of its own:
`3e11fa47-…-c80aa9429562:1-5:backfill:1-2`. A MariaDB position has the last transaction of each domain:
`0-1-90211,7-2-4`. Both answer whether a stream at one position has every transaction of another one.

The empty text is the position of either server before its first transaction.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from datafingerprint.errors import DecodeError
from datafingerprint.recovery import RESNAPSHOT_ALL

Interval = tuple[int, int]
"""First and last number, both included."""

_UUID = re.compile(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_INTERVAL = re.compile(r"^([0-9]{1,19})(?:-([0-9]{1,19}))?$")
_TAG = re.compile(r"^[a-z_][a-z0-9_]{0,31}$")
_POSITION = re.compile(r"^([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})$")
_SET_NUMBER_MAX = 2**63 - 2
_ID_MAX = 2**32 - 1
_SEQUENCE_MAX = 2**64 - 1

_Self = TypeVar("_Self", bound="Gtids")


class Gtids(ABC):
    """A position in a source's history; an immutable value.

    A comparison of a MySQL set with a MariaDB position raises `DecodeError`: another kind of server answers.
    """

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether it is the position before any transaction."""

    @abstractmethod
    def __str__(self) -> str:
        """The canonical text: equal positions have equal texts, and `parse_gtids` reads them."""

    @abstractmethod
    def _contains(self: _Self, other: _Self) -> bool: ...

    @abstractmethod
    def _union(self: _Self, other: _Self) -> _Self: ...

    @abstractmethod
    def _add(self: _Self, transaction: _Self) -> _Self: ...

    def contains(self, other: Gtids) -> bool:
        """Whether every transaction of `other` is included: the stream has reached it."""
        if other.is_empty or self.is_empty:
            return other.is_empty
        _require_same_kind(self, other)
        return self._contains(other)

    def union(self, other: Gtids) -> Gtids:
        """The position that includes both."""
        if other.is_empty or self.is_empty:
            return self if other.is_empty else other
        _require_same_kind(self, other)
        return self._union(other)

    def add(self, text: str) -> Gtids:
        """Adds one transaction: `uuid:7`, `uuid:tag:7` or `0-1-7`.

        Raises:
            DecodeError: it is no GTID, or is included already. In a MariaDB domain its number must be higher than the
                last one, because the position alone would not show whether it is included.
        """
        transaction = parse_gtids(text)
        if self.is_empty:
            return transaction
        _require_same_kind(self, transaction)
        return self._add(transaction)


def parse_gtids(text: str) -> Gtids:
    """Parses a MySQL GTID set or a MariaDB GTID position; spaces and line ends are ignored.

    Raises:
        DecodeError: it is neither.
    """
    parts = [part for part in "".join(text.split()).lower().split(",") if part]
    if not parts:
        return NOTHING
    if ":" in parts[0]:
        return _parse_set(parts, text)
    return _parse_position(parts, text)


def is_of_mariadb(text: str) -> bool | None:
    """Whether a position is MariaDB's, not MySQL's; None before any transaction.

    Raises:
        DecodeError: it is neither's.
    """
    parsed = parse_gtids(text)
    return None if parsed.is_empty else isinstance(parsed, GtidPosition)


def has_reached(stream: str, position: str) -> bool:
    """Whether a stream at the first position has every transaction of the second one."""
    return parse_gtids(stream).contains(parse_gtids(position))


def explain_divergence(server: Gtids, stream: Gtids) -> str:
    """Explains why a server has another history than the stream; empty if it may have the same.

    A server with all of the stream's transactions may be ahead of it, also by transactions of servers unknown to the
    stream. A server that lacks some of them may be behind. Then all its transactions must be of servers that the stream
    knows.
    """
    if stream.is_empty or server.contains(stream):
        return ""
    if server.is_empty:
        return "it has no transactions"
    if not isinstance(server, GtidSet) or not isinstance(stream, GtidSet):
        return ""
    known = {name.partition(":")[0] for name in stream.intervals}
    there = {name.partition(":")[0] for name in server.intervals}
    if not known & there:
        return f"it has none of the stream's transactions, but those of {', '.join(sorted(there))[:200]}"
    if there - known:
        return f"it lacks some of the stream's transactions, and has some of {', '.join(sorted(there - known))[:200]}"
    return ""


@dataclass(frozen=True, slots=True)
class GtidSet(Gtids):
    """A MySQL set: server (`uuid` or `uuid:tag`) to sorted intervals that do not touch."""

    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """See `Gtids`."""
        return not self.intervals

    @property
    def is_tagged(self) -> bool:
        """Whether any interval has a tag."""
        return any(":" in name for name in self.intervals)

    def __str__(self) -> str:
        texts: dict[str, str] = {}
        for name, intervals in sorted(self.intervals.items()):
            uuid, _, tag = name.partition(":")
            numbers = ":".join(str(low) if low == high else f"{low}-{high}" for low, high in intervals)
            # The untagged numbers sort first; tags follow in the same entry, as the server prints them.
            texts[uuid] = ":".join(part for part in (texts.get(uuid, uuid), tag, numbers) if part)
        return ",".join(texts.values())

    def _contains(self, other: GtidSet) -> bool:
        return all(
            _covers(self.intervals.get(name, ()), interval)
            for name, intervals in other.intervals.items()
            for interval in intervals
        )

    def _union(self, other: GtidSet) -> GtidSet:
        merged = dict(self.intervals)
        for name, intervals in other.intervals.items():
            merged[name] = _merged([*merged.get(name, ()), *intervals])
        return GtidSet(merged)

    def _add(self, transaction: GtidSet) -> GtidSet:
        ((name, ((low, high),)),) = transaction.intervals.items()
        present = self.intervals.get(name, ())
        if present and present[-1][1] + 1 == low == high:
            # The usual case: the next number of the server that wrote the last one.
            return GtidSet({**self.intervals, name: (*present[:-1], (present[-1][0], high))})
        if self._contains(transaction):
            raise DecodeError(
                f"transaction {transaction} was read before: the source's binlog was reset, and its GTIDs start again",
                where="the source's binlog",
                remedy=RESNAPSHOT_ALL,
            )
        return self._union(transaction)


@dataclass(frozen=True, slots=True)
class GtidPosition(Gtids):
    """A MariaDB position: domain to server and number of its last transaction."""

    last: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """See `Gtids`."""
        return not self.last

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{number}" for domain, (server, number) in sorted(self.last.items()))

    def _contains(self, other: GtidPosition) -> bool:
        return all(self._has(domain, server, number) for domain, (server, number) in other.last.items())

    def _has(self, domain: int, server: int, number: int) -> bool:
        at_server, at_number = self.last.get(domain, (0, -1))
        # The same number from another server is another transaction: the histories have diverged.
        return at_number > number or (at_number, at_server) == (number, server)

    def _union(self, other: GtidPosition) -> GtidPosition:
        merged = dict(self.last)
        for domain, (server, number) in other.last.items():
            if not self._has(domain, server, number):
                if domain in merged and merged[domain][1] == number:
                    raise DecodeError(
                        f"{self} and {other} are positions of diverged histories",
                        where="the source's GTIDs",
                        remedy=f"point [source] at the server of the stream; or {RESNAPSHOT_ALL}",
                    )
                merged[domain] = (server, number)
        return GtidPosition(merged)

    def _add(self, transaction: GtidPosition) -> GtidPosition:
        ((domain, (server, number)),) = transaction.last.items()
        if domain in self.last and number <= self.last[domain][1]:
            raise DecodeError(
                f"transaction {transaction} does not follow {self}",
                where="the source's binlog",
                remedy="the source's binlog was reset, or it numbers its transactions out of order: there, "
                f"SET GLOBAL gtid_strict_mode = ON; then {RESNAPSHOT_ALL}",
            )
        return GtidPosition({**self.last, domain: (server, number)})


NOTHING: Gtids = GtidPosition()
"""The position before any transaction, on either server."""


def _require_same_kind(position: Gtids, other: Gtids) -> None:
    if type(position) is not type(other):
        raise DecodeError(
            f"{position} and {other} are positions of different kinds of servers",
            where="[source]",
            remedy="a stream belongs to one source: capture this one under another [kafka] prefix and [lake] path",
        )


def _covers(intervals: tuple[Interval, ...], wanted: Interval) -> bool:
    """Whether an interval includes the wanted one. The intervals are sorted and do not touch."""
    after = bisect_left(intervals, (wanted[0] + 1, 0))
    return after > 0 and intervals[after - 1][1] >= wanted[1]


def _merged(intervals: list[Interval]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    for low, high in sorted(intervals):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _parse_set(parts: list[str], text: str) -> GtidSet:
    intervals: dict[str, list[Interval]] = {}
    for part in parts:
        uuid, *rest = part.split(":")
        if not _UUID.match(uuid) or not rest:
            raise _not_a_gtid(text)
        name = uuid
        for piece in rest:
            if _TAG.match(piece):
                name = f"{uuid}:{piece}"
                intervals.setdefault(name, [])
            else:
                intervals.setdefault(name, []).append(_interval(piece, text))
    if not all(intervals.values()):
        raise _not_a_gtid(text)
    return GtidSet({name: _merged(ranges) for name, ranges in intervals.items()})


def _interval(piece: str, text: str) -> Interval:
    match = _INTERVAL.match(piece)
    if not match:
        raise _not_a_gtid(text)
    low, high = int(match[1]), int(match[2] or match[1])
    if not 1 <= low <= high <= _SET_NUMBER_MAX:
        raise _not_a_gtid(text)
    return low, high


def _parse_position(parts: list[str], text: str) -> GtidPosition:
    last: dict[int, tuple[int, int]] = {}
    for part in parts:
        match = _POSITION.match(part)
        if not match:
            raise _not_a_gtid(text)
        domain, server, number = (int(group) for group in match.groups())
        if domain in last or max(domain, server) > _ID_MAX or number > _SEQUENCE_MAX:
            raise _not_a_gtid(text)
        last[domain] = (server, number)
    return GtidPosition(last)


def _not_a_gtid(text: str) -> DecodeError:
    return DecodeError(
        f"{text!r} is neither a MySQL GTID set nor a MariaDB GTID position",
        where="a position",
        remedy="use MariaDB 10.6, MySQL 8.0 with GTIDs, or later; or, if this was one, restore the epochs topic",
    )
