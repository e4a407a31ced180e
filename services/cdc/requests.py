"""Which tables are to be read again, and whether they can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import structlog

from datafingerprint.errors import SourceError
from datafingerprint.remedies import ALL_TABLES
from datafingerprint.requests import Asked
from datafingerprint.schema import TableSchema
from services.cdc.stream import NOTHING_READ, Stream

Wanted = dict[str, str | None]
"""Tables to read again with their present definitions: each as a whole (None), or one partition of it."""


def take_up(
    stream: Stream,
    asked: Sequence[Asked],
    wanted: Wanted,
    present: Mapping[str, TableSchema],
    log: structlog.stdlib.BoundLogger,
) -> None:
    """Adds what requests name to what is wanted, and marks it; the next epoch says so, and what was refused."""
    for one in asked:
        stream.next_request = one.offset + 1
        try:
            name, partition = _readable(stream, one, wanted, present)
        except SourceError as error:
            stream.refused[one.offset] = str(error)
            log.warning("request refused", request=one.offset, reason=str(error))
            continue
        wanted[name] = partition
        log.info("request taken up", request=one.offset, table=name, partition=partition)
    mark(stream, wanted)


def widen(stream: Stream, wanted: Wanted) -> None:
    """Of a table that is not complete all is to be read, whatever was asked for: its other rows begin nowhere else.

    So it is after a run that was to read one partition and failed behind the epoch that says so.
    """
    for name in wanted:
        if name in stream.snapshots and not stream.snapshots[name].complete:
            wanted[name] = None


def take_all(wanted: Wanted, present: Iterable[str]) -> bool:
    """Puts the tables in the place of `*`; whether all tables that there are are wanted as a whole."""
    names = set(present)
    is_all = ALL_TABLES in wanted
    if is_all:
        wanted.clear()
        wanted.update(dict.fromkeys(names))
    return is_all or (bool(wanted) and names <= wanted.keys() and not any(wanted.values()))


def mark(stream: Stream, wanted: Iterable[str]) -> None:
    """From the next epoch on these tables are not complete."""
    for name in wanted:
        stream.snapshots[name] = NOTHING_READ


def _readable(
    stream: Stream, one: Asked, wanted: Mapping[str, str | None], present: Mapping[str, TableSchema]
) -> tuple[str, str | None]:
    request = one.request
    if request is None:
        raise SourceError("it cannot be read", where=f"request {one.offset}", remedy="use `datafingerprint resync`")
    if request.table not in wanted:
        require_readable(stream, {request.table: request.partition}, present)
        return request.table, request.partition
    # Two partitions of one table at once are the whole table.
    return request.table, request.partition if wanted[request.table] == request.partition else None


def require_readable(stream: Stream, wanted: Mapping[str, str | None], present: Mapping[str, TableSchema]) -> None:
    """Demands that each table is under watch, and has not changed where only one partition of it is to be read.

    Raises:
        SourceError: one is not, or has.
    """
    require_present(wanted, present)
    for name, partition in wanted.items():
        if partition is None:
            continue
        # One partition is read beside the others of the same definition, and only when these are whole.
        if not stream.snapshots[name].complete or present[name] != stream.watched[name].table:
            raise SourceError(
                f"{name} has changed or was never read to its end",
                where=f"{name} {partition}",
                remedy="read the whole table again, not one partition of it",
            )


def require_present(names: Iterable[str], present: Mapping[str, TableSchema]) -> None:
    """Demands that tables are there and under watch.

    Raises:
        SourceError: one is not.
    """
    missing = sorted(set(names) - set(present))
    if missing:
        raise SourceError(
            f"no table {missing[0]} is under watch",
            where="the source",
            remedy=f"there are: {', '.join(sorted(present)[:10])}",
        )
