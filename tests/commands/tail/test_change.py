"""A change is shown with its epoch, position and images, and a partition's tail shows all that touches it."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa

from commands.tail.change import changes_of, document, text
from datafingerprint.changes import Changes, Op, changes, joined, reset
from datafingerprint.column_types import column
from datafingerprint.epochs import Epoch, SourcePosition, Transaction
from datafingerprint.schema import TableSchema

TABLE = TableSchema(
    "ootp",
    "players",
    (
        column("id", "int(11)", nullable=False, charset=None),
        column("league", "int(11)", nullable=True, charset=None),
        column("pay", "decimal(10,2)", nullable=True, charset=None),
        column("born", "date", nullable=True, charset=None),
        column("face", "blob", nullable=True, charset=None),
        column("name", "varchar(20)", nullable=True, charset="utf8mb4"),
    ),
    ("id",),
    ("league",),
)
EPOCH = Epoch(
    "stream",
    7,
    SourcePosition("0-1-9", "binlog.000001", 900),
    1.0,
    transactions=(Transaction(0, "0-1-8", "binlog.000001", 800), Transaction(1, "0-1-9", "binlog.000001", 900)),
)


def rows(*given: tuple[int, int, str]) -> pa.Table:
    whole = [
        {"id": i, "league": league, "pay": Decimal("1.50"), "born": dt.date(2031, 4, 2), "face": b"\xff", "name": name}
        for i, league, name in given
    ]
    return pa.Table.from_pylist(whole, schema=TABLE.arrow)


def parts() -> list[Changes]:
    made = changes(TABLE, 1, Op.CREATED, 0, after=rows((1, 100, "Ana"), (2, 101, "Bo")))
    moved = changes(TABLE, 1, Op.UPDATED, 1, before=rows((2, 101, "Bo")), after=rows((2, 100, "Bo")))
    gone = changes(TABLE, 1, Op.DELETED, 1, before=rows((1, 100, "Ana")))
    return [joined([made, moved, gone])]


def test_every_change_is_shown_in_order_with_its_transaction() -> None:
    result = list(changes_of(EPOCH, parts(), None))
    assert [(item.op.value, item.position.gtid, item.partition) for item in result] == [
        ("c", "0-1-8", "league=100"),
        ("c", "0-1-8", "league=101"),
        ("u", "0-1-9", "league=100"),
        ("d", "0-1-9", "league=100"),
    ]


def test_a_partition_shows_also_the_row_that_leaves_it() -> None:
    assert [item.op.value for item in changes_of(EPOCH, parts(), "league=101")] == ["c", "u"]
    assert [item.op.value for item in changes_of(EPOCH, parts(), "league=100")] == ["c", "u", "d"]


def test_a_start_from_nothing_is_shown_once_whatever_the_number_of_kafka_partitions() -> None:
    whole, item = reset(TABLE, 1), reset(TABLE, 1, partition="league=100")

    def shown(given: Changes, wanted: str | None) -> list[Any]:
        return [(item.op.value, item.partition) for item in changes_of(EPOCH, [given, given], wanted)]

    assert shown(whole, None) == shown(whole, "league=100") == [("t", None)]
    assert shown(item, "league=100") == [("t", "league=100")]
    assert shown(item, "league=101") == []


def test_an_update_is_one_line_with_its_key_and_what_differs() -> None:
    lines = [text(item) for item in changes_of(EPOCH, parts(), None)]
    assert lines[2] == "7  0-1-9  u  ootp.players  league=100  id=2  league: 101 -> 100"
    assert lines[0].startswith("7  0-1-8  c  ootp.players  league=100  id=1  league=100  pay='1.50'  born='2031-04-02'")


def test_a_text_with_control_characters_does_nothing_to_a_terminal() -> None:
    wild = changes(TABLE, 1, Op.CREATED, 0, after=rows((1, 100, "\x1b[2J\n")))
    (line,) = [text(item) for item in changes_of(EPOCH, [wild], None)]
    assert line.isprintable()


def test_json_holds_every_type() -> None:
    (first, *_) = (json.loads(json.dumps(document(item))) for item in changes_of(EPOCH, parts(), None))
    assert first == {
        "op": "c",
        "epoch": 7,
        "table": "ootp.players",
        "partition": "league=100",
        "position": {"gtid": "0-1-8", "file": "binlog.000001", "pos": 800},
        "before": None,
        "after": {"id": 1, "league": 100, "pay": "1.50", "born": "2031-04-02", "face": "ff", "name": "Ana"},
    }
