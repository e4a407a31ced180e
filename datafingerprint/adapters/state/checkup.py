"""Looks at the state store for `datafingerprint doctor`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from datafingerprint import wire
from datafingerprint.adapters.kafka.checkup import Stream
from datafingerprint.adapters.runtime.checkup_files import database_file, is_to_be_made, made_later, written
from datafingerprint.adapters.state.audit_schedule import SCHEDULE_TABLES
from datafingerprint.adapters.state.incident_tables import INCIDENT_TABLES
from datafingerprint.adapters.state.scans import SCAN_TABLES
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.adapters.state.tables import SCHEMA_VERSION, VERSIONS_BEFORE
from datafingerprint.adapters.state.tokens import TOKEN_TABLES
from datafingerprint.checkup import CheckResult, Component
from datafingerprint.config import State
from datafingerprint.ledger import Progress
from datafingerprint.recovery import OTHER_LAKE

PART = Component("state store")


class StateCheckup:
    """Looks at the state store; it makes nothing, not even an empty file."""

    def __init__(self, state: State) -> None:
        self._url = state.database.get_secret_value()

    def findings(self, stream: Stream | None) -> Iterator[CheckResult]:
        """Gives all results.

        Args:
            stream: What the control topics say; None if they could not be read.
        """
        yield from PART.looked("reachable", lambda: self._all(stream))

    def _all(self, stream: Stream | None) -> Iterator[CheckResult]:
        file = database_file(self._url)
        if file is not None and is_to_be_made(file):
            yield from made_later(PART, file, "the first service that needs it")
            return
        yield from written(PART, file)
        with contextlib.closing(SqlStateStore(self._url)) as store:
            others = [*SCHEDULE_TABLES, *SCAN_TABLES, *INCIDENT_TABLES, *TOKEN_TABLES]
            version, lacking = store.version(), store.lacking_grant(others)
            if lacking:
                yield PART.problem("privileges", "the account may not do all that services do", lacking)
            elif version is None or version in VERSIONS_BEFORE:
                reason = "it is empty" if version is None else f"it is of version {version}"
                yield PART.ok(
                    "reachable", f"{reason}: the first service that starts makes the tables of {SCHEMA_VERSION}"
                )
            else:
                yield from _belonging(store.progress(), stream)


def _belonging(progress: Progress, stream: Stream | None) -> Iterator[CheckResult]:
    """Whether the sums are of the stream that the control topics hold."""
    yield PART.ok("reachable", "it is of this version")
    stream_id = stream.last.stream_id if stream is not None and stream.last else None
    if stream is None or progress.stream_id in (None, stream_id):
        yield PART.ok("stream", f"its sums are at epoch {progress.epoch}")
    elif stream_id is None:
        yield PART.refused("stream", wire.lost_epochs("the store", progress.stream_id, progress.epoch))
    else:
        reason = f"its sums are of stream {progress.stream_id}, the epochs are of {stream_id}"
        yield PART.problem("stream", reason, f"give the new stream another {OTHER_LAKE}, or restore the topics")
