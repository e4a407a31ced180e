"""Rows of the source that are read by key: what the server does with such a statement is said with a remedy."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import pymysql
import pytest

from datafingerprint.adapters.mysql.source_rows import SourceRowReader
from datafingerprint.config import Settings
from datafingerprint.differences import Wanted
from datafingerprint.errors import UnmeasuredError
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sketch_keys import SketchForm

TABLE = TableSchema("s", "t", (Column("i", "int", Kind.INTEGER, width_bytes=4, nullable=False),), ("i",))
WANTED = Wanted(TABLE, "-", SketchForm.of(TABLE, 40), frozenset({1}))


class FailingConnection:
    """A connection whose server answers every statement with an error."""

    def __init__(self, number: int) -> None:
        self._number = number

    def cursor(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Has nothing to close."""

    def execute(self, statement: str) -> None:
        raise pymysql.OperationalError(self._number, statement)


def read(number: int) -> None:
    connection: Any = FailingConnection(number)
    SourceRowReader(Settings())._rows(connection, WANTED, "`i` = 1")


@pytest.mark.parametrize("number", [1317, 1969, 3024])
def test_a_statement_that_the_server_ended_names_the_setting_of_its_time(number: int) -> None:
    with pytest.raises(UnmeasuredError, match=r"the source ended the statement at .*: raise audit\.statement_s"):
        read(number)


def test_any_other_error_of_the_server_is_not_taken_for_that() -> None:
    with pytest.raises(pymysql.OperationalError):
        read(1064)
