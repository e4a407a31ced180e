"""A table that may have changed unlogged is no match, and does not blame the lake, but damage stays damage."""

from __future__ import annotations

from datafingerprint.cascades import Suspicion, of_unknown_rows
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.verdict import Outcome, judge_table

CASCADE = Suspicion("s.t", 1, 2, "rows of s.p were deleted")
WHY = "cascade of a foreign key not logged by the source: rows of s.p were deleted"
ONE, TWO = Fingerprint(1, 2, 3), Fingerprint(2, 5, 7)


def test_what_is_suspect_is_inconclusive_with_the_reason_and_the_difference() -> None:
    verdicts = judge_table(
        {"a": ONE, "b": ONE, "c": ONE}, {"a": ONE, "b": TWO}, suspicion=CASCADE, unreadable={"c": "gone"}
    )
    assert {name: (item.outcome, item.reason) for name, item in verdicts.items()} == {
        "a": (Outcome.INCONCLUSIVE, WHY),
        "b": (Outcome.INCONCLUSIVE, f"{WHY}; the lake has 1 row too many"),
        "c": (Outcome.MISMATCH, "gone"),
    }


def test_what_cannot_be_told_of_the_whole_table_comes_first() -> None:
    (result,) = judge_table({"a": ONE}, {"a": ONE}, suspicion=CASCADE, inconclusive="snapshot at 3 %").values()
    assert (result.outcome, result.reason) == (Outcome.INCONCLUSIVE, "snapshot at 3 %")


def test_rows_that_the_lake_had_not_leave_a_match_a_match_and_say_who_may_have_missed_them() -> None:
    verdicts = judge_table({"a": ONE, "b": ONE}, {"a": ONE, "b": TWO}, suspicion=of_unknown_rows("s.t", 3))
    assert verdicts["a"].outcome is Outcome.MATCH
    assert (verdicts["b"].outcome, verdicts["b"].reason) == (
        Outcome.MISMATCH,
        (
            "the lake has 1 row too many; rows changed that the lake did not have, or had with other values: "
            "an audit shows whether capture missed them"
        ),
    )
