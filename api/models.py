"""The answers of the REST service, as the OpenAPI page describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["match", "mismatch", "inconclusive"]
Moment = Annotated[datetime, Field(examples=["2031-04-02T19:03:11Z"])]
TableName = Annotated[str, Field(description="`schema.table`", examples=["ootp.games"])]
PartitionName = Annotated[
    str, Field(description="`-` for a table without partitions", examples=["date_year=2031/league_id=100"])
]
Reason = Annotated[str | None, Field(description="Why, where it is no plain match", examples=[None])]

Cursor = Annotated[str | None, Field(description="Value of `cursor` for the next page; null at the end")]


class Answer(BaseModel):
    """What all answers have in common: they are values."""

    model_config = ConfigDict(frozen=True)


class ErrorAnswer(Answer):
    """What went wrong, in one sentence."""

    error: str = Field(examples=["no table ootp.game; there are ootp.games, ootp.players"])


class Side(Answer):
    """What one side holds. All three equal means that the rows are."""

    rows: int = Field(description="Number of rows", examples=[2431])
    fingerprint: str = Field(
        description="Sum of the rows' digests, an unsigned number of 64 bits", examples=["9241175013205331968"]
    )
    digest: str = Field(description="All 128 bits of the sum, in hex", examples=["5f0c22d1b07e4a59803f3fb67151d000"])


class Position(Answer):
    """A point of the source's history."""

    gtid: str = Field(description="GTID set (MySQL) or position (MariaDB)", examples=["0-1-90211"])
    file: str = Field(description="Binlog file", examples=["binlog.000004"])
    pos: int = Field(description="Offset in it", examples=[7121])


class AuditFinding(Answer):
    """What the last audit of a partition found: the source's own sum beside the stream's, at one position."""

    audit: int = Field(description="Id of the audit", examples=[17])
    verdict: Outcome
    hops: list[Literal["capture", "lake"]] = Field(description="Where rows went wrong", examples=[["capture"]])
    reason: Reason = None
    checked_at: Moment | None = Field(description="When; null where the source was not measured")
    epoch: int | None = Field(description="The last epoch that is whole in the view", examples=[812])
    position: Position | None = Field(description="The view's position")
    source: Side | None = Field(description="As the source itself sums it up; null when it is not known")
    stream: Side | None = Field(description="What capture published; null when it is not known")


class TableAudit(Answer):
    """What the last audits of a table found, over all its partitions."""

    verdict: Outcome = Field(description="The worst of its partitions'")
    reason: Reason = None
    partitions: int = Field(description="Partitions with a finding", examples=[12])
    oldest: Moment | None = Field(description="When the partition was checked that was not for the longest time")


class PartitionFingerprint(Answer):
    """One partition on both sides, at the same epoch."""

    partition: PartitionName
    verdict: Outcome
    reason: Reason = None
    epoch: int = Field(description="The epoch at which both sides were compared", examples=[812])
    since: Moment = Field(description="Since when the verdict has been this one")
    source: Side | None = Field(description="The warehouse; null when it is not known")
    lake: Side | None = Field(description="The lake; null when it is not known")
    audit: AuditFinding | None = Field(default=None, description="The last audit of it; null before the first")


class PartitionAnswer(PartitionFingerprint):
    """One partition, with its table and where the source stood."""

    table: TableName
    as_of: Moment | None = Field(description="Commit time of the last source transaction that is compared")
    position: Position | None


ScanState = Literal["running", "done", "failed", "cancelled"]


