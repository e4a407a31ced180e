"""`docs/types.md` says of every type what the code does."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from datafingerprint.adapters.iceberg.definition import iceberg_type
from datafingerprint.canonical import canonical
from datafingerprint.schema import BYTES_KINDS, Column, Kind
from tests.engines.matrix import described

PAGE = (Path(__file__).parents[1] / "docs" / "types.md").read_text()
CODE = re.compile(r"`([^`]*)`")
TABLE = [
    tuple(cell.strip() for cell in line.strip("|\n").split(" | "))
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
TYPES = [(source, lake, *CODE.findall(value)[:1], *CODE.findall(form)) for source, lake, value, form in TABLE]


def value_of(column: Column, shown: str) -> Any:  # noqa: ANN401 - a value of any column
    """The value that the page shows."""
    if column.kind in BYTES_KINDS:
        return bytes.fromhex(shown[2:-1]).ljust(column.length, b"\0")
    moment = dt.datetime.fromisoformat
    readers: dict[Kind, Any] = {
        Kind.BIT: lambda: int(shown[2:-1], 2),
        Kind.DECIMAL: lambda: shown if column.is_long_decimal else Decimal(shown),
        Kind.DATE: lambda: dt.date.fromisoformat(shown),
        Kind.DATETIME: lambda: moment(shown),
        Kind.TIMESTAMP: lambda: moment(shown).replace(tzinfo=dt.UTC),
        Kind.TIME: lambda: -1_500_000 if shown == "-00:00:01.5" else None,
        **dict.fromkeys((Kind.FLOAT, Kind.DOUBLE), lambda: float(shown)),
    }
    return readers.get(column.kind, lambda: shown)()


@pytest.mark.parametrize("line", TYPES, ids=lambda line: CODE.findall(line[0])[0])
def test_a_line_is_what_the_code_does(line: tuple[str, ...]) -> None:
    for type_text in CODE.findall(line[0]):
        item = described(type_text)
        assert f"`{iceberg_type(item)}`" == line[1]
        if len(line) > 2:
            assert canonical({"c": value_of(item, line[2])}, (item,)).decode() == f"c={line[3]}"


def test_every_kind_has_a_line() -> None:
    kinds = {described(type_text).kind for line in TYPES for type_text in CODE.findall(line[0])}
    assert kinds == set(Kind)
