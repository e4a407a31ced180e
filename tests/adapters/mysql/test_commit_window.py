"""On MySQL a view's position names exactly the transactions that the view shows, wherever a group commit stands."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any, Self

import pymysql
import pytest

from datafingerprint.adapters.mysql.mysql_server import MySqlServer
from datafingerprint.epochs import SourcePosition

SOURCE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
STATEMENTS = 9
"""Statements between which a step of the group commit is placed: three tries to open a view."""


class GroupCommit:
    """A server whose third transaction is flushed, finished in the engine and added to `gtid_executed` at given times.

    Args:
        flushed: The number of statements after which the transaction is in the binlog, and owns its GTID.
        finished: The same for when views opened from then on show its rows.
        executed: The same for when its GTID is in `gtid_executed`, and owned no longer; None for never.
    """

    def __init__(self, flushed: int, finished: int, executed: int | None) -> None:
        self._times = (flushed, finished, executed)
        self._clock = 0
        self._row: tuple[Any, ...] = ()
        self.view: int | None = None
        self.statements: list[str] = []

    def _is_past(self, step: int) -> bool:
        time = self._times[step]
        return time is not None and self._clock >= time

    def cursor(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""

    def execute(self, statement: str, _arguments: object = None) -> None:
        self.statements.append(statement)
        executed = f"{SOURCE}:1-{3 if self._is_past(2) else 2}"
        if "log_status" in statement:
            position = 400 if self._is_past(0) else 300
            local = {"gtid_executed": executed, "binary_log_file": "b.1", "binary_log_position": position}
            self._row = (json.dumps(local),)
        elif "gtid_owned" in statement:
            self._row = (f"{SOURCE}:3#7" if self._is_past(0) and not self._is_past(2) else "",)
        elif "gtid_executed" in statement:
            self._row = (executed,)
        elif statement.startswith("START TRANSACTION"):
            self.view = 3 if self._is_past(1) else 2
        elif statement == "ROLLBACK":
            self.view = None
        self._clock += 1

    def fetchone(self) -> tuple[Any, ...]:
        return self._row


def opened(server: GroupCommit, connect: Callable[[], Any]) -> SourcePosition:
    connection: pymysql.Connection = server  # type: ignore[assignment]
    return MySqlServer((9, 7, 0)).open_view(connection, [], connect, "here")


def no_second_connection() -> pymysql.Connection:
    raise AssertionError("the tables need no lock")


@pytest.mark.parametrize("times", list(combinations_with_replacement(range(STATEMENTS), 3)))
def test_a_position_is_that_of_its_view_at_every_moment_of_a_group_commit(times: tuple[int, int, int]) -> None:
    server = GroupCommit(*times)
    position = opened(server, no_second_connection)
    assert position.gtid == f"{SOURCE}:1-{server.view}"


def test_in_the_window_both_readings_agree_and_the_view_is_refused() -> None:
    # The transaction is in the binlog and in the tables, and its GTID is added after six statements.
    server = GroupCommit(0, 0, 6)
    position = opened(server, no_second_connection)
    assert position.gtid == f"{SOURCE}:1-3"
    assert server.view == 3
    assert sum(text.startswith("START") for text in server.statements) == 1


def test_tables_are_locked_where_no_moment_without_a_commit_is_found() -> None:
    server = GroupCommit(0, 10_000, None)
    holders: list[GroupCommit] = []

    def connect() -> GroupCommit:
        holders.append(server)
        return server

    position = opened(server, connect)
    assert position.gtid == f"{SOURCE}:1-{server.view}" == f"{SOURCE}:1-2"
    assert len(holders) == 1
