"""The paths about scans: begin one, read it, cancel it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from starlette.exceptions import HTTPException

from api import ports
from api.answers import ID_MAX, INVALID, NOT_FOUND, table_named
from api.dependencies import Scans, Store
from api.models import ErrorAnswer, ScanAnswer, ScanRequest, ScansAnswer
from api.scans import answer, summary
from datafingerprint.errors import ConfigError
from datafingerprint.scans import Scan

SCANS_MAX = 1000
INVALID_CONTENT = 422
ScanId = Annotated[int, Path(ge=1, le=ID_MAX, description="Id of the scan", examples=[7])]
_REFUSED: dict[int | str, dict[str, Any]] = {
    INVALID_CONTENT: {"model": ErrorAnswer, "description": "The scan cannot run, or not now; the error names why."}
}

router = APIRouter(prefix="/v1/scans", tags=["scans"])


@router.post("", summary="Let an engine count a table", status_code=202, responses=_REFUSED)
def begin_scan(wanted: Annotated[ScanRequest, Body()], store: Store, scans: Scans) -> ScanAnswer:
    """Begins a scan on an engine of the settings. `/v1/scans/{id}` shows its progress."""
    with store.reading() as view:
        table = table_named(view, wanted.table) or wanted.table
    try:
        return answer(scans.ask(wanted.engine, table, wanted.partition))
    except ConfigError as error:
        raise HTTPException(INVALID_CONTENT, str(error)) from error


@router.get("", summary="Scans, newest first", responses=INVALID)
def all_scans(
    scans: Scans, limit: Annotated[int, Query(ge=1, le=SCANS_MAX, description="Most scans of an answer")] = 100
) -> ScansAnswer:
    """The last 1,000 scans of all processes."""
    return ScansAnswer(items=[summary(scan) for scan in scans.scans(limit=limit)])


@router.get("/{id}", summary="One scan", responses={**NOT_FOUND, **INVALID})
def one_scan(id: ScanId, scans: Scans) -> ScanAnswer:  # noqa: A002 - the path's own word
    """Its state, and both sums of every partition once it is done."""
    return answer(_scan(scans, id))


@router.delete("/{id}", summary="Cancel a scan", status_code=202, responses={**NOT_FOUND, **INVALID})
def cancel_scan(id: ScanId, scans: Scans) -> ScanAnswer:  # noqa: A002 - as above
    """Ends the scan's statement at the engine within seconds. No effect on an ended scan."""
    scan = _scan(scans, id)
    scans.cancel(id)
    return answer(scan)


def _scan(scans: ports.Scans, number: int) -> Scan:
    scan = scans.scan(number)
    if scan is None:
        raise HTTPException(404, f"no scan {number}")
    return scan
