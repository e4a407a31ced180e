"""Every metric of `/metrics`, in one list. `docs/metrics.md` is written from it.

All metrics are gauges of the stored state. A scrape reads them and counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.models import Lag, LagAnswer, StatusAnswer
from api.ports import LagReader, StateView, Store
from api.status import KAFKA_OK, MessageLag, lag, message_lag, status
from api.summaries import TableSummary, table_summaries
from datafingerprint.audits import AuditState
from datafingerprint.errors import DataFingerprintError
from datafingerprint.incidents import IncidentClass
from datafingerprint.liveness import Services
from datafingerprint.ports.incidents import IncidentReader
from datafingerprint.ports.state_values import AuditTotals, FileCounts, OutcomeCounts, Recorded
from datafingerprint.verdict import Outcome, overall


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name with the unit last, its labels, and its meaning."""

    name: str
    labels: tuple[str, ...]
    meaning: str


# Whether the API can read its two sources.
STATE_UP = Metric(
    "dfp_state_up", (), "1 when the state store can be read. Otherwise 0, and the other metrics are left out."
)
KAFKA_UP = Metric(
    "dfp_kafka_up", (), "1 when Kafka answered with the offsets. Otherwise 0, and the message lag is left out."
)

# Whether the services work. Alert on dfp_service_up == 0.
SERVICE_UP = Metric(
    "dfp_service_up",
    ("service",),
    "1 while a process of the service works. 0 when none does: stopped, ended, silent for 8 s, or retrying for 5 s.",
)

# The verdicts. Alert on dfp_partitions{verdict="mismatch"} > 0.
VERDICT = Metric("dfp_verdict", ("table", "verdict"), "1 for the table's present verdict, 0 for the others.")
SET_ASIDE = Metric(
    "dfp_tables_set_aside", (), "Tables that capture leaves out now. The reason of their verdict explains why."
)
PARTITIONS = Metric("dfp_partitions", ("table", "verdict"), "Partitions of a table with this verdict.")

# The clock of both sides.
SOURCE_EPOCH = Metric("dfp_source_epoch", (), "The last epoch in the source's sums.")
LAKE_EPOCH = Metric("dfp_lake_epoch", (), "The epoch at which the lake was compared. 0 before the first.")
SOURCE_RECORDED_AGE = Metric(
    "dfp_source_recorded_age_seconds",
    (),
    "Time since the sums of the last epoch were stored. It grows when capture or the fingerprinter does not work.",
)
SOURCE_AGE = Metric(
    "dfp_source_age_seconds",
    (),
    "Time since the source committed the last stored epoch: how far capture and fingerprinter are behind the source.",
)
COMPARED_AGE = Metric(
    "dfp_compared_age_seconds",
    (),
    "Time since the commit of the last compared source transaction: the age of the verdicts.",
)

# Throughput, from the epochs stored in the last minute.
EPOCH_RATE = Metric("dfp_epochs_per_second", (), "Epochs stored per second, over the last minute.")
ROW_RATE = Metric("dfp_changed_rows_per_second", (), "Changed rows of these epochs per second, over the last minute.")
RATE_WINDOW_S = 60.0

# Lag of the lake writer and the fingerprinter. Left out where it is not known.
LAG_MESSAGES = Metric("dfp_lag_messages", ("group",), "Messages in Kafka that a consumer group has not read.")
LAG_ROWS = Metric("dfp_lag_rows", ("group",), "Changed rows in epochs that a group has not reached.")
LAG_EPOCHS = Metric("dfp_lag_epochs", ("group",), "Epochs that a group has not reached.")
LAG_SECONDS = Metric(
    "dfp_lag_seconds",
    ("group",),
    "Age of the oldest published change that a group has not reached. 0: everything published is read.",
)

# Contents of both sides. Left out where they are not known.
SOURCE_ROWS = Metric("dfp_source_rows", ("table",), "Rows of the source at the table's epoch of comparison.")
LAKE_ROWS = Metric("dfp_lake_rows", ("table",), "Rows of the lake at the table's epoch of comparison.")
LAKE_FILES = Metric("dfp_lake_files", ("table",), "Live data files in the sums.")
LAKE_FILES_UNREADABLE = Metric("dfp_lake_unreadable_files", ("table",), "Live data files that could not be read back.")
LAKE_BYTES = Metric("dfp_lake_bytes", ("table",), "Size of the live data files.")
SNAPSHOT = Metric("dfp_snapshot_percent", ("table",), "Progress of a table's snapshot. 100 when it is complete.")

