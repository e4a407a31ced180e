"""The answers of the REST service, as the OpenAPI page describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from api.names import NOTE_CHARACTERS_MAX, Engine, Partition, Table, plain

Outcome = Literal["match", "mismatch", "inconclusive"]
Moment = Annotated[datetime, Field(examples=["2031-04-02T19:03:11Z"])]
TableName = Annotated[str, Field(description="`schema.table`", examples=["ootp.games"])]
PartitionName = Annotated[
    str, Field(description="`-` for a table without partitions", examples=["date_year=2031/league_id=100"])
]
Reason = Annotated[str | None, Field(description="Why; null for a plain match", examples=[None])]

Cursor = Annotated[str | None, Field(description="Value of `cursor` for the next page; null at the end")]


class Answer(BaseModel):
    """Base of all answers: frozen values."""

    model_config = ConfigDict(frozen=True)


class ErrorAnswer(Answer):
    """The error, in one sentence."""

    error: str = Field(examples=["no table ootp.game; there are ootp.games, ootp.players"])


class Side(Answer):
    """The sums of one side. Two sides hold the same rows when all three values are equal."""

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
    """The last audit of a partition: the source's own sum and the stream's, at one position."""

    audit: int = Field(description="Id of the audit", examples=[17])
    verdict: Outcome
    hops: list[Literal["capture", "lake"]] = Field(
        description="Parts of the way at which rows differ", examples=[["capture"]]
    )
    reason: Reason = None
    checked_at: Moment | None = Field(description="Time of the measurement; null where the source was not measured")
    epoch: int | None = Field(description="The last epoch that is complete in the audit's view", examples=[812])
    position: Position | None = Field(description="Position of the audit's view")
    source: Side | None = Field(description="The source's own sum; null when it is not known")
    stream: Side | None = Field(description="The sum of what capture published; null when it is not known")


class TableAudit(Answer):
    """The last audits of a table, over all its partitions."""

    verdict: Outcome = Field(description="The worst verdict of its partitions")
    reason: Reason = None
    partitions: int = Field(description="Partitions with a finding", examples=[12])
    oldest: Moment | None = Field(description="Time of the oldest audit among its partitions")


class PartitionFingerprint(Answer):
    """One partition on both sides, at the same epoch."""

    partition: PartitionName
    verdict: Outcome
    reason: Reason = None
    epoch: int = Field(description="The epoch at which both sides were compared", examples=[812])
    since: Moment = Field(description="Time since which the verdict has been this one")
    source: Side | None = Field(description="The warehouse; null when it is not known")
    lake: Side | None = Field(description="The lake; null when it is not known")
    audit: AuditFinding | None = Field(default=None, description="Its last audit; null before the first")


class PartitionAnswer(PartitionFingerprint):
    """One partition, with its table and the position of the source."""

    table: TableName
    as_of: Moment | None = Field(description="Commit time of the last compared source transaction")
    position: Position | None


ScanState = Literal["running", "done", "failed", "cancelled"]


class ScanRequest(Answer):
    """A request for a scan: an engine counts a table of the lake."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Table = Field(description="`schema.table`", examples=["ootp.games"])
    engine: Engine = Field(description="Name of an engine of the settings, `[engines.NAME]`", examples=["trino"])
    partition: Partition | None = Field(
        None, description="One partition of the table; null for all", examples=["date_year=2031/league_id=100"]
    )


class ScanSummary(Answer):
    """A scan without its partitions."""

    id: int = Field(examples=[7])
    engine: str = Field(description="The engine's name in the settings", examples=["trino"])
    table: TableName
    partition: PartitionName | None = Field(description="The requested partition; null for all")
    state: ScanState
    verdict: Outcome = Field(description="`inconclusive` unless the scan is done")
    epoch: int = Field(description="Epoch of the snapshot that the engine reads", examples=[812])
    snapshot: str | None = Field(description="The lake table's snapshot", examples=["4213444019613048478"])
    started_at: Moment
    ended_at: Moment | None = Field(description="null while the scan runs")
    progress: str | None = Field(description="Progress that the engine reports", examples=["70 %, 120000 rows"])
    error: str | None = Field(description="Why the scan failed", examples=[None])


