"""The stamp in a snapshot's summary: its stream, epoch and source position."""

from __future__ import annotations

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import LakeTableError
from datafingerprint.ports.lake import Stamp

STREAM_ID = "dfp.stream-id"
EPOCH = "dfp.epoch"
GTID = "dfp.gtid"
FILE = "dfp.file"
POS = "dfp.pos"
DIGEST = "dfp.epoch-digest"


def stamp_properties(stamp: Stamp) -> dict[str, str]:
    """The snapshot properties of a stamp."""
    return {
        STREAM_ID: stamp.stream_id,
        EPOCH: str(stamp.epoch),
        GTID: stamp.position.gtid,
        FILE: stamp.position.file,
        POS: str(stamp.position.pos),
        **({DIGEST: stamp.digest} if stamp.digest else {}),
    }


def stamp_of(snapshot: Snapshot) -> Stamp | None:
    """The stamp of this snapshot; None if another writer made it.

    Raises:
        LakeTableError: properties of the stamp are missing or invalid.
    """
    summary = snapshot.summary.additional_properties if snapshot.summary else {}
    if STREAM_ID not in summary:
        return None
    try:
        position = SourcePosition(summary[GTID], summary[FILE], int(summary[POS]))
        return Stamp(summary[STREAM_ID], int(summary[EPOCH]), position, summary.get(DIGEST, ""))
    except (KeyError, ValueError) as error:
        where = f"snapshot {snapshot.snapshot_id}"
        raise LakeTableError(
            "a stamp is damaged", where=where, remedy="roll the table back to an older snapshot"
        ) from error


def nearest_stamp(metadata: TableMetadata, snapshot: Snapshot | None) -> Stamp | None:
    """The stamp of a snapshot or of its nearest stamped ancestor that has not expired."""
    stamped = nearest_stamped(metadata, snapshot)
    return None if stamped is None else stamp_of(stamped)


def nearest_stamped(metadata: TableMetadata, snapshot: Snapshot | None) -> Snapshot | None:
    """A snapshot itself if it is stamped, or its nearest stamped ancestor that has not expired."""
    while snapshot is not None and stamp_of(snapshot) is None:
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else metadata.snapshot_by_id(parent)
    return snapshot
