"""A file's columns are found by field id, and it is known when files that were counted hold other values."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pytest

from datafingerprint.field_ids import FIELD_ID, FieldIds, column_indices, select_columns

WANTED = pa.schema([("a", pa.int64()), ("b", pa.int64())])


def file_of(*columns: tuple[str, int | None]) -> pa.Schema:
    return pa.schema(
        [pa.field(name, pa.int32(), metadata={FIELD_ID: str(item)} if item else None) for name, item in columns]
    )


@pytest.mark.parametrize(
    ("found", "ids", "expected"),
    [
        (file_of(("b", 1), ("a", 2)), {"a": 1, "b": 2}, [0, 1]),
        (file_of(("b", 1), ("a", 2)), {"a": 1}, [0, -1]),
        (file_of(("b", 1), ("a", 2)), {"a": 3, "b": 1}, [-1, 0]),
        (file_of(("b", 1), ("a", 2)), None, [1, 0]),
        (file_of(("b", None), ("a", None)), {"a": 1, "b": 2}, [1, 0]),
        (file_of(("b", None)), {"a": 1, "b": 2}, [-1, 0]),
    ],
    ids=["ids", "dropped", "another column", "ids unknown", "no ids in the file", "no such column"],
)
def test_a_column_is_where_its_id_is(found: pa.Schema, ids: Mapping[str, int] | None, expected: list[int]) -> None:
    assert column_indices(found, ids, WANTED) == expected
    rows = pa.table([pa.array([10 + number], pa.int32()) for number in range(len(found))], schema=found)
    values = [None if place < 0 else 10 + place for place in expected]
    assert select_columns(rows, expected, WANTED).to_pylist() == [dict(zip("ab", values, strict=True))]


@pytest.mark.parametrize("found", [file_of(("x", 1), ("y", 1)), file_of(("a", None), ("a", None))])
def test_of_two_columns_that_could_be_meant_none_is_guessed(found: pa.Schema) -> None:
    with pytest.raises(ValueError, match="two columns"):
        column_indices(found, {"a": 1, "b": 2}, WANTED)


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (FieldIds({"a": 1, "b": 2}, 2), False),
        (FieldIds({"a": 1, "b": 2, "c": 3}, 3), False),
        (FieldIds({"a": 1, "b": 2, "c": 2}, 2), True),
        (FieldIds({"a": 1}, 2), True),
        (FieldIds({"a": 2, "b": 1}, 2), True),
        (FieldIds({"a": 1, "b": 3}, 3), True),
    ],
    ids=[
        "the same",
        "a new column",
        "an old column by a new name",
        "dropped",
        "exchanged",
        "dropped and created again",
    ],
)
def test_files_are_to_be_read_again_when_a_name_means_another_column(later: FieldIds, expected: bool) -> None:
    assert FieldIds({"a": 1, "b": 2}, 2).is_moved(later, ["a", "b", "c"]) is expected
    assert FieldIds.from_json(later.to_json()) == later
