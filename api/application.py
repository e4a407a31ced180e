"""The REST service: puts routers, error handlers and middleware together."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from api.access import Access
from api.action_log import RecordActions
from api.dependencies import Sources
from api.errors import HANDLERS, RESPONSES
from api.freshness import STALE_HEARTBEATS
from api.guard import ANY_HOST, Guard, Hosts
from api.head import HeadAsGet
from api.matrix import Matrix
from api.metrics import TABLES_MAX
from api.ports import Diff, LagReader, NoServices, ResyncRequests, Scans, ServicesReader, Store
from api.readiness import Readiness
from api.request_log import RequestLog
from api.resyncs import Refusals
from api.routes import actions as action_routes
from api.routes import alerts, audits, diffs, fingerprints, incidents, operation, pages, resyncs, system
from api.routes import scans as scan_routes
from datafingerprint.ports.incidents import IncidentReader
from datafingerprint.ports.tokens import ActionLog, TokenReader

_DESCRIPTION = """Fingerprints of a MySQL warehouse and of its copy in a data lake, compared at the same point of
the source's history. Every answer is read from the stored state, at one moment. The auditor service runs requested
audits, capture does resyncs, and an engine of the settings runs scans. Differing rows are read from both sides by
their keys. Nothing else here reads the source or the lake."""

_COMPRESSED_BYTES_MIN = 4096
_COMPRESSION_LEVEL = 4


def create_app(
    store: Store,
    lag_reader: LagReader,
    clock: Callable[[], float] = time.time,
    *,
    token: str = "",
    is_reachable: bool = False,
    hosts: Hosts | None = None,
    scans: Scans | None = None,
    incident_reader: IncidentReader | None = None,
    services: ServicesReader | None = None,
    resync_requests: ResyncRequests | None = None,
    heartbeat_s: float = 10.0,
    metrics_tables_max: int = TABLES_MAX,
    diff: Diff | None = None,
    tokens: TokenReader | None = None,
    actions: ActionLog | None = None,
) -> FastAPI:
    """The application, over a state store and Kafka's offsets.

    Args:
        store: The state store.
        lag_reader: Kafka's offsets.
        clock: Unix time in seconds.
        token: Bearer token of an operator. Empty: none, and without stored tokens callers need none.
        is_reachable: Whether other machines can reach the service. Then callers need a token in any case.
        hosts: Host names that requests may use. None allows any.
        scans: Runs scans. None leaves their paths out.
        incident_reader: Incidents and alerts. None leaves their paths out.
        services: The reports of the services. None knows none.
        resync_requests: The requests topic. None leaves the paths of resyncs out.
        heartbeat_s: Longest time between two epochs of a working capture.
        metrics_tables_max: Tables with metrics of their own.
        diff: Names differing rows. None leaves its path out.
        tokens: Stored tokens with their roles. None: there are none.
        actions: The record of what was done. None leaves its path out.
    """
    access = Access(token, tokens, clock, is_reachable=is_reachable)
    app = FastAPI(
        title="DataFingerprint",
        description=_DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        responses=dict(RESPONSES),
        exception_handlers=dict(HANDLERS),
    )
    app.state.sources = Sources(
        store=store,
        lag_reader=lag_reader,
        services=services or NoServices(),
        scans=scans,
        incidents=incident_reader,
        resync_requests=resync_requests,
        refusals=Refusals(),
        diff=diff,
        readiness=Readiness(store),
        matrix=Matrix(store),
        access=access,
        actions=actions,
        clock=clock,
        stale_s=STALE_HEARTBEATS * heartbeat_s,
        metrics_tables_max=metrics_tables_max,
    )
    # A matrix of 50,000 partitions shrinks to a tenth; answers that a packet holds are sent as they are.
    app.add_middleware(GZipMiddleware, minimum_size=_COMPRESSED_BYTES_MIN, compresslevel=_COMPRESSION_LEVEL)
    if actions is not None:
        app.add_middleware(RecordActions, actions=actions, clock=clock)
    app.add_middleware(
        Guard,
        hosts=hosts or Hosts(allowed=[ANY_HOST]),
        access=access,
        open_paths=operation.OPEN_PATHS | pages.OPEN_PATHS,
        open_prefixes=pages.OPEN_PREFIXES,
    )
    app.add_middleware(RequestLog)
    app.include_router(fingerprints.router)
    app.include_router(audits.router)
    if scans is not None:
        app.include_router(scan_routes.router)
    if incident_reader is not None:
        app.include_router(incidents.router)
        app.include_router(alerts.router)
    if resync_requests is not None:
        app.include_router(resyncs.router)
    if diff is not None:
        app.include_router(diffs.router)
    if actions is not None:
        app.include_router(action_routes.router)
    app.include_router(system.router)
    app.include_router(operation.router)
    app.include_router(pages.router)
    app.add_middleware(HeadAsGet)
    return app
