"""Reads the character of every code of a character set, as a server converts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

BYTES = range(256)
_BLOCK = 4096
_SURROGATES = range(0xD800, 0xE000)
_UNICODE_END = 0x110000


def fill_codes(cursor: Any) -> None:  # noqa: ANN401 - a pymysql cursor
    """Creates the temporary table `codes` of all possible codes of one to three bytes."""
    cursor.execute("CREATE TEMPORARY TABLE codes (b VARBINARY(3) PRIMARY KEY)")
    values = ", ".join(f"(x'{code.hex()}')" for code in _candidates())
    cursor.execute(f"INSERT INTO codes VALUES {values}")


def _candidates() -> Iterator[bytes]:
    for first in BYTES:
        yield bytes([first])
        for second in BYTES if first >= 0x80 else ():  # noqa: PLR2004 - no character set has codes that begin lower
            yield bytes([first, second])
    for second in range(0x80, 256):
        yield from (bytes([0x8F, second, third]) for third in range(0x80, 256))


def read_table(cursor: Any, charset: str) -> dict[bytes, str]:  # noqa: ANN401 - a pymysql cursor
    """The codes that the server converts to a character and back; needs `fill_codes`.

    Codes of four bytes are left out: those of gb18030 follow a rule.
    """
    texts = f"SELECT b, CAST(b AS CHAR CHARACTER SET {charset}) t FROM codes"
    converted = f"SELECT b, CHAR_LENGTH(t) n, CONVERT(t USING utf8mb4) u FROM ({texts}) x"
    cursor.execute(f"SELECT b, HEX(u), HEX(CONVERT(u USING {charset})) FROM ({converted}) y WHERE n = 1")
    return {
        code: bytes.fromhex(utf8).decode()
        for code, utf8, again in cursor.fetchall()
        if utf8 and bytes.fromhex(again) == code
    }


def read_gb18030(cursor: Any) -> Iterator[tuple[str, bytes, str]]:  # noqa: ANN401 - a pymysql cursor
    """Blocks of Unicode: the characters, their codes back to back, and the codes converted back."""
    for start in range(0, _UNICODE_END, _BLOCK):
        block = "".join(chr(number) for number in range(start, start + _BLOCK) if number not in _SURROGATES)
        if block:
            coded = f"CONVERT(_utf8mb4 x'{block.encode().hex()}' USING gb18030)"
            cursor.execute(f"SELECT HEX({coded}), HEX(CONVERT({coded} USING utf8mb4))")
            codes, again = cursor.fetchone()
            yield block, bytes.fromhex(codes), bytes.fromhex(again).decode()


def read_collations(cursor: Any) -> dict[int, str]:  # noqa: ANN401 - a pymysql cursor
    """The character set of every collation that has a number."""
    cursor.execute("SELECT VERSION()")
    if "mariadb" in str(cursor.fetchall()).lower():
        cursor.execute("SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY")
    else:
        cursor.execute("SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS")
    return {int(number): str(charset) for number, charset in cursor.fetchall() if number}


def spans(collations: dict[int, str]) -> dict[str, list[list[int]]]:
    """The form of the file: character set to the first and last number of each run."""
    by_charset: dict[str, list[list[int]]] = {}
    for number in sorted(collations):
        of_charset = by_charset.setdefault(collations[number], [])
        if of_charset and of_charset[-1][1] == number - 1:
            of_charset[-1][1] = number
        else:
            of_charset.append([number, number])
    return dict(sorted(by_charset.items()))


def runs(table: dict[bytes, str]) -> dict[str, str]:
    """The form of a table's file: first code of each run of consecutive codes to the characters."""
    texts: dict[str, str] = {}
    first = last = b""
    for code in sorted(table, key=lambda code: (len(code), code)):
        if last and code[:-1] == last[:-1] and len(code) == len(last) and code[-1] == last[-1] + 1:
            texts[first.hex()] += table[code]
        else:
            first = code
            texts[first.hex()] = table[code]
        last = code
    return texts
