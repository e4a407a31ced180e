"""An epoch says why nothing can be told of a table: capture's reason, a hole, or a reading that is not finished."""

from __future__ import annotations

import pytest

from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition

ASIDE, HOLE = "a zero date stands in a key", "messages are missing"


@pytest.mark.parametrize(
    ("set_aside", "holes", "is_complete", "doubt"),
    [
        ({"s.t": ASIDE}, {"s.t": HOLE}, False, ASIDE),
        ({}, {"s.t": HOLE}, False, HOLE),
        ({}, {"s.t": HOLE}, True, HOLE),
        ({"s.other": ASIDE}, {"s.another": HOLE}, False, "snapshot at 25 %"),
        ({"s.other": ASIDE}, {"s.another": HOLE}, True, ""),
    ],
)
def test_a_table_is_in_doubt_for_the_reason_that_stands_in_the_way_longest(
    set_aside: dict[str, str], holes: dict[str, str], is_complete: bool, doubt: str
) -> None:
    cursors = {"s.t": SnapshotCursor(1, 4, is_complete)}
    epoch = Epoch("s", 1, SourcePosition("0-1-1", "b", 4), 1.0, snapshots=cursors, holes=holes, set_aside=set_aside)
    assert epoch.doubt("s.t") == doubt


def test_a_table_that_awaits_its_snapshot_is_in_doubt_and_is_so_in_the_record() -> None:
    epoch = Epoch("s", 1, SourcePosition("0-1-1", "b", 4), 1.0, awaiting_snapshot=("s.new",))
    assert epoch.doubt("s.new") == "its snapshot has not begun"
    assert epoch.doubt("s.t") == ""
    assert Epoch.from_json(epoch.to_json()) == epoch
    assert "awaiting_snapshot" not in Epoch("s", 1, epoch.position, 1.0).to_json()
