"""How a claim reacts to every answer of a server, on a hand-written fake with named locks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pymysql
import pytest
import structlog

from datafingerprint.adapters.mysql.replica_claim import Claimant, claim
from datafingerprint.errors import SourceError
from datafingerprint.replica_number import derived_number, number_lock, stream_lock

OWN = 1


@dataclass
class FakeServer:
    """A server with registered replicas and named locks.

    Attributes:
        denied: Whether the account may not list replicas.
        is_old: Whether only the old statement lists them.
        has_locks: Whether named locks are supported.
        stays: Whether it does not end connections on a new dump.
    """

    registered: Sequence[int] = ()
    denied: bool = False
    is_old: bool = False
    has_locks: bool = True
    stays: bool = False
    holders: dict[str, int] = field(default_factory=dict)
    evicted: list[int] = field(default_factory=list)

    def evict(self, number: int) -> None:
        """Ends the connections with a server id, as a server does for a new dump."""
        self.evicted.append(number)
        if not self.stays:
            gone = self.holders.get(number_lock(number))
            self.holders = {name: holder for name, holder in self.holders.items() if holder != gone}


@dataclass
class FakeConnection:
    """A connection, which is its own cursor."""

    server: FakeServer
    number: int
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def cursor(self) -> FakeConnection:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        server = self.server
        if statement.startswith("SHOW"):
            if server.is_old and "REPLICAS" in statement:
                raise pymysql.ProgrammingError(1064, "syntax")
            if server.denied:
                raise pymysql.OperationalError(1227, "denied")
            self.rows = [(number, "", 3306, OWN) for number in server.registered]
        elif "server_id" in statement:
            self.rows = [(OWN,)]
        elif not server.has_locks:
            raise pymysql.NotSupportedError(1235, "not in a cluster")
        elif "GET_LOCK" in statement:
            holder = server.holders.setdefault(values[0], self.number)
            self.rows = [(int(holder == self.number),)]
        else:
            self.rows = [(server.holders.get(values[0]),)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.rows[0] if self.rows else None


def claimed(server: FakeServer, connection: int, setting: int, stream: str) -> int:
    """The server id that a connection gets."""
    claimant = Claimant(setting, stream, "here", structlog.get_logger())
    return claim(FakeConnection(server, connection), claimant, server.evict)  # type: ignore[arg-type]


@pytest.mark.parametrize("server", [FakeServer(), FakeServer(is_old=True), FakeServer(denied=True)])
def test_a_server_id_is_held_by_the_connection_of_its_dump(server: FakeServer) -> None:
    assert claimed(server, 10, 0, "one") == derived_number("one")
    assert claimed(server, 11, 7, "two") == 7
    assert server.holders[number_lock(7)] == server.holders[stream_lock(7, "two")] == 11
    assert server.evicted == []


def test_another_stream_is_refused_and_no_connection_is_ended() -> None:
    server = FakeServer()
    claimed(server, 10, 7, "one")
    with pytest.raises(SourceError, match="7 is in use: a capture of another stream uses it on connection 10"):
        claimed(server, 11, 7, "two")
    assert server.evicted == []
    assert server.holders[number_lock(7)] == server.holders[stream_lock(7, "one")] == 10


def test_a_claim_that_waits_in_vain_ends_no_connection() -> None:
    server = FakeServer(holders={number_lock(7): 10, stream_lock(7, "one"): 9})
    with pytest.raises(SourceError, match="7 is in use"):
        claimed(server, 11, 7, "one")
    assert server.evicted == []


def test_an_unfinished_claim_of_the_same_stream_blocks_no_other() -> None:
    server = FakeServer(holders={stream_lock(7, "one"): 10})
    assert claimed(server, 11, 7, "one") == 7
    assert server.holders[number_lock(7)] == 11


def test_an_earlier_connection_of_the_same_stream_is_ended_and_its_locks_are_ours() -> None:
    server = FakeServer()
    for connection in (10, 11, 12):
        assert claimed(server, connection, 7, "one") == 7
    assert server.evicted == [7, 7]
    assert set(server.holders.values()) == {12}


@pytest.mark.parametrize("server", [FakeServer(has_locks=False), FakeServer(stays=True)])
def test_without_a_lock_the_server_id_is_used_with_a_warning(server: FakeServer) -> None:
    claimed(server, 10, 7, "one")
    with structlog.testing.capture_logs() as logs:
        assert claimed(server, 11, 7, "one") == 7
    (line,) = logs
    assert (line["log_level"], line["server_id"]) == ("warning", 7)


@pytest.mark.parametrize("is_old", [False, True])
def test_ids_of_the_server_and_its_replicas_are_refused_if_configured_and_else_skipped(*, is_old: bool) -> None:
    derived = derived_number("one")
    server = FakeServer(registered=[derived], is_old=is_old)
    with pytest.raises(SourceError, match="is the source's own"):
        claimed(server, 10, OWN, "one")
    with pytest.raises(SourceError, match="is used by a replica"):
        claimed(server, 10, derived, "one")
    assert server.holders == {}
    assert claimed(server, 10, 0, "one") == derived_number("one", {derived})
