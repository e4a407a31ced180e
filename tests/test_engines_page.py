"""`docs/engines.md` says of every type and engine what the code does."""

from __future__ import annotations

from pathlib import Path

from tests.engines.matrix import rendered

PAGE = Path(__file__).parents[1] / "docs" / "engines.md"


def test_the_table_is_what_the_code_does() -> None:
    assert rendered() in PAGE.read_text(encoding="utf-8"), "python -m tests.engines.matrix prints the table"
