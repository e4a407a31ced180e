"""Messages carry rows of any length and the scope of a `t`; fragments that are missing or mixed up are refused."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.changes import Changes, Op, changes, joined, reset
from datafingerprint.errors import WireError
from datafingerprint.messages import HEADER_FRAGMENT, HEADER_PARTITION, Message, MessageReader, consecutive, messages_of
from datafingerprint.routing import routed
from datafingerprint.schema import Column, Kind, TableSchema
from tests.datafingerprint.drawn import KEYED, change_rows

BIG = TableSchema("s", "big", (Column("v", "longtext", Kind.TEXT),))
BYTES_MAX = 2_500


def noise(seed: int, length: int) -> str:
    return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZé漢🏈", k=length))


def inserted(*lengths: int) -> Changes:
    events = [
        {"op": "c", "tx": tx, "before": None, "after": {"v": noise(tx, length)}} for tx, length in enumerate(lengths)
    ]
    return change_rows(BIG, events)


def read(messages: list[Message], table: TableSchema = BIG, epoch: int = 7) -> list[Changes]:
    reader = MessageReader(table.table, epoch, {1: table})
    result = [reader.take(item.payload, item.headers, f"topic:0:{offset}") for offset, item in enumerate(messages)]
    reader.finish()
    return [item for item in result if item is not None]


@given(st.lists(st.integers(0, 9_000), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_rows_of_any_length_come_back_as_they_were(lengths: list[int]) -> None:
    given_changes = inserted(*lengths)
    messages = list(messages_of(given_changes, 7, bytes_max=BYTES_MAX))
    assert all(len(message.payload) <= BYTES_MAX for message in messages)
    assert sum(message.rows for message in messages) == len(lengths)
    assert joined(read(messages)).rows.equals(given_changes.rows)


def test_a_row_longer_than_a_message_is_cut_into_numbered_fragments() -> None:
    messages = list(messages_of(inserted(9_000), 7, bytes_max=BYTES_MAX))
    marks = [dict(message.headers)[HEADER_FRAGMENT].decode() for message in messages]
    assert len(messages) > 2
    assert marks == [f"{index}/{len(messages)}" for index in range(len(messages))]
    assert [message.rows for message in messages] == [0] * (len(messages) - 1) + [1]


@pytest.mark.parametrize(
    "which",
    [[0], [1], [0, 2], [0, 1, 1], [0, 0], [0, 1, 0]],
    ids=["the rest missing", "the first missing", "a gap", "one twice", "the first twice", "begun again"],
)
def test_fragments_that_are_not_all_there_in_order_are_refused(which: list[int]) -> None:
    messages = list(messages_of(inserted(9_000), 7, bytes_max=BYTES_MAX))
    with pytest.raises(WireError, match=r"fragments of a row are (missing|not in order) at topic:0:\d"):
        read([messages[index] for index in which])


def test_a_whole_message_between_fragments_is_refused() -> None:
    messages = list(messages_of(inserted(9_000), 7, bytes_max=BYTES_MAX))
    whole = next(messages_of(inserted(1), 7))
    with pytest.raises(WireError, match="fragments of a row are not in order at topic:0:1"):
        read([messages[0], whole, *messages[1:]])


@pytest.mark.parametrize("mark", [b"", b"x", b"1", b"2/2", b"-1/2", b"0/x", b"1/2/3"])
def test_a_fragment_without_a_number_is_refused(mark: bytes) -> None:
    whole = next(messages_of(inserted(1), 7))
    with pytest.raises(WireError, match=r"topic:0:0"):
        read([replace(whole, headers=(*whole.headers, (HEADER_FRAGMENT, mark)))])


def test_a_message_of_another_epoch_table_or_definition_is_refused() -> None:
    whole = next(messages_of(inserted(1), 7))
    with pytest.raises(WireError, match="not of epoch 8"):
        read([whole], epoch=8)
    with pytest.raises(WireError, match="names definition 1"):
        MessageReader("s.other", 7, {1: BIG}).take(whole.payload, whole.headers, "topic:0:0")
    with pytest.raises(WireError, match="names definition 1"):
        MessageReader(BIG.table, 7, {}).take(whole.payload, whole.headers, "topic:0:0")
    without = tuple(header for header in whole.headers if header[0] != "dfp-schema")
    with pytest.raises(WireError, match="a header is not a number"):
        read([replace(whole, headers=without)])
    with pytest.raises(WireError, match=r"a header is not UTF-8 at topic:0:0: restore the topic, or re-snapshot"):
        read([replace(whole, headers=(*whole.headers, (HEADER_PARTITION, b"\xff")))])


@given(st.none() | st.text(max_size=20), st.sampled_from([1, 3]))
def test_the_scope_of_a_reset_arrives_in_every_kafka_partition(scope: str | None, partitions: int) -> None:
    parts = routed(reset(KEYED, 1, partition=scope), partitions)
    assert [partition for partition, _ in parts] == list(range(partitions))
    for _, part in parts:
        (arrived,) = read(list(messages_of(part, 7)), KEYED)
        assert arrived.partition == scope
        assert arrived.rows.column("op").to_pylist() == ["t"]


def test_a_reset_of_one_partition_stands_alone_among_its_neighbours() -> None:
    row = KEYED.arrow.empty_table().from_pylist([{"id": 1}], schema=KEYED.arrow)
    change = changes(KEYED, 1, Op.CREATED, 0, after=row)
    parts = [change, change, reset(KEYED, 1, partition="a=1"), reset(KEYED, 1), change, replace(change, version=2)]
    groups = consecutive(parts)
    assert [(part.rows.num_rows, part.partition, part.version) for part in groups] == [
        (2, None, 1), (1, "a=1", 1), (2, None, 1), (1, None, 2),
    ]  # fmt: skip
