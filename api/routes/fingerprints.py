"""The paths about fingerprints: filtered, paged, and conditional by ETag."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from api import fingerprint_pages, fingerprints
from api.answers import INVALID, NOT_FOUND, known_tables, table_named, unknown
from api.conditional import NOT_MODIFIED, conditional_response
from api.dependencies import OptionalScans, Store
from api.models import FingerprintsAnswer, HistoryAnswer, Outcome, PartitionAnswer, ScannedTable, TableFingerprint
from api.names import CURSOR_CHARACTERS_MAX, NAMES, ONE_NAME, Partition, Table
from api.ports import StateView
from api.scans import summary
from api.selection import Selection, select_partitions

PAGE_MAX = 1000
MOMENT_MAX_MS = 2**53

_UNCHANGED: dict[int | str, dict[str, Any]] = {
    NOT_MODIFIED: {"description": "`If-None-Match` names the present answer."}
}
_TableName = Annotated[Table, Path(description="`schema.table`; a `/` in it is `%2F`", examples=["ootp.games"])]
_PartitionName = Annotated[
    Partition, Path(description="`field=value/field=value`, or `-`", examples=["date_year=2031/league_id=100"])
]


def _selection(
    verdict: Annotated[Outcome | None, Query(description="Only items with this verdict")] = None,
    limit: Annotated[
        int | None, Query(ge=1, le=PAGE_MAX, description="Most items of an answer; all by default")
    ] = None,
    cursor: Annotated[
        str | None, Query(max_length=CURSOR_CHARACTERS_MAX, description="The `next_cursor` of the page before")
    ] = None,
) -> Selection:
    return Selection(verdict, limit, cursor)


_Selection = Annotated[Selection, Depends(_selection)]

router = APIRouter(prefix="/v1/fingerprints", tags=["fingerprints"], responses=_UNCHANGED)


@router.get("", summary="Every table", response_model=FingerprintsAnswer, responses=INVALID)
def all_fingerprints(
    request: Request,
    store: Store,
    selection: _Selection,
    table: Annotated[Table | None, Query(description="Only tables of this name", examples=["ootp.*"])] = None,
) -> Response:
    """Both sides of every captured table, with the verdict of each partition."""
    with store.reading() as view:
        answer = fingerprint_pages.fingerprints(view, selection, table)
    return conditional_response(request, answer)


@router.get(
    f"/{{table:{ONE_NAME}}}", summary="One table", response_model=ScannedTable, responses={**NOT_FOUND, **INVALID}
)
def table_fingerprint(
    request: Request, store: Store, scans: OptionalScans, table: _TableName, selection: _Selection
) -> Response:
    """Both sides of one table, the verdict of each partition, the last scan by every engine."""
    with store.reading() as view:
        selected = select_partitions(_table(view, table), selection)
    summaries = [summary(scan) for scan in scans.last_of(selected.table)] if scans else []
    return conditional_response(request, ScannedTable(**dict(selected), scans=summaries))


@router.get(
    f"/{{table:{ONE_NAME}}}/{{partition:{NAMES}}}/history",
    summary="The history of one partition",
    response_model=HistoryAnswer,
    responses={**NOT_FOUND, **INVALID},
)
def partition_history(
    request: Request,
    store: Store,
    table: _TableName,
    partition: _PartitionName,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most items of a page")] = 100,
    before: Annotated[
        int | None, Query(ge=0, le=MOMENT_MAX_MS, description="Only items before this Unix time in milliseconds")
    ] = None,
) -> Response:
    """Every change of the verdict, and of the sums at most one per hour (`history_every_s`)."""
    with store.reading() as view:
        name = _name(view, table)
        points = view.history(name, partition, limit=limit + 1, before_ms=before)
        if not points and not view.verdicts(name, partition):
            raise unknown(f"partition {partition} of {table}", [verdict.partition for verdict in view.verdicts(name)])
    return conditional_response(request, fingerprints.history_answer(name, partition, points, limit))


@router.get(
    f"/{{table:{ONE_NAME}}}/{{partition:{NAMES}}}",
    summary="One partition",
    response_model=PartitionAnswer,
    responses={**NOT_FOUND, **INVALID},
)
def partition_fingerprint(request: Request, store: Store, table: _TableName, partition: _PartitionName) -> Response:
    """Both sides of one partition."""
    with store.reading() as view:
        name = _name(view, table)
        answer = fingerprints.partition_answer(view, name, partition)
        if answer is None:
            raise unknown(f"partition {partition} of {table}", [verdict.partition for verdict in view.verdicts(name)])
    return conditional_response(request, answer)


def _name(view: StateView, given: str) -> str:
    name = table_named(view, given)
    if name is None:
        raise unknown(f"table {given}", known_tables(view))
    return name


def _table(view: StateView, given: str) -> TableFingerprint:
    return fingerprints.table_fingerprints(view, _name(view, given))[0]
