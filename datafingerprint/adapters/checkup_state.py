"""Looks at the state store for `datafingerprint doctor`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from datafingerprint import wire
from datafingerprint.adapters.checkup_kafka import Stream
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.config import State
from datafingerprint.findings import Finding, Part
from datafingerprint.remedies import OTHER_LAKE

PART = Part("state store")


class StateCheckup:
    """Looks at the state store; one that is empty gets its tables, as from any other reader."""

    def __init__(self, state: State) -> None:
        self._url = state.url.get_secret_value()

    def findings(self, stream: Stream | None) -> Iterator[Finding]:
        """All that there is to say; `stream` is what the control topics say, None when they could not be read."""
        yield from PART.looked("reachable", lambda: self._all(stream))

    def _all(self, stream: Stream | None) -> Iterator[Finding]:
        with contextlib.closing(SqlStateStore(self._url)) as store:
            progress = store.progress()
        yield PART.ok("reachable", "it is of this version")
        stream_id = stream.last.stream_id if stream is not None and stream.last else None
        if stream is None or progress.stream_id in (None, stream_id):
            yield PART.ok("stream", f"its sums stand at epoch {progress.epoch}")
        elif stream_id is None:
            yield PART.refused("stream", wire.lost_epochs("the store", progress.stream_id, progress.epoch))
        else:
            said = f"its sums are of stream {progress.stream_id}, the epochs are of {stream_id}"
            yield PART.problem("stream", said, f"give the new stream another {OTHER_LAKE}, or restore the topics")
