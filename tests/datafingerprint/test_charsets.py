"""Columns of texts in other character sets than UTF-8, against one code after another."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import datafingerprint.charsets
from datafingerprint.charsets import IN_CODE_UNITS, KNOWN, TABLES, UTF8, table_of, texts
from datafingerprint.errors import DecodeError

FOLDER = Path(datafingerprint.charsets.__file__).parent / "tables"


def slowly(raw: bytes, charset: str) -> str:
    """One code after another, the longest first."""
    table = table_of(charset)
    text = ""
    while raw:
        length = next(length for length in (4, 3, 2, 1) if raw[:length] in table and len(raw) >= length)
        text += table[raw[:length]]
        raw = raw[length:]
    return text


def test_every_table_has_a_file_and_every_file_a_table() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == TABLES


@pytest.mark.parametrize("charset", sorted(TABLES))
def test_no_two_codes_have_one_character(charset: str) -> None:
    table = table_of(charset)
    assert len(set(table.values())) == len(table)
    assert all(len(character) == 1 for character in table.values())


@given(st.sampled_from(sorted(TABLES)), st.data())
def test_a_column_is_decoded_as_its_values_are_code_by_code(charset: str, data: st.DataObject) -> None:
    value = st.lists(st.sampled_from(sorted(table_of(charset))), max_size=6).map(b"".join)
    given_values = data.draw(st.lists(st.none() | value, max_size=6))
    expected = [None if value is None else slowly(value, charset) for value in given_values]
    skipped = data.draw(st.integers(0, len(given_values)))
    values = pa.array(given_values, pa.binary())
    assert texts(values, charset, "c").to_pylist() == expected
    assert texts(values[skipped:], charset, "c").to_pylist() == expected[skipped:]


@given(st.sampled_from(sorted(IN_CODE_UNITS)), st.lists(st.none() | st.text(), max_size=6))
def test_a_column_of_code_units_is_decoded_as_the_library_does(charset: str, given_texts: list[str | None]) -> None:
    if charset == "ucs2":
        given_texts = [value and "".join(letter for letter in value if ord(letter) < 0x10000) for value in given_texts]
    raw_values = [None if value is None else value.encode(IN_CODE_UNITS[charset][0]) for value in given_texts]
    decoded = texts(pa.array([b"\0\0\0\0", *raw_values], pa.binary())[1:], charset, "c")
    decoded.validate(full=True)
    assert decoded.to_pylist() == given_texts


@given(st.sampled_from(sorted(KNOWN)), st.lists(st.none() | st.binary(max_size=8), max_size=4))
def test_any_bytes_are_texts_or_rejected(charset: str, raw_values: list[bytes | None]) -> None:
    try:
        decoded = texts(pa.array(raw_values, pa.binary()), charset, "c")
    except DecodeError as error:
        assert "column c holds" in str(error)  # noqa: PT017 - either is right
    else:
        decoded.validate(full=True)
        assert [value is None for value in decoded.to_pylist()] == [value is None for value in raw_values]


@pytest.mark.parametrize(
    ("charset", "raw_values"),
    [
        ("cp1251", [b"\x98"]),
        ("gbk", [b"\xb0\xa1\xb0"]),
        ("gbk", [b"\xb0", b"\xa1"]),
        ("sjis", [b"\\"]),
        ("gb18030", [b"\xfe9\xfe9"]),
        ("utf16", [b"\xd8\x00"]),
        ("utf16", [b"\xd8\x3c", b"\xdf\xc8"]),
        ("utf16", [b"a"]),
        ("utf16le", [b"a", b"b"]),
        ("ucs2", [b"\xd8\x3c\xdf\xc8"]),
        ("utf32", [b"\x00\x00\xd8\x00"]),
        ("utf32", [b"\x00\x11\x00\x00"]),
        ("utf8mb4", [b"\xff"]),
    ],
)
def test_a_code_without_an_exact_character_is_rejected(charset: str, raw_values: list[bytes]) -> None:
    with pytest.raises(DecodeError, match=rf"a text in column c holds .*, which {charset} has no exact character for"):
        texts(pa.array(raw_values, pa.binary()), charset, "c")


def test_utf8_is_as_it_is_stored() -> None:
    for charset in UTF8:
        assert texts(pa.array(["a🏈", None]).cast(pa.binary()), charset, "c").to_pylist() == ["a🏈", None]