# Audits: the source's own sums. Alert on dfp_audit_partitions{verdict="mismatch"} > 0.
AUDIT_PARTITIONS = Metric(
    "dfp_audit_partitions", ("table", "verdict"), "Partitions of a table whose last audit has this verdict."
)
AUDIT_AGE = Metric("dfp_audit_age_seconds", ("table",), "Age of the oldest audit among the table's partitions.")
AUDITS = Metric("dfp_audits", ("state",), "The last 1,000 audits and the last one of each table, by state.")

# Incidents: what alerts are about.
INCIDENTS_OPEN = Metric("dfp_incidents_open", ("class",), "Open incidents, by class.")

METRICS = (
    STATE_UP,
    KAFKA_UP,
    SERVICE_UP,
    VERDICT,
    PARTITIONS,
    SET_ASIDE,
    SOURCE_EPOCH,
    LAKE_EPOCH,
    SOURCE_RECORDED_AGE,
    SOURCE_AGE,
    COMPARED_AGE,
    EPOCH_RATE,
    ROW_RATE,
    LAG_MESSAGES,
    LAG_ROWS,
    LAG_EPOCHS,
    LAG_SECONDS,
    SOURCE_ROWS,
    LAKE_ROWS,
    LAKE_FILES,
    LAKE_FILES_UNREADABLE,
    LAKE_BYTES,
    SNAPSHOT,
    AUDIT_PARTITIONS,
    AUDIT_AGE,
    AUDITS,
    INCIDENTS_OPEN,
)

ALERTS = (
    (('sum(dfp_partitions{verdict="mismatch"}) > 0',), "", "The lake differs from the rows that capture published."),
    (('sum(dfp_audit_partitions{verdict="mismatch"}) > 0',), "", "The source differs from the stream."),
    (('sum(dfp_partitions{verdict="inconclusive"}) > 0',), " for longer than a snapshot takes", "Not comparable."),
    (("dfp_tables_set_aside > 0",), "", "Capture leaves tables out. `datafingerprint status` names the reasons."),
    (("dfp_state_up == 0", "dfp_kafka_up == 0"), "", "The API cannot read the state store, or Kafka."),
    (("dfp_service_up == 0",), "", "No process of a service works. `/v1/services` shows its last message."),
    (
        ("dfp_source_recorded_age_seconds",),
        " above a minute",
        "Capture or the fingerprinter does not work. An idle source still has an epoch every 10 s (`cdc.heartbeat_s`).",
    ),
    (("dfp_source_age_seconds",), " above some minutes", "Both work, but are that far behind the source."),
    (("dfp_compared_age_seconds",), " above some minutes", "Nothing newer was compared, for any reason."),
    (
        ('dfp_lag_seconds{group="dfp-lake-writer"}',),
        " above twelve times `lake.flush_s` (a minute)",
        "The lake writer is behind, or does not work. A commit of millions of rows takes minutes.",
    ),
    (("dfp_audit_age_seconds",), " above twice `audit.every_s`", "A table's audit is overdue."),
)
"""Conditions to alert on: expressions, the rest of the condition, and the meaning."""

TABLES_MAX = 1_000
"""Tables with series of their own by default."""

OTHER_TABLES = "(others)"
"""The label of all other tables together. No table's name has parentheses outside of backticks."""

Sample = tuple[Metric, tuple[str, ...], float | None]
"""A metric, the values of its labels, and its value. None is left out: unknown is not 0."""


