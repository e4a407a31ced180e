"""Which tables are followed, which are added to the stream, and which leave it."""

from __future__ import annotations

import structlog

from datafingerprint.errors import SourceError, Stop, TableDeniedError
from datafingerprint.ports.source import Source, Survey, TableFilters, Visibility
from datafingerprint.table_filter import TableFilter
from services.cdc.stream import Stream


class TableSelector:
    """Selects the tables of the binlog that are followed, and notes new ones.

    Args:
        source: Queried about tables that the stream does not know.
        stream: The known tables.
        without: Tables that are passed over.
    """

    def __init__(self, source: Source, stream: Stream, without: frozenset[str]) -> None:
        self._source = source
        self._stream = stream
        self._without = without

    def is_followed(self, table: str) -> bool:
        """Whether a table's rows are published. A new table's rows start with its snapshot."""
        stream = self._stream
        if table in self._without:
            return False
        aside = stream.aside.get(table)
        if aside is not None:
            aside.is_touched = True
            return False
        if table in stream.captured:
            return table not in stream.left_out
        is_new = table not in stream.newcomers and self._source.is_captured(table)
        # A table that was dropped before it was ever seen leaves nothing to read.
        if is_new and self._source.visibility(table) is not Visibility.GONE:
            stream.note_newcomers([table])
            stream.needs_survey = True
        return False

    def is_relevant(self, table: str) -> bool:
        """Whether statements about a table matter: it is followed, or waits to be read."""
        is_followed = self.is_followed(table)
        return is_followed or (table not in self._without and self._stream.is_known(table))


def add_new_tables(
    source: Source, stream: Stream, survey: Survey, now: float, log: structlog.stdlib.BoundLogger
) -> None:
    """Applies a survey to the stream: adds new tables, sets tables aside, retries others."""
    for name in sorted((stream.newcomers | stream.in_doubt) - survey.tables.keys() - survey.errors.keys()):
        if source.visibility(name) is Visibility.DENIED:
            stream.set_aside(name, source.denied(name), now, log, is_unsupported=True)
    stream.newcomers = frozenset()
    stream.needs_survey = False
    for name, error in survey.errors.items():
        # A table that is followed needs no reading. The binlog shows when its definition changes.
        if not (isinstance(error, TableDeniedError) and stream.is_followed(name)):
            stream.set_aside(name, error, now, log, is_unsupported=True)
    for name, aside in stream.aside.items():
        if name in survey.tables and (aside.is_unsupported or aside.is_due(now)):
            aside.is_retried = True
    for name in sorted(survey.tables.keys() - stream.captured.keys() - stream.arriving):
        if name not in stream.aside or stream.aside[name].is_retried:
            stream.arriving.add(name)
            log.info("table is captured from now on", table=name)


def recheck_unsupported(source: Source, stream: Stream, now: float, log: structlog.stdlib.BoundLogger) -> None:
    """Surveys the tables whose definition was not supported, all in one query."""
    names = [name for name, aside in stream.aside.items() if aside.is_unsupported and not aside.is_retried]
    if not names:
        return
    survey = with_same_fields(source.survey(names), stream)
    for name, error in survey.errors.items():
        stream.set_aside(name, error, now, log, is_unsupported=True)
    if survey.tables:
        stream.needs_survey = True


def with_same_fields(survey: Survey, stream: Stream) -> Survey:
    """A survey in which tables with other partition fields than the stream's are unsupported.

    The lake table keeps its partition fields, so it would differ from such a table for good.
    """
    unsupported = dict(survey.errors)
    for name, table in survey.tables.items():
        known = stream.captured.get(name)
        if known is not None and table.partition != known.table.partition:
            unsupported[name] = SourceError(
                f"its partition fields were {list(known.table.partition)} and are {list(table.partition)}",
                where=f"[tables] {name}",
                remedy="set them back. To keep the new ones: take the table out of [source] tables and start again. "
                "When the lake writer logs that the table left, drop its lake table and choose it again",
            )
    supported = {name: table for name, table in survey.tables.items() if name not in unsupported}
    return Survey(supported, unsupported, survey.unmatched)


def apply_table_filter(source: Source, table_filters: TableFilters, waiting: TableFilter, stream: Stream) -> None:
    """Has the source use another choice of tables.

    If it is invalid, the present one stays, and that is logged.

    Raises:
        Unavailable: the source is away; the choice waits.
    """
    table_filter = waiting.keep_settings(table_filters.in_force, stream.captured)
    try:
        source.choose(table_filter)
    except Stop as error:
        table_filters.refuse(error)
    else:
        table_filters.take(table_filter)


def removed_tables(source: Source, stream: Stream, survey: Survey) -> tuple[str, ...]:
    """Tables that are no longer chosen, and those that were dropped before they were read."""
    unchosen = {name for name in {*stream.captured, *stream.aside} if not source.is_captured(name)}
    present = survey.tables.keys() | survey.errors.keys()
    dropped = {name for name in stream.incomplete if name not in present}
    # A table that is set aside may have been dropped unnoticed. One that may not be read is not in the survey.
    unseen = stream.in_doubt - present - dropped - unchosen
    dropped |= {name for name in unseen if source.visibility(name) is Visibility.GONE}
    return tuple(sorted(unchosen | dropped))
