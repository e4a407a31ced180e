"""Positions of both servers: printed canonically, and asked whether one has reached another, against plain sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.errors import DecodeError
from datafingerprint.gtid import NOTHING, GtidPosition, Gtids, GtidSet, explain_divergence, has_reached, parse_gtids

UUIDS = ("3e11fa47-71ca-11e1-9e33-c80aa9429562", "00000000-0000-0000-0000-00000000000a")
NAMES = (*UUIDS, f"{UUIDS[0]}:backfill", f"{UUIDS[1]}:_x")
transactions = st.tuples(st.sampled_from(NAMES), st.integers(1, 24))
plain_sets = st.frozensets(transactions, max_size=40)
positions = st.dictionaries(st.integers(0, 3), st.tuples(st.integers(1, 2), st.integers(1, 9)), max_size=3)


def set_of(plain: frozenset[tuple[str, int]]) -> Gtids:
    """The slow way: one transaction after another, as text."""
    return parse_gtids(",".join(f"{name}:{number}" for name, number in plain))


def plain_of(gtids: Gtids) -> frozenset[tuple[str, int]]:
    if gtids.is_empty:
        return frozenset()
    assert isinstance(gtids, GtidSet)
    return frozenset(
        (name, number)
        for name, intervals in gtids.intervals.items()
        for low, high in intervals
        for number in range(low, high + 1)
    )


@given(plain_sets)
def test_a_set_holds_exactly_its_transactions_and_is_read_back_from_its_text(plain: frozenset[tuple[str, int]]) -> None:
    gtids = set_of(plain)
    assert plain_of(gtids) == plain
    assert parse_gtids(str(gtids)) == gtids
    assert str(parse_gtids(str(gtids))) == str(gtids)


@given(plain_sets, plain_sets)
def test_sets_contain_and_unite_as_plain_sets_do(
    first: frozenset[tuple[str, int]], other: frozenset[tuple[str, int]]
) -> None:
    assert set_of(first).contains(set_of(other)) == (first >= other)
    assert plain_of(set_of(first).union(set_of(other))) == first | other
    assert str(set_of(first).union(set_of(other))) == str(set_of(first | other))


@given(st.lists(transactions, max_size=60, unique=True))
def test_adding_one_by_one_gives_the_set_of_all(added: list[tuple[str, int]]) -> None:
    gtids: Gtids = NOTHING
    for name, number in added:
        gtids = gtids.add(f"{name}:{number}")
        assert gtids.contains(parse_gtids(f"{name}:{number}"))
    assert str(gtids) == str(set_of(frozenset(added)))


@given(positions, positions)
def test_a_position_has_reached_another_when_each_domain_has(
    first: dict[int, tuple[int, int]], other: dict[int, tuple[int, int]]
) -> None:
    expected = all(
        domain in first and (first[domain][1] > number or first[domain] == (server, number))
        for domain, (server, number) in other.items()
    )
    assert GtidPosition(first).contains(GtidPosition(other)) == expected
    assert parse_gtids(str(GtidPosition(first))) == GtidPosition(first)


@given(positions, positions)
def test_the_union_of_positions_has_reached_both_and_nothing_more(
    first: dict[int, tuple[int, int]], other: dict[int, tuple[int, int]]
) -> None:
    parted = any(
        domain in first and first[domain][1] == last[1] and first[domain] != last for domain, last in other.items()
    )
    if parted:
        with pytest.raises(DecodeError, match="diverged histories"):
            GtidPosition(first).union(GtidPosition(other))
        return
    united = GtidPosition(first).union(GtidPosition(other))
    assert united.contains(GtidPosition(first))
    assert united.contains(GtidPosition(other))
    assert isinstance(united, GtidPosition)
    assert all(last in (first.get(domain), other.get(domain)) for domain, last in united.last.items())


def test_texts_are_printed_as_the_servers_print_them() -> None:
    upper = f"{UUIDS[0].upper()}:7:1-3:4-5,\n{UUIDS[1]}:1:tag:2:1:9"
    assert str(parse_gtids(upper)) == f"{UUIDS[1]}:1:tag:1-2:9,{UUIDS[0]}:1-5:7"
    assert str(parse_gtids("7-2-4,0-1-90211")) == "0-1-90211,7-2-4"
    assert str(parse_gtids("")) == ""


def test_the_beginning_is_a_position_of_either_server() -> None:
    for text in (f"{UUIDS[0]}:1", "0-1-1"):
        assert has_reached(text, "")
        assert not has_reached("", text)
        assert str(NOTHING.union(parse_gtids(text))) == text
        assert str(parse_gtids(text).union(NOTHING)) == text


def test_a_tag_has_numbers_of_its_own() -> None:
    tagged = parse_gtids(f"{UUIDS[0]}:backfill:1-3")
    assert not tagged.contains(parse_gtids(f"{UUIDS[0]}:2"))
    assert isinstance(tagged, GtidSet)
    assert tagged.is_tagged


def test_a_number_that_does_not_rise_in_its_domain_is_refused() -> None:
    with pytest.raises(DecodeError, match=r"0-2-5 does not follow 0-1-5,1-1-1.*gtid_strict_mode"):
        parse_gtids("0-1-5,1-1-1").add("0-2-5")


def test_a_transaction_of_mysql_that_comes_again_is_refused() -> None:
    """Its numbers begin again when its binlog is reset."""
    with pytest.raises(DecodeError, match="was read before"):
        parse_gtids(f"{'a' * 8}-0000-0000-0000-{'0' * 12}:1-5").add(f"{'a' * 8}-0000-0000-0000-{'0' * 12}:1")


def test_positions_of_different_servers_are_never_compared() -> None:
    with pytest.raises(DecodeError, match="different kinds of servers"):
        has_reached("0-1-5", f"{UUIDS[0]}:1")
    with pytest.raises(DecodeError, match="different kinds of servers"):
        parse_gtids(f"{UUIDS[0]}:1").add("0-1-5")


@pytest.mark.parametrize(
    "text",
    ["0-1", "0-1-1,0-1-2", "x", "1:1", UUIDS[0], f"{UUIDS[0]}:", f"{UUIDS[0]}:0", f"{UUIDS[0]}:5-3", "0-1-a",
     f"{UUIDS[0]}:tag", f"{UUIDS[0]}:1-2-3", f"{4_294_967_296}-1-1", f"{UUIDS[0]}:{2**63}"],
)  # fmt: skip
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match="neither a MySQL GTID set nor a MariaDB GTID position"):
        parse_gtids(text)


@pytest.mark.parametrize(
    ("server", "stream", "reason"),
    [
        (f"{UUIDS[0]}:1-9", f"{UUIDS[0]}:1-5", ""),
        (f"{UUIDS[0]}:1-9,{UUIDS[1]}:1", f"{UUIDS[0]}:1-5", ""),
        (f"{UUIDS[0]}:1-3", f"{UUIDS[0]}:1-5", ""),
        ("", "", ""),
        ("", f"{UUIDS[0]}:1-5", "it has no transactions"),
        (f"{UUIDS[1]}:1-900", f"{UUIDS[0]}:1-5", "none of the stream's"),
        (f"{UUIDS[0]}:1-3,{UUIDS[1]}:1", f"{UUIDS[0]}:1-5", f"has some of {UUIDS[1]}"),
        ("0-1-7", "0-1-9", ""),
    ],
)
def test_a_server_whose_transactions_are_not_the_streams_is_told_from_one_that_is_ahead_or_behind(
    server: str, stream: str, reason: str
) -> None:
    said = explain_divergence(parse_gtids(server), parse_gtids(stream))
    assert reason in said
    assert bool(reason) == bool(said)
