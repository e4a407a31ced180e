"""Builds the answers about resyncs from the requests and the stored epochs."""

from __future__ import annotations

from dataclasses import dataclass

from api.answers import moment
from api.fingerprints import partition_answer, table_fingerprints
from api.models import Outcome, ResyncAnswer, ResyncStateName
from api.ports import StateView
from datafingerprint.epochs import READ_AGAIN, Epoch
from datafingerprint.resync import ResyncRequest

EPOCHS_SEARCHED = 10_000
"""Stored epochs among which a refusal is looked for. The state store keeps as many."""
REFUSALS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class ResyncState:
    """How far a resync is.

    Attributes:
        state: One of the four states.
        reason: Why it failed; empty otherwise.
        percent: Share of the rows that were read.
        rows: Rows that were read.
    """

    state: ResyncStateName
    reason: str = ""
    percent: int = 0
    rows: int = 0


QUEUED = ResyncState("queued")


def resync_state(offset: int, table: str, last: Epoch | None, compared: Epoch | None, refusal: str) -> ResyncState:
    """How far a resync is, as epochs tell.

    Args:
        offset: The request's offset.
        table: The table that is read again.
        last: The last epoch whose sums are stored; None before the first.
        compared: The epoch at which the lake was compared last; None before the first.
        refusal: Why capture refused the request; empty when it did not.
    """
    if last is None or last.answers.next_offset <= offset:
        return QUEUED
    if refusal:
        return ResyncState("failed", f"capture refused: {refusal}")
    aside = last.set_aside.get(table, "")
    if aside and not aside.endswith(READ_AGAIN):
        return ResyncState("failed", f"{table} is set aside: {aside}")
    cursor = last.snapshots.get(table)
    if cursor is None:
        return ResyncState("failed", f"{table} left the stream: it was dropped or renamed")
    if compared is None or compared.answers.next_offset <= offset:
        return ResyncState("running", percent=cursor.percent, rows=cursor.rows)
    before = compared.snapshots.get(table)
    is_done = cursor.complete and before is not None and before.complete
    return ResyncState("done" if is_done else "running", percent=cursor.percent, rows=cursor.rows)


class Refusals:
    """Reasons of refused requests. Each is looked for once: it does not change."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], str] = {}

    def reason(self, view: StateView, offset: int, last: Epoch) -> str:
        """Returns: the reason; empty for a request that was not refused, or not answered yet."""
        if last.answers.next_offset <= offset:
            return ""
        key = (last.stream_id, offset)
        if key not in self._known:
            if len(self._known) >= REFUSALS_MAX:
                self._known.clear()
            self._known[key] = _refusal(view, offset, last.number)
        return self._known[key]


def _refusal(view: StateView, offset: int, last: int) -> str:
    """The reason in the first epoch after a request; empty when capture accepted it."""
    low, high = max(last - EPOCHS_SEARCHED, 0), last
    while low < high:
        middle = (low + high) // 2
        stored = view.epoch(middle)
        if stored is None or stored.epoch.answers.next_offset <= offset:
            low = middle + 1
        else:
            high = middle
    stored = view.epoch(high)
    return (stored.epoch.answers.refused or {}).get(offset, "") if stored else ""


def resync_answer(view: StateView, offset: int, request: ResyncRequest, refusals: Refusals) -> ResyncAnswer:
    """A resync, as far as the stored epochs show it."""
    progress = view.progress()
    last, compared = view.epoch(progress.epoch), view.epoch(progress.lake_epoch)
    state = resync_state(
        offset,
        request.table,
        last.epoch if last else None,
        compared.epoch if compared else None,
        refusals.reason(view, offset, last.epoch) if last else "",
    )
    return _answer(offset, request, state, view)


def queued_answer(offset: int, request: ResyncRequest) -> ResyncAnswer:
    """A resync that was just requested."""
    return _answer(offset, request, QUEUED, None)


def _answer(offset: int, request: ResyncRequest, state: ResyncState, view: StateView | None) -> ResyncAnswer:
    verdict, reason, epoch = None, state.reason, None
    if view is not None and state.state == "done":
        verdict, reason, epoch = _verdict(view, request)
    return ResyncAnswer(
        id=offset,
        table=request.table,
        partition=request.partition,
        state=state.state,
        reason=reason or None,
        percent=state.percent,
        rows=state.rows,
        verdict=verdict,
        epoch=epoch,
        asked_at=moment(request.asked_at),
    )


def _verdict(view: StateView, request: ResyncRequest) -> tuple[Outcome, str, int | None]:
    table = table_fingerprints(view, request.table)[0]
    if request.partition is None:
        return table.verdict, table.reason or "", table.epoch
    partition = partition_answer(view, request.table, request.partition)
    if partition is not None:
        return partition.verdict, partition.reason or "", partition.epoch
    if table.verdict == "inconclusive":
        return table.verdict, table.reason or "", table.epoch
    return "match", "neither side has rows in it", table.epoch
