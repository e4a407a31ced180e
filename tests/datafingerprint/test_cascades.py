"""Which tables a parent's change reaches, by whole columns, and what consecutive epochs come to."""

from __future__ import annotations

import pyarrow as pa
import pytest

from datafingerprint.cascades import Cascades, ForeignKey, Suspicion, Suspicions, list_keys
from datafingerprint.changes import Changes, Op, changes
from datafingerprint.column_types import column
from datafingerprint.schema import TableSchema

CLUBS = TableSchema(
    "s",
    "clubs",
    (
        column("Club_Id", "int(11)", nullable=False, charset=None),
        column("code", "varchar(5)", nullable=True, charset="utf8mb4"),
        column("town", "varchar(20)", nullable=True, charset="utf8mb4"),
    ),
    ("Club_Id",),
)


def key(child: str, columns: str, parent: str, referenced: str, delete: str, update: str) -> ForeignKey:
    return ForeignKey(
        f"fk_{child}", f"s.{child}", tuple(columns.split()), f"s.{parent}", tuple(referenced.split()), delete, update
    )


KEYS = (
    key("teams", "club_id", "clubs", "club_id", "CASCADE", "RESTRICT"),
    key("coaches", "team_id", "teams", "team_id", "SET NULL", "NO ACTION"),
    key("grades", "team_id", "coaches", "team_id", "RESTRICT", "CASCADE"),
    key("badges", "code", "clubs", "code", "NO ACTION", "SET NULL"),
    key("pins", "badge_code", "badges", "code", "CASCADE", "CASCADE"),
    key("staff", "boss", "staff", "id", "CASCADE", "RESTRICT"),
)
CASCADES = Cascades(KEYS)


def test_a_deleted_row_goes_down_every_key_that_cascades_and_turns_into_an_update_at_set_null() -> None:
    assert CASCADES.after_delete("s.clubs") == {"s.teams", "s.coaches", "s.grades"}
    assert CASCADES.after_delete("s.coaches") == frozenset()
    assert CASCADES.after_delete("s.badges") == {"s.pins"}
    assert CASCADES.after_delete("s.staff") == {"s.staff"}
    assert CASCADES.after_delete("s.unknown") == frozenset()


def test_another_value_goes_down_only_the_keys_that_refer_to_its_column() -> None:
    assert CASCADES.columns("s.clubs") == ("code",)
    assert CASCADES.after_update("s.clubs", "CODE") == {"s.badges", "s.pins"}
    assert CASCADES.after_update("s.clubs", "club_id") == frozenset()
    assert CASCADES.after_update("s.clubs", "town") == frozenset()


def test_keys_in_a_ring_come_to_an_end() -> None:
    ring = Cascades(
        [key("b", "x", "a", "x", "CASCADE", "CASCADE"), key("a", "x", "b", "x", "CASCADE", "CASCADE")],
    )
    assert ring.after_delete("s.a") == {"s.a", "s.b"}
    assert ring.after_update("s.b", "x") == {"s.a", "s.b"}


def rows(*values: tuple[int, str | None, str | None]) -> pa.Table:
    arrays = [pa.array(item, field.type) for item, field in zip(zip(*values, strict=True), CLUBS.arrow, strict=True)]
    return pa.table(arrays, schema=CLUBS.arrow)


def changed(op: Op, *pairs: tuple[tuple[int, str | None, str | None], tuple[int, str | None, str | None]]) -> Changes:
    before, after = rows(*(item for item, _ in pairs)), rows(*(item for _, item in pairs))
    return changes(
        CLUBS,
        1,
        op,
        0,
        before=before if op in (Op.UPDATED, Op.DELETED) else None,
        after=after if op in (Op.CREATED, Op.UPDATED) else None,
    )


@pytest.mark.parametrize(
    ("found", "reached"),
    [
        (changed(Op.CREATED, ((1, "a", "x"), (1, "a", "x"))), set()),
        (changed(Op.UPDATED, ((1, "a", "x"), (1, "a", "y")), ((2, None, "x"), (2, None, "y"))), set()),
        (changed(Op.UPDATED, ((1, "a", "x"), (2, "a", "x"))), set()),
        (changed(Op.UPDATED, ((1, "a", "x"), (1, "a", "x")), ((2, "a", "x"), (2, "b", "x"))), {"badges", "pins"}),
        (changed(Op.UPDATED, ((1, None, "x"), (1, "a", "x"))), {"badges", "pins"}),
        (changed(Op.UPDATED, ((1, "a", "x"), (1, None, "x"))), {"badges", "pins"}),
        (changed(Op.DELETED, ((1, "a", "x"), (1, "a", "x"))), {"teams", "coaches", "grades"}),
    ],
)
def test_only_changes_that_can_cascade_make_a_child_suspect(found: Changes, reached: set[str]) -> None:
    assert CASCADES.after(found).keys() == {f"s.{name}" for name in reached}
    assert Cascades().after(found) == {}


def test_rows_that_nobody_decodes_count_as_changed_in_every_column() -> None:
    assert CASCADES.after_skipped("s.clubs", Op.UPDATED).keys() == {"s.badges", "s.pins"}
    assert CASCADES.after_skipped("s.clubs", Op.DELETED) == dict.fromkeys(
        ("s.teams", "s.coaches", "s.grades"), "rows of s.clubs were deleted"
    )
    assert CASCADES.after_skipped("s.clubs", Op.CREATED) == {}
    assert not CASCADES.is_parent("s.pins")


def test_keys_are_named_by_child_also_where_the_parent_is_not_captured() -> None:
    result = CASCADES.between({"s.teams", "s.clubs"})
    assert list_keys(result) == "s.teams (club_id) references s.clubs ON DELETE CASCADE"
    assert str(KEYS[4]) == "s.pins (badge_code) references s.badges ON DELETE CASCADE ON UPDATE CASCADE"
    assert list_keys(KEYS, most=1).endswith(" and 5 more")


def test_epochs_add_up_by_table_and_a_table_that_starts_from_nothing_is_suspect_no_more() -> None:
    suspicions = Suspicions()
    suspicions.add(3, {"s.a": "first", "s.b": "other"})
    suspicions.add(4, {})
    suspicions.add(5, {"s.a": "second"})
    assert suspicions.suspects == {"s.a": Suspicion("s.a", 3, 5, "first"), "s.b": Suspicion("s.b", 3, 3, "other")}
    suspicions.add(6, {}, restarted=["s.a"])
    suspicions.add(7, {"s.a": "third"}, restarted=["s.b"])
    assert suspicions.suspects == {"s.a": Suspicion("s.a", 7, 7, "third")}
    assert suspicions.restarted == {"s.a": 6, "s.b": 7}
