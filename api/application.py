"""The REST service: its paths, and how errors are answered."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib import resources
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api import metrics, status
from api.answers import INVALID
from api.audits import add_audits
from api.fingerprint_paths import add_fingerprints
from api.freshness import STALE_HEARTBEATS
from api.models import (
    EpochsAnswer,
    ErrorAnswer,
    Health,
    LagAnswer,
    StatusAnswer,
    TablesAnswer,
)
from api.ports import LagReader, Store
from api.scans import Scans, add_scans
from datafingerprint.errors import DataFingerprintError, Unavailable

EPOCHS_MAX = 1000
BIGINT_MAX = 2**63 - 1

UNAUTHORIZED = 401
SERVER_ERROR = 500
UNAVAILABLE = 503

_DASHBOARD_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/docs", "/openapi.json"})
"""Answered without a token."""

_ERRORS: dict[int | str, dict[str, Any]] = {
    503: {"model": ErrorAnswer, "description": "The state store is away; ask again."}
}
_DESCRIPTION = """Fingerprints of a MySQL warehouse and of its mirror in a data lake, compared at the same point of
the source's history. Every answer is read from what is stored, at one moment. An audit that is asked for is
run by the auditor service, a scan by an engine of the settings; nothing else here reads a store."""


def create_app(
    store: Store,
    lag_reader: LagReader,
    clock: Callable[[], float] = time.time,
    *,
    token: str = "",
    scans: Scans | None = None,
    heartbeat_s: float = 10.0,
) -> FastAPI:
    """The application, over a state store and Kafka's offsets.

    Args:
        store: The state store.
        lag_reader: Kafka's offsets.
        clock: Unix time in seconds.
        token: What callers must send as a bearer token; empty asks for none.
        scans: What runs scans; None leaves their paths out.
        heartbeat_s: How often capture gives an epoch at least.
    """
    stale_s = STALE_HEARTBEATS * heartbeat_s
    app = FastAPI(title="DataFingerprint", description=_DESCRIPTION, version="1", redoc_url=None, responses=_ERRORS)
    _answer_errors(app)
    if token:
        _demand(token, app)
    _log_requests(app)
    add_fingerprints(app, store, scans)
    add_audits(app, store, clock)
    if scans is not None:
        add_scans(app, scans)
    _add_system(app, store, lag_reader, clock, stale_s)
    _add_operation(app, store, lag_reader, clock, stale_s)
    return app


def _add_system(app: FastAPI, store: Store, lag_reader: LagReader, clock: Callable[[], float], stale_s: float) -> None:
    @app.get("/v1/status", tags=["system"], summary="The system in one answer")
    def system_status() -> StatusAnswer:
        """Verdict, epochs of both sides, and how far the lake is behind."""
        kafka = status.ask_kafka(lag_reader)  # first: a broker that is away keeps no transaction open
        with store.reading() as view:
            return status.status(view, kafka, clock(), stale_s)

    @app.get("/v1/tables", tags=["system"], summary="Tables under watch")
    def watched_tables() -> TablesAnswer:
        """Every table under watch: columns, key, partition fields, rows, progress of its first reading."""
        with store.reading() as view:
            return status.tables(view)

    @app.get("/v1/epochs", tags=["system"], summary="Epochs, newest first", responses=INVALID)
    def stored_epochs(
        limit: Annotated[int, Query(ge=1, le=EPOCHS_MAX, description="Most epochs answered")] = 100,
        before: Annotated[int | None, Query(ge=1, le=BIGINT_MAX, description="Only epochs with a lower number")] = None,
    ) -> EpochsAnswer:
        """The epochs of the source, with their positions and row counts; the last 10,000 are kept."""
        with store.reading() as view:
            return status.epochs(view, limit, before)

    @app.get("/v1/lag", tags=["system"], summary="The lag of each consumer group")
    def group_lag() -> LagAnswer:
        """Messages from Kafka's offsets; rows, epochs and seconds from the stored epochs."""
        kafka = status.ask_kafka(lag_reader)
        with store.reading() as view:
            return status.lag(view, kafka, clock(), stale_s)


