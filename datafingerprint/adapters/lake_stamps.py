"""The stamp in a snapshot's summary: which stream wrote it, and which epoch the table reached with it."""

from __future__ import annotations

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import LakeError
from datafingerprint.ports import Stamp

STREAM_ID = "dfp.stream-id"
EPOCH = "dfp.epoch"
GTID = "dfp.gtid"
FILE = "dfp.file"
POS = "dfp.pos"


def stamp_properties(stamp: Stamp) -> dict[str, str]:
    """A stamp as the properties of a snapshot."""
    return {
        STREAM_ID: stamp.stream_id,
        EPOCH: str(stamp.epoch),
        GTID: stamp.position.gtid,
        FILE: stamp.position.file,
        POS: str(stamp.position.pos),
    }


def stamp_of(snapshot: Snapshot) -> Stamp | None:
    """The stamp of this very snapshot; None when somebody else made it.

    Raises:
        LakeError: it has some of a stamp's properties, but not whole ones.
    """
    summary = snapshot.summary.additional_properties if snapshot.summary else {}
    if STREAM_ID not in summary:
        return None
    try:
        position = SourcePosition(summary[GTID], summary[FILE], int(summary[POS]))
        return Stamp(summary[STREAM_ID], int(summary[EPOCH]), position)
    except (KeyError, ValueError) as error:
        where = f"snapshot {snapshot.snapshot_id}"
        raise LakeError("a stamp is damaged", where=where, remedy="roll the table back to an older snapshot") from error


def nearest_stamp(metadata: TableMetadata, snapshot: Snapshot | None) -> Stamp | None:
    """The stamp of a snapshot, or of its nearest ancestor that has one and has not expired."""
    stamped = nearest_stamped(metadata, snapshot)
    return None if stamped is None else stamp_of(stamped)


def nearest_stamped(metadata: TableMetadata, snapshot: Snapshot | None) -> Snapshot | None:
    """A snapshot itself, or its nearest ancestor that has not expired, that has a stamp."""
    while snapshot is not None and stamp_of(snapshot) is None:
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else metadata.snapshot_by_id(parent)
    return snapshot
