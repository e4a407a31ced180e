"""Differing rows over REST: which rows of a table differ, with the values of both sides."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.exceptions import HTTPException

from api.answers import INVALID, NOT_FOUND, known_tables, position, table_named, unknown
from api.dependencies import Diff, Store
from api.models import Answer, ErrorAnswer, PartitionName, Position, TableName
from api.names import ONE_NAME, Partition, Table
from datafingerprint.differences import PartitionDiff, RowDifference
from datafingerprint.errors import ConfigError
from datafingerprint.row_differ import overall

ROWS_MAX = 1_000
FORBIDDEN, INVALID_CONTENT = 403, 422
_REFUSED: dict[int | str, dict[str, Any]] = {
    403: {"model": ErrorAnswer, "description": "Values of rows are shown to callers with a token only."}
}

Values = dict[str, Any]
State = Literal["same", "differs", "unknown"]


class RowAnswer(Answer):
    """One row that differs. Times, bytes (in hex) and numbers that are not whole are texts."""

    kind: Literal["missing_in_lake", "extra_in_lake", "changed", "duplicated"]
    key: Values | None = Field(description="Null where the table has no key, or the row could not be read")
    key_id: str = Field(description="The key as the sketch has it", examples=["00000000000000000000000000000011"])
    copies: int = Field(description="How many more of it the lake has; negative where it has fewer", examples=[-1])
    columns: list[str] = Field(description="The columns that differ, of a changed row", examples=[["age"]])
    source: Values | None = Field(description="The source's row; null where it has none, or it was not read")
    lake: Values | None = Field(description="The lake's row, in the same way")
    files: list[str] = Field(description="The data files with the row")
    note: str | None = Field(description="What a reader must know of it", examples=[None])


class PartitionDiffAnswer(Answer):
    """What differs in a partition."""

    partition: PartitionName
    state: State
    reason: str | None = Field(description="Why rows are not named", examples=[None])
    epoch: int = Field(description="The epoch at which both sides were compared", examples=[41])
    differing: int = Field(description="How many keys differ; 0 where that is not known", examples=[1])
    source_position: Position | None = Field(description="Where the source's rows were read; null where none were")
    rows: list[RowAnswer]


class TableDiffAnswer(Answer):
    """The rows of a table that differ: of one partition, or of all that do not match."""

    table: TableName
    state: State
    partitions: list[PartitionDiffAnswer]


router = APIRouter(prefix="/v1/diffs", tags=["fingerprints"])


@router.get(f"/{{table:{ONE_NAME}}}", summary="The rows that differ", responses={**_REFUSED, **NOT_FOUND, **INVALID})
def differing_rows(
    request: Request,
    store: Store,
    diff: Diff,
    table: Annotated[Table, Path(description="`schema.table`; a `/` in it is `%2F`", examples=["ootp.games"])],
    partition: Annotated[Partition | None, Query(description="One partition; all that do not match without it")] = None,
    limit: Annotated[int, Query(ge=1, le=ROWS_MAX, description="Most rows named")] = 100,
) -> TableDiffAnswer:
    """Rows named from sketches, without a scan. The answer needs the token."""
    if not request.state.has_token:
        raise HTTPException(FORBIDDEN, "values of rows need a token: set api.token, and send it as bearer")
    with store.reading() as view:
        name, known = table_named(view, table), known_tables(view)
    if name is None:
        raise unknown(f"table {table}", known)
    try:
        diffs = diff(name, partition, limit)
    except ConfigError as error:
        raise HTTPException(INVALID_CONTENT, str(error)) from error
    return TableDiffAnswer(table=name, state=overall(diffs).value, partitions=[_partition(item) for item in diffs])


def _partition(diff: PartitionDiff) -> PartitionDiffAnswer:
    return PartitionDiffAnswer(
        partition=diff.partition,
        state=diff.state.value,
        reason=diff.reason or None,
        epoch=diff.epoch,
        differing=diff.count,
        source_position=None if diff.position is None else position(diff.position),
        rows=[_row(item) for item in diff.rows],
    )


def _row(item: RowDifference) -> RowAnswer:
    return RowAnswer(**item.to_json())
