"""How far a source's history has been read: MySQL's GTID sets and MariaDB's GTID positions, behind one interface.

MySQL tells a set of transactions, per server a list of intervals: `3e11fa47-…-c80aa9429562:1-5:7`. A tag makes
numbers of its own: `3e11fa47-…-c80aa9429562:1-5:backfill:1-2`. MariaDB tells, per domain, the last transaction:
`0-1-90211,7-2-4`. Both answer whether a stream that stands at one has everything that another holds.

The empty text is a position of either server: nothing has happened yet.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from datafingerprint.errors import DecodeError
from datafingerprint.remedies import READ_ALL_AGAIN

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
    """What of a source's history is included; a value, never changed in place.

    Asking a MySQL set about a MariaDB position, or the reverse, is a `DecodeError`: another kind of server answers.
    """

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing has happened yet."""

    @abstractmethod
    def __str__(self) -> str:
        """The canonical text: equal values print alike, and `parse_gtids` reads it back."""

    @abstractmethod
    def _contains(self: _Self, other: _Self) -> bool: ...

    @abstractmethod
    def _union(self: _Self, other: _Self) -> _Self: ...

    @abstractmethod
    def _add(self: _Self, one: _Self) -> _Self: ...

    def contains(self, other: Gtids) -> bool:
        """Whether all of `other` is included: the stream that stands here has reached it."""
        if other.is_empty or self.is_empty:
            return other.is_empty
        _require_same_kind(self, other)
        return self._contains(other)

    def union(self, other: Gtids) -> Gtids:
        """Everything that either includes."""
        if other.is_empty or self.is_empty:
            return self if other.is_empty else other
        _require_same_kind(self, other)
        return self._union(other)

    def add(self, transaction: str) -> Gtids:
        """This, and one more transaction: `uuid:7`, `uuid:tag:7` or `0-1-7`.

        Raises:
            DecodeError: it is no GTID, or in MariaDB's domain a number that is not higher than the last one; a
                position could not tell then whether it is included.
        """
        one = parse_gtids(transaction)
        if self.is_empty:
            return one
        _require_same_kind(self, one)
        return self._add(one)


def parse_gtids(text: str) -> Gtids:
    """A MySQL GTID set or a MariaDB GTID position, by what it looks like; spaces and line ends are ignored.

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
    """Whether a position is MariaDB's, and not MySQL's; None where nothing has happened yet.

    Raises:
        DecodeError: it is neither's.
    """
    parsed = parse_gtids(text)
    return None if parsed.is_empty else isinstance(parsed, GtidPosition)


def has_reached(stream: str, position: str) -> bool:
    """Whether a stream that stands at the first text has everything up to the second one."""
    return parse_gtids(stream).contains(parse_gtids(position))


def parted(server: Gtids, stream: Gtids) -> str:
    """Why a server that has executed this cannot be one of the stream's, in words; empty when it can.

    A server that has all of the stream may be ahead of it, also by transactions of servers that are new to it. One that
    lacks some of it may be behind; but then all it has must come from servers that the stream knows.
    """
    if stream.is_empty or server.contains(stream):
        return ""
    if server.is_empty:
        return "it has no transaction at all"
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
    """MySQL's: by server (`uuid`, or `uuid:tag`) the numbers included, as sorted intervals that do not touch."""

    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """See `Gtids`."""
        return not self.intervals

    @property
    def is_tagged(self) -> bool:
        """Whether a number belongs to a tag."""
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

    def _add(self, one: GtidSet) -> GtidSet:
        ((name, ((low, high),)),) = one.intervals.items()
        present = self.intervals.get(name, ())
        if present and present[-1][1] + 1 == low == high:
            # The usual case: the next number of the server that wrote the last one.
            return GtidSet({**self.intervals, name: (*present[:-1], (present[-1][0], high))})
        return self._union(one)


@dataclass(frozen=True, slots=True)
class GtidPosition(Gtids):
    """MariaDB's: by domain the server and number of the last transaction; all before it in the domain are included."""

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
        # The same number from another server is another transaction: histories that parted.
        return at_number > number or (at_number, at_server) == (number, server)

    def _union(self, other: GtidPosition) -> GtidPosition:
        merged = dict(self.last)
        for domain, (server, number) in other.last.items():
            if not self._has(domain, server, number):
                if domain in merged and merged[domain][1] == number:
                    raise DecodeError(f"{self} and {other} are positions of histories that parted")
                merged[domain] = (server, number)
        return GtidPosition(merged)

    def _add(self, one: GtidPosition) -> GtidPosition:
        ((domain, (server, number)),) = one.last.items()
        if domain in self.last and number <= self.last[domain][1]:
            raise DecodeError(
                f"transaction {one} does not come after {self}",
                remedy="the source numbers its transactions out of order: SET GLOBAL gtid_strict_mode = ON there, "
                f"then {READ_ALL_AGAIN}",
            )
        return GtidPosition({**self.last, domain: (server, number)})


NOTHING: Gtids = GtidPosition()
"""The position before any transaction, on either server."""


def _require_same_kind(one: Gtids, other: Gtids) -> None:
    if type(one) is not type(other):
        raise DecodeError(
            f"{one} and {other} are positions of different kinds of servers",
            remedy="a stream belongs to one source: capture again under another [kafka] prefix and [lake] path",
        )


def _covers(intervals: tuple[Interval, ...], wanted: Interval) -> bool:
    """Whether one of the sorted intervals holds the wanted one; none touch, so no two do together."""
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
    found: dict[str, list[Interval]] = {}
    for part in parts:
        uuid, *rest = part.split(":")
        if not _UUID.match(uuid) or not rest:
            raise _no_gtid(text)
        name = uuid
        for piece in rest:
            if _TAG.match(piece):
                name = f"{uuid}:{piece}"
                found.setdefault(name, [])
            else:
                found.setdefault(name, []).append(_interval(piece, text))
    if not all(found.values()):
        raise _no_gtid(text)
    return GtidSet({name: _merged(intervals) for name, intervals in found.items()})


def _interval(piece: str, text: str) -> Interval:
    match = _INTERVAL.match(piece)
    if not match:
        raise _no_gtid(text)
    low, high = int(match[1]), int(match[2] or match[1])
    if not 1 <= low <= high <= _SET_NUMBER_MAX:
        raise _no_gtid(text)
    return low, high


def _parse_position(parts: list[str], text: str) -> GtidPosition:
    last: dict[int, tuple[int, int]] = {}
    for part in parts:
        match = _POSITION.match(part)
        if not match:
            raise _no_gtid(text)
        domain, server, number = (int(group) for group in match.groups())
        if domain in last or max(domain, server) > _ID_MAX or number > _SEQUENCE_MAX:
            raise _no_gtid(text)
        last[domain] = (server, number)
    return GtidPosition(last)


def _no_gtid(text: str) -> DecodeError:
    return DecodeError(f"{text!r} is neither a MySQL GTID set nor a MariaDB GTID position")
