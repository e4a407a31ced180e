"""The fingerprinter's state: source sums per epoch, lake sums per file, and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from datafingerprint.cascades import Suspicions
from datafingerprint.changes import NO_TRUNCATION, Changes, last_truncation
from datafingerprint.digests import sums_by_partition
from datafingerprint.epoch_chain import EpochMark
from datafingerprint.epochs import Epoch
from datafingerprint.field_ids import FieldIds
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.partitions import WHOLE, partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Verdict


@dataclass(frozen=True, slots=True)
class SumKey:
    """The key of a running sum: a table's partition, as far as one Kafka partition carried it."""

    table: str
    partition: str
    kafka_partition: int


Sums = Mapping[SumKey, Fingerprint]


@dataclass(frozen=True, slots=True)
class StoredSketch:
    """A sketch as it is stored; see `Sketch.to_bytes`.

    Attributes:
        form: `SketchForm.text`, of the form that its rows were added in; empty where there is no sketch.
        cells: The cells; empty where there is no sketch.
    """

    form: str
    cells: bytes


NO_SKETCH = StoredSketch("", b"")


@dataclass(frozen=True, slots=True)
class SketchStep:
    """What one epoch changes in a sketch of the source.

    Attributes:
        epoch: The epoch's number.
        key: Which sum the sketch belongs to.
        change: What is added to the sketch.
        starts: Whether the sketch starts from nothing with this epoch; with `NO_SKETCH` it ends.
    """

    epoch: int
    key: SumKey
    change: StoredSketch
    starts: bool


def apply_changes(
    sums: Mapping[SumKey, Fingerprint],
    kafka_partition: int,
    changes: Changes,
    by_partition: Callable[[Changes], Mapping[str, Fingerprint]] | None = None,
) -> dict[SumKey, Fingerprint]:
    """The sums that consecutive changes alter, with their new values.

    A `t` resets every sum of the table in this Kafka partition, or that of the one partition that it names. Only
    changes after the last `t` count.

    Args:
        sums: The sums before.
        kafka_partition: The Kafka partition that carried the changes.
        changes: The changes.
        by_partition: Replaces `net_sums`. It is given the changes that count.
    """
    table = changes.table.table
    if changes.partition is not None:
        return {SumKey(table, changes.partition, kafka_partition): ZERO}
    altered: dict[SumKey, Fingerprint] = {}
    last = last_truncation(changes)
    if last != NO_TRUNCATION:
        altered = {key: ZERO for key in sums if key.table == table and key.kafka_partition == kafka_partition}
        changes = Changes(changes.table, changes.version, changes.rows.slice(last + 1))
    for name, delta in (by_partition or net_sums)(changes).items():
        key = SumKey(table, name, kafka_partition)
        altered[key] = altered.get(key, sums.get(key, ZERO)) + delta
    return altered


def net_sums(changes: Changes) -> dict[str, Fingerprint]:
    """What changes add to each partition's sum: added rows less removed rows."""
    parts = partitioning(changes.table)
    net = dict(sums_by_partition(changes.after, changes.table.columns, parts))
    for name, removed in sums_by_partition(changes.before, changes.table.columns, parts).items():
        net[name] = net.get(name, ZERO) - removed
    return net


@dataclass(frozen=True, slots=True)
class FileSums:
    """The sums of one object of the lake, as read back.

    Attributes:
        path: Its full path.
        etag: Its ETag when it was read; empty if it could not be read.
        size_bytes: Its size in bytes.
        sums: Partition to the sum of the file's rows in it, by the rows' own values. Each row counts as often as the
            snapshot names the file.
        read_at: Unix time in seconds.
        unreadable: Why it cannot be read, or not by engines that look for a partition's rows; empty if it can.
        partitions: See `LakeFile.partitions`, of the counted snapshot.
        sketches: The sketches of the same rows by partition, to be stored. They are not read from the store.
    """

    path: str
    etag: str
    size_bytes: int
    sums: Mapping[str, Fingerprint]
    read_at: float
    unreadable: str = ""
    partitions: tuple[str, ...] = (WHOLE,)
    sketches: Mapping[str, StoredSketch] = field(default_factory=dict, compare=False)

    @property
    def is_gone(self) -> bool:
        """Whether the object does not exist."""
        return bool(self.unreadable) and not self.etag


@dataclass(frozen=True, slots=True)
class LakeTableState:
    """The counted state of one lake table.

    Attributes:
        table: `schema.table`.
        snapshot_id: Its snapshot; None if it has none.
        epoch: The epoch that the snapshot was counted at.
        is_foreign: Whether another writer made the snapshot.
        unreadable: See `SnapshotView.unreadable`.
        field_ids: See `SnapshotView.field_ids`; the files' columns were matched by these.
        set_aside: Why the last lake commit has the table set aside (`LakeCommit.set_aside`), or empty.
    """

    table: str
    snapshot_id: int | None
    epoch: int
    is_foreign: bool
    unreadable: str
    field_ids: FieldIds | None = None
    set_aside: str = ""


@dataclass(frozen=True, slots=True)
class LakeCount:
    """What a new count of a lake table changes in the store.

    Attributes:
        state: What is counted of the table from now on.
        added: Files that are counted. A path that is known already replaces what was known of it.
        removed: Paths that are no longer counted.
    """

    state: LakeTableState
    added: Sequence[FileSums] = ()
    removed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class TableSums:
    """Both sides of a table by partition, and the reasons of partitions with unreadable files."""

    source: Mapping[str, Fingerprint]
    lake: Mapping[str, Fingerprint]
    unreadable: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Progress:
    """The fingerprinter's progress.

    Attributes:
        stream_id: The stream; None before the first epoch.
        epoch: The last epoch in the source sums.
        epochs_offset: The offset from which the next epoch is read.
        lake_epoch: The epoch of the last compared lake commit; 0 before the first.
        lake_commits_offset: The offset from which the next lake commit is read.
        epoch_digest: `EpochMark.digest` of the last epoch.
    """

    stream_id: str | None = None
    epoch: int = 0
    epochs_offset: int = 0
    lake_epoch: int = 0
    lake_commits_offset: int = 0
    epoch_digest: str = ""

    @property
    def mark(self) -> EpochMark | None:
        """The last epoch in the source sums; None before the first."""
        return None if self.stream_id is None else EpochMark(self.stream_id, self.epoch, self.epoch_digest)


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A verdict in the state store."""

    table: str
    partition: str
    epoch: int
    verdict: Verdict
    since: float
    """Unix time in seconds since which the outcome has not changed."""


@dataclass(frozen=True, slots=True)
class TableVerdicts:
    """The verdicts on one table at one epoch. Other partitions no longer exist on either side."""

    table: str
    epoch: int
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredEpoch:
    """A stored epoch: its rows and messages for people and for the lag, without its offsets."""

    epoch: Epoch
    recorded_at: float


@dataclass(frozen=True, slots=True)
class Advance:
    """One atomic step of the source side: epochs, altered sums (with the epoch), definitions.

    Attributes:
        sketches: What the epochs change in the sketches.
    """

    progress: Progress
    epochs: Sequence[Epoch]
    sums: Sequence[tuple[int, SumKey, Fingerprint]]
    definitions: Mapping[str, tuple[int, TableSchema]]
    suspicions: Suspicions = field(default_factory=Suspicions)
    sketches: Sequence[SketchStep] = ()
