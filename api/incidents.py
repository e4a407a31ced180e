"""Builds the answers about incidents and events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from fastapi.concurrency import run_in_threadpool

from api.answers import moment
from api.models import EventAnswer, IncidentAnswer, IncidentDetail, IncidentPartition
from datafingerprint.incidents import Incident, SubjectKind
from datafingerprint.ports.incidents import Event, IncidentReader

POLL_S = 1.0
KEEP_ALIVE_S = 15.0
"""Seconds without an event after which a stream sends a comment, so that proxies keep it open."""

STREAM_PAGE = 500


def incident_answer(incident: Incident) -> IncidentAnswer:
    """An incident without its partitions and events."""
    is_table = incident.subject.kind is SubjectKind.TABLE
    return IncidentAnswer.model_validate(
        {
            "id": incident.number,
            "state": "open" if incident.is_open else "closed",
            "subject": incident.subject.kind.value,
            "name": incident.subject.name,
            "table": incident.subject.name if is_table else None,
            "class": incident.incident_class.value,
            "hop": incident.hop or None,
            "reason": incident.reason or None,
            "rows": incident.rows,
            "partition_count": incident.partition_count,
            "since": moment(incident.since),
            "opened_at": moment(incident.opened_at),
            "changed_at": moment(incident.changed_at),
            "closed_at": _moment(incident.closed_at),
            "quiet_since": _moment(incident.quiet_since),
            "returns": incident.returns,
            "acknowledged_at": _moment(incident.acknowledged_at),
            "note": incident.note or None,
            "silenced_until": _moment(incident.silenced_until),
        }
    )


def incident_detail(incident: Incident, events: Sequence[Event]) -> IncidentDetail:
    """An incident with its partitions, and its events in their order."""
    partitions = [
        IncidentPartition.model_validate(
            {
                "partition": part.partition,
                "class": part.incident_class.value,
                "reason": part.reason or None,
                "rows": part.rows,
                "since": moment(part.since),
            }
        )
        for part in incident.partitions
    ]
    return IncidentDetail(
        **dict(incident_answer(incident)),
        partitions=partitions,
        events=[event_answer(event) for event in sorted(events, key=lambda event: event.number)],
    )


def event_answer(event: Event) -> EventAnswer:
    """An event as answers show it."""
    return EventAnswer(
        id=event.number,
        at=moment(event.at),
        kind=event.kind.value,
        subject=event.subject.kind.value,
        name=event.subject.name,
        incident=event.incident,
        detail=dict(event.detail),
    )


class Streams:
    """Streams events to clients, and counts those that are connected."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.connected = 0
        self._sleep = sleep

    async def stream(
        self, reader: IncidentReader, after: int | None, is_ending: Callable[[], bool] = lambda: False
    ) -> AsyncIterator[str]:
        """Server-sent events from the one after `after` on. None: from now on.

        The stream ends when `is_ending`, which is called in a thread and may read a store.
        """
        self.connected += 1
        try:
            # EventSource reconnects after this time, and sends the id of the last event that it has.
            yield "retry: 2000\n\n"
            last = await _newest(reader) if after is None else after
            quiet_s = 0.0
            while not await run_in_threadpool(is_ending):
                page = await _page(reader, last)
                for event in page:
                    last = event.number
                    yield server_sent(event)
                quiet_s = 0.0 if page else quiet_s + POLL_S
                if quiet_s >= KEEP_ALIVE_S:
                    quiet_s = 0.0
                    yield ": no event\n\n"
                if len(page) < STREAM_PAGE:
                    await self._sleep(POLL_S)
        finally:
            self.connected -= 1


async def _newest(reader: IncidentReader) -> int:
    newest = await run_in_threadpool(lambda: reader.events(limit=1))
    return newest[0].number if newest else 0


async def _page(reader: IncidentReader, after: int) -> Sequence[Event]:
    return await run_in_threadpool(lambda: reader.events(after=after, limit=STREAM_PAGE))


def server_sent(event: Event) -> str:
    """One event in the format of server-sent events."""
    data = json.dumps(event_answer(event).model_dump(mode="json"), ensure_ascii=False)
    return f"id: {event.number}\nevent: {event.kind.value}\ndata: {data}\n\n"


def _moment(seconds: float | None) -> object:
    return None if seconds is None else moment(seconds)
