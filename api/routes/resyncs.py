"""The paths about resyncs: requested here, done by capture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from api.answers import INVALID, NOT_FOUND, table_named, unknown
from api.dependencies import Clock, Refusals, ResyncRequests, Store
from api.models import Answer, PartitionName, ResyncAnswer, ResyncBody, ResyncsAnswer, TableName
from api.names import Partition, Table
from api.ports import StateView
from api.resyncs import queued_answer, resync_answer
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.resync import ResyncRequest

RESYNCS_MAX = 100
OFFSET_MAX = 2**63 - 1

ResyncId = Annotated[int, Path(ge=0, le=OFFSET_MAX, description="Id of the resync", examples=[3])]


class ResyncPlan(Answer):
    """What a resync would read, and replace."""

    table: TableName
    partition: PartitionName | None = Field(description="The only partition that would be read; null for all")
    partitions: int = Field(description="Known partitions that would be read", examples=[1])
    rows: int | None = Field(
        description="Rows that capture has published of them; the source has about as many. Null: not known"
    )
    lake_rows: int | None = Field(description="Rows of the lake that would be replaced; null: not known")


router = APIRouter(prefix="/v1/resyncs", tags=["resyncs"])


@router.post("", summary="Request a resync", status_code=202, responses={**NOT_FOUND, **INVALID})
def request_resync(
    wanted: ResyncBody, response: Response, store: Store, requests: ResyncRequests, clock: Clock
) -> ResyncAnswer:
    """Lets capture read a table or partition again from the source."""
    with store.reading() as view:
        request = ResyncRequest(_known_table(view, wanted), wanted.partition, clock())
    offset = requests.ask(request)
    response.headers["Location"] = f"/v1/resyncs/{offset}"
    return queued_answer(offset, request)


@router.get("", summary="Resyncs, newest first", responses=INVALID)
def all_resyncs(
    store: Store,
    requests: ResyncRequests,
    refusals: Refusals,
    limit: Annotated[int, Query(ge=1, le=RESYNCS_MAX, description="Most resyncs of an answer")] = 20,
) -> ResyncsAnswer:
    """The last requests of all operators, by REST and by the command."""
    pending = requests.last(limit)
    with store.reading() as view:
        return ResyncsAnswer(
            items=[
                resync_answer(view, entry.offset, entry.request, refusals)
                for entry in pending
                if entry.request is not None
            ]
        )


@router.get("/plan", summary="What a resync would read", responses={**NOT_FOUND, **INVALID})
def plan(
    store: Store,
    table: Annotated[Table, Query(description="`schema.table`", examples=["ootp.games"])],
    partition: Annotated[Partition | None, Query(description="One partition of the table; all without it")] = None,
) -> ResyncPlan:
    """The dry run. It counts the stored rows, and reads nothing from the source."""
    with store.reading() as view:
        name = _known_table(view, ResyncBody(table=table, partition=partition))
        verdicts = [stored for stored in view.verdicts(name) if partition in (None, stored.partition)]
    return ResyncPlan(
        table=name,
        partition=partition,
        partitions=len(verdicts),
        rows=_rows(stored.verdict.source for stored in verdicts),
        lake_rows=_rows(stored.verdict.lake for stored in verdicts),
    )


@router.get("/{id}", summary="One resync", responses={**NOT_FOUND, **INVALID})
def one_resync(
    id: ResyncId,  # noqa: A002 - the path's own word
    store: Store,
    requests: ResyncRequests,
    refusals: Refusals,
) -> ResyncAnswer:
    """Its state and progress, and the verdict once the lake holds the rows."""
    request = requests.request(id)
    if request is None:
        raise unknown(f"resync {id}", [])
    with store.reading() as view:
        return resync_answer(view, id, request, refusals)


def _rows(sums: Iterable[Fingerprint | None]) -> int | None:
    """The rows of all sums. None where one is not known."""
    known = list(sums)
    return None if None in known else sum(value.rows for value in known if value is not None)


def _known_table(view: StateView, wanted: ResyncBody) -> str:
    """The table's own name.

    Raises:
        HTTPException: there is no such table or partition.
    """
    tables = sorted(view.definitions())
    table = table_named(view, wanted.table)
    if table is None or table not in tables:
        raise unknown(f"table {wanted.table}", tables)
    partitions = sorted(verdict.partition for verdict in view.verdicts(table))
    if wanted.partition is not None and wanted.partition not in partitions:
        raise unknown(f"partition {wanted.partition} of {table}", partitions)
    return table
