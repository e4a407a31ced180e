"""Every required setting of a server is checked by name, also one that needs a restart."""

from __future__ import annotations

from typing import Any, Self

import pytest

from datafingerprint.adapters.mysql.mariadb_server import MariaDbServer
from datafingerprint.adapters.mysql.mysql_server import MySqlServer
from datafingerprint.adapters.mysql.server import Server, persistent_statement
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings

FIT = {"binlog_row_metadata": "FULL"}
SERVERS = [MariaDbServer(), MySqlServer((9, 7, 0))]


class Answering:
    """A connection on which every statement has the same answer."""

    def __init__(self, *rows: tuple[Any, ...]) -> None:
        self._rows = rows

    def cursor(self) -> Answering:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def execute(self, statement: str) -> None:
        assert statement

    def fetchall(self) -> tuple[tuple[Any, ...], ...]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...]:
        return self._rows[0]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("variable", "unfit"), [("lower_case_table_names", "1"), ("log_bin", "OFF"), ("binlog_order_commits", "OFF")]
)
def test_a_wrong_setting_of_a_server_is_an_error_with_a_remedy(server: Server, variable: str, unfit: str) -> None:
    source = BinlogSource(Settings())
    assert source.deviating_variables(Answering(*FIT.items()), server) == []  # type: ignore[arg-type]
    (error,) = source.deviating_variables(Answering(*FIT.items(), (variable, unfit)), server)  # type: ignore[arg-type]
    assert error.what == f"the source has {variable} = {unfit}"
    assert error.remedy


def test_a_remedy_says_how_to_make_it_permanent_and_which_sessions_keep_the_old_value() -> None:
    text = persistent_statement("SET GLOBAL binlog_format = ROW", is_mariadb=True, sessions=[7, 8])
    assert text == (
        "SET GLOBAL binlog_format = ROW -- lost at a restart without [mysqld] binlog_format = ROW in the server's "
        "option file; end the open sessions, which keep the old value: KILL 7; KILL 8"
    )
    assert "or SET PERSIST binlog_row_metadata = FULL" in persistent_statement(
        "SET GLOBAL binlog_row_metadata = FULL", is_mariadb=False, sessions=[7]
    )
    assert "KILL" not in persistent_statement("SET GLOBAL binlog_row_metadata = FULL", is_mariadb=False, sessions=[7])


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("only", "ignored"), [("a", ""), ("", "b")])
def test_a_binlog_that_filters_schemas_is_an_error(server: Server, only: str, ignored: str) -> None:
    source = BinlogSource(Settings())
    assert source.unlogged_schemas(Answering(("binlog.000001", 4, "", "")), server) == []  # type: ignore[arg-type]
    (error,) = source.unlogged_schemas(Answering(("binlog.000001", 4, only, ignored)), server)  # type: ignore[arg-type]
    assert "binlog-ignore-db" in error.remedy
