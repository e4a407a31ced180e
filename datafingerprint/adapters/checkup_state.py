"""Looks at the state store for `datafingerprint doctor`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.config import State
from datafingerprint.findings import Finding, Part

PART = Part("state store")


class StateCheckup:
    """Looks at the state store; one that is empty gets its tables, as from any other reader."""

    def __init__(self, state: State) -> None:
        self._url = state.url.get_secret_value()

    def findings(self, stream_id: str | None) -> Iterator[Finding]:
        """All that there is to say; `stream_id` is that of the epochs topic, None before the first epoch."""
        yield from PART.looked("reachable", lambda: self._all(stream_id))

    def _all(self, stream_id: str | None) -> Iterator[Finding]:
        with contextlib.closing(SqlStateStore(self._url)) as store:
            progress = store.progress()
        yield PART.ok("reachable", "it is of this version")
        if progress.stream_id in (None, stream_id):
            yield PART.ok("stream", f"its sums stand at epoch {progress.epoch}")
        else:
            said = f"its sums are of stream {progress.stream_id}, the epochs are of {stream_id or 'none'}"
            yield PART.problem("stream", said, "give [state] url another database, or restore the topics")
