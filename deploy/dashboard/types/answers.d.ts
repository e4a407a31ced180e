// Made by python -m deploy.dashboard.answers from the models of api/. Do not edit.

declare namespace Api {
  interface AcknowledgeRequest {
    note: string;
  }
  interface ActionAnswer {
    id: number;
    at: string;
    who: string;
    role: string;
    address: string;
    method: string;
    path: string;
    detail: string;
    status: number | null;
  }
  interface ActionsAnswer {
    items: Array<ActionAnswer>;
    next_before: number | null;
  }
  interface AlertMessage {
    id: string;
    receiver: string;
    created_at: string;
    sent_at: string | null;
    attempts: number;
    error: string | null;
  }
  interface AlertReceiver {
    receiver: string;
    address: string;
    state: "idle" | "sending" | "failing";
    waiting: number;
    failing_since: string | null;
    error: string | null;
  }
  interface AlertTestAnswer {
    receivers: Array<string>;
  }
  interface AlertsAnswer {
    receivers: Array<AlertReceiver>;
    messages: Array<AlertMessage>;
  }
  interface AuditAnswer {
    id: number;
    table: string | null;
    partition: string | null;
    origin: "command" | "request" | "schedule" | "suspicion";
    state: "queued" | "running" | "paused" | "done" | "failed" | "cancelled";
    reason: string | null;
    verdict: "match" | "mismatch" | "inconclusive" | null;
    partitions_done: number;
    partitions: number;
    rows: number;
    asked_at: string;
    started_at: string | null;
    seen_at: string | null;
    ended_at: string | null;
  }
  interface AuditCounts {
    match: number;
    mismatch: number;
    inconclusive: number;
    oldest: string | null;
  }
  interface AuditDetail {
    id: number;
    table: string | null;
    partition: string | null;
    origin: "command" | "request" | "schedule" | "suspicion";
    state: "queued" | "running" | "paused" | "done" | "failed" | "cancelled";
    reason: string | null;
    verdict: "match" | "mismatch" | "inconclusive" | null;
    partitions_done: number;
    partitions: number;
    rows: number;
    asked_at: string;
    started_at: string | null;
    seen_at: string | null;
    ended_at: string | null;
    findings: Array<AuditPartition>;
  }
  interface AuditFinding {
    audit: number;
    verdict: "match" | "mismatch" | "inconclusive";
    hops: Array<"capture" | "lake">;
    reason: string | null;
    checked_at: string | null;
    epoch: number | null;
    position: Position | null;
    source: Side | null;
    stream: Side | null;
  }
  interface AuditPartition {
    audit: number;
    verdict: "match" | "mismatch" | "inconclusive";
    hops: Array<"capture" | "lake">;
    reason: string | null;
    checked_at: string | null;
    epoch: number | null;
    position: Position | null;
    source: Side | null;
    stream: Side | null;
    table: string;
    partition: string | null;
  }
  interface AuditRequest {
    table: string | null;
    partition: string | null;
  }
  interface AuditsAnswer {
    items: Array<AuditAnswer>;
    next_before: number | null;
  }
  interface CallerAnswer {
    name: string;
    role: "viewer" | "operator";
    expires_at: string | null;
    needs_token: boolean;
  }
  interface ColumnAnswer {
    name: string;
    type: string;
    kind: string;
    nullable: boolean;
  }
  interface EpochAnswer {
    epoch: number;
    committed_at: string;
    recorded_at: string;
    position: Position;
    rows: number;
    messages: number;
    transactions: number;
    tables: Record<string, number>;
  }
  interface EpochsAnswer {
    items: Array<EpochAnswer>;
    next_before: number | null;
  }
  interface ErrorAnswer {
    error: string;
  }
  interface EventAnswer {
    id: number;
    at: string;
    kind: "verdict" | "audit" | "incident_opened" | "incident_escalated" | "incident_changed" | "incident_returned" | "incident_closed" | "incident_acknowledged" | "incident_silenced";
    subject: "table" | "service" | "audit" | "flow";
    name: string;
    incident: number | null;
    detail: Record<string, string | number | null>;
  }
  interface EventsAnswer {
    items: Array<EventAnswer>;
    next_before: number | null;
    last_id: number | null;
  }
  interface FingerprintsAnswer {
    verdict: "match" | "mismatch" | "inconclusive";
    epoch: number | null;
    items: Array<TableFingerprint>;
    next_cursor: string | null;
  }
  interface GroupLag {
    messages: number | null;
    rows: number | null;
    epochs: number | null;
    seconds: number | null;
    topics: Record<string, number> | null;
  }
  interface Health {
    status: "ok";
  }
  interface HistoryAnswer {
    table: string;
    partition: string;
    items: Array<HistoryItem>;
    next_before: number | null;
  }
  interface HistoryItem {
    at: string;
    epoch: number;
    verdict: "match" | "mismatch" | "inconclusive";
    reason: string | null;
    source: Side | null;
    lake: Side | null;
  }
  interface IncidentAnswer {
    id: number;
    state: "open" | "closed";
    subject: "table" | "service" | "audit" | "flow";
    name: string;
    table: string | null;
    class: "pending" | "snapshot_stalled" | "lag_high" | "data_stale" | "service_silent" | "audit_failed" | "values_differ" | "rows_extra" | "rows_missing" | "source_gap" | "schema_differs" | "file_damaged" | "metadata_lost";
    hop: "capture" | "lake" | null;
    reason: string | null;
    rows: number | null;
    partition_count: number;
    since: string;
    opened_at: string;
    changed_at: string;
    closed_at: string | null;
    quiet_since: string | null;
    returns: number;
    acknowledged_at: string | null;
    note: string | null;
    silenced_until: string | null;
  }
  interface IncidentDetail {
    id: number;
    state: "open" | "closed";
    subject: "table" | "service" | "audit" | "flow";
    name: string;
    table: string | null;
    class: "pending" | "snapshot_stalled" | "lag_high" | "data_stale" | "service_silent" | "audit_failed" | "values_differ" | "rows_extra" | "rows_missing" | "source_gap" | "schema_differs" | "file_damaged" | "metadata_lost";
    hop: "capture" | "lake" | null;
    reason: string | null;
    rows: number | null;
    partition_count: number;
    since: string;
    opened_at: string;
    changed_at: string;
    closed_at: string | null;
    quiet_since: string | null;
    returns: number;
    acknowledged_at: string | null;
    note: string | null;
    silenced_until: string | null;
    partitions: Array<IncidentPartition>;
    events: Array<EventAnswer>;
  }
  interface IncidentPartition {
    partition: string;
    class: "pending" | "snapshot_stalled" | "lag_high" | "data_stale" | "service_silent" | "audit_failed" | "values_differ" | "rows_extra" | "rows_missing" | "source_gap" | "schema_differs" | "file_damaged" | "metadata_lost";
    reason: string | null;
    rows: number | null;
    since: string;
  }
  interface IncidentsAnswer {
    items: Array<IncidentAnswer>;
    next_before: number | null;
  }
  interface Lag {
    messages: number | null;
    rows: number | null;
    epochs: number | null;
    seconds: number | null;
  }
  interface LagAnswer {
    kafka: string;
    groups: Record<string, GroupLag>;
  }
  interface LakeFiles {
    files: number;
    octets: number;
    unreadable: number;
  }
  interface MatrixAnswer {
    verdict: "match" | "mismatch" | "inconclusive";
    items: Array<MatrixTable>;
  }
  interface MatrixTable {
    table: string;
    verdict: "match" | "mismatch" | "inconclusive";
    reason: string | null;
    rows: number | null;
    partitions: Array<string>;
    verdicts: string;
  }
  interface PartitionAnswer {
    partition: string;
    verdict: "match" | "mismatch" | "inconclusive";
    reason: string | null;
    epoch: number;
    since: string;
    source: Side | null;
    lake: Side | null;
    audit: AuditFinding | null;
    table: string;
    as_of: string | null;
    position: Position | null;
  }
  interface PartitionCounts {
    match: number;
    mismatch: number;
    inconclusive: number;
  }
  interface PartitionDiffAnswer {
    partition: string;
    state: "same" | "differs" | "unknown";
    reason: string | null;
    epoch: number;
    differing: number;
    source_position: Position | null;
    rows: Array<RowAnswer>;
  }
  interface PartitionFingerprint {
    partition: string;
    verdict: "match" | "mismatch" | "inconclusive";
    reason: string | null;
    epoch: number;
    since: string;
    source: Side | null;
    lake: Side | null;
    audit: AuditFinding | null;
  }
  interface Position {
    gtid: string;
    file: string;
    pos: number;
  }
  interface ResyncAnswer {
    id: number;
    table: string;
    partition: string | null;
    state: "queued" | "running" | "done" | "failed";
    reason: string | null;
    percent: number;
    rows: number;
    verdict: "match" | "mismatch" | "inconclusive" | null;
    epoch: number | null;
    asked_at: string;
  }
  interface ResyncBody {
    table: string;
    partition: string | null;
  }
  interface ResyncPlan {
    table: string;
    partition: string | null;
    partitions: number;
    rows: number | null;
    lake_rows: number | null;
  }
  interface ResyncsAnswer {
    items: Array<ResyncAnswer>;
  }
  interface RowAnswer {
    kind: "missing_in_lake" | "extra_in_lake" | "changed" | "duplicated";
    key: Record<string, any> | null;
    key_id: string;
    copies: number;
    columns: Array<string>;
    source: Record<string, any> | null;
    lake: Record<string, any> | null;
    files: Array<string>;
    note: string | null;
  }
  interface ScanAnswer {
    id: number;
    engine: string;
    table: string;
    partition: string | null;
    state: "running" | "done" | "failed" | "cancelled";
    verdict: "match" | "mismatch" | "inconclusive";
    epoch: number;
    snapshot: string | null;
    started_at: string;
    ended_at: string | null;
    progress: string | null;
    error: string | null;
    partitions: Array<ScanPartition>;
  }
  interface ScanPartition {
    partition: string;
    verdict: "match" | "mismatch" | "inconclusive";
    reason: string | null;
    running: Side | null;
    counted: Side | null;
  }
  interface ScanRequest {
    table: string;
    engine: string;
    partition: string | null;
  }
  interface ScanSummary {
    id: number;
    engine: string;
    table: string;
    partition: string | null;
    state: "running" | "done" | "failed" | "cancelled";
    verdict: "match" | "mismatch" | "inconclusive";
    epoch: number;
    snapshot: string | null;
    started_at: string;
    ended_at: string | null;
    progress: string | null;
    error: string | null;
  }
  interface ScannedTable {
    table: string;
    epoch: number | null;
    as_of: string | null;
    position: Position | null;
    verdict: "match" | "mismatch" | "inconclusive";
    reason: string | null;
    source: Side | null;
    lake: Side | null;
    audit: TableAudit | null;
    partitions: Array<PartitionFingerprint>;
    next_cursor: string | null;
    scans: Array<ScanSummary>;
  }
  interface ScansAnswer {
    items: Array<ScanSummary>;
  }
  interface ServiceAnswer {
    service: string;
    state: "starting" | "running" | "retrying" | "stopped" | "ended" | "silent" | "unknown";
    since: string | null;
    message: string | null;
    remedy: string | null;
    host: string | null;
    pid: number | null;
    version: string | null;
    started_at: string | null;
    heard_at: string | null;
  }
  interface ServicesAnswer {
    kafka: string;
    items: Array<ServiceAnswer>;
  }
  interface Side {
    rows: number;
    fingerprint: string;
    digest: string;
  }
  interface SilenceRequest {
    until: string;
  }
  interface SnapshotProgress {
    rows: number;
    rows_estimated: number;
    percent: number;
    complete: boolean;
  }
  interface StatusAnswer {
    stream_id: string | null;
    verdict: "match" | "mismatch" | "inconclusive";
    epoch: number | null;
    source_epoch: number | null;
    position: Position | null;
    source_position: Position | null;
    as_of: string | null;
    recorded_at: string | null;
    recorded_age_s: number | null;
    source_age_s: number | null;
    standstill: string | null;
    services: Array<ServiceAnswer>;
    tables: number;
    rows: number;
    partitions: PartitionCounts;
    without_partitions: UnprovenTables;
    audit: AuditCounts;
    lag: Lag;
    snapshot: Record<string, number>;
    set_aside: Record<string, string>;
  }
  interface TableAnswer {
    table: string;
    key: Array<string>;
    partition: Array<string>;
    columns: Array<ColumnAnswer>;
    definition: number;
    rows: number | null;
    snapshot: SnapshotProgress | null;
    lake: LakeFiles | null;
  }
  interface TableAudit {
    verdict: "match" | "mismatch" | "inconclusive";
    reason: string | null;
    partitions: number;
    oldest: string | null;
  }
  interface TableDiffAnswer {
    table: string;
    state: "same" | "differs" | "unknown";
    partitions: Array<PartitionDiffAnswer>;
  }
  interface TableFingerprint {
    table: string;
    epoch: number | null;
    as_of: string | null;
    position: Position | null;
    verdict: "match" | "mismatch" | "inconclusive";
    reason: string | null;
    source: Side | null;
    lake: Side | null;
    audit: TableAudit | null;
    partitions: Array<PartitionFingerprint>;
    next_cursor: string | null;
  }
  interface TablesAnswer {
    items: Array<TableAnswer>;
  }
  interface UnprovenTable {
    table: string;
    verdict: "match" | "mismatch" | "inconclusive";
    reason: string | null;
  }
  interface UnprovenTables {
    count: number;
    first: Array<UnprovenTable>;
  }
}
