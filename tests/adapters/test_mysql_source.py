"""What a server must be is demanded by name, also what only its next start can change."""

from __future__ import annotations

from typing import Any, Self

import pytest

from datafingerprint.adapters.mariadb_server import MariaDbServer
from datafingerprint.adapters.mysql_server import MySqlServer
from datafingerprint.adapters.mysql_source import BinlogSource
from datafingerprint.adapters.server import Server
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
def test_a_server_that_was_started_unfit_is_told_so(server: Server, variable: str, unfit: str) -> None:
    source = BinlogSource(Settings())
    assert source.unfit_variables(Answering(*FIT.items()), server) == []  # type: ignore[arg-type]
    (found,) = source.unfit_variables(Answering(*FIT.items(), (variable, unfit)), server)  # type: ignore[arg-type]
    assert found.what == f"the source has {variable} = {unfit}"
    assert found.remedy


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("only", "ignored"), [("a", ""), ("", "b")])
def test_a_server_that_leaves_schemas_out_of_its_binlog_is_told_so(server: Server, only: str, ignored: str) -> None:
    source = BinlogSource(Settings())
    assert source.unlogged_schemas(Answering(("binlog.000001", 4, "", "")), server) == []  # type: ignore[arg-type]
    (found,) = source.unlogged_schemas(Answering(("binlog.000001", 4, only, ignored)), server)  # type: ignore[arg-type]
    assert "binlog-ignore-db" in found.remedy
