"""Captures of one server do not disturb each other, and no earlier run blocks a later one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator
from itertools import islice

import pymysql
import pytest

from datafingerprint.adapters.mysql.checkup import SourceCheckup
from datafingerprint.adapters.mysql.connection import connect
from datafingerprint.adapters.mysql.replica_claim import read_replicas
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.binlog.packets import Events
from datafingerprint.checkup import CheckResult, Severity
from datafingerprint.config import Settings
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import DataFingerprintError, SourceError
from datafingerprint.replica_number import derived_number
from deploy.embedded.stack import EmbeddedStack

pytestmark = pytest.mark.live

NUMBER = 77_001


@pytest.fixture
def position(stack: EmbeddedStack) -> SourcePosition:
    return SourcePosition(stack.blueprint.warehouse.gtid(), "", 0)


@pytest.fixture
def started() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def numbered(settings: Settings, number: int) -> Settings:
    return settings.model_copy(update={"source": settings.source.model_copy(update={"server_id": number})})


def reading(
    settings: Settings, stream: str, position: SourcePosition, started: contextlib.ExitStack
) -> Generator[Events, None, None]:
    """A connection of capture that has started to read."""
    events = BinlogSource(settings, stream_id=lambda: stream).events(position)
    started.enter_context(contextlib.closing(events))
    next(events)
    return events


def server_id_check(settings: Settings, stream: str, position: SourcePosition) -> CheckResult:
    """The result of `doctor` for the server id."""
    last = Epoch(stream, 1, position, 1.0)
    (result,) = [result for result in SourceCheckup(settings).findings(last, 0.0) if result.check == "server id"]
    return result


def test_streams_without_a_configured_id_read_side_by_side(
    stack_settings: Settings, position: SourcePosition, started: contextlib.ExitStack
) -> None:
    several = [reading(stack_settings, stream, position, started) for stream in ("one", "two", "three")]
    for _ in range(3):
        for events in several:
            next(events)  # each is still answered
    assert server_id_check(stack_settings, "one", position).severity is Severity.OK


def test_an_id_of_another_stream_is_refused_and_that_stream_continues(
    stack_settings: Settings, position: SourcePosition, started: contextlib.ExitStack
) -> None:
    settings = numbered(stack_settings, NUMBER)
    first = reading(settings, "production", position, started)
    with pytest.raises(SourceError, match=rf"server_id {NUMBER} is in use: a capture of another stream") as refused:
        reading(settings, "experiment", position, started)
    assert "remove [source] server_id" in refused.value.remedy
    with pytest.raises(SourceError, match="is in use"):  # and before a first table is read
        BinlogSource(settings).snapshot([])
    for _ in range(3):
        next(first)
    problem = server_id_check(settings, "experiment", position)
    assert (problem.severity, f"{NUMBER} is in use" in problem.text) == (Severity.PROBLEM, True)
    assert server_id_check(settings, "production", position).severity is Severity.OK
    for _ in range(3):
        next(first)  # nor does `doctor` end it
    first.close()


def test_a_connection_left_by_an_earlier_run_blocks_no_later_one(
    stack_settings: Settings, position: SourcePosition, started: contextlib.ExitStack
) -> None:
    for settings in (numbered(stack_settings, NUMBER + 1), stack_settings):
        left = reading(settings, "stream", position, started)  # no reader is left, and it is not closed
        later = reading(settings, "stream", position, started)
        for _ in range(3):
            next(later)
        with pytest.raises(DataFingerprintError, match=r"away|taken over"):
            list(islice(left, 1_000))


def test_an_id_of_the_server_or_of_a_registered_replica_is_refused(
    stack_settings: Settings, position: SourcePosition, started: contextlib.ExitStack
) -> None:
    with contextlib.closing(connect(stack_settings.source)) as connection:
        own = read_replicas(connection).own
    settings = numbered(stack_settings, own)
    with pytest.raises(SourceError, match=f"server_id {own} is the source's own"):
        reading(settings, "stream", position, started)
    assert server_id_check(settings, "stream", position).severity is Severity.PROBLEM
    with pytest.raises(SourceError, match=f"server_id {own} is the source's own"):
        BinlogSource(settings).preflight()

    number = derived_number("stream")
    replica = registered(stack_settings, number)
    started.enter_context(contextlib.closing(replica))
    with contextlib.closing(connect(stack_settings.source)) as connection:
        assert number in (read_replicas(connection).registered or ())
    with pytest.raises(SourceError, match=f"server_id {number} is used by a replica"):
        reading(numbered(stack_settings, number), "stream", position, started)
    next(reading(stack_settings, "stream", position, started))  # derived: the next one is taken
    with contextlib.closing(connect(stack_settings.source)) as connection:
        assert number in (read_replicas(connection).registered or ())


def registered(settings: Settings, number: int) -> pymysql.Connection:
    """A connection that has registered as a replica.

    Its packet holds the server id, three empty names, a port and two unused words.
    """
    connection = connect(settings.source)
    body = b"\x15" + number.to_bytes(4, "little") + b"\0\0\0" + b"\0\0" + bytes(8)
    connection._write_bytes(len(body).to_bytes(3, "little") + b"\0" + body)  # type: ignore[attr-defined]
    connection._next_seq_id = 1  # type: ignore[attr-defined]
    connection._read_ok_packet()  # type: ignore[attr-defined]
    return connection


def test_an_account_of_least_privilege_claims_an_id(
    stack_settings: Settings, stack: EmbeddedStack, position: SourcePosition, started: contextlib.ExitStack
) -> None:
    warehouse = stack.blueprint.warehouse
    status = "REPLICATION CLIENT" if stack.blueprint.source == "mysql" else "BINLOG MONITOR"
    with warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER IF NOT EXISTS 'least'@'127.0.0.1' IDENTIFIED BY 'least'")
        cursor.execute(f"GRANT SELECT, REPLICATION SLAVE, {status} ON *.* TO 'least'@'127.0.0.1'")
    poor = {"user": "least", "password": type(stack_settings.source.password)("least"), "server_id": NUMBER + 2}
    settings = stack_settings.model_copy(update={"source": stack_settings.source.model_copy(update=poor)})
    first = reading(settings, "production", position, started)
    with pytest.raises(SourceError, match="is in use"):
        reading(settings, "experiment", position, started)
    with pytest.raises(SourceError, match="is in use"):  # nor by an account that may do more
        reading(numbered(stack_settings, NUMBER + 2), "experiment", position, started)
    next(first)
    later = reading(settings, "production", position, started)
    next(later)


def test_of_several_that_start_at_once_one_gets_the_id(
    stack_settings: Settings, position: SourcePosition, started: contextlib.ExitStack
) -> None:
    settings = numbered(stack_settings, NUMBER + 3)
    outcomes: list[str] = []

    def begin(stream: str) -> None:
        try:
            reading(settings, stream, position, started)
            outcomes.append("reads")
        except SourceError as error:
            outcomes.append("taken" if "is in use" in error.what else str(error))

    threads = [threading.Thread(target=begin, args=(f"stream {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["reads", "taken", "taken", "taken"]


def test_a_living_capture_of_the_same_stream_learns_that_another_has_taken_over(
    stack_settings: Settings, position: SourcePosition, started: contextlib.ExitStack
) -> None:
    """Otherwise it would see a network error, restart, and fence the later one off."""
    for settings in (numbered(stack_settings, NUMBER + 4), stack_settings):
        first = reading(settings, "stream", position, started)
        outcomes: list[DataFingerprintError] = []

        def follow(events: Generator[Events, None, None], into: list[DataFingerprintError]) -> None:
            try:
                for _ in events:
                    pass
            except DataFingerprintError as error:
                into.append(error)

        thread = threading.Thread(target=follow, args=(first, outcomes))
        thread.start()
        later = reading(settings, "stream", position, started)
        thread.join(30)
        (outcome,) = outcomes
        assert isinstance(outcome, SourceError), outcome
        assert "taken over" in outcome.what
        next(later)
