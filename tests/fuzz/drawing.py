"""What the fuzz test draws: a table of any columns, and what is done to its rows, as plain JSON."""

from __future__ import annotations

import datetime as dt
import struct
from typing import Any

from hypothesis import strategies as st

from datafingerprint.charsets import IN_CODE_UNITS, TABLES, table_of
from tests.fuzz.documents import DOCUMENTS

Value = str | dict[str, str] | None
"""A text that the server converts, octets as `{"hex": …}`, an expression as `{"sql": …}`, or NULL."""

Typed = tuple[str, st.SearchStrategy[Value]]
"""A type as CREATE TABLE has it, and its values."""

Drawn = st.SearchStrategy[Typed]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OCTETS = st.binary(max_size=20)


def octets_of(value: bytes) -> dict[str, str]:
    """As a case holds octets."""
    return {"hex": value.hex()}


def _integers() -> Drawn:
    def column(name: str, bits: int, unsigned: bool, zerofill: bool, is_wide: bool) -> Typed:
        unsigned = unsigned or zerofill
        low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        words = f"{name}{'(255)' * (zerofill and is_wide)}{' UNSIGNED' * unsigned}{' ZEROFILL' * zerofill}"
        return words, (st.integers(low, high) | st.sampled_from([low, high, 0])).map(str)

    kinds = [("TINYINT", 8), ("SMALLINT", 16), ("MEDIUMINT", 24), ("INT", 32), ("BIGINT", 64)]
    return st.builds(
        lambda kind, *flags: column(*kind, *flags), st.sampled_from(kinds), st.booleans(), st.booleans(), st.booleans()
    )


@st.composite
def _decimals(draw: st.DrawFn) -> Typed:
    precision = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(30, precision)))
    most = 10**precision - 1

    def shown(unscaled: int) -> str:
        digits = str(abs(unscaled)).rjust(scale + 1, "0")
        return f"{'-' * (unscaled < 0)}{digits[: len(digits) - scale]}.{digits[len(digits) - scale :]}"

    words = f"DECIMAL({precision},{scale}){draw(st.sampled_from(['', ' UNSIGNED', ' ZEROFILL']))}"
    return words, (st.integers(-most, most) | st.sampled_from([0, most, -most, 1, -1])).map(shown)


def _doubles() -> st.SearchStrategy[Value]:
    anything = st.floats(allow_nan=False, allow_infinity=False)
    edges = [5e-324, -5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308, -0.0, 0.1]
    powers = st.builds(
        lambda exponent, step: _stepped(2.0**exponent, step), st.integers(-1022, 1023), st.integers(-2, 2)
    )
    return (anything | st.sampled_from(edges) | powers).map(repr)


@st.composite
def _with_decimals(draw: st.DrawFn) -> Typed:
    """DOUBLE(M,D) and FLOAT(M,D), which a server shows with fewer decimals than it stores."""
    places, whole = draw(st.integers(0, 30)), draw(st.integers(1, 20))
    words = f"{draw(st.sampled_from(['DOUBLE', 'FLOAT', 'REAL']))}({whole + places},{places})"
    digits = st.integers(-(10 ** (whole + places)), 10 ** (whole + places)).map(lambda all_of: f"{all_of}e-{places}")
    return words + draw(st.sampled_from(["", " UNSIGNED", " ZEROFILL"])), digits | _doubles()


def _stepped(value: float, steps: int) -> float:
    bits = struct.unpack(">q", struct.pack(">d", value))[0] + steps
    return float(struct.unpack(">d", struct.pack(">q", bits))[0])


def _moments(low: dt.datetime, high: dt.datetime) -> st.SearchStrategy[Value]:
    return st.datetimes(low, high).map(lambda value: value.isoformat(" ", "microseconds"))


def _times() -> st.SearchStrategy[Value]:
    def shown(seconds: int, microseconds: int, negative: bool) -> str:
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return f"{'-' * negative}{clock}.{microseconds:06}"

    return st.builds(shown, st.integers(0, 838 * 3600 + 3599), st.integers(0, 999_999), st.booleans())


LABELS = ("a", "", "b,c", "it's", "né", "日本", "x y ", "back\\slash", "tab\there")


