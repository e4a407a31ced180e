"""What the fingerprinter keeps: sums of the source per epoch, sums of the lake per file, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from datafingerprint.changes import NO_TRUNCATION, Changes, last_truncation
from datafingerprint.digests import sums_by_partition
from datafingerprint.epochs import Epoch
from datafingerprint.field_ids import FieldIds
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.partitions import WHOLE, partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Verdict


@dataclass(frozen=True, slots=True)
class SumKey:
    """Which running sum of the source: a table's partition, as far as one Kafka partition carried it."""

    table: str
    partition: str
    kafka_partition: int


Sums = Mapping[SumKey, Fingerprint]


def apply_changes(
    sums: Mapping[SumKey, Fingerprint], kafka_partition: int, changes: Changes
) -> dict[SumKey, Fingerprint]:
    """The sums that consecutive changes alter, at their new values.

    A `t` starts every sum of the table in this Kafka partition again from nothing, or that of the one partition
    that it is about; only what follows the last one counts, so a reset cannot reach back over it.
    """
    table = changes.table.table
    if changes.partition is not None:
        return {SumKey(table, changes.partition, kafka_partition): ZERO}
    altered: dict[SumKey, Fingerprint] = {}
    last = last_truncation(changes)
    if last != NO_TRUNCATION:
        altered = {key: ZERO for key in sums if key.table == table and key.kafka_partition == kafka_partition}
        changes = Changes(changes.table, changes.version, changes.rows.slice(last + 1))
    for name, delta in net_sums(changes).items():
        key = SumKey(table, name, kafka_partition)
        altered[key] = altered.get(key, sums.get(key, ZERO)) + delta
    return altered


def net_sums(changes: Changes) -> dict[str, Fingerprint]:
    """What changes add to the sum of every partition that they touch: images put in place less those taken away."""
    parts = partitioning(changes.table)
    net = dict(sums_by_partition(changes.after, changes.table.columns, parts))
    for name, gone in sums_by_partition(changes.before, changes.table.columns, parts).items():
        net[name] = net.get(name, ZERO) - gone
    return net


@dataclass(frozen=True, slots=True)
class FileSums:
    """What was read back from one object of the lake.

    Attributes:
        path: Its full path.
        etag: Its ETag when it was read; empty when it could not be.
        octets: Its size in bytes.
        sums: Partition to what the file adds to its sum, by the rows' own values: its rows, each as often as the
            snapshot names the file.
        read_at: Unix time in seconds.
        unreadable: Why it cannot be read, or not by those who look for a partition's rows; empty when it can.
        filed: See `LakeFile.filed`, as the snapshot that was counted had it.
    """

    path: str
    etag: str
    octets: int
    sums: Mapping[str, Fingerprint]
    read_at: float
    unreadable: str = ""
    filed: tuple[str, ...] = (WHOLE,)

    @property
    def is_gone(self) -> bool:
        """Whether nothing could be read, for there is no such object."""
        return bool(self.unreadable) and not self.etag


@dataclass(frozen=True, slots=True)
class LakeTableState:
    """What is counted of one lake table.

    Attributes:
        table: Which one.
        snapshot_id: Its snapshot; None when it has none.
        epoch: The epoch that the snapshot was counted at.
        is_foreign: Whether somebody else made it.
        unreadable: See `SnapshotView.unreadable`.
        field_ids: See `SnapshotView.field_ids`: by these the files' columns were found.
    """

    table: str
    snapshot_id: int | None
    epoch: int
    is_foreign: bool
    unreadable: str
    field_ids: FieldIds | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the fingerprinter has come.

    Attributes:
        stream_id: The stream; None before the first epoch.
        epoch: The last epoch in the source sums.
        epochs_offset: Where the next epoch's record is looked for.
        lake_epoch: The epoch of the last lake commit that was judged; 0 before the first.
        lake_commits_offset: Where the next lake commit is looked for.
    """

    stream_id: str | None = None
    epoch: int = 0
    epochs_offset: int = 0
    lake_epoch: int = 0
    lake_commits_offset: int = 0


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A verdict as the store and the API hold it."""

    table: str
    partition: str
    epoch: int
    verdict: Verdict
    since: float
    """Unix time in seconds since when the outcome has been this one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts on one table at one epoch; partitions that are not named no longer exist on either side."""

    table: str
    epoch: int
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredEpoch:
    """An epoch with the rows and messages in it, without its offsets, for people and for the lag."""

    epoch: Epoch
    recorded_at: float


@dataclass(frozen=True, slots=True)
class Advance:
    """One atomic step of the source side: epochs, the sums they altered (with the epoch), definitions seen."""

    progress: Progress
    epochs: Sequence[Epoch]
    sums: Sequence[tuple[int, SumKey, Fingerprint]]
    definitions: Mapping[str, tuple[int, TableSchema]]
