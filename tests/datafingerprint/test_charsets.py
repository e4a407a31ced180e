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


def slowly(octets: bytes, charset: str) -> str:
    """One code after another, the longest first."""
    table = table_of(charset)
    made = ""
    while octets:
        length = next(length for length in (4, 3, 2, 1) if octets[:length] in table and len(octets) >= length)
        made += table[octets[:length]]
        octets = octets[length:]
    return made


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
    expected = [None if one is None else slowly(one, charset) for one in given_values]
    skipped = data.draw(st.integers(0, len(given_values)))
    values = pa.array(given_values, pa.binary())
    assert texts(values, charset, "c").to_pylist() == expected
    assert texts(values[skipped:], charset, "c").to_pylist() == expected[skipped:]


@given(st.sampled_from(sorted(IN_CODE_UNITS)), st.lists(st.none() | st.text(), max_size=6))
def test_a_column_of_code_units_is_decoded_as_the_library_does(charset: str, given_texts: list[str | None]) -> None:
    if charset == "ucs2":
        given_texts = [one and "".join(letter for letter in one if ord(letter) < 0x10000) for one in given_texts]
    octets = [None if one is None else one.encode(IN_CODE_UNITS[charset][0]) for one in given_texts]
    found = texts(pa.array([b"\0\0\0\0", *octets], pa.binary())[1:], charset, "c")
    found.validate(full=True)
    assert found.to_pylist() == given_texts


@given(st.sampled_from(sorted(KNOWN)), st.lists(st.none() | st.binary(max_size=8), max_size=4))
def test_any_octets_are_texts_or_refused(charset: str, octets: list[bytes | None]) -> None:
    try:
        found = texts(pa.array(octets, pa.binary()), charset, "c")
    except DecodeError as error:
        assert "column c holds" in str(error)  # noqa: PT017 - either is right
    else:
        found.validate(full=True)
        assert [one is None for one in found.to_pylist()] == [one is None for one in octets]


@pytest.mark.parametrize(
    ("charset", "octets"),
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
def test_what_has_no_exact_character_is_refused(charset: str, octets: list[bytes]) -> None:
    with pytest.raises(DecodeError, match=rf"a text in column c holds .*, which {charset} has no exact character for"):
        texts(pa.array(octets, pa.binary()), charset, "c")


def test_utf8_is_as_it_is_stored() -> None:
    for charset in UTF8:
        assert texts(pa.array(["a🏈", None]).cast(pa.binary()), charset, "c").to_pylist() == ["a🏈", None]
