"""A table without all rows of the view, or with a warning, is refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import pymysql
import pytest

from datafingerprint.adapters.mysql.source import Snapshot
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DataFingerprintError, SourceError, TableDeniedError, TableError
from datafingerprint.ports.source import SnapshotRows, UnreadTable
from datafingerprint.schema import Column, Kind, TableSchema

TABLE = TableSchema("s", "t", (Column("id", "int", Kind.INTEGER, width_bytes=4),), ("id",))


class Server:
    """A connection to a server with rows, a count of them, and warnings."""

    open = True

    def __init__(self, rows: int, counted: int, *warnings: tuple[str, int, str]) -> None:
        self.counted = counted
        self.warnings = warnings
        self.statements: list[str] = []
        self._rows = [(str(number),) for number in range(rows)]
        self._answer: list[tuple[Any, ...]] = []

    def cursor(self, _kind: Any = None) -> Self:  # noqa: ANN401 - a class of the library
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Nothing is open."""

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        answers: dict[str, list[tuple[Any, ...]]] = {
            "SELECT COUNT(*)": [(self.counted,)],
            "SHOW COUNT(*)": [(len(self.warnings),)],
            "SHOW WARNINGS": list(self.warnings),
            "SELECT 1": [(1,)],
        }
        matches = [rows for begin, rows in answers.items() if statement.startswith(begin)]
        self._answer = list(matches[0] if matches else self._rows)

    def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        taken, self._answer = self._answer[:count], self._answer[count:]
        return taken

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.fetchmany(len(self._answer))

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(iter(self.fetchmany(1)), None)


def _denied(name: str) -> TableError:
    return TableDeniedError(name, "may not be read", where="here", remedy="GRANT SELECT")


def rows_of(steps: Iterable[SnapshotRows | UnreadTable]) -> list[SnapshotRows]:
    return [step for step in steps if isinstance(step, SnapshotRows)]


def refusal_of(server: Server) -> DataFingerprintError:
    """The error of the table. No step before it claims that the table was read to its end."""
    *steps, last = snapshot(server).read()
    assert not any(step.last for step in rows_of(steps))
    assert isinstance(last, UnreadTable)
    assert isinstance(last.error, SourceError)
    return last.error


def snapshot(server: Server, condition: str = "") -> Snapshot:
    conditions = {TABLE.table: condition} if condition else {}
    connection: pymysql.Connection = server  # type: ignore[assignment]
    return Snapshot(
        connection, SourcePosition("0-1-1", "f", 4), [TABLE], 2, "here", conditions, lambda *_: TABLE, _denied
    )


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
def test_all_rows_come_with_the_count_of_the_source(rows: int) -> None:
    server = Server(rows, rows)
    steps = rows_of(snapshot(server, "`id` > 1").read())
    assert sum(step.rows.num_rows for step in steps) == rows
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    assert {step.rows_estimated for step in steps} == {rows}
    assert [text for text in server.statements if "COUNT(*) FROM" in text] == [
        "SELECT COUNT(*) FROM `s`.`t` WHERE `id` > 1"
    ]


@pytest.mark.parametrize(("rows", "counted"), [(3, 5), (4, 5), (0, 1), (2, 1)])
def test_a_wrong_number_of_rows_is_refused_before_the_last_step(rows: int, counted: int) -> None:
    error = refusal_of(Server(rows, counted))
    assert f"{rows} rows of s.t were read, and the source counts {counted}" in error.what
    assert "CHECK TABLE" in error.remedy


def test_a_warning_is_refused_because_a_value_may_be_missing() -> None:
    server = Server(1, 1, ("Warning", 1301, "Result of cast() was larger than max_allowed_packet"))
    assert "1 warning, first warning 1301: Result of cast()" in refusal_of(server).what


def test_a_warning_counts_also_where_the_server_keeps_no_texts() -> None:
    server = Server(1, 1, ("Warning", 1301, "too long"))
    execute = server.execute

    def forgetful(statement: str) -> None:
        execute("SELECT 1 WHERE FALSE" if statement == "SHOW WARNINGS" else statement)
        server.fetchall() if statement == "SHOW WARNINGS" else None

    server.execute = forgetful  # type: ignore[method-assign]
    assert "values may be missing: 1 warning" in refusal_of(server).what
