"""What differs, as lines: the kind, the key, and both values of what differs."""

from __future__ import annotations

from dataclasses import replace

from commands.diff.rendering import lines
from datafingerprint.differences import DifferenceKind, DiffState, PartitionDiff, RowDifference
from datafingerprint.epochs import SourcePosition

CHANGED = RowDifference(
    DifferenceKind.CHANGED,
    {"id": 17},
    f"{17:032x}",
    0,
    ("age", "name"),
    {"id": 17, "age": 27, "name": "\x1b[31mPeña"},
    {"id": 17, "age": None, "name": "Peña"},
)
EXTRA = RowDifference(DifferenceKind.EXTRA, None, "ab" * 16, 3, lake={"id": 1, "name": "x"}, note="read late")
WIDE = RowDifference(DifferenceKind.MISSING, {"id": 1}, "", -1, source={f"c{number}": number for number in range(10)})
BLANK = PartitionDiff("s.t", "league=1", DiffState.DIFFERS, 41)


def test_rows_are_named_with_their_keys_and_both_values_and_no_terminal_obeys_them() -> None:
    answer = replace(BLANK, rows=(CHANGED, EXTRA), count=5, position=SourcePosition("0-1-9", "b", 1))
    assert list(lines(answer)) == [
        "s.t league=1 at epoch 41: 5 rows differ (source read at 0-1-9)",
        "  changed          id=17  age: 27 -> NULL  name: '\\x1b[31mPeña' -> 'Peña'",
        f"  extra_in_lake    key {'ab' * 16}  id=1  name='x'  3 times too many  (read late)",
        "  and 3 more, which --limit leaves out",
    ]


def test_of_wide_rows_the_first_columns_are_shown() -> None:
    (_, line) = lines(replace(BLANK, rows=(WIDE,), count=1))
    assert line == "  missing_in_lake  id=1  " + "  ".join(f"c{number}={number}" for number in range(8)) + "  ..."


def test_partitions_without_named_rows_say_why() -> None:
    assert list(lines(replace(BLANK, state=DiffState.SAME))) == ["s.t league=1 at epoch 41: no difference"]
    unknown = replace(BLANK, state=DiffState.UNKNOWN, reason="snapshot at 40 %")
    assert list(lines(unknown)) == ["s.t league=1 at epoch 41: unknown: snapshot at 40 %"]
    (line,) = lines(replace(BLANK, reason="overflow"))
    assert line == "s.t league=1 at epoch 41: rows differ, but which is not known: overflow"