class ScanRequest(Answer):
    """Asks an engine to count a table of the lake anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: TableName
    engine: str = Field(description="A name of the settings, `[engines.NAME]`", examples=["trino"])
    partition: PartitionName | None = None


class ScanSummary(Answer):
    """A scan, without what it found of each partition."""

    id: int = Field(examples=[7])
    engine: str = Field(description="The engine's name in the settings", examples=["trino"])
    table: TableName
    partition: PartitionName | None = Field(description="The only partition that was asked for")
    state: ScanState
    verdict: Outcome = Field(description="`inconclusive` unless it is done")
    epoch: int = Field(description="The epoch of the snapshot that was read", examples=[812])
    snapshot: str | None = Field(description="The lake table's snapshot", examples=["4213444019613048478"])
    started_at: Moment
    ended_at: Moment | None = Field(description="null while it runs")
    progress: str | None = Field(description="What the engine says of its work", examples=["70 %, 120000 rows"])
    error: str | None = Field(description="Why it failed", examples=[None])


class ScanPartition(Answer):
    """One partition in a scan."""

    partition: PartitionName
    verdict: Outcome
    reason: Reason = None
    running: Side | None = Field(description="The running sums of the source at that epoch")
    counted: Side | None = Field(description="What the engine counted in the lake")


class ScanAnswer(ScanSummary):
    """A scan with its partitions; none before it is done."""

    partitions: list[ScanPartition]


class ScansAnswer(Answer):
    """Scans, the newest first."""

    items: list[ScanSummary]


class TableFingerprint(Answer):
    """One table on both sides, at the same epoch; its verdict is the worst of its partitions'."""

    table: TableName
    epoch: int | None = Field(description="The epoch of the comparison; null before the first", examples=[812])
    as_of: Moment | None = Field(description="Commit time of the last source transaction that is compared")
    position: Position | None
    verdict: Outcome
    reason: Reason = None
    source: Side | None = Field(description="The warehouse; null when it is not known")
    lake: Side | None = Field(description="The lake; null when it is not known")
    audit: TableAudit | None = Field(default=None, description="The last audits of it; null before the first")
    partitions: list[PartitionFingerprint]
    next_cursor: Cursor = None


class ScannedTable(TableFingerprint):
    """One table by itself, with what other engines counted."""

    scans: list[ScanSummary] = Field(
        description="Of every engine the last scan, and the last that counted all of the table; the newest first"
    )


class FingerprintsAnswer(Answer):
    """Every table under watch."""

    verdict: Outcome = Field(description="The worst of all tables'")
    epoch: int | None = Field(description="The epoch that the lake stands at; null before its first", examples=[812])
    items: list[TableFingerprint]
    next_cursor: Cursor = None


class Lag(Answer):
    """How far a consumer is behind what is published; null where it cannot be told."""

    messages: int | None = Field(description="Messages in Kafka that it has not read", examples=[0])
    rows: int | None = Field(description="Changed rows in epochs that it has not reached", examples=[0])
    epochs: int | None = Field(description="Epochs that it has not reached", examples=[0])
    seconds: float | None = Field(
        description="Age of the oldest change that it has not reached; 0 when there is none", examples=[0.0]
    )


class GroupLag(Lag):
    """The lag of one consumer group."""

    topics: dict[str, int] | None = Field(description="Messages by topic", examples=[{"dfp.ootp.games": 0}])


class LagAnswer(Answer):
    """The lag of every consumer group."""

    kafka: str = Field(description="`ok`, or why Kafka could not be asked", examples=["ok"])
    groups: dict[str, GroupLag]


class PartitionCounts(Answer):
    """How many partitions have each verdict."""

    match: int
    mismatch: int
    inconclusive: int


class AuditCounts(PartitionCounts):
    """How many partitions have each verdict of their last audit, and when the oldest of them was."""

    oldest: Moment | None = Field(description="When the partition was checked that was not for the longest time")


class StatusAnswer(Answer):
    """The system in one answer."""

    stream_id: str | None
    verdict: Outcome
    epoch: int | None = Field(description="The epoch that the lake stands at; null before its first", examples=[812])
    source_epoch: int | None = Field(description="The last epoch that was captured and summed up", examples=[813])
    position: Position | None = Field(description="Where the source stood at `epoch`")
    source_position: Position | None = Field(description="Where the source stood at `source_epoch`")
    as_of: Moment | None = Field(description="Commit time of the last source transaction that is compared")
    recorded_at: Moment | None = Field(description="When the sums of `source_epoch` were stored")
    recorded_age_s: float | None = Field(description="Seconds since then", examples=[1.4])
    source_age_s: float | None = Field(
        description="Seconds since the source committed the last that is summed up; up to a heartbeat where it is idle",
        examples=[2.1],
    )
    standstill: str | None = Field(
        description="Why no epoch was stored for three heartbeats of capture; null while they come in", examples=[None]
    )
    tables: int = Field(description="Tables under watch", examples=[6])
    rows: int = Field(description="Rows in them at `source_epoch`", examples=[48210])
    partitions: PartitionCounts
    audit: AuditCounts = Field(description="What the last audit of every partition found")
    lag: Lag = Field(
        description="How far the lake is behind the source; null while the last heartbeats' changes are not summed up"
    )
    snapshot: dict[str, int] = Field(
        description="Percent of the first reading, of tables where it is not complete", examples=[{"ootp.players": 40}]
    )


