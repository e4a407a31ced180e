"""Requests a re-snapshot from a running capture, and follows its progress."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from datafingerprint.epochs import READ_AGAIN, Epoch
from datafingerprint.errors import ConfigError, SourceError, Unavailable
from datafingerprint.ledger import StoredVerdict
from datafingerprint.ports.state import StateStore
from datafingerprint.resync import ResyncRequest

_POLL_S = 0.5


class EpochRecords(Protocol):
    """The epochs topic, followed from its end."""

    def last(self) -> Epoch | None:
        """The last epoch published."""

    def following(self, timeout_s: float) -> list[Epoch]:
        """New epochs since the last call."""


@dataclass(frozen=True, slots=True)
class ResyncStep:
    """The progress of a re-snapshot, as an epoch reports it.

    Attributes:
        epoch: Number of the epoch.
        rows: Rows read so far.
        percent: Their share of the estimated rows.
        complete: Whether all rows are read.
    """

    epoch: int
    rows: int
    percent: int
    complete: bool


def require_partition(store: StateStore, table: str, partition: str, count: Callable[[], int]) -> None:
    """Checks that the stream, the lake or the source has a partition.

    Raises:
        ConfigError: None of them has it.
    """
    known = sorted(verdict.partition for verdict in store.verdicts(table))
    if partition not in known and not count():
        names = ", ".join(known[:10]) or "none yet"
        raise ConfigError(f"{table} has no partition {partition}", remedy=f"its partitions: {names}")


def read_again(
    records: EpochRecords,
    ask: Callable[[ResyncRequest], int],
    request: ResyncRequest,
    stop: threading.Event,
    patience_s: float,
) -> Iterator[ResyncStep]:
    """Sends the request, and yields every step until the table is complete or `stop` is set.

    Args:
        records: The epochs topic.
        ask: Sends a request to capture and returns its offset.
        request: The table or partition to read.
        stop: Ends the waiting.
        patience_s: Seconds without an epoch after which capture counts as down.

    Raises:
        SourceError: Capture refused the request, or the table was dropped.
        Unavailable: Capture seems to be down. The request waits in its topic.
    """
    records.last()
    offset = ask(request)
    waited = 0.0
    is_accepted = False
    while not stop.is_set():
        epochs = records.following(_POLL_S)
        waited = 0.0 if epochs else waited + _POLL_S
        for epoch in epochs:
            reason = (epoch.answers.refused or {}).get(offset)
            if reason is not None:
                raise SourceError(
                    f"capture refused: {reason}",
                    where=f"request {offset}",
                    remedy=f"fix the cause, then datafingerprint resync {request.table}",
                )
            is_accepted = is_accepted or epoch.answers.next_offset > offset
            cursor = epoch.snapshots.get(request.table)
            if not is_accepted:
                continue
            aside = epoch.set_aside.get(request.table, "")
            if aside and not aside.endswith(READ_AGAIN):
                raise SourceError(
                    f"{request.table} is set aside: {aside}",
                    where=f"epoch {epoch.number}",
                    remedy="remove the reason: the table then returns by itself",
                )
            if request.table in epoch.awaiting_snapshot:
                continue
            if cursor is None:
                raise SourceError(
                    f"{request.table} left the stream: it was dropped or renamed",
                    where=request.table,
                    remedy="none needed: it returns by itself when a table of this name is created",
                )
            yield ResyncStep(epoch.number, cursor.rows, cursor.percent, cursor.complete)
            if cursor.complete:
                return
        if waited > patience_s:
            raise Unavailable(
                f"no epoch came for {patience_s:g} s: is capture running? Request {offset} waits for it",
                where=request.table,
            )


def await_verdicts(store: StateStore, request: ResyncRequest, epoch: int, stop: threading.Event) -> list[StoredVerdict]:
    """The verdicts at the first lake commit that holds the epoch. Empty when `stop` is set."""
    while store.progress().lake_epoch < epoch:
        if stop.wait(_POLL_S):
            return []
    return [verdict for verdict in store.verdicts(request.table) if request.partition in (None, verdict.partition)]