def _quoted(label: str) -> str:
    return "'" + label.replace("\\", "\\\\").replace("'", "''").replace("\t", "\\t") + "'"


@st.composite
def _labelled(draw: st.DrawFn) -> Typed:
    labels = draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=9, unique_by=lambda label: label.rstrip()))
    if draw(st.booleans()):
        return f"ENUM({', '.join(map(_quoted, labels))})", st.sampled_from(labels)
    plain = [label for label in labels if label and "," not in label] or ["z"]
    return f"SET({', '.join(map(_quoted, plain))})", st.lists(st.sampled_from(plain), unique=True).map(",".join)


@st.composite
def _labelled_bytes(draw: st.DrawFn, kind: str, octets: st.SearchStrategy[bytes]) -> Typed:
    """ENUM and SET in the character set `binary`, whose labels are bytes."""
    labels = draw(st.lists(octets, min_size=1, max_size=9, unique_by=lambda label: label.rstrip()))
    if kind == "ENUM":
        return _in_binary(kind, labels), st.sampled_from(labels).map(octets_of)
    plain = [label for label in labels if label and b"," not in label] or [b"z"]
    chosen = st.lists(st.sampled_from(plain), unique=True).map(b",".join)
    return _in_binary(kind, plain), chosen.map(octets_of)


def _in_binary(kind: str, labels: list[bytes]) -> str:
    listed = ", ".join(f"x'{label.hex()}'" for label in labels)
    return f"{kind}({listed}) CHARACTER SET binary"


def _in_charset(server: str) -> Drawn:
    """Texts and labels in another character set than UTF-8."""
    charsets = sorted((TABLES if server == "mysql" else TABLES - {"gb18030"}) | IN_CODE_UNITS.keys())
    return st.tuples(st.sampled_from(charsets), st.sampled_from(["VARCHAR(40)", "CHAR(40)", "TEXT", "ENUM"])).map(
        lambda drawn: _text_in(*drawn)
    )


