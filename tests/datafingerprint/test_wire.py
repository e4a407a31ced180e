"""What goes onto the wire comes off it again; what is damaged is refused."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.changes import Changes, joined
from datafingerprint.epochs import (
    Epoch,
    OffsetRange,
    SnapshotCursor,
    SourcePosition,
    Transaction,
    require_successor,
)
from datafingerprint.errors import WireError
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.wire import (
    LakeCommit,
    Topics,
    decode_changes,
    decode_epoch,
    decode_lake_commit,
    decode_record,
    decoded_name,
    encode_changes,
    encode_record,
    encoded_name,
    lake_identifier,
)
from tests.datafingerprint.drawn import KEYED, Row, change_rows, rows_of, tables

BIG = TableSchema("s", "big", (Column("v", "longtext", Kind.TEXT),))


def read_back(changes: Changes, messages: list[tuple[bytes, int]]) -> list[Row]:
    parts = [decode_changes(changes.table, changes.version, octets, "t:0@0") for octets, _ in messages]
    rows: list[Row] = joined(parts).rows.to_pylist()
    return rows


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_changes_of_every_kind_come_back_as_they_were(data: st.DataObject) -> None:
    table = data.draw(tables())
    images = data.draw(rows_of(table))
    events = []
    for tx, image in enumerate(images):
        op = data.draw(st.sampled_from("cudrt"))
        other = data.draw(st.sampled_from(images))
        events.append(
            {
                "op": op,
                "tx": tx,
                "before": other if op in "ud" else None,
                "after": image if op in "cur" else None,
            }
        )
    if not events:
        return
    changes = change_rows(table, events)
    messages = encode_changes(changes)
    assert sum(rows for _, rows in messages) == len(events)
    result = [decode_changes(table, 1, octets, "t:0@0") for octets, _ in messages]
    assert joined(result).rows.equals(changes.rows)
    assert joined(result).before.equals(changes.before)
    assert joined(result).after.equals(changes.after)


def test_a_null_image_is_not_an_image_of_nulls() -> None:
    nulls = {"id": None, "Part": None, "n": None}
    events = [
        {"op": "c", "tx": 0, "before": None, "after": nulls},
        {"op": "t", "tx": 0, "before": None, "after": None},
        {"op": "u", "tx": 1, "before": nulls, "after": {**nulls, "Part": ""}},
    ]
    changes = change_rows(KEYED, events)
    assert read_back(changes, encode_changes(changes)) == events


def noise(seed: int, length: int) -> str:
    chooser = random.Random(seed)
    return "".join(chooser.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZé漢🏈", k=length))


@given(st.lists(st.integers(0, 900), min_size=1, max_size=40), st.integers(2_500, 20_000))
@settings(max_examples=40, deadline=None)
def test_long_changes_are_split_and_keep_their_rows_and_order(lengths: list[int], bytes_max: int) -> None:
    events = [
        {"op": "c", "tx": tx, "before": None, "after": {"v": noise(tx, length)}} for tx, length in enumerate(lengths)
    ]
    changes = change_rows(BIG, events)
    messages = encode_changes(changes, bytes_max=bytes_max)
    assert all(len(octets) <= bytes_max for octets, _ in messages)
    assert all(rows > 0 for _, rows in messages)
    assert sum(rows for _, rows in messages) == len(lengths)
    assert read_back(changes, messages) == events


MESSAGE = encode_changes(
    change_rows(KEYED, [{"op": "c", "tx": 0, "before": None, "after": {"id": 1, "Part": "a", "n": None}}] * 3)
)[0][0]


@pytest.mark.parametrize(
    "octets", [b"", b"\x00", b"nonsense" * 10, MESSAGE[:40], MESSAGE[: len(MESSAGE) // 2], MESSAGE[:-9]]
)
def test_what_is_no_message_is_refused(octets: bytes) -> None:
    with pytest.raises(WireError, match=r"not a record batch of its definition 1 \(\w+\) at topic:0@7: .*resync "):
        decode_changes(KEYED, 1, octets, "topic:0@7")


def test_a_message_of_another_definition_is_refused() -> None:
    other = TableSchema("s", "t", (Column("v", "double", Kind.DOUBLE),))
    with pytest.raises(WireError):
        decode_changes(other, 1, MESSAGE, "topic:0@7")


@given(st.text(min_size=1))
def test_a_topics_part_tells_the_name(name: str) -> None:
    assert decoded_name(encoded_name(name)) == name
    assert all(character.isascii() and (character.isalnum() or character in "_-") for character in encoded_name(name))


NAME = st.text(st.sampled_from("ab.-_2E-é"), min_size=1, max_size=6)


@given(NAME, NAME, NAME, NAME)
@settings(max_examples=200)
def test_two_tables_never_share_a_topic(a: str, b: str, c: str, d: str) -> None:
    topics = Topics("dfp")
    same = topics.of(TableSchema(a, b, ())) == topics.of(TableSchema(c, d, ()))
    assert same == ((a, b) == (c, d))


def test_a_dot_in_a_name_is_no_end_of_it() -> None:
    topics = Topics("dfp")
    assert topics.of(TableSchema("a.b", "c", ())) == "dfp.a-2Eb.c"
    assert topics.of(TableSchema("a", "b.c", ())) == "dfp.a.b-2Ec"


def test_a_tables_topic_is_none_of_the_control_topics() -> None:
    topics = Topics("dfp")
    assert topics.of(TableSchema("epochs", "", ())) not in topics.control
    assert len(set(topics.control)) == 4


def test_a_topic_too_long_for_kafka_ends_in_a_hash_and_stays_what_it_is() -> None:
    topic = Topics("dfp").of(TableSchema("s", "é" * 64, ()))
    assert topic.startswith("dfp.s.-C3-A9-C3-A9")
    assert topic.endswith("-x5be6f9a5684eb21b56da1dd7a3d79aa4")
    assert topic == Topics("dfp").of(TableSchema("s", "é" * 64, ()))
    others = {Topics("dfp").of(TableSchema("s", f"{'é' * 63}{last}", ())) for last in "éèabc"}
    assert (len(others), max(map(len, others))) == (5, 249)
    assert len(Topics("dfp").of(TableSchema("s", "a" * 243, ()))) == 249


WORDS = st.text(max_size=8)
NUMBERS = st.integers(0, 2**63 - 1)
POSITIONS = st.builds(SourcePosition, WORDS, WORDS, NUMBERS)
TIMES = st.floats(0, 4e9)
EPOCHS = st.builds(
    Epoch,
    WORDS,
    NUMBERS,
    POSITIONS,
    TIMES,
    st.dictionaries(
        WORDS,
        st.dictionaries(st.integers(0, 99), st.builds(OffsetRange, NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=2),
        max_size=2,
    ),
    st.lists(st.builds(Transaction, NUMBERS, WORDS, WORDS, NUMBERS), max_size=2).map(tuple),
    st.dictionaries(WORDS, st.builds(SnapshotCursor, NUMBERS, NUMBERS, st.booleans()), max_size=2),
    st.dictionaries(WORDS, NUMBERS, max_size=2),
    set_aside=st.dictionaries(WORDS, WORDS, max_size=2),
)
COMMITS = st.builds(
    LakeCommit,
    WORDS,
    NUMBERS,
    POSITIONS,
    TIMES,
    NUMBERS,
    st.dictionaries(WORDS, st.none() | NUMBERS, max_size=3),
    TIMES,
)


@given(EPOCHS)
@settings(max_examples=50)
def test_an_epoch_comes_back_as_it_was(epoch: Epoch) -> None:
    assert decode_epoch(encode_record(epoch.to_json()), "epochs@0") == epoch


@given(COMMITS)
@settings(max_examples=50)
def test_a_lake_commit_comes_back_as_it_was(commit: LakeCommit) -> None:
    assert decode_lake_commit(encode_record(commit.to_json()), "lake-commits@0") == commit


EPOCH = Epoch("stream", 5, SourcePosition("0-1-9", "binlog.1", 4), 1.5)
COMMIT = LakeCommit("stream", 5, SourcePosition("0-1-9", "binlog.1", 4), 1.5, 6, {}, 2.5)


@pytest.mark.parametrize("octets", [b"", b"{", b"\xff", b"[]", b"1", b"null"])
def test_a_control_record_that_is_no_json_object_is_refused(octets: bytes) -> None:
    for decode in (decode_record, decode_epoch, decode_lake_commit):
        with pytest.raises(WireError, match="epochs@3"):
            decode(octets, "epochs@3")


@pytest.mark.parametrize("wrong", [None, 7, "x", [], {"x": "y"}])
@pytest.mark.parametrize("field", ["position", "ranges", "transactions", "snapshots"])
def test_an_epoch_with_a_field_of_another_form_is_refused(field: str, wrong: Any) -> None:  # noqa: ANN401 - any JSON
    document = {**EPOCH.to_json(), field: wrong}
    if field == "transactions" and wrong == []:
        return
    with pytest.raises(WireError, match="has an unknown form"):
        decode_epoch(encode_record(document), "epochs@3")


@pytest.mark.parametrize("wrong", [None, 7, "x", ["y"]])
@pytest.mark.parametrize("field", ["position", "snapshots"])
def test_a_lake_commit_with_a_field_of_another_form_is_refused(field: str, wrong: Any) -> None:  # noqa: ANN401 - any JSON
    with pytest.raises(WireError, match="has an unknown form"):
        decode_lake_commit(encode_record({**COMMIT.to_json(), field: wrong}), "lake-commits@3")


@pytest.mark.parametrize("document", [EPOCH.to_json(), COMMIT.to_json()])
def test_a_record_without_one_of_its_fields_is_refused(document: Row) -> None:
    decode = decode_epoch if "ranges" in document else decode_lake_commit
    # Epochs from before there were requests have no answers to them.
    for name in set(document) - {"answers"}:
        with pytest.raises(WireError):
            decode(encode_record({key: value for key, value in document.items() if key != name}), "x@3")


def numbered(number: int, stream_id: str = "stream") -> Epoch:
    return Epoch(stream_id, number, SourcePosition("", "", 0), 0.0)


def test_epochs_follow_one_another_without_a_gap() -> None:
    require_successor(None, numbered(1))
    require_successor(numbered(1), numbered(2))
    require_successor(("stream", 7), numbered(8))


@pytest.mark.parametrize(("previous", "following"), [(None, 2), (1, 1), (1, 3), (5, 1), (5, 5)])
def test_a_gap_or_a_repetition_is_refused(previous: int | None, following: int) -> None:
    with pytest.raises(WireError, match="is missing"):
        require_successor(None if previous is None else numbered(previous), numbered(following))


def test_an_epoch_of_another_stream_is_refused() -> None:
    with pytest.raises(WireError, match="from stream stream to other"):
        require_successor(numbered(1), numbered(2, "other"))


def test_tables_that_are_set_aside_are_named_only_where_there_are_any() -> None:
    commit = LakeCommit("s", 3, SourcePosition("0-1-3", "binlog", 3), 1.0, 7, {"s.t": 5, "s.u": None}, 2.0)
    assert "set_aside" not in commit.to_json()
    aside = replace(commit, set_aside={"s.u": "delete files"})
    for item in (commit, aside):
        assert decode_lake_commit(encode_record(item.to_json()), "here") == item


def test_holes_are_part_of_an_epoch_only_where_there_are_any() -> None:
    epoch = Epoch("s", 3, SourcePosition("0-1-3", "binlog", 3), 1.0)
    assert "holes" not in epoch.to_json()
    holed = replace(epoch, holes={"s.u": "messages are missing"})
    for item in (epoch, holed):
        assert Epoch.from_json(item.to_json()) == item


@given(NAME, NAME, NAME, NAME)
@settings(max_examples=200)
def test_two_tables_never_share_a_name_in_the_lake(a: str, b: str, c: str, d: str) -> None:
    many = 50  # long enough to be cut
    first, other = TableSchema(a * many, b, ()), TableSchema(c * many, d, ())
    assert (lake_identifier(first) == lake_identifier(other)) == ((a * many, b) == (c * many, d))
    assert all(len(part) <= 255 for part in lake_identifier(first))