class ScanPartition(Answer):
    """One partition in a scan."""

    partition: PartitionName
    verdict: Outcome
    reason: Reason = None
    running: Side | None = Field(description="The running sums of the source at the scan's epoch")
    counted: Side | None = Field(description="The engine's count of the lake")


class ScanAnswer(ScanSummary):
    """A scan with its partitions. There are none before it is done."""

    partitions: list[ScanPartition]


class ScansAnswer(Answer):
    """Scans, newest first."""

    items: list[ScanSummary]


class TableFingerprint(Answer):
    """One table on both sides, at the same epoch. Its verdict is the worst of its partitions."""

    table: TableName
    epoch: int | None = Field(description="The epoch of the comparison; null before the first", examples=[812])
    as_of: Moment | None = Field(description="Commit time of the last compared source transaction")
    position: Position | None
    verdict: Outcome
    reason: Reason = None
    source: Side | None = Field(description="The warehouse; null when it is not known")
    lake: Side | None = Field(description="The lake; null when it is not known")
    audit: TableAudit | None = Field(default=None, description="Its last audits; null before the first")
    partitions: list[PartitionFingerprint]
    next_cursor: Cursor = None


class ScannedTable(TableFingerprint):
    """One table with the scans of other engines."""

    scans: list[ScanSummary] = Field(
        description="For every engine the last scan, and the last scan of the whole table; newest first"
    )


class FingerprintsAnswer(Answer):
    """Every captured table."""

    verdict: Outcome = Field(description="The worst verdict of all tables")
    epoch: int | None = Field(description="The epoch of the lake; null before its first", examples=[812])
    items: list[TableFingerprint]
    next_cursor: Cursor = None


class HistoryItem(Answer):
    """What was known of a partition from this time on, until the next item."""

    at: Moment = Field(description="When the fingerprinter came to know it")
    epoch: int = Field(description="The epoch of the comparison", examples=[812])
    verdict: Outcome
    reason: Reason = None
    source: Side | None = Field(description="The warehouse; null when it is not known")
    lake: Side | None = Field(description="The lake; null when it is not known")


class HistoryAnswer(Answer):
    """The history of one partition, newest first. `before` requests the next page."""

    table: TableName
    partition: str = Field(examples=["date_year=2031/league_id=100"])
    items: list[HistoryItem]
    next_before: int | None = Field(description="Value of `before` for the next page; null at the end")


class Lag(Answer):
    """How far a consumer is behind the published epochs. null where that is not known."""

    messages: int | None = Field(description="Messages in Kafka that the consumer has not read", examples=[0])
    rows: int | None = Field(description="Changed rows in epochs that the consumer has not reached", examples=[0])
    epochs: int | None = Field(description="Epochs that the consumer has not reached", examples=[0])
    seconds: float | None = Field(
        description="Age of the oldest change that the consumer has not reached; 0 when there is none", examples=[0.0]
    )


class GroupLag(Lag):
    """The lag of one consumer group."""

    topics: dict[str, int] | None = Field(description="Unread messages by topic", examples=[{"dfp.ootp.games": 0}])


class LagAnswer(Answer):
    """The lag of every consumer group."""

    kafka: str = Field(description="`ok`, or why Kafka did not answer", examples=["ok"])
    groups: dict[str, GroupLag]


class PartitionCounts(Answer):
    """Number of partitions by verdict."""

    match: int
    mismatch: int
    inconclusive: int


class AuditCounts(PartitionCounts):
    """Number of partitions by the verdict of their last audit."""

    oldest: Moment | None = Field(description="Time of the oldest audit among the partitions")


ServiceStateName = Literal["starting", "running", "retrying", "stopped", "ended", "silent", "unknown"]


class ServiceAnswer(Answer):
    """One process of a service."""

    service: str = Field(description="Name of the service", examples=["lake_writer"])
    state: ServiceStateName = Field(
        description="`stopped`: ended by an error that needs the operator; `ended`: by request or with its work done; "
        "`silent`: no report for 8 s (killed, cut off or frozen); `unknown`: no report yet, or the broker is away"
    )
    since: Moment | None = Field(description="Begin of this state; null without any report")
    message: str | None = Field(
        description="Its last log line, or why it is in this state", examples=["lake committed epoch=812 rows=3"]
    )
    remedy: str | None = Field(description="How to recover; null when nothing is needed", examples=[None])
    host: str | None = Field(description="Machine of the process", examples=["etl-1"])
    pid: int | None = Field(description="Process id on that machine", examples=[4711])
    version: str | None = Field(description="Version of the program", examples=["0.2.0"])
    started_at: Moment | None = Field(description="Start of the process")
    heard_at: Moment | None = Field(description="Time of its last report; one comes every 2 s")


