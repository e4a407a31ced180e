"""How a stream starts: as a new one, or after its last epoch."""

from __future__ import annotations

from collections.abc import Mapping

from datafingerprint.epochs import READ_AGAIN, Epoch, SourcePosition
from datafingerprint.schema import TableSchema
from services.cdc.epoch_builder import CapturedTable
from services.cdc.set_aside import SetAside
from services.cdc.stream import Stream


def new_stream(stream_id: str, now: float) -> Stream:
    """A new stream, which has no table yet."""
    return Stream(
        stream_id=stream_id,
        number=0,
        position=SourcePosition("", "", 0),
        committed_at=now,
        snapshots={},
        captured={},
        unpublished={},
        version_last=0,
    )


def resume_stream(last: Epoch, definitions: Mapping[int, TableSchema]) -> Stream:
    """The stream after its last epoch. Tables that were set aside are retried at once.

    An earlier version could give two tables the same name. Such a table leaves the stream, and returns with its own.
    """
    captured = {
        table: CapturedTable(definitions[number], number)
        for table, number in last.versions.items()
        if definitions[number].table == table
    }
    return Stream(
        stream_id=last.stream_id,
        number=last.number,
        position=last.position,
        committed_at=last.committed_at,
        snapshots={table: cursor for table, cursor in last.snapshots.items() if table in captured},
        captured=captured,
        unpublished={},
        version_last=max(definitions, default=0),
        next_request=last.answers.next_offset,
        aside={
            name: SetAside(reason.removesuffix(READ_AGAIN), is_unsupported=False, due_at=0.0, is_touched=True)
            for name, reason in last.set_aside.items()
        },
        left_out={*last.set_aside},
    )
