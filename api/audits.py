"""Audits over REST: asked for and read here, run by the auditor service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Response
from starlette.exceptions import HTTPException

from api.answers import INVALID, NOT_FOUND, moment, position, side, unknown
from api.models import (
    AuditAnswer,
    AuditCounts,
    AuditDetail,
    AuditFinding,
    AuditPartition,
    AuditRequest,
    AuditsAnswer,
    ErrorAnswer,
    TableAudit,
)
from api.ports import StateView, Store
from datafingerprint.audit import Finding
from datafingerprint.audits import LastFinding, Origin, Scope, StoredAudit
from datafingerprint.verdict import Outcome, overall

AUDITS_MAX = 1000
ID_MAX = 2**31 - 1
CONFLICT = 409

AuditId = Annotated[int, Path(ge=1, le=ID_MAX, description="Id of the audit", examples=[17])]

_CONFLICT: dict[int | str, dict[str, Any]] = {
    CONFLICT: {"model": ErrorAnswer, "description": "It is over already; the error says how it ended."}
}


def add_audits(app: FastAPI, store: Store, clock: Callable[[], float]) -> None:
    """Adds the paths below `/v1/audits`."""

    @app.post(
        "/v1/audits", tags=["audits"], summary="Ask for an audit", status_code=202, responses={**NOT_FOUND, **INVALID}
    )
    def ask(wanted: AuditRequest, response: Response) -> AuditAnswer:
        """Queues an audit for the auditor service. The body is JSON, `{}` for every table under watch."""
        with store.reading() as view:
            _require_known(view, wanted)
        number = store.queue_audit(Scope(wanted.table, wanted.partition), Origin.REQUEST, clock())
        response.headers["Location"] = f"/v1/audits/{number}"
        with store.reading() as view:
            return _answer(_found(view, number))

    @app.get("/v1/audits", tags=["audits"], summary="Audits, newest first", responses=INVALID)
    def all_audits(
        limit: Annotated[int, Query(ge=1, le=AUDITS_MAX, description="Most audits answered")] = 100,
        before: Annotated[int | None, Query(ge=1, le=ID_MAX, description="Only audits with a lower id")] = None,
    ) -> AuditsAnswer:
        """Every audit that is kept, those that wait or run included; the last 1,000 are kept."""
        with store.reading() as view:
            found = view.audits(limit=limit + 1, before=before)
        page = found[:limit]
        return AuditsAnswer(
            items=[_answer(one) for one in page], next_before=page[-1].number if len(found) > limit else None
        )

    @app.get("/v1/audits/{id}", tags=["audits"], summary="One audit", responses=NOT_FOUND)
    def one_audit(id: AuditId) -> AuditDetail:  # noqa: A002 - the path's own word
        """Its state and progress, and a finding for every partition that it has measured so far."""
        with store.reading() as view:
            found = _found(view, id)
            findings = view.findings(id)
        return AuditDetail(**dict(_answer(found)), findings=[_partition(id, one) for one in findings])

    @app.delete("/v1/audits/{id}", tags=["audits"], summary="Cancel an audit", responses={**NOT_FOUND, **_CONFLICT})
    def cancel(id: AuditId) -> AuditAnswer:  # noqa: A002 - as above
        """Ends an audit that waits or runs, within seconds; the statement at hand is ended on the source too."""
        with store.reading() as view:
            _found(view, id)
        is_cancelled = store.cancel_audit(id, clock())
        with store.reading() as view:
            found = _found(view, id)
        if not is_cancelled:
            raise HTTPException(CONFLICT, f"audit {id} is over: it is {found.state.value}")
        return _answer(found)


def _require_known(view: StateView, wanted: AuditRequest) -> None:
    if wanted.table is None:
        if wanted.partition is not None:
            raise HTTPException(422, "partition: a partition needs its table")
        return
    tables = sorted(view.definitions())
    if wanted.table not in tables:
        raise unknown(f"table {wanted.table}", tables)
    if wanted.partition is None:
        return
    there = {one.partition for one in view.verdicts(wanted.table)}
    there |= {one.finding.partition for one in view.last_findings(wanted.table) if one.finding.partition}
    if wanted.partition not in there:
        raise unknown(f"partition {wanted.partition} of {wanted.table}", sorted(there))


def _found(view: StateView, number: int) -> StoredAudit:
    found = view.audit(number)
    if found is None:
        raise unknown(f"audit {number}", [str(one.number) for one in view.audits(limit=AUDITS_MAX)])
    return found


def _answer(one: StoredAudit) -> AuditAnswer:
    return AuditAnswer(
        id=one.number,
        table=one.scope.table,
        partition=one.scope.partition,
        origin=one.origin.value,
        state=one.state.value,
        reason=one.reason or None,
        verdict=one.outcome.value if one.outcome else None,
        partitions_done=one.progress.partitions_done,
        partitions=one.progress.partitions,
        rows=one.progress.rows,
        asked_at=moment(one.asked_at),
        started_at=None if one.started_at is None else moment(one.started_at),
        seen_at=None if one.seen_at is None else moment(one.seen_at),
        ended_at=None if one.ended_at is None else moment(one.ended_at),
    )


def _partition(audit: int, one: Finding) -> AuditPartition:
    return AuditPartition(**dict(audit_finding(LastFinding(audit, one))), table=one.table, partition=one.partition)


def audit_finding(last: LastFinding) -> AuditFinding:
    """A finding as answers show it."""
    one = last.finding
    return AuditFinding(
        audit=last.audit,
        verdict=one.outcome.value,
        hops=[hop.value for hop in one.hops],
        reason=one.reason or None,
        checked_at=moment(one.at.checked_at) if one.at else None,
        epoch=one.at.epoch if one.at else None,
        position=position(one.at.position) if one.at else None,
        source=side(one.source),
        stream=side(one.stream),
    )


def table_audit(found: Sequence[LastFinding]) -> TableAudit | None:
    """What the last audits of a table found; None before the first."""
    if not found:
        return None
    worst = overall({one.finding.outcome for one in found})
    why = next((one.finding for one in found if one.finding.outcome is worst), found[0].finding)
    reason = f"{why.partition}: {why.reason}" if why.partition and why.reason else why.reason
    return TableAudit(
        verdict=worst.value,
        reason=reason or None,
        partitions=sum(one.finding.partition is not None for one in found),
        oldest=_oldest(found),
    )


def audit_counts(found: Sequence[LastFinding]) -> AuditCounts:
    """How many partitions have each verdict of their last audit."""
    outcomes = [one.finding.outcome for one in found]
    return AuditCounts(
        match=outcomes.count(Outcome.MATCH),
        mismatch=outcomes.count(Outcome.MISMATCH),
        inconclusive=outcomes.count(Outcome.INCONCLUSIVE),
        oldest=_oldest(found),
    )


def _oldest(found: Sequence[LastFinding]) -> Any:  # noqa: ANN401 - a moment, or None
    times = [one.finding.at.checked_at for one in found if one.finding.at]
    return moment(min(times)) if times else None
