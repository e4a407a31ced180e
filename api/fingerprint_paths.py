"""The paths about fingerprints: filtered, a page at a time, and not sent again to whoever has them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.responses import Response

from api import fingerprints
from api.answers import INVALID, NOT_FOUND, known_tables, unknown
from api.conditional import NOT_MODIFIED, answered
from api.models import FingerprintsAnswer, Outcome, PartitionAnswer, ScannedTable, TableFingerprint
from api.ports import StateView, Store
from api.scans import Scans, summary
from api.selection import Selection, of_partitions, of_tables

PAGE_MAX = 1000

_UNCHANGED: dict[int | str, dict[str, Any]] = {NOT_MODIFIED: {"description": "`If-None-Match` names what it would be."}}
_Table = Annotated[str, Path(description="`schema.table`", examples=["ootp.games"])]
_Partition = Annotated[
    str, Path(description="`field=value/field=value`, or `-`", examples=["date_year=2031/league_id=100"])
]


def _selection(
    verdict: Annotated[Outcome | None, Query(description="Only what has this verdict")] = None,
    limit: Annotated[int | None, Query(ge=1, le=PAGE_MAX, description="Most items answered; all without it")] = None,
    cursor: Annotated[str | None, Query(description="The `next_cursor` of the page before")] = None,
) -> Selection:
    return Selection(verdict, limit, cursor)


_Wanted = Annotated[Selection, Depends(_selection)]


def add_fingerprints(app: FastAPI, store: Store, scans: Scans | None = None) -> None:
    """Adds the paths to the application; `scans` knows what other engines counted."""
    many = {"tags": ["fingerprints"], "responses": {**_UNCHANGED, **INVALID}}
    one = {"tags": ["fingerprints"], "responses": {**_UNCHANGED, **NOT_FOUND, **INVALID}}

    @app.get("/v1/fingerprints", summary="Every table", response_model=FingerprintsAnswer, **many)  # type: ignore[arg-type]
    def all_fingerprints(
        request: Request,
        wanted: _Wanted,
        table: Annotated[str | None, Query(description="Only tables of this name", examples=["ootp.*"])] = None,
    ) -> Response:
        """Both sides of every table under watch, with the verdict on each partition."""
        with store.reading() as view:
            whole = fingerprints.fingerprints(view)
        return answered(request, of_tables(whole, wanted, table))

    @app.get("/v1/fingerprints/{table}", summary="One table", response_model=ScannedTable, **one)  # type: ignore[arg-type]
    def table_fingerprint(request: Request, table: _Table, wanted: _Wanted) -> Response:
        """Both sides of one table, with the verdict on each partition, and the last scan by every engine."""
        with store.reading() as view:
            found = of_partitions(_table(view, table), wanted)
        counted = [summary(one) for one in scans.last_of(table)] if scans else []
        return answered(request, ScannedTable(**dict(found), scans=counted))

    @app.get(
        "/v1/fingerprints/{table}/{partition:path}",
        summary="One partition",
        response_model=PartitionAnswer,
        **one,  # type: ignore[arg-type]
    )
    def partition_fingerprint(request: Request, table: _Table, partition: _Partition) -> Response:
        """Both sides of one partition."""
        with store.reading() as view:
            found = _table(view, table)
        answer = fingerprints.partition_answer(found, partition)
        if answer is None:
            raise unknown(f"partition {partition} of {table}", [part.partition for part in found.partitions])
        return answered(request, answer)


def _table(view: StateView, name: str) -> TableFingerprint:
    known = known_tables(view)
    if name not in known:
        raise unknown(f"table {name}", known)
    return fingerprints.table_fingerprints(view, name)[0]