def _text_in(charset: str, words: str) -> Typed:
    letters = sorted(table_of(charset).values()) if charset in TABLES else ["a", " ", "\0", "é", "漢", "\uffff"]
    if words == "ENUM":
        labels = [letter for letter in letters if letter.isalnum()][:: max(1, len(letters) // 9)]
        return f"ENUM({', '.join(map(_quoted, labels))}) CHARACTER SET {charset}", st.sampled_from(labels)
    return f"{words} CHARACTER SET {charset}", st.text(st.sampled_from([*letters, " "]), max_size=20)


def _with_digits(name: str, values: st.SearchStrategy[Value]) -> Drawn:
    return st.integers(0, 6).map(lambda digits: (f"{name}({digits})", values))


def _fixed(words: str, values: st.SearchStrategy[Value]) -> Drawn:
    return st.just((words, values))


HEX = OCTETS.map(octets_of)
DAYS = st.dates().map(dt.date.isoformat)
START, END = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001 - bounds are drawn without a zone
EPOCH_START, EPOCH_END = dt.datetime(1971, 1, 1), dt.datetime(2037, 12, 31)  # noqa: DTZ001 - likewise

FIT_FOR_KEYS = (
    _integers(),
    _decimals(),
    _with_digits("DATETIME", _moments(START, END)),
    _with_digits("TIME", _times()),
    _fixed("DATE", DAYS),
    _fixed("YEAR", st.integers(1901, 2155).map(str)),
    st.integers(1, 64).map(lambda bits: (f"BIT({bits})", st.integers(0, 2**bits - 1).map(str))),
    st.integers(1, 40).map(lambda length: (f"VARCHAR({length})", TEXTS)),
    st.integers(1, 40).map(lambda length: (f"CHAR({length}) COLLATE utf8mb4_bin", TEXTS)),
    st.integers(1, 40).map(lambda length: (f"VARBINARY({length})", HEX)),
    st.integers(1, 40).map(lambda length: (f"BINARY({length})", HEX)),
    _labelled(),
    _labelled_bytes("ENUM", st.binary(max_size=4)),
    # MySQL cannot create other ones: "Failed to update columns dictionary object".
    _labelled_bytes("SET", st.text(st.characters(max_codepoint=0xD7FF), max_size=6).map(str.encode)),
    st.sampled_from(sorted(TABLES - {"gb18030"})).map(lambda charset: _text_in(charset, "VARCHAR(40)")),
)
OTHERS = (
    _fixed("DOUBLE", _doubles()),
    _fixed("DOUBLE ZEROFILL", _doubles()),
    _with_decimals(),
    _fixed("FLOAT", st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr)),
    _with_digits("TIMESTAMP", _moments(EPOCH_START, EPOCH_END)).map(lambda drawn: (f"{drawn[0]} NULL", drawn[1])),
    st.sampled_from(["TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT"]).map(lambda name: (name, TEXTS)),
    st.sampled_from(["TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB"]).map(lambda name: (name, HEX)),
    _fixed("VARCHAR(300) CHARACTER SET utf8mb3", st.text(st.characters(max_codepoint=0xD7FF), max_size=20)),
    _fixed("DATE", st.sampled_from(["0000-00-00", "2031-04-31", "2031-02-29", "2031-00-01", "0000-12-31"])),
)
OF_ONE_SERVER: dict[str, tuple[Drawn, ...]] = {
    "mariadb": (
        _fixed("UUID", st.uuids(version=4).map(str)),
        _fixed("YEAR(2)", st.sampled_from(["0", "00", "1", "69", "70", "1901", "2001", "2100", "2155", "none"])),
        _fixed("INET6", st.ip_addresses(v=6).map(str)),
        _in_charset("mariadb"),
        _labelled_bytes("SET", st.binary(max_size=4)),
    ),
    "mysql": (_fixed("JSON", DOCUMENTS.map(lambda expression: {"sql": expression})), _in_charset("mysql")),
}
NAMES = st.text(st.sampled_from("abXYZ_09 |=%\"'`.é漢#"), min_size=1, max_size=6).filter(
    lambda name: name == name.strip()
)


def _splits(name: str, words: str) -> list[str]:
    kind = words.split("(", maxsplit=1)[0].split(maxsplit=1)[0]
    if kind in ("DATE", "DATETIME", "TIMESTAMP") and "(" not in name and ")" not in name:
        return [f"{form}({name})" for form in ("year", "month", "day")]
    whole = ("TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "VARCHAR", "CHAR", "ENUM", "SET", "YEAR", "TEXT")
    return [name] if kind in whole and not words.endswith("CHARACTER SET binary") else []


@st.composite
def cases(draw: st.DrawFn, server: str) -> dict[str, Any]:
    """A case: columns as [name, type], key, partition fields, and steps.

    A step is ["insert", rows], ["update", values, how many], ["delete", how many], ["double", how many], or
    [a statement of control]. The key is the primary one, unless `unique` says that the table has no such.
    """
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique_by=str.lower))
    keyed = draw(st.integers(0, min(2, len(names))))
    every = st.one_of(*FIT_FOR_KEYS, *OTHERS, *OF_ONE_SERVER[server])
    drawn = [draw(st.one_of(*FIT_FOR_KEYS) if number < keyed else every) for number in range(len(names))]
    columns = [[name, words] for name, (words, _) in zip(names, drawn, strict=True)]
    values = [of if number < keyed else st.none() | of for number, (_, of) in enumerate(drawn)]
    row = st.tuples(*values).map(list)
    splits = [split for name, words in columns for split in _splits(name, words)]
    partition = draw(st.lists(st.sampled_from(splits), max_size=2, unique=True)) if splits else []
    step = st.one_of(
        st.lists(row, min_size=1, max_size=4).map(lambda rows: ["insert", rows]),
        st.tuples(row, st.integers(1, 3)).map(lambda result: ["update", *result]),
        st.integers(1, 2).map(lambda count: ["delete", count]),
        st.integers(1, 3).map(lambda count: ["double", count]),
        st.sampled_from([["BEGIN"], ["COMMIT"], ["ROLLBACK"]]),
    )
    steps = [["insert", draw(st.lists(row, min_size=1, max_size=4))], *draw(st.lists(step, max_size=8))]
    unique = keyed > 0 and draw(st.integers(0, 3)) == 0
    return {"columns": columns, "key": names[:keyed], "unique": unique, "partition": partition, "steps": steps}
