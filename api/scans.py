"""Scans over REST: asking for one, watching it, and what the last ones of a table said."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from fastapi import Body, FastAPI, Path, Query
from starlette.exceptions import HTTPException

from api.answers import NOT_FOUND, moment, side
from api.models import ErrorAnswer, ScanAnswer, ScanPartition, ScanRequest, ScansAnswer, ScanSummary
from datafingerprint.errors import ConfigError
from datafingerprint.scans import Scan

SCANS_MAX = 1000
UNFIT = 422
_REFUSED: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorAnswer, "description": "It cannot be done, or not now; the error says why."}
}


class Scans(Protocol):
    """What runs scans and knows them."""

    def ask(self, engine: str, table: str, partition: str | None) -> Scan:
        """Begins a scan, and returns.

        Raises:
            ConfigError: it cannot be done, or not now.
            Unavailable: state store or lake are away.
        """

    def cancel(self, number: int) -> None:
        """Asks a scan of whatever process to end."""

    def scan(self, number: int) -> Scan | None:
        """One scan."""

    def scans(self, *, limit: int) -> list[Scan]:
        """The last scans, the newest first."""

    def last_of(self, table: str) -> list[Scan]:
        """A table's last scans on every engine: the last one, and the last that counted it all."""


def add_scans(app: FastAPI, scans: Scans) -> None:
    """The paths below `/v1/scans`."""

    @app.post(
        "/v1/scans", tags=["scans"], summary="Have an engine count a table anew", status_code=202, responses=_REFUSED
    )
    def asked(wanted: Annotated[ScanRequest, Body()]) -> ScanAnswer:
        """Begins a scan on an engine of the settings; `/v1/scans/{id}` tells how it goes."""
        try:
            return answer(scans.ask(wanted.engine, wanted.table, wanted.partition))
        except ConfigError as error:
            raise HTTPException(UNFIT, str(error)) from error

    @app.get("/v1/scans", tags=["scans"], summary="Scans, newest first")
    def listed(
        limit: Annotated[int, Query(ge=1, le=SCANS_MAX, description="Most scans answered")] = 100,
    ) -> ScansAnswer:
        """The last scans of all processes; the last 1,000 are kept."""
        return ScansAnswer(items=[summary(one) for one in scans.scans(limit=limit)])

    @app.get("/v1/scans/{id}", tags=["scans"], summary="One scan", responses=NOT_FOUND)
    def one_scan(number: Annotated[int, Path(alias="id", ge=1)]) -> ScanAnswer:
        """Its state, and when it is done every partition's two sums."""
        return answer(_known(scans, number))

    @app.delete("/v1/scans/{id}", tags=["scans"], summary="Cancel a scan", status_code=202, responses=NOT_FOUND)
    def cancelled(number: Annotated[int, Path(alias="id", ge=1)]) -> ScanAnswer:
        """Ends its statement at the engine; harmless when it has ended. A command hears of it within seconds."""
        found = _known(scans, number)
        scans.cancel(number)
        return answer(found)


def _known(scans: Scans, number: int) -> Scan:
    found = scans.scan(number)
    if found is None:
        raise HTTPException(404, f"no scan {number}")
    return found


def summary(scan: Scan) -> ScanSummary:
    """A scan without its partitions."""
    return ScanSummary(
        id=scan.number,
        engine=scan.engine,
        table=scan.table,
        partition=scan.partition,
        state=scan.state.value,
        verdict=scan.outcome.value,
        epoch=scan.epoch,
        snapshot=None if scan.snapshot_id is None else str(scan.snapshot_id),
        started_at=moment(scan.started_at),
        ended_at=None if scan.ended_at is None else moment(scan.ended_at),
        progress=scan.progress or None,
        error=scan.error or None,
    )


def answer(scan: Scan) -> ScanAnswer:
    """A scan with its partitions."""
    parts = [
        ScanPartition(
            partition=name,
            verdict=one.outcome.value,
            reason=one.reason or None,
            running=side(one.source),
            counted=side(one.lake),
        )
        for name, one in sorted((scan.verdicts or {}).items())
    ]
    return ScanAnswer(**dict(summary(scan)), partitions=parts)
