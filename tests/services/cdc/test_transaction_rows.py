"""A transaction's row events are the same whether they wait in memory or in a file, whatever is rolled back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.adapters.scratch import TemporaryScratch
from datafingerprint.changes import Op
from datafingerprint.errors import Unavailable
from services.cdc import transaction_rows
from services.cdc.table_map import LoggedColumn, TableMap
from services.cdc.transaction_rows import LoggedRows, SpillLimit, TransactionRows

MAPS = [TableMap(number, "s", name, (LoggedColumn("id", 3, 0, False),)) for number, name in enumerate("aab")]  # noqa: FBT003 - unsigned
EVENTS = st.builds(
    LoggedRows, st.sampled_from(MAPS), st.sampled_from([Op.CREATED, Op.UPDATED, Op.DELETED]), st.binary(max_size=40)
)
STEPS = st.lists(st.one_of(EVENTS, st.just("savepoint"), st.just("rollback to"), st.just("rollback")), max_size=60)


@given(STEPS, st.integers(0, 200), st.integers(1, 64))
def test_what_is_read_back_is_what_was_logged_less_what_was_rolled_back(
    steps: list[LoggedRows | str], octets_max: int, read_octets: int
) -> None:
    found = TransactionRows(SpillLimit(octets_max, TemporaryScratch("")))
    expected: list[LoggedRows] = []
    marks: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction_rows, "_READ_OCTETS", 9 + read_octets)
        for step in steps:
            if isinstance(step, LoggedRows):
                found.append(step)
                expected.append(step)
            elif step == "savepoint":
                marks.append((found.length, len(expected)))
            elif step == "rollback":
                found.truncate(0)
                expected, marks = [], []
            elif marks:
                length, number = marks[-1]
                found.truncate(length)
                del expected[number:]
            assert list(found) == expected
    assert found.is_spilled or found.length <= octets_max
    found.close()


def test_a_directory_that_is_lost_is_named_with_the_setting(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    rows = TransactionRows(SpillLimit(0, TemporaryScratch(str(folder))))
    folder.rmdir()
    with pytest.raises(Unavailable, match=r"scratch: make room there, or set \[scratch\] directory"):
        rows.append(LoggedRows(MAPS[0], Op.CREATED, b"x"))
