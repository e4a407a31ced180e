"""Which tables are followed, which come under watch, and which leave it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from datafingerprint.choice import Choice
from datafingerprint.errors import Stop, Unavailable
from datafingerprint.ports import Choices, Source
from datafingerprint.schema import TableSchema
from services.cdc.stream import NOTHING_READ, Stream


def watching(source: Source, stream: Stream, without: frozenset[str]) -> Callable[[str], bool]:
    """Tells whether a table (`schema.table`) of the log is followed.

    What it returns raises `Unavailable` for a table that comes under watch: it is to be read first.

    Args:
        source: Asked for tables that are not in the stream.
        stream: The tables that are.
        without: Those of them that are passed over.
    """

    def is_watched(table: str) -> bool:
        if table in stream.watched:
            return table not in without
        # One that was made and dropped again before it was ever seen leaves nothing to keep.
        if source.is_watched(table) and any(one.table == table for one in source.tables()):
            raise Unavailable(f"table {table} came under watch, and is to be read first", where=stream.position.file)
        return False

    return is_watched


def come(stream: Stream, present: Mapping[str, TableSchema], log: structlog.stdlib.BoundLogger) -> None:
    """Puts tables that are there and not in the stream under watch; they are to be read first."""
    for name in sorted(set(present) - set(stream.watched)):
        stream.define(present[name])
        stream.snapshots[name] = NOTHING_READ
        log.info("table came under watch", table=name)


def take_up_choice(source: Source, choices: Choices, choice: Choice, stream: Stream) -> None:
    """Has the source follow another choice of tables, if it is fit; otherwise the present one stays, and that is said.

    Raises:
        Unavailable: the source is away; the choice waits.
    """
    wanted = choice.beside(choices.in_force, stream.watched)
    try:
        source.choose(wanted)
    except Stop as error:
        choices.refuse(error)
    else:
        choices.take(wanted)


def gone(source: Source, stream: Stream, present: Mapping[str, TableSchema]) -> tuple[str, ...]:
    """Tables that the settings no longer choose, and those that were dropped before they could be read."""
    unwatched = {name for name in stream.watched if not source.is_watched(name)}
    return tuple(sorted(unwatched.union(name for name in stream.incomplete if name not in present)))


def require_chosen(source: Source, log: structlog.stdlib.BoundLogger, *, is_begun: bool) -> None:
    """What the settings name must be there when a stream begins; later a table may have been dropped.

    Raises:
        Stop: the stream begins, and something is not there.
    """
    try:
        source.require_chosen()
    except Stop as error:
        if is_begun:
            raise
        log.warning("settings name what the source has not", reason=str(error))
