"""Every metric of `/metrics`, in one list; `docs/metrics.md` is written from it.

All are gauges of what is stored: a scrape reads, it counts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.audits import audit_counts
from api.fingerprints import fingerprints
from api.models import AuditCounts, FingerprintsAnswer, Lag, LagAnswer, StatusAnswer, TableFingerprint, TablesAnswer
from api.ports import LagReader, StateView, Store
from api.status import KAFKA_OK, MessageLag, ask_kafka, lag, status, tables
from datafingerprint.adapters.state_values import Recorded
from datafingerprint.audits import AuditState
from datafingerprint.errors import DataFingerprintError
from datafingerprint.verdict import Outcome


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name with the unit last, its labels, and what it says."""

    name: str
    labels: tuple[str, ...]
    meaning: str


# Whether the service itself can tell anything.
STATE_UP = Metric("dfp_state_up", (), "1 when the state store can be read; the other metrics are left out otherwise.")
KAFKA_UP = Metric("dfp_kafka_up", (), "1 when Kafka told the offsets of the groups; the message lag is left out else.")

# The verdicts. Alert on dfp_partitions{verdict="mismatch"} > 0.
VERDICT = Metric("dfp_verdict", ("table", "verdict"), "1 for the verdict that a table has now, 0 for the others.")
PARTITIONS = Metric("dfp_partitions", ("table", "verdict"), "Partitions of a table that have this verdict.")

# The clock of both sides.
SOURCE_EPOCH = Metric("dfp_source_epoch", (), "The last epoch in the source's sums.")
LAKE_EPOCH = Metric("dfp_lake_epoch", (), "The epoch that the lake was compared at; 0 before the first.")
SOURCE_RECORDED_AGE = Metric(
    "dfp_source_recorded_age_seconds",
    (),
    "Time since the last epoch's sums were stored; it grows when capture or fingerprinter stand still.",
)
SOURCE_AGE = Metric(
    "dfp_source_age_seconds",
    (),
    "Time since the source committed the last that is summed up: how far capture and fingerprinter are behind it.",
)
COMPARED_AGE = Metric(
    "dfp_compared_age_seconds",
    (),
    "Time since the commit of the last source transaction that was compared: how fresh the verdicts are.",
)

# How much flows. A rate over the last minute, from the epochs that were stored in it.
EPOCH_RATE = Metric("dfp_epochs_per_second", (), "Epochs whose sums were stored, a second, over the last minute.")
ROW_RATE = Metric("dfp_changed_rows_per_second", (), "Changed rows in these epochs, a second, over the last minute.")
RATE_WINDOW_S = 60.0

# How far the lake and the fingerprinter are behind. Left out where it is not known.
LAG_MESSAGES = Metric("dfp_lag_messages", ("group",), "Messages in Kafka that a consumer group has not read.")
LAG_ROWS = Metric("dfp_lag_rows", ("group",), "Changed rows in epochs that a group has not reached.")
LAG_EPOCHS = Metric("dfp_lag_epochs", ("group",), "Epochs that a group has not reached.")
LAG_SECONDS = Metric(
    "dfp_lag_seconds",
    ("group",),
    "Age of the oldest published change that a group has not reached; 0: all that is published, not all of the source.",
)

# What is on both sides. Left out where it is not known.
SOURCE_ROWS = Metric("dfp_source_rows", ("table",), "Rows of the source at the table's epoch of comparison.")
LAKE_ROWS = Metric("dfp_lake_rows", ("table",), "Rows of the lake at the table's epoch of comparison.")
LAKE_FILES = Metric("dfp_lake_files", ("table",), "Live data files that are counted.")
LAKE_FILES_UNREADABLE = Metric("dfp_lake_unreadable_files", ("table",), "Live data files that could not be read back.")
LAKE_BYTES = Metric("dfp_lake_bytes", ("table",), "Size of the live data files.")
SNAPSHOT = Metric("dfp_snapshot_percent", ("table",), "Progress of a table's first reading; 100 when it is complete.")

# Audits: the source's own sums. Alert on dfp_audit_partitions{verdict="mismatch"} > 0.
AUDIT_PARTITIONS = Metric(
    "dfp_audit_partitions", ("table", "verdict"), "Partitions of a table whose last audit has this verdict."
)
AUDIT_AGE = Metric(
    "dfp_audit_age_seconds", ("table",), "Time since the partition was audited that was not for the longest time."
)
AUDITS = Metric("dfp_audits", ("state",), "Audits that are kept, by state: the last 1,000.")

METRICS = (
    STATE_UP,
    KAFKA_UP,
    VERDICT,
    PARTITIONS,
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
)

Sample = tuple[Metric, tuple[str, ...], float | None]
"""A value of a metric for its labels' values; None is left out, unknown is not 0."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What one scrape has read."""

    status: StatusAnswer
    lag: LagAnswer
    tables: TablesAnswer
    fingerprints: FingerprintsAnswer
    recorded: Recorded
    audited: Mapping[str, AuditCounts]
    audits: Mapping[AuditState, int]
    now: float


def observe(view: StateView, kafka: MessageLag, now: float, stale_s: float) -> Observed:
    """Reads all that a scrape shows."""
    return Observed(
        status(view, kafka, now, stale_s),
        lag(view, kafka, now, stale_s),
        tables(view),
        fingerprints(view),
        view.recorded_since(now - RATE_WINDOW_S),
        {
            name: audit_counts(list(found))
            for name, found in groupby(view.last_findings(), lambda one: one.finding.table)
        },
        view.audit_counts(),
        now,
    )


