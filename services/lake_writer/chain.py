"""Checks that the lake's stamps and the epochs topic are of one chain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from datafingerprint.epoch_chain import EpochMark, lost_epoch
from datafingerprint.epochs import Epoch
from datafingerprint.ports.lake import Stamp


def require_same_chain(epochs: Iterable[Epoch], stamps: Mapping[str, Stamp | None]) -> None:
    """Checks epochs against the stamps of tables that were opened since the last commit.

    A crash leaves tables ahead of the last lake commit. Without this check they would pass over the changes
    of other epochs with these numbers.

    Args:
        epochs: The epochs that were read.
        stamps: The present stamps by table.

    Raises:
        WireError: a table has an epoch that the topic does not hold any more.
    """
    digests = {epoch.number: epoch.mark.digest for epoch in epochs}
    for name, stamp in sorted(stamps.items()):
        if stamp is not None and stamp.digest and digests.get(stamp.epoch, stamp.digest) != stamp.digest:
            state = f"as the lake table {name} shows; the topic holds another epoch of this number"
            raise lost_epoch(EpochMark(stamp.stream_id, stamp.epoch, stamp.digest), state)
