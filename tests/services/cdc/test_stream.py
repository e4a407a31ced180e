"""A table that cannot be captured is set aside alone, retried, and returns."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs

from datafingerprint.cascades import Cascades, ForeignKey
from datafingerprint.changes import Op
from datafingerprint.column_types import column
from datafingerprint.epochs import READ_AGAIN, Epoch, SnapshotCursor, SourcePosition
from datafingerprint.errors import DecodeError, SourceError
from datafingerprint.resync import PendingRequest, ResyncRequest
from datafingerprint.schema import TableSchema
from services.cdc.captured_tables import (
    TableSelector,
    add_new_tables,
    recheck_unsupported,
    removed_tables,
    with_same_fields,
)
from services.cdc.requests import take_up
from services.cdc.set_aside import reason_of, rest_s
from services.cdc.stream import Stream
from services.cdc.stream_start import new_stream, resume_stream
from tests.services.cdc.memory import FakeSource

COLUMNS = (
    column("id", "int(11)", nullable=False, charset=None),
    column("league_id", "int(11)", nullable=False, charset=None),
)
GOOD, BAD = "s.good", "s.bad"
ZERO_DATE = DecodeError("a zero date stands in a key", remedy="fix it")
MYISAM = SourceError("it is a base table in MyISAM", remedy="ALTER it")


def table(name: str, *partition: str) -> TableSchema:
    return TableSchema("s", name, COLUMNS, ("id",), partition=partition)


@pytest.fixture
def log() -> structlog.stdlib.BoundLogger:
    made: structlog.stdlib.BoundLogger = structlog.get_logger()
    return made


@pytest.fixture
def source() -> FakeSource:
    return FakeSource({GOOD: table("good"), BAD: table("bad")})


@pytest.fixture
def stream(source: FakeSource, log: structlog.stdlib.BoundLogger) -> Stream:
    """Both tables are followed."""
    made = new_stream("one", 0.0)
    survey(source, made, log)
    read(made, log)
    return made


def survey(source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger, now: float = 0.0) -> None:
    add_new_tables(source, stream, with_same_fields(source.survey(), stream), now, log)  # type: ignore[arg-type]


def read(stream: Stream, log: structlog.stdlib.BoundLogger, now: float = 0.0) -> list[str]:
    """Reads the incomplete tables."""
    names = stream.incomplete
    stream.start_snapshot(names, {GOOD: table("good"), BAD: table("bad")} | {name: table(name[2:]) for name in names})
    stream.finish_snapshot(names, now, 30.0, log)
    return names


def selector(source: FakeSource, stream: Stream, *without: str) -> TableSelector:
    return TableSelector(source, stream, frozenset(without))  # type: ignore[arg-type]


def never(table: str) -> bool:  # noqa: ARG001 - the settings select nothing
    return False


def test_a_table_whose_rows_cannot_be_decoded_is_left_out_and_the_other_goes_on(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    with capture_logs() as lines:
        stream.set_aside(BAD, ZERO_DATE, 1.0, log)
        stream.set_aside(BAD, ZERO_DATE, 2.0, log)
    assert [line["event"] for line in lines] == ["table set aside"]  # once
    assert stream.reasons == {BAD: "a zero date stands in a key: fix it"}
    assert (stream.is_followed(GOOD), stream.is_followed(BAD)) == (True, False)
    assert selector(source, stream).is_followed(GOOD)
    assert not selector(source, stream).is_followed(BAD)
    assert selector(source, stream).is_relevant(BAD)
    assert stream.incomplete == []
    assert not stream.snapshots[BAD].complete


def test_it_is_read_again_once_it_was_touched_and_has_rested_and_returns_when_complete(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    stream.set_aside(BAD, ZERO_DATE, 1.0, log, is_touched=False)
    survey(source, stream, log, 100.0)
    assert stream.incomplete == []
    selector(source, stream).is_followed(BAD)  # a row of it
    survey(source, stream, log, 29.0)
    assert stream.incomplete == []  # it was read at 0, and is left alone until 30
    survey(source, stream, log, 30.0)
    assert stream.incomplete == [BAD]
    assert stream.reasons == {BAD: f"a zero date stands in a key: fix it{READ_AGAIN}"}
    read(stream, log, 40.0)
    assert (stream.reasons, stream.is_followed(BAD)) == ({}, True)


def test_a_snapshot_that_fails_again_leaves_it_set_aside_and_it_rests(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    stream.set_aside(BAD, ZERO_DATE, 31.0, log)
    survey(source, stream, log, 31.0)
    names = stream.incomplete
    stream.start_snapshot(names, source.tables)
    stream.set_aside(BAD, ZERO_DATE, 32.0, log, is_touched=False)
    stream.finish_snapshot(names, 33.0, 50.0, log)
    assert stream.reasons == {BAD: "a zero date stands in a key: fix it"}
    selector(source, stream).is_followed(BAD)
    assert [stream.aside[BAD].is_due(now) for now in (82.0, 83.0)] == [False, True]


def test_tables_return_as_soon_as_their_definitions_are_supported_by_one_survey_of_all(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    source.errors = {BAD: MYISAM, "s.new": MYISAM}
    del source.tables[BAD]
    survey(source, stream, log)
    assert stream.reasons == dict.fromkeys((BAD, "s.new"), "it is a base table in MyISAM: ALTER it")
    assert "s.new" not in stream.captured
    source.surveys.clear()
    recheck_unsupported(source, stream, 1.0, log)  # type: ignore[arg-type]
    assert (source.surveys, stream.needs_survey) == ([[BAD, "s.new"]], False)
    source.tables |= {BAD: table("bad"), "s.new": table("new")}
    source.errors = {}
    recheck_unsupported(source, stream, 2.0, log)  # type: ignore[arg-type]
    assert stream.needs_survey
    survey(source, stream, log, 2.0)
    assert read(stream, log) == [BAD, "s.new"]
    assert stream.reasons == {}


def test_a_table_that_may_not_be_read_is_noticed_in_the_binlog_and_added_after_the_grant(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    source.denied_tables = {"s.secret"}
    assert not selector(source, stream).is_followed("s.secret")
    assert stream.needs_survey
    survey(source, stream, log)
    assert stream.reasons == {"s.secret": "may not be read: GRANT SELECT"}
    survey(source, stream, log)
    assert not removed_tables(source, stream, source.survey())  # type: ignore[arg-type]
    source.denied_tables, source.tables["s.secret"] = set(), table("secret")
    recheck_unsupported(source, stream, 1.0, log)  # type: ignore[arg-type]
    survey(source, stream, log)
    assert read(stream, log) == ["s.secret"]


def test_a_followed_table_that_may_no_longer_be_read_is_still_followed(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    source.errors[BAD] = source.denied(BAD)
    survey(source, stream, log)
    assert stream.is_followed(BAD)


def test_a_table_of_the_binlog_that_was_dropped_since_or_is_not_chosen_is_skipped(
    source: FakeSource, stream: Stream
) -> None:
    assert not selector(source, stream).is_followed("s.gone")
    assert not selector(source, stream).is_followed("other.a")
    assert (stream.newcomers, stream.needs_survey) == (frozenset(), False)


def test_a_new_table_of_the_binlog_awaits_its_snapshot_until_that_starts(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    assert list(stream.awaiting_snapshot) == []
    source.tables["s.new"] = table("new")
    assert not selector(source, stream).is_followed("s.new")
    assert list(stream.awaiting_snapshot) == ["s.new"]  # the binlog has it
    survey(source, stream, log)
    assert list(stream.awaiting_snapshot) == ["s.new"]  # the survey has it
    stream.start_snapshot(stream.incomplete, source.tables)
    assert list(stream.awaiting_snapshot) == []
    assert not stream.snapshots["s.new"].complete


def test_a_new_table_that_is_set_aside_or_dropped_does_not_await_a_snapshot(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    stream.note_newcomers(["s.denied", "s.dropped", GOOD])
    assert list(stream.awaiting_snapshot) == ["s.denied", "s.dropped"]
    source.denied_tables = {"s.denied"}
    survey(source, stream, log)
    assert list(stream.awaiting_snapshot) == []
    assert list(stream.reasons) == ["s.denied"]


def test_a_table_that_is_set_aside_stays_so_after_a_restart_and_is_retried_at_once(
    source: FakeSource, log: structlog.stdlib.BoundLogger
) -> None:
    cursors = {GOOD: SnapshotCursor(1, 1, complete=True), BAD: SnapshotCursor(0, 0, complete=False)}
    aside = {BAD: f"why{READ_AGAIN}", "s.new": "why not"}
    last = Epoch(
        "one", 5, SourcePosition("0-1-1", "f", 4), 0.0,
        snapshots=cursors, versions={GOOD: 1, BAD: 2}, set_aside=aside,
    )  # fmt: skip
    stream = resume_stream(last, {1: table("good"), 2: table("bad")})
    assert stream.reasons == {BAD: "why", "s.new": "why not"}
    assert stream.incomplete == []
    source.errors["s.new"] = MYISAM
    survey(source, stream, log, 10.0)
    assert (stream.incomplete, stream.reasons["s.new"]) == ([BAD], "it is a base table in MyISAM: ALTER it")


def test_other_partition_fields_than_the_streams_set_the_table_aside_with_both_named(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    source.tables[BAD] = table("bad", "league_id")
    survey(source, stream, log)
    assert stream.reasons[BAD].startswith("its partition fields were [] and are ['league_id']: set them back")
    assert stream.is_followed(GOOD)
    source.tables[BAD] = table("bad")
    survey(source, stream, log)
    assert read(stream, log) == [BAD]


def test_a_table_that_is_dropped_leaves_the_stream_even_if_it_was_set_aside(
    source: FakeSource, stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    stream.set_aside(BAD, ZERO_DATE, 1.0, log)
    stream.set_aside("s.new", ZERO_DATE, 1.0, log)
    source.tables.pop(BAD)
    assert removed_tables(source, stream, source.survey()) == (BAD, "s.new")  # type: ignore[arg-type]


def test_a_reason_is_one_line_of_bounded_length_and_a_rest_grows_with_the_snapshot() -> None:
    assert reason_of(SourceError("what")) == "what"
    assert len(reason_of(SourceError("what", remedy="x" * 1000))) == 500
    assert (rest_s(0.5, 30.0), rest_s(60.0, 30.0)) == (30.0, 600.0)


def test_foreign_keys_that_come_later_make_their_child_suspect_and_those_of_the_start_do_not() -> None:
    stream = new_stream("one", 0.0)
    stream.define(table("players"))
    stream.snapshots["s.players"] = SnapshotCursor(1, 1, complete=True)
    log = structlog.stdlib.get_logger()
    first = ForeignKey("f", "s.players", ("league_id",), "s.leagues", ("id",), "CASCADE", "RESTRICT")
    second = ForeignKey("g", "s.players", ("id",), "s.people", ("id",), "SET NULL", "RESTRICT")
    stream.suspects.update_keys(Cascades([first]), never, log, is_first=True)
    stream.suspects.update_keys(Cascades([first]), never, log)
    assert stream.suspects.reasons == {}
    stream.suspects.update_keys(Cascades([first, second]), never, log)
    assert stream.suspects.reasons == {"s.players": "foreign key g is new"}
    stream.suspects.reasons = {}
    for op in (Op.CREATED, Op.UPDATED):
        stream.suspects.note_unread("s.leagues", op)
    stream.suspects.note_unread("s.elsewhere", Op.DELETED)
    assert stream.suspects.reasons == {}
    stream.suspects.note_unread("s.leagues", Op.DELETED)
    assert stream.suspects.reasons == {"s.players": "rows of s.leagues were deleted"}


def test_tables_that_are_not_captured_are_not_suspect() -> None:
    stream = new_stream("one", 0.0)
    stream.define(table("players"))
    other = ForeignKey("f", "s.others", ("league_id",), "s.leagues", ("id",), "CASCADE", "RESTRICT")
    stream.suspects.update_keys(Cascades([other]), never, structlog.stdlib.get_logger(), is_first=True)
    stream.suspects.note_unread("s.leagues", Op.DELETED)
    assert stream.suspects.reasons == {}


def test_keys_between_tables_that_arrive_are_told_at_once_and_make_nothing_suspect() -> None:
    stream = new_stream("one", 0.0)
    stream.arriving |= {"s.players", "s.leagues"}
    key = ForeignKey("f", "s.players", ("league_id",), "s.leagues", ("id",), "CASCADE", "RESTRICT")
    later = ForeignKey("h", "s.players", ("id",), "s.later", ("id",), "CASCADE", "RESTRICT")
    strange = ForeignKey("g", "s.players", ("id",), "s.people", ("id",), "CASCADE", "RESTRICT")
    with capture_logs() as told:
        stream.suspects.update_keys(Cascades([key]), never, structlog.get_logger())
    assert [line["event"] for line in told] == ["the source does not log what foreign keys cascade"]
    with capture_logs() as told:
        stream.suspects.update_keys(Cascades([key, strange, later]), {"s.later"}.__contains__, structlog.get_logger())
    assert told[1]["tables"] == "s.people"
    assert stream.suspects.reasons == {}


def test_a_request_that_cannot_be_decoded_is_refused_and_one_of_the_command_is_taken_up(
    stream: Stream, log: structlog.stdlib.BoundLogger
) -> None:
    targets: dict[str, str | None] = {}
    present = {GOOD: table("good"), BAD: table("bad")}
    asked = ResyncRequest(GOOD, None, 0.0)
    take_up(stream, [PendingRequest(7, None)], targets, present, log)
    assert (targets, stream.next_request) == ({}, 8)
    assert "the request cannot be decoded at request 7: use `datafingerprint resync`" in stream.refused[7]
    take_up(stream, [PendingRequest(8, asked)], targets, present, log)
    assert (targets, stream.next_request, list(stream.refused)) == ({GOOD: None}, 9, [7])
    assert (stream.incomplete, stream.is_followed(BAD)) == ([GOOD], True)
