"""Rows of a table that cannot be decoded are that table's own affair: the epoch has the rows of the others."""

from __future__ import annotations

import pytest

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.binlog.table_map import LoggedColumn, TableMap
from datafingerprint.binlog.transaction_rows import LoggedRows, SpillLimit, TransactionRows
from datafingerprint.binlog.transactions import CommittedTransaction
from datafingerprint.changes import Op
from datafingerprint.column_types import column
from datafingerprint.epochs import SourcePosition
from datafingerprint.schema import TableSchema
from services.cdc.epoch_builder import CapturedTable, EpochBuilder, EpochLimits

AT = SourcePosition("0-1-1", "binlog.000001", 4)
LONG = LoggedColumn("id", 3, 0, unsigned=False)


def table(name: str) -> TableSchema:
    return TableSchema("s", name, (column("id", "int(11)", nullable=False, charset=None),), ("id",))


TABLES = {f"s.{name}": CapturedTable(table(name), number) for number, name in enumerate(("good", "bad"), start=1)}
WHOLE, TORN = bytes([0, 7, 0, 0, 0]), bytes([0, 7])


def rows(name: str, octets: bytes = WHOLE, *, is_full: bool = True) -> LoggedRows:
    return LoggedRows(TableMap(1, "s", name, (LONG,)), Op.CREATED, octets, is_full)


def builder(left_out: set[str] | None = None) -> EpochBuilder:
    return EpochBuilder(EpochLimits(1.0, 2, 1.0), TABLES, set() if left_out is None else left_out)


def committed(*found: LoggedRows, limit: SpillLimit | None = None) -> CommittedTransaction:
    held = TransactionRows(limit)
    for item in found:
        held.append(item)
    return CommittedTransaction("0-1-1", AT, 1.0, held)


def taken(made: EpochBuilder) -> tuple[list[str], dict[str, str]]:
    """The tables that the epoch has rows of, and those that have none any more, with the reason."""
    _, parts, _ = made.take(AT)
    return [part.table.table for part in parts], {name: error.what for name, error in made.take_faults().items()}


BAD = {
    "a torn image": (rows("bad", TORN), "image"),
    "an image that lacks columns": (rows("bad", is_full=False), "a row image lacks columns"),
    "another definition": (
        LoggedRows(TableMap(2, "s", "bad", (LoggedColumn("other", 3, 0, unsigned=False),)), Op.CREATED, WHOLE),
        "the definition of s.bad has changed",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_the_epoch_has_the_rows_of_the_others_and_says_whose_are_left_out(what: str) -> None:
    bad, why = BAD[what]
    made = builder()
    made.add(committed(rows("good"), rows("bad"), bad, rows("bad"), rows("good")), 0.0)
    tables, faults = taken(made)
    assert tables == ["s.good"]
    assert list(faults) == ["s.bad"]
    assert why in faults["s.bad"]
    assert taken(made) == ([], {})  # said once


@pytest.mark.parametrize("what", BAD)
def test_so_it_is_with_a_transaction_in_a_file_that_is_published_in_steps(what: str) -> None:
    made, limit = builder(), SpillLimit(0, TemporaryScratch(""))
    made.add(committed(rows("good"), rows("good"), BAD[what][0], rows("good"), rows("bad"), limit=limit), 0.0)
    ahead = [part.table.table for parts in made.ahead("f:4") for part in parts]
    tables, faults = taken(made)
    assert {*ahead, *tables} == {"s.good"}
    assert list(faults) == ["s.bad"]


def test_rows_of_a_table_that_is_left_out_are_passed_over_also_those_that_are_held() -> None:
    left_out: set[str] = set()
    made = builder(left_out)
    made.add(committed(rows("bad", TORN), rows("good")), 0.0)
    left_out.add("s.bad")
    made.add(committed(rows("bad", TORN)), 0.0)
    assert taken(made) == (["s.good"], {})
