"""How each character set is stored, and the tables of codes and characters."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files

BINARY = "binary"
"""The character set of bytes, which have no characters."""

UTF8 = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii"})
"""Character sets whose stored bytes are UTF-8."""

IN_CODE_UNITS: dict[str, tuple[str, str]] = {
    "ucs2": ("utf-16-be", ">u2"),
    "utf16": ("utf-16-be", ">u2"),
    "utf16le": ("utf-16-le", "<u2"),
    "utf32": ("utf-32-be", ">u4"),
}
"""Unicode in units of two or four bytes: the codec, and numpy's type of the unit."""

TABLES = frozenset(
    {
        *("armscii8", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "dec8", "geostd8", "greek"),
        *("hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7", "macce", "macroman"),
        *("swe7", "tis620"),
        *("big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ujis"),
    }
)
"""Character sets with a table: first those of one byte per character, then those of up to four."""


def charset_of(collation: int) -> str:
    """The character set of a collation, by its number on the servers, or an empty text."""
    return _collations().get(collation, "")


@lru_cache
def _collations() -> dict[int, str]:
    ranges_of = json.loads(files("datafingerprint.charsets").joinpath("collations.json").read_text(encoding="utf-8"))
    return {
        number: charset
        for charset, ranges in ranges_of.items()
        for first, last in ranges
        for number in range(first, last + 1)
    }


@lru_cache(maxsize=len(TABLES))
def table_of(charset: str) -> dict[bytes, str]:
    """The character of every code.

    A file contains runs of consecutive codes: the first code, and the characters of all.
    """
    text = files("datafingerprint.charsets").joinpath("tables", f"{charset}.json").read_text(encoding="utf-8")
    table: dict[bytes, str] = {}
    for first, characters in json.loads(text).items():
        lead, last = bytes.fromhex(first)[:-1], bytes.fromhex(first)[-1]
        table |= {lead + bytes([last + number]): character for number, character in enumerate(characters)}
    return table