class ServicesAnswer(Answer):
    """Every known service: its working process, and other processes that run or are missing."""

    kafka: str = Field(description="`ok`, or why the reports of the services cannot be read", examples=["ok"])
    items: list[ServiceAnswer]


class UnprovenTable(Answer):
    """A table without partitions that is not known to match."""

    table: TableName
    verdict: Outcome
    reason: Reason = None


class UnprovenTables(Answer):
    """Tables without partitions that do not match. The counts of partitions do not show them."""

    count: int = Field(description="Number of these tables", examples=[0])
    first: list[UnprovenTable] = Field(description="The first 20 of these tables")


class StatusAnswer(Answer):
    """The system in one answer."""

    stream_id: str | None
    verdict: Outcome
    epoch: int | None = Field(description="The epoch of the lake; null before its first", examples=[812])
    source_epoch: int | None = Field(description="The last epoch in the source's sums", examples=[813])
    position: Position | None = Field(description="Position of the source at `epoch`")
    source_position: Position | None = Field(description="Position of the source at `source_epoch`")
    as_of: Moment | None = Field(description="Commit time of the last compared source transaction")
    recorded_at: Moment | None = Field(description="Time at which the sums of `source_epoch` were stored")
    recorded_age_s: float | None = Field(description="Seconds since `recorded_at`", examples=[1.4])
    source_age_s: float | None = Field(
        description="Seconds since the source committed `source_epoch`; up to a heartbeat on an idle source",
        examples=[2.1],
    )
    standstill: str | None = Field(
        description="Why nothing newer is compared: a service does not work, or no epoch came for three heartbeats of "
        "capture; null while everything works",
        examples=[None],
    )
    services: list[ServiceAnswer] = Field(description="The state of every service")
    tables: int = Field(description="Number of captured tables", examples=[6])
    rows: int = Field(description="Rows in the captured tables at `source_epoch`", examples=[48210])
    partitions: PartitionCounts
    without_partitions: UnprovenTables
    audit: AuditCounts = Field(description="Verdicts of the last audit of every partition")
    lag: Lag = Field(
        description="How far the lake is behind; null while the newest stored epoch is older than three heartbeats"
    )
    snapshot: dict[str, int] = Field(
        description="Percent of each snapshot that is not complete, by table", examples=[{"ootp.players": 40}]
    )
    set_aside: dict[str, str] = Field(
        default_factory=dict,
        description="Tables that capture leaves out, with the reason; each returns by itself when the reason is gone",
        examples=[{"ootp.logs": "it is a base table in MyISAM, whose changes are not exact"}],
    )


class ColumnAnswer(Answer):
    """One column."""

    name: str = Field(examples=["game_id"])
    type: str = Field(description="Type as MySQL prints it", examples=["int(11)"])
    kind: str = Field(description="Kind of the canonical form of its values", examples=["integer"])
    nullable: bool


class SnapshotProgress(Answer):
    """Progress of a table's snapshot."""

    rows: int
    rows_estimated: int
    percent: int
    complete: bool


class LakeFiles(Answer):
    """The counted files of a lake table."""

    files: int
    size_bytes: int = Field(serialization_alias="octets")
    unreadable: int


class TableAnswer(Answer):
    """One captured table."""

    table: TableName
    key: list[str] = Field(description="Columns of the primary key; empty without one", examples=[["game_id"]])
    partition: list[str] = Field(description="Partition fields", examples=[["year(date)"]])
    columns: list[ColumnAnswer]
    definition: int = Field(description="Number of the definition in force", examples=[3])
    rows: int | None = Field(description="Rows at the last epoch; null before the first change", examples=[2431])
    snapshot: SnapshotProgress | None
    lake: LakeFiles | None = Field(description="null before the lake table was read for the first time")


class TablesAnswer(Answer):
    """Every captured table."""

    items: list[TableAnswer]


