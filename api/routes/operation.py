"""The paths for operators: probes and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api import metrics
from api.dependencies import (
    Clock,
    IsReady,
    LagReader,
    MetricsTablesMax,
    OptionalIncidents,
    ServicesReader,
    StaleSeconds,
    Store,
)
from api.models import Health

UNAVAILABLE = 503

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
"""Answered without a token."""

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Liveness probe")
def health() -> Health:
    """200 while the process lives. Reads nothing."""
    return Health(status="ok")


@router.get("/readyz", summary="Readiness probe")
def ready(request: Request, readiness: IsReady) -> Health:
    """200 when the state store can be read and holds an epoch, else 503.

    Only callers with the token get the reason.
    """
    reason = readiness.reason()
    if not reason:
        return Health(status="ok")
    raise HTTPException(UNAVAILABLE, f"not ready: {reason}" if request.state.has_token else "not ready")


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
def prometheus(
    store: Store,
    lag_reader: LagReader,
    services: ServicesReader,
    incidents: OptionalIncidents,
    clock: Clock,
    stale_s: StaleSeconds,
    tables_max: MetricsTablesMax,
) -> Response:
    """All metrics of docs/metrics.md."""
    text = metrics.render(store, lag_reader, clock(), stale_s, services.services(), tables_max, incidents)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
