"""Asks a running capture to read a table again, and follows what becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from datafingerprint.epochs import Epoch
from datafingerprint.errors import ConfigError, SourceError, Unavailable
from datafingerprint.ledger import StoredVerdict
from datafingerprint.ports import StateStore
from datafingerprint.requests import Reread
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome

_POLL_S = 0.5


class EpochRecords(Protocol):
    """The epochs topic, followed from its end."""

    def last(self) -> Epoch | None:
        """The last epoch published."""

    def following(self, timeout_s: float) -> list[Epoch]:
        """Epochs behind those already seen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A step of the way: rows read so far, their share in percent, and the epoch that says so."""

    epoch: int
    rows: int
    percent: int
    complete: bool


def chosen(store: StateStore, table: str) -> TableSchema:
    """The definition of a table under watch.

    Raises:
        ConfigError: there is no such table.
    """
    known = {name: definition for name, (_, definition) in sorted(store.definitions().items())}
    if table not in known:
        there = ", ".join(sorted(known)[:10]) or "none yet"
        raise ConfigError(f"no table {table} is under watch", remedy=f"there are: {there}")
    return known[table]


def require_partition(store: StateStore, table: str, partition: str, count: Callable[[], int]) -> None:
    """Demands that a partition is known to the stream or the lake, or has rows in the source.

    Raises:
        ConfigError: nobody has it.
    """
    known = sorted(one.partition for one in store.verdicts(table))
    if partition not in known and not count():
        there = ", ".join(known[:10]) or "none yet"
        raise ConfigError(f"{table} has no partition {partition}", remedy=f"there are: {there}")


def read_again(
    records: EpochRecords, ask: Callable[[Reread], int], request: Reread, stop: threading.Event, patience_s: float
) -> Iterator[Seen]:
    """Places the request, and yields every step until the table is complete again, or it is told to stop.

    Raises:
        SourceError: capture refused, or the table was dropped.
        Unavailable: no capture runs, as it seems; the request stays where it is, and will be taken up.
    """
    records.last()
    offset = ask(request)
    waited = 0.0
    taken_up = False
    while not stop.is_set():
        epochs = records.following(_POLL_S)
        waited = 0.0 if epochs else waited + _POLL_S
        for epoch in epochs:
            reason = (epoch.answers.refused or {}).get(offset)
            if reason is not None:
                raise SourceError(f"capture refused: {reason}", where=f"request {offset}")
            taken_up = taken_up or epoch.answers.next_offset > offset
            cursor = epoch.snapshots.get(request.table)
            if not taken_up:
                continue
            if cursor is None:
                raise SourceError(f"{request.table} left the stream: it was dropped or renamed", where=request.table)
            yield Seen(epoch.number, cursor.rows, cursor.percent, cursor.complete)
            if cursor.complete:
                return
        if waited > patience_s:
            raise Unavailable(
                f"no epoch came for {patience_s:g} s: is capture running? Request {offset} waits for it",
                where=request.table,
            )


def await_verdicts(store: StateStore, request: Reread, epoch: int, stop: threading.Event) -> list[StoredVerdict]:
    """The verdicts on what was read, at the first lake commit that holds it; none when it is told to stop."""
    while store.progress().lake_epoch < epoch:
        if stop.wait(_POLL_S):
            return []
    return [one for one in store.verdicts(request.table) if request.partition in (None, one.partition)]


def overall(verdicts: list[StoredVerdict]) -> Outcome:
    """The worst of them; nothing to compare is a match."""
    found = {one.verdict.outcome for one in verdicts}
    return next((one for one in (Outcome.MISMATCH, Outcome.INCONCLUSIVE) if one in found), Outcome.MATCH)
