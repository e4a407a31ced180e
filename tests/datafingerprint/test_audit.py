"""What an audit says of sums: the hop where rows went wrong, and never more than is known."""

from __future__ import annotations

import pytest

from datafingerprint.audit import Hop, MeasuredAt, judge
from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.verdict import Outcome, Verdict, overall

AT = MeasuredAt(SourcePosition("0-1-1", "f", 4), 3, 9.0)
ONE, OTHER, TWO = Fingerprint(1, 5, 6), Fingerprint(1, 5, 7), Fingerprint(2, 8, 9)
LOST = Verdict(Outcome.MISMATCH, "the lake has 1 row too few", ONE, ZERO)
FINE = Verdict(Outcome.MATCH, "", ONE, ONE)


def test_the_sums_that_differ_name_the_hop() -> None:
    source = {"agrees": ONE, "capture": TWO, "values": OTHER, "lake": ONE, "both": TWO}
    stream = dict.fromkeys(source, ONE)
    states = judge("s.t", source, stream, {"lake": LOST, "both": LOST, "agrees": FINE}, AT)
    assert {item.partition: (item.outcome, item.hops, item.reason) for item in states} == {
        "agrees": (Outcome.MATCH, (), ""),
        "capture": (Outcome.MISMATCH, (Hop.CAPTURE,), "the stream has 1 row too few"),
        "values": (Outcome.MISMATCH, (Hop.CAPTURE,), "as many rows in source and stream, but other values"),
        "lake": (Outcome.MISMATCH, (Hop.LAKE,), "the lake has 1 row too few"),
        "both": (
            Outcome.MISMATCH,
            (Hop.CAPTURE, Hop.LAKE),
            "the stream has 1 row too few; the lake has 1 row too few",
        ),
    }
    assert overall(item.outcome for item in states) is Outcome.MISMATCH


def test_a_partition_is_found_whichever_side_has_it_and_only_those_asked_for_are_told() -> None:
    states = judge("s.t", {"a": ONE}, {"b": ONE, "empty": ZERO}, {"c": FINE}, AT)
    assert [(item.partition, item.outcome) for item in states] == [
        ("a", Outcome.MISMATCH), ("b", Outcome.MISMATCH), ("c", Outcome.MATCH),
    ]  # fmt: skip
    assert [state.partition for state in judge("s.t", {"a": ONE}, {"b": ONE}, {}, AT, ["a"])] == ["a"]
    assert overall([]) is Outcome.MATCH


@pytest.mark.parametrize(
    ("source", "stream", "verdict", "is_suspect", "hops"),
    [
        # A row that capture missed was changed later: the lake has it, and so has the source.
        (TWO, ONE, (ONE, TWO), False, (Hop.CAPTURE,)),
        # The lake differs otherwise too.
        (TWO, ONE, (ONE, ZERO), False, (Hop.CAPTURE, Hop.LAKE)),
        (TWO, ONE, (ONE, ZERO), True, (Hop.CAPTURE,)),
        (TWO, TWO, (TWO, ONE), True, (Hop.LAKE,)),
    ],
)
def test_a_row_that_the_stream_never_had_does_not_blame_the_lake(
    source: Fingerprint,
    stream: Fingerprint,
    verdict: tuple[Fingerprint, Fingerprint],
    is_suspect: bool,
    hops: tuple[Hop, ...],
) -> None:
    lake = {"-": Verdict(Outcome.MISMATCH, "other values", *verdict)}
    (result,) = judge("s.t", {"-": source}, {"-": stream}, lake, AT, is_suspect=is_suspect)
    assert result.hops == hops
