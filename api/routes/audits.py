"""The paths about audits: requested and read here, run by the auditor service."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from starlette.exceptions import HTTPException

from api.answers import ID_MAX, INVALID, NOT_FOUND, table_named, unknown
from api.audits import audit_answer, audit_detail
from api.dependencies import Clock, Store
from api.models import AuditAnswer, AuditDetail, AuditRequest, AuditsAnswer, ErrorAnswer
from api.ports import StateView
from datafingerprint.audits import Origin, Scope, StoredAudit

AUDITS_MAX = 1000
CONFLICT = 409

AuditId = Annotated[int, Path(ge=1, le=ID_MAX, description="Id of the audit", examples=[17])]

_CONFLICT: dict[int | str, dict[str, Any]] = {
    CONFLICT: {"model": ErrorAnswer, "description": "The audit is over already; the error names how it ended."}
}

router = APIRouter(prefix="/v1/audits", tags=["audits"])


@router.post("", summary="Request an audit", status_code=202, responses={**NOT_FOUND, **INVALID})
def request_audit(wanted: AuditRequest, response: Response, store: Store, clock: Clock) -> AuditAnswer:
    """Queues an audit for the auditor service. The body is JSON, `{}` for every captured table."""
    with store.reading() as view:
        scope = _known_scope(view, wanted)
    number = store.queue_audit(scope, Origin.REQUEST, clock())
    response.headers["Location"] = f"/v1/audits/{number}"
    with store.reading() as view:
        return audit_answer(_audit(view, number))


@router.get("", summary="Audits, newest first", responses=INVALID)
def all_audits(
    store: Store,
    limit: Annotated[int, Query(ge=1, le=AUDITS_MAX, description="Most audits of an answer")] = 100,
    before: Annotated[int | None, Query(ge=1, le=ID_MAX, description="Only audits with a lower id")] = None,
) -> AuditsAnswer:
    """The last 1,000 audits and the last one of each table, queued and running ones included."""
    with store.reading() as view:
        audits = view.audits(limit=limit + 1, before=before)
    page = audits[:limit]
    return AuditsAnswer(
        items=[audit_answer(audit) for audit in page],
        next_before=page[-1].number if len(audits) > limit else None,
    )


@router.get("/{id}", summary="One audit", responses={**NOT_FOUND, **INVALID})
def one_audit(id: AuditId, store: Store) -> AuditDetail:  # noqa: A002 - the path's own word
    """Its state, its progress, and a finding for every partition measured so far."""
    with store.reading() as view:
        return audit_detail(_audit(view, id), view.findings(id))


@router.delete("/{id}", summary="Cancel an audit", responses={**NOT_FOUND, **_CONFLICT, **INVALID})
def cancel_audit(id: AuditId, store: Store, clock: Clock) -> AuditAnswer:  # noqa: A002 - as above
    """Ends a queued or running audit within seconds, and its statement on the source."""
    with store.reading() as view:
        _audit(view, id)
    is_cancelled = store.cancel_audit(id, clock())
    with store.reading() as view:
        audit = _audit(view, id)
    if not is_cancelled:
        raise HTTPException(CONFLICT, f"audit {id} is over: it is {audit.state.value}")
    return audit_answer(audit)


def _known_scope(view: StateView, wanted: AuditRequest) -> Scope:
    if wanted.table is None:
        if wanted.partition is not None:
            raise HTTPException(422, "partition: a partition needs its table")
        return Scope()
    tables = sorted(view.definitions())
    table = table_named(view, wanted.table)
    if table is None or table not in tables:
        raise unknown(f"table {wanted.table}", tables)
    if wanted.partition is not None:
        partitions = {verdict.partition for verdict in view.verdicts(table)}
        partitions |= {last.finding.partition for last in view.last_findings(table) if last.finding.partition}
        if wanted.partition not in partitions:
            raise unknown(f"partition {wanted.partition} of {table}", sorted(partitions))
    return Scope(table, wanted.partition)


def _audit(view: StateView, number: int) -> StoredAudit:
    audit = view.audit(number)
    if audit is None:
        raise unknown(f"audit {number}", [str(known.number) for known in view.audits(limit=AUDITS_MAX)])
    return audit
