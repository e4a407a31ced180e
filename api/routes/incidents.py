"""The paths about incidents and events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from api import incidents as answers
from api.answers import ID_MAX, INVALID, NOT_FOUND
from api.dependencies import Clock, Incidents
from api.head import IS_HEAD
from api.models import (
    AcknowledgeRequest,
    ErrorAnswer,
    EventsAnswer,
    IncidentAnswer,
    IncidentDetail,
    IncidentsAnswer,
    SilenceRequest,
)
from datafingerprint.incidents import Incident
from datafingerprint.ports.incidents import IncidentReader

PAGE_MAX = 1000
CONFLICT = 409
UNAVAILABLE = 503
STREAMS_MAX = 100
"""Streams of events at once. Each reads the store once a second."""

EVENT_STREAM = "text/event-stream"

IncidentId = Annotated[int, Path(ge=1, le=ID_MAX, description="Id of the incident", examples=[7])]
_Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most items of an answer")]
_Before = Annotated[int | None, Query(ge=1, le=ID_MAX, description="Only items with a lower id")]
_CLOSED: dict[int | str, dict[str, Any]] = {
    CONFLICT: {"model": ErrorAnswer, "description": "The incident is closed already."}
}

router = APIRouter(prefix="/v1", tags=["incidents"])
_streams = answers.Streams()


@router.get("/incidents", summary="Incidents, newest first", responses=INVALID)
def all_incidents(
    incidents: Incidents,
    state: Annotated[Literal["open", "closed"] | None, Query(description="Only incidents in this state")] = None,
    limit: _Limit = 100,
    before: _Before = None,
) -> IncidentsAnswer:
    """Open incidents, and those closed in the last 90 days (`alerts.keep_days`)."""
    is_open = None if state is None else state == "open"
    page = incidents.incidents(is_open=is_open, limit=limit + 1, before=before)
    return IncidentsAnswer(
        items=[answers.incident_answer(incident) for incident in page[:limit]],
        next_before=page[limit - 1].number if len(page) > limit else None,
    )


@router.get("/incidents/{id}", summary="One incident", responses={**NOT_FOUND, **INVALID})
def one_incident(id: IncidentId, incidents: Incidents) -> IncidentDetail:  # noqa: A002 - the path's own word
    """What is wrong, the partitions, and everything that happened to it."""
    incident = _incident(incidents, id)
    return answers.incident_detail(incident, incidents.events(incident=id, limit=PAGE_MAX))


@router.post(
    "/incidents/{id}/acknowledge", summary="Acknowledge an incident", responses={**NOT_FOUND, **_CLOSED, **INVALID}
)
def acknowledge(
    id: IncidentId,  # noqa: A002 - as above
    wanted: AcknowledgeRequest,
    incidents: Incidents,
    clock: Clock,
) -> IncidentAnswer:
    """Ends reminders. An escalation and the recovery are still sent."""
    _incident(incidents, id)
    return _open(incidents.acknowledge(id, wanted.note, clock()), id)


@router.post("/incidents/{id}/silence", summary="Silence an incident", responses={**NOT_FOUND, **_CLOSED, **INVALID})
def silence(
    id: IncidentId,  # noqa: A002 - as above
    wanted: SilenceRequest,
    incidents: Incidents,
    clock: Clock,
) -> IncidentAnswer:
    """Sends nothing about it before a time, not even its recovery."""
    _incident(incidents, id)
    return _open(incidents.silence(id, wanted.until.timestamp(), clock()), id)


@router.get(
    "/events",
    summary="Events, as a list or as a stream",
    response_model=EventsAnswer,
    responses={
        200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}},
        UNAVAILABLE: {"model": ErrorAnswer, "description": "Too many streams are open, or the state store is away."},
        **INVALID,
    },
)
def all_events(
    request: Request,
    incidents: Incidents,
    limit: _Limit = 100,
    before: _Before = None,
    after: Annotated[
        int | None, Query(ge=0, le=ID_MAX, description="Only events with a higher id, the oldest first")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(description="As `after`, of a stream; a browser sends it when it reconnects")
    ] = None,
) -> Response:
    """A stream of server-sent events with `Accept: text/event-stream`, a page otherwise.

    A stream begins after `Last-Event-ID` or `after`, or with the next event where neither is given.
    """
    if EVENT_STREAM in request.headers.get("accept", "") and not request.scope.get(IS_HEAD):
        return _stream(request, incidents, _last(last_event_id, after))
    page = incidents.events(after=after, before=before, limit=limit + 1)
    items = [answers.event_answer(event) for event in page[:limit]]
    has_more = len(page) > limit and after is None
    answer = EventsAnswer(
        items=items,
        next_before=items[-1].id if has_more else None,
        last_id=max((event.id for event in items), default=None),
    )
    return JSONResponse(answer.model_dump(mode="json"))


def _stream(request: Request, incidents: IncidentReader, after: int | None) -> Response:
    if _streams.connected >= STREAMS_MAX:
        raise HTTPException(UNAVAILABLE, f"{STREAMS_MAX} streams are open already", {"Retry-After": "10"})
    access, authorization = request.app.state.sources.access, request.headers.get("authorization", "")

    def is_ending() -> bool:
        # A token that expires or is revoked ends what was begun with it.
        is_service_ending: bool = getattr(request.app.state, "is_ending", lambda: False)()
        return is_service_ending or not access.still_accepts(authorization)

    return StreamingResponse(
        _streams.stream(incidents, after, is_ending),
        media_type=EVENT_STREAM,
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


def _last(header: str | None, after: int | None) -> int | None:
    """Where a stream begins. A header that is no id of ours is ignored."""
    text = (header or "").strip()
    if text.isdecimal() and text.isascii() and int(text[:20]) <= ID_MAX:
        return int(text)
    return after


def _incident(incidents: IncidentReader, number: int) -> Incident:
    incident = incidents.incident(number)
    if incident is None:
        raise HTTPException(404, f"no incident {number}; /v1/incidents lists them")
    return incident


def _open(incident: Incident | None, number: int) -> IncidentAnswer:
    if incident is None:
        raise HTTPException(CONFLICT, f"incident {number} is closed")
    return answers.incident_answer(incident)
