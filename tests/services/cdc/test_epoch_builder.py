"""Rows of an epoch come out in the order of the log."""

from __future__ import annotations

from datafingerprint.binlog.table_map import LoggedColumn, TableMap
from datafingerprint.binlog.transaction_rows import LoggedRows
from datafingerprint.changes import Op
from services.cdc import epoch_builder


def announced(table_id: int, name: str = "id") -> TableMap:
    return TableMap(table_id, "s", "t", (LoggedColumn(name, 3, 0, unsigned=False),))


def test_events_of_one_definition_stay_in_order_whichever_table_map_announced_them() -> None:
    """A server that opens a table again gives it another number. The columns are equal, in other objects."""
    old, new, other = announced(1), announced(2), announced(3, "key")
    maps = (old, new, old, other, new, other)
    events = [(index, 0, LoggedRows(item, Op.CREATED, b"")) for index, item in enumerate(maps)]
    groups = epoch_builder._by_definition(events)
    assert [[index for index, _, _ in group] for group in groups] == [[0, 1, 2, 4], [3, 5]]
