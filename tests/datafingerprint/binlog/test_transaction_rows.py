"""Row events are the same in memory and in a file, after any rollbacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.binlog import transaction_rows
from datafingerprint.binlog.table_map import LoggedColumn, TableMap
from datafingerprint.binlog.transaction_rows import LoggedRows, SpillLimit, TransactionRows
from datafingerprint.changes import Op
from datafingerprint.errors import Unavailable

MAPS = [TableMap(number, "s", name, (LoggedColumn("id", 3, 0, False),)) for number, name in enumerate("aab")]  # noqa: FBT003 - unsigned
EVENTS = st.builds(
    LoggedRows, st.sampled_from(MAPS), st.sampled_from([Op.CREATED, Op.UPDATED, Op.DELETED]), st.binary(max_size=40)
)
STEPS = st.lists(st.one_of(EVENTS, st.just("savepoint"), st.just("rollback to"), st.just("rollback")), max_size=60)


@given(STEPS, st.integers(0, 200), st.integers(1, 64))
def test_stored_events_are_those_that_were_logged_and_not_rolled_back(
    steps: list[LoggedRows | str], bytes_max: int, read_bytes: int
) -> None:
    rows = TransactionRows(SpillLimit(bytes_max, TemporaryScratch("")))
    expected: list[LoggedRows] = []
    marks: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction_rows, "_READ_BYTES", 9 + read_bytes)
        for step in steps:
            if isinstance(step, LoggedRows):
                rows.append(step)
                expected.append(step)
            elif step == "savepoint":
                marks.append((rows.length, len(expected)))
            elif step == "rollback":
                rows.truncate(0)
                expected, marks = [], []
            elif marks:
                length, number = marks[-1]
                rows.truncate(length)
                del expected[number:]
            assert list(rows) == expected
    assert rows.is_spilled or rows.length <= bytes_max
    rows.close()


def test_a_directory_that_is_lost_is_named_with_the_setting(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    rows = TransactionRows(SpillLimit(0, TemporaryScratch(str(folder))))
    folder.rmdir()
    with pytest.raises(Unavailable, match=r"scratch: free space there, or set \[scratch\] directory"):
        rows.append(LoggedRows(MAPS[0], Op.CREATED, b"x"))
