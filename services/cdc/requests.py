"""Which tables are to be read again, and whether they can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import structlog

from datafingerprint.captured import captured_tables_are, not_captured
from datafingerprint.errors import SourceError
from datafingerprint.recovery import ALL_TABLES
from datafingerprint.resync import PendingRequest
from datafingerprint.schema import TableSchema
from services.cdc.stream import NOTHING_READ, Stream

ResyncTargets = dict[str, str | None]
"""Tables to read again with their present definitions: each as a whole (None), or one partition of it."""


def take_up(
    stream: Stream,
    requests: Sequence[PendingRequest],
    targets: ResyncTargets,
    present: Mapping[str, TableSchema],
    log: structlog.stdlib.BoundLogger,
) -> None:
    """Adds requested tables to the targets, and marks them.

    The next epoch records that, and refused requests.
    """
    for pending in requests:
        stream.next_request = pending.offset + 1
        try:
            name, partition = _target(stream, pending, targets, present)
        except SourceError as error:
            stream.refused[pending.offset] = str(error)
            log.warning("request refused", request=pending.offset, reason=str(error))
            continue
        targets[name] = partition
        log.info("request taken up", request=pending.offset, table=name, partition=partition)
    mark(stream, targets)


def widen(stream: Stream, targets: ResyncTargets) -> None:
    """Targets all of an incomplete table, even if one partition was requested.

    Its other rows are not read yet. A table is incomplete after a run that was to read one partition, and failed once
    an epoch had recorded that.
    """
    for name in targets:
        if name in stream.snapshots and not stream.snapshots[name].complete:
            targets[name] = None


def expand_all(targets: ResyncTargets, present: Iterable[str]) -> bool:
    """Expands `*` to all captured tables.

    Returns:
        True if every captured table is read again as a whole.
    """
    names = set(present)
    is_all = ALL_TABLES in targets
    if is_all:
        targets.clear()
        targets.update(dict.fromkeys(names))
    return is_all or (bool(targets) and names <= targets.keys() and not any(targets.values()))


def mark(stream: Stream, targets: Iterable[str]) -> None:
    """Marks tables as incomplete from the next epoch on. Those that were set aside are retried."""
    for name in targets:
        if name in stream.captured:
            stream.snapshots[name] = NOTHING_READ
        if name in stream.aside:
            stream.aside[name].is_retried = True


def _target(
    stream: Stream, pending: PendingRequest, targets: Mapping[str, str | None], present: Mapping[str, TableSchema]
) -> tuple[str, str | None]:
    """The table and partition of a request.

    Raises:
        SourceError: they cannot be read again.
    """
    request = pending.request
    if request is None:
        raise SourceError(
            "the request cannot be decoded", where=f"request {pending.offset}", remedy="use `datafingerprint resync`"
        )
    if request.table not in targets:
        require_readable(stream, {request.table: request.partition}, present)
        return request.table, request.partition
    # Requests for two partitions of one table become one of the whole table.
    return request.table, request.partition if targets[request.table] == request.partition else None


def require_readable(stream: Stream, targets: Mapping[str, str | None], present: Mapping[str, TableSchema]) -> None:
    """Requires tables to be captured, and unchanged where only one partition is to be read.

    Raises:
        SourceError: a table is not captured, or has changed.
    """
    require_present(stream, targets, present)
    for name, partition in targets.items():
        if partition is None:
            continue
        # The other partitions are not read, so they have to be complete and of the same definition.
        if not stream.is_followed(name) or present[name] != stream.captured[name].table:
            raise SourceError(
                f"{name} has changed, or was never read completely",
                where=f"{name} {partition}",
                remedy="read the whole table again, not one partition of it",
            )


def require_present(stream: Stream, names: Iterable[str], present: Mapping[str, TableSchema]) -> None:
    """Requires tables to be captured and not set aside.

    Raises:
        SourceError: a table is not.
    """
    missing = sorted(set(names) - set(present))
    if missing and missing[0] in stream.aside:
        raise SourceError(f"{missing[0]} is set aside", where="the source", remedy=stream.aside[missing[0]].reason)
    if missing:
        raise SourceError(not_captured(missing[0]), where="the source", remedy=captured_tables_are(present))