class EpochAnswer(Answer):
    """One epoch."""

    epoch: int
    committed_at: Moment = Field(description="Commit time of its last source transaction")
    recorded_at: Moment = Field(description="Time at which its sums were stored")
    position: Position
    rows: int
    messages: int
    transactions: int
    tables: dict[str, int] = Field(description="Changed rows by table", examples=[{"ootp.games": 3}])


class EpochsAnswer(Answer):
    """Epochs, newest first. `before` requests the next page."""

    items: list[EpochAnswer]
    next_before: int | None = Field(description="Value of `before` for the next page; null at the end")


class AuditRequest(BaseModel):
    """A request for an audit: of all captured tables, one table, or one partition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Table | None = Field(None, description="`schema.table`; null for every captured table")
    partition: Partition | None = Field(None, description="One partition of the table; null for all", examples=[None])


AuditStateName = Literal["queued", "running", "paused", "done", "failed", "cancelled"]


class AuditAnswer(Answer):
    """One audit."""

    id: int = Field(examples=[17])
    table: str | None = Field(description="`schema.table`; null for every captured table", examples=["ootp.games"])
    partition: str | None = Field(description="One partition of the table; null for all", examples=[None])
    origin: Literal["command", "request", "schedule", "suspicion"] = Field(description="What requested the audit")
    state: AuditStateName
    reason: str | None = Field(description="Why it is paused, failed or cancelled", examples=[None])
    verdict: Outcome | None = Field(description="The worst finding so far; null before the first")
    partitions_done: int = Field(description="Partitions with a finding", examples=[3])
    partitions: int = Field(description="All partitions of the audit", examples=[28])
    rows: int = Field(description="Rows that the source has summed up so far", examples=[48210])
    asked_at: Moment
    started_at: Moment | None
    seen_at: Moment | None = Field(description="Last heartbeat of the process that runs the audit")
    ended_at: Moment | None


class AuditPartition(AuditFinding):
    """One finding of an audit."""

    table: TableName
    partition: str | None = Field(description="null for a finding about the whole table")


class AuditDetail(AuditAnswer):
    """One audit with its findings so far."""

    findings: list[AuditPartition]


class AuditsAnswer(Answer):
    """Audits, newest first. `before` requests the next page."""

    items: list[AuditAnswer]
    next_before: int | None = Field(description="Value of `before` for the next page; null at the end")


IncidentClassName = Literal[
    "pending",
    "snapshot_stalled",
    "lag_high",
    "data_stale",
    "service_silent",
    "audit_failed",
    "values_differ",
    "rows_extra",
    "rows_missing",
    "source_gap",
    "schema_differs",
    "file_damaged",
    "metadata_lost",
]
SubjectName = Literal["table", "service", "audit", "flow"]


class IncidentPartition(Answer):
    """A partition of an incident, as last seen."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    partition: str = Field(description="Its name; empty for a finding about the whole table")
    incident_class: IncidentClassName = Field(alias="class", description="What is wrong with it")
    reason: Reason = None
    rows: int | None = Field(description="By how many rows the sides differ; null where that is not known")
    since: Moment