def _add_operation(
    app: FastAPI, store: Store, lag_reader: LagReader, clock: Callable[[], float], stale_s: float
) -> None:
    @app.get("/healthz", tags=["operation"], summary="Whether the process lives")
    def health() -> Health:
        """Asks nobody else."""
        return Health(status="ok")

    @app.get("/readyz", tags=["operation"], summary="Whether there is something to tell")
    def readiness() -> Health:
        """The state store can be read, and holds a first epoch."""
        with _told_as_unavailable(), store.reading() as view:
            if view.progress().epoch:
                return Health(status="ok")
        raise HTTPException(UNAVAILABLE, "no epoch is stored yet: capture and fingerprinter have to run first")

    @app.get("/metrics", tags=["operation"], summary="Metrics for Prometheus", response_class=PlainTextResponse)
    def prometheus() -> Response:
        """See docs/metrics.md."""
        return Response(metrics.render(store, lag_reader, clock(), stale_s), media_type=CONTENT_TYPE_LATEST)

    page = resources.files("api").joinpath("dashboard.html").read_text(encoding="utf-8")

    @app.get("/", tags=["operation"], summary="The dashboard", response_class=HTMLResponse)
    def dashboard() -> HTMLResponse:
        """A page that shows all of this live; it loads nothing from elsewhere."""
        return HTMLResponse(page, headers={"Content-Security-Policy": _DASHBOARD_POLICY})


@contextmanager
def _told_as_unavailable() -> Iterator[None]:
    """Any trouble with the store means not ready, whether it may heal or not."""
    try:
        yield
    except DataFingerprintError as error:
        raise HTTPException(UNAVAILABLE, str(error)) from error


def _answer_errors(app: FastAPI) -> None:
    """Every error is `{"error": one sentence}`."""

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, _detail(request, error), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        told = [f"{one['loc'][-1]}: {one['msg'][:1].lower()}{one['msg'][1:]}" for one in error.errors()]
        return _error(422, "; ".join(told))

    @app.exception_handler(DataFingerprintError)
    def failed(_request: Request, error: DataFingerprintError) -> JSONResponse:
        if isinstance(error, Unavailable):
            return _error(UNAVAILABLE, str(error), {"Retry-After": "1"})
        return _error(SERVER_ERROR, str(error))

    @app.exception_handler(Exception)
    def broken(_request: Request, _failure: Exception) -> JSONResponse:
        return _error(SERVER_ERROR, "the service failed; its log says why")


def _detail(request: Request, error: HTTPException) -> str:
    """What an error says; the router's own only repeat the name of their status."""
    if error.detail != HTTPStatus(error.status_code).phrase:
        return str(error.detail)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.url.path} takes {(error.headers or {}).get('Allow', 'other methods')}, not {request.method}"
    return f"there is no {request.url.path}; /openapi.json describes every path"


def _error(code: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": text}, code, headers)


def _demand(token: str, app: FastAPI) -> None:
    """Lets nobody read without the token; probes, the page itself and its descriptions hold nothing of the data."""
    expected = token.encode()

    @app.middleware("http")
    async def asked(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_it = secrets.compare_digest(given.strip().encode(), expected) and scheme.lower() == "bearer"
        if request.url.path in OPEN_PATHS or is_it:
            return await answer(request)
        return _error(UNAUTHORIZED, "the token is missing or wrong: send it as bearer", {"WWW-Authenticate": "Bearer"})


def _log_requests(app: FastAPI) -> None:
    """One line per request: at debug level, as the dashboard asks every second; failures as warnings."""

    @app.middleware("http")
    async def logged(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        began = time.perf_counter()
        response = await answer(request)
        log: structlog.stdlib.BoundLogger = structlog.get_logger(service="api")
        say = log.warning if response.status_code >= SERVER_ERROR else log.debug
        took_ms = round(1000 * (time.perf_counter() - began), 1)
        say("answered", method=request.method, path=request.url.path, status=response.status_code, took_ms=took_ms)
        return response
