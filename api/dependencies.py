"""What routes depend on: FastAPI gives it to them from the state of the application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from api import ports, resyncs
from api.access import Access, Caller
from api.matrix import Matrix
from api.readiness import Readiness
from datafingerprint.ports.incidents import IncidentReader
from datafingerprint.ports.tokens import ActionLog


@dataclass(frozen=True, slots=True)
class Sources:
    """What one application reads from.

    Attributes:
        store: The state store.
        lag_reader: Kafka's offsets.
        services: The reports of the services.
        scans: Runs scans; None where their paths are left out.
        incidents: Incidents and alerts; None where their paths are left out.
        resync_requests: The requests topic; None where the paths of resyncs are left out.
        refusals: The requests that capture refused.
        diff: Names differing rows; None where their path is left out.
        readiness: The answer of `/readyz`.
        matrix: The answer of `/v1/matrix`.
        access: Checks tokens.
        actions: The record of what was done; None where its path is left out.
        clock: Unix time in seconds.
        stale_s: Age in seconds above which stored epochs do not describe the present.
        metrics_tables_max: Tables with metrics of their own.
    """

    store: ports.Store
    lag_reader: ports.LagReader
    services: ports.ServicesReader
    scans: ports.Scans | None
    incidents: IncidentReader | None
    resync_requests: ports.ResyncRequests | None
    refusals: resyncs.Refusals
    diff: ports.Diff | None
    readiness: Readiness
    matrix: Matrix
    access: Access
    actions: ActionLog | None
    clock: Callable[[], float]
    stale_s: float
    metrics_tables_max: int


async def _sources(request: Request) -> Sources:
    return cast("Sources", request.app.state.sources)


_Sources = Annotated[Sources, Depends(_sources)]


async def _store(sources: _Sources) -> ports.Store:
    return sources.store


async def _lag_reader(sources: _Sources) -> ports.LagReader:
    return sources.lag_reader


async def _services(sources: _Sources) -> ports.ServicesReader:
    return sources.services


async def _optional_scans(sources: _Sources) -> ports.Scans | None:
    return sources.scans


async def _scans(sources: _Sources) -> ports.Scans:
    assert sources.scans is not None  # noqa: S101 - without scans their router is not included
    return sources.scans


async def _incidents(sources: _Sources) -> IncidentReader:
    assert sources.incidents is not None  # noqa: S101 - without incidents their routers are not included
    return sources.incidents


async def _optional_incidents(sources: _Sources) -> IncidentReader | None:
    return sources.incidents


async def _resync_requests(sources: _Sources) -> ports.ResyncRequests:
    assert sources.resync_requests is not None  # noqa: S101 - without them their router is not included
    return sources.resync_requests


async def _refusals(sources: _Sources) -> resyncs.Refusals:
    return sources.refusals


async def _diff(sources: _Sources) -> ports.Diff:
    assert sources.diff is not None  # noqa: S101 - without it its router is not included
    return sources.diff


async def _readiness(sources: _Sources) -> Readiness:
    return sources.readiness


async def _matrix(sources: _Sources) -> Matrix:
    return sources.matrix


def _needs_token(sources: _Sources) -> bool:
    sources.access.refresh()  # it may read the store, so it is not async
    return sources.access.is_needed


async def _caller(request: Request) -> Caller:
    caller = cast("Caller | None", request.state.caller)
    assert caller is not None  # noqa: S101 - the guard stops all other callers, except for open paths
    return caller


async def _actions(sources: _Sources) -> ActionLog:
    assert sources.actions is not None  # noqa: S101 - without it its router is not included
    return sources.actions


async def _clock(sources: _Sources) -> Callable[[], float]:
    return sources.clock


async def _stale_s(sources: _Sources) -> float:
    return sources.stale_s


async def _metrics_tables_max(sources: _Sources) -> int:
    return sources.metrics_tables_max


Store = Annotated[ports.Store, Depends(_store)]
LagReader = Annotated[ports.LagReader, Depends(_lag_reader)]
ServicesReader = Annotated[ports.ServicesReader, Depends(_services)]
Scans = Annotated[ports.Scans, Depends(_scans)]
Incidents = Annotated[IncidentReader, Depends(_incidents)]
OptionalIncidents = Annotated[IncidentReader | None, Depends(_optional_incidents)]
OptionalScans = Annotated[ports.Scans | None, Depends(_optional_scans)]
ResyncRequests = Annotated[ports.ResyncRequests, Depends(_resync_requests)]
Refusals = Annotated[resyncs.Refusals, Depends(_refusals)]
Diff = Annotated[ports.Diff, Depends(_diff)]
IsReady = Annotated[Readiness, Depends(_readiness)]
SharedMatrix = Annotated[Matrix, Depends(_matrix)]
CurrentCaller = Annotated[Caller, Depends(_caller)]
Actions = Annotated[ActionLog, Depends(_actions)]
NeedsToken = Annotated[bool, Depends(_needs_token)]
Clock = Annotated[Callable[[], float], Depends(_clock)]
StaleSeconds = Annotated[float, Depends(_stale_s)]
MetricsTablesMax = Annotated[int, Depends(_metrics_tables_max)]
