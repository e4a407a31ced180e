"""A table that is set aside is looked at again at growing intervals, and what was lost of it stays its reason."""

from __future__ import annotations

import pytest

from datafingerprint.set_aside import LOST, RETRY_GROWTH, RETRY_S, RETRY_S_MAX, SetAside


def test_a_table_is_due_after_waits_that_grow_up_to_a_bound() -> None:
    aside = SetAside({}, 0.0)
    assert aside.add("s.t", "delete files", 0.0)
    assert "s.t" in aside
    now, waits = 0.0, []
    for _ in range(12):
        began = now
        while not aside.is_due(now):
            now += 1.0
        waits.append(now - began)
        assert aside.due(now) == ["s.t"]
        assert not aside.is_due(now)
    assert waits[0] == RETRY_S
    assert waits[1] == RETRY_S * RETRY_GROWTH
    assert waits == sorted(waits)
    assert waits[-1] == RETRY_S_MAX
    aside.remove("s.t")
    aside.add("s.t", "again", now)
    assert not aside.is_due(now + RETRY_S), "one that comes back soon does not load the source for ever"


@pytest.mark.parametrize("patience_s", [0.0, 15.0])
def test_a_table_whose_changes_were_lost_is_due_as_soon_as_nobody_else_sees_to_it(patience_s: float) -> None:
    aside = SetAside({}, 0.0, patience_s=patience_s)
    aside.add("s.t", f"{LOST}: a hole", 100.0)
    assert aside.is_due(100.0) is (patience_s == 0.0)
    assert aside.is_due(100.0 + patience_s)
    assert aside.is_lost("s.t")


def test_lost_changes_stay_the_reason_whatever_comes_after_them() -> None:
    aside = SetAside({"s.u": "delete files"}, 0.0)
    assert aside.add("s.t", f"{LOST}: a hole", 0.0)
    assert not aside.add("s.t", "delete files", 1.0)
    assert aside.add("s.u", "its metadata is gone", 1.0)
    assert not aside.add("s.u", "its metadata is gone", 2.0)
    assert aside.reasons == {"s.t": f"{LOST}: a hole", "s.u": "its metadata is gone"}
    assert SetAside(aside.reasons, 5.0).is_lost("s.t"), "also in the next run"