@dataclass(frozen=True, slots=True)
class TableSeries:
    """What is shown of one table, or of several that share one label; None is unknown."""

    table: str
    summary: TableSummary | None = None
    files: FileCounts | None = None
    percent: int | None = None
    audit: AuditTotals | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What one scrape has read."""

    status: StatusAnswer
    lag: LagAnswer
    tables: Sequence[TableSeries]
    recorded: Recorded
    audits: Mapping[AuditState, int]
    services: Services
    now: float


def observe(
    view: StateView, kafka: MessageLag, now: float, stale_s: float, services: Services, tables_max: int
) -> Observed:
    """Reads all that a scrape shows."""
    return Observed(
        status(view, kafka, now, stale_s, services),
        lag(view, kafka, now, stale_s, services),
        bounded(table_series(view), tables_max),
        view.recorded_since(now - RATE_WINDOW_S),
        view.audit_counts(),
        services,
        now,
    )


def table_series(view: StateView) -> list[TableSeries]:
    """Everything that is shown of each table, in the order of their names."""
    last = view.epoch(view.progress().epoch)
    cursors = last.epoch.snapshots if last else {}
    summaries, audits, files = table_summaries(view), view.audit_totals_by_table(), view.file_counts()
    captured, counted = view.defined_tables(), view.lake_tables().keys()

    def of_table(name: str) -> TableSeries:
        is_captured = name in captured
        none = FileCounts(0, 0, 0) if name in counted else None
        return TableSeries(
            name,
            summaries.get(name),
            files.get(name, none) if is_captured else None,
            cursors[name].percent if is_captured and name in cursors else None,
            audits.get(name),
        )

    return [of_table(name) for name in sorted({*summaries, *captured, *audits})]


_WORST_FIRST = (Outcome.MISMATCH, Outcome.INCONCLUSIVE, Outcome.MATCH)


def bounded(tables: Sequence[TableSeries], tables_max: int) -> list[TableSeries]:
    """Names at most so many tables, those that do not match first; sums up all others in one."""
    if len(tables) <= tables_max:
        return list(tables)

    def rank(series: TableSeries) -> tuple[int, str]:
        return (_WORST_FIRST.index(series.summary.verdict) if series.summary else len(_WORST_FIRST), series.table)

    ranked = sorted(tables, key=rank)
    named = sorted(ranked[:tables_max], key=lambda series: series.table)
    return [*named, _summed(ranked[tables_max:])]


def _summed(tables: Sequence[TableSeries]) -> TableSeries:
    summaries = [series.summary for series in tables if series.summary is not None]
    files = [series.files for series in tables if series.files is not None]
    audits = [series.audit for series in tables if series.audit is not None]
    return TableSeries(
        OTHER_TABLES,
        TableSummary(
            overall((summary.verdict for summary in summaries), of_none=Outcome.INCONCLUSIVE),
            "",
            _added([summary.counts for summary in summaries]),
            _sum([summary.source_rows for summary in summaries]),
            _sum([summary.lake_rows for summary in summaries]),
        ),
        FileCounts(*(sum(getattr(counts, name) for counts in files) for name in ("files", "size_bytes", "unreadable"))),
        min((series.percent for series in tables if series.percent is not None), default=None),
        AuditTotals(
            _added([audit.counts for audit in audits]),
            min((audit.oldest for audit in audits if audit.oldest is not None), default=None),
        ),
    )


def _added(counts: Sequence[OutcomeCounts]) -> OutcomeCounts:
    return OutcomeCounts(*(sum(getattr(part, outcome.value) for part in counts) for outcome in Outcome))


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def render(
    store: Store,
    lag_reader: LagReader,
    now: float,
    stale_s: float,
    services: Services | None = None,
    tables_max: int = TABLES_MAX,
    incidents: IncidentReader | None = None,
) -> bytes:
    """The metrics in Prometheus' text format.

    With the store away, `dfp_state_up` is 0 and everything that is read from it is left out.
    """
    kafka, services = message_lag(lag_reader), services or Services()
    try:
        with store.reading() as view:
            observed = observe(view, kafka, now, stale_s, services, tables_max)
        values = list(samples(observed))
        values += _incident_samples(incidents)
    except DataFingerprintError:
        values = [(STATE_UP, (), 0), (KAFKA_UP, (), float(kafka.kafka == KAFKA_OK)), *_service_samples(services, now)]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Samples(values))
    return generate_latest(registry)


class _Samples(Collector):
    """Passes samples to prometheus-client, each metric with its help and all its values."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._by_metric: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        for metric, labels, value in samples:
            if value is not None:
                self._by_metric.setdefault(metric.name, []).append((labels, value))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics in the order of the list."""
        for metric in METRICS:
            family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in self._by_metric.get(metric.name, []):
                family.add_metric(labels, value)
            if family.samples:
                yield family


def samples(observed: Observed) -> Iterator[Sample]:
    """The values of every metric."""
    yield STATE_UP, (), 1
    yield KAFKA_UP, (), float(observed.lag.kafka == KAFKA_OK)
    yield from _service_samples(observed.services, observed.now)
    yield SOURCE_EPOCH, (), observed.status.source_epoch or 0
    yield SET_ASIDE, (), len(observed.status.set_aside)
    yield LAKE_EPOCH, (), observed.status.epoch or 0
    yield SOURCE_RECORDED_AGE, (), observed.status.recorded_age_s
    yield SOURCE_AGE, (), observed.status.source_age_s
    yield COMPARED_AGE, (), _age(observed.status.as_of, observed.now)
    yield EPOCH_RATE, (), observed.recorded.epochs / RATE_WINDOW_S
    yield ROW_RATE, (), observed.recorded.rows / RATE_WINDOW_S
    for group, values in observed.lag.groups.items():
        yield from _lag_samples(group, values)
    for series in observed.tables:
        yield from _table_samples(series, observed.now)
    for state, count in observed.audits.items():
        yield AUDITS, (state.value,), count


def _service_samples(services: Services, now: float) -> Iterator[Sample]:
    for name in sorted({service.report.service for service in services.items}):
        is_up = services.is_up(name, now)
        yield SERVICE_UP, (name,), None if is_up is None else float(is_up)


def _incident_samples(incidents: IncidentReader | None) -> Iterator[Sample]:
    if incidents is None:
        return
    counts = incidents.open_counts()
    for incident_class in IncidentClass:
        yield INCIDENTS_OPEN, (incident_class.value,), counts.get(incident_class, 0)


def _age(moment: datetime | None, now: float) -> float | None:
    return None if moment is None else max(0.0, now - moment.timestamp())


def _lag_samples(group: str, values: Lag) -> Iterator[Sample]:
    yield LAG_MESSAGES, (group,), values.messages
    yield LAG_ROWS, (group,), values.rows
    yield LAG_EPOCHS, (group,), values.epochs
    yield LAG_SECONDS, (group,), values.seconds


def _table_samples(series: TableSeries, now: float) -> Iterator[Sample]:
    if series.summary is not None:
        for outcome in Outcome:
            yield VERDICT, (series.table, outcome.value), float(series.summary.verdict is outcome)
            yield PARTITIONS, (series.table, outcome.value), getattr(series.summary.counts, outcome.value)
        yield SOURCE_ROWS, (series.table,), series.summary.source_rows
        yield LAKE_ROWS, (series.table,), series.summary.lake_rows
    if series.files is not None:
        yield LAKE_FILES, (series.table,), series.files.files
        yield LAKE_FILES_UNREADABLE, (series.table,), series.files.unreadable
        yield LAKE_BYTES, (series.table,), series.files.size_bytes
    yield SNAPSHOT, (series.table,), series.percent
    if series.audit is not None:
        for outcome in Outcome:
            yield AUDIT_PARTITIONS, (series.table, outcome.value), getattr(series.audit.counts, outcome.value)
        oldest = series.audit.oldest
        yield AUDIT_AGE, (series.table,), None if oldest is None else max(0.0, now - oldest)


def document() -> str:
    """The text of `docs/metrics.md`."""
    lines = [
        "# Metrics",
        "",
        "`GET /metrics` answers in Prometheus' text format. Every metric is a gauge of the stored state. A scrape",
        "reads neither the source nor the lake. A value that is not known is left out. It is never shown as 0.",
        "",
        "| metric | labels | meaning |",
        "|---|---|---|",
        *(
            f"| `{metric.name}` | {', '.join(f'`{label}`' for label in metric.labels) or '-'} | {metric.meaning} |"
            for metric in METRICS
        ),
        "",
        "## Many tables",
        "",
        f"At most `api.metrics_tables_max` tables ({TABLES_MAX}) have series of their own, those that do not match",
        f'first. All others share the label `table="{OTHER_TABLES}"`: numbers are added, the verdict is the worst, the',
        "snapshot the least, the age of audits the greatest. So sums over all tables are always right.",
        "",
        "## Alerts",
        "",
        "[deploy/prometheus](../deploy/prometheus/README.md) has rules for these conditions, with unit tests.",
        "",
        "| alert on | meaning |",
        "|---|---|",
        *(
            f"| {', '.join(f'`{part}`' for part in condition)}{more} | {meaning} |"
            for condition, more, meaning in ALERTS
        ),
        "",
        "## Unknown lag",
        "",
        "Rows, epochs and seconds of a group's lag are left out while the newest stored epoch is older than three",
        "heartbeats of capture. They are shown all the same when Kafka confirms that every published epoch was read.",
        "They then count what is published, however old that is.",
        "",
        "This page is written by `python -m api.metrics > docs/metrics.md`. A test compares the two.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 - this is how the page is written
