"""Forms that no server writes, as damage might leave them, are refused and never read as something else."""

from __future__ import annotations

import numpy as np
import pytest

from datafingerprint.binlog.events import HEADER_BYTES, Cursor, Event, EventType, _tagged_gtid, parse_payload
from datafingerprint.binlog.json_binary import double_text
from datafingerprint.binlog.table_map import LoggedColumn
from datafingerprint.binlog.values import ColumnSlice, decode_column
from datafingerprint.column_types import column
from datafingerprint.errors import DecodeError
from datafingerprint.gtid import parse_gtids

ENUM, SET, STRING = 247, 248, 254
WHERE = "the binlog"


@pytest.mark.parametrize("charset", ["utf8mb4", "binary"])
@pytest.mark.parametrize(
    ("code", "type_text", "reason"),
    [
        (ENUM, "enum('a')", "column c holds label 2 of 1"),
        (SET, "set('a')", "column c holds more labels than the 1 it has"),
    ],
)
def test_a_label_that_the_definition_lacks_is_no_other_label(
    code: int, type_text: str, reason: str, charset: str
) -> None:
    described = column("c", type_text, nullable=True, charset=charset)
    logged = LoggedColumn("c", STRING, code | 1 << 8, unsigned=False, labels=(b"a",))

    def decoded(number: int) -> object:
        stored = ColumnSlice(np.array([number, 0], np.uint8), np.array([0]), np.array([1]), np.array([False]))
        return decode_column(stored, described, logged, 0).to_pylist()

    assert decoded(1) == [b"a" if charset == "binary" else "a"]
    with pytest.raises(DecodeError, match=reason):
        decoded(2)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_double_of_a_document_is_finite(value: float) -> None:
    with pytest.raises(DecodeError, match="a double that is not finite"):
        double_text(value)


def test_the_fields_of_a_tagged_gtid_come_in_their_order() -> None:
    version_size_and_last, second_field_first = b"\0\0\0", b"\2"
    with pytest.raises(DecodeError, match="in the wrong order") as refused:
        _tagged_gtid(Cursor(version_size_and_last + second_field_first))
    assert "check the source's disk and version" in refused.value.remedy


def payload(*fields: int, rest: bytes = b"") -> Event:
    """A transaction in one event: fields of one byte each, their end, and what is packed."""
    kinds = (2, 3)
    described = b"".join(bytes([kind, 1, value]) for kind, value in zip(kinds, fields, strict=False))
    return Event(EventType.XID, 0, 1, 0, described + b"\0" + rest)


def test_a_transaction_is_packed_in_a_known_way_and_ends_with_an_event() -> None:
    unknown = 7
    with pytest.raises(DecodeError, match=f"by the unknown method {unknown}") as refused:
        list(parse_payload(payload(unknown, 9), WHERE))
    assert refused.value.where == WHERE
    length = HEADER_BYTES + 8
    header = bytes(9) + length.to_bytes(4, "little") + bytes(HEADER_BYTES - 13)
    event = Event(EventType.XID, 0, 1, 0, b"\2\3\xfc\xff\0" + b"\0" + header + bytes(7))
    with pytest.raises(DecodeError, match="ends inside an event"):
        list(parse_payload(event, WHERE))


def test_positions_of_diverged_histories_are_not_united() -> None:
    with pytest.raises(DecodeError, match="0-1-5 and 0-2-5 are positions of diverged histories") as refused:
        parse_gtids("0-1-5").union(parse_gtids("0-2-5"))
    assert refused.value.remedy.startswith("point [source] at the server of the stream")
    assert str(parse_gtids("0-1-5").union(parse_gtids("0-1-6"))) == "0-1-6"