class ColumnAnswer(Answer):
    """One column."""

    name: str = Field(examples=["game_id"])
    type: str = Field(description="As MySQL prints it", examples=["int(11)"])
    kind: str = Field(description="How its values are rendered", examples=["integer"])
    nullable: bool


class SnapshotProgress(Answer):
    """How far the first reading of a table has come."""

    rows: int
    rows_estimated: int
    percent: int
    complete: bool


class LakeFiles(Answer):
    """The files that are counted for a table."""

    files: int
    octets: int
    unreadable: int


class TableAnswer(Answer):
    """One table under watch."""

    table: TableName
    key: list[str] = Field(description="Columns of the primary key; empty when there is none", examples=[["game_id"]])
    partition: list[str] = Field(description="Partition fields", examples=[["year(date)"]])
    columns: list[ColumnAnswer]
    definition: int = Field(description="Number of the definition in force", examples=[3])
    rows: int | None = Field(description="Rows at the last epoch; null before the first change", examples=[2431])
    snapshot: SnapshotProgress | None
    lake: LakeFiles | None = Field(description="Null before the lake's table was looked at")


class TablesAnswer(Answer):
    """Every table under watch."""

    items: list[TableAnswer]


class EpochAnswer(Answer):
    """One epoch."""

    epoch: int
    committed_at: Moment = Field(description="Commit time of its last source transaction")
    recorded_at: Moment = Field(description="When its sums were stored")
    position: Position
    rows: int
    messages: int
    transactions: int
    tables: dict[str, int] = Field(description="Changed rows by table", examples=[{"ootp.games": 3}])


class EpochsAnswer(Answer):
    """Epochs, newest first; `before` asks for the page after."""

    items: list[EpochAnswer]
    next_before: int | None = Field(description="Value of `before` for the next page; null at the end")


class AuditRequest(BaseModel):
    """What is to be audited: everything, a table, or one partition of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str | None = Field(None, description="`schema.table`; null for every table under watch")
    partition: str | None = Field(None, description="One partition of the table; null for all", examples=[None])


AuditStateName = Literal["queued", "running", "paused", "done", "failed", "cancelled"]


class AuditAnswer(Answer):
    """One audit."""

    id: int = Field(examples=[17])
    table: str | None = Field(description="`schema.table`; null for every table under watch", examples=["ootp.games"])
    partition: str | None = Field(description="One partition of the table; null for all", examples=[None])
    origin: Literal["command", "request", "schedule"] = Field(description="Who asked for it")
    state: AuditStateName
    reason: str | None = Field(description="Why it is paused, failed or cancelled", examples=[None])
    verdict: Outcome | None = Field(description="The worst of its findings so far; null before the first")
    partitions_done: int = Field(description="Partitions that have a finding", examples=[3])
    partitions: int = Field(description="Of how many", examples=[28])
    rows: int = Field(description="Rows that the source has summed up so far", examples=[48210])
    asked_at: Moment
    started_at: Moment | None
    seen_at: Moment | None = Field(description="The last sign of life of who runs it")
    ended_at: Moment | None


class AuditPartition(AuditFinding):
    """One finding of an audit."""

    table: TableName
    partition: str | None = Field(description="Null where nothing could be told of the whole table")


class AuditDetail(AuditAnswer):
    """One audit with what it found so far."""

    findings: list[AuditPartition]


class AuditsAnswer(Answer):
    """Audits, newest first; `before` asks for the page after."""

    items: list[AuditAnswer]
    next_before: int | None = Field(description="Value of `before` for the next page; null at the end")


class Health(Answer):
    """Whether the service is well."""

    status: Literal["ok"]
