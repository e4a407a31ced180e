"""The paths about the system: services, status, tables, epochs, lag."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import status
from api.answers import INVALID
from api.conditional import NOT_MODIFIED, conditional_response
from api.dependencies import Clock, LagReader, ServicesReader, SharedMatrix, StaleSeconds, Store
from api.matrix import MatrixAnswer
from api.models import EpochsAnswer, LagAnswer, ServicesAnswer, StatusAnswer, TablesAnswer
from api.services import services_answer

EPOCHS_MAX = 1000
BIGINT_MAX = 2**63 - 1

_UNCHANGED: dict[int | str, dict[str, Any]] = {
    NOT_MODIFIED: {"description": "`If-None-Match` names the present answer."}
}

router = APIRouter(prefix="/v1", tags=["system"])


@router.get("/services", summary="The state of every service")
def all_services(services: ServicesReader) -> ServicesAnswer:
    """The last report of every service, and since when a service without reports is silent."""
    return services_answer(services.services())


@router.get("/status", summary="The system in one answer")
def system_status(
    store: Store,
    lag_reader: LagReader,
    services: ServicesReader,
    clock: Clock,
    stale_s: StaleSeconds,
) -> StatusAnswer:
    """Verdict, epochs of both sides, and how far the lake is behind."""
    kafka = status.message_lag(lag_reader)  # first: a broker that is away keeps no transaction open
    with store.reading() as view:
        return status.status(view, kafka, clock(), stale_s, services.services())


@router.get("/matrix", summary="Every verdict, in few bytes", response_model=MatrixAnswer, responses=_UNCHANGED)
def every_verdict(request: Request, matrix: SharedMatrix) -> Response:
    """The verdict of every table and partition, without sums. At most a second old."""
    return conditional_response(request, matrix.answer())


@router.get("/tables", summary="Captured tables")
def captured_tables(store: Store) -> TablesAnswer:
    """Every captured table: columns, key, partition fields, rows, progress of its snapshot."""
    with store.reading() as view:
        return status.tables(view)


@router.get("/epochs", summary="Epochs, newest first", responses=INVALID)
def stored_epochs(
    store: Store,
    limit: Annotated[int, Query(ge=1, le=EPOCHS_MAX, description="Most epochs of an answer")] = 100,
    before: Annotated[int | None, Query(ge=1, le=BIGINT_MAX, description="Only epochs with a lower number")] = None,
) -> EpochsAnswer:
    """The last 10,000 epochs of the source, with their positions and row counts."""
    with store.reading() as view:
        return status.epochs(view, limit, before)


@router.get("/lag", summary="The lag of each consumer group")
def group_lag(
    store: Store, lag_reader: LagReader, services: ServicesReader, clock: Clock, stale_s: StaleSeconds
) -> LagAnswer:
    """Messages from Kafka's offsets. Rows, epochs and seconds from the stored epochs."""
    kafka = status.message_lag(lag_reader)
    with store.reading() as view:
        return status.lag(view, kafka, clock(), stale_s, services.services())
