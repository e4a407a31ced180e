"""The epoch that the state store has reached, for capture: it makes and migrates nothing."""

from __future__ import annotations

import contextlib

from datafingerprint.adapters.runtime.checkup_files import database_file, is_to_be_made
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.adapters.state.tables import SCHEMA_VERSION
from datafingerprint.epoch_chain import KnownEpoch


def known_epoch(url: str) -> KnownEpoch | None:
    """The last epoch in the state store's sums.

    Returns:
        None if there is no store yet, if it has no epoch, or if it is of another version.

    Raises:
        Unavailable: the store is away.
        StateError: it is damaged, or may not be read.
    """
    if is_to_be_made(database_file(url)):
        return None
    with contextlib.closing(SqlStateStore(url)) as store:
        if store.version() != SCHEMA_VERSION:
            return None
        progress = store.progress()
    return None if progress.mark is None else KnownEpoch("the state store", progress.mark, progress.epochs_offset)
