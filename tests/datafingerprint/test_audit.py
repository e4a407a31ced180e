"""What an audit says of sums: the hop where rows went wrong, and never more than is known."""

from __future__ import annotations

from datafingerprint.audit import At, Hop, judge, overall
from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.verdict import Outcome, Verdict

AT = At(SourcePosition("0-1-1", "f", 4), 3, 9.0)
ONE, OTHER, TWO = Fingerprint(1, 5, 6), Fingerprint(1, 5, 7), Fingerprint(2, 8, 9)
LOST = Verdict(Outcome.MISMATCH, "the lake has 1 row too few", ONE, ZERO)
FINE = Verdict(Outcome.MATCH, "", ONE, ONE)


def test_the_sums_that_differ_name_the_hop() -> None:
    source = {"agrees": ONE, "capture": TWO, "values": OTHER, "lake": ONE, "both": TWO}
    stream = dict.fromkeys(source, ONE)
    found = judge("s.t", source, stream, {"lake": LOST, "both": LOST, "agrees": FINE}, AT)
    assert {one.partition: (one.outcome, one.hops, one.reason) for one in found} == {
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
    assert overall(found) is Outcome.MISMATCH


def test_a_partition_is_found_whichever_side_has_it_and_only_those_asked_for_are_told() -> None:
    found = judge("s.t", {"a": ONE}, {"b": ONE, "empty": ZERO}, {"c": FINE}, AT)
    assert [(one.partition, one.outcome) for one in found] == [
        ("a", Outcome.MISMATCH), ("b", Outcome.MISMATCH), ("c", Outcome.MATCH),
    ]  # fmt: skip
    assert [one.partition for one in judge("s.t", {"a": ONE}, {"b": ONE}, {}, AT, ["a"])] == ["a"]
    assert overall([]) is Outcome.MATCH
