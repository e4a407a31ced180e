"""What a server refuses is an error whose remedy, once it is carried out, lets the same call pass."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import pymysql
import pytest

from datafingerprint.adapters.mysql.audit_server import require_exact_replica, require_readable
from datafingerprint.adapters.mysql.audit_view import SourceView, _unmeasured
from datafingerprint.adapters.mysql.errors import translated
from datafingerprint.adapters.mysql.mariadb_server import MariaDbServer
from datafingerprint.adapters.mysql.mysql_server import MySqlServer
from datafingerprint.adapters.mysql.server import Server
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError, UnmeasuredError
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sql.mysql import Dialect

WHERE = "host:3306"
TABLE = TableSchema("s", "t", (Column("n", "int(11)", Kind.INTEGER, width_bytes=4),), (), ())


@dataclass
class Refusing:
    """A connection of a server with these variables. A statement on a table fails with an error, if there is one."""

    variables: dict[str, str] = field(default_factory=dict)
    error: pymysql.MySQLError | None = None
    asked: str = ""

    def cursor(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def execute(self, statement: str) -> None:
        self.asked = statement.rpartition(".")[2]
        if self.error is not None:
            raise self.error

    def fetchone(self) -> tuple[str]:
        return (self.variables[self.asked],)


REPLICAS: list[tuple[Server, dict[str, str]]] = [
    (MariaDbServer(), {"log_slave_updates": "0"}),
    (MySqlServer((9, 7, 0)), {"log_replica_updates": "OFF", "replica_preserve_commit_order": "ON"}),
    (MySqlServer((9, 7, 0)), {"log_replica_updates": "1", "replica_preserve_commit_order": "0"}),
]


@pytest.mark.parametrize(("server", "variables"), REPLICAS)
def test_a_replica_is_exact_once_it_is_set_as_the_remedy_says(server: Server, variables: dict[str, str]) -> None:
    connection: Any = Refusing(dict(variables))
    channels: list[Mapping[str, Any]] = [{}]
    with pytest.raises(SourceError, match="the replica has") as refused:
        require_exact_replica(connection, server, channels, WHERE)
    told = re.fullmatch(r"set (\w+) = (ON) on the replica", refused.value.remedy)
    assert told is not None
    connection.variables[told[1]] = told[2]
    require_exact_replica(connection, server, channels, WHERE)
    filtered: list[Mapping[str, Any]] = [{"Replicate_Do_DB": "s"}]
    with pytest.raises(SourceError, match=r"filters changes \(Replicate_Do_DB\).*a replica without filters"):
        require_exact_replica(connection, server, filtered, WHERE)


def test_a_table_that_may_not_be_read_by_an_audit_is_granted_alone() -> None:
    denied: Any = Refusing(error=pymysql.OperationalError(1142, "SELECT command denied"))
    with pytest.raises(SourceError, match=r"user u may not read s\.t") as refused:
        require_readable(denied, "u", [TABLE], WHERE)
    assert refused.value.remedy == "GRANT SELECT ON `s`.`t` TO that account"
    altered: Any = Refusing(error=pymysql.OperationalError(1054, "Unknown column 'n'"))
    with pytest.raises(SourceError, match="differs from its definition in the stream: Unknown column 'n'"):
        require_readable(altered, "u", [TABLE], WHERE)
    fit: Any = Refusing()
    require_readable(fit, "u", [TABLE], WHERE)


def test_a_sum_that_the_source_does_not_give_is_inconclusive_with_what_helps() -> None:
    ended = _unmeasured(pymysql.OperationalError(1969, "ended"), "the sum of s.t", WHERE)
    altered = _unmeasured(pymysql.OperationalError(1412, "changed"), "the sum of s.t", WHERE)
    assert isinstance(ended, UnmeasuredError)
    assert isinstance(altered, UnmeasuredError)
    assert ended.remedy == "raise audit.statement_s, or lower audit.range_rows"
    assert altered.remedy == "audit it again: datafingerprint audit TABLE"


@pytest.mark.parametrize(
    ("needed", "privilege"),
    [("REPLICATION SLAVE", "REPLICATION SLAVE"), ("SUPER, BINLOG MONITOR", "BINLOG MONITOR")],
)
def test_a_privilege_that_a_statement_needs_is_in_the_grant_and_the_least_of_several(
    needed: str, privilege: str
) -> None:
    text = f"Access denied; you need (at least one of) the {needed} privilege(s) for this operation"
    with pytest.raises(SourceError, match="the source refuses us") as refused, translated(WHERE):
        raise pymysql.OperationalError(1227, text)
    assert refused.value.remedy == f"GRANT {privilege} ON *.* TO the account that SELECT CURRENT_USER() shows"


def test_a_statement_that_is_refused_for_another_reason_names_the_doctor() -> None:
    with (
        pytest.raises(SourceError, match="the source refused a statement: no such thing") as refused,
        translated(WHERE),
    ):
        raise pymysql.ProgrammingError(1064, "no such thing")
    assert refused.value.remedy == "run `datafingerprint doctor`, and read the source's log"


def test_a_range_of_a_key_that_does_not_sort_by_its_values_is_refused() -> None:
    """Only keys that sort by their values can be split."""
    key = Column("k", "varchar(9)", Kind.TEXT, charset="utf8mb4", nullable=False)
    table = TableSchema("s", "t", (key,), ("k",), ())
    view = SourceView(Refusing(), Dialect.MARIADB, SourcePosition("0-1-1", "f", 4), WHERE, Refusing)  # type: ignore[arg-type]
    with pytest.raises(UnmeasuredError, match=r"no key of s\.t can be split into ranges") as refused:
        view.bound(table, None, None, 10)
    assert refused.value.remedy == "raise audit.range_rows above the rows of its largest partition"


@dataclass
class Old(Refusing):
    """A connection of a server of a version, which knows few variables."""

    version: str = ""

    def execute(self, statement: str, _: object = None) -> None:
        self.asked = statement

    def fetchone(self) -> tuple[str]:
        return (self.version,)

    def fetchall(self) -> list[tuple[str, str]]:
        return list(self.variables.items())


@pytest.mark.parametrize(
    ("too_old", "later"),
    [("5.7.44-log", "8.0.11"), ("10.5.29-MariaDB-log", "10.6.0-MariaDB"), ("", "8.4.0")],
)
def test_a_server_that_is_too_old_is_refused_by_its_version_and_a_later_one_is_not(too_old: str, later: str) -> None:
    source = BinlogSource(Settings())
    with pytest.raises(SourceError, match=f"the source is version {too_old}") as refused:
        source._server(Old(version=too_old))  # type: ignore[arg-type]
    assert refused.value.remedy == "use MariaDB 10.6, MySQL 8.0, or later"
    assert source._server(Old(version=later)).is_mariadb == ("MariaDB" in later)  # type: ignore[arg-type]


def test_a_server_whose_binlog_cannot_name_columns_is_refused() -> None:
    server, source = MariaDbServer(), BinlogSource(Settings())
    (result,) = source.deviating_variables(Old(), server)  # type: ignore[arg-type]
    assert result.what == "the source has no binlog_row_metadata"
    known = Old({"binlog_row_metadata": "FULL"})
    assert source.deviating_variables(known, server) == []  # type: ignore[arg-type]
