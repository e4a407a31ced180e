"""MySQL's binary JSON: documents as the server stores them, and bytes that are none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.binlog.json_binary import double_text, json_text
from datafingerprint.errors import DecodeError

STORED = {
    "": "null",
    "0400": "null",
    "05feff": "-2",
    "0c0361c3a9": '"aé"',
    "000200160012000100130001000507000c14006162017a": '{"a": 7, "b": "z"}',
    "0202000a00040100050700": "[true, 7]",
    "0ff6050502807b2d": "123.45",
    "0ff60505027f84d2": "-123.45",
}
DOUBLES = {
    1e20: "1e20",
    -1e-7: "-0.0000001",
    1e15: "1e15",
    1e14: "100000000000000.0",
    1234567890123456.8: "1234567890123456.8",
    1.2345678901234567e-15: "0.0000000000000012345678901234568",
    1e-16: "1e-16",
    -1.5e300: "-1.5e300",
    -0.0: "-0.0",
}


IN_CIRCLES = "02 0200 0a00 02 0000 02 0000"
"""An array that holds itself twice."""


@pytest.mark.parametrize("stored", STORED)
def test_a_stored_document_has_its_text(stored: str) -> None:
    assert json_text(bytes.fromhex(stored)) == STORED[stored]


@pytest.mark.parametrize("value", DOUBLES)
def test_a_double_is_written_as_the_server_does(value: float) -> None:
    assert double_text(value) == DOUBLES[value]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_double_gives_it_back(value: float) -> None:
    assert float(double_text(value)) == value


@pytest.mark.parametrize(
    "stored",
    [
        "02",
        "0001",
        "000200ff00",
        "0c056162",
        "0f",
        "0ff60501",
        "ff00",
        "0b000000000000f07f",
        "0409",
        "0c01ff",
        IN_CIRCLES,
    ],
)
def test_bytes_that_are_no_document_are_rejected(stored: str) -> None:
    with pytest.raises(DecodeError, match="JSON document"):
        json_text(bytes.fromhex(stored))


@given(st.binary(max_size=40))
def test_no_bytes_are_read_past_their_end(stored: bytes) -> None:
    with contextlib.suppress(DecodeError):
        json_text(stored)