def render(store: Store, lag_reader: LagReader, now: float, stale_s: float) -> bytes:
    """The metrics in Prometheus' text format; a store that is away is told by `dfp_state_up`."""
    kafka = ask_kafka(lag_reader)
    try:
        with store.reading() as view:
            found = list(samples(observe(view, kafka, now, stale_s)))
    except DataFingerprintError:
        found = [(STATE_UP, (), 0), (KAFKA_UP, (), float(kafka.kafka == KAFKA_OK))]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Samples(found))
    return generate_latest(registry)


class _Samples(Collector):
    """Hands what was observed to prometheus-client, each metric with its help and all its values."""

    def __init__(self, found: Iterable[Sample]) -> None:
        self._found = list(found)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics in the order of the list."""
        for metric in METRICS:
            family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for of, labels, value in self._found:
                if of is metric and value is not None:
                    family.add_metric(labels, value)
            if family.samples:
                yield family


def samples(seen: Observed) -> Iterator[Sample]:
    """The values of every metric."""
    yield STATE_UP, (), 1
    yield KAFKA_UP, (), float(seen.lag.kafka == KAFKA_OK)
    yield SOURCE_EPOCH, (), seen.status.source_epoch or 0
    yield LAKE_EPOCH, (), seen.status.epoch or 0
    yield SOURCE_RECORDED_AGE, (), seen.status.recorded_age_s
    yield SOURCE_AGE, (), seen.status.source_age_s
    yield COMPARED_AGE, (), _age(seen.status.as_of, seen.now)
    yield EPOCH_RATE, (), seen.recorded.epochs / RATE_WINDOW_S
    yield ROW_RATE, (), seen.recorded.rows / RATE_WINDOW_S
    for group, values in seen.lag.groups.items():
        yield from _lag_samples(group, values)
    for item in seen.fingerprints.items:
        yield from _table_samples(item)
    yield from _lake_samples(seen.tables)
    yield from _audit_samples(seen)


def _age(at: datetime | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at.timestamp())


def _lag_samples(group: str, values: Lag) -> Iterator[Sample]:
    yield LAG_MESSAGES, (group,), values.messages
    yield LAG_ROWS, (group,), values.rows
    yield LAG_EPOCHS, (group,), values.epochs
    yield LAG_SECONDS, (group,), values.seconds


def _table_samples(item: TableFingerprint) -> Iterator[Sample]:
    for outcome in Outcome:
        yield VERDICT, (item.table, outcome.value), float(item.verdict == outcome.value)
        yield PARTITIONS, (item.table, outcome.value), sum(part.verdict == outcome.value for part in item.partitions)
    yield SOURCE_ROWS, (item.table,), item.source.rows if item.source else None
    yield LAKE_ROWS, (item.table,), item.lake.rows if item.lake else None


def _lake_samples(found: TablesAnswer) -> Iterator[Sample]:
    for item in found.items:
        if item.lake is not None:
            yield LAKE_FILES, (item.table,), item.lake.files
            yield LAKE_FILES_UNREADABLE, (item.table,), item.lake.unreadable
            yield LAKE_BYTES, (item.table,), item.lake.octets
        if item.snapshot is not None:
            yield SNAPSHOT, (item.table,), item.snapshot.percent


def _audit_samples(seen: Observed) -> Iterator[Sample]:
    for table, found in seen.audited.items():
        for outcome in Outcome:
            yield AUDIT_PARTITIONS, (table, outcome.value), getattr(found, outcome.value)
        yield AUDIT_AGE, (table,), _age(found.oldest, seen.now)
    for state, count in seen.audits.items():
        yield AUDITS, (state.value,), count


def document() -> str:
    """The text of `docs/metrics.md`."""
    lines = [
        "# Metrics",
        "",
        "`GET /metrics` answers in Prometheus' text format. Every metric is a gauge of what is stored; reading it",
        "touches neither the warehouse nor the lake. A value that is not known is left out, it is never 0.",
        "",
        "| metric | labels | meaning |",
        "|---|---|---|",
        *(
            f"| `{metric.name}` | {', '.join(f'`{label}`' for label in metric.labels) or '-'} | {metric.meaning} |"
            for metric in METRICS
        ),
        "",
        "Alert on",
        "",
        '* `sum(dfp_partitions{verdict="mismatch"}) > 0`: the lake differs from what capture published.',
        '* `sum(dfp_audit_partitions{verdict="mismatch"}) > 0`: the source differs from it.',
        '* `sum(dfp_partitions{verdict="inconclusive"}) > 0` for longer than a first reading takes.',
        "* `dfp_state_up == 0`; `dfp_kafka_up == 0`.",
        "* `dfp_source_recorded_age_seconds` above a minute: capture or fingerprinter stand still: an idle source",
        "  still gives an epoch every 10 s (`cdc.heartbeat_s`).",
        "* `dfp_source_age_seconds` above some minutes: they run, but are that far behind the source.",
        "* `dfp_compared_age_seconds` above some minutes: nothing newer was compared, whoever stands still.",
        '* `dfp_lag_seconds{group="dfp-lake-writer"}` above twelve times `lake.flush_s` (a minute): the lake writer',
        "  is behind, or stands still. A commit of millions of rows takes minutes.",
        "* `dfp_audit_age_seconds` above twice `audit.every_s`.",
        "",
        "While the last three heartbeats' changes are not summed up, rows, epochs and seconds of a group's lag are",
        "left out unless Kafka says that all epochs were read: then they count what is published, however old that is.",
        "",
        "This page is written by `python -m api.metrics > docs/metrics.md`; a test compares them.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 - this is how the page is written