class IncidentAnswer(Answer):
    """One incident: a trouble of a table, a service or an audit, over time."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    id: int = Field(description="Permanent id", examples=[7])
    state: Literal["open", "closed"]
    subject: SubjectName = Field(description="What it is about")
    name: str = Field(description="Name of the table, service or audit", examples=["ootp.games"])
    table: str | None = Field(description="`schema.table`; null where it is not about a table", examples=["ootp.games"])
    incident_class: IncidentClassName = Field(alias="class", description="The worst class that it has had")
    hop: Literal["capture", "lake"] | None = Field(description="Where rows went wrong; null where it is not known")
    reason: Reason = None
    rows: int | None = Field(description="By how many rows the sides differ; null where that is not known")
    partition_count: int = Field(description="Number of partitions in trouble now", examples=[1])
    since: Moment = Field(description="Begin of the trouble")
    opened_at: Moment
    changed_at: Moment
    closed_at: Moment | None = Field(description="null while it is open")
    quiet_since: Moment | None = Field(description="Since when the subject is sound; null while it is in trouble")
    returns: int = Field(description="How often the trouble came back before the incident was closed", examples=[0])
    acknowledged_at: Moment | None = Field(description="When an operator acknowledged it")
    note: str | None = Field(description="The operator's note", examples=[None])
    silenced_until: Moment | None = Field(description="No alert is sent before")


class IncidentsAnswer(Answer):
    """Incidents, newest first. `before` requests the next page."""

    items: list[IncidentAnswer]
    next_before: int | None = Field(description="Value of `before` for the next page; null at the end")


class EventAnswer(Answer):
    """Something that happened."""

    id: int = Field(description="Its place among all events", examples=[311])
    at: Moment
    kind: Literal[
        "verdict",
        "audit",
        "incident_opened",
        "incident_escalated",
        "incident_changed",
        "incident_returned",
        "incident_closed",
        "incident_acknowledged",
        "incident_silenced",
    ]
    subject: SubjectName
    name: str = Field(description="Name of the table, service or audit", examples=["ootp.games"])
    incident: int | None = Field(description="Id of its incident; null where it belongs to none")
    detail: dict[str, str | int | float | None] = Field(description="More about it, by its kind")


class EventsAnswer(Answer):
    """Events, newest first, or the oldest first after `after`."""

    items: list[EventAnswer]
    next_before: int | None = Field(description="Value of `before` for the next page; null at the end")
    last_id: int | None = Field(description="Id of the newest event of the answer; null when it has none")


class IncidentDetail(IncidentAnswer):
    """One incident with its partitions and its events."""

    partitions: list[IncidentPartition] = Field(description="The worst partitions, at most 100, as last seen")
    events: list[EventAnswer] = Field(description="The newest 1,000 events of it, oldest first")


class AcknowledgeRequest(BaseModel):
    """An operator knows of an incident: reminders end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: Annotated[str, Field(max_length=NOTE_CHARACTERS_MAX), AfterValidator(plain)] = Field(
        "", description="What is known, or being done"
    )


class SilenceRequest(BaseModel):
    """No alert of an incident before a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    until: AwareDatetime = Field(description="Time with its zone; one in the past ends the silence")


class AlertReceiver(Answer):
    """A receiver of alerts."""

    receiver: str = Field(description="Its name, without secrets", examples=["mailto-1f0c9a2b"])
    address: str = Field(description="Its URL, secrets masked", examples=["mailto://ops:****@mail.example/"])
    state: Literal["idle", "sending", "failing"]
    waiting: int = Field(description="Notices that it was not sent", examples=[0])
    failing_since: Moment | None = Field(description="Since when it takes nothing; null while it does")
    error: str | None = Field(description="Why the last attempt failed", examples=[None])


class AlertMessage(Answer):
    """A message to a receiver."""

    id: str = Field(description="The same in every attempt")
    receiver: str
    created_at: Moment
    sent_at: Moment | None = Field(description="When the receiver took it; null before")
    attempts: int = Field(examples=[1])
    error: str | None = Field(description="Why the last attempt failed", examples=[None])


class AlertsAnswer(Answer):
    """The receivers, and the last messages, newest first."""

    receivers: list[AlertReceiver]
    messages: list[AlertMessage]


class AlertTestAnswer(Answer):
    """A test was written for every receiver."""

    receivers: list[str] = Field(description="Names of the receivers that get it")


class Health(Answer):
    """The answer of the probes."""

    status: Literal["ok"]


ResyncStateName = Literal["queued", "running", "done", "failed"]


class ResyncBody(BaseModel):
    """The table, or the one partition of it, that capture shall read again from the source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Table = Field(description="`schema.table`", examples=["ootp.games"])
    partition: Partition | None = Field(
        None, description="One partition of the table; null for all", examples=["date_year=2031/league_id=100"]
    )


class ResyncAnswer(Answer):
    """One resync."""

    id: int = Field(examples=[3])
    table: TableName
    partition: PartitionName | None = Field(description="The only partition that is read again; null for all")
    state: ResyncStateName = Field(description="`done`: the lake holds what was read, and was compared with the source")
    reason: Reason = None
    percent: int = Field(description="Share of the rows that were read", examples=[40])
    rows: int = Field(description="Rows that were read so far", examples=[2431])
    verdict: Outcome | None = Field(description="The present verdict on the table or partition; null before `done`")
    epoch: int | None = Field(description="The epoch of that verdict; null before `done`", examples=[812])
    asked_at: Moment


class ResyncsAnswer(Answer):
    """Resyncs, newest first."""

    items: list[ResyncAnswer]
